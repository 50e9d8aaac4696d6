"""What is reported is sent to Redis, and Firebase stores it properly. Real processes throughout."""

import json
import signal
from datetime import timedelta
from typing import Any

from app.accounting import path_of
from tests.cases import cases
from tests.system import (
    PATIENCE,
    System,
    envelope,
    midnight,
    now_text,
    report,
    today,
    wait_until,
)

FIELDS = ("total", "unrealized", "realized", "converted", "timestamp")


def test_a_report_reaches_file_listeners_and_firebase_to_the_cent(system: System) -> None:
    system.start_bridge()
    system.start_worker()
    with system.listening() as listener:
        first = system.report("sofi", 28.76)
        second = system.report("BRK.B", "-0.125", realized=1, converted=12.340000000000002)
        third = system.report("BTC/USD", 1e-3)
        fourth = system.report("0700", 5)
        last = system.report("SOFI", 0.014, realized=-3)
        heard = listener.wait_for(10)

    def record(total: float, unrealized: float, realized: float, converted: float, at: str) -> Any:
        return dict(zip(FIELDS, (total, unrealized, realized, converted, at), strict=True))

    figures = {
        "SOFI": record(28.77, 28.77, -3.0, 0.0, last["timestamp"]),
        "BRK.B": record(-0.12, -0.12, 1.0, 12.34, second["timestamp"]),
        "BTC/USD": record(0.0, 0.0, 0.0, 0.0, third["timestamp"]),
        "0700": record(5.0, 5.0, 0.0, 0.0, fourth["timestamp"]),
        "aggregate": record(33.65, 33.65, -2.0, 12.34, last["timestamp"]),
    }
    wait_until(lambda: system.daily_file() == figures, "daily JSON equal to what was reported")

    assert [channel for channel, _ in heard] == [
        "TICKER_PERFORMANCE_SOFI",
        "TICKER_PERFORMANCE_AGGREGATE",
        "TICKER_PERFORMANCE_BRK.B",
        "TICKER_PERFORMANCE_AGGREGATE",
        "TICKER_PERFORMANCE_BTC/USD",
        "TICKER_PERFORMANCE_AGGREGATE",
        "TICKER_PERFORMANCE_0700",
        "TICKER_PERFORMANCE_AGGREGATE",
        "TICKER_PERFORMANCE_SOFI",
        "TICKER_PERFORMANCE_AGGREGATE",
    ]
    assert all(set(body) == {"data", "timestamp", "sender"} for _, body in heard)
    assert heard[0][1]["data"] == {
        "symbol": "SOFI", **record(28.76, 28.76, 0.0, 0.0, first["timestamp"]),
    }  # fmt: skip
    assert heard[-1][1]["data"] == {"symbol": "aggregate", **figures["aggregate"]}

    tree = {
        "SOFI": {"performance": figures["SOFI"]},
        "BRK!2EB": {"performance": figures["BRK.B"]},
        "BTC!2FUSD": {"performance": figures["BTC/USD"]},
        "0700": {"performance": figures["0700"]},
        "aggregate": {"performance": figures["aggregate"]},
    }
    wait_until(lambda: system.firebase.get() == tree, "Firebase equal to what was reported")


def test_a_thousand_fills_of_four_ten_millionths_are_seen_everywhere_with_eight_decimals(
    system: System,
) -> None:
    eight = {"PROFIT_DECIMALS": "8"}
    system.start_bridge(**eight)
    system.start_worker()
    with system.listening() as listener:
        pipeline = system.redis.pipeline(transaction=False)
        for _ in range(1000):
            (fill,) = [one for one in cases("profit_reports") if "thousand" in one["note"]]
            pipeline.publish(fill["channel"], fill["message"])
        pipeline.execute()
        *_, (_, account) = listener.wait_for(2000)
    assert account["data"]["total"] == 0.0004

    for symbol in ("BTC/USDT", "aggregate"):
        wait_until(lambda symbol=symbol: system.total(symbol) == 0.0004, "the daily file")  # type: ignore[misc]
        node = f"services/{symbol.replace('/', '!2F')}/performance/total"
        wait_until(lambda node=node: system.firebase.get(node) == 0.0004, "Firebase")  # type: ignore[misc]
    watched = system.command("watch", "--once", **eight).stdout.splitlines()[2:]
    totals = [line.split()[1] for line in watched if line.strip()]
    assert totals == ["0.00040000", "0.00040000"]
    explained = system.command("explain", "BTC/USDT", **eight).stdout
    assert "0.0000004 " in explained
    assert "shown as  total 0.00040000  unrealized 0.00000000" in explained
    by_hand = system.command("report", "BTC/USDT", "--realized", "1e-8", "--wait", **eight).stdout
    assert "realized 0.00000001" in by_hand
    assert "now  total 0.00040001" in by_hand


