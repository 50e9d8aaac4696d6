"""Whatever the order of execution, the newest value is stored, by one writer per slot at a time."""

import itertools
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import pytest
import redis

from app.delivery import (
    LEASE_SECONDS,
    MAX_REQUEST_BYTES,
    MAX_ROUNDS,
    Candidate,
    FailedStores,
    LatestValueRegister,
    LatestValueStore,
    ProposalStatus,
    Unfinished,
)
from app.domain import Update
from app.errors import RetryLater
from app.firebase import FirebaseClient
from app.settings import Settings, load_settings
from tests.system import Firebase


class Recorder(FirebaseClient):
    """The real client. It records what it writes, and runs something in mid-write."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.requests: list[list[tuple[str, Any]]] = []
        self.in_mid_write: Iterator[Any] = iter(())

    def store_many(self, updates: Sequence[Update]) -> None:
        self.requests.append([(update.symbol, update.value) for update in updates])
        next(self.in_mid_write, None)
        super().store_many(updates)


@pytest.fixture
def firebase(database: Firebase) -> Iterator[Recorder]:
    database.faults()
    database.put("services", None)
    recorder = Recorder(load_settings({"FIREBASE_DATABASE_EMULATOR_HOST": database.host}))
    yield recorder
    recorder.close()


def candidate(
    value: Any, revision: int, symbol: str = "SOFI", key: str = "performance"
) -> Candidate:
    return Candidate(Update(symbol, key, value), revision)


def stored_in(database: Firebase) -> dict[str, Any]:
    return {symbol: node["performance"] for symbol, node in database.get().items()}


def test_every_order_of_three_values_ends_on_the_newest(
    store: LatestValueStore, firebase: Recorder, database: Firebase
) -> None:
    for turn, order in enumerate(itertools.permutations((1, 2, 3))):
        firebase.requests.clear()
        for revision in order:
            candidates = [candidate(revision, revision, symbol=f"S{turn}")]
            store.store(candidates, task=f"t{revision}")
        written = [value for request in firebase.requests for _, value in request]
        assert written == sorted(written)
    assert set(stored_in(database).values()) == {3}


def test_what_is_proposed_in_mid_write_is_written_by_the_holder_of_the_lease(
    store: LatestValueStore, firebase: Recorder
) -> None:
    def others() -> Iterator[None]:
        for revision in (3, 2):
            candidates = [candidate(revision, revision)]
            stored = store.store(candidates, task="other")
            assert (stored.held, stored.written) == (1, [])
        yield

    firebase.in_mid_write = others()
    store.store([candidate(1, 1)], task="first")
    assert firebase.requests == [[("SOFI", 1)], [("SOFI", 3)]]


def test_many_threads_never_write_one_slot_at_a_time_nor_backwards(
    redis_url: str, firebase: Recorder, database: Firebase, failed_stores: FailedStores
) -> None:
    busy = threading.Lock()

    class OneAtATime:
        def store_many(self, updates: Sequence[Update]) -> None:
            assert busy.acquire(blocking=False), "two writers in one slot"
            firebase.store_many(updates)
            busy.release()

    settings = Settings(redis_url=redis_url)
    revisions = iter(range(1, 301))
    lock = threading.Lock()
    errors: list[BaseException] = []

    def work(register: LatestValueRegister) -> None:
        try:
            while True:
                with lock:
                    revision = next(revisions, None)
                if revision is None:
                    return
                candidates = [candidate(revision, revision)]
                task = f"t{revision}"
                LatestValueStore(register, OneAtATime(), failed_stores).store(candidates, task=task)
        except BaseException as error:
            errors.append(error)

    threads = [
        threading.Thread(target=work, args=(LatestValueRegister(settings),)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    written = [value for request in firebase.requests for _, value in request]
    assert written == sorted(written)
    assert stored_in(database) == {"SOFI": 300}


def test_a_task_that_waits_for_its_retry_keeps_its_lease_and_resumes(
    store: LatestValueStore, database: Firebase
) -> None:
    database.faults({"status": 503, "count": 1})
    with pytest.raises(Unfinished, match="cannot write to Firebase") as unfinished:
        store.store([candidate(1, 1)], task="a", will_retry=True, retry_pause=2.5)
    assert unfinished.value.pause == 2.5
    stored = store.store([candidate(2, 2)], task="b")
    assert stored.held == 1
    store.store([candidate(1, 1)], task="a", resumed=True)
    assert stored_in(database) == {"SOFI": 2}


def test_a_direct_call_that_fails_releases_its_lease(
    store: LatestValueStore, database: Firebase
) -> None:
    database.faults({"drop": True, "count": 1})
    with pytest.raises(RetryLater):
        store.store([candidate(1, 1)], task="a")
    store.store([candidate(2, 2)], task="b")
    assert stored_in(database) == {"SOFI": 2}


def test_a_task_delivered_again_after_a_crash_waits_for_its_own_lease(
    store: LatestValueStore, register: LatestValueRegister, firebase: Recorder
) -> None:
    died = register.new_holder("a")
    assert register.propose([candidate(1, 1)], died, resumed=False)[0].write
    with pytest.raises(Unfinished, match="earlier execution") as unfinished:
        store.store([candidate(1, 1)], task="a")
    assert 0 < unfinished.value.pause <= LEASE_SECONDS
    others = register.propose([candidate(2, 2)], register.new_holder("b"), resumed=False)
    assert others[0].status == ProposalStatus.HELD
    assert firebase.requests == []


def test_a_lease_that_ran_out_is_taken_over_and_its_late_write_is_overwritten(
    store: LatestValueStore, register: LatestValueRegister, redis_url: str, firebase: Recorder
) -> None:
    slow = register.new_holder("slow")
    (answer,) = register.propose([candidate(1, 1)], slow, resumed=False)
    write = answer.write
    assert write
    with redis.Redis.from_url(redis_url) as client:
        client.hset("profit-bridge:newest:SOFI performance", "until", 1)

    def slow_one_lands() -> Iterator[None]:
        assert register.confirm([write], slow).newer == []
        yield

    firebase.in_mid_write = slow_one_lands()
    store.store([candidate(2, 2)], task="fast")
    assert firebase.requests == [[("SOFI", 2)], [("SOFI", 2)]]


def test_one_refused_value_becomes_a_failed_store_and_the_others_are_stored(
    store: LatestValueStore, firebase: Recorder, database: Firebase, failed_stores: FailedStores
) -> None:
    database.faults({"contains": "poison", "status": 400})
    candidates = [candidate("poison" if n == 13 else n, 1, symbol=f"S{n}") for n in range(40)]
    stored = store.store(candidates, task="bulk")
    assert stored_in(database) == {f"S{n}": n for n in range(40) if n != 13}
    assert [update.symbol for update, _ in stored.refused] == ["S13"]
    assert len(firebase.requests) <= 14
    assert sum("S13" in dict(request) for request in firebase.requests) == 3
    (failed,) = failed_stores.read()
    assert (failed["symbol"], failed["value"]) == ("S13", "poison")
    assert "Firebase rejects the write" in failed["reason"]


@pytest.mark.parametrize("status", [400, 401])
def test_a_refused_slot_waits_before_it_takes_the_next_value(
    store: LatestValueStore,
    register: LatestValueRegister,
    redis_url: str,
    database: Firebase,
    firebase: Recorder,
    failed_stores: FailedStores,
    status: int,
) -> None:
    database.faults({"status": status, "contains": "poison"})
    store.store([candidate("poison", 1)], task="t1")
    assert store.store([candidate(2, 2)], task="t2").waiting == 1
    assert register.announce([Update("SOFI", "performance", 3)]) == []
    assert len(firebase.requests) == 1
    found = overdue(register, redis_url)
    assert [update.value for update, _ in found] == [3]
    store.store(found, task="t3")
    assert stored_in(database) == {"SOFI": 3}
    assert failed_stores.read() == []


def test_a_refused_rule_is_tried_by_one_value_at_a_time_and_then_by_all(
    store: LatestValueStore,
    register: LatestValueRegister,
    redis_url: str,
    database: Firebase,
    firebase: Recorder,
    failed_stores: FailedStores,
) -> None:
    database.faults({"status": 401, "contains": "poison"})
    updates = [Update(f"S{n}", "performance", "poison") for n in range(40)]
    assert len(store.store(register.announce(updates), task="bulk").refused) == 40
    assert len(firebase.requests) == 3
    assert len(failed_stores.read()) == 40
    # One that was never tried waits with the others, and another kind does not.
    assert register.announce([Update("NEW", "performance", "poison")]) == []
    store.store(register.announce([Update("S1", "x", 1)]), task="x")
    assert len(firebase.requests) == 4
    for turn in range(2):
        store.store(overdue(register, redis_url, 50), task=f"again-{turn}")
        assert len(firebase.requests) == 5 + turn
    database.faults()
    store.store(overdue(register, redis_url, 50), task="right")
    assert len(firebase.requests) == 7 + 1
    assert len(stored_in(database)) == 41
    assert failed_stores.read() == []


def test_three_symbols_refused_one_after_the_other_are_a_refused_rule(
    store: LatestValueStore, database: Firebase, firebase: Recorder
) -> None:
    database.faults({"status": 401, "contains": "poison"})
    results = [
        store.store([candidate("poison", 1, symbol=f"S{n}")], task=f"t{n}") for n in range(20)
    ]
    assert len(firebase.requests) == 3
    assert sum(result.waiting for result in results) == 17


def test_orders_of_one_refused_symbol_hold_up_no_others(
    store: LatestValueStore, database: Firebase
) -> None:
    database.faults({"status": 401, "contains": "poison"})
    for n in range(5):
        store.store([candidate("poison", 1, key=f"orders/{n}")], task=f"t{n}")
    result = store.store([candidate("good", 1, symbol="HOOD", key="orders/1")], task="good")
    assert len(result.written) == 1


def test_an_operator_need_not_wait(
    store: LatestValueStore, database: Firebase, failed_stores: FailedStores
) -> None:
    database.faults({"status": 401, "count": 1})
    store.store([candidate(1, 1)], task="t1")
    (entry,) = failed_stores.read()
    assert entry["count"] == 1
    assert len(store.store([candidate(1, 1)], task="t2", force=True).written) == 1
    assert failed_stores.read() == []


def test_an_equal_value_of_the_same_revision_is_not_written_and_a_different_one_is(
    store: LatestValueStore, firebase: Recorder
) -> None:
    for value in ({"total": 1}, {"total": 1}, {"total": 2}):
        store.store([candidate(value, 5)], task=str(value))
    assert firebase.requests == [[("SOFI", {"total": 1})], [("SOFI", {"total": 2})]]


def test_a_retry_does_not_overwrite_another_value_of_the_same_revision(
    store: LatestValueStore, firebase: Recorder
) -> None:
    for value, resumed in (("first", False), ("second", False), ("first", True)):
        candidates = [candidate(value, 5)]
        store.store(candidates, task=value, resumed=resumed)
    assert [request[0][1] for request in firebase.requests] == ["first", "second"]


def test_a_price_equal_to_the_stored_one_is_not_written(
    store: LatestValueStore, firebase: Recorder
) -> None:
    for price, revision in [(12.5, 1), (12.5, 2), ("12.50", 3), (13, 4), (12.5, 5)]:
        candidates = [candidate({"price": price, "volume": revision}, revision, key="price")]
        store.store(candidates, task=str(revision))
    assert [request[0][1]["volume"] for request in firebase.requests] == [1, 4, 5]


def test_orders_have_requests_of_their_own_after_the_figures_and_none_is_large(
    store: LatestValueStore, firebase: Recorder
) -> None:
    orders = [candidate({"text": "x" * 50_000}, 1, key=f"orders/{n}") for n in range(12)]
    large = candidate({"text": "x" * 2 * MAX_REQUEST_BYTES}, 1, key="orders/large")
    figures = [candidate(n, 1, symbol=f"S{n}") for n in range(500)]
    stored = store.store([*orders[:6], large, *figures, *orders[6:]], task="all")
    assert len(stored.written) == len([*orders, large, *figures])
    assert [len(request) for request in firebase.requests] == [500, 5, 1, 1, 5, 1]


def test_what_is_left_of_several_requests_is_written_by_the_retry(
    store: LatestValueStore, firebase: Recorder, database: Firebase
) -> None:
    database.faults({"status": 503, "contains": 'orders/7"', "count": 1})
    orders = [candidate({"text": "x" * 50_000}, 1, key=f"orders/{n}") for n in range(12)]
    with pytest.raises(Unfinished):
        store.store(orders, task="a", will_retry=True, retry_pause=1)
    store.store(orders, task="a", will_retry=True, retry_pause=1, resumed=True)
    assert len(database.get("services/SOFI/orders")) == 12
    # The second request failed; the retry had what it and the third were to write.
    assert [len(request) for request in firebase.requests] == [5, 5, 5, 2]


def test_orders_are_never_conflated(store: LatestValueStore) -> None:
    candidates = [candidate(n, 1, key=f"orders/{n}") for n in range(3)]
    stored = store.store(candidates, task="orders")
    assert len(stored.written) == 3


def test_a_task_that_never_catches_up_leaves_the_rest_to_its_next_execution(
    store: LatestValueStore, firebase: Recorder
) -> None:
    def always_newer() -> Iterator[None]:
        for revision in itertools.count(2):
            candidates = [candidate(revision, revision)]
            store.store(candidates, task="other")
            yield

    firebase.in_mid_write = always_newer()
    with pytest.raises(Unfinished, match="faster"):
        store.store([candidate(1, 1)], task="a", will_retry=True, retry_pause=1)
    assert len(firebase.requests) == MAX_ROUNDS


def test_revisions_only_grow_and_are_the_time(
    register: LatestValueRegister, redis_url: str
) -> None:
    def announced(value: int) -> int:
        (made,) = register.announce([Update("SOFI", "performance", value)])
        return made.revision

    revisions = [announced(n) for n in range(200)]
    assert revisions == sorted(set(revisions))
    with redis.Redis.from_url(redis_url) as client:
        client.set("profit-bridge:revision", 8_000_000_000_000_000)
        assert announced(200) == 8_000_000_000_000_001
        client.flushall()
        seconds, _ = client.time()
    assert abs(announced(201) / 1_000_000 - seconds) < 60


def test_what_is_announced_is_newer_than_a_time_ahead_of_ours(
    store: LatestValueStore, register: LatestValueRegister, database: Firebase
) -> None:
    ahead = candidate("ahead", 8_000_000_000_000_000)
    store.store([ahead], task="direct")
    made = register.announce([Update("SOFI", "performance", "now")])
    store.store(made, task="ours")
    assert stored_in(database) == {"SOFI": "now"}


def overdue(register: LatestValueRegister, redis_url: str, limit: int = 10) -> list[Candidate]:
    """Return what is overdue once every lease and every pause has ended."""
    with redis.Redis.from_url(redis_url) as client:
        for slot in client.zrange("profit-bridge:open", 0, -1):
            client.zadd("profit-bridge:open", {slot: 1})
            client.hset(slot, "until", 1)
            for field in ("doubt", "refused_until"):
                if client.hexists(slot, field):
                    client.hset(slot, field, 1)
        refusals = "profit-bridge:open:refusals"
        for field in client.hkeys(refusals):
            if field.endswith(b" until"):
                client.hset(refusals, field, 1)
    return register.overdue(limit)


def test_an_announced_value_whose_task_is_lost_is_overdue_until_it_is_stored(
    store: LatestValueStore, register: LatestValueRegister, redis_url: str
) -> None:
    updates = [
        Update("BRK.B", "news/a b/c", {"event": "fill"}),
        Update("SOFI", "price", 1),
        # Where the symbol ends and the key begins is never in doubt.
        Update("AAPL  230616C00150000", "performance", 2),
        Update("AAPL", " 230616C00150000 performance", 3),
    ]
    made = register.announce(updates)
    assert register.overdue(10) == []
    found = overdue(register, redis_url)
    assert sorted(found) == sorted(made)
    assert register.overdue(10) == []
    store.store(found, task="again")
    assert overdue(register, redis_url) == []


def test_a_slot_of_a_dead_holder_becomes_overdue(
    store: LatestValueStore, register: LatestValueRegister, redis_url: str, firebase: Recorder
) -> None:
    register.propose([candidate(1, 1)], register.new_holder("dies"), resumed=False)
    stored = store.store([candidate(2, 2)], task="b")
    assert stored.held == 1
    found = overdue(register, redis_url)
    store.store(found, task="c")
    assert firebase.requests == [[("SOFI", 2)]]


def test_a_slot_is_written_once_more_after_a_write_without_an_answer(
    store: LatestValueStore,
    register: LatestValueRegister,
    redis_url: str,
    firebase: Recorder,
    database: Firebase,
) -> None:
    database.faults({"drop": True, "commit": True, "count": 1})
    for resumed in (False, True):
        with suppress(Unfinished):
            store.store(
                [candidate(1, 1)], task="a", resumed=resumed, will_retry=True, retry_pause=1
            )
    assert len(firebase.requests) == 2
    found = overdue(register, redis_url)
    assert found == [candidate(1, 1)]
    store.store(found, task="later")
    assert len(firebase.requests) == 3
    assert overdue(register, redis_url) == []


def test_a_write_that_was_answered_with_an_error_is_not_written_once_more(
    store: LatestValueStore, register: LatestValueRegister, redis_url: str, database: Firebase
) -> None:
    database.faults({"status": 503, "count": 1})
    for resumed in (False, True):
        with suppress(Unfinished):
            store.store(
                [candidate(1, 1)], task="a", resumed=resumed, will_retry=True, retry_pause=1
            )
    assert overdue(register, redis_url) == []


def test_what_firebase_can_never_take_is_not_overdue(
    store: LatestValueStore, register: LatestValueRegister, redis_url: str, database: Firebase
) -> None:
    database.faults({"status": 400})
    store.store([candidate(1, 1)], task="a")
    assert overdue(register, redis_url) == []


def test_an_announced_price_equal_to_the_stored_one_becomes_no_task(
    store: LatestValueStore, register: LatestValueRegister
) -> None:
    price = Update("SOFI", "price", {"price": 12.5, "volume": 1})
    made = register.announce([price])
    store.store(made, task="a")
    assert register.announce([price._replace(value={"price": 12.5, "volume": 2})]) == []


def test_a_redis_that_cannot_be_reached_is_a_reason_to_retry_later(
    firebase: Recorder, failed_stores: FailedStores
) -> None:
    register = LatestValueRegister(Settings(redis_url="redis://127.0.0.1:1/0"))
    store = LatestValueStore(register, firebase, failed_stores)
    with pytest.raises(RetryLater, match="cannot use Redis at redis://127"):
        store.store([candidate(1, 1)], task="a")


def test_orders_that_a_former_version_announced_move_to_the_others(
    register: LatestValueRegister, redis_url: str
) -> None:
    (made,) = register.announce([Update("SOFI", "orders/7", {"event": "fill"})])
    with redis.Redis.from_url(redis_url) as client:
        client.rename("profit-bridge:open-orders", "profit-bridge:open")
    assert register.overdue(10) == []
    assert register.take_orders(10, MAX_REQUEST_BYTES) == ([made], 1)
    assert register.take_orders(10, MAX_REQUEST_BYTES) == ([], 1)
