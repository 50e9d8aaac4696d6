"""The whole system as states and steps: dispatcher, tasks, register, Firebase, time and faults.

`World.steps` returns what can happen in a state, `World.take` the state that it leads to. A state
has everything that decides what follows, so equal states have equal futures.
"""

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from app.delivery import ANY_REVISION, LONGEST_WRITE_SECONDS
from tests.model.execution import (
    Answers,
    End,
    Executions,
    Failure,
    FirebaseWrite,
    ModelTask,
    ScriptCall,
    Value,
)
from tests.model.lua_redis import INITIAL_DATA, NAMES, NOW, TICK, RedisData, Scripts


class Kind(Enum):
    """What happens in a step."""

    ANNOUNCES = "the dispatcher announces the next value, and enqueues its task"
    CONTINUES = "a task runs its next script, or sends its next write"
    LANDS = "a write takes effect, and its task has the answer"
    REDISPATCHES = "the dispatcher finds overdue slots, and enqueues a task for them"
    TIME = "half a lease passes"
    LANDS_LATE = "a write takes effect after its task has given it up, or died"
    # Faults:
    DIES = "a task dies, and is delivered again"
    LOST = "a task dies, or never reaches a worker, and is not delivered again"
    NO_EFFECT = "a write fails, and has no effect"
    ANSWER_LOST = "a write takes effect, and its task does not get the answer"
    TIMES_OUT = "a write times out, and is still under way"
    TOO_SLOW = "half a lease passes, and ends a lease whose holder is still writing"
    REDIS_LOST = "a script is run, and its task does not get the answer"
    REDIS_DOWN = "a script is not run, and its task gets an error"


FAULTS = frozenset(list(Kind)[list(Kind).index(Kind.DIES) :])


class Step(NamedTuple):
    """One thing that happens."""

    kind: Kind
    at: int = 0
    """The index of its task, or of its late write."""


class Progress(NamedTuple):
    """How far a task has got. An execution without answers waits for a worker."""

    task: ModelTask
    execution: int = 1
    answers: Answers = ()
    runs: bool = False
    in_flight: bool = False
    """Its write has been sent and has not landed."""
    waits: bool = False
    """Its next execution is due only after time has passed."""
    done: bool = False


class Late(NamedTuple):
    """A write that may still land, and that no task waits for."""

    values: tuple[Value, ...]
    ticks: int | None
    """For how long it may still land; None: for ever."""


class State(NamedTuple):
    """The whole system at one moment."""

    data: RedisData
    stored: tuple[Value, ...]
    """What Firebase has: one value per slot."""
    tasks: tuple[Progress, ...]
    announced: int = 0
    late: tuple[Late, ...] = ()
    order: tuple[Value, ...] = ()
    """All values that were proposed. Of each slot the newest is the last."""
    faults: int = 0


@dataclass(frozen=True)
class Scenario:
    """What is sent, and what may go wrong."""

    sent: tuple[ModelTask, ...] = ()
    """Tasks that others send, with revisions of their own."""
    announced: tuple[Value, ...] = ()
    """Values that the dispatcher announces, one after the other."""
    in_bulk: bool = False
    """The dispatcher's tasks only name the slots, as bulk tasks do."""
    faults: frozenset[Kind] = frozenset()
    max_faults: int = 1
    dead_writes_end: bool = True
    """The write of a task that died lands before its lease ends, or never."""
    refused: frozenset[str] = frozenset()
    """Values that Firebase will never take."""


