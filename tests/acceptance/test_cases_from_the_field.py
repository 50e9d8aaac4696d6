"""What bots and brokers really send is counted and stored, or says what to send instead."""

import re
import signal

from app.firebase import unescape_key
from tests.cases import cases
from tests.system import PATIENCE, System, envelope, report, wait_until


def test_each_report_is_counted_or_refused_with_the_field_and_the_fix(system: System) -> None:
    system.start_bridge()
    lines = [case for case in cases("profit_reports") if case.keys() & {"counts", "reason"}]
    for case in lines:
        system.publish(case["message"], case["channel"])
    counted = sum(case.get("counts", 0) for case in lines)
    wait_until(lambda: system.total() == round(counted, 2), "the sum of what counts")
    refused = [case for case in lines if "reason" in case]
    kept = system.rejected()
    assert len(kept) == 2 * len(refused)
    for case, reason, message in zip(refused, kept[::2], kept[1::2], strict=True):
        assert re.search(case["reason"], reason), (case["note"], reason)
        assert message.strip() == case["message"], case["note"]


def test_each_symbol_has_figures_of_its_own_everywhere_singly_and_in_bulk(system: System) -> None:
    (symbols,) = [case["symbols"] for case in cases("profit_reports") if "symbols" in case]
    symbols += ['SAY "HI"', "A\\B", "BRK", "B", "CAFÉ", "X" * 64, "\u5e01" * 64]
    figures = {symbol.upper(): float(number) for number, symbol in enumerate(symbols, 1)}
    bridge = system.start_bridge()
    worker = system.start_worker()
    # All are in Redis before the bridge gets to the first, so that it dispatches them together.
    pipeline = system.redis.pipeline()
    for symbol, total in figures.items():
        pipeline.publish("PROFIT_REPORT", envelope(report(symbol.lower(), total)))
    with system.listening() as listener:
        pipeline.execute()
        heard = listener.wait_for(2 * len(figures))
    ours = [(channel, body["data"]["symbol"]) for channel, body in heard[::2]]
    assert ours == [(f"TICKER_PERFORMANCE_{symbol}", symbol) for symbol in figures]

    def are_stored() -> bool:
        nodes = system.firebase.get() or {}
        totals = {unescape_key(key): node["performance"]["total"] for key, node in nodes.items()}
        return totals == figures | {"aggregate": sum(figures.values())}

    wait_until(are_stored, "all symbols, in bulk")
    assert "store_in_bulk" in worker.log.read_text()
    for symbol in figures:
        system.report(symbol, 1)
        figures[symbol] += 1
        wait_until(are_stored, f"{symbol}, singly")
    assert {"BRK B", "AAPL  230616C00150000", "A!2BB", "!24ADA"} < system.firebase.get().keys()

    bridge.signal(signal.SIGTERM)
    assert bridge.wait(PATIENCE) == 0
    system.start_bridge()
    wait_until(lambda: system.total() == sum(figures.values()), "the account after a restart")
    assert {symbol: system.total(symbol) for symbol in figures} == figures
    audit = system.command("audit")
    assert audit.returncode == 0, audit.stdout
    assert system.command("explain", "brk b").returncode == 0
    plain = system.run("-m", "app", "explain", "币安人生usdt", PYTHONIOENCODING="ascii")
    assert (plain.returncode, plain.stderr) == (0, "")
