"""The Firebase SDK of the team's front end works against the local database as against Firebase."""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import firebase_admin
import pytest
import requests
from firebase_admin import credentials, db

from app.firebase import escape_key
from tests.examples import blocks
from tests.front_end.conftest import HERE, FrontEnd
from tests.node import node_for
from tests.system import Firebase, wait_until

PERFORMANCE = {"total": 28.76, "unrealized": 28.76, "realized": 0, "converted": -1.5}
ORDERS = {
    "9": {"qty": 3, "side": "buy"},
    "10": {"qty": 1, "side": "sell"},
    "b": {"qty": 2},
    "a": {"qty": 3, "side": "buy"},
}


class TestReadingAndWriting:
    @pytest.mark.parametrize(
        "value", [PERFORMANCE, "ü€😀\n", 0, -1.25, True, False, "", 2**53, ["a", None, "c"]]
    )
    def test_a_value_is_read_back_as_it_was_set(
        self, front_end: FrontEnd, firebase: Firebase, root: str, value: Any
    ) -> None:
        front_end("set", root, value)
        assert front_end("get", root) == value
        assert firebase.get(root) == value

    def test_an_update_writes_deep_paths_and_leaves_the_siblings(
        self, front_end: FrontEnd, firebase: Firebase, root: str
    ) -> None:
        firebase.put(root, {"SOFI": {"price": 1, "old": 2}, "AMD": 3})
        front_end("update", root, {"SOFI/performance": PERFORMANCE, "SOFI/old": None})
        assert firebase.get(root) == {"SOFI": {"price": 1, "performance": PERFORMANCE}, "AMD": 3}

    def test_pushed_children_are_kept_and_a_removed_one_is_gone(
        self, front_end: FrontEnd, firebase: Firebase, root: str
    ) -> None:
        first, second = (front_end("push", root, number) for number in (1, 2))
        front_end("remove", f"{root}/{first}")
        assert firebase.get(root) == {second: 2}

    def test_server_values_are_made_by_the_server(
        self, front_end: FrontEnd, firebase: Firebase, root: str
    ) -> None:
        firebase.put(root, {"n": 1.5})
        listening = front_end.listen(root)
        front_end("update", root, {"n": {".sv": {"increment": 2}}, "at": {".sv": "timestamp"}})
        stored = firebase.get(root)
        assert stored["n"] == 3.5
        assert abs(stored["at"] - time.time() * 1000) < 60_000
        listening.until(stored)

    def test_what_does_not_fit_into_one_frame_comes_whole_in_both_directions(
        self, front_end: FrontEnd, firebase: Firebase, root: str
    ) -> None:
        listening = front_end.listen(root)
        # Nothing beyond 16 bits: the SDK cuts such characters in two where a frame ends.
        sent = {f"k{number}": "€ü" * 5000 for number in range(40)}
        front_end("set", root, sent)
        assert firebase.get(root) == sent
        received = {f"k{number}": "ü😀" * 5000 for number in range(40)}
        firebase.put(root, received)
        listening.until(received)

    def test_a_transaction_is_repeated_on_what_another_wrote(
        self, front_end: FrontEnd, open_front_end: Callable[..., FrontEnd], root: str,
        firebase: Firebase,
    ) -> None:  # fmt: skip
        clients = (front_end, open_front_end(firebase.port))
        orders = [(each, each.order("add", root, 1)) for _ in range(10) for each in clients]
        wait_until(lambda: all(each.outcomes(order) for each, order in orders), "their ends")
        assert firebase.get(root) == 20

    def test_a_transaction_says_what_it_has_read_as_the_server_says_it(
        self, front_end: FrontEnd, firebase: Firebase, root: str
    ) -> None:
        numbers = {"1": 1.5, "-2": -0.001, "03": 2**53, "3": 1e300, "3000000000": 0}
        firebase.put(root, {**numbers, "\uffee": "ü", "😀": "€😀", "a": {"b": True, "c": ""}})
        assert front_end("swap", root, "new") is True
        assert firebase.get(root) == "new"

    def test_a_refused_write_is_an_error_and_changes_nothing(
        self, front_end: FrontEnd, firebase: Firebase, root: str
    ) -> None:
        listening = front_end.listen(root)
        front_end("set", root, "kept")
        with pytest.raises(AssertionError, match="does not support this: a priority"):
            front_end("setWithPriority", root, "new", 5)
        assert firebase.get(root) == "kept"
        listening.until("kept")


