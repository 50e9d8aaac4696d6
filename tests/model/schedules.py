"""Every schedule of a scenario: all orders in which its steps can happen, to the end.

Schedules that reach the same state continue in the same ways. So each state is continued once, and
the schedules through it are counted. The count is exact, and no schedule is left out.
"""

import gc
import random
from dataclasses import dataclass, field

from tests.model import story
from tests.model.world import FAULTS, State, Step, World

Schedule = list[Step]


@dataclass
class Explored:
    """The result of all schedules of one scenario."""

    schedules: int
    states: int
    steps_back: list[Schedule] = field(default_factory=list)
    """A shortest schedule in which a stored value is replaced by an older one, if any."""
    stale: list[Schedule] = field(default_factory=list)
    """A shortest schedule that ends on an old value, if any."""
    stale_for_good: list[Schedule] = field(default_factory=list)
    """The same, among those where reconciliation does not help."""


def explore(world: World) -> Explored:
    """Explore every schedule.

    Raises:
        AssertionError: A schedule reaches a state that is not an end and cannot continue.
    """
    collects = gc.isenabled()
    gc.disable()  # it would traverse all states, over and over
    try:
        return _explore(world)
    finally:
        if collects:
            gc.enable()


def _explore(world: World) -> Explored:
    start = world.start()
    places = {start: 0}
    states = [start]
    before: list[tuple[int, Step] | None] = [None]
    after: list[list[int]] = []
    explored = Explored(0, 0)

    def path_to(place: int) -> Schedule:
        steps = []
        while (previous := before[place]) is not None:
            place, step = previous
            steps.append(step)
        return steps[::-1]

    for place, state in enumerate(states):  # grows meanwhile: breadth first
        if world.is_over(state) and story.is_stale(state):
            if not explored.stale:
                explored.stale.append(path_to(place))
            if not explored.stale_for_good and story.is_stale(reconciled(world, state)):
                explored.stale_for_good.append(path_to(place))
        follow = []
        for step in world.steps(state):
            found = world.take(state, step)
            if not explored.steps_back and story.steps_back(state, found):
                explored.steps_back.append([*path_to(place), step])
            if found not in places:
                places[found] = len(states)
                states.append(found)
                before.append((place, step))
            follow.append(places[found])
        assert follow or world.is_over(state), story.describe(world, path_to(place))
        after.append(follow)
    ends = [world.is_over(state) for state in states]
    explored.schedules = _paths(after, ends)
    explored.states = len(states)
    return explored


def reconciled(world: World, state: State) -> State:
    """Return the state after the newest values have been announced and stored once more."""
    state = state._replace(late=())
    for value in {(value.symbol, value.key): value for value in state.order}.values():
        state = world.reconcile(state, value)
    while not world.is_over(state):
        step = next(step for step in world.steps(state) if step.kind not in FAULTS)
        state = world.take(state, step)
    return state


def at_random(world: World, seed: int) -> Schedule:
    """Return one schedule, to its end."""
    chance = random.Random(seed)
    state = world.start()
    steps: Schedule = []
    while choice := world.steps(state):
        if world.is_over(state) and chance.random() < 0.5:
            break
        step = chance.choice(choice)
        steps.append(step)
        state = world.take(state, step)
    return steps


def _paths(after: list[list[int]], ends: list[bool]) -> int:
    """Return how many paths lead from the first place to an end. There are no cycles."""
    counts: dict[int, int] = {}
    stack = [0]
    while stack:
        place = stack[-1]
        missing = [following for following in after[place] if following not in counts]
        if missing:
            stack += missing
        else:
            stack.pop()
            counts[place] = ends[place] + sum(counts[following] for following in after[place])
    return counts[0]