def test_every_report_of_a_burst_is_published_in_order_and_so_is_the_account(
    system: System,
) -> None:
    """Several batches, of which each is sent while Redis is still at the one before."""
    count = 3_500
    system.start_bridge()
    with system.listening() as listener:
        pipeline = system.redis.pipeline(transaction=False)
        for number in range(count):
            message = envelope(report("SOFI" if number % 2 else "HOOD", 1, timestamp=now_text()))
            pipeline.publish("PROFIT_REPORT", message)
        pipeline.execute()
        heard = listener.wait_for(2 * count)
    published = [(body["data"]["symbol"], body["data"]["total"]) for _, body in heard]
    expected = []
    for number in range(count):
        of_symbol = number // 2 + 1
        expected += [("SOFI" if number % 2 else "HOOD", of_symbol), ("aggregate", number + 1)]
    assert published == expected


def test_an_order_is_stored_as_it_is_whatever_its_keys_mean_to_celery(system: System) -> None:
    system.start_bridge()
    system.start_worker()
    order = {"id": "1", "x": {"__type__": "datetime", "__value__": "no date"}}
    fill = {"event": "fill", "price": 12.5, "qty": 3, "position_qty": 7, "order": order}
    ordered = {"type": "order", "symbol": "SOFI", "timestamp": now_text(), "order_data": fill}
    system.publish(envelope(ordered), "TICKER_UPDATES_SOFI")

    def stored() -> bool:
        return bool(system.firebase.get("services/SOFI/orders/1/order") == order)

    wait_until(stored, "the order")


def test_price_and_order_land_beside_performance(system: System) -> None:
    system.start_bridge()
    system.start_worker()
    system.firebase.put("services", {"SOFI": {"note": "kept", "price": 1}})
    data = system.report("SOFI", 28.76)
    at = now_text()
    price = {"type": "price", "symbol": "SOFI", "price": 12.5, "volume": 100, "timestamp": at}
    order = {"id": "7f.3", "side": "buy"}
    fill = {"event": "fill", "price": 12.5, "qty": 3, "position_qty": 7, "order": order}
    ordered = {"type": "order", "symbol": "SOFI", "timestamp": at, "order_data": fill}
    system.publish(envelope(price), "TICKER_UPDATES_SOFI")
    system.publish(envelope(ordered), "TICKER_UPDATES_SOFI")

    def stored() -> bool:
        return set(system.firebase.get("services/SOFI")) >= {"performance", "orders", "volume"}

    wait_until(stored, "price, order and performance")
    sofi = system.firebase.get("services/SOFI")
    assert sofi.pop("last_updated") > at
    assert sofi == {
        "note": "kept",
        "price": 12.5,
        "volume": 100,
        "timestamp": at,
        "orders": {"7f!2E3": fill | {"timestamp": at}},
        "performance": {name: data[name] for name in FIELDS},
    }


