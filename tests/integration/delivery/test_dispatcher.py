"""The backlog is bounded by slots, and the newest value of each is dispatched."""

import base64
import json
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import pytest
import redis

from app.delivery import (
    ANY_REVISION,
    BULK_SIZE,
    MAX_REQUEST_BYTES,
    MAX_SINGLE_TASKS,
    MAX_TASKS_WAITING,
    Candidate,
    Dispatcher,
    FailedStores,
    LatestValueRegister,
    LatestValueStore,
)
from app.domain import Update
from app.settings import Settings, load_settings
from tasks.celery_app import app
from tasks.queue import CeleryQueue
from tests.system import wait_until


class Queue:
    """The Celery queue as it is in Redis, and a switch that forbids enqueueing."""

    def __init__(self, url: str) -> None:
        self._client: redis.Redis = redis.Redis.from_url(url)
        self.taken: list[dict[str, Any]] = []

    def tasks(self) -> list[dict[str, Any]]:
        """Return every task that was enqueued, oldest first."""
        waiting: Any = self._client.lrange("profit-bridge", 0, -1)
        return self.taken + [json.loads(entry) for entry in reversed(waiting)]

    def take_all(self) -> None:
        while (entry := self._client.rpop("profit-bridge")) is not None:
            self.taken.append(json.loads(entry))  # type: ignore[arg-type]

    def proposed(self) -> dict[str, Any]:
        """Return the last total of each symbol in the tasks; of a bulk task, what it names."""
        totals = {}
        for task in self.tasks():
            for symbol, key, value, _ in values_of(task):
                totals[symbol] = (self.announced(symbol, key) if value is None else value)["total"]
        return totals

    def announced(self, symbol: str, key: str) -> Any:
        found: Any = self._client.hget(f"profit-bridge:newest:{symbol} {key}", "value")
        return json.loads(found)

    def allow(self, *, enqueueing: bool) -> None:
        self._client.execute_command("ACL", "SETUSER", "default", f"{'+-'[not enqueueing]}lpush")

    def refused(self) -> int:
        """Return how many times enqueueing was refused."""
        return len(self._client.acl_log())

    def close(self) -> None:
        self._client.acl_log_reset()
        self.allow(enqueueing=True)
        self._client.close()


def values_of(task: dict[str, Any]) -> list[list[Any]]:
    """Return symbol, key, value and revision of everything in a task."""
    arguments, options, _ = json.loads(base64.b64decode(task["body"]))
    name = task["headers"]["task"]
    if name == "tasks.store_in_bulk":
        return [[symbol, key, None, None] for symbol, key in arguments[0]]
    if name == "tasks.store_performance":
        return [[arguments[0], "performance", arguments[1], options["revision"]]]
    return [[*arguments, options["revision"]]]


@pytest.fixture
def queue(redis_url: str) -> Iterator[Queue]:
    queue = Queue(redis_url)
    yield queue
    queue.close()


@pytest.fixture
def dispatcher(queue: Queue, redis_url: str) -> Iterator[Dispatcher]:
    app.conf.broker_url = redis_url
    settings = load_settings({"REDIS_URL": redis_url})
    dispatcher = Dispatcher(CeleryQueue(settings), LatestValueRegister(settings))
    dispatcher.start()
    yield dispatcher
    dispatcher.close(2)


def performances(**totals: int) -> dict[tuple[str, str], str]:
    return {
        (symbol, "performance"): json.dumps({"total": total}) for symbol, total in totals.items()
    }


def all_of(symbols: int, total: int = 0) -> dict[tuple[str, str], str]:
    return performances(**{f"S{n}": total for n in range(symbols)})


def test_few_changes_become_one_task_each(dispatcher: Dispatcher, queue: Queue) -> None:
    dispatcher.put(all_of(MAX_SINGLE_TASKS))
    wait_until(lambda: len(queue.tasks()) == MAX_SINGLE_TASKS, "tasks")


def test_many_changes_become_bulk_tasks(dispatcher: Dispatcher, queue: Queue) -> None:
    dispatcher.put(all_of(BULK_SIZE + 50))
    wait_until(lambda: len(queue.proposed()) == BULK_SIZE + 50, "all symbols")
    assert len(queue.tasks()) == 2


def test_while_no_worker_takes_tasks_the_backlog_is_bounded_by_symbols(
    dispatcher: Dispatcher, queue: Queue
) -> None:
    def is_enqueued_or_waits(before: int) -> bool:
        return len(queue.tasks()) > before or before >= MAX_TASKS_WAITING

    for total in range(3 * MAX_TASKS_WAITING):
        before = len(queue.tasks())
        dispatcher.put(all_of(20, total))
        wait_until(partial(is_enqueued_or_waits, before), "the task")
    assert dispatcher.close(5) == 20
    assert len(queue.tasks()) == MAX_TASKS_WAITING


def test_changes_that_had_to_wait_are_dispatched_as_their_newest_values(
    dispatcher: Dispatcher, queue: Queue
) -> None:
    for total in range(500):
        dispatcher.put(all_of(20, total))

    def all_are_current() -> bool:
        queue.take_all()
        return queue.proposed() == {f"S{n}": 499 for n in range(20)}

    wait_until(all_are_current, "the newest of each")


