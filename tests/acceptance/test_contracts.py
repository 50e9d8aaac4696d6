"""What the real programs send and store is what other programs were promised."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from app.domain.json_schemas import schema_of
from app.firebase import node_path
from app.publisher import RedisPublisher
from tests.examples import Block, blocks
from tests.system import JOURNAL, System, now_text, report, wait_until


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system that runs, and has received nothing yet."""
    system = System(tmp_path_factory.mktemp("system"))
    try:
        system.start_bridge()
        system.start_worker()
        yield system
    finally:
        system.close()


def check(contract: str, value: Any) -> None:
    Draft202012Validator(schema_of(contract)).validate(value)


def journaled(system: System) -> list[Any]:
    entries: Any = system.redis.xrange(JOURNAL)
    assert all(list(fields) == [b"message"] for _, fields in entries)
    return [json.loads(fields[b"message"]) for _, fields in entries]


def blocks_with(*words: str) -> list[Block]:
    found = [block for block in blocks() if all(word in block.text for word in words)]
    assert found, words
    return found


def test_what_the_programs_send_and_store_keeps_its_form(system: System) -> None:
    order = {"id": "4711.1", "side": "buy", "legs.x": None}
    updates: list[dict[str, Any]] = [
        {"type": "price", "symbol": "BRK.B", "price": "12.5", "volume": 3, "timestamp": now_text()},
        {
            "type": "order", "symbol": "BRK.B", "timestamp": now_text(),
            "order_data": {"event": "fill", "price": 12.5, "qty": 1, "order": order},
        },
    ]  # fmt: skip
    publisher = RedisPublisher(system.redis_server.url, spool=system.folder / "spool")
    with (
        system.listening() as published,
        system.listening("PROFIT_REPORT", "TICKER_UPDATES_*") as sent,
    ):
        publisher.publish("PROFIT_REPORT", report("brk.b", 12.340000000000002), sender="scale_t")
        for update in updates:
            publisher.publish("TICKER_UPDATES_BRK.B", update, sender="scale_t")
        from_bridge, from_bot = published.wait_for(2), sent.wait_for(3)
    publisher.close()

    for message in (*journaled(system), from_bot[0][1]):
        check("profit_report", message)
    for _, message in from_bot[1:]:
        check("ticker_update", message)
    assert [channel for channel, _ in from_bridge] == [
        "TICKER_PERFORMANCE_BRK.B",
        "TICKER_PERFORMANCE_AGGREGATE",
    ]
    for _, message in from_bridge:
        check("ticker_performance", message)

    place = f"services/{node_path('BRK.B', 'orders/4711.1')}"
    wait_until(lambda: system.firebase.get(place) is not None, "a stored order")
    wait_until(lambda: "last_updated" in system.firebase.get("services/BRK!2EB"), "a stored price")
    wait_until(lambda: system.firebase.get("services/aggregate") is not None, "a stored account")
    tree = system.firebase.get()
    check("firebase", tree)
    assert set(tree["BRK!2EB"]) == {
        "price", "volume", "timestamp", "last_updated", "orders", "performance",
    }  # fmt: skip
    for symbol in ("BRK!2EB", "aggregate"):
        check("performance", tree[symbol]["performance"])
    wait_until(lambda: "BRK.B" in system.daily_file(), "the daily file")
    check("daily_file", system.daily_file())


def test_what_the_readme_shows_is_counted_as_it_stands(system: System, tmp_path: Path) -> None:
    """Python as a bot would run it; the shell's part where there is a redis-cli."""
    sent = 0
    for block in blocks_with("import RedisPublisher"):
        text = block.text.replace("profit_bridge_publisher", "app.publisher")
        done = system.run("-c", text, PUBLISHER_SPOOL_PATH=str(tmp_path / "spool"))
        assert done.returncode == 0, f"{block.place}: {done.stderr}"
        sent += 1
    real = shutil.which("redis-cli")
    if real:
        port = system.redis_server.port
        (tmp_path / "redis-cli").write_text(f'#!/bin/sh\nexec {real} -p {port} "$@"\n')
        (tmp_path / "redis-cli").chmod(0o700)
        environment = system.environment | {"PATH": f"{tmp_path}:{system.environment['PATH']}"}
        for block in blocks_with("redis-cli", "PUBLISH PROFIT_REPORT"):
            subprocess.run(["sh", "-euc", block.text], env=environment, timeout=20, check=True)
            sent += 1
    counted = 28.76 * sent
    wait_until(
        lambda: abs(system.total("SOFI") - counted) < 0.001,
        f"{sent} counted reports; rejected: {system.rejected()}",
    )
    assert not system.rejected()
    for message in journaled(system):
        check("profit_report", message)
