"""Every interleaving of three tasks, with one fault or none, ends on the newest value.

The code that runs is the project's own: LatestValueStore, LatestValueRegister and its Lua scripts.
`pytest -n 0 -s tests/model` prints how many schedules were explored.

There are three classes of schedules:

- Without a fault no schedule ends stale, and in none does a stored value step back.
- With one fault none ends stale. If every write lands before its lease ends, none steps back
  either. A write that lands later may step back, until its slot is written once more.
- Only a write that lands after its lease and whose task is dead needs reconciliation, because
  nobody is left who knows of it.
"""

from collections.abc import Mapping

import pytest

from tests.model import scenarios, story
from tests.model.execution import Executions
from tests.model.lua_redis import INITIAL_DATA, SCRIPT_TEXTS, LocalLua, RedisLua
from tests.model.scenarios import SENT
from tests.model.schedules import Explored, at_random, explore
from tests.model.world import Kind, Scenario, World

REPLAYED = 240
"""How many schedules are run against a real Redis."""

_executions = Executions()
_scripts = LocalLua()


def named(group: Mapping[str, Scenario]) -> list[object]:
    """Return the scenarios of a group as parameters."""
    return [pytest.param(name, scenario, id=name) for name, scenario in group.items()]


def world(scenario: Scenario, scripts: Mapping[str, str] | None = None) -> World:
    return World(scenario, LocalLua(scripts) if scripts else _scripts, _executions)


def explored(name: str, system: World) -> Explored:
    found = explore(system)
    print(f"\n{name}: {found.schedules:,} schedules through {found.states:,} states")
    for fault, schedules in (("a value steps back", found.steps_back), ("stale", found.stale)):
        for steps in schedules:
            print(f"{name}: {fault}\n{story.describe(system, steps)}")
    return found


@pytest.mark.parametrize(("name", "scenario"), named(scenarios.FAULTLESS))
def test_without_a_fault_no_schedule_ends_stale_and_none_steps_back(
    name: str, scenario: Scenario
) -> None:
    found = explored(name, world(scenario))
    assert not found.stale
    assert not found.steps_back
    assert found.schedules > 100


@pytest.mark.parametrize(("name", "scenario"), named(scenarios.ONE_FAULT))
def test_with_one_fault_no_schedule_ends_stale_and_none_steps_back(
    name: str, scenario: Scenario
) -> None:
    found = explored(name, world(scenario))
    assert not found.stale
    assert not found.steps_back
    assert found.schedules > 100_000


@pytest.mark.parametrize(("name", "scenario"), named(scenarios.LATE_WRITE))
def test_a_write_that_lands_after_its_lease_is_overwritten(name: str, scenario: Scenario) -> None:
    found = explored(name, world(scenario))
    assert found.steps_back, "the scenario has no late write"
    assert not found.stale
    assert found.schedules > 10_000_000


def test_a_write_that_lands_after_its_lease_and_its_task_needs_reconciliation() -> None:
    found = explored("the late write of a dead task", world(scenarios.DEAD_WRITE))
    assert found.stale, "if this never happens, say so in ARCHITECTURE.md"
    assert not found.stale_for_good
    assert found.schedules > 1_000_000


def without(script: str, text: str, instead: str) -> dict[str, str]:
    """Return the scripts with one part removed, from all of them that have it."""
    assert text in SCRIPT_TEXTS[script]
    return {name: whole.replace(text, instead) for name, whole in SCRIPT_TEXTS.items()}


LEASE_CHECK = "if is_held_by_another(slot) then"
CHECK_FOR_NEWER = "local has_more_to_write = not is_stored(slot)"
LEASED_SLOT_IS_OPEN = "redis.call('ZADD', open_slots, now + lease, slot.key)"
MARK_TO_WRITE_AGAIN = "redis.call('HSET', slot.key, 'again', '1')"
UNKNOWN_OUTCOME = "if longest_write ~= 0 then"

STALE_ENDS = {
    "Firebase has 1; the newest is 3",
    "Firebase has 1; the newest is 2",
    "Firebase has nothing; the newest is 2",
}


def test_without_the_lease_a_value_steps_back() -> None:
    system = world(Scenario(SENT), without("propose", LEASE_CHECK, "if false then"))
    (steps,) = explored("without the lease", system).steps_back
    text = story.describe(system, steps)
    assert "<- older than what was there" in text
    assert len(text.splitlines()) == len(steps) + 1


@pytest.mark.parametrize(
    ("name", "scripts", "scenario"),
    [
        (
            "without the check for a newer value",
            without("confirm", CHECK_FOR_NEWER, "local has_more_to_write = false"),
            Scenario(SENT),
        ),
        (
            "without the lease, and a crash",
            without("propose", LEASE_CHECK, "if false then"),
            Scenario(SENT[:2], faults=scenarios.CRASHES),
        ),
        (
            "without the open slots",
            without("propose", LEASED_SLOT_IS_OPEN, ""),
            Scenario(SENT[:2], faults=frozenset({Kind.LOST})),
        ),
        (
            "without the mark to write again",
            without("confirm", MARK_TO_WRITE_AGAIN, ""),
            Scenario(SENT[:2], faults=frozenset({Kind.TOO_SLOW})),
        ),
        (
            "without noting an unknown outcome",
            without("extend", UNKNOWN_OUTCOME, "if false then"),
            Scenario(SENT[:2], faults=frozenset({Kind.TIMES_OUT})),
        ),
    ],
)
def test_with_a_part_removed_a_schedule_ends_stale(
    name: str, scripts: dict[str, str], scenario: Scenario
) -> None:
    system = world(scenario, scripts)
    (steps,) = explored(name, system).stale
    text = story.describe(system, steps)
    assert text.splitlines()[0].strip() == "1. t1 proposes 1: to write 1"
    assert text.splitlines()[-1].strip() in STALE_ENDS


def test_the_scripts_answer_the_same_in_a_real_redis(redis_url: str) -> None:
    sampled = [*scenarios.FAULTLESS.values(), *scenarios.ONE_FAULT.values()]
    sampled += [*scenarios.LATE_WRITE.values(), scenarios.DEAD_WRITE]
    worlds = [world(scenario) for scenario in sampled]
    in_redis = RedisLua(redis_url)
    steps_taken = 0
    for seed in range(REPLAYED):
        here = worlds[seed % len(worlds)]
        there = World(here.scenario, in_redis, _executions)
        in_redis.start()
        steps = at_random(here, seed)
        one, other = here.start(), there.start()
        for number, step in enumerate(steps, 1):
            one, other = here.take(one, step), there.take(other, step)
            assert one == other, f"seed {seed}\n{story.describe(here, steps[:number])}"
        assert one.data != INITIAL_DATA
        steps_taken += len(steps)
    print(f"\n{REPLAYED} schedules, {steps_taken:,} steps, are the same in a real Redis")
