"""What the program counts and passes on: reports, figures, changes of figures, values to store."""

from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple

import msgspec

from app.domain.amounts import ATOMS, PLACES
from app.domain.schemas import Performance
from app.domain.times import to_text

PERFORMANCE = "performance"
"""The key under which a symbol's performance is stored."""

ORDERS = "orders/"
"""What the key of an order begins with; its id follows."""

ReportKind = Literal["increment", "snapshot"]
"""What a report says: what one fill added, or the day's figure so far."""

FIELDS = ("total", "unrealized", "realized", "converted")
"""The four amounts of a report and of a performance."""


ID = "="
"""The beginning of a report's key that is the id of its fill. It sorts after all digits."""

OF_ITS_OWN = -1
"""The publication of a report that came by pub/sub alone: that delivers a message once, so an equal
one is another publication."""


class ProfitReport(NamedTuple):
    """What one fill added: amounts in atoms, the time in microseconds since 1970 UTC.

    Sender, symbol and the fill's id identify it. If it has none: sender, symbol and time.

    A tuple, because it is also a row of the ledger.
    """

    symbol: str
    sender: str
    timestamp_us: int
    total: int
    unrealized: int
    realized: int
    converted: int
    key: str = ""
    """What identifies it besides: `=` and the fill's id, or the digits of the time beyond
    microseconds, without zeros at the end."""
    publication: int = OF_ITS_OWN
    """A checksum of the message, which tells whether the same one came again from the journal."""

    @property
    def amounts(self) -> tuple[int, int, int, int]:
        """The four amounts, in the order of FIELDS."""
        return self[3:7]

    @property
    def fill_id(self) -> str:
        """The fill's own id at the broker; empty if it has none."""
        return self.key[1:] if self.key.startswith(ID) else ""

    @property
    def time_text(self) -> str:
        """The time in the form of `to_text`, with all digits that identify the report."""
        digits = "" if self.key.startswith(ID) else self.key
        return to_text(self.timestamp_us).replace("+", f"{digits}+")


class Update(NamedTuple):
    """A value and its place in Firebase.

    `key` is the name of a node of the symbol (`performance`), or a name and an id of any
    characters (`orders/<id>`). The fields of a `price` go into the symbol's own node.
    """

    symbol: str
    key: str
    value: Any

    @property
    def is_order(self) -> bool:
        """Whether it is an order, of which each is a slot of its own."""
        return self.key.startswith(ORDERS)


class Figures(msgspec.Struct, frozen=True, gc=False):
    """Amounts in atoms, and the time of the newest report in them (0: there is none)."""

    total: int = 0
    unrealized: int = 0
    realized: int = 0
    converted: int = 0
    timestamp_us: int = 0

    def __iter__(self) -> Iterator[int]:
        return iter(msgspec.structs.astuple(self))

    @property
    def amounts(self) -> tuple[int, int, int, int]:
        """The four amounts, in the order of FIELDS."""
        return self.total, self.unrealized, self.realized, self.converted

    def plus(self, other: "Figures | ProfitReport") -> "Figures":
        """Add amounts; the newer time stands."""
        last, time = self.timestamp_us, other.timestamp_us
        return Figures(
            self.total + other.total,
            self.unrealized + other.unrealized,
            self.realized + other.realized,
            self.converted + other.converted,
            time if time > last else last,
        )

    def minus(self, other: "Figures") -> "Figures":
        """Subtract the amounts of `other`; the time stays."""
        return Figures(
            self.total - other.total,
            self.unrealized - other.unrealized,
            self.realized - other.realized,
            self.converted - other.converted,
            self.timestamp_us,
        )

    def shown(self, decimals: int) -> bytes:
        """Return the five fields that other programs read, as JSON, rounded to `decimals`."""
        total, unrealized = self.total, self.unrealized
        realized, converted = self.realized, self.converted
        step = _STEPS[decimals]
        # Most figures need no rounding, which would take two thirds of the time.
        if total % step or unrealized % step or realized % step or converted % step:
            places = decimals - PLACES
            total, unrealized = round(total, places), round(unrealized, places)
            realized, converted = round(realized, places), round(converted, places)
        return _encode(
            Performance(
                total / ATOMS,
                unrealized / ATOMS,
                realized / ATOMS,
                converted / ATOMS,
                to_text(self.timestamp_us),
            )
        )


_encode = msgspec.json.Encoder().encode
_STEPS = [10 ** (PLACES - decimals) for decimals in range(PLACES + 1)]

ZERO = Figures()


def add_up(figures: Iterable[Figures]) -> Figures:
    """Return the sum of all `figures`."""
    total = ZERO
    for one in figures:
        total = total.plus(one)
    return total


class FiguresChange(msgspec.Struct, frozen=True, gc=False):
    """New figures of a symbol, or of the account, on one day."""

    day: int
    symbol: str
    figures: Figures
    is_newest: bool
    """False for a late report: there is a newer day, and this one is not shown any more."""
