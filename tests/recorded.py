"""A ledger and a daily file with a recorded day, as a bridge leaves them, made without one."""

from collections.abc import Iterable
from pathlib import Path

from app.accounting import DailyFiles, Ledger
from app.domain import DAY, Figures, ProfitReport, ReportKind


def made(symbol: str, timestamp_us: int, total: int, sender: str = "scale_t") -> ProfitReport:
    """Return a report of `total` atoms, all but one of them realized."""
    return ProfitReport(symbol, sender, timestamp_us, total, 1, total - 1, 0)


def record(
    base: Path,
    day: int,
    reports: Iterable[ProfitReport],
    kind: ReportKind = "increment",
    opening_balance: dict[str, Figures] | None = None,
) -> None:
    """Write the ledger and the daily file of one day."""
    ledger = Ledger(base)
    try:
        ledger.open_day(day, kind)
        if opening_balance:
            ledger.import_opening_balance(day, opening_balance)
        ledger.record([(report, b"") for report in reports], [], "0-0", "")
        ledger.mark_published()
        ledger.sync_published()
        shown = {name: figures.shown(2) for name, figures in ledger.day_totals(day, kind).items()}
    finally:
        ledger.close()
    files = DailyFiles(base)
    files.start()
    files.update({day: shown.items()})
    assert files.close(10)


def hour(day: int, number: float) -> int:
    """Return a time of a day, in microseconds since 1970."""
    return day * DAY + int(number * 3_600_000_000)
