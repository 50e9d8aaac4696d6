"""What the bridge relies on in Firebase, seen through the unmodified Admin SDK.

The same tests hold for the development server and for a real database: see conftest.py.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import firebase_admin
import pytest
from firebase_admin import db, exceptions

from tests.contract.conftest import PATIENCE, ServerProcess, eventually

if TYPE_CHECKING:
    from tests.contract.conftest import Heard, Target

PERFORMANCE = {
    "total": 28.76,
    "unrealized": 28.76,
    "realized": 0.0,
    "converted": -1.5,
    "timestamp": "2025-05-15T13:32:56.582434+00:00",
}


class TestReadingAndWriting:
    @pytest.mark.parametrize("value", [PERFORMANCE, "ü€😀\n", 0, -1.25, True, False, "", 2**53])
    def test_a_value_is_read_back_as_it_was_set(self, root: db.Reference, value: Any) -> None:
        root.child("SOFI/performance").set(value)
        read = root.child("SOFI/performance").get()
        assert read == value
        assert isinstance(read, bool) == isinstance(value, bool)

    def test_setting_replaces_all_that_was_there(self, root: db.Reference) -> None:
        root.set({"a": 1, "b": {"c": 2}})
        root.set({"b": {"d": 3}})
        assert root.get() == {"b": {"d": 3}}

    def test_a_key_that_is_escaped_in_the_url_is_the_same_key_in_a_body(
        self, root: db.Reference
    ) -> None:
        root.child("BRK!2EB é").set(1)
        root.update({"BTC!2FUSD": 2})
        assert root.get() == {"BRK!2EB é": 1, "BTC!2FUSD": 2}

    def test_a_plus_is_a_blank_in_a_path_and_itself_in_a_body(self, root: db.Reference) -> None:
        root.child("A+B").set(1)
        root.update({"A+B": 2})
        assert root.get() == {"A B": 1, "A+B": 2}
        assert root.child("A+B").get() == 1

    def test_an_update_leaves_the_other_children_alone(self, root: db.Reference) -> None:
        root.set({"price": 7.5, "orders": {"x": {"qty": 1}}, "old": True})
        root.update({"performance": PERFORMANCE, "old": None})
        assert root.get() == {
            "price": 7.5,
            "orders": {"x": {"qty": 1}},
            "performance": PERFORMANCE,
        }

    def test_a_multi_path_update_writes_each_path_and_leaves_its_siblings(
        self, root: db.Reference
    ) -> None:
        root.set({"A": {"price": 1, "performance": {"total": 0, "gone": 1}}, "B": {"price": 2}})
        root.update({"A/performance": {"total": 5}, "B/performance/total": 6, "C/x": 7})
        assert root.get() == {
            "A": {"price": 1, "performance": {"total": 5}},
            "B": {"price": 2, "performance": {"total": 6}},
            "C": {"x": 7},
        }

    @pytest.mark.parametrize("bad", ["B.RK/x", "B/$x", "[", "B/#"])
    def test_one_bad_key_fails_a_whole_update_and_nothing_is_written(
        self, root: db.Reference, bad: str
    ) -> None:
        root.set({"A": {"x": 1}})
        with pytest.raises(exceptions.InvalidArgumentError):
            root.update({"A/x": 2, bad: 3})
        assert root.get() == {"A": {"x": 1}}

    def test_an_update_of_a_path_and_its_ancestor_is_refused_and_nothing_is_written(
        self, root: db.Reference
    ) -> None:
        root.set({"A": {"x": 1}})
        with pytest.raises(exceptions.InvalidArgumentError):
            root.update({"A": {"x": 2}, "A/x": 3})
        assert root.get() == {"A": {"x": 1}}

    def test_pushed_children_sort_in_the_order_in_which_they_were_pushed(
        self, root: db.Reference
    ) -> None:
        keys = [root.push(number).key for number in range(3)]
        assert keys == sorted(keys)
        assert root.get() == dict(zip(keys, range(3), strict=True))

    def test_a_deleted_node_is_gone_and_its_empty_parents_with_it(self, root: db.Reference) -> None:
        root.set({"a": {"b": {"c": 1}}, "kept": 1})
        root.child("a/b/c").delete()
        assert root.get() == {"kept": 1}

    def test_nulls_and_empty_objects_vanish(self, root: db.Reference) -> None:
        root.set({"a": None, "b": {}, "c": {"d": {"e": None}}, "f": [], "kept": 1})
        assert root.get() == {"kept": 1}

    def test_shallow_shows_the_children_and_not_what_they_hold(self, root: db.Reference) -> None:
        root.set({"a": {"deep": 1}, "b": 2})
        assert root.get(shallow=True) == {"a": True, "b": True}
        assert root.child("b").get(shallow=True) == 2

    def test_children_with_integer_keys_come_back_as_a_list_and_others_never(
        self, root: db.Reference
    ) -> None:
        root.child("list").set({"0": "a", "1": "b", "3": "d"})
        root.child("sparse").set({"700": 1, "9988": 2})
        root.child("padded").set({"0700": 1, "0005": 2})
        assert root.child("list").get() == ["a", "b", None, "d"]
        assert root.child("list/1").get() == "b"
        assert root.child("sparse").get() == {"700": 1, "9988": 2}
        assert root.child("padded").get() == {"0700": 1, "0005": 2}


class TestServerValues:
    def test_a_timestamp_is_the_time_of_the_server_in_milliseconds(
        self, root: db.Reference
    ) -> None:
        root.set({"at": {".sv": "timestamp"}})
        day = 86_400_000
        assert abs(root.child("at").get() - time.time() * 1000) < day

    def test_an_increment_adds_to_the_number_that_is_there(self, root: db.Reference) -> None:
        root.set({"n": 1.5, "kept": 1})
        root.update({"n": {".sv": {"increment": 2}}, "new/n": {".sv": {"increment": 3}}})
        assert root.get() == {"n": 3.5, "new": {"n": 3}, "kept": 1}


class TestConditionalRequests:
    def test_the_etag_changes_with_the_data_and_only_then(self, root: db.Reference) -> None:
        root.set({"a": 1, "b": 2})
        _, first = root.get(etag=True)
        root.set({"b": 2, "a": 1})
        _, again = root.get(etag=True)
        root.update({"a": 2})
        _, later = root.get(etag=True)
        assert first == again != later

    def test_a_missing_node_has_the_null_etag(self, root: db.Reference) -> None:
        assert root.get(etag=True) == (None, "null_etag")

    def test_get_if_changed_brings_data_only_if_it_changed(self, root: db.Reference) -> None:
        root.set(1)
        _, etag = root.get(etag=True)
        assert root.get_if_changed(etag) == (False, None, None)
        root.set(2)
        changed, value, newer = root.get_if_changed(etag)
        assert (changed, value) == (True, 2)
        assert newer not in (None, etag)

    def test_set_if_unchanged_writes_only_over_what_was_read(self, root: db.Reference) -> None:
        root.set("read")
        _, etag = root.get(etag=True)
        root.set("by another")
        written, current, newer = root.set_if_unchanged(etag, "stale")
        assert (written, current) == (False, "by another")
        assert root.set_if_unchanged(newer, "fresh")[0] is True
        assert root.get() == "fresh"

    def test_a_delete_with_a_stale_etag_deletes_nothing(
        self, target: Target, root: db.Reference
    ) -> None:
        root.set(1)
        answer = target.raw("DELETE", root.path, if_match="stale")
        assert (answer.status_code, answer.json()) == (412, 1)
        assert root.get() == 1

    def test_a_transaction_is_repeated_on_what_another_client_wrote(
        self, root: db.Reference
    ) -> None:
        root.set(10)
        seen: list[int] = []

        def add_one(current: int) -> int:
            if not seen:
                root.set(20)
            seen.append(current)
            return current + 1

        assert root.transaction(add_one) == 21
        assert seen == [10, 20]
        assert root.get() == 21


# The SDK's listener thread dies of an AttributeError of its own when a listener is closed.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
class TestListening:
    def test_a_listener_starts_with_all_data_and_then_hears_relative_paths(
        self,
        root: db.Reference,
        listen: Callable[[db.Reference], Callable[[], Heard]],
    ) -> None:
        root.set({"A": {"x": 1}})
        heard = listen(root)
        assert heard() == ("put", "/", {"A": {"x": 1}})
        root.child("A/x").set(2)
        assert heard() == ("put", "/A/x", 2)
        root.child("A").update({"x": 3, "y": "ü"})
        assert heard() == ("patch", "/A", {"x": 3, "y": "ü"})
        root.child("A/x").delete()
        assert heard() == ("put", "/A/x", None)
        root.set({"B": 1})
        assert heard() == ("put", "/", {"B": 1})

    def test_a_listener_at_an_empty_place_starts_with_null_and_hears_of_writes_above_it(
        self,
        root: db.Reference,
        listen: Callable[[db.Reference], Callable[[], Heard]],
    ) -> None:
        heard = listen(root.child("A/x"))
        assert heard() == ("put", "/", None)
        root.set({"A": {"x": 1}})
        assert heard() == ("put", "/", 1)

    def test_a_write_that_changes_nothing_is_not_heard(
        self,
        root: db.Reference,
        listen: Callable[[db.Reference], Callable[[], Heard]],
    ) -> None:
        root.child("performance").set(PERFORMANCE)
        heard = listen(root)
        heard()
        root.child("performance").set(PERFORMANCE)
        root.update({"performance": PERFORMANCE})
        root.child("nothing").delete()
        root.child("marker").set(1)
        assert heard() == ("put", "/marker", 1)

    def test_a_listener_hears_nothing_of_its_siblings(
        self,
        root: db.Reference,
        listen: Callable[[db.Reference], Callable[[], Heard]],
    ) -> None:
        heard = listen(root.child("A"))
        heard()
        root.child("AB").set(1)
        root.update({"B": 1, "A": 2})
        assert heard() == ("put", "/", 2)


class TestRefusals:
    @pytest.mark.parametrize("body", [b'{"a":', b"nonsense", b"NaN", b"\xff", b'{"a":1}}'])
    def test_a_body_that_is_not_json_is_refused_in_rtdbs_words(
        self, target: Target, root: db.Reference, body: bytes
    ) -> None:
        answer = target.raw("PUT", root.path, body)
        assert answer.status_code == 400
        assert answer.json()["error"].startswith("Invalid data; couldn't parse JSON object")
        assert root.get() is None

    @pytest.mark.parametrize("key", ["a.b", "$a", "a#", "[a", "a]", "a/b", "", "a\x1f"])
    def test_a_forbidden_key_in_the_data_is_refused_in_rtdbs_words(
        self, target: Target, root: db.Reference, key: str
    ) -> None:
        answer = target.raw("PUT", root.path, json.dumps({"good": 1, key: 2}).encode())
        assert answer.status_code == 400
        assert answer.json()["error"].startswith("Invalid data; couldn't parse key beginning at 1:")
        assert root.get() is None

    def test_a_key_of_more_than_768_bytes_is_refused(self, root: db.Reference) -> None:
        root.update({"k" * 768: 1})
        with pytest.raises(exceptions.InvalidArgumentError):
            root.update({"k" * 769: 1})

    @pytest.mark.parametrize("path", ["/a%5Bb", "/a.b", "/a%2Fb", "/a%00"])
    def test_a_forbidden_path_is_refused_in_rtdbs_words(self, target: Target, path: str) -> None:
        answer = target.raw("GET", path)
        assert (answer.status_code, answer.json()) == (
            400,
            {"error": "Invalid path: Invalid token in path"},
        )

    def test_the_sdk_refuses_none_and_bad_paths_by_itself(self, root: db.Reference) -> None:
        with pytest.raises(ValueError, match="None"):
            root.set(None)
        with pytest.raises(ValueError, match="illegal characters"):
            root.child("BRK.B")
        with pytest.raises(ValueError, match="non-empty"):
            root.update({})

    def test_nan_is_an_invalid_argument_and_writes_nothing(self, root: db.Reference) -> None:
        with pytest.raises(exceptions.FirebaseError):
            root.set({"total": float("nan")})
        assert root.get() is None


class TestFaults:
    def test_503_surfaces_as_unavailable_after_the_sdks_own_retries(
        self, server: ServerProcess, root: db.Reference
    ) -> None:
        server.control(faults=[{"status": 503, "method": "PUT"}])
        with pytest.raises(exceptions.UnavailableError):
            root.set(1)
        state = server.control(faults=[])
        assert state["requests"]["PUT"] == 5
        assert root.get() is None

    def test_one_503_is_healed_by_the_sdk_itself(
        self, server: ServerProcess, root: db.Reference
    ) -> None:
        server.control(faults=[{"status": 503, "method": "PUT", "count": 1}])
        root.set(1)
        assert root.get() == 1

    @pytest.mark.parametrize(
        ("status", "surfaces_as"),
        [
            (401, exceptions.UnauthenticatedError),
            (403, exceptions.PermissionDeniedError),
            (429, exceptions.ResourceExhaustedError),
            (413, exceptions.UnknownError),
            (423, exceptions.UnknownError),
            (500, exceptions.InternalError),
            (502, exceptions.UnknownError),
            (504, exceptions.UnknownError),
        ],
    )
    def test_each_status_surfaces_as_the_class_that_the_retry_policy_expects(
        self,
        server: ServerProcess,
        root: db.Reference,
        status: int,
        surfaces_as: type[exceptions.FirebaseError],
    ) -> None:
        server.control(faults=[{"status": status}])
        with pytest.raises(surfaces_as) as raised:
            root.set(1)
        assert type(raised.value) is surfaces_as

    def test_a_dropped_connection_surfaces_as_unavailable_and_nothing_is_written(
        self, server: ServerProcess, root: db.Reference
    ) -> None:
        server.control(faults=[{"drop": True, "method": "PUT"}])
        with pytest.raises(exceptions.UnavailableError):
            root.set(1)
        assert root.get() is None

    def test_a_write_whose_answer_was_lost_is_there_although_the_call_failed(
        self, server: ServerProcess, root: db.Reference
    ) -> None:
        server.control(faults=[{"drop": True, "commit": True, "method": "PUT"}])
        with pytest.raises(exceptions.UnavailableError):
            root.set(1)
        assert root.get() == 1

    def test_a_write_that_timed_out_lands_later_over_newer_data(
        self,
        server: ServerProcess,
        root: db.Reference,
        make_app: Callable[..., firebase_admin.App],
    ) -> None:
        hasty_app = make_app(f"{server.url}/?ns=contract", httpTimeout=0.2)
        server.control(faults=[{"hold": True, "contains": "older"}])
        with pytest.raises((exceptions.UnavailableError, exceptions.DeadlineExceededError)):
            db.reference(root.path, app=hasty_app).set("older")
        root.set("newer")
        assert root.get() == "newer"
        server.control(faults=[])
        eventually(lambda: root.get() == "older", "the late write")

    def test_an_answer_can_be_late_although_the_write_was_not(
        self, server: ServerProcess, root: db.Reference
    ) -> None:
        server.control(faults=[{"delay": 0.01, "answer_delay": 0.01}])
        root.set(1)
        assert root.get() == 1
        assert server.control()["faults"][0]["hits"] == 2

    def test_a_fault_meets_only_the_requests_that_it_describes(
        self, server: ServerProcess, root: db.Reference
    ) -> None:
        fault = {"path": f"{root.path}/A", "method": "PUT", "skip": 1, "count": 1, "status": 423}
        server.control(faults=[fault])
        root.child("AB").set(1)
        root.child("A").update({"x": 1})
        root.child("A/x").set("skipped")
        with pytest.raises(exceptions.UnknownError):
            root.child("A/x").set("met")
        root.child("A/x").set("used up")
        assert root.get() == {"A": {"x": "used up"}, "AB": 1}
        assert server.control()["faults"][0]["hits"] == 1

    @pytest.mark.parametrize(
        "order",
        [
            {"faults": [{"drop_it": True}]},
            {"faults": [{"status": "503"}]},
            {"faults": [{"status": True}]},
            {"faults": {}},
            {"clear": ["everything"]},
            {"fault": []},
        ],
    )
    def test_an_order_that_makes_no_sense_is_refused_and_changes_nothing(
        self, server: ServerProcess, order: dict[str, Any]
    ) -> None:
        server.control(faults=[{"status": 503, "path": "/x"}])
        answer = server.http("POST", "/.control", json=order)
        assert answer.status_code == 400
        assert answer.json()["error"]
        assert len(server.control()["faults"]) == 1


class TestTheDevelopmentServerItself:
    def test_it_says_that_it_is_not_firebase(self, server: ServerProcess) -> None:
        text = server.http("GET", "/").text
        assert text.startswith("RTDB-compatible development server, not Firebase")
        assert text.count("\n") == 1

    @pytest.mark.usefixtures("server")
    def test_what_it_does_not_support_is_refused_and_not_ignored(
        self, target: Target, root: db.Reference
    ) -> None:
        answer = target.session.get(
            f"{target.url}{root.path}.json",
            params=target.parameters | {"format": "export"},
            timeout=PATIENCE,
        )
        assert (answer.status_code, "format" in answer.text) == (501, True)

    def test_namespaces_hold_separate_data(
        self,
        server: ServerProcess,
        root: db.Reference,
        make_app: Callable[..., firebase_admin.App],
    ) -> None:
        other = db.reference(root.path, app=make_app(f"{server.url}/?ns=other"))
        root.set(1)
        assert other.get() is None
        other.set(2)
        assert (root.get(), other.get()) == (1, 2)

    def test_the_sdks_emulator_variable_leads_to_the_namespace_of_the_database_url(
        self,
        server: ServerProcess,
        root: db.Reference,
        make_app: Callable[..., firebase_admin.App],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("FIREBASE_DATABASE_EMULATOR_HOST", f"127.0.0.1:{server.port}")
        app = make_app("https://contract.firebaseio.com")
        db.reference(root.path, app=app).set(1)
        assert root.get() == 1

    def test_a_request_without_namespace_goes_to_the_default_one(
        self, server: ServerProcess
    ) -> None:
        where = f"/{uuid.uuid4().hex}.json"
        server.http("PUT", where, json=1)
        assert server.http("GET", f"{where}?ns=profit-bridge").json() == 1

    def test_the_log_holds_every_committed_leaf_in_order_and_refused_writes_never(
        self, server: ServerProcess, root: db.Reference
    ) -> None:
        root.child("a").set({"t": 1, "u": 1})
        root.update({"a/t": 2, "b": 5})
        with pytest.raises(exceptions.InvalidArgumentError):
            root.update({"a/t": 3, "b.": 6})
        root.child("a").set({"t": 2})
        log = server.http("GET", "/.control/writes", params={"ns": "contract"}).json()
        assert log["forgotten"] == 0
        assert [(path.removeprefix(root.path), value) for path, value in log["writes"]] == [
            ("/a/t", 1),
            ("/a/u", 1),
            ("/a/t", 2),
            ("/b", 5),
            ("/a/u", None),
            ("/a/t", 2),
        ]

    def test_data_outlives_the_process_and_sigterm_ends_it_while_a_listener_is_open(
        self, server: ServerProcess, tmp_path: Path
    ) -> None:
        options = ("--data-file", str(tmp_path / "data.json"))
        first = ServerProcess(tmp_path, *options)
        try:
            first.http("PUT", "/a.json", json={"x": [1, 2], "y": "ü"})
            first.http("PUT", "/b.json?ns=other", json=True)
            accept = {"Accept": "text/event-stream"}
            with first.http("GET", "/a.json", headers=accept, stream=True) as stream:
                assert next(stream.iter_lines()) == b"event: put"
                code, output = first.stop()
        finally:
            first.kill()
        assert code == 0
        assert output == f"RTDB-compatible development server, not Firebase: {first.url}\n"
        second = ServerProcess(tmp_path, *options)
        try:
            assert second.http("GET", "/a.json").json() == {"x": [1, 2], "y": "ü"}
            assert second.http("GET", "/b.json?ns=other").json() is True
        finally:
            second.kill()
