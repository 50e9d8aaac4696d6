"""The tree keeps RTDB's rules: against a model of plain dicts, and by its documented examples."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.dev.rtdb.tree import (
    INVALID_KEY,
    INVALID_PATH,
    MAX_STRING_BYTES,
    NULL_ETAG,
    Json,
    Path,
    RtdbError,
    RtdbTree,
    event_for,
    leaf_writes,
    parse_path,
    same,
)

# Few and short keys, integers among them: paths then meet each other, and lists come about.
KEYS = st.sampled_from(["a", "b", "0", "1", "2", "07", "é"])
PATHS = st.lists(KEYS, max_size=3).map(tuple)
SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-9, 9) | st.text(max_size=3)
VALUES: st.SearchStrategy[Json] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
WRITES = st.tuples(PATHS, VALUES)
BATCHES = st.tuples(PATHS, st.dictionaries(PATHS.filter(bool).map("/".join), VALUES, max_size=4))
of_any_data = settings(deadline=None, max_examples=40)  # a busy machine is not a failure


def plain(value: Any) -> Any:
    """What RTDB keeps of a value: lists as objects, nulls and empty objects gone."""
    if isinstance(value, list):
        value = {str(index): item for index, item in enumerate(value)}
    if isinstance(value, dict):
        kept = {key: plain(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item is not None} or None
    return value


def placed(state: Any, path: Path, value: Any) -> Any:
    """A model of one write: `state` with `value` at `path`, null for deleting."""
    if not path:
        return plain(value)
    if plain(value) is None and not isinstance(state, dict):
        return state  # deleting below a leaf, or below nothing
    children = dict(state) if isinstance(state, dict) else {}
    children[path[0]] = placed(children.get(path[0]), path[1:], value)
    return plain(children)


def conflicts(paths: list[Path]) -> bool:
    return any(one != two and two[: len(one)] == one for one in paths for two in paths)


def allowed(batch: tuple[Path, Mapping[str, Json]]) -> bool:
    return not conflicts([parse_path(key) for key in batch[1]])


def tree_with(value: Json) -> RtdbTree:
    tree = RtdbTree(now_ms=lambda: 1_747_315_976_582)
    tree.put((), value)
    return tree


def has_empty(node: Any) -> bool:
    return isinstance(node, dict) and (not node or any(map(has_empty, node.values())))


@of_any_data
@given(st.lists(WRITES, max_size=6))
def test_what_is_put_is_what_a_model_of_plain_objects_holds(
    writes: list[tuple[Path, Json]],
) -> None:
    tree, model = RtdbTree(), None
    for path, value in writes:
        tree.put(path, value)
        model = placed(model, path, value)
        assert plain(tree.get(path)) == plain(value)
        assert plain(tree.get(())) == model
        assert not has_empty(tree.node(()))


@of_any_data
@given(VALUES, BATCHES)
def test_a_patch_is_all_of_its_puts_or_nothing(
    start: Json, batch: tuple[Path, Mapping[str, Json]]
) -> None:
    base, values = batch
    tree, one_by_one = tree_with(start), tree_with(start)
    paths = [parse_path(key) for key in values]
    if conflicts(paths):
        with pytest.raises(RtdbError, match="is an ancestor of"):
            tree.patch(base, values)
    else:
        tree.patch(base, values)
        for path, value in zip(paths, values.values(), strict=True):
            one_by_one.put(base + path, value)
    assert same(tree.node(()), one_by_one.node(()))


@of_any_data
@given(VALUES, WRITES | BATCHES.filter(allowed))
@example({"a": 1}, (("a",), None))
def test_a_check_sees_the_tree_as_it_is_and_as_it_comes_to_be(
    start: Json, write: tuple[Path, Any]
) -> None:
    tree, untouched, shown = tree_with(start), tree_with(start), []
    path, value = write

    def look(*trees: Any) -> None:
        shown.append(copy.deepcopy(trees))  # what it sees is its own only while it looks

    if isinstance(value, dict) and allowed((path, value)):
        tree.patch(path, value, look)
    else:
        tree.put(path, value, look)
    ((before, after, _),) = shown
    assert same(before, untouched.node(()))
    assert same(after, tree.node(()))


def test_a_write_that_its_check_refuses_leaves_nothing_behind() -> None:
    def refuse(*_: object) -> None:
        raise RtdbError(401, "Permission denied")

    tree = tree_with({"a": {"b": 1}})
    with pytest.raises(RtdbError):
        tree.patch((), {"a/b": 2, "c": 3}, refuse)
    assert tree.get(()) == {"a": {"b": 1}}


@of_any_data
@given(st.lists(WRITES, max_size=4), PATHS)
def test_deleting_leaves_no_empty_objects(writes: list[tuple[Path, Json]], path: Path) -> None:
    tree = RtdbTree()
    for each in writes:
        tree.put(*each)
    tree.delete(path)
    assert tree.get(path) is None
    assert not has_empty(tree.node(()))


@of_any_data
@given(VALUES, st.lists(WRITES | BATCHES.filter(allowed), max_size=5), PATHS)
def test_a_listener_that_applies_its_events_always_holds_what_is_stored(
    start: Json, writes: list[tuple[Path, Any]], at: Path
) -> None:
    tree = tree_with(start)
    heard = plain(tree.get(at))
    for path, value in writes:
        if isinstance(value, dict) and allowed((path, value)):
            change = tree.patch(path, value)
        else:
            change = tree.put(path, value)
        before, event = heard, event_for(change, at)
        if event is not None:
            where = parse_path(event.path)
            if event.kind == "put":
                heard = placed(heard, where, event.data)
            else:
                assert isinstance(event.data, dict)
                for key, item in event.data.items():
                    heard = placed(heard, where + parse_path(key), item)
            assert not same(heard, before), "an event that changes nothing"
        assert same(heard, tree.node(at))


@of_any_data
@given(VALUES, st.lists(WRITES, max_size=5))
def test_replaying_the_log_of_leaf_writes_gives_the_same_data(
    start: Json, writes: list[tuple[Path, Json]]
) -> None:
    tree, replayed = tree_with(start), tree_with(start)
    for each in writes:
        for path, value in list(leaf_writes(tree.put(*each))):
            replayed.put(parse_path(path), value)
    assert same(tree.node(()), replayed.node(()))


@of_any_data
@given(VALUES, VALUES)
def test_etags_are_equal_exactly_for_equal_data(one: Json, other: Json) -> None:
    first, second = tree_with(one), tree_with(other)
    assert (first.etag(()) == second.etag(())) == same(first.node(()), second.node(()))


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ({"0": "a", "1": "b"}, ["a", "b"]),
        ({"0": "a", "2": "c"}, ["a", None, "c"]),
        ({"1": "b", "2": "c"}, [None, "b", "c"]),
        ({"0": "a", "3": "d"}, {"0": "a", "3": "d"}),
        ({"0": "a", "x": "b"}, {"0": "a", "x": "b"}),
        ({"0700": 1, "0005": 2}, {"0700": 1, "0005": 2}),
        ({"00": 1}, {"00": 1}),
        ({"9" * 30: 1}, {"9" * 30: 1}),
        (["a", None, {"x": [True]}], ["a", None, {"x": [True]}]),
        ([None, None], None),
    ],
)
def test_objects_with_mostly_integer_keys_are_read_as_lists(value: Json, read: Json) -> None:
    assert tree_with({"at": value}).get(("at",)) == read


@pytest.mark.parametrize("key", ["", "a.b", "$", "a#", "[", "]", "a/b", "\n", "\x7f", "é" * 385])
def test_a_key_that_rtdb_forbids_is_refused_and_nothing_is_written(key: str) -> None:
    tree = tree_with({"kept": 1})
    with pytest.raises(RtdbError) as refused:
        tree.put(("new",), {"good": 1, "deep": {key: 2}})
    assert (refused.value.status, refused.value.text) == (400, INVALID_KEY)
    assert refused.value.key == key
    assert tree.get(()) == {"kept": 1}


def test_the_longest_key_is_768_bytes() -> None:
    key = "é" * 384
    assert tree_with({key: 1}).get((key,)) == 1


@pytest.mark.parametrize("text", ["a.b", "a/$b", "a/[", "\t", "é" * 385, "/".join("a" * 33)])
def test_a_path_that_rtdb_forbids_is_refused(text: str) -> None:
    with pytest.raises(RtdbError) as refused:
        parse_path(text)
    assert (refused.value.status, refused.value.text) == (400, INVALID_PATH)


def test_slashes_at_the_ends_and_doubled_ones_do_not_count() -> None:
    assert parse_path("//a//b/") == ("a", "b")
    assert parse_path("/") == ()


def test_data_may_be_32_levels_deep_and_not_33_counting_its_path() -> None:
    def nested(levels: int) -> Json:
        return {"a": nested(levels - 1)} if levels else 1

    tree = RtdbTree()
    tree.put(("p",) * 2, nested(30))
    with pytest.raises(RtdbError, match="more than 32 levels"):
        tree.put(("p",) * 2, nested(31))
    with pytest.raises(RtdbError, match="more than 32 levels"):
        tree.patch(("q",) * 31, {"a/b": 1})
    assert tree.get(("q",)) is None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400, "\ud800"])
def test_what_json_or_utf8_cannot_say_is_refused(value: Json) -> None:
    with pytest.raises(RtdbError, match="couldn't parse JSON"):
        RtdbTree().put(("a",), {"x": value})


def test_a_string_of_more_than_10_mb_is_refused() -> None:
    tree = tree_with("x" * MAX_STRING_BYTES)
    with pytest.raises(RtdbError) as refused:
        tree.put((), "é" * (MAX_STRING_BYTES // 2) + "x")
    assert refused.value.status == 400


def test_one_bad_path_or_value_fails_a_whole_patch() -> None:
    tree = tree_with({"a": 1})
    with pytest.raises(RtdbError, match="couldn't parse key"):
        tree.patch((), {"a": 2, "c": {"good": 1, "b.c": 2}})
    for bad in ("b.c", "x/$", "/", ""):
        with pytest.raises(RtdbError, match="couldn't parse key"):
            tree.patch((), {"a": 2, bad: 3})
    with pytest.raises(RtdbError, match="twice"):
        tree.patch((), {"a": 2, "/a/": 3})
    assert tree.get(()) == {"a": 1}


def test_true_is_not_one_and_whole_floats_are_integers() -> None:
    tree = tree_with({"a": 1})
    assert not tree.put(("a",), 1.0).written[0].changed
    assert tree.put(("a",), True).written[0].changed
    assert tree.get(("a",)) is True


def test_integers_of_64_bits_keep_every_digit() -> None:
    assert tree_with([2**63 - 1, -(2**63)]).get(()) == [2**63 - 1, -(2**63)]
    assert tree_with(2**63).get(()) == 2.0**63


def test_a_write_that_changes_nothing_is_told_to_nobody() -> None:
    tree = tree_with({"a": {"b": 1, "c": 2}})
    for change in (
        tree.put(("a", "b"), 1),
        tree.patch((), {"a/b": 1, "a/c": 2}),
        tree.delete(("x",)),
        tree.delete(("a", "b", "below a leaf")),
    ):
        for at in ((), ("a",), ("a", "b")):
            assert event_for(change, at) is None
    assert tree.get(()) == {"a": {"b": 1, "c": 2}}


def test_a_listener_hears_relative_paths_and_only_what_is_below_it() -> None:
    tree = tree_with({"s": {"A": {"p": 1}, "B": {"p": 1}}})
    change = tree.patch(("s",), {"A/p": 2, "B/p": 3})

    def heard(*at: str) -> tuple[str, str, Json] | None:
        event = event_for(change, at)
        return (event.kind, event.path, event.data) if event else None

    assert heard() == ("patch", "/s", {"A/p": 2, "B/p": 3})
    assert heard("s") == ("patch", "/", {"A/p": 2, "B/p": 3})
    assert heard("s", "A") == ("patch", "/", {"p": 2})
    assert heard("s", "A", "p") == ("put", "/", 2)
    assert heard("s", "C") is None


def test_server_values_are_resolved_when_they_are_written() -> None:
    tree = tree_with({"n": 40.5, "s": "text", "b": True})
    tree.patch(
        (),
        {
            "t": {".sv": "timestamp"},
            "n": {".sv": {"increment": 1.5}},
            "s": {".sv": {"increment": 2}},
            "b": {".sv": {"increment": 3}},
            "new/deep": {".sv": {"increment": -1}},
        },
    )
    new = {"t": 1_747_315_976_582, "n": 42, "s": 2, "b": 3, "new": {"deep": -1}}
    assert tree.get(()) == new


@pytest.mark.parametrize(
    "value",
    ["time", 1, {}, {"increment": "1"}, {"increment": True}, {"increment": 1, "x": 1}],
)
def test_an_unknown_server_value_is_refused(value: Json) -> None:
    with pytest.raises(RtdbError, match="couldn't parse JSON"):
        RtdbTree().put(("a",), {".sv": value})


def test_an_increment_beyond_all_numbers_is_refused() -> None:
    tree = tree_with(1e308)
    with pytest.raises(RtdbError, match="couldn't parse JSON"):
        tree.put((), {".sv": {"increment": 1e308}})
    assert tree.get(()) == 1e308


def test_push_ids_sort_by_time_also_when_the_clock_stands_or_steps_back() -> None:
    clock = iter([5, 6, 6, 6, 4, 7] * 2)  # one tick for the id, one for the write
    tree = RtdbTree(now_ms=lambda: next(clock))
    names = [tree.post(("list",), number).written[0].path[-1] for number in range(6)]
    assert names == sorted(set(names))
    assert {len(name) for name in names} == {20}


def test_the_order_in_which_children_came_does_not_change_the_etag() -> None:
    assert tree_with({"a": 1, "b": 2}).etag(()) == tree_with({"b": 2, "a": 1}).etag(())


def test_a_missing_node_has_the_null_etag() -> None:
    assert tree_with({"a": 1}).etag(("b",)) == NULL_ETAG
    assert tree_with({"a": 1}).etag(("a",)) != NULL_ETAG


def test_shallow_shows_which_children_there_are_and_not_what_they_hold() -> None:
    tree = tree_with({"a": {"x": 1}, "b": 2})
    assert tree.shallow(()) == {"a": True, "b": True}
    assert tree.shallow(("b",)) == 2
    assert tree.shallow(("c",)) is None
