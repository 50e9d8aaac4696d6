"""Single keys from a terminal, which is given back as it was."""

import os
import re
import select
import sys
import termios
import tty
from contextlib import suppress
from types import TracebackType

_KEY = re.compile(r"\x1b[\[O][0-9;]*[A-Za-z~]|.", re.DOTALL)
"""An arrow or a function key is one key, and not an Esc with letters behind it."""

_DISABLED = b"\0"


class Keys:
    """The keys that are pressed while this context lasts; none where there is no terminal.

    Ctrl-C stays a signal. Ctrl-Z is taken away: a program stopped with the terminal in this state
    would leave it so.
    """

    def __enter__(self) -> "Keys":
        self._fd = sys.stdin.fileno() if sys.stdin is not None and sys.stdin.isatty() else -1
        if self._fd >= 0:
            self._before = termios.tcgetattr(self._fd)
            tty.setcbreak(self._fd, termios.TCSADRAIN)
            changed = termios.tcgetattr(self._fd)
            changed[6][termios.VSUSP] = _DISABLED
            termios.tcsetattr(self._fd, termios.TCSADRAIN, changed)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._fd >= 0:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)

    def pressed(self, within: float) -> list[str]:
        """The keys pressed until now, waiting up to `within` seconds for the first."""
        ready, _, _ = select.select([self._fd] if self._fd >= 0 else [], [], [], within)
        if not ready:
            return []
        typed = b""
        with suppress(OSError):
            typed = os.read(self._fd, 1024)
        if not typed:
            self._fd = -1  # the terminal has gone; a signal tells of it
        return _KEY.findall(typed.decode(errors="ignore"))
