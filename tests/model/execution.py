"""One execution of `LatestValueStore.store`, taken apart into its steps.

What an execution does next depends only on the answers that it has had so far. So its state is the
tuple of those, and its next step is found by running it again with these answers until it needs
one more. The code that runs is the project's own, the methods of LatestValueRegister included.
"""

import functools
import json
from collections.abc import Callable, Iterable, Sequence
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
from app.settings import Settings
from tests.model.lua_redis import SCRIPT_TEXTS

_NOWHERE = Settings(redis_url="redis://nowhere.invalid")


class Value(NamedTuple):
    """A value for a slot, as JSON text, and its revision."""

    symbol: str
    key: str
    text: str
    revision: int = 0

    @property
    def update(self) -> Update:
        return Update(self.symbol, self.key, json.loads(self.text))


class ModelTask(NamedTuple):
    """A task as it was sent."""

    name: str
    values: tuple[Value, ...]
    direct: bool = False
    """Called directly, so that it is not executed again when it fails."""
    is_redispatch: bool = False
    """Sent because a slot was overdue."""
    by_time: bool = False
    """Sent without revisions: those of its values are their own times."""


class Failure(Enum):
    """What a call may get in place of an answer."""

    RETRY_LATER = "it was not done"
    OUTCOME_UNKNOWN = "nobody knows whether it was done"
    REFUSED = "it will never be done"


Answers = tuple[Any, ...]
"""The answers to an execution: a script's reply, None for a write that has landed, or Failure."""


class ScriptCall(NamedTuple):
    """The execution runs one of the register's scripts."""

    script: str
    keys: tuple[str, ...]
    arguments: tuple[str, ...]


class FirebaseWrite(NamedTuple):
    """The execution sends one request to Firebase."""

    values: tuple[Value, ...]


class End(NamedTuple):
    """The execution is over."""

    is_retried: bool
    """The task is executed again."""
    waits: bool
    """That execution waits until the lease in its way has ended."""
    description: str


NextStep = ScriptCall | FirebaseWrite | End


class _NeedsAnswer(BaseException):
    """The answers are used up. It is not an Exception, so that the project does not catch it."""

    def __init__(self, step: NextStep) -> None:
        super().__init__()
        self.step = step


class _Client:
    """A Redis client whose scripts are answered by `ask`."""

    def __init__(self, ask: Callable[[NextStep], Any]) -> None:
        self._ask = ask
        self._names = {text: name for name, text in SCRIPT_TEXTS.items()}

    def register_script(self, text: str) -> Callable[..., Any]:
        return functools.partial(self._call, self._names[text])

    def _call(self, script: str, *, keys: Sequence[str], args: Sequence[Any]) -> Any:
        arguments = tuple(str(argument) for argument in args)
        return self._ask(ScriptCall(script, tuple(keys), arguments))


class _Register(LatestValueRegister):
    """The project's register, with holders that are the same whenever an execution runs again."""

    execution: ClassVar[int] = 0

    @staticmethod
    def new_holder(task: str) -> str:
        return f"{task}/{_Register.execution}"


class _NoFailedStores(FailedStores):
    """A list that keeps nothing: it is for operators."""

    def add(self, refused: Iterable[tuple[Update, str]], *, is_new: bool = True) -> None:
        pass

    def forget(self, updates: Sequence[Update]) -> None:
        pass


class Executions:
    """Finds the next step of any execution."""

    def __init__(self) -> None:
        self._register = _Register(_NOWHERE, _Client(self._ask))
        self._store = LatestValueStore(self._register, self, _NoFailedStores(_NOWHERE))
        self._answers: list[Any] = []
        self._step: NextStep | None = None
        self._known: dict[tuple[ModelTask, int, Answers], NextStep] = {}

    def next(self, task: ModelTask, execution: int, answers: Answers) -> NextStep:
        """Return what the execution does after these answers. Executions are counted from 1."""
        key = (task, execution, answers)
        if key not in self._known:
            self._known[key] = self._run(task, execution, answers)
        return self._known[key]

    def announce(
        self, values: tuple[Value, ...], answers: Answers
    ) -> ScriptCall | tuple[Value, ...]:
        """Return how the dispatcher announces values; with the answer, what its task stores."""
        return self._run_call(
            lambda: self._register.announce([value.update for value in values]), answers
        )

    def overdue(self, answers: Answers) -> ScriptCall | tuple[Value, ...]:
        """Return how the dispatcher finds overdue slots; with the answer, what its task stores."""
        return self._run_call(lambda: self._register.overdue(BULK_SIZE), answers)

    def store_many(self, updates: Sequence[Update]) -> None:
        """Write to Firebase, for all executions."""
        values = (Value(symbol, key, json_text(value)) for symbol, key, value in updates)
        self._ask(FirebaseWrite(tuple(values)))

    def _run(self, task: ModelTask, execution: int, answers: Answers) -> NextStep:
        _Register.execution = execution
        self._answers, self._step = list(answers), None
        try:
            result = self._store.store(
                [Candidate(value.update, value.revision) for value in task.values],
                task=task.name,
                resumed=execution > 1,
                by_time=task.by_time,
                will_retry=not task.direct,
            )
        except _NeedsAnswer as needed:
            return needed.step
        except RetryLater as error:
            waits = isinstance(error, Unfinished) and error.pause > 0
            return End(not task.direct, waits, "fails" if task.direct else "will be retried")
        return End(False, False, _described(result))

    def _run_call(
        self, call: Callable[[], list[Candidate]], answers: Answers
    ) -> ScriptCall | tuple[Value, ...]:
        self._answers, self._step = list(answers), None
        try:
            candidates = call()
        except _NeedsAnswer as needed:
            step = needed.step
        else:
            return tuple(
                Value(symbol, key, json_text(value), revision)
                for (symbol, key, value), revision in candidates
            )
        assert isinstance(step, ScriptCall)
        return step

    def _ask(self, step: NextStep) -> Any:
        if not self._answers or self._step:
            # Only the first step counts, whatever the project does to clean up after it.
            self._step = self._step or step
            raise _NeedsAnswer(self._step)
        answer = self._answers.pop(0)
        if isinstance(answer, Failure):
            _raise(answer)
        return _with_lists(answer)


def json_text(value: Any) -> str:
    """Return a value as JSON text, the same text for the same value."""
    return json.dumps(value, sort_keys=True)


def _raise(failure: Failure) -> NoReturn:
    if failure == Failure.REFUSED:
        raise GiveUp("Firebase will not take this")
    if failure == Failure.OUTCOME_UNKNOWN:
        raise OutcomeUnknown("no answer")
    raise RetryLater("not done")


def _with_lists(reply: Any) -> Any:
    """Return a reply as redis-py has it."""
    if isinstance(reply, tuple):
        return [_with_lists(element) for element in reply]
    return reply


def _described(result: StoreResult) -> str:
    counts = {
        "wrote": len(result.written),
        "found current": result.current,
        "left to the holder": result.held,
        "refused": len(result.refused),
    }
    return ", ".join(f"{what} {count}" for what, count in counts.items() if count)
