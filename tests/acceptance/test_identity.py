"""A fill counts once however often it arrives, and no fill is taken for another."""

import json
import re
from collections import defaultdict
from contextlib import closing
from typing import Any

from app.channels import RedisNames
from app.domain import date_of
from app.publisher import RedisPublisher
from tests.cases import cases
from tests.system import System, now_text, report, today, wait_until

YESTERDAY = str(date_of(today() - 1))


def repetitions(system: System) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(system.command("repetitions", "--json").stdout)
    return found


def explained(system: System, symbol: str) -> list[str]:
    return system.command("explain", symbol, "--day", YESTERDAY).stdout.splitlines()


def test_fills_are_told_apart_and_what_looks_alike_is_shown_and_can_be_counted(
    system: System,
) -> None:
    system.start_bridge()
    lines = [case for case in cases("profit_reports") if "totals" in case]
    totals: dict[str, float] = defaultdict(float)
    for case in lines:
        for symbol, total in case["totals"].items():
            totals[symbol] += total
        for message in case["messages"]:
            assert system.publish(message, case["channel"]) == 1

    def are_counted() -> bool:
        return all(system.total(symbol, today() - 1) == totals[symbol] for symbol in totals)

    wait_until(are_counted, f"{totals}")
    (refused,) = [case["refused"] for case in lines if "refused" in case]
    wait_until(lambda: bool(system.rejected()), "the conflict")
    reason, _ = system.rejected()
    assert re.search(refused, reason), reason

    (alike,) = repetitions(system)
    assert (alike["sender"], alike["data"]["symbol"], alike["times"]) == ("ib_bot2", "TQQQ", 1)
    doctor = system.command("doctor").stdout
    assert re.search("warn +repetitions +.*: 1 from ib_bot2\n", doctor), doctor
    of_tqqq = explained(system, "TQQQ")
    assert sum("came again once, not counted" in line for line in of_tqqq) == 1
    assert sum("  id 0001f4e8.67a1.0" in line for line in of_tqqq) == 2
    assert sum("  at 12:00:00.417123" in line for line in explained(system, "ES=F")) == 3
    assert "1 came again, not counted: see repetitions" in explained(system, "aggregate")

    done = system.command("repetitions", "count", str(alike["id"]))
    assert done.returncode == 0, done.stderr
    totals["TQQQ"] += 7.25
    wait_until(are_counted, "the repetition too")
    assert repetitions(system) == []
    assert sum(line.endswith("14:31:07.000000+00:00 again 1") for line in explained(system, "TQQQ"))


def test_only_what_is_published_anew_is_a_repetition(system: System) -> None:
    system.start_bridge()
    fill = report("SOFI", 1, unrealized=0, realized=1)
    journal = RedisNames("").journal
    publisher = RedisPublisher(system.redis_server.url, spool=system.folder / "spool")
    with closing(publisher):
        publisher.publish("PROFIT_REPORT", fill, "bot")
        wait_until(lambda: system.total("SOFI") == 1, "the report")
        # What a spool sends again, since it does not know whether Redis took it.
        entries: Any = system.redis.xrange(journal)
        ((_, fields),) = entries
        system.redis.xadd(journal, fields)
        publisher.publish("PROFIT_REPORT", fill | {"symbol": "F"}, "bot")
        wait_until(lambda: system.total("F") == 1, "a report after it")
        assert repetitions(system) == []
        for _ in range(3):
            publisher.publish("PROFIT_REPORT", fill, "bot")
        wait_until(lambda: [one["times"] for one in repetitions(system)] == [3], "all three")
    number = str(repetitions(system)[0]["id"])
    assert "2 more to count or clear" in system.command("repetitions", "count", number).stdout
    wait_until(lambda: system.total("SOFI") == 2, "one of them")
    assert system.command("repetitions", "clear", number).returncode == 0
    assert repetitions(system) == []


def test_a_report_by_hand_that_changes_nothing_says_so(system: System) -> None:
    system.start_bridge()
    at = now_text()
    words = ("report", "SOFI", "--realized", "1.5", "--timestamp", at)
    assert system.command(*words).returncode == 0
    wait_until(lambda: system.total("SOFI") == 1.5, "the report")
    again = system.command(*words)
    assert again.returncode == 0
    assert again.stdout.startswith("already counted ")
    assert json.loads(system.command(*words, "--json").stdout) == {"already_counted": True}
    other = system.command("report", "SOFI", "--realized", "2", "--timestamp", at)
    assert other.returncode == 2
    assert "if it corrects that one, report the difference" in other.stderr
    assert len(other.stderr.splitlines()) == 1
    assert system.command(*words, "--id", "7").returncode == 0
    wait_until(lambda: system.total("SOFI") == 3, "the other fill")
    assert system.command(*words, "--id", "7").stdout.startswith("already counted ")
    assert repetitions(system) == []
