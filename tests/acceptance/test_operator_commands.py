"""What an operator does with what was rejected, and with what could not be stored."""

import base64
import json
import signal
import subprocess
import threading
from contextlib import closing
from typing import Any

import pytest

from app.accounting import Ledger, Rejected, delete_rejected, read_rejected
from app.dev.processes import free_port
from tests.system import PATIENCE, System, envelope, now_text, report, wait_until

FAILED = "profit-bridge:refused-stores"


def command(system: System, *words: str, **given: str) -> subprocess.CompletedProcess[str]:
    return system.command(*words, **given)


def listed(system: System, name: str = "rejected") -> list[dict[str, Any]]:
    done = command(system, name, "list", "--json")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def reject(system: System, *messages: str | bytes) -> None:
    """Have the bridge reject these messages, and count what came after them."""
    for message in messages:
        system.publish(message)
    before = system.total("MARK")
    system.report("MARK", 1)
    wait_until(lambda: system.total("MARK") == before + 1, "what came after the bad messages")


def test_a_rejected_message_is_listed_and_shown_whole(system: System) -> None:
    system.start_bridge()
    bad = envelope(report("SOFI", "much"))
    reject(system, bad, b"\xff\x00no text")
    first, second = listed(system)
    assert first["message"] == bad
    assert first["reason"].startswith("total is not a number: 'much'; send one such as")
    assert "base64" not in first
    assert second["base64"] == "/wBubyB0ZXh0"
    for words in (("rejected",), ("rejected", "list"), ("rejected", "show", str(first["id"]))):
        done = command(system, *words)
        assert done.returncode == 0
        assert bad in done.stdout
        assert f"{first['id']}  {first['at']}  {first['reason']}" in done.stdout
    raw = command(system, "rejected", "show", "--raw", str(first["id"]))
    assert raw.stdout == bad


def test_a_fixed_message_is_counted_once_also_by_a_bridge_that_was_down(system: System) -> None:
    bridge = system.start_bridge()
    data = report("SOFI", "much")
    reject(system, envelope(data))
    (bad,) = listed(system)
    bridge.signal(signal.SIGTERM)
    assert bridge.wait(PATIENCE) == 0
    fixed = system.folder / "message.json"
    fixed.write_text(envelope(data | {"total": 5, "unrealized": 5}))
    resend = ("rejected", "resend", "--message", str(fixed), str(bad["id"]))
    done = command(system, *resend)
    assert (done.returncode, done.stdout) == (0, f"{bad['id']}  sent again\n")
    assert listed(system) == []
    again = command(system, *resend)
    assert again.returncode == 1
    assert "not in the list" in again.stderr
    # Sent by somebody else too, in the meantime: still the same report.
    system.start_bridge()
    system.publish(fixed.read_bytes())
    reject(system)
    wait_until(lambda: system.total("SOFI") == 5, "the fixed report")
    assert system.total("aggregate") == 7
    assert listed(system) == []


def test_a_message_that_is_still_bad_comes_back_once_under_a_new_id(system: System) -> None:
    system.start_bridge()
    bad = envelope(report("SOFI", "much"))
    reject(system, bad)
    (before,) = listed(system)
    assert command(system, "rejected", "resend", str(before["id"])).returncode == 0
    wait_until(lambda: len(listed(system)) == 1, "the message back in the list")
    reject(system)
    (after,) = listed(system)
    assert after["id"] > before["id"]
    assert after["message"] == bad


def test_what_is_not_json_is_not_sent_and_stays(system: System) -> None:
    system.start_bridge()
    reject(system, "no report", envelope(report("SOFI", "much")))
    first, second = listed(system)
    done = command(system, "rejected", "resend", "--all", "--json")
    assert done.returncode == 1
    results = json.loads(done.stdout)
    assert [result["id"] for result in results] == [first["id"], second["id"]]
    assert [result["done"] for result in results] == [False, True]
    assert "not JSON" in results[0]["message"]
    assert first in listed(system)


