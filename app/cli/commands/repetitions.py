"""The reports that came again and were not counted again."""

import json
from typing import Any

from app.accounting import Repetition, read_repetitions, settle_repetition
from app.cli.dead_letters import DeadLetters, Request, Result, carry_out, takes_request
from app.cli.options import command
from app.domain import FIELDS, exact_number, exact_text, read_report
from app.messaging import append, connect, reaching
from app.settings import Settings
from app.timing import now_us

_LONGEST_KEPT = 100
"""Characters of an id that stand in the id of its repetition."""


@command("""
examples:
  python -m app repetitions
  python -m app repetitions count 4711
  python -m app repetitions clear --all

A report with the identity and the amounts of one that is counted is taken for the same, and does
not count. If it was another fill, count it: it is sent with an id of its own, through the journal.
If it was the same, clear it. IDs are those of the counted reports in the ledger. What a spool or
the journal delivers twice is not listed.""")
@takes_request(int, resend="count")
def repetitions(settings: Settings, request: Request) -> int:
    """List, show, count or clear reports that came again and were not counted again."""
    return carry_out(request, _Repetitions(settings))


class _Repetitions(DeadLetters):
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.entries = read_repetitions(settings.profit_base_path)

    def as_json(self, entry_id: int) -> dict[str, Any]:
        entry: Repetition = self.entries[entry_id]
        times = {"times": entry.open, "since": entry.since, "last": entry.last}
        return {"id": entry_id, "sender": entry.report.sender, "data": _data(entry), **times}

    def as_text(self, entry_id: int) -> str:
        entry: Repetition = self.entries[entry_id]
        report = entry.report
        fill_id = f" with the id {report.fill_id!r}" if report.fill_id else ""
        amounts = zip(FIELDS, map(exact_text, report.amounts), strict=True)
        return (
            f"{entry_id}  {report.symbol} of {report.time_text}{fill_id} from {report.sender!r} "
            f"came again {entry.open_text}, last at {entry.last}\n"
            f"    {'  '.join(f'{name} {amount}' for name, amount in amounts)}"
        )

    def resend(self, entry_id: int) -> Result:
        entry: Repetition = self.entries[entry_id]
        data = _data(entry)
        known_by = entry.report.fill_id or entry.report.time_text
        data["id"] = f"{known_by[:_LONGEST_KEPT]} again {entry.counted + 1}"
        # The same bytes at each try, until one is noted: so it counts once, and is no repetition.
        envelope = {"data": data, "timestamp": entry.since, "sender": entry.report.sender or None}
        message = json.dumps(envelope).encode()
        read_report(message, now_us())
        settings = self._settings
        with reaching(settings.redis_url), connect(settings.redis_url) as client:
            pipeline = client.pipeline(transaction=True)
            append(pipeline, settings.names, message, settings.journal_length)
            pipeline.execute()
        settle_repetition(settings.profit_base_path, entry_id, counted=True)
        left = f"; {entry.open - 1} more to count or clear" if entry.open > 1 else ""
        return Result(True, f"sent, to be counted as another fill{left}")

    def clear(self, entry_id: int) -> None:
        settle_repetition(self._settings.profit_base_path, entry_id, counted=False)


def _data(entry: Repetition) -> dict[str, Any]:
    """Return the data of the report as a bot may have sent it."""
    report = entry.report
    amounts = zip(FIELDS, map(exact_number, report.amounts), strict=True)
    fill_id = {"id": report.fill_id} if report.fill_id else {}
    return {"symbol": report.symbol, **dict(amounts), "timestamp": report.time_text, **fill_id}
