"""Each slot has only its newest value, and none waits behind busy ones."""

from app.delivery import ConflatingQueue

LIMIT = 10
MANY = 3 * LIMIT


def prices(count: int) -> dict[tuple[str, str], str]:
    return {(f"S{number}", "price"): "1" for number in range(count)}


def figures(count: int) -> dict[str, bytes]:
    return {f"S{number}": b"1" for number in range(count)}


def test_a_slot_that_changes_again_keeps_its_place() -> None:
    queue = ConflatingQueue()
    queue.put({}, {"SOFI": b"1", "HOOD": b"1"})
    queue.put({}, {"SOFI": b"2"})
    assert queue.take(1) == {("SOFI", "performance"): b"2"}
    assert queue.take(LIMIT) == {("HOOD", "performance"): b"1"}
    assert not queue


def test_neither_figures_nor_prices_starve_the_others() -> None:
    queue = ConflatingQueue()
    queue.put(prices(MANY), figures(MANY))
    taken = queue.take(LIMIT)
    assert sum(key == "price" for _, key in taken) == LIMIT // 2
    assert sum(key == "performance" for _, key in taken) == LIMIT // 2


def test_as_many_are_taken_as_the_limit_allows() -> None:
    for count_of_prices, count_of_figures in ((MANY, 2), (2, MANY), (MANY, 0), (0, MANY)):
        queue = ConflatingQueue()
        queue.put(prices(count_of_prices), figures(count_of_figures))
        taken = queue.take(LIMIT)
        assert len(taken) == LIMIT
        assert len(queue) == count_of_prices + count_of_figures - LIMIT


def test_what_is_put_back_comes_first_unless_there_is_a_newer_value() -> None:
    queue = ConflatingQueue()
    queue.put({("SOFI", "price"): "1"}, {"SOFI": b"1", "HOOD": b"1"})
    taken = queue.take(LIMIT)
    # As a value and as figures: a performance has one place, however it is put in.
    queue.put({("AAPL", "price"): "1", ("SOFI", "performance"): "2"}, {"AAPL": b"1"})
    queue.put_back(taken)
    assert queue.take(LIMIT) == {
        ("SOFI", "performance"): "2",
        ("HOOD", "performance"): b"1",
        ("AAPL", "performance"): b"1",
        ("SOFI", "price"): "1",
        ("AAPL", "price"): "1",
    }
    assert not queue
