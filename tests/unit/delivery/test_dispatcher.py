"""What the dispatcher does about errors: it reports them, keeps its changes and tries again."""

import logging
from collections.abc import Iterator, Sequence

import pytest

from app.delivery import Candidate, Dispatcher, LatestValueRegister
from app.domain import Update
from app.errors import RetryLater
from app.monitoring import use_standard_logging
from app.settings import Settings
from tests.system import wait_until


class Register(LatestValueRegister):
    """A register without Redis, in which nothing is ever stored or overdue."""

    def announce(self, updates: Sequence[Update]) -> list[Candidate]:
        return [Candidate(update, 1) for update in updates]

    def overdue(self, limit: int) -> list[Candidate]:
        return []

    def take_orders(self, limit: int, most_bytes: int) -> tuple[list[Candidate], int]:
        return [], 0


class Queue:
    """A queue that raises an error for as long as there is one."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.tasks: list[Candidate] = []
        self.count_waiting = 0

    def waiting(self) -> int:
        return self.count_waiting

    def store(self, candidates: Sequence[Candidate]) -> None:
        if self.error:
            raise self.error
        self.tasks += candidates

    store_in_bulk = store


@pytest.fixture
def queue() -> Queue:
    return Queue()


@pytest.fixture
def dispatcher(queue: Queue) -> Iterator[Dispatcher]:
    use_standard_logging()
    dispatcher = Dispatcher(queue, Register(Settings(redis_url="redis://nowhere.invalid")))
    dispatcher.start()
    yield dispatcher
    dispatcher.close(2)


def test_a_stalled_dispatcher_says_why_and_dispatches_once_it_can(
    dispatcher: Dispatcher, queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    queue.error = RetryLater("the broker is away")
    dispatcher.put(figures={"SOFI": b"1"})
    wait_until(lambda: dispatcher.stalled == "the broker is away", "stall")
    assert dispatcher.slots_waiting == 1
    assert not any(record.exc_info for record in caplog.records)
    queue.error = None
    wait_until(lambda: not dispatcher.stalled, "end of the stall")
    assert [update.symbol for update, _ in queue.tasks] == ["SOFI"]


def test_a_bug_is_logged_with_its_traceback_and_loses_nothing(
    dispatcher: Dispatcher, queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    queue.error = TypeError("no such argument")
    dispatcher.put(figures={"SOFI": b"1"})
    wait_until(lambda: "no such argument" in dispatcher.stalled, "report of the bug")
    wait_until(lambda: bool(caplog.records), "log line")
    first = caplog.records[0]
    assert first.levelno == logging.ERROR
    assert first.exc_info
    queue.error = None
    wait_until(lambda: not dispatcher.stalled, "next attempt")
    assert [update.symbol for update, _ in queue.tasks] == ["SOFI"]


def test_closing_leaves_changes_that_no_worker_would_take(
    dispatcher: Dispatcher, queue: Queue
) -> None:
    queue.count_waiting = 100
    wait_until(lambda: dispatcher.tasks_waiting == 100, "check of the queue")
    dispatcher.put(figures={"SOFI": b"1"})
    assert dispatcher.close(5) == 1
    assert queue.tasks == []
