"""Starting programs and stopping them again, each by its own id, whatever happens."""

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
    """A running program with a session of its own, so that Ctrl-C does not reach it past us.

    Args:
        name: for people.
        command: the program and its arguments.
        log: file that takes all that it prints.
        environment: all of its environment.
        ends_with_us: on Linux, it gets SIGTERM when the thread that started it ends, however that
            comes about.
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
        """None while it runs."""
        return self._popen.poll()

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Send it a signal, if it still runs."""
        if self.exit_code is None:
            self._popen.send_signal(number)

    def wait(self, within: float) -> int | None:
        """Its exit code, or None if it still runs after `within` seconds."""
        with suppress(subprocess.TimeoutExpired):
            return self._popen.wait(within)
        return None

    def end(self, within: float = 5.0) -> None:
        """Stop it, by force after `within` seconds, with every child it left in its session."""
        self.signal(signal.SIGTERM)
        self.see_to_its_end(within)

    def see_to_its_end(self, within: float) -> None:
        """Wait for one that was asked to stop; by force after `within` seconds."""
        self.wait(within)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()


def end_all(processes: Iterable[Process], within: float) -> None:
    """Stop programs in the given order, all of them within `within` seconds."""
    ending = list(processes)
    deadline = time.monotonic() + within
    for process in ending:
        process.signal(signal.SIGTERM)
    for process in ending:
        process.see_to_its_end(max(0.0, deadline - time.monotonic()))


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(
    holds: Callable[[], bool], within: float, what: str, needs: Iterable[Process] = ()
) -> None:
    """Wait until `holds` does.

    Args:
        holds: is asked again and again.
        within: seconds.
        what: is waited for, for the error.
        needs: programs that must go on running meanwhile.

    Raises:
        StopProgram: it did not come to hold, or one of the programs ended.
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
    """The end of what a program printed."""
    return " | ".join(process.log.read_text(errors="replace").splitlines()[-lines:])
