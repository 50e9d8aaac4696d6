"""What a person has chosen to see, and the keys that change it. Pure."""

from dataclasses import dataclass, replace

from app.operations.watch.tickers import SORTS

SORT_KEYS = {name[0]: name for name in SORTS}

HELP = """\
n t u r c a   sort by name, total, unrealized, realized, converted, age;
              the same key once more: backwards
/             show only the tickers with this in their name;
              Enter keeps it, Esc shows all again
q             quit

change        of the total since watching began, or since the ticker's day
              began (UTC) if that is later
lag           from the time in the last report until it arrived here through
              Firebase; - if that was not seen
STALE         no report for so long (--stale); whether Firebase itself is heard
              is in the line on top"""

_ESCAPE = "\x1b"
_ENTER = ("\r", "\n")
_BACKSPACE = ("\x7f", "\b")


@dataclass(frozen=True)
class View:
    """What is shown, and how."""

    sort: str = "name"
    is_backwards: bool = False
    pattern: str = ""
    is_typing: bool = False
    shows_help: bool = False
    is_over: bool = False

    def after(self, key: str) -> "View":
        """The view after a key was pressed; one that means nothing changes nothing."""
        if self.is_typing:
            return self._after_typed(key)
        if key in SORT_KEYS:
            sort = SORT_KEYS[key]
            return replace(
                self, sort=sort, is_backwards=sort == self.sort and not self.is_backwards
            )
        changes: dict[str, dict[str, object]] = {
            "/": {"is_typing": True, "pattern": ""},
            "?": {"shows_help": not self.shows_help},
            "q": {"is_over": True},
            _ESCAPE: {"pattern": "", "shows_help": False},
        }
        return replace(self, **changes.get(key, {}))  # type: ignore[arg-type]

    def _after_typed(self, key: str) -> "View":
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
    def described(self) -> str:
        """How it is chosen, in words."""
        parts = [f"by {self.sort}{', backwards' if self.is_backwards else ''}"]
        if self.pattern or self.is_typing:
            parts.append(f"only *{self.pattern}{'_' if self.is_typing else '*'}")
        return "  ".join(parts)
