"""The whole system as states and steps: hand-over, tasks, register, Firebase, time and faults.

`World.steps` says what can happen in a state, `World.take` what it leads to. A state has all that
decides what follows, so equal states have equal futures.
"""

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from app.delivery import ANY_REVISION, LONGEST_WRITE_SECONDS
from tests.model.execution import Answers, Call, Ended, Executions, NoAnswer, Task, Value, Write
from tests.model.lua_redis import AT_FIRST, NOW, OPEN, TICK, Held, Scripts


class Kind(Enum):
    """What a step is."""

    HANDS_OVER = "the hand-over announces the next value, and enqueues its task"
    GOES_ON = "a task runs its next script, or sends its next write"
    LANDS = "a write takes effect, and its task has the answer"
    LOOKS = "the dispatcher looks for overdue slots, and enqueues a task for them"
    TIME = "half a lease passes"
    LANDS_LATE = "a write takes effect whose task has no part in it any more"
    # Faults:
    DIES = "a task dies, and is given out again"
    LOST = "a task dies, or never gets to a worker, and nobody knows"
    NO_EFFECT = "a write fails, and has no effect"
    ANSWER_LOST = "a write takes effect, and its task does not get the answer"
    TIMES_OUT = "a write times out, and is still under way"
    TOO_SLOW = "half a lease passes, and with it a lease whose holder is still at it"
    REDIS_LOST = "a script is run, and its task does not get the answer"
    REDIS_AWAY = "a script is not run, and its task gets an error"


FAULTS = frozenset(list(Kind)[list(Kind).index(Kind.DIES) :])


class Step(NamedTuple):
    """One thing that happens."""

    kind: Kind
    at: int = 0
    """The place of its task, or of its late write."""


class Progress(NamedTuple):
    """How far a task has come. An execution that has no answers yet waits for a worker."""

    task: Task
    execution: int = 1
    answers: Answers = ()
    runs: bool = False
    in_flight: bool = False
    """Its write is on its way."""
    waits: bool = False
    """Its next execution is not due before time has passed."""
    done: bool = False


class Late(NamedTuple):
    """A write on its way without its task."""

    values: tuple[Value, ...]
    ticks: int | None
    """How long it may still land; None: for ever."""


class State(NamedTuple):
    """Everything."""

    held: Held
    stored: tuple[Value, ...]
    """What Firebase has, a value per slot."""
    tasks: tuple[Progress, ...]
    announced: int = 0
    late: tuple[Late, ...] = ()
    order: tuple[Value, ...] = ()
    """All values that were proposed, of each slot the newest last."""
    faults: int = 0


@dataclass(frozen=True)
class Scenario:
    """What is sent, and what may go wrong."""

    sent: tuple[Task, ...] = ()
    """Tasks that somebody sends, with revisions of his own."""
    announced: tuple[Value, ...] = ()
    """Values that the hand-over announces, one after the other."""
    in_bulk: bool = False
    """The hand-over's tasks only name the slots, as those of many slots do."""
    faults: frozenset[Kind] = frozenset()
    most_faults: int = 1
    dead_writes_end: bool = True
    """What a dead task had under way lands before its lease ends, or never."""
    refused: frozenset[str] = frozenset()
    """Values that Firebase never takes."""


