"""A recorded day, moved to another time. Pure."""

from collections.abc import Iterable, Iterator

from app.domain import FIELDS, MILLIONTHS, ProfitReport, to_text


def moved(reports: Iterable[ProfitReport], start: int, speed: float) -> Iterator[ProfitReport]:
    """The reports at their new times, no two of which are the same.

    Times are part of a report's identity, and of snapshots the newest counts: so the order must
    stay, and reports that come to lie on each other are a microsecond apart.

    Args:
        reports: in the order of their times.
        start: of the first, in microseconds since 1970 UTC.
        speed: how many times as fast as they were recorded.
    """
    first = last = None
    for report in reports:
        first = report.timestamp_us if first is None else first
        at = start + int((report.timestamp_us - first) / speed)
        last = at if last is None else max(at, last + 1)
        yield report._replace(timestamp_us=last)


def data_of(report: ProfitReport) -> dict[str, object]:
    """What a bot publishes to report this; it is read as the same report, to the millionth."""
    amounts = {name: getattr(report, name) / MILLIONTHS for name in FIELDS}
    return {"symbol": report.symbol, **amounts, "timestamp": to_text(report.timestamp_us)}