def test_prices_and_orders_are_stored_as_the_broker_sends_them(system: System) -> None:
    system.start_bridge()
    system.start_worker()
    system.firebase.put("services/TSLA", {"volume": 7})
    for case in cases("ticker_updates"):
        system.publish(case["message"], case["channel"])

    def stored() -> bool:
        found = system.firebase.get() or {}
        keys = {"SOFI", "TSLA", "BTC!2FIDR", "BRK B"}
        return keys <= found.keys() and "orders" in found["TSLA"]

    wait_until(stored, "prices and an order")
    tsla, sofi = system.firebase.get("services/TSLA"), system.firebase.get("services/SOFI")
    assert tsla["price"] == "344.3"
    assert tsla["timestamp"] == "2025-05-20 20:59:48.102882+00:00"
    assert "volume" not in tsla
    (order,) = tsla["orders"].values()
    assert order == {
        "event": "new",
        "position_qty": "12",
        "timestamp": "2025-05-20 20:59:51.5+00:00",
        "order": {
            "id": "61e69015-8549-4bfd-b9c3-01e75843f47d",
            "limit_price": "344.1",
            "side": "buy",
            "qty": "3",
        },
    }
    coin = system.firebase.get("services/BTC!2FIDR")
    assert coin.pop("last_updated")
    assert coin == {"price": "1712345678.50", "timestamp": "9:31 EST"}
    assert system.firebase.get("services/BRK B/orders") == {
        "a b": {
            "event": "fill",
            "qty": "1",
            "timestamp": 1747774791.5,
            "order": {"id": "a b", "legs": [{"id": 1}]},
        }
    }
    wait_until(lambda: len(rejected_updates(system)) == 1, "the price that is null")
    (refused,) = rejected_updates(system)
    assert refused["channel"] == "TICKER_UPDATES_SOFI"
    assert "data.price must be a number or text, not null" in refused["reason"]
    assert float(sofi["price"]) in {14.2, 14.21}


def rejected_updates(system: System) -> Any:
    return json.loads(system.command("rejected-updates", "--json").stdout)


def test_a_price_that_has_not_changed_is_not_written_again(system: System) -> None:
    system.start_bridge()
    system.start_worker()

    def publish_price(price: float, volume: int) -> None:
        data = {"type": "price", "symbol": "SOFI", "price": price, "volume": volume}
        system.publish(envelope(data | {"timestamp": now_text()}), "TICKER_UPDATES_SOFI")

    def stored(price: float) -> bool:
        return (system.firebase.get("services/SOFI") or {}).get("price") == price

    publish_price(12.5, 1)
    wait_until(lambda: stored(12.5), "first price")
    publish_price(12.5, 2)
    system.report("HOOD", 1)
    wait_until(lambda: "HOOD" in system.firebase.get(), "what came after the equal price")
    publish_price(12.6, 3)
    wait_until(lambda: stored(12.6), "second price")
    writes = system.firebase.writes()
    assert [value for path, value in writes if path == "services/SOFI/volume"] == [1, 3]


def test_a_repeated_report_counts_once_and_a_changed_one_is_a_conflict(system: System) -> None:
    system.start_bridge()
    data = report("SOFI", 10)
    with system.listening() as listener:
        for _ in range(3):
            system.publish(envelope(data))
        system.publish(envelope(data | {"total": 11}))
        system.publish(envelope(data, sender="other_bot"))
        heard = listener.wait_for(4)
    assert [body["data"]["total"] for _, body in heard] == [10, 10, 20, 20]
    assert any("conflict" in line for line in system.rejected())
    wait_until(lambda: system.total("SOFI") == 20, "the sum")


def test_bad_input_is_kept_with_its_reason_and_stops_nothing(system: System) -> None:
    bridge = system.start_bridge()
    bad = {
        "not JSON": "no report",
        "wrong form": "[1, 2]",
        "not finite": '{"data": {"symbol": "SOFI", "total": NaN}}',
        "reserved": envelope(report("Aggregate")),
        "is beyond": envelope(report(total=1e10)),
        "in the future": envelope(report(timestamp=now_text(timedelta(minutes=6)))),
        "in the past": envelope(report(timestamp=now_text(timedelta(days=-8)))),
        "oversized": envelope(report(note="x" * 70_000)),
        "is not a number": envelope(report(total="much")),
    }
    for message in bad.values():
        system.publish(message)
    for raw in (b"\xff\xfe\x00", b"", b"{" * 1000):
        system.publish(raw)
    with system.listening() as listener:
        system.report("SOFI", 7)
        assert len(listener.wait_for(2)) == 2
    kept = system.rejected()
    for reason, message in bad.items():
        place = next(n for n, line in enumerate(kept) if f"  {reason}" in line or reason in line)
        assert kept[place + 1].strip()[:60_000] == message[:60_000]
    wait_until(lambda: system.total("SOFI") == 7, "the good report")
    assert bridge.exit_code is None


