"""The newest orders of a symbol stay in Firebase; each write removes those that it pushes out."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import redis

from app.delivery import FailedStores, KeptOrders, LatestValueRegister, LatestValueStore
from app.delivery import kept_orders as module
from app.domain import DAY, Update, to_text
from app.errors import Misconfigured
from app.firebase import FirebaseClient
from app.settings import Settings, load_settings
from tests.system import Firebase

Storing = Callable[..., list[str]]
"""Stores orders by id in one task, and returns the keys that Firebase has then."""


class Recorder(FirebaseClient):
    """The real client, which records the values of each request."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.requests: list[dict[str, Any]] = []

    def store_many(self, updates: Sequence[Update]) -> None:
        super().store_many(updates)
        self.requests.append({update.key: update.value for update in updates})


@pytest.fixture
def firebase(database: Firebase) -> Iterator[Recorder]:
    database.put("services", None)
    recorder = Recorder(load_settings({"FIREBASE_DATABASE_EMULATOR_HOST": database.host}))
    yield recorder
    recorder.close()


@pytest.fixture
def storing(
    redis_url: str,
    register: LatestValueRegister,
    firebase: Recorder,
    failed_stores: FailedStores,
    database: Firebase,
) -> Storing:
    def store_orders(*ids: str, kept: int = 3, symbol: str = "SOFI") -> list[str]:
        settings = Settings(redis_url=redis_url, orders_kept=kept)
        kept_orders = KeptOrders(settings, register, firebase)
        store = LatestValueStore(register, firebase, failed_stores, kept_orders)
        made = register.announce(
            [Update(symbol, f"orders/{one}", {"event": "fill"}) for one in ids]
        )
        store.store(made, task=repr(ids))
        return stored(database, symbol)

    return store_orders


def stored(database: Firebase, symbol: str = "SOFI") -> list[str]:
    orders = database.get(f"services/{symbol}/orders".replace(" ", "%20")) or {}
    if isinstance(orders, list):
        orders = {str(key): order for key, order in enumerate(orders) if order is not None}
    return sorted(orders)


def test_each_write_removes_what_it_pushes_out_in_the_same_request(
    storing: Storing, firebase: Recorder
) -> None:
    for number in range(3):
        storing(f"a{number}")
    assert storing("a3") == ["a1", "a2", "a3"]
    assert firebase.requests[-1] == {"orders/a0": {}, "orders/a3": {"event": "fill"}}
    assert storing("a4", "a5") == ["a3", "a4", "a5"]
    assert len(firebase.requests) == 5


def test_of_a_burst_only_the_newest_are_stored(storing: Storing, firebase: Recorder) -> None:
    assert len(storing(*(f"a{number}" for number in range(10)))) == 3
    assert len(firebase.requests) == 1


def test_an_order_that_changes_is_new_again(storing: Storing) -> None:
    storing("a")
    storing("b")
    storing("c")
    storing("a")
    assert storing("d") == ["a", "c", "d"]


def test_symbols_do_not_push_out_each_other(storing: Storing) -> None:
    storing("a", "b", "c")
    assert storing("d", symbol="BRK B") == ["d"]
    assert storing("e", symbol="0700") == ["e"]
    assert storing("a") == ["a", "b", "c"]


def test_ids_of_any_characters_are_removed_too(storing: Storing) -> None:
    for odd in ("7", "a/b.c", "!#", "ü \n", "orders/7"):
        assert len(storing(odd, kept=1)) == 1
    assert storing("8", kept=1) == ["8"]


def test_after_a_lost_redis_the_newest_are_known_by_their_time(
    storing: Storing, database: Firebase, redis_url: str
) -> None:
    storing("before")
    database.put("services/SOFI/orders", None)
    times: dict[str, Any] = {f"o{day}": to_text(20_000 * DAY + day) for day in (5, 1, 4, 2, 3)}
    times |= {"7": 1_700_000_000.5, "none": None}
    for name, timestamp in times.items():
        database.put(f"services/SOFI/orders/{name}", {"event": "fill", "timestamp": timestamp})
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    assert storing("new") == ["new", "o4", "o5"]


def test_many_unknown_orders_are_read_and_removed_some_at_a_time(
    storing: Storing, database: Firebase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "READ_AT_ONCE", 8)
    monkeypatch.setattr(module, "REMOVED_AT_ONCE", 10)
    ids = {f"o{number:02}": {"timestamp": to_text(DAY + number)} for number in range(20)}
    database.put("services/SOFI/orders", ids)
    assert len(storing("a")) == 21
    assert len(storing("b")) == 22
    assert len(storing("c")) == 13
    assert len(storing("d")) == 4
    assert storing("e") == ["c", "d", "e"]


def test_an_order_that_changes_while_it_is_pushed_out_stays(
    storing: Storing,
    register: LatestValueRegister,
    firebase: Recorder,
    database: Firebase,
    failed_stores: FailedStores,
) -> None:
    for name in "abc":
        storing(name)
    # The task of this change is on its way.
    changed = register.announce([Update("SOFI", "orders/a", {"event": "cancel"})])
    assert storing("d") == ["a", "c", "d"]
    LatestValueStore(register, firebase, failed_stores).store(changed, task="on its way")
    assert database.get("services/SOFI/orders/a") == {"event": "cancel"}


def test_an_order_that_another_task_writes_is_removed_by_that_task(
    storing: Storing, register: LatestValueRegister, firebase: Recorder, database: Firebase
) -> None:
    storing("a", kept=2)
    slow = register.new_holder("slow")
    made = register.announce([Update("SOFI", "orders/a", {"event": "cancel"})])
    (outcome,) = register.propose(made, slow, resumed=False)
    assert outcome.write
    storing("b", kept=2)
    storing("c", "d", kept=2)
    assert firebase.requests[-1].keys() == {"orders/b", "orders/c", "orders/d"}
    firebase.store_many([outcome.write.update])
    (removal,) = register.confirm([outcome.write], slow).newer
    assert removal.update.value == {}
    firebase.store_many([removal.update])
    assert register.confirm([removal], slow).newer == []
    assert stored(database) == ["c", "d"]


def test_none_are_kept_if_none_are_wanted(storing: Storing) -> None:
    storing("a", "b")
    assert storing("c", kept=0) == []


def test_if_they_cannot_be_read_orders_are_stored_and_none_is_removed(
    storing: Storing, firebase: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(symbol: str) -> list[str]:
        raise Misconfigured("Permission denied")

    monkeypatch.setattr(firebase, "order_ids", denied)
    assert storing("a", "b", "c", "d") == ["a", "b", "c", "d"]
