"""The whole system, with a database that holds to database.rules.json."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from app.channels import AGGREGATE
from app.delivery import FailedStores
from app.settings import load_settings
from tests.faults.load import steps_back
from tests.system import ROOT, System, envelope, report, wait_until

FAR = "2999-01-01T00:00:00.000000+00:00"


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    system = System(tmp_path, "--rules", str(ROOT / "database.rules.json"))
    try:
        system.start_bridge()
        system.start_worker(FIREBASE_TIMEOUT_SECONDS="1")
        yield system
    finally:
        system.close()


def totals(system: System) -> dict[str, float]:
    tree = system.firebase.get() or {}
    return {symbol: node["performance"]["total"] for symbol, node in tree.items()}


def test_reports_reach_firebase_and_nobody_else_writes_there(system: System) -> None:
    system.report("SOFI", 28.76)
    system.report("BRK.B", 1)
    expected = {"SOFI": 28.76, "BRK!2EB": 1, AGGREGATE: 29.76}
    wait_until(lambda: totals(system) == expected, "all stored")
    assert not FailedStores(load_settings(system.environment)).read()
    findings = {one["name"]: one for one in json.loads(system.command("doctor", "--json").stdout)}
    assert findings["firebase"]["status"] == "ok"
    assert findings["front end"]["status"] == "ok"
    assert "services cannot be read without sign-in" in findings["front end"]["found"]
    url = f"http://{system.firebase.host}/services/SOFI/performance/total.json"
    assert requests.put(url, data="0", timeout=10).status_code == 401
    assert requests.get(url, timeout=10).status_code == 401
    assert totals(system) == expected


def test_a_write_that_lands_after_its_timeout_changes_nothing(system: System) -> None:
    holds = {"hold": True, "count": 1, "path": "/services/SOFI/performance", "method": "PUT"}
    system.firebase.faults(holds)
    system.report("SOFI", 1)
    wait_until(lambda: system.firebase.held() == 1, "a write under way")
    system.report("SOFI", 2)
    wait_until(lambda: totals(system).get("SOFI") == 3, "the newer one stored")
    system.firebase.faults()
    wait_until(lambda: system.firebase.held() == 0 and system.firebase.refusals() == 1, "refusal")
    assert not steps_back(system)
    assert totals(system) == {"SOFI": 3, AGGREGATE: 3}
    assert not FailedStores(load_settings(system.environment)).read()


def test_a_performance_of_the_future_is_reported_and_fixed_by_audit(system: System) -> None:
    system.report("SOFI", 1)
    wait_until(lambda: totals(system) == {"SOFI": 1, AGGREGATE: 1}, "both stored")
    wrong = report("SOFI", 50) | {"timestamp": FAR}
    del wrong["symbol"]
    system.firebase.put("services/SOFI/performance", wrong)
    system.publish(envelope(report("SOFI", 2)))
    wait_until(
        lambda: bool(FailedStores(load_settings(system.environment)).read()), "a failed store"
    )
    (failed,) = FailedStores(load_settings(system.environment)).read()
    assert f"of {FAR}: if that one is wrong, run python -m app audit --fix" in failed["reason"]
    assert system.firebase.get("services/SOFI/performance/total") == 50
    wait_until(lambda: system.total() == 3, "the file")
    fixed = system.command("audit", "--fix", "--within", "0")
    assert "Firebase: SOFI was stored again" in fixed.stdout
    assert fixed.returncode == 0, fixed.stdout
    assert totals(system) == {"SOFI": 3, AGGREGATE: 3}