def test_an_imported_day_is_continued_and_not_overwritten(system: System) -> None:
    sample = {
        "SOFI": {"total": 28.76, "unrealized": 28.76, "realized": 0.0, "converted": 0.0,
                 "timestamp": "2025-05-15T13:32:56.582434+00:00"},
        "aggregate": {"total": 840.87, "unrealized": 776.4, "realized": 43.57, "converted": 20.9,
                      "timestamp": "2025-05-15T21:01:56.733362+00:00"},
    }  # fmt: skip
    path = path_of(system.base, today())
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(sample))
    bridge = system.start_bridge()
    assert system.daily_file() == sample
    data = system.report("SOFI", 1.01)
    expected = {
        "SOFI": sample["SOFI"] | {"total": 29.77, "unrealized": 29.77},
        "aggregate": sample["aggregate"] | {"total": 841.88, "unrealized": 777.41},
    }
    for record in expected.values():
        record["timestamp"] = data["timestamp"]
    wait_until(lambda: system.daily_file() == expected, "sample and report")
    bridge.signal(signal.SIGTERM)
    assert bridge.wait(PATIENCE) == 0
    system.start_bridge()
    assert system.daily_file() == expected


def test_a_late_report_belongs_to_its_own_day(system: System) -> None:
    system.start_bridge()
    yesterday = midnight(today()) - timedelta(minutes=1)
    late = yesterday.isoformat(timespec="microseconds")
    with system.listening() as listener:
        system.report("SOFI", 1)
        system.report("SOFI", 5, timestamp=late)
        system.report("HOOD", 6, timestamp=late)
        system.report("SOFI", 2)
        heard = listener.wait_for(5)
    shown = [(channel.rpartition("_")[2], body["data"]["total"]) for channel, body in heard]
    assert shown == [("SOFI", 1), ("AGGREGATE", 1), ("HOOD", 6), ("SOFI", 3), ("AGGREGATE", 3)]
    wait_until(lambda: system.total("SOFI") == 3, "today")
    past = system.daily_file(today() - 1)
    assert {symbol: record["total"] for symbol, record in past.items()} == {
        "SOFI": 5, "HOOD": 6, "aggregate": 11,
    }  # fmt: skip


def test_a_late_report_is_added_to_a_file_that_was_there_before(system: System) -> None:
    yesterday = midnight(today()) - timedelta(minutes=1)
    record = {"total": 1.0, "unrealized": 1.0, "realized": 0.0, "converted": 0.0}
    known = {name: record | {"timestamp": yesterday.isoformat()} for name in ("HOOD", "aggregate")}
    path = path_of(system.base, today() - 1)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(known))
    system.start_bridge()
    system.report("SOFI", 5, timestamp=(yesterday + timedelta(seconds=1)).isoformat())
    totals = {"HOOD": 1.0, "SOFI": 5.0, "aggregate": 6.0}

    def added() -> bool:
        return {s: r["total"] for s, r in system.daily_file(today() - 1).items()} == totals

    wait_until(added, "both in yesterday's file")


def test_snapshots_replace_and_an_older_one_changes_nothing(system: System) -> None:
    system.start_bridge(PROFIT_REPORT_KIND="snapshot")
    old = now_text(timedelta(seconds=-1)) if not _just_after_midnight() else now_text()
    with system.listening() as listener:
        system.report("SOFI", 10)
        system.report("HOOD", 1)
        system.report("SOFI", 12)
        system.report("SOFI", 5, timestamp=old)
        heard = listener.wait_for(8)
    assert [body["data"]["total"] for _, body in heard] == [10, 10, 1, 11, 12, 13, 12, 13]


