"""Writes under database.rules.json: what the database itself denies, and what follows from that."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import redis

from app.delivery import Candidate, FailedStores, LatestValueRegister, LatestValueStore
from app.domain import Update
from app.errors import Misconfigured, OutcomeUnknown, Outdated
from app.firebase import FirebaseClient
from app.settings import load_settings
from tests.rules.cases import AT_ELEVEN, AT_TEN, ORDER, performance
from tests.system import ROOT, Firebase, wait_until

SOFI = "services/SOFI/performance"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firebase]:
    rules = ("--rules", str(ROOT / "database.rules.json"))
    database = Firebase(tmp_path_factory.mktemp("firebase"), *rules)
    yield database
    database.process.end()


class Slow(FirebaseClient):
    """The real client; something else can happen before its first write."""

    first: Iterator[None] = iter(())

    def store_many(self, updates: Sequence[Update]) -> None:
        next(self.first, None)
        super().store_many(updates)


def client_of(database: Firebase, **settings: str) -> Slow:
    host = {"FIREBASE_DATABASE_EMULATOR_HOST": database.host, "FIREBASE_TIMEOUT_SECONDS": "1"}
    return Slow(load_settings(host | settings))


@pytest.fixture
def firebase(database: Firebase) -> Iterator[Slow]:
    database.faults()
    database.put("services", None)
    client = client_of(database)
    yield client
    client.close()


def update(value: Any, symbol: str = "SOFI") -> Update:
    return Update(symbol, "performance", value)


def test_the_bridge_writes_all_that_it_writes(firebase: Slow, database: Firebase) -> None:
    price = {"price": "1.5", "volume": 0, "timestamp": "2025-05-15T10:00:00Z"}
    firebase.store_many(
        [
            update(performance(), "BRK.B"),
            Update("BRK.B", "price", price),
            Update("BRK.B", "orders/a/1", ORDER),
            Update("BRK.B", "halted", True),
            update(performance(), "aggregate"),
        ]
    )
    found = database.get()
    assert found["aggregate"] == {"performance": performance()}
    assert found["BRK!2EB"]["performance"] == performance()
    assert found["BRK!2EB"]["orders"] == {"a!2F1": ORDER}
    assert found["BRK!2EB"]["price"] == "1.5"


@pytest.mark.parametrize("count", [1, 2])
def test_another_uid_is_denied_and_the_fix_named(
    count: int, firebase: Slow, database: Firebase
) -> None:
    other = client_of(database, FIREBASE_AUTH_UID="another")
    updates = [update(performance(), symbol) for symbol in ("SOFI", "HOOD")[:count]]
    with pytest.raises(
        Misconfigured,
        match=r"merge ours into them as docs/deployment\.md shows.*FIREBASE_AUTH_UID=admin",
    ):
        other.store_many(updates)
    other.close()
    assert database.get() is None


def test_an_administrator_writes_past_the_rules(firebase: Slow, database: Firebase) -> None:
    admin = client_of(database, FIREBASE_AUTH_UID="admin")
    firebase.store_many([update(performance(AT_ELEVEN))])
    admin.store_many([update(performance())])
    admin.close()
    assert database.get(SOFI) == performance()


def test_a_late_write_over_a_newer_one_is_refused_by_the_database(
    firebase: Slow, database: Firebase
) -> None:
    database.faults({"hold": True, "count": 1})
    with pytest.raises(OutcomeUnknown):
        firebase.store_many([update(performance(AT_TEN))])
    firebase.store_many([update(performance(AT_ELEVEN))])
    assert database.held() == 1
    refusals = database.refusals()
    database.faults()
    wait_until(lambda: database.refusals() == refusals + 1, "the late write refused")
    assert database.get(SOFI) == performance(AT_ELEVEN)


def test_the_one_outdated_value_of_many_is_found_and_named(
    store: LatestValueStore, database: Firebase, failed_stores: FailedStores
) -> None:
    database.put(SOFI, performance(AT_ELEVEN))
    symbols = ("AMD", "HOOD", "SOFI", "GME")
    candidates = [Candidate(update(performance(), symbol), 1) for symbol in symbols]
    stored = store.store(candidates, task="bulk")
    assert {found.symbol for found in stored.written} == {"AMD", "HOOD", "GME"}
    assert database.get(SOFI) == performance(AT_ELEVEN)
    ((refused, error),) = stored.refused
    assert (refused.symbol, type(error)) == ("SOFI", Outdated)
    (failed,) = failed_stores.read()
    assert AT_ELEVEN in failed["reason"]
    assert "python -m app audit --fix" in failed["reason"]


def test_a_write_overtaken_by_a_newer_one_of_ours_alarms_nobody(
    store: LatestValueStore,
    register: LatestValueRegister,
    redis_url: str,
    firebase: Slow,
    database: Firebase,
    failed_stores: FailedStores,
) -> None:
    quick = client_of(database)

    def overtake() -> Iterator[None]:
        with redis.Redis.from_url(redis_url) as client:
            client.hset("profit-bridge:newest:SOFI performance", "until", 1)
        candidates = [Candidate(update(performance(AT_ELEVEN)), 2)]
        LatestValueStore(register, quick, failed_stores).store(candidates, task="quick")
        yield

    firebase.first = overtake()
    stored = store.store([Candidate(update(performance(AT_TEN)), 1)], task="slow")
    quick.close()
    assert (stored.current, stored.refused) == (1, [])
    assert failed_stores.read() == []
    assert database.get(SOFI) == performance(AT_ELEVEN)


def test_a_node_that_is_no_performance_is_overwritten(firebase: Slow, database: Firebase) -> None:
    for torn in (-1, {"total": -1}, performance("tomorrow"), performance() | {"note": "x"}):
        database.put(SOFI, torn)
        firebase.store_many([update(performance())])
        assert database.get(SOFI) == performance()
