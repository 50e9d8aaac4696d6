"""Child processes that are always stopped again, each by its own id."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from app.errors import StopProgram

_POLL = 0.02
_PR_SET_PDEATHSIG = 1
_PRCTL: Any = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def _end_with_parent() -> None:
    if sys.platform == "linux":
        _PRCTL(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Process:
    """A running program in its own session, so that Ctrl-C reaches it only through us.

    Args:
        name: Name for people.
        command: The program and its arguments.
        log: File for everything that it prints.
        environment: Its whole environment; ours if not given.
        ends_with_us: On Linux, send it SIGTERM when the thread that started it ends, for whatever
            reason.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        log: Path,
        environment: Mapping[str, str] | None = None,
        *,
        ends_with_us: bool = False,
    ) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment) if environment is not None else None,
                start_new_session=True,
                preexec_fn=_end_with_parent if ends_with_us else None,  # noqa: PLW1509
            )
        self.pid = self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code, or None while it runs."""
        return self._popen.poll()

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Send a signal if it still runs."""
        if self.exit_code is None:
            self._popen.send_signal(number)

    def wait(self, within: float) -> int | None:
        """Return the exit code, or None if it still runs after `within` seconds."""
        with suppress(subprocess.TimeoutExpired):
            return self._popen.wait(within)
        return None

    def end(self, within: float = 5.0) -> None:
        """Terminate it; after `within` seconds, kill it and every child in its session."""
        self.signal(signal.SIGTERM)
        self.wait_or_kill(within)

    def wait_or_kill(self, within: float) -> None:
        """Wait for it to end; after `within` seconds, kill it and every child in its session."""
        self.wait(within)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()


def end_all(processes: Iterable[Process], within: float) -> None:
    """Stop programs in the given order, all of them within so many seconds."""
    ending = list(processes)
    deadline = time.monotonic() + within
    for process in ending:
        process.signal(signal.SIGTERM)
    for process in ending:
        process.wait_or_kill(max(0.0, deadline - time.monotonic()))


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until(
    holds: Callable[[], bool], within: float, what: str, needs: Iterable[Process] = ()
) -> None:
    """Wait until a condition holds.

    Args:
        holds: The condition, which is checked repeatedly.
        within: Most seconds to wait.
        what: Name of the condition in the error text.
        needs: Programs that must keep running meanwhile.

    Raises:
        StopProgram: The time is over, or one of the programs ended.
    """
    needed = list(needs)
    deadline = time.monotonic() + within
    while not holds():
        for process in needed:
            if process.exit_code is not None:
                raise StopProgram(f"{process.name} ended while waiting for {what}: {last(process)}")
        if time.monotonic() > deadline:
            tails = "; ".join(f"{process.name}: {last(process)}" for process in needed)
            raise StopProgram(f"no {what} within {within:.0f} s. {tails}")
        time.sleep(_POLL)


def last(process: Process, lines: int = 3) -> str:
    """Return the last lines that a program printed."""
    return " | ".join(process.log.read_text(errors="replace").splitlines()[-lines:])
