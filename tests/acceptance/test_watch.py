"""The live table, as a person sees it in a terminal and a program in a pipe."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.dev.processes import free_port
from tests.system import PATIENCE, ROOT, Firebase, now_text, run_here, wait_until

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def record(total: float, timestamp: str | None = None) -> dict[str, Any]:
    return {
        "total": total,
        "unrealized": total,
        "realized": 0,
        "converted": 0,
        "timestamp": timestamp or now_text(),
    }


def fill(firebase: Firebase) -> None:
    """Three tickers and the account; AMD has been silent for an hour."""
    an_hour_ago = now_text(timedelta(hours=-1))
    figures = {"SOFI": 3.5, "BRK!2EB": 12_345.67, "AMD": -1.25, "aggregate": 12_347.92}
    for key, total in figures.items():
        node = record(total, an_hour_ago if key == "AMD" else None)
        firebase.put(f"services/{key}", {"performance": node, "orders": {"a": {"qty": 1}}})


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firebase]:
    """A database for those who only look."""
    firebase = Firebase(tmp_path_factory.mktemp("firebase"))
    try:
        fill(firebase)
        yield firebase
    finally:
        firebase.process.end()


def environment(firebase: Firebase) -> dict[str, str]:
    return {"FIREBASE_DATABASE_EMULATOR_HOST": firebase.host}


def once(firebase: Firebase, *words: str) -> subprocess.CompletedProcess[str]:
    return run_here(environment(firebase), "watch", "--once", *words)


def test_the_table_is_printed_once_for_a_pipe(shared: Firebase) -> None:
    done = once(shared)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split() for line in done.stdout.splitlines() if line.strip()]
    assert lines[0] == ["ticker", "total", "unrealized", "realized", "converted", "reported"]
    assert [line[0] for line in lines[2:]] == ["aggregate", "AMD", "BRK.B", "SOFI"]
    assert lines[4][:2] == ["BRK.B", "12,345.67"]
    assert lines[3][-3:] == ["STALE", "60", "min"]
    assert lines[5][-1] == "ago"
    assert "\x1b" not in done.stdout, "colours belong on a terminal"


def test_the_table_is_sorted_and_filtered_as_asked(shared: Firebase) -> None:
    rows = json.loads(once(shared, "--json", "--sort", "total").stdout)
    assert [row["symbol"] for row in rows] == ["aggregate", "BRK.B", "SOFI", "AMD"]
    assert [row["stale"] for row in rows] == [False, False, False, True]
    rows = json.loads(once(shared, "--json", "--filter", "b", "--stale", "1e6").stdout)
    assert [row["symbol"] for row in rows] == ["aggregate", "BRK.B"]
    assert rows[1]["total"] == 12_345.67
    assert once(shared, "--filter", "nobody").returncode == 0


@pytest.mark.parametrize(
    ("words", "given", "code", "error"),
    [
        (
            ("--once",),
            {"FIREBASE_DATABASE_EMULATOR_HOST": f"127.0.0.1:{free_port()}"},
            1,
            "refused",
        ),
        (("--once",), {}, 2, "FIREBASE_DATABASE_URL is not set"),
        (("--sort", "luck"), {}, 2, "--sort"),
        (("--stale", "0"), {}, 2, "must be above 0"),
    ],
)
def test_what_cannot_be_watched_is_one_line(
    words: tuple[str, ...], given: dict[str, str], code: int, error: str
) -> None:
    done = run_here(given, "watch", *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert error in done.stderr


def test_a_pipe_gets_a_line_for_each_figure_that_changes_until_sigterm(
    shared: Firebase, tmp_path: Path
) -> None:
    with (tmp_path / "out").open("wb") as out:
        watching = subprocess.Popen(
            [sys.executable, "-m", "app", "watch", "--json", "--filter", "NEWS"],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | environment(shared),
            cwd=ROOT,
            stdout=out,
        )

    def lines() -> list[dict[str, Any]]:
        return [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]

    try:
        wait_until(lambda: bool(lines()), "the account")
        for total in (1.0, 2.0):
            shared.put("services/NEWS/performance", record(total))
            wait_until(lambda: lines()[-1]["total"] == total, f"a total of {total}")  # noqa: B023
        assert lines()[-1]["lag_seconds"] is not None
        assert [line["symbol"] for line in lines()] == ["aggregate", "NEWS", "NEWS"]
        watching.send_signal(signal.SIGTERM)
        assert watching.wait(PATIENCE) == 0
    finally:
        shared.put("services/NEWS", None)
        watching.kill()
        watching.wait()


def _enter_terminal() -> None:
    """What a terminal does with a program that is started in it."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    # Whoever runs the tests under nohup has it ignored.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


