"""How a deployment is configured, and what is wrong with it."""

from collections.abc import Iterator

from app.cli.options import command, json_option
from app.cli.output import print_json, print_lines, print_styled, progress
from app.errors import WrongSetting
from app.settings import Settings, described, process_settings

_STYLES = {"ok": "green", "warn": "yellow", "FAIL": "bold red", "skipped": "dim"}


@command(
    """
examples:
  python -m app show-config
  python -m app show-config --json""",
    with_settings=False,
)
@json_option
def show_config(as_json: bool) -> int:
    """Print every setting, with secrets masked."""
    rows = described(process_settings())
    if as_json:
        print_json({name: value for name, value, _ in rows})
    else:
        print_lines(*(f"{name}={value}  # {meaning}" for name, value, meaning in rows))
    return 0


@command(
    """
examples:
  python -m app doctor
  python -m app doctor --json

Run it on the machine of the bridge, and on that of a worker: checks that belong to the other are
skipped. It is safe at any time: all it changes is one value of its own in Firebase, outside
FIREBASE_ROOT, which it deletes again.""",
    with_settings=False,
)
@json_option
def doctor(as_json: bool) -> int:
    """Check each part of a deployment; print what is wrong, and how to fix it."""
    results = []
    for result in _results():
        results.append(result)
        if not as_json:
            _print_result(result)
    statuses = [result["status"] for result in results]
    if as_json:
        print_json(results)
    else:
        _print_summary(statuses)
    if statuses[0] == "FAIL":
        return WrongSetting.exit_code
    return 1 if "FAIL" in statuses else 0


def _results() -> Iterator[dict[str, str]]:
    """Run the checks one by one, the settings first: without them there are no others."""
    try:
        settings = process_settings()
    except WrongSetting as error:
        fix = "correct it in the environment, or in .env"
        yield {"name": "settings", "status": "FAIL", "found": str(error), "fix": fix}
        return
    yield {"name": "settings", "status": "ok", "found": "all can be used", "fix": ""}
    # A tenth of a second of imports, which a wrong setting need not wait for.
    from app.monitoring import configure  # noqa: PLC0415
    from app.operations.doctor import Deployment, checks_of, examine  # noqa: PLC0415

    configure(Settings())
    deployment = Deployment(settings)
    examination = examine(checks_of(settings), deployment)
    try:
        while True:
            with progress("checking"):
                checked = next(examination, None)
            if checked is None:
                break
            name, finding = checked
            yield {"name": name, **finding._asdict()}
    finally:
        deployment.close()


def _print_result(result: dict[str, str]) -> None:
    status = result["status"]
    print_styled((f"{status:<8}", _STYLES[status]), (f"{result['name']:<20} {result['found']}", ""))
    if result["fix"]:
        print_lines(f"{'':<9}fix: {result['fix']}")


def _print_summary(statuses: list[str]) -> None:
    failing, warning = statuses.count("FAIL"), statuses.count("warn")
    if failing or warning:
        print_lines("", f"{failing} of {len(statuses)} checks failed, {warning} gave a warning")
    elif skipped := statuses.count("skipped"):
        print_lines("", f"all is well, but {skipped} of {len(statuses)} were skipped")
    else:
        print_lines("", "all is well")