class TestListening:
    def test_a_missing_node_is_null_until_the_admin_sdk_writes_it(
        self, front_end: FrontEnd, firebase: Firebase, root: str
    ) -> None:
        listening = front_end.listen(f"{root}/SOFI/performance")
        listening.until(None)
        app = firebase_admin.initialize_app(
            credentials.ApplicationDefault(),
            {"databaseURL": f"http://{firebase.host}/?ns=profit-bridge"},
            root,
        )
        try:
            db.reference(root, app=app).update({"SOFI/performance": PERFORMANCE, "AMD/price": 1})
            listening.until(PERFORMANCE)
            front_end("set", f"{root}/SOFI/performance/total", 5)
            assert db.reference(f"{root}/SOFI/performance/total", app=app).get() == 5
        finally:
            firebase_admin.delete_app(app)
        assert listening.told == [None, PERFORMANCE, PERFORMANCE | {"total": 5}]

    def test_listeners_at_different_depths_hear_what_concerns_them(
        self, front_end: FrontEnd, open_front_end: Callable[..., FrontEnd], firebase: Firebase,
        root: str,
    ) -> None:  # fmt: skip
        other = open_front_end(firebase.port)
        upper, lower = front_end.listen(root), front_end.listen(f"{root}/a/b")
        alone = other.listen(f"{root}/a/b")
        alone.until(None)
        firebase.put(f"{root}/a/b/c", 1)
        firebase.put(f"{root}/x", 2)
        firebase.put(f"{root}/a", {"b": {"c": 1}, "y": 3})
        firebase.put(f"{root}/a", 4)
        upper.until({"a": 4, "x": 2})
        alone.until(None)
        assert alone.told == lower.told == [None, {"c": 1}, None]
        assert len(upper.told) == 5

    def test_children_are_told_one_by_one(
        self, front_end: FrontEnd, firebase: Firebase, root: str
    ) -> None:
        firebase.put(root, {"10": "b", "9": "a", "x": "c"})
        added = front_end.listen(root, "onChildAdded")
        removed = front_end.listen(root, "onChildRemoved")
        wait_until(lambda: added.keys == ["9", "10", "x"], "the children in their order")
        firebase.put(f"{root}/y", "d")
        firebase.put(f"{root}/9", None)
        wait_until(lambda: (added.keys[3:], removed.keys) == (["y"], ["9"]), "what changed")

    def test_nobody_is_told_after_off(
        self, front_end: FrontEnd, firebase: Firebase, root: str
    ) -> None:
        before = listeners(firebase)
        listening = front_end.listen(root)
        listening.until(None)
        assert listeners(firebase) == before + 1
        front_end.order("off", root, listening.number)
        wait_until(lambda: listeners(firebase) == before, "no listener at the server")

    def test_an_update_by_another_leaves_what_it_does_not_name(
        self, front_end: FrontEnd, firebase: Firebase, root: str
    ) -> None:
        before = {"SOFI": {"price": 1, "old": 2}, "AMD": 3, "kept": 4}
        firebase.put(root, before)
        listening = front_end.listen(root)
        listening.until(before)
        update = json.dumps({"SOFI/price": 5, "SOFI/old": None, "AMD": {"price": 6}})
        requests.patch(f"http://{firebase.host}/{root}.json", data=update, timeout=10)
        listening.until({"SOFI": {"price": 5}, "AMD": {"price": 6}, "kept": 4})


