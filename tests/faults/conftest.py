"""The table that the fault suite ends with: what was done to the system, and what came of it."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.load import Verdict
from tests.summary import properties

Record = Callable[..., None]
_COLUMNS = ("fault", "injections", "reports sent", "wrong sums", "stale symbols", "healed in s")


@pytest.fixture
def record(record_property: Callable[[str, object], None]) -> Record:
    """Put a row into the table, and hold the verdict to it: nothing wrong, nothing stale."""

    def put(fault: str, injections: int, verdict: Verdict) -> None:
        row = (fault, injections, verdict.sent, verdict.wrong, verdict.stale, verdict.seconds)
        record_property("fault", row)
        assert not verdict.differences, verdict.differences

    return put


def pytest_terminal_summary(terminalreporter: Any) -> None:
    rows = properties(terminalreporter, "fault")
    if not rows:
        return
    # The longest of each fault; all else adds up.
    table: dict[str, list[float]] = {}
    for fault, injections, sent, wrong, stale, seconds in rows:
        row = table.setdefault(fault, [0, 0, 0, 0, 0.0])
        row[:4] = [a + b for a, b in zip(row, (injections, sent, wrong, stale), strict=False)]
        row[4] = max(row[4], seconds)
    sums = [sum(row[n] for row in table.values()) for n in range(4)]
    longest = max(row[4] for row in table.values())
    write = terminalreporter.write_line
    write("")
    write(f"{_COLUMNS[0]:<58}" + "".join(f"{name:>15}" for name in _COLUMNS[1:]))
    for fault, row in [*sorted(table.items()), ("all", [*sums, longest])]:
        write(f"{fault:<58}" + "".join(f"{int(n):>15}" for n in row[:4]) + f"{row[4]:>15.1f}")