class World:
    """What can happen, and what it leads to."""

    def __init__(self, scenario: Scenario, scripts: Scripts, executions: Executions) -> None:
        self.scenario = scenario
        self.scripts = scripts
        self.executions = executions

    def start(self) -> State:
        return State(INITIAL_DATA, (), tuple(Progress(task) for task in self.scenario.sent))

    def steps(self, state: State) -> list[Step]:
        """Return all that can happen in a state."""
        steps = list(self._faultless(state))
        if self._may_fail(state):
            steps += [step for step in self._faults(state) if step.kind in self.scenario.faults]
        return steps

    def take(self, state: State, step: Step) -> State:
        """Return the state after a step that can happen."""
        if step.kind in FAULTS:
            state = state._replace(faults=state.faults + 1)
        match step.kind:
            case Kind.ANNOUNCES:
                after = self._dispatch(state)
            case Kind.REDISPATCHES:
                after = self._redispatch(state)
            case Kind.TIME | Kind.TOO_SLOW:
                after = self._pass_time(state)
            case Kind.LANDS_LATE:
                late = state.late[step.at]
                left = state.late[: step.at] + state.late[step.at + 1 :]
                after = self._landed(state._replace(late=left), late.values)
            case Kind.DIES | Kind.LOST:
                after = self._die(state, step)
            case Kind.CONTINUES | Kind.REDIS_LOST | Kind.REDIS_DOWN:
                after = self._go_on(state, step)
            case Kind.LANDS | Kind.NO_EFFECT | Kind.ANSWER_LOST | Kind.TIMES_OUT:
                after = self._answer_write(state, step)
        return after

    def is_over(self, state: State) -> bool:
        """Whether nothing is left to do."""
        return (
            state.announced == len(self.scenario.announced)
            and all(progress.done for progress in state.tasks)
            and not _times(state.data).any_open
        )

    def next_step(self, progress: Progress) -> ScriptCall | FirebaseWrite | End:
        """Return what a task does next."""
        return self.executions.next(progress.task, progress.execution, progress.answers)

    def reconcile(self, state: State, value: Value) -> State:
        """Reconcile one slot: announce its newest value, and enqueue a task."""
        return self._announce(state, value, "reconciliation")

    def _faultless(self, state: State) -> Iterable[Step]:
        if state.announced < len(self.scenario.announced):
            yield Step(Kind.ANNOUNCES)
        for at, progress in enumerate(state.tasks):
            if progress.in_flight:
                yield Step(Kind.LANDS, at)
            elif not progress.done and not progress.waits:
                yield Step(Kind.CONTINUES, at)
        for at in range(len(state.late)):
            yield Step(Kind.LANDS_LATE, at)
        times = _times(state.data)
        if times.overdue and all(p.done for p in state.tasks if p.task.is_redispatch):
            yield Step(Kind.REDISPATCHES)
        passes = times.awaited or any(progress.waits for progress in state.tasks)
        if passes and not self._outlives_its_lease(state):
            yield Step(Kind.TIME)

    def _faults(self, state: State) -> Iterable[Step]:
        for at, progress in enumerate(state.tasks):
            if not progress.done:
                yield Step(Kind.LOST, at)
            if progress.in_flight:
                for kind in (Kind.NO_EFFECT, Kind.ANSWER_LOST, Kind.TIMES_OUT):
                    yield Step(kind, at)
            elif not progress.done and isinstance(self.next_step(progress), ScriptCall):
                yield Step(Kind.REDIS_LOST, at)
                yield Step(Kind.REDIS_DOWN, at)
            if (progress.runs or progress.done) and not progress.task.direct:
                yield Step(Kind.DIES, at)
        if self._outlives_its_lease(state):
            yield Step(Kind.TOO_SLOW)

    def _outlives_its_lease(self, state: State) -> bool:
        """Whether a lease would end within a tick while its holder is writing."""
        ending = _times(state.data).ending
        return bool(ending) and any(
            f"{p.task.name}/{p.execution}" in ending for p in state.tasks if p.runs
        )

    def _dispatch(self, state: State) -> State:
        value = self.scenario.announced[state.announced]
        state = state._replace(announced=state.announced + 1)
        return self._announce(state, value, f"t{state.announced}")

    def _announce(self, state: State, value: Value, name: str) -> State:
        call = self.executions.announce((value,), ())
        assert isinstance(call, ScriptCall)
        reply, data = self.scripts.run(*call, state.data)
        found = self.executions.announce((value,), (reply,))
        newest = max((known.revision for known in state.order), default=0) + 1
        state = state._replace(
            data=data,
            order=_with_proposed(state.order, (value._replace(revision=newest),), resumed=False),
        )
        assert not isinstance(found, ScriptCall)
        return _enqueue(state, ModelTask(name, self._sent(found))) if found else state

    def _redispatch(self, state: State) -> State:
        call = self.executions.overdue(())
        assert isinstance(call, ScriptCall)
        reply, data = self.scripts.run(*call, state.data)
        found = self.executions.overdue((reply,))
        assert not isinstance(found, ScriptCall)
        number = 1 + sum(progress.task.is_redispatch for progress in state.tasks)
        task = ModelTask(f"again{number}", self._sent(found), is_redispatch=True)
        return _enqueue(state._replace(data=data), task)

    def _sent(self, found: tuple[Value, ...]) -> tuple[Value, ...]:
        """Return what the dispatcher's task carries of what was announced."""
        if not self.scenario.in_bulk:
            return found
        return tuple(value._replace(text="null", revision=ANY_REVISION) for value in found)

    def _pass_time(self, state: State) -> State:
        return state._replace(
            data=self.scripts.tick(state.data),
            late=tuple(
                late._replace(ticks=late.ticks and late.ticks - 1)
                for late in state.late
                if late.ticks != 1
            ),
            tasks=tuple(
                progress._replace(waits=progress.waits and _lease_ticks(state, progress) > 1)
                for progress in state.tasks
            ),
        )

    def _die(self, state: State, step: Step) -> State:
        progress = state.tasks[step.at]
        if progress.in_flight:
            written = self.next_step(progress)
            assert isinstance(written, FirebaseWrite)
            ticks = _lease_ticks(state, progress) if self.scenario.dead_writes_end else None
            state = state._replace(late=(*state.late, Late(written.values, ticks)))
        if step.kind == Kind.LOST:
            return _with(state, step.at, Progress(progress.task, 0, done=True))
        return _with(state, step.at, Progress(progress.task, progress.execution + 1))

    def _go_on(self, state: State, step: Step) -> State:
        progress = state.tasks[step.at]
        pending = self.next_step(progress)
        if isinstance(pending, FirebaseWrite):
            return _with(state, step.at, progress._replace(in_flight=True))
        assert isinstance(pending, ScriptCall)
        answer = Failure.RETRY_LATER
        if step.kind != Kind.REDIS_DOWN:
            if pending.script == "propose":
                resumed = progress.execution > 1
                order = _with_proposed(state.order, progress.task.values, resumed=resumed)
                state = state._replace(order=order)
            reply, data = self.scripts.run(*pending, state.data)
            state = state._replace(data=data)
            answer = answer if step.kind == Kind.REDIS_LOST else reply
        return self._answered(state, step.at, answer)

    def _answer_write(self, state: State, step: Step) -> State:
        written = self.next_step(state.tasks[step.at])
        assert isinstance(written, FirebaseWrite)
        answer = None
        if step.kind == Kind.NO_EFFECT:
            answer = Failure.RETRY_LATER
        elif any(value.text in self.scenario.refused for value in written.values):
            answer = Failure.REFUSED
        elif step.kind == Kind.TIMES_OUT:
            ticks = round(LONGEST_WRITE_SECONDS * 1000) // TICK
            state = state._replace(late=(*state.late, Late(written.values, ticks)))
            answer = Failure.OUTCOME_UNKNOWN
        else:
            state = self._landed(state, written.values)
            answer = Failure.OUTCOME_UNKNOWN if step.kind == Kind.ANSWER_LOST else None
        return self._answered(state, step.at, answer)

    def _answered(self, state: State, at: int, answer: object) -> State:
        progress = state.tasks[at]
        progress = progress._replace(
            answers=(*progress.answers, answer), runs=True, in_flight=False
        )
        ended = self.next_step(progress)
        if isinstance(ended, End):
            if ended.is_retried:
                execution = progress.execution + 1
                progress = Progress(progress.task, execution, waits=ended.waits)
            else:
                # The number of its execution no longer matters, unless it may still die.
                execution = progress.execution if self._may_fail(state) else 0
                progress = Progress(progress.task, execution, done=True)
        return _with(state, at, progress)

    def _may_fail(self, state: State) -> bool:
        return state.faults < self.scenario.max_faults and bool(self.scenario.faults)

    def _landed(self, state: State, values: tuple[Value, ...]) -> State:
        if any(value.text in self.scenario.refused for value in values):
            return state
        stored = {(value.symbol, value.key): value for value in (*state.stored, *values)}
        return state._replace(stored=tuple(stored[slot] for slot in sorted(stored)))