class TestQueries:
    @pytest.mark.parametrize(
        ("query", "keys"),
        [
            ([["limitToFirst", 2]], ["9", "10"]),
            ([["orderByKey"], ["limitToLast", 2]], ["a", "b"]),
            ([["orderByKey"], ["startAt", "10"], ["endBefore", "b"]], ["10", "a"]),
            ([["orderByKey"], ["startAfter", "10"]], ["a", "b"]),
            ([["orderByChild", "qty"], ["startAt", 2]], ["b", "9", "a"]),
            ([["orderByChild", "qty"], ["startAfter", 2]], ["9", "a"]),
            ([["orderByChild", "qty"], ["equalTo", 3]], ["9", "a"]),
            ([["orderByChild", "side"], ["endAt", "buy"]], ["b", "9", "a"]),
            ([["orderByChild", "side"], ["startAt", "c"]], ["10"]),
        ],
    )
    def test_a_query_finds_its_children(
        self, front_end: FrontEnd, firebase: Firebase, root: str, query: Any, keys: list[str]
    ) -> None:
        firebase.put(root, ORDERS)
        wanted = {key: ORDERS[key] for key in keys}
        assert front_end("get", root, query=query) == wanted
        added = front_end.listen(root, "onChildAdded", query)
        wait_until(lambda: added.keys == keys, f"{keys}, not {added.keys}")

    def test_a_limited_query_moves_on_with_the_data(
        self, front_end: FrontEnd, firebase: Firebase, root: str
    ) -> None:
        firebase.put(root, {"a": 5, "b": 7, "c": 6})
        greatest = front_end.listen(root, query=[["orderByValue"], ["limitToLast", 2]])
        least = front_end.listen(root, query=[["orderByValue"], ["limitToFirst", 1]])
        least.until({"a": 5})
        greatest.until({"c": 6, "b": 7})
        firebase.put(f"{root}/d", 9)
        greatest.until({"b": 7, "d": 9})
        firebase.put(f"{root}/b", None)
        greatest.until({"c": 6, "d": 9})
        assert least.told == [{"a": 5}]


class TestConnections:
    def test_a_front_end_comes_back_after_the_server_was_restarted(
        self, open_front_end: Callable[..., FrontEnd], tmp_path: Path
    ) -> None:
        data = ("--data-file", str(tmp_path / "data.json"))
        firebase = Firebase(tmp_path, *data)
        try:
            front_end = open_front_end(firebase.port)
            listening = front_end.listen("a")
            listening.until(None)
            front_end("set", "a", 1)
            firebase.process.end()
            connected = front_end.listen(".info/connected")
            connected.until(False)
            waiting = front_end.order("set", "b", 2)
            firebase = Firebase(tmp_path, *data, port=firebase.port)
            connected.until(True)
            wait_until(lambda: bool(front_end.outcomes(waiting)), "the write made meanwhile")
            assert firebase.get("b") == 2
            firebase.put("a", 3)
            listening.until(3)
            assert listening.told == [None, 1, 3]
        finally:
            firebase.process.end()

    def test_what_was_left_for_the_disconnect_is_written_then(
        self, open_front_end: Callable[..., FrontEnd], firebase: Firebase, root: str
    ) -> None:
        leaving = open_front_end(firebase.port)
        leaving("setAtDisconnect", f"{root}/set", "gone")
        leaving("updateAtDisconnect", f"{root}/deep", {"at/x": 1})
        leaving("setAtDisconnect", f"{root}/cancelled/x", 1)
        leaving("cancelAtDisconnect", f"{root}/cancelled")
        assert firebase.get(root) is None
        leaving.close()
        wanted = {"set": "gone", "deep": {"at": {"x": 1}}}
        wait_until(lambda: firebase.get(root) == wanted, "what it left")

    def test_a_signed_in_front_end_is_let_in(
        self, open_front_end: Callable[..., FrontEnd], firebase: Firebase, root: str
    ) -> None:
        user = open_front_end(firebase.port, {"sub": "alice"})
        user("set", root, 1)
        assert user("get", root) == 1

    def test_the_page_of_a_failed_websocket_is_led_back_to_websockets(
        self, firebase: Firebase
    ) -> None:
        answer = requests.get(f"http://{firebase.host}/.lp?start=t&cb=7&ns=x", timeout=10)
        assert 'parent["pLPCommand7"]("close")' in answer.text
        answer = requests.get(f"http://{firebase.host}/.lp?start=t&cb=7;alert(1)", timeout=10)
        assert answer.status_code == 400


def listeners(firebase: Firebase) -> int:
    return int(requests.get(f"http://{firebase.host}/.control", timeout=10).json()["streams"])


def test_the_documented_functions_escape_keys_as_the_bridge_does() -> None:
    (code,) = [block.text for block in blocks() if "const keyOf" in block.text]
    symbols = ["SOFI", "BRK.B", "A+B", "BTC/USDT:USDT", "a!b", "?%#$[]\x00\x1f\x7f", "币安人生"]
    code += f"const keys = {json.dumps(symbols)}.map(keyOf);"
    code += "console.log(JSON.stringify([keys, keys.map(symbolOf)]));"
    run = [node_for(HERE), "--eval", code]
    done = subprocess.run(run, capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(done.stdout) == [[escape_key(symbol) for symbol in symbols], symbols]