def test_a_rejected_price_is_sent_to_its_own_channel(system: System) -> None:
    bridge = system.start_bridge()
    system.start_worker()
    price = {"type": "price", "volume": 1, "timestamp": now_text()}
    message = envelope(price)
    system.publish(message, "TICKER_UPDATES_BRK B")
    wait_until(lambda: len(listed(system, "rejected-updates")) == 1, "the rejected price")
    assert listed(system) == []
    (bad,) = listed(system, "rejected-updates")
    assert (bad["channel"], bad["message"]) == ("TICKER_UPDATES_BRK B", message)
    fixed = system.folder / "message.json"
    fixed.write_text(envelope(price | {"price": 9}))
    resend = ("rejected-updates", "resend", "--message", str(fixed), bad["id"])
    done = command(system, "rejected-updates", "resend", bad["id"])
    assert done.returncode == 1
    assert "price is missing" in done.stderr
    bridge.signal(signal.SIGTERM)
    assert bridge.wait(PATIENCE) == 0
    done = command(system, *resend)
    assert done.returncode == 1
    assert "nobody listens" in done.stderr
    system.start_bridge()
    assert command(system, *resend).returncode == 0
    wait_until(lambda: system.firebase.get("services/BRK B/price") == 9, "the price")
    assert listed(system, "rejected-updates") == []


def test_a_price_that_a_former_version_put_among_the_reports_is_sent_to_its_channel(
    system: System,
) -> None:
    price = {"type": "price", "symbol": "SOFI", "price": 9, "volume": None}
    with closing(Ledger(system.base)) as ledger:
        kept = Rejected(now_text(), "wrong form", envelope(price).encode())
        ledger.record([], [kept], "0-0", now_text())
    system.start_bridge()
    with system.listening("TICKER_UPDATES_*") as listener:
        assert command(system, "rejected", "resend", "--all").returncode == 0
        assert listener.wait_for(1)[0][0] == "TICKER_UPDATES_SOFI"
    assert listed(system) == []


def test_a_rejected_report_does_not_give_way_to_rejected_prices(system: System) -> None:
    system.start_bridge()
    bad = envelope(report("SOFI", "much"))
    system.publish(bad)
    pipeline = system.redis.pipeline()
    for number in range(1_100):
        pipeline.publish("TICKER_UPDATES_SOFI", f'{{"data": "price {number}"}}')
    pipeline.publish("TICKER_UPDATES_SOFI", b"\xff\x00" + b"\x01" * 60_000)
    pipeline.execute()
    reject(system)
    wait_until(lambda: "xff" in listed(system, "rejected-updates")[0]["message"], "the last price")
    assert [one["message"] for one in listed(system)] == [bad]
    updates = listed(system, "rejected-updates")
    assert len(updates) == 500
    assert base64.b64decode(updates[0]["base64"]).startswith(b"\xff\x00\x01\x01")
    assert (system.redis.memory_usage("profit-bridge:rejected-updates", samples=0) or 0) < 200_000
    assert json.loads(updates[1]["message"])["data"] == "price 1099"
    *_, hint = command(system, "rejected").stdout.splitlines()
    assert hint.startswith("and 500 prices and orders, see python -m app rejected-updates; the las")
    assert command(system, "rejected-updates", "clear", "--all").returncode == 0
    assert listed(system, "rejected-updates") == []
    assert len(listed(system)) == 1


def test_clearing_takes_off_what_was_asked_for_and_says_what_was_not_there(
    system: System,
) -> None:
    system.start_bridge()
    reject(system, "one", "two", "three")
    first, second, third = listed(system)
    done = command(system, "rejected", "clear", str(second["id"]), "4711")
    assert done.returncode == 1
    assert done.stdout == f"{second['id']}  cleared\n"
    assert done.stderr == "4711  not in the list\n"
    assert listed(system) == [first, third]
    assert command(system, "rejected", "clear", "--all").returncode == 0
    assert listed(system) == []
    shown = command(system, "rejected", "show", str(first["id"]))
    assert shown.returncode == 1
    assert len(shown.stderr.splitlines()) == 1


