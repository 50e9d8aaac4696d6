"""The scenarios to explore: what is sent, and what may go wrong."""

from tests.model.execution import ModelTask, Value
from tests.model.world import Kind, Scenario


def value(text: str, revision: int = 0, symbol: str = "SOFI") -> Value:
    return Value(symbol, "performance", text, revision)


def price(amount: float, volume: int, revision: int = 0) -> Value:
    return Value("SOFI", "price", f'{{"price": {amount}, "volume": {volume}}}', revision)


ONE, TWO, THREE = (ModelTask(f"t{n}", (value(str(n), n),)) for n in (1, 2, 3))
SENT = (ONE, TWO, THREE)
"""Sent with revisions of their own, and executed in any order."""

ANNOUNCED = (value("1"), value("2"), value("3"))

UP_AND_DOWN = (price(12.5, 1), price(13, 2), price(12.5, 3))
PRICES = tuple(
    ModelTask(f"t{n}", (value._replace(revision=n),)) for n, value in enumerate(UP_AND_DOWN, 1)
)

OF_ONE_TIME = tuple(ModelTask(f"t{n}", (value(str(n), 5),), by_time=True) for n in (1, 2, 3))
OF_TWO_TIMES = (*OF_ONE_TIME[:2], ModelTask("t3", (value("3", 6),), by_time=True))
"""The second value gets the revision that is the time of the third."""

BULK = (
    ModelTask("t1", (value("1", 1), value("11", 2, "UBER"))),
    ModelTask("t2", (value("2", 2), value("10", 1, "UBER"))),
    ModelTask("t3", (value("3", 3),)),
)

FAULTLESS = {
    "three tasks": Scenario(SENT),
    "three values announced": Scenario(announced=ANNOUNCED),
    "three values announced in bulk": Scenario(announced=ANNOUNCED, in_bulk=True),
    "three prices, up and down": Scenario(PRICES),
    "three prices announced, up and down": Scenario(announced=UP_AND_DOWN),
    "three values of one time": Scenario(OF_ONE_TIME),
    "two values of one time, and one a microsecond later": Scenario(OF_TWO_TIMES),
    "two bulk tasks in two slots, and a third": Scenario(BULK),
    "a value that is refused": Scenario(SENT, refused=frozenset("2")),
    "a value that is announced and refused": Scenario(announced=ANNOUNCED, refused=frozenset("2")),
    "a bulk task with a value that is refused": Scenario(BULK, refused=frozenset("2")),
}

CRASHES = frozenset({Kind.DIES, Kind.LOST})
ANSWERED_OR_NOT = frozenset({Kind.NO_EFFECT, Kind.ANSWER_LOST})

ONE_FAULT = {
    "three tasks, one dies": Scenario(SENT, faults=frozenset({Kind.DIES})),
    "three tasks, one is lost": Scenario(SENT, faults=frozenset({Kind.LOST})),
    "two values announced, one crash": Scenario(announced=ANNOUNCED[:2], faults=CRASHES),
    "two values announced in bulk, one crash": Scenario(
        announced=ANNOUNCED[:2], in_bulk=True, faults=CRASHES
    ),
    "three prices, up and down, one crash": Scenario(PRICES, faults=CRASHES),
    "three values of one time, one crash": Scenario(OF_ONE_TIME, faults=CRASHES),
    "two bulk tasks in two slots, one crash": Scenario(BULK[:2], faults=CRASHES),
    "three tasks, one write fails": Scenario(SENT, faults=ANSWERED_OR_NOT),
    "three prices, up and down, one write fails": Scenario(
        PRICES, faults=frozenset({Kind.NO_EFFECT})
    ),
    "two tasks and a direct call, one crash or failed write": Scenario(
        (ONE._replace(direct=True), TWO, THREE), faults=frozenset({Kind.NO_EFFECT, Kind.LOST})
    ),
    "three tasks, Redis down once": Scenario(
        SENT, faults=frozenset({Kind.REDIS_LOST, Kind.REDIS_DOWN})
    ),
    "three prices, up and down, Redis down once": Scenario(
        PRICES, faults=frozenset({Kind.REDIS_DOWN})
    ),
}
"""Every write lands before the lease ends under which it was sent."""

LATE_WRITE = {
    "three tasks, one write lands late": Scenario(SENT, faults=frozenset({Kind.TIMES_OUT})),
    "two prices, one write lands late": Scenario(PRICES[:2], faults=frozenset({Kind.TIMES_OUT})),
    "three tasks, one outlives its lease": Scenario(SENT, faults=frozenset({Kind.TOO_SLOW})),
}
"""A write lands after its lease has ended, and its task knows that it may."""

DEAD_WRITE = Scenario(SENT, faults=frozenset({Kind.LOST}), dead_writes_end=False)
"""A write lands after its lease has ended, and its task is dead."""