def _with(state: State, at: int, progress: Progress) -> State:
    return state._replace(tasks=(*state.tasks[:at], progress, *state.tasks[at + 1 :]))


def _enqueue(state: State, task: ModelTask) -> State:
    return state._replace(tasks=(*state.tasks, Progress(task)))


def _with_proposed(
    order: tuple[Value, ...], values: Iterable[Value], *, resumed: bool
) -> tuple[Value, ...]:
    """Return `order` with more values: the higher revision is newer, of equals the later proposed.

    A resumed task may have proposed its value before, so it wins no tie. A value that only names
    its slot is left out.
    """
    for value in values:
        if value.revision == ANY_REVISION or any(value[:3] == known[:3] for known in order):
            continue
        older = [
            known
            for known in order
            if known.revision < value.revision or (known.revision == value.revision and not resumed)
        ]
        order = (*older, value, *(known for known in order if known not in older))
    return order


def _fields(data: RedisData, key: str) -> dict[str, str]:
    return next((dict(fields) for name, fields in data if name == key), {})


class _Times(NamedTuple):
    """What the times in Redis's data mean."""

    any_open: bool
    """There is a slot whose newest value is not stored."""
    overdue: bool
    """One of them is overdue."""
    awaited: bool
    """One of them will become overdue."""
    leases: tuple[tuple[str, int], ...]
    """The holders of leases, and for how many ticks they have them."""
    ending: frozenset[str]
    """The holders whose lease ends with the next tick."""


@functools.lru_cache(100_000)
def _times(data: RedisData) -> _Times:
    keys = {key: dict(fields) for key, fields in data}
    overdue_times = [int(at) for at in keys.pop(NAMES.open_slots, {}).values()]
    leases = tuple(
        (fields["holder"], (int(fields["until"]) - NOW) // TICK)
        for fields in keys.values()
        if "holder" in fields
    )
    return _Times(
        bool(overdue_times),
        any(at <= NOW for at in overdue_times),
        any(at > NOW for at in overdue_times),
        leases,
        frozenset(holder for holder, ticks in leases if ticks == 1),
    )


def _lease_ticks(state: State, progress: Progress) -> int:
    """Return for how many ticks any execution of the task has a lease."""
    task = f"{progress.task.name}/"
    leases = _times(state.data).leases
    return max((ticks for holder, ticks in leases if holder.startswith(task)), default=0)
