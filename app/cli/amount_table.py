"""Exact amounts for people and programs: in columns with their points below each other."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from app.domain import FIELDS, MILLIONTHS, Figures

_WIDTH = 14
_DECIMALS = 6
_SHOWN_ALWAYS = 2


def heading(*names: str) -> str:
    """What stands above the columns that `columns` makes."""
    return "".join(f" {name + ' ' * (_DECIMALS - _SHOWN_ALWAYS):>{_WIDTH}}" for name in names)


def columns(*millionths: int) -> str:
    """Amounts with all their decimals; zeros at the end that say nothing are left out."""
    return "".join(f" {_aligned(one):>{_WIDTH}}" for one in millionths)


def _aligned(millionths: int) -> str:
    text = f"{Decimal(millionths).scaleb(-_DECIMALS):,.{_DECIMALS}f}"
    always = len(text) - _DECIMALS + _SHOWN_ALWAYS
    return (text[:always] + text[always:].rstrip("0")).ljust(len(text))


def numbers(figures: Figures) -> dict[str, float]:
    """The four amounts for JSON. Every millionth is in them: a float has digits enough."""
    return {name: getattr(figures, name) / MILLIONTHS for name in FIELDS}


def table(rows: Mapping[str, tuple[int, Figures]], what: str = "symbol") -> list[str]:
    """Lines with the number of reports and the amounts of each row, by name."""
    width = max(9, *(len(name) for name in rows)) if rows else 9
    lines = [f"{what:<{width}} {'reports':>9}{heading(*FIELDS)}"]
    for name, (count, figures) in rows.items():
        lines.append(f"{name:<{width}} {count:>9,}{columns(*figures.amounts)}")
    return [line.rstrip() for line in lines]


def as_json(rows: Mapping[str, tuple[int, Figures]]) -> dict[str, Any]:
    """The same for programs."""
    return {name: {"reports": count, **numbers(figures)} for name, (count, figures) in rows.items()}