class World:
    """What can happen, and what it leads to."""

    def __init__(self, scenario: Scenario, scripts: Scripts, executions: Executions) -> None:
        self.scenario = scenario
        self.scripts = scripts
        self.executions = executions

    def start(self) -> State:
        return State(AT_FIRST, (), tuple(Progress(task) for task in self.scenario.sent))

    def steps(self, state: State) -> list[Step]:
        """All that can happen in a state."""
        steps = list(self._faultless(state))
        if self._may_fail(state):
            steps += [step for step in self._faults(state) if step.kind in self.scenario.faults]
        return steps

    def take(self, state: State, step: Step) -> State:
        """The state after a step that can happen."""
        if step.kind in FAULTS:
            state = state._replace(faults=state.faults + 1)
        match step.kind:
            case Kind.HANDS_OVER:
                after = self._dispatch(state)
            case Kind.LOOKS:
                after = self._look(state)
            case Kind.TIME | Kind.TOO_SLOW:
                after = self._pass_time(state)
            case Kind.LANDS_LATE:
                late = state.late[step.at]
                left = state.late[: step.at] + state.late[step.at + 1 :]
                after = self._landed(state._replace(late=left), late.values)
            case Kind.DIES | Kind.LOST:
                after = self._die(state, step)
            case Kind.GOES_ON | Kind.REDIS_LOST | Kind.REDIS_AWAY:
                after = self._go_on(state, step)
            case Kind.LANDS | Kind.NO_EFFECT | Kind.ANSWER_LOST | Kind.TIMES_OUT:
                after = self._answer_write(state, step)
        return after

    def is_over(self, state: State) -> bool:
        """Whether nothing is left to do."""
        return (
            state.announced == len(self.scenario.announced)
            and all(progress.done for progress in state.tasks)
            and not _times(state.held).any_open
        )

    def asked(self, progress: Progress) -> Call | Write | Ended:
        """What a task does next."""
        return self.executions.next(progress.task, progress.execution, progress.answers)

    def redispatch_overdue(self, state: State, value: Value) -> State:
        """A reconciliation of one slot: its newest value is announced, and a task enqueued."""
        return self._announce(state, value, "reconciliation")

    def _faultless(self, state: State) -> Iterable[Step]:
        if state.announced < len(self.scenario.announced):
            yield Step(Kind.HANDS_OVER)
        for at, progress in enumerate(state.tasks):
            if progress.in_flight:
                yield Step(Kind.LANDS, at)
            elif not progress.done and not progress.waits:
                yield Step(Kind.GOES_ON, at)
        for at in range(len(state.late)):
            yield Step(Kind.LANDS_LATE, at)
        times = _times(state.held)
        if times.overdue and all(p.done for p in state.tasks if p.task.from_watch):
            yield Step(Kind.LOOKS)
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
            elif not progress.done and isinstance(self.asked(progress), Call):
                yield Step(Kind.REDIS_LOST, at)
                yield Step(Kind.REDIS_AWAY, at)
            if (progress.runs or progress.done) and not progress.task.direct:
                yield Step(Kind.DIES, at)
        if self._outlives_its_lease(state):
            yield Step(Kind.TOO_SLOW)

    def _outlives_its_lease(self, state: State) -> bool:
        """Whether a lease would end within a tick while its holder is at it."""
        ending = _times(state.held).ending
        return bool(ending) and any(
            f"{p.task.name}/{p.execution}" in ending for p in state.tasks if p.runs
        )

    def _dispatch(self, state: State) -> State:
        value = self.scenario.announced[state.announced]
        state = state._replace(announced=state.announced + 1)
        return self._announce(state, value, f"t{state.announced}")

    def _announce(self, state: State, value: Value, name: str) -> State:
        call = self.executions.announce((value,), ())
        assert isinstance(call, Call)
        reply, held = self.scripts.run(*call, state.held)
        found = self.executions.announce((value,), (reply,))
        newest = max((known.revision for known in state.order), default=0) + 1
        state = state._replace(
            held=held,
            order=_aged(state.order, (value._replace(revision=newest),), resumed=False),
        )
        assert not isinstance(found, Call)
        return _enqueue(state, Task(name, self._sent(found))) if found else state

    def _look(self, state: State) -> State:
        call = self.executions.overdue(())
        assert isinstance(call, Call)
        reply, held = self.scripts.run(*call, state.held)
        found = self.executions.overdue((reply,))
        assert not isinstance(found, Call)
        again = 1 + sum(progress.task.from_watch for progress in state.tasks)
        task = Task(f"again{again}", self._sent(found), from_watch=True)
        return _enqueue(state._replace(held=held), task)

    def _sent(self, found: tuple[Value, ...]) -> tuple[Value, ...]:
        """What the hand-over's task carries of what was announced."""
        if not self.scenario.in_bulk:
            return found
        return tuple(value._replace(text="null", revision=ANY_REVISION) for value in found)

    def _pass_time(self, state: State) -> State:
        return state._replace(
            held=self.scripts.tick(state.held),
            late=tuple(
                late._replace(ticks=late.ticks and late.ticks - 1)
                for late in state.late
                if late.ticks != 1
            ),
            tasks=tuple(
                progress._replace(waits=progress.waits and _ticks_held(state, progress) > 1)
                for progress in state.tasks
            ),
        )

    def _die(self, state: State, step: Step) -> State:
        progress = state.tasks[step.at]
        if progress.in_flight:
            written = self.asked(progress)
            assert isinstance(written, Write)
            ticks = _ticks_held(state, progress) if self.scenario.dead_writes_end else None
            state = state._replace(late=(*state.late, Late(written.values, ticks)))
        if step.kind == Kind.LOST:
            return _with(state, step.at, Progress(progress.task, 0, done=True))
        return _with(state, step.at, Progress(progress.task, progress.execution + 1))

    def _go_on(self, state: State, step: Step) -> State:
        progress = state.tasks[step.at]
        asked = self.asked(progress)
        if isinstance(asked, Write):
            return _with(state, step.at, progress._replace(in_flight=True))
        assert isinstance(asked, Call)
        answer = NoAnswer.RETRY_LATER
        if step.kind != Kind.REDIS_AWAY:
            if asked.script == "propose":
                resumed = progress.execution > 1
                order = _aged(state.order, progress.task.values, resumed=resumed)
                state = state._replace(order=order)
            reply, held = self.scripts.run(*asked, state.held)
            state = state._replace(held=held)
            answer = answer if step.kind == Kind.REDIS_LOST else reply
        return self._answered(state, step.at, answer)

    def _answer_write(self, state: State, step: Step) -> State:
        written = self.asked(state.tasks[step.at])
        assert isinstance(written, Write)
        answer = None
        if step.kind == Kind.NO_EFFECT:
            answer = NoAnswer.RETRY_LATER
        elif any(value.text in self.scenario.refused for value in written.values):
            answer = NoAnswer.REFUSED
        elif step.kind == Kind.TIMES_OUT:
            ticks = round(LONGEST_WRITE_SECONDS * 1000) // TICK
            state = state._replace(late=(*state.late, Late(written.values, ticks)))
            answer = NoAnswer.OUTCOME_UNKNOWN
        else:
            state = self._landed(state, written.values)
            answer = NoAnswer.OUTCOME_UNKNOWN if step.kind == Kind.ANSWER_LOST else None
        return self._answered(state, step.at, answer)

    def _answered(self, state: State, at: int, answer: object) -> State:
        progress = state.tasks[at]
        progress = progress._replace(
            answers=(*progress.answers, answer), runs=True, in_flight=False
        )
        ended = self.asked(progress)
        if isinstance(ended, Ended):
            if ended.again:
                execution = progress.execution + 1
                progress = Progress(progress.task, execution, waits=ended.waits)
            else:
                # The number of its execution matters no more, unless it may die even now.
                execution = progress.execution if self._may_fail(state) else 0
                progress = Progress(progress.task, execution, done=True)
        return _with(state, at, progress)

    def _may_fail(self, state: State) -> bool:
        return state.faults < self.scenario.most_faults and bool(self.scenario.faults)

    def _landed(self, state: State, values: tuple[Value, ...]) -> State:
        if any(value.text in self.scenario.refused for value in values):
            return state
        stored = {(value.symbol, value.key): value for value in (*state.stored, *values)}
        return state._replace(stored=tuple(stored[slot] for slot in sorted(stored)))


