"""The simulated bots send what the contract says, to the letter."""

import json
import os
import random
import signal
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.dev import bot as bot_module
from app.dev.bot import SENDER, Bot, Message, Ticker
from app.dev.bots import FIRST_PRICES, make_bots, trade
from app.dev.processes import Process, free_port, wait_until
from app.dev.trading_day import moments, share_of_fills
from app.domain import read_report, read_update, to_atoms, to_microseconds
from app.publisher import NotPublished
from tests.system import ROOT

AMOUNTS = ("total", "unrealized", "realized", "converted")
FILLS = 200


class FakePublisher:
    """Stands in for RedisPublisher; is away for the first `failures` calls, and ends the test."""

    def __init__(self, failures: int, messages: int) -> None:
        self.failures = failures
        self.messages = messages
        self.expects_one_sender = True
        self.sent: list[tuple[str, Mapping[str, Any]]] = []

    def publish(self, channel: str, message_data: Mapping[str, Any], sender: str) -> int:
        assert sender == SENDER or not self.expects_one_sender
        if self.failures:
            self.failures -= 1
            raise NotPublished("Redis is away")
        if len(self.sent) == self.messages:
            raise KeyboardInterrupt
        self.sent.append((channel, message_data))
        return 1


def bot(ticker: str = "SOFI", seed: int = 1) -> Bot:
    chance = random.Random(seed)
    return Bot(Ticker(ticker, FIRST_PRICES[ticker], chance), chance)


def traded(bot: Bot) -> tuple[list[Message], list[Message], list[Message]]:
    """The prices, orders and reports of many fills."""
    prices, orders, reports = [], [], []
    for _ in range(FILLS):
        prices.append(bot.ticker.quote())
        order, report = bot.fill()
        orders.append(order)
        reports.append(report)
    return prices, orders, reports


def message(data: Mapping[str, Any]) -> bytes:
    return json.dumps({"data": data, "sender": SENDER}).encode()


def now() -> int:
    return to_microseconds(datetime.now(UTC).isoformat())


@pytest.mark.parametrize("ticker", FIRST_PRICES)
def test_a_report_has_the_fields_of_the_contract_and_is_accepted(ticker: str) -> None:
    _, _, reports = traded(bot(ticker))
    for channel, data in reports:
        assert channel == "PROFIT_REPORT"
        assert data.keys() == {"symbol", *AMOUNTS, "timestamp"}
        assert all(type(data[name]) is float or data[name] == 0 for name in AMOUNTS)
        assert data["timestamp"].endswith("+00:00")
        report, _ = read_report(message(data), now())
        assert (report.symbol, report.sender) == (ticker, SENDER)


@pytest.mark.parametrize("ticker", FIRST_PRICES)
def test_prices_and_orders_have_the_form_of_the_contract_and_are_accepted(ticker: str) -> None:
    prices, orders, _ = traded(bot(ticker))
    for channel, data in prices:
        assert channel == f"TICKER_UPDATES_{ticker}"
        assert data.keys() == {"type", "symbol", "price", "volume", "timestamp"}
        assert (type(data["price"]), data["volume"]) == (str, None)
        assert " " in data["timestamp"]
        assert read_update(message(data)).key == "price"
    for channel, data in orders:
        assert channel == f"TICKER_UPDATES_{ticker}"
        assert data.keys() == {"type", "symbol", "timestamp", "order_data"}
        fill = data["order_data"]
        assert fill.keys() == {"event", "price", "qty", "position_qty", "order"}
        assert read_update(message(data)).key == f"orders/{fill['order']['id']}"
    assert len({data["order_data"]["order"]["id"] for _, data in orders}) == FILLS


@pytest.mark.parametrize("ticker", FIRST_PRICES)
def test_the_amounts_sum_as_those_of_a_bot_that_scales_in_and_out(ticker: str) -> None:
    _, orders, reports = traded(bot(ticker))
    for order, report in zip(orders, reports, strict=True):
        total, unrealized, realized, converted = (
            to_atoms(report.data[name], name) for name in AMOUNTS
        )
        assert total == unrealized + realized
        if order.data["order_data"]["order"]["side"] == "buy":
            assert (realized, converted) == (0, 0)
            assert unrealized >= 0
        else:
            assert unrealized == 0
            assert converted >= 0
            assert type(report.data["unrealized"]) is int
        assert float(order.data["order_data"]["position_qty"]) >= 0


