"""From a bot's report to the page: the whole system, and the front end's own SDK at its end."""

from collections.abc import Callable

from tests.front_end.conftest import FrontEnd
from tests.system import System, wait_until


def test_a_report_published_to_the_bridge_is_seen_by_the_front_end(
    system: System, open_front_end: Callable[..., FrontEnd]
) -> None:
    front_end = open_front_end(system.firebase.port)
    stock = front_end.listen("services/SOFI/performance")
    account = front_end.listen("services/aggregate/performance/total")
    account.until(None)
    system.start_bridge()
    system.start_worker()
    first = system.report("SOFI", 28.76)
    fields = ("total", "unrealized", "realized", "converted", "timestamp")
    stock.until({name: first[name] for name in fields})
    system.report("SOFI", 1.24)
    system.report("AMD", -5)
    account.until(25)
    wait_until(lambda: stock.told[-1]["total"] == 30, "the sum of both reports")
    assert stock.told[0] is None