def _just_after_midnight() -> bool:
    return now_text()[11:19] < "00:00:10"


def test_only_listed_symbols_and_the_account_are_stored(system: System) -> None:
    system.start_bridge(TICKERS="sofi")
    system.start_worker()
    system.report("HOOD", 2)
    system.report("SOFI", 1)
    wait_until(lambda: system.firebase.get("services/SOFI") is not None, "SOFI")
    wait_until(
        lambda: system.firebase.get("services/aggregate/performance/total") == 3, "the account"
    )
    assert set(system.firebase.get()) == {"SOFI", "aggregate"}


def test_the_account_is_left_out_if_the_settings_say_so(system: System) -> None:
    system.start_bridge(STORE_AGGREGATE="false")
    system.start_worker()
    system.report("HOOD", 2)
    wait_until(lambda: system.firebase.get("services/HOOD") is not None, "HOOD")
    # The account's figures are dispatched with the symbol's: the second report would bring both.
    system.report("SOFI", 1)
    wait_until(lambda: system.firebase.get("services/SOFI") is not None, "SOFI")
    assert set(system.firebase.get()) == {"HOOD", "SOFI"}


def publish_order(system: System, identity: str) -> None:
    data = {"event": "fill", "price": "1", "qty": "2", "order": {"id": identity}}
    order = {"type": "order", "symbol": "SOFI", "timestamp": now_text(), "order_data": data}
    system.publish(envelope(order), "TICKER_UPDATES_SOFI")


def test_so_many_newest_orders_are_kept(system: System) -> None:
    old = {
        f"old{number}": {"order": {}, "timestamp": 1_700_000_000 + number} for number in range(4)
    }
    system.firebase.put("services/SOFI/orders", old)
    system.start_bridge(ORDERS_KEPT="3")
    system.start_worker(ORDERS_KEPT="3")

    def shows(*ids: str) -> bool:
        return set(system.firebase.get("services/SOFI/orders")) == set(ids)

    publish_order(system, "a")
    wait_until(lambda: shows("a", "old2", "old3"), "the newest of the old ones beside it")
    for identity in "bcdef":
        publish_order(system, identity)
    wait_until(lambda: shows("d", "e", "f"), "the newest three")


def test_no_order_is_stored_if_none_is_to_be_kept(system: System) -> None:
    system.start_bridge(ORDERS_KEPT="0")
    system.start_worker(ORDERS_KEPT="0")
    publish_order(system, "a")
    system.report("SOFI", 1)
    wait_until(lambda: system.firebase.get("services/aggregate") is not None, "the figures")
    assert set(system.firebase.get("services/SOFI")) == {"performance"}
    call = 'import tasks; print(tasks.store_ticker_data("SOFI", "orders/a", {"event": "fill"}))'
    assert system.run("-c", call, ORDERS_KEPT="0").stdout == "removed services/SOFI/orders/a\n"
    assert set(system.firebase.get("services/SOFI")) == {"performance"}


def test_the_subscriber_stores_what_another_program_calculates(system: System) -> None:
    subscriber = system.start_bridge("subscriber", TICKERS="SOFI")
    system.start_worker()
    for symbol, total in (("SOFI", 1), ("HOOD", 2), ("aggregate", 3), ("SOFI", 4)):
        system.publish(envelope(report(symbol, total)), f"TICKER_PERFORMANCE_{symbol.upper()}")
    price = {"type": "price", "symbol": "SOFI", "price": 9, "volume": 1, "timestamp": now_text()}
    system.publish(envelope(price), "TICKER_UPDATES_SOFI")

    def stored() -> bool:
        tree = system.firebase.get() or {}
        sofi, account = tree.get("SOFI", {}), tree.get("aggregate", {})
        return (sofi.get("price"), sofi.get("performance", {}).get("total")) == (9, 4) and (
            account.get("performance", {}).get("total") == 3
        )

    wait_until(stored, "SOFI and the account")
    assert set(system.firebase.get()) == {"SOFI", "aggregate"}
    subscriber.signal(signal.SIGTERM)
    assert subscriber.wait(PATIENCE) == 0