def test_amounts_carry_the_noise_of_floats() -> None:
    _, _, reports = traded(bot())
    totals = [report.data["total"] for report in reports]
    assert any(total != round(total, 6) for total in totals)


def test_a_bot_buys_and_sells_and_its_price_moves() -> None:
    prices, orders, _ = traded(bot())
    assert {order.data["order_data"]["order"]["side"] for order in orders} == {"buy", "sell"}
    assert len({price.data["price"] for price in prices}) > FILLS / 10


def test_no_two_reports_of_a_bot_share_a_timestamp(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stopped(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> "Stopped":
            return cls(2025, 5, 15, 13, 30, tzinfo=tz)

    monkeypatch.setattr(bot_module, "datetime", Stopped)
    _, _, reports = traded(bot())
    assert len({report.data["timestamp"] for report in reports}) == FILLS


def test_all_kinds_of_tickers_are_traded_by_default() -> None:
    assert len(FIRST_PRICES) >= 8
    assert {"BRK.B", "BTC/USD", "0700"} <= FIRST_PRICES.keys()


def test_any_ticker_can_be_traded() -> None:
    (new,) = make_bots(["NEW"], random.Random(1))
    assert new.ticker.price > 0


def test_bots_go_on_where_they_were_when_redis_is_back() -> None:
    publisher = FakePublisher(failures=3, messages=40)
    chance = random.Random(1)
    bots = make_bots(["SOFI"], chance)
    with pytest.raises(KeyboardInterrupt):
        list(trade(bots, [0.0] * 100, publisher, chance, lambda _: None))  # type: ignore[arg-type]
    assert [channel for channel, _ in publisher.sent] == [
        "TICKER_UPDATES_SOFI",
        "TICKER_UPDATES_SOFI",
        "TICKER_UPDATES_SOFI",
        "PROFIT_REPORT",
    ] * 10


def test_bots_that_share_a_ticker_see_one_price_and_have_names_of_their_own() -> None:
    bots = make_bots(["SOFI", "AMD"], random.Random(1), 20)
    assert len({(bot.ticker.symbol, bot.sender) for bot in bots}) == 20
    assert len({id(bot.ticker) for bot in bots}) == 2


def test_the_same_seed_trades_the_same_fills() -> None:
    def amounts() -> list[float]:
        chance = random.Random(7)
        bots = make_bots(["SOFI", "AMD"], chance, 4)
        plan = moments(50, 0.001, chance)
        publisher = FakePublisher(0, 1_000)
        publisher.expects_one_sender = False
        return [data["total"] for _, data in trade(bots, plan, publisher, chance, lambda _: None)]  # type: ignore[arg-type]

    assert amounts() == amounts()
    assert len(amounts()) == 50


def test_a_day_is_busy_at_its_ends_and_calm_at_noon() -> None:
    at = list(moments(10_000, 100.0, random.Random(1)))
    assert at == sorted(at)
    assert 0 <= at[0] < at[-1] <= 100
    counts = [sum(start <= moment < start + 10 for moment in at) for start in range(0, 100, 10)]
    assert counts[0] > 2 * counts[4]
    assert counts[9] > 2 * counts[5]
    assert (share_of_fills(0), share_of_fills(1)) == (0, 1)


def test_bots_that_wait_for_redis_end_at_once_when_asked_to(tmp_path: Path) -> None:
    process = Process(
        "bots",
        [sys.executable, "-m", "app.dev.bots"],
        tmp_path / "bots.log",
        {**os.environ, "PYTHONPATH": str(ROOT), "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"},
    )
    try:
        wait_until(lambda: "not_published" in process.log.read_text(), 30, "warning", [process])
        process.signal(signal.SIGTERM)
        assert process.wait(5) == 0, process.log.read_text()
    finally:
        process.end()
