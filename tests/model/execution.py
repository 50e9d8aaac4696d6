"""One execution of `LatestValueStore.store`, taken apart into its steps.

What an execution does next depends on nothing but the answers that it had so far. So its state is
the tuple of those, and its next step is found by running it again with these answers until it asks
for one more. The code that runs is the project's own, the LatestValueRegister's methods included.
"""

import functools
import json
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, ClassVar, NamedTuple, NoReturn

from app.delivery import (
    BULK_SIZE,
    Candidate,
    FailedStores,
    LatestValueRegister,
    LatestValueStore,
    StoreResult,
    Unfinished,
)
from app.domain import Update
from app.errors import GiveUp, OutcomeUnknown, RetryLater
from tests.model.lua_redis import SCRIPTS


class Value(NamedTuple):
    """A value for a slot, as JSON text, and its revision."""

    symbol: str
    key: str
    text: str
    revision: int = 0

    @property
    def update(self) -> Update:
        return Update(self.symbol, self.key, json.loads(self.text))


class Task(NamedTuple):
    """A task as somebody sent it."""

    name: str
    values: tuple[Value, ...]
    direct: bool = False
    """Called directly: nobody executes it again when it fails."""
    from_watch: bool = False
    """Sent because a slot was overdue."""
    by_time: bool = False
    """Sent without revisions: those of its values are their own times."""


class NoAnswer(Enum):
    """An answer that is none."""

    RETRY_LATER = "it was not done"
    OUTCOME_UNKNOWN = "nobody knows whether it was done"
    REFUSED = "it never will be done"


Answers = tuple[Any, ...]
"""What an execution was told: a script's reply, None for a write that landed, or NoAnswer."""


class Call(NamedTuple):
    """It runs one of the register's scripts."""

    script: str
    keys: tuple[str, ...]
    arguments: tuple[str, ...]


class Write(NamedTuple):
    """It sends one request to Firebase."""

    values: tuple[Value, ...]


class Ended(NamedTuple):
    """It is over. What `tasks.store` makes of that is said by `again` and `waits`."""

    again: bool
    """The task is to be executed again."""
    waits: bool
    """Not before the lease in its way has run out."""
    said: str


Next = Call | Write | Ended


class _AsksForMore(BaseException):
    """The answers are used up. No `except` of the project's may stop it."""

    def __init__(self, first: Next) -> None:
        super().__init__()
        self.first = first


class _Register(LatestValueRegister):
    """The project's register, whose scripts are answered from a list."""

    execution: ClassVar[int] = 0

    def __init__(self, ask: Callable[[Next], Any]) -> None:
        super().__init__("redis://nowhere.invalid")
        self._ask = ask
        for script in SCRIPTS:
            setattr(self, f"_{script}", functools.partial(self._call, script))

    @staticmethod
    def new_holder(task: str) -> str:
        """As the project's, but the same whenever the same execution is run again."""
        return f"{task}/{_Register.execution}"

    def _call(self, script: str, *, keys: Sequence[str], args: Sequence[Any]) -> Any:
        return self._ask(Call(script, tuple(keys), tuple(str(argument) for argument in args)))


class _FailedStores(FailedStores):
    """A list for operators that keeps nothing."""

    def add(self, update: Update, reason: str) -> None:
        pass


class Executions:
    """Finds the next step of any execution."""

    def __init__(self) -> None:
        self._register = _Register(self._ask)
        failed_stores = _FailedStores("redis://nowhere.invalid")
        self._store = LatestValueStore(self._register, self, failed_stores)
        self._given: list[Any] = []
        self._asked: Next | None = None
        self._known: dict[tuple[Task, int, Answers], Next] = {}

    def next(self, task: Task, execution: int, answers: Answers) -> Next:
        """What the execution does after these answers. The first execution has the number 1."""
        key = (task, execution, answers)
        if key not in self._known:
            self._known[key] = self._run(task, execution, answers)
        return self._known[key]

    def announce(self, values: tuple[Value, ...], answers: Answers) -> Call | tuple[Value, ...]:
        """How the hand-over announces values; with the answer, what it makes a task of."""
        return self._ask_once(
            lambda: self._register.announce([value.update for value in values]), answers
        )

    def overdue(self, answers: Answers) -> Call | tuple[Value, ...]:
        """How the hand-over looks for overdue slots; with the answer, what it makes a task of."""
        return self._ask_once(lambda: self._register.overdue(BULK_SIZE), answers)

    def store_many(self, updates: Sequence[Update]) -> None:
        """The Firebase of all executions."""
        self._ask(Write(tuple(Value(at, key, text(value)) for at, key, value in updates)))

    def _run(self, task: Task, execution: int, answers: Answers) -> Next:
        _Register.execution = execution
        self._given = list(answers)
        self._asked = None
        try:
            stored = self._store.store(
                [Candidate(value.update, value.revision) for value in task.values],
                task=task.name,
                resumed=execution > 1,
                by_time=task.by_time,
                will_retry=not task.direct,
            )
        except _AsksForMore as found:
            return found.first
        except RetryLater as error:
            waits = isinstance(error, Unfinished) and error.pause > 0
            return Ended(not task.direct, waits, "fails" if task.direct else "is to run again")
        return Ended(False, False, _said(stored))

    def _ask_once(
        self, ask: Callable[[], list[Candidate]], answers: Answers
    ) -> Call | tuple[Value, ...]:
        self._given = list(answers)
        self._asked = None
        try:
            found = ask()
        except _AsksForMore as more:
            first = more.first
        else:
            return tuple(Value(at, key, text(value), rev) for (at, key, value), rev in found)
        assert isinstance(first, Call)
        return first

    def _ask(self, what: Next) -> Any:
        if not self._given or self._asked:
            # Whoever cleans up after the first has nothing to say.
            self._asked = self._asked or what
            raise _AsksForMore(self._asked)
        answer = self._given.pop(0)
        if isinstance(answer, NoAnswer):
            _fail(answer)
        return _as_redis_py_has_it(answer)


def text(value: Any) -> str:
    """A value as JSON text, always the same for the same value."""
    return json.dumps(value, sort_keys=True)


def _fail(answer: NoAnswer) -> NoReturn:
    if answer == NoAnswer.REFUSED:
        raise GiveUp("Firebase will not take this")
    if answer == NoAnswer.OUTCOME_UNKNOWN:
        raise OutcomeUnknown("no answer")
    raise RetryLater("not done")


def _as_redis_py_has_it(reply: Any) -> Any:
    if isinstance(reply, tuple):
        return [_as_redis_py_has_it(element) for element in reply]
    return reply


def _said(stored: StoreResult) -> str:
    parts = {
        "wrote": len(stored.written),
        "found current": stored.current,
        "left to the holder": stored.held,
        "refused": len(stored.refused),
    }
    return ", ".join(f"{said} {count}" for said, count in parts.items() if count)
