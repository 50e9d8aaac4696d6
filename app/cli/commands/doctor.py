"""What is wrong with a deployment, and how it is fixed."""

import argparse
from argparse import Namespace
from collections.abc import Iterator

from app.cli.options import add_json
from app.cli.output import print_json, print_lines, print_styled, progress
from app.cli.parser import WRONG_USE
from app.errors import WrongSetting
from app.settings import Settings, process_settings

_EPILOG = """examples:
  python -m app doctor
  python -m app doctor --json

Run it where the bridge runs, and where a worker does: what belongs to the other is skipped. It may
be run at any time: it changes nothing, but for one value of its own in Firebase, outside
FIREBASE_ROOT, which it deletes again."""

_STYLES = {"ok": "green", "warn": "yellow", "FAIL": "bold red", "skipped": "dim"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the form."""
    parser.epilog = _EPILOG
    add_json(parser)


def run(_: Settings, arguments: Namespace) -> int:
    """Look at each part, and say what was found; 1 if one of them fails, 2 if it is a setting."""
    found = []
    for one in _findings():
        found.append(one)
        if not arguments.json:
            _print(one)
    if arguments.json:
        print_json(found)
    else:
        _print_sum([one["status"] for one in found])
    if found[0]["status"] == "FAIL":
        return WRONG_USE
    return 1 if any(one["status"] == "FAIL" for one in found) else 0


def _findings() -> Iterator[dict[str, str]]:
    try:
        settings = process_settings()
    except WrongSetting as error:
        fix = "correct it in the environment, or in .env"
        yield {"name": "settings", "status": "FAIL", "found": str(error), "fix": fix}
        return
    yield {"name": "settings", "status": "ok", "found": "all can be used", "fix": ""}
    # A tenth of a second of imports, which a wrong setting need not wait for.
    from app.operations.doctor import (  # noqa: PLC0415
        Deployment,
        checks_of,
        examine,
    )

    deployment = Deployment(settings)
    looking = examine(checks_of(settings), deployment)
    try:
        while True:
            with progress("looking"):
                one = next(looking, None)
            if one is None:
                break
            yield {"name": one[0], **one[1]._asdict()}
    finally:
        deployment.close()


def _print(one: dict[str, str]) -> None:
    status = one["status"]
    print_styled((f"{status:<8}", _STYLES[status]), (f"{one['name']:<20} {one['found']}", ""))
    if one["fix"]:
        print_lines(f"{'':<9}fix: {one['fix']}")


def _print_sum(statuses: list[str]) -> None:
    failing, warning = statuses.count("FAIL"), statuses.count("warn")
    if failing or warning:
        print_lines("", f"{failing} of {len(statuses)} fail, {warning} should be seen to")
    elif skipped := statuses.count("skipped"):
        print_lines("", f"all is well, but {skipped} of {len(statuses)} were skipped")
    else:
        print_lines("", "all is well")
