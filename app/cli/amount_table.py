"""Exact amounts in aligned columns for people, and as JSON for programs."""

from collections.abc import Mapping
from typing import Any

from rich.cells import cell_len

from app.domain import ATOMS, FIELDS, PLACES, Figures, exact_text

_WIDTH = 16
_SHOWN_ALWAYS = 2


def padded(text: str, width: int) -> str:
    """Fill a name up to `width` columns of a terminal: some characters take two, some none."""
    return text + " " * (width - cell_len(text))


def heading(*names: str) -> str:
    """Return the heading of the columns that `columns` formats."""
    return "".join(f" {name + ' ' * (PLACES - _SHOWN_ALWAYS):>{_WIDTH}}" for name in names)


def columns(*amounts: int) -> str:
    """Format amounts, which are in atoms, with aligned decimal points."""
    return "".join(f" {_aligned(one):>{_WIDTH}}" for one in amounts)


def _aligned(amount: int) -> str:
    units, point, decimals = exact_text(amount).partition(".")
    return units + point + decimals.ljust(PLACES)


def numbers(figures: Figures) -> dict[str, float]:
    """Return the four amounts for JSON, as the numbers that are nearest to them."""
    return {name: getattr(figures, name) / ATOMS for name in FIELDS}


def table(rows: Mapping[str, tuple[int, Figures]], what: str = "symbol") -> list[str]:
    """Return a table: the number of reports and the amounts of each row."""
    width = max(9, *(cell_len(name) for name in rows)) if rows else 9
    lines = [f"{what:<{width}} {'reports':>9}{heading(*FIELDS)}"]
    for name, (count, figures) in rows.items():
        lines.append(f"{padded(name, width)} {count:>9,}{columns(*figures.amounts)}")
    return [line.rstrip() for line in lines]


def as_json(rows: Mapping[str, tuple[int, Figures]]) -> dict[str, Any]:
    """Return the rows of `table` for JSON."""
    return {name: {"reports": count, **numbers(figures)} for name, (count, figures) in rows.items()}
