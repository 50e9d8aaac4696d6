"""Deployments on one Redis are kept apart by ACCOUNT; without it they say so."""

import json
import re
import signal
from typing import Any, NamedTuple

from app.accounting import path_of
from app.settings import load_settings
from tests.system import ROOT, System, today, wait_until

REPORTS, SYMBOLS = 2_000, 20
BOT = f"""
import sys
from app.publisher import RedisPublisher
from tests.system import now_text, report
amount = float(sys.argv[1])
publisher = RedisPublisher()
for number in range({REPORTS}):
    symbol = f"S{{number % {SYMBOLS}}}"
    publisher.publish("PROFIT_REPORT", report(symbol, amount), sys.argv[2])
    if number < {SYMBOLS}:
        update = {{"symbol": symbol, "timestamp": now_text()}}
        fill = {{"event": "fill", "price": 1.0, "qty": 1, "position_qty": 1,
                 "order": {{"id": sys.argv[2]}}}}
        publisher.publish(f"TICKER_UPDATES_{{symbol}}",
                          update | {{"type": "price", "price": amount, "volume": None}})
        publisher.publish(f"TICKER_UPDATES_{{symbol}}",
                          update | {{"type": "order", "order_data": fill}})
publisher.publish("PROFIT_REPORT", {{"symbol": "S0", "total": "much"}}, sys.argv[2])
publisher.close()
"""
FAILING_TASK = 'import tasks; tasks.store_performance.delay("S0", {"total": "much"})'


class Deployment(NamedTuple):
    account: str
    root: str
    bot: str
    amount: float


DEPLOYMENTS = (
    Deployment("", "services", "live_bot", 1.0),
    Deployment("paper", "services-paper", "paper_bot", 100.0),
)


def shown(system: System, root: str) -> dict[str, Any]:
    """Return what the database shows of each symbol: total, price, ids of orders."""
    nodes = system.firebase.get(root) or {}
    return {
        symbol: (
            node.get("performance", {}).get("total"),
            node.get("price"),
            set(node.get("orders", ())),
        )
        for symbol, node in nodes.items()
        if symbol != "aggregate"
    }


def restricted_to_paper(system: System) -> str:
    """Make the user of docs/security.md, whom Redis refuses every other name; return its URL."""
    lines = (ROOT / "docs" / "security.md").read_text().splitlines()
    (user,) = (line for line in lines if line.startswith("user paper_bridge "))
    rights = user.replace(">PASSWORD", ">secret").split()[1:]
    system.redis.execute_command("ACL", "SETUSER", *rights)
    return system.redis_server.url.replace("://", "://paper_bridge:secret@")


def test_two_accounts_on_one_redis_share_no_figure_task_order_or_refused_message(
    system: System,
) -> None:
    system.environment["PUBLISHER_SPOOL_PATH"] = str(system.folder / "spool")
    environments: dict[str, dict[str, str]] = {
        "": {},
        "paper": {"ACCOUNT": "paper", "REDIS_URL": restricted_to_paper(system)},
    }
    workers = {}
    for account, environment in environments.items():
        system.start_bridge(**environment)
        workers[account] = system.start_worker(2, **environment)
    with (
        system.listening("TICKER_PERFORMANCE_*") as live,
        system.listening("paper:TICKER_PERFORMANCE_*") as paper,
    ):
        for account, _, bot, amount in DEPLOYMENTS:
            system.start("bot", "-c", BOT, str(amount), bot, **environments[account])
            assert not system.run("-c", FAILING_TASK, **environments[account]).returncode
        heard = {"": live.wait_for(2 * REPORTS), "paper": paper.wait_for(2 * REPORTS)}

    for account, root, bot, amount in DEPLOYMENTS:
        environment = environments[account]
        total = REPORTS / SYMBOLS * amount
        expected = {f"S{number}": (total, amount, {bot}) for number in range(SYMBOLS)}
        log = workers[account].log
        wait_until(lambda: "GiveUp" in log.read_text(), "the failed store")  # noqa: B023
        wait_until(lambda: shown(system, root) == expected, f"all of {bot} in {root}")  # noqa: B023
        assert len(heard[account]) == 2 * REPORTS
        assert {body["data"]["total"] % amount for _, body in heard[account]} == {0.0}
        folder = load_settings(system.environment | environment).profit_base_path
        records = json.loads(path_of(folder, today()).read_bytes())
        assert records.keys() == {*expected, "aggregate"}
        assert records["aggregate"]["total"] == REPORTS * amount
        for command, name in (("rejected", bot), ("failed-stores", "S0")):
            (letter,) = json.loads(system.command(command, "--json", **environment).stdout)
            assert name in str(letter)
        for command in ("audit", "explain S0", "report S0 --realized 0 --wait", "doctor"):
            done = system.command(*command.split(), **environment)
            assert "FAIL" not in done.stdout, done.stdout
            assert done.returncode == 0, command + done.stdout + done.stderr
        assert " succeeded in " in log.read_text()
        assert set(re.findall(r"stored (services[^/ ]*)/", log.read_text())) <= {root}
    assert set(system.firebase.get("")) == {root for _, root, *_ in DEPLOYMENTS}
    assert not system.redis.acl_log(), "a name that does not begin with paper:"


def bridge_check(system: System, **environment: str) -> dict[str, str]:
    output = system.command("doctor", "--json", **environment).stdout
    findings: list[dict[str, str]] = json.loads(output)
    return {found["name"]: found for found in findings}["bridge"]


def test_two_bridges_that_hear_each_other_say_so_and_a_restarted_one_hears_nobody(
    system: System,
) -> None:
    second = {
        "REDIS_URL": system.redis_server.url.removesuffix("0") + "1",
        "PROFIT_BASE_PATH": str(system.folder / "second"),
    }
    bridges = {"0": system.start_bridge(), "1": system.start_bridge(**second)}
    for database, bridge in bridges.items():
        other = f"other_bridges count=1 databases={1 - int(database)}"
        wait_until(lambda: other in bridge.log.read_text(), "word of the other")  # noqa: B023
        assert "set ACCOUNT" in bridge.log.read_text()
    for environment in ({}, second):
        found = bridge_check(system, **environment)
        assert (found["status"], "2 bridges" in found["found"]) == ("FAIL", True)
        assert "set ACCOUNT" in found["fix"]

    bridges["1"].end()
    wait_until(lambda: "no_other_bridges" in bridges["0"].log.read_text(), "word of the end")
    system.start_bridge("subscriber")
    shown = system.redis.pubsub_channels("profit-bridge:bridge:*")
    bridges["0"].signal(signal.SIGKILL)
    restarted = system.start_bridge()
    system.report("SOFI", 1)
    wait_until(lambda: system.total() == 1, "the report counted")
    assert bridge_check(system)["status"] == "ok"
    assert "other_bridges" not in restarted.log.read_text()
    assert system.redis.pubsub_channels("profit-bridge:bridge:*") == shown, "of the same ledger"