def test_clearing_and_counting_at_once_disturb_neither(system: System) -> None:
    bridge = system.start_bridge()
    sent = 0
    done = threading.Event()

    def trade() -> None:
        nonlocal sent
        while not done.is_set():
            system.publish(envelope(report("SOFI", 1)))
            system.publish("bad")
            sent += 1

    trading = threading.Thread(target=trade)
    trading.start()
    cleared = 0
    try:
        wait_until(lambda: bool(read_rejected(system.base)), "something to clear")
        for _ in range(200):
            known = read_rejected(system.base)
            delete_rejected(system.base, known)
            cleared += len(known)
    finally:
        done.set()
        trading.join()
    wait_until(lambda: system.total("SOFI") == sent, "every report counted")
    assert cleared
    assert "locked" not in bridge.log.read_text()
    assert "not_counted" not in bridge.log.read_text()


@pytest.mark.parametrize("name", ["rejected", "rejected-updates", "failed-stores"])
@pytest.mark.parametrize("words", [("clear",), ("resend",), ("clear", "--all", "1"), ("fix",)])
def test_a_command_that_makes_no_sense_is_exit_code_2(
    system: System, name: str, words: tuple[str, ...]
) -> None:
    assert command(system, name, *words).returncode == 2


def test_what_cannot_be_reached_is_one_line(system: System) -> None:
    bridge = system.start_bridge()
    reject(system, envelope(report("SOFI", "much")))
    bridge.signal(signal.SIGTERM)
    assert bridge.wait(PATIENCE) == 0
    away = f"redis://127.0.0.1:{free_port()}/0"
    for words in (("failed-stores",), ("rejected-updates",), ("failed-stores", "clear", "--all")):
        done = command(system, *words, REDIS_URL=away)
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1
    done = command(system, "rejected", "resend", "--all", REDIS_URL=away)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert len(listed(system)) == 1
    done = command(system, "rejected", "clear", "--all", PROFIT_BASE_PATH=str(system.folder))
    assert done.returncode == 1
    assert "ledger" in done.stderr


def test_a_failed_store_is_stored_again_once_firebase_takes_it(system: System) -> None:
    system.firebase.faults({"status": 401, "path": "/services/HOOD"})
    system.start_bridge()
    system.start_worker()
    system.report("HOOD", 1)
    wait_until(lambda: system.redis.hlen(FAILED) == 1, "the failure")
    (failed,) = listed(system, "failed-stores")
    refused = command(system, "failed-stores", "resend", failed["id"])
    assert refused.returncode == 1
    assert "refused again" in refused.stderr
    (kept,) = listed(system, "failed-stores")
    assert (kept["id"], kept["value"]) == (failed["id"], failed["value"])
    assert (kept["first"], kept["count"]) == (failed["at"], 2)
    system.firebase.faults()
    done = command(system, "failed-stores", "resend", kept["id"])
    assert (done.returncode, done.stdout) == (0, f"{kept['id']}  stored\n")
    assert system.firebase.get("services/HOOD/performance/total") == 1
    assert command(system, "failed-stores").stdout == "none\n"


def test_a_failed_store_of_a_former_version_does_not_step_back_over_a_newer_value(
    system: System,
) -> None:
    system.start_bridge()
    system.start_worker()
    first = system.report("HOOD", 1)
    value = {name: first[name] for name in ("total", "unrealized", "realized", "converted")}
    entry = {"id": "1234abcd", "at": first["timestamp"], "symbol": "HOOD", "key": "performance"}
    entry |= {"value": value | {"timestamp": first["timestamp"]}, "reason": "denied"}
    system.redis.lpush("profit-bridge:failed-stores", json.dumps(entry))
    system.report("HOOD", 2)
    wait_until(
        lambda: system.firebase.get("services/HOOD/performance/total") == 3, "the newer value"
    )
    (failed,) = listed(system, "failed-stores")
    assert (failed["id"], failed["count"]) == ("1234abcd", 1)
    done = command(system, "failed-stores", "resend", "--all")
    assert done.returncode == 0
    assert "a newer one" in done.stdout
    totals = [
        value for path, value in system.firebase.writes() if path.endswith("HOOD/performance/total")
    ]
    assert totals[-1] == 3
    assert listed(system, "failed-stores") == []