def _with(state: State, at: int, progress: Progress) -> State:
    return state._replace(tasks=(*state.tasks[:at], progress, *state.tasks[at + 1 :]))


def _enqueue(state: State, task: Task) -> State:
    return state._replace(tasks=(*state.tasks, Progress(task)))


def _aged(order: tuple[Value, ...], values: Iterable[Value], *, resumed: bool) -> tuple[Value, ...]:
    """With more values, of which the higher revision is newer; of the same, the later proposed.

    One that its task has perhaps proposed before wins no tie; one that only names its slot is none.
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


def _fields(held: Held, key: str) -> dict[str, str]:
    return next((dict(fields) for name, fields in held if name == key), {})


class _Times(NamedTuple):
    """What the times in Redis mean."""

    any_open: bool
    """A slot is not stored."""
    overdue: bool
    """The time to look at one has come."""
    awaited: bool
    """The time to look at one will come."""
    leases: tuple[tuple[str, int], ...]
    """Who has a lease, for how many ticks."""
    ending: frozenset[str]
    """Whose lease ends with the next tick."""


@functools.lru_cache(100_000)
def _times(held: Held) -> _Times:
    keys = {key: dict(fields) for key, fields in held}
    rounds = [int(at) for at in keys.pop(OPEN, {}).values()]
    leases = tuple(
        (fields["holder"], (int(fields["until"]) - NOW) // TICK)
        for fields in keys.values()
        if "holder" in fields
    )
    return _Times(
        bool(rounds),
        any(at <= NOW for at in rounds),
        any(at > NOW for at in rounds),
        leases,
        frozenset(holder for holder, ticks in leases if ticks == 1),
    )


def _ticks_held(state: State, progress: Progress) -> int:
    """How long the leases go on that any execution of the task has."""
    task = f"{progress.task.name}/"
    leases = _times(state.held).leases
    return max((ticks for holder, ticks in leases if holder.startswith(task)), default=0)
