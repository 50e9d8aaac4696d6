"""Of every slot the newest value is handed over, and none waits behind busy ones."""

from app.delivery import ConflatingQueue

LIMIT = 10
MANY = 3 * LIMIT


def prices(count: int) -> dict[tuple[str, str], str]:
    return {(f"S{number}", "price"): "1" for number in range(count)}


def figures(count: int) -> dict[str, bytes]:
    return {f"S{number}": b"1" for number in range(count)}


def test_a_value_that_changes_again_keeps_its_place_in_line() -> None:
    changed = ConflatingQueue()
    changed.put({}, {"SOFI": b"1", "HOOD": b"1"})
    changed.put({}, {"SOFI": b"2"})
    assert changed.take(1) == {("SOFI", "performance"): b"2"}
    assert changed.take(LIMIT) == {("HOOD", "performance"): b"1"}
    assert not changed


def test_neither_figures_nor_prices_keep_the_others_waiting() -> None:
    changed = ConflatingQueue()
    changed.put(prices(MANY), figures(MANY))
    taken = changed.take(LIMIT)
    assert sum(key == "price" for _, key in taken) == LIMIT // 2
    assert sum(key == "performance" for _, key in taken) == LIMIT // 2


def test_as_many_are_taken_as_there_is_room_for() -> None:
    for count_of_prices, count_of_figures in ((MANY, 2), (2, MANY), (MANY, 0), (0, MANY)):
        changed = ConflatingQueue()
        changed.put(prices(count_of_prices), figures(count_of_figures))
        taken = changed.take(LIMIT)
        assert len(taken) == LIMIT
        assert len(changed) == count_of_prices + count_of_figures - LIMIT


def test_what_is_put_back_is_first_in_line_and_gives_way_to_what_is_newer() -> None:
    changed = ConflatingQueue()
    changed.put({("SOFI", "price"): "1"}, {"SOFI": b"1", "HOOD": b"1"})
    taken = changed.take(LIMIT)
    # By either way: a performance has one place, whoever puts it in.
    changed.put({("AAPL", "price"): "1", ("SOFI", "performance"): "2"}, {"AAPL": b"1"})
    changed.put_back(taken)
    assert changed.take(LIMIT) == {
        ("SOFI", "performance"): "2",
        ("HOOD", "performance"): b"1",
        ("AAPL", "performance"): b"1",
        ("SOFI", "price"): "1",
        ("AAPL", "price"): "1",
    }
    assert not changed