def _candidates(queue: Queue, totals: dict[str, int]) -> bool:
    return queue.proposed() == totals


def _is_dispatched(queue: Queue, symbol: str, total: int) -> bool:
    values = [value for task in queue.tasks() for value in values_of(task)]
    return any(value[:3] == [symbol, "performance", {"total": total}] for value in values)


def test_later_values_have_higher_revisions(dispatcher: Dispatcher, queue: Queue) -> None:
    for total in range(MAX_TASKS_WAITING):
        dispatcher.put(performances(SOFI=total))
        newest = {"SOFI": total}
        wait_until(partial(_candidates, queue, newest), "the task")
    revisions = [value[3] for task in queue.tasks() for value in values_of(task)]
    assert len(revisions) == MAX_TASKS_WAITING
    assert revisions == sorted(set(revisions))


def test_a_broker_that_refuses_loses_nothing_and_keeps_the_newest(
    dispatcher: Dispatcher, queue: Queue
) -> None:
    queue.allow(enqueueing=False)
    dispatcher.put(performances(SOFI=1, HOOD=1))
    wait_until(lambda: queue.refused() > 0, "refusal")
    dispatcher.put(performances(SOFI=2))
    queue.allow(enqueueing=True)
    wait_until(lambda: queue.proposed() == {"SOFI": 2, "HOOD": 1}, "both")


def test_a_whole_burst_is_announced_even_while_nothing_can_be_enqueued(
    dispatcher: Dispatcher, queue: Queue
) -> None:
    queue.allow(enqueueing=False)
    dispatcher.put(all_of(3 * BULK_SIZE, 7))
    wait_until(lambda: queue.refused() > 0, "refusal")
    assert queue.announced(f"S{3 * BULK_SIZE - 1}", "performance") == {"total": 7}
    queue.allow(enqueueing=True)
    wait_until(lambda: queue.proposed() == {f"S{n}": 7 for n in range(3 * BULK_SIZE)}, "all tasks")


def test_closing_dispatches_what_is_left(dispatcher: Dispatcher, queue: Queue) -> None:
    dispatcher.put(performances(SOFI=1))
    assert dispatcher.close(5) == 0
    assert queue.proposed() == {"SOFI": 1}


def test_flower_can_read_the_arguments_of_a_task(dispatcher: Dispatcher, queue: Queue) -> None:
    dispatcher.put(performances(SOFI=1) | {("SOFI", "price"): '{"price": 2}'})
    wait_until(lambda: len(queue.tasks()) == 2, "both tasks")
    performance_task, price_task = queue.tasks()
    assert performance_task["headers"]["task"] == "tasks.store_performance"
    assert performance_task["headers"]["argsrepr"] == "('SOFI', {'total': 1})"
    assert price_task["headers"]["task"] == "tasks.store_ticker_data"
    assert price_task["headers"]["argsrepr"] == "('SOFI', 'price', {'price': 2})"


def orders(count: int, size: int = 50_000, first: int = 0) -> dict[tuple[str, str], str]:
    value = json.dumps({"text": "x" * size})
    return {("SOFI", f"orders/{first + number}"): value for number in range(count)}


def test_a_flood_of_orders_is_one_task_at_a_time_and_figures_go_on(
    dispatcher: Dispatcher, queue: Queue, redis_url: str, failed_stores: FailedStores
) -> None:
    class Anywhere:
        def store_many(self, updates: Sequence[Update]) -> None:
            pass

    register = LatestValueRegister(Settings(redis_url=redis_url))
    store = LatestValueStore(register, Anywhere(), failed_stores)
    waiting = 40
    dispatcher.put(orders(waiting))
    names: list[str] = []
    while len(names) < waiting:
        wait_until(lambda: len(queue.tasks()) > 0, "the next task with orders")
        (task,) = queue.tasks()
        candidates = [
            Candidate(Update(symbol, key, None), ANY_REVISION)
            for symbol, key, *_ in values_of(task)
        ]
        # Several loops of the dispatcher later it is still the only one.
        for total in range(3):
            dispatcher.put(performances(HOOD=total))
            wait_until(partial(_is_dispatched, queue, "HOOD", total), "a figure meanwhile")
            queue.take_all()
        assert len(queue.tasks()) == 4
        queue.taken.clear()
        assert 1 <= len(candidates) <= MAX_REQUEST_BYTES // 50_000
        names += [update.key for update, _ in candidates]
        store.store(candidates, task=names[-1])
    assert sorted(names) == sorted(key for _, key in orders(waiting))
    wait_until(lambda: dispatcher.orders_open == 0, "none left")


def test_orders_that_could_not_be_enqueued_are_enqueued_first(
    dispatcher: Dispatcher, queue: Queue
) -> None:
    queue.allow(enqueueing=False)
    dispatcher.put(orders(2, size=5))
    wait_until(lambda: queue.refused() > 0, "refusal")
    dispatcher.put(orders(1, size=5, first=2))
    queue.allow(enqueueing=True)
    wait_until(lambda: len(queue.tasks()) > 0, "the task")
    (task,) = queue.tasks()
    assert [key for _, key, *_ in values_of(task)] == ["orders/0", "orders/1"]
