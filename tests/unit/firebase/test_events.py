"""The events of a stream, and the tree that they add up to."""

import pytest

from app.firebase import Event, apply_event, parse_events


def test_the_tree_follows_the_stream_of_the_database_and_the_old_one_stays() -> None:
    tree = apply_event(None, Event("put", "/", {"SOFI": {"price": 1, "performance": {"total": 1}}}))
    first = tree
    tree = apply_event(tree, Event("put", "/SOFI/performance", {"total": 2}))
    tree = apply_event(
        tree, Event("patch", "/", {"SOFI/price": 3, "AMD/performance": {"total": 4}})
    )
    tree = apply_event(tree, Event("patch", "/AMD", {"price": 5, "volume": None}))
    assert tree == {
        "SOFI": {"price": 3, "performance": {"total": 2}},
        "AMD": {"price": 5, "performance": {"total": 4}},
    }
    assert first == {"SOFI": {"price": 1, "performance": {"total": 1}}}
    assert apply_event(tree, Event("put", "/AMD", None)) == {"SOFI": tree["SOFI"]}


def test_a_stream_yields_changes_and_keep_alives_and_ends_with_a_reason() -> None:
    lines = ["event: put", 'data: {"path": "/", "data": 1}', "", "event: keep-alive", "data: null"]
    assert list(parse_events(lines)) == [Event("put", "/", 1), Event("keep-alive", "/", None)]
    with pytest.raises(ConnectionError, match="auth_revoked"):
        list(parse_events(["event: auth_revoked", "data: null"]))
