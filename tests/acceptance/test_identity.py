"""A fill counts once however often it arrives, and no fill is taken for another."""

import re
from collections import Counter

from tests.cases import cases
from tests.system import System, today, wait_until


def test_fills_that_differ_in_anything_that_identifies_them_are_counted_each(
    system: System,
) -> None:
    system.start_bridge()
    lines = [case for case in cases("profit_reports") if "totals" in case]
    totals: Counter[str] = Counter()
    for case in lines:
        totals.update(case["totals"])
        for message in case["messages"]:
            assert system.publish(message, case["channel"]) == 1

    def are_counted() -> bool:
        return all(system.total(symbol, today() - 1) == totals[symbol] for symbol in totals)

    wait_until(are_counted, f"{totals}")
    (refused,) = [case["refused"] for case in lines if "refused" in case]
    wait_until(lambda: bool(system.rejected()), "the conflict")
    reason, _ = system.rejected()
    assert re.search(refused, reason), reason
