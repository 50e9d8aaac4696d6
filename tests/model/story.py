"""Whether a schedule goes wrong, and its steps in words."""

import json
from collections.abc import Iterable, Sequence

from tests.model.execution import End, FirebaseWrite, ScriptCall, Value
from tests.model.world import Kind, State, Step, World

_FAILURE_SCRIPTS = ("extend", "release")


def is_stale(state: State) -> bool:
    """Whether Firebase has another value of a slot than the newest."""
    newest = {(value.symbol, value.key): value for value in state.order}
    stored = {(value.symbol, value.key): value for value in state.stored}
    return any(
        slot not in stored or not _same(stored[slot], value) for slot, value in newest.items()
    )


def steps_back(before: State, after: State) -> bool:
    """Whether the value of a slot in Firebase was replaced by an older one."""
    if before.stored == after.stored:
        return False
    had = {(value.symbol, value.key): value for value in before.stored}
    return any(
        slot in had and _age(after, value) < _age(after, had[slot]) and not _same(value, had[slot])
        for slot, value in (((value.symbol, value.key), value) for value in after.stored)
    )


def describe(world: World, steps: Sequence[Step]) -> str:
    """Return a schedule as text, one line per step."""
    lines = []
    state = world.start()
    for number, step in enumerate(steps, 1):
        after = world.take(state, step)
        back = " <- older than what was there" if steps_back(state, after) else ""
        lines.append(f"{number:3}. {_text(world, state, step, after)}{back}")
        state = after
    newest = {(value.symbol, value.key): value for value in state.order}.values()
    lines.append(f"     Firebase has {_values(state.stored)}; the newest is {_values(newest)}")
    return "\n".join(lines)


def _text(world: World, state: State, step: Step, after: State) -> str:
    if step.kind in (Kind.TIME, Kind.TOO_SLOW):
        return str(step.kind.value)
    if step.kind in (Kind.ANNOUNCES, Kind.REDISPATCHES):
        return _lines_of_dispatcher(world, state, step, after)
    if step.kind == Kind.LANDS_LATE:
        values = state.late[step.at].values
        return f"the late write of {_values(values)} lands: Firebase has {_values(after.stored)}"
    name = state.tasks[step.at].task.name
    if step.kind == Kind.DIES:
        return f"{name} dies, and will be delivered again"
    if step.kind == Kind.LOST:
        return f"{name} is lost for good"
    return _lines_of_task(world, state, step, after) + _outcome(after, step)


def _lines_of_dispatcher(world: World, state: State, step: Step, after: State) -> str:
    made = "and there is nothing to store"
    if len(after.tasks) > len(state.tasks):
        made = f"and enqueues {after.tasks[-1].task.name}"
    if step.kind == Kind.REDISPATCHES:
        return f"the dispatcher finds {_values(after.tasks[-1].task.values)} overdue, {made}"
    value = world.scenario.announced[state.announced]
    return f"the dispatcher announces {_values([value])}, {made}"


def _lines_of_task(world: World, state: State, step: Step, after: State) -> str:
    progress = state.tasks[step.at]
    pending = world.next_step(progress)
    if isinstance(pending, FirebaseWrite) and progress.in_flight:
        how = "it lands" if step.kind == Kind.LANDS else step.kind.value
        if step.kind == Kind.LANDS and any(
            v.text in world.scenario.refused for v in pending.values
        ):
            how = "refused for good"
        written = f"{progress.task.name}'s write of {_values(pending.values)}"
        return f"{written}: {how}; Firebase has {_values(after.stored)}"
    text = _described(progress.task.name, pending)
    if step.kind in (Kind.REDIS_LOST, Kind.REDIS_DOWN):
        return f"{text}: {step.kind.value}"
    return text + _reply(world, state, step)


def _described(name: str, pending: ScriptCall | FirebaseWrite | End) -> str:
    if isinstance(pending, FirebaseWrite):
        return f"{name} begins to write {_values(pending.values)}"
    assert isinstance(pending, ScriptCall)
    if pending.script == "propose":
        return f"{name} proposes {', '.join(pending.arguments[6::3])}"
    if pending.script in _FAILURE_SCRIPTS:
        return f"{name} {pending.script}s its lease"
    return f"{name} confirms its write"


def _reply(world: World, state: State, step: Step) -> str:
    """Return what the register answers to a call."""
    pending = world.next_step(state.tasks[step.at])
    if not isinstance(pending, ScriptCall) or pending.script in _FAILURE_SCRIPTS:
        return ""
    reply, _ = world.scripts.run(*pending, state.data)
    outcomes = reply[1] if pending.script == "confirm" else reply
    return ": " + ", ".join(_answer(*found) for found in outcomes)


def _answer(status: bytes, *rest: bytes) -> str:
    if status == b"write":
        return f"to write {rest[1].decode()}"
    texts = {b"held": "held by another task", b"held by this task": "held by itself"}
    return texts.get(status, status.decode())


def _outcome(after: State, step: Step) -> str:
    progress = after.tasks[step.at]
    if progress.done:
        return "; it ends"
    return "" if progress.runs or progress.in_flight else "; it will run again"


def _same(one: Value, other: Value) -> bool:
    """Whether there is no difference worth a write. Of a price, only the price counts."""
    if one.key == other.key == "price":
        return bool(json.loads(one.text)["price"] == json.loads(other.text)["price"])
    return one.text == other.text


def _age(state: State, value: Value) -> int:
    return next(at for at, known in enumerate(state.order) if known[:3] == value[:3])


def _values(values: Iterable[Value]) -> str:
    text = (v.text if v.symbol == "SOFI" else f"{v.symbol}={v.text}" for v in values)
    return " and ".join(text) or "nothing"
