"""See every fault test red: `python -m tests.faults.without_protections [PART OF A NAME...]`.

Each protection is taken out of a copy of the project, and its tests are run there. They must fail,
by an assertion or a deadline: a test that cannot be run at all says nothing.
"""

import argparse
import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from xml.etree import ElementTree

from tests.faults.protections import PROTECTIONS, Protection
from tests.system import ROOT

LONGEST_TEST = 900.0
"""Seconds after which a test is ended: what it waits for it would wait for for ever."""

END_WITHIN = 60.0
"""Seconds that a test gets to stop its own processes."""

RED, GREEN, SKIPPED, BROKEN = "red", "GREEN", "skipped", "BROKEN"

# How pytest begins what it says of a failed assertion, and of the deadlines in tests.
_OUTCOME = re.compile(
    r"assert |AssertionError|Failed: DID NOT RAISE|app\.errors\.StopProgram: no "
    r"|subprocess\.TimeoutExpired"
)
_PR_SET_CHILD_SUBREAPER = 36


def main() -> int:
    """Run what is asked for; how many tests did not fail as they should."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of protections, or a part of it")
    names = parser.parse_args().names
    chosen = [p for p in PROTECTIONS if not names or any(name in p.name for name in names)]
    if not chosen:
        print(f"no protection is called that; there are: {'; '.join(p.name for p in PROTECTIONS)}")
        return 2
    # Started in the background it would ignore Ctrl-C, and so would every pytest.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    adopt_orphans()
    wrong = 0
    for protection in chosen:
        try:
            wrong += sum(verdict in {GREEN, BROKEN} for verdict in without(protection))
        except ValueError as error:
            print(f"{protection.name}: {error}", flush=True)
            wrong += 1
    print(f"{wrong} of {sum(len(p.tests) for p in chosen)} did not fail as they should")
    return 1 if wrong else 0


def without(protection: Protection) -> Iterator[str]:
    """Run the tests of a protection without it; what came of each.

    Raises:
        ValueError: the protection cannot be taken out any more.
    """
    with copy_of_the_project() as copy:
        for edit in protection.edits:
            path = copy / edit.file
            path.write_text(edit.applied_to(path.read_text()))
        for test in protection.tests:
            begin = time.monotonic()
            verdict, reason = run(test, copy)
            seconds = time.monotonic() - begin
            name = test.partition("::")[2]
            print(
                f"{verdict:<8}{seconds:>5.0f} s  {protection.name} | {name} | {reason}", flush=True
            )
            yield verdict


@contextmanager
def copy_of_the_project() -> Iterator[Path]:
    """The tracked files as they are now, in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="without-") as folder:
        copy = Path(folder) / "project"
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
        )
        for name in listed.stdout.decode().split("\0"):
            if name and (ROOT / name).is_file():
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, copy / name)
        yield copy


def run(test: str, copy: Path) -> tuple[str, str]:
    """Run one test in a copy of the project: red, GREEN, skipped or BROKEN, and why."""
    report, output = copy.parent / "report.xml", copy.parent / "output"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-n", "0", "-x", f"--junitxml={report}"]
    command += [f"--basetemp={copy.parent / 'tests'}", test]
    environment = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    with output.open("wb") as log:
        pytest = subprocess.Popen(
            command, cwd=copy, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        pytest.wait(LONGEST_TEST)
    except subprocess.TimeoutExpired:
        return BROKEN, f"not done after {LONGEST_TEST:.0f} s"
    finally:
        end(pytest)
    if not report.exists():
        return BROKEN, " ".join(output.read_text(errors="replace").split()[-20:])
    return judged(report, pytest.returncode)


def judged(report: Path, code: int) -> tuple[str, str]:
    """What the report of one test means."""
    # Our own pytest wrote it.
    found = next(ElementTree.parse(report).iter("testcase"), None)
    if found is None:
        return BROKEN, "there is no such test"
    said = {part.tag: (part.get("message") or "").partition("\n")[0][:100] for part in found}
    if "error" in said:
        return BROKEN, said["error"]
    if "failure" in said:
        failed = code == 1 and _OUTCOME.match(said["failure"])
        return RED if failed else BROKEN, said["failure"]
    return (SKIPPED, said["skipped"]) if "skipped" in said else (GREEN, "")


def end(pytest: "subprocess.Popen[bytes]") -> None:
    """Have pytest stop what it has started; then see to it that nothing is left."""
    if pytest.poll() is None:
        pytest.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            pytest.wait(END_WITHIN)
    while left := children():
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)
    pytest.poll()


def adopt_orphans() -> None:
    """Become the parent of what tests leave behind, so that it is found; on Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def children() -> list[int]:
    """The processes whose parent is this one."""
    try:
        own = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    except FileNotFoundError:
        return []
    return [int(pid) for pid in own.split()]


if __name__ == "__main__":
    sys.exit(main())
