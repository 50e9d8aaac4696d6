"""What the user chose to see, and the keys that change it. No I/O."""

from dataclasses import dataclass, replace

from app.operations.watch.rows import SORTS

_SORT_KEYS = {name[0]: name for name in SORTS}

HELP = """\
n t u r c a   sort by name, total, unrealized, realized, converted, age;
              press the same key again to reverse the order
/             show only the tickers that contain what you type;
              Enter keeps the filter, Esc removes it
q             quit

change        of the total since watching began, or since the ticker's day
              began (UTC) if that is later
lag           from the time in the latest report to its arrival here through
              Firebase; - if it had arrived before watching began
STALE         no report for longer than --stale; whether the connection to
              Firebase is up is in the top line"""

_ESCAPE = "\x1b"
_ENTER = ("\r", "\n")
_BACKSPACE = ("\x7f", "\b")


@dataclass(frozen=True)
class View:
    """What is shown, and how."""

    sort: str = "name"
    is_reversed: bool = False
    pattern: str = ""
    is_typing: bool = False
    shows_help: bool = False
    is_finished: bool = False

    def press(self, key: str) -> "View":
        """Return the view after a key press; an unknown key changes nothing."""
        if self.is_typing:
            return self._type(key)
        if key in _SORT_KEYS:
            sort = _SORT_KEYS[key]
            return replace(self, sort=sort, is_reversed=sort == self.sort and not self.is_reversed)
        if key == "/":
            return replace(self, is_typing=True, pattern="")
        if key == "?":
            return replace(self, shows_help=not self.shows_help)
        if key == "q":
            return replace(self, is_finished=True)
        if key == _ESCAPE:
            return replace(self, pattern="", shows_help=False)
        return self

    def _type(self, key: str) -> "View":
        """Return the view after a key press in the filter."""
        if key in _ENTER:
            return replace(self, is_typing=False)
        if key == _ESCAPE:
            return replace(self, is_typing=False, pattern="")
        if key in _BACKSPACE:
            return replace(self, pattern=self.pattern[:-1])
        if len(key) == 1 and key.isprintable():
            return replace(self, pattern=self.pattern + key)
        return self

    @property
    def summary(self) -> str:
        """The order and the filter, in words."""
        parts = [f"by {self.sort}{', reversed' if self.is_reversed else ''}"]
        if self.pattern or self.is_typing:
            parts.append(f"only *{self.pattern}{'_' if self.is_typing else '*'}")
        return "  ".join(parts)
