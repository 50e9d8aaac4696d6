"""The day so far, as the live page's lines begin with it."""

from itertools import pairwise
from typing import Any

from app.dev.rtdb.history import MOST_LINES, MOST_POINTS, History, Line

DAY = "2025-05-15"


def stored(
    node: str, total: Any, timestamp: str = f"{DAY}T13:32:56+00:00"
) -> list[tuple[str, Any]]:
    """The leaves that storing a performance writes."""
    performance = f"{node}/performance"
    return [(f"{performance}/total", total), (f"{performance}/timestamp", timestamp)]


def lines(history: History) -> Any:
    return history.as_json()


def points(line: Line) -> list[tuple[int, float]]:
    shown: Any = line.as_json()
    return [(at, total) for at, total in shown["points"]]


def test_a_whole_day_is_kept_evenly_in_few_points_up_to_the_newest_value() -> None:
    line = Line(DAY)
    second = 1_000
    for at in range(0, 86_400 * second, second):
        line.add(at, at / second)
    kept = points(line)
    assert MOST_POINTS / 2 <= len(kept) <= MOST_POINTS
    assert kept[-1] == (86_399 * second, 86_399.0)
    steps = [after - before for (before, _), (after, _) in pairwise(kept)]
    assert len(set(steps[:-1])) == 1


def test_a_burst_does_not_crowd_out_what_was_before() -> None:
    line = Line(DAY)
    line.add(0, 1.0)
    for number in range(10_000):
        line.add(3_600_000 + number, number)
    kept = points(line)
    assert kept[0] == (0, 1.0)
    assert kept[-1] == (3_609_999, 9_999.0)


def test_a_new_day_begins_a_new_line() -> None:
    history = History()
    history.record(stored("/services/SOFI", 5.0), 1)
    history.record(stored("/services/SOFI", 0.5, "2025-05-16T00:00:01+00:00"), 2_000)
    assert lines(history) == {"/services/SOFI": {"day": "2025-05-16", "points": [[2_000, 0.5]]}}


def test_a_total_that_is_written_alone_belongs_to_the_same_day() -> None:
    history = History()
    history.record(stored("/services/SOFI", 5.0), 1)
    history.record([("/services/SOFI/performance/total", 6)], 2_000)
    assert lines(history)["/services/SOFI"] == {"day": DAY, "points": [[1, 5.0], [2_000, 6]]}


def test_what_is_no_total_has_no_line() -> None:
    history = History()
    history.record([("/services/SOFI/price", 5.0), ("/services/SOFI/total", 5.0)], 1)
    for ticker, value in {"AMD": "<b>", "F": True, "HOOD": None}.items():
        history.record(stored(f"/services/{ticker}", value), 1)
    assert lines(history) == {}


def test_a_removed_total_takes_its_line_with_it() -> None:
    history = History()
    history.record(stored("/services/SOFI", 5.0), 1)
    history.record(stored("/services/SOFI", None), 2)
    assert lines(history) == {}


def test_the_number_of_lines_is_bounded() -> None:
    history = History()
    for number in range(MOST_LINES + 10):
        history.record(stored(f"/services/T{number}", 1.0), 1)
    assert len(lines(history)) == MOST_LINES
    history.record(stored("/services/T0", 2.0), 5_000)
    assert lines(history)["/services/T0"]["points"][-1] == [5_000, 2.0]