class Terminal:
    """`watch` in a terminal of its own, and what is on it."""

    def __init__(self, firebase: Firebase, *words: str) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self.before = termios.tcgetattr(theirs)
        self._theirs = theirs
        self._output = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "app", "watch", *words],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TERM": "xterm-256color"}
            | environment(firebase),
            cwd=ROOT,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=_enter_terminal,  # noqa: PLW1509
        )

    def press(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def screen(self) -> list[str]:
        """The lines that were drawn last."""
        while select.select([self._ours], [], [], 0)[0]:
            with suppress(OSError):
                self._output += os.read(self._ours, 65_536).decode(errors="replace")
        last = self._output.rpartition("\x1b[H")[2]
        return [_ESCAPES.sub("", line).rstrip() for line in last.splitlines()]

    def until(self, holds: Callable[[list[str]], bool], what: str) -> list[str]:
        def is_drawn() -> bool:
            assert self.process.poll() is None, self._output
            lines = self.screen()
            return any("quit" in line for line in lines[3:]) and holds(lines)

        wait_until(is_drawn, what)
        return self.screen()

    def tickers(self, lines: list[str]) -> list[str]:
        """The names in the table, without the account."""
        rows = [words for line in lines if (words := line.split())[1:]]
        with_total = [words[0] for words in rows if re.fullmatch(r"-?[\d,]+\.\d\d", words[1])]
        return [name for name in with_total if name != "aggregate"]

    def until_tickers(self, *expected: str) -> None:
        self.until(lambda lines: self.tickers(lines) == list(expected), f"{expected} on the screen")

    def ended(self) -> int:
        """Its exit code; what it leaves on the terminal is read meanwhile."""
        wait_until(lambda: self.screen() is not None and self.process.poll() is not None, "its end")
        assert "Traceback" not in self._output
        assert termios.tcgetattr(self._theirs) == self.before, "the terminal is as it was"
        assert "\x1b[?25h" in self._output[-20:], "the cursor is back"
        return self.process.returncode

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)
        os.close(self._theirs)


@pytest.fixture
def terminal(shared: Firebase) -> Iterator[Terminal]:
    terminal = Terminal(shared)
    try:
        yield terminal
    finally:
        terminal.close()


def test_keys_sort_and_filter_and_q_gives_the_terminal_back(terminal: Terminal) -> None:
    terminal.until_tickers("AMD", "BRK.B", "SOFI")
    terminal.press("t")
    terminal.until_tickers("BRK.B", "SOFI", "AMD")
    terminal.press("t")
    terminal.until_tickers("AMD", "SOFI", "BRK.B")
    terminal.press("n/b")
    terminal.until_tickers("BRK.B")
    terminal.press("q\x7f\r")
    terminal.until(lambda lines: any("only *b*" in line for line in lines), "the filter")
    terminal.press("\x1b")
    terminal.until_tickers("AMD", "BRK.B", "SOFI")
    terminal.press("?")
    terminal.until(lambda lines: any("sort by name" in line for line in lines), "the help")
    terminal.press("q")
    assert terminal.ended() == 0


@pytest.mark.parametrize("how", ["ctrl-c", "sigterm", "sighup"])
def test_however_it_ends_the_terminal_is_given_back(terminal: Terminal, how: str) -> None:
    terminal.until_tickers("AMD", "BRK.B", "SOFI")
    if how == "ctrl-c":
        terminal.press("\x03")
    else:
        os.kill(terminal.process.pid, signal.SIGTERM if how == "sigterm" else signal.SIGHUP)
    assert terminal.ended() == 0


def test_a_firebase_that_goes_away_is_reported_and_one_that_is_back_is_live(tmp_path: Path) -> None:
    firebase = Firebase(tmp_path)
    terminal = Terminal(firebase)
    try:
        fill(firebase)
        terminal.until(lambda lines: "live" in lines[0], "live figures")
        terminal.until_tickers("AMD", "BRK.B", "SOFI")
        firebase.put("services/SOFI/performance", record(4.5))
        terminal.until(
            lambda lines: any(re.match(r"\s*SOFI .* \+1\.00 .* ms$", line) for line in lines),
            "the change and the lag",
        )
        firebase.process.end()
        terminal.until(lambda lines: "NO NEWS from Firebase for" in lines[0], "the outage")
        terminal.until_tickers("AMD", "BRK.B", "SOFI")
        firebase = Firebase(tmp_path, port=firebase.port)
        firebase.put("services/BACK/performance", record(1))
        terminal.until(lambda lines: "live" in lines[0], "live figures")
        terminal.until_tickers("BACK")
    finally:
        terminal.close()
        firebase.process.end()
