"""Queries, rules, CORS and method override over REST, and answers of a Firebase's bad days.

The tests with `target` or `root` alone hold for a real database too (see conftest.py). It needs an
index: `{"rules": {"$any": {".indexOn": [".value", "qty", "order/side"]}}}`.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
import requests
from firebase_admin import db

from app.dev.rtdb.http import MAX_BODY_BYTES, TOO_BIG, HttpRequest
from app.dev.rtdb.tree import RtdbError
from tests.contract.conftest import PATIENCE, ServerProcess
from tests.system import ROOT

if TYPE_CHECKING:
    from tests.contract.conftest import Target

FILLS = {
    "9": {"qty": 3, "order": {"side": "buy"}},
    "10": {"qty": 1, "order": {"side": "sell"}},
    "b": {"qty": 2},
    "a": {"qty": 3, "order": {"side": "buy"}},
    "c": {"qty": "2"},
}
TOTALS = {"SOFI": 28.5, "HOOD": -1, "BRK!2EB": True, "AMD": "n/a", "F": 3}
OWNER = {"Authorization": "Bearer owner"}

Query = Callable[[db.Reference], Any]


class TestQueries:
    @pytest.mark.parametrize(
        ("query", "keys"),
        [
            (lambda it: it.order_by_key(), ["9", "10", "a", "b", "c"]),
            (lambda it: it.order_by_key().limit_to_first(2), ["9", "10"]),
            (lambda it: it.order_by_key().limit_to_last(2), ["b", "c"]),
            (lambda it: it.order_by_key().start_at("10").end_at("b"), ["10", "a", "b"]),
            (lambda it: it.order_by_key().equal_to("a"), ["a"]),
            (lambda it: it.order_by_child("qty"), ["10", "b", "9", "a", "c"]),
            (lambda it: it.order_by_child("qty").limit_to_first(3), ["10", "b", "9"]),
            (lambda it: it.order_by_child("qty").limit_to_last(2), ["a", "c"]),
            (lambda it: it.order_by_child("qty").start_at(2).end_at(3), ["b", "9", "a"]),
            (lambda it: it.order_by_child("qty").equal_to(3).limit_to_last(1), ["a"]),
            (lambda it: it.order_by_child("qty").equal_to("2"), ["c"]),
            (lambda it: it.order_by_child("order/side").start_at("c"), ["10"]),
            (lambda it: it.order_by_child("order/side").end_at("buy"), ["b", "c", "9", "a"]),
            (lambda it: it.order_by_child("qty").equal_to(9), []),
        ],
    )
    def test_the_admin_sdk_gets_the_children_that_its_query_selects(
        self, root: db.Reference, query: Query, keys: list[str]
    ) -> None:
        root.set(FILLS)
        # The SDK sorts what it gets by itself, keys of digits as text.
        assert set(query(root).get() or ()) == set(keys)

    def test_values_sort_by_their_type_first(self, root: db.Reference) -> None:
        root.set(TOTALS)
        by_value = root.order_by_value()
        assert list(by_value.get()) == ["BRK!2EB", "HOOD", "F", "SOFI", "AMD"]
        assert root.order_by_value().start_at(0).end_at(10**6).get() == {"F": 3, "SOFI": 28.5}
        assert root.order_by_value().equal_to(True).get() == {"BRK!2EB": True}

    def test_a_query_of_a_value_without_children_selects_nothing(self, root: db.Reference) -> None:
        root.set(7)
        assert root.order_by_key().limit_to_first(1).get() is None

    @pytest.mark.parametrize(
        ("parameters", "reason"),
        [
            ({"limitToFirst": "2"}, "orderBy must be defined when other query parameters are"),
            ({"orderBy": "qty"}, "orderBy must be a valid JSON encoded path"),
            ({"orderBy": '"$key"', "startAt": "5"}, "Provided key index type is invalid, must be"),
            (
                {"orderBy": '"$key"', "endAt": "a"},
                "Constraint index field must be a JSON primitive",
            ),
            ({"orderBy": '"$key"', "limitToLast": "x"}, "limitToLast must be an integer"),
            ({"orderBy": '"$key"', "shallow": "true"}, "Mixing 'shallow' and querying parameters"),
        ],
    )
    def test_a_query_that_means_nothing_is_refused_in_rtdbs_words(
        self, target: Target, root: db.Reference, parameters: dict[str, str], reason: str
    ) -> None:
        answer = target.session.get(
            f"{target.url}{root.path}.json", params=target.parameters | parameters, timeout=PATIENCE
        )
        assert answer.status_code == 400
        assert answer.json()["error"].startswith(reason)

    def test_a_query_of_a_stream_is_refused_and_not_ignored(self, server: ServerProcess) -> None:
        where, accept = '/a.json?orderBy="$key"&limitToLast=1', {"Accept": "text/event-stream"}
        with server.http("GET", where, headers=accept, stream=True) as answer:
            assert answer.status_code == 501


class TestRules:
    @pytest.fixture
    def ruled(self, server: ServerProcess, root: db.Reference) -> Iterator[Callable[..., Any]]:
        """Puts the rules of a namespace of its own; the answer."""

        def put(rules: str, headers: dict[str, str] = OWNER) -> requests.Response:
            target = f"/.settings/rules.json?ns={root.key}"
            return server.http("PUT", target, data=rules.encode(), headers=headers)

        yield put
        put('{"rules": {".read": true, ".write": true}}')

    def test_an_administrator_reads_and_replaces_the_rules_and_nobody_else(
        self, server: ServerProcess, ruled: Callable[..., Any], root: db.Reference
    ) -> None:
        where = f"/.settings/rules.json?ns={root.key}"
        assert server.http("GET", where, headers=OWNER).json() == {
            "rules": {".read": True, ".write": True}
        }
        text = '{"rules": {/* nobody */ "a": {".read": "auth != null"}}}'
        answer = ruled(text)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
        assert server.http("GET", where, headers=OWNER).text == text
        assert server.http("GET", f"/a.json?ns={root.key}").status_code == 401
        assert server.http("GET", "/a.json").status_code == 200
        for answer in (ruled(text, headers={}), server.http("GET", where)):
            assert (answer.status_code, answer.json()) == (401, {"error": "Permission denied"})

    def test_the_projects_rules_are_taken_as_they_are(
        self, server: ServerProcess, ruled: Callable[..., Any], root: db.Reference
    ) -> None:
        assert ruled((ROOT / "database.rules.json").read_text()).status_code == 200
        refused = server.http("PUT", f"/services/SOFI/price.json?ns={root.key}", data="1")
        assert refused.status_code == 401

    @pytest.mark.parametrize(
        ("rules", "reason"),
        [
            ('{"rules": {"a": {".read": "root.val() > true"}}}', "/a/.read: Invalid > expression"),
            ('{"rules": {"a": {".raed": true}}}', "/a/.raed: no rule is called this"),
            ('{"rules": {".read": "query.limitToFirst == 1"}}', "/.read: 'query' is valid on"),
            ('{"rules": {".indexOn": 1}}', "/.indexOn: expected a string, or a list of strings"),
            ("{", "not JSON: "),
            ("\udcff", "'utf-8' codec can't"),
        ],
    )
    def test_rules_that_cannot_be_deployed_are_refused_and_the_old_ones_stay(
        self, server: ServerProcess, ruled: Callable[..., Any], rules: str, reason: str
    ) -> None:
        ruled('{"rules": {".read": false}}')
        answer = (
            ruled(rules)
            if rules.isascii()
            else server.http("PUT", "/.settings/rules.json", data=b"\xff", headers=OWNER)
        )
        assert answer.status_code == 400
        assert answer.json()["error"].startswith(reason)

    def test_with_rules_a_query_needs_its_index(
        self,
        server: ServerProcess,
        ruled: Callable[..., Any],
        root: db.Reference,
        make_app: Callable[..., Any],
    ) -> None:
        reference = db.reference("fills", app=make_app(f"{server.url}/?ns={root.key}"))
        reference.set(FILLS)
        owned = {"auth": "owner", "ns": str(root.key), "orderBy": '"qty"', "equalTo": "2"}
        ruled('{"rules": {"$any": {".indexOn": ["time"], ".read": true}}}')
        answer = server.http("GET", "/fills.json", params=owned)
        assert (answer.status_code, answer.json()) == (
            400,
            {"error": 'Index not defined, add ".indexOn": "qty", for path "/fills", to the rules'},
        )
        ruled('{"rules": {"$any": {".indexOn": ["qty"], ".read": true}}}')
        assert server.http("GET", "/fills.json", params=owned).json() == {"b": {"qty": 2}}
        assert list(reference.order_by_key().limit_to_last(1).get()) == ["c"]


class TestBrowsers:
    def test_a_page_of_any_origin_may_read_and_write(
        self, target: Target, root: db.Reference
    ) -> None:
        url, asked = f"{target.url}{root.path}.json", {"Origin": "http://localhost:5173"}
        before = target.session.options(
            url,
            params=target.parameters,
            headers=asked
            | {
                "Access-Control-Request-Method": "PUT",
                "Access-Control-Request-Headers": "if-match",
            },
            timeout=PATIENCE,
        )
        assert before.status_code == 200
        assert before.headers["Access-Control-Allow-Origin"] in ("*", asked["Origin"])
        assert "PUT" in before.headers["Access-Control-Allow-Methods"]
        assert "if-match" in before.headers["Access-Control-Allow-Headers"].lower()
        answer = target.session.get(url, params=target.parameters, headers=asked, timeout=PATIENCE)
        assert answer.headers["Access-Control-Allow-Origin"] in ("*", asked["Origin"])

    @pytest.mark.parametrize("place", ["headers", "params"])
    def test_a_post_can_stand_for_another_method(
        self, target: Target, root: db.Reference, place: str
    ) -> None:
        root.set({"a": 1, "b": 2})
        override = {
            "X-HTTP-Method-Override" if place == "headers" else "x-http-method-override": "PATCH"
        }
        parameters = target.parameters | (override if place == "params" else {})
        target.session.post(
            f"{target.url}{root.path}.json",
            params=parameters,
            headers=override if place == "headers" else None,
            data='{"a": 3}',
            timeout=PATIENCE,
        )
        assert root.get() == {"a": 3, "b": 2}


class TestLimits:
    def test_more_than_the_websocket_takes_is_taken_by_rest(self, root: db.Reference) -> None:
        texts = {str(number): "x" * 9_000_000 for number in range(2)}
        root.set(texts)
        assert len(root.child("1").get()) == 9_000_000

    def test_a_body_of_more_than_256_mb_is_refused(self) -> None:
        request = HttpRequest(None, lambda _: None)  # type: ignore[arg-type]
        for _ in range(MAX_BODY_BYTES // 2**24):
            request.data_received(b" " * 2**24)
        request.data_received(b"1")
        with pytest.raises(RtdbError, match=TOO_BIG):
            request.value()

    def test_a_write_size_limit_is_one_of_those_that_exist(
        self, target: Target, root: db.Reference
    ) -> None:
        def put(limit: str) -> int:
            answer = target.session.put(
                f"{target.url}{root.path}.json",
                params=target.parameters | {"writeSizeLimit": limit},
                data="1",
                timeout=PATIENCE,
            )
            return answer.status_code

        assert (put("tiny"), put("unlimited"), put("huge")) == (200, 200, 400)


class TestBadDays:
    """What stands between a program and Firebase, or answers in its place."""

    @pytest.mark.parametrize(
        ("fault", "status", "header", "body"),
        [
            (
                {"status": 302, "headers": {"Location": "https://login.example/"}, "body": ""},
                302,
                ("Location", "https://login.example/"),
                "",
            ),
            ({"body": "<html>blocked</html>"}, 200, ("Content-Type", "text/html"), "<html>blocked"),
            (
                {"status": 401, "body": '{"error": "Unauthorized request."}'},
                401,
                ("Content-Type", "text/html"),
                '{"error": "Unauthorized',
            ),
            (
                {"status": 429, "headers": {"Retry-After": "7"}},
                429,
                ("Retry-After", "7"),
                '{"error"',
            ),
        ],
    )
    def test_another_answer_stands_in_for_the_databases_and_nothing_is_written(
        self,
        server: ServerProcess,
        root: db.Reference,
        fault: dict[str, Any],
        status: int,
        header: tuple[str, str],
        body: str,
    ) -> None:
        server.control(faults=[{"method": "PUT", **fault}])
        answer = server.http(
            "PUT", f"{root.path}.json?ns=contract", data="1", allow_redirects=False
        )
        assert answer.status_code == status
        assert answer.headers[header[0]] == header[1]
        assert answer.text.startswith(body)
        server.control(faults=[])
        assert root.get() is None

    def test_an_answer_can_trickle_in_under_every_read_timeout(
        self, server: ServerProcess, root: db.Reference
    ) -> None:
        slow = {"trickle": 60, "path": f"{root.path}/slow"}
        server.control(faults=[slow, {"method": "PUT", "trickle": 0.001}])
        answer = server.http("PUT", f"{root.path}/a.json?ns=contract", data="1")
        assert (answer.status_code, answer.json()) == (200, 1)
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as client:
            client.sendall(f"GET {root.path}/slow.json HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert client.recv(1000) == b"H"
        server.control(faults=[])
        assert root.get() == {"a": 1}

    def test_a_header_that_is_no_text_is_refused(self, server: ServerProcess) -> None:
        answer = server.http(
            "POST", "/.control", data=json.dumps({"faults": [{"headers": {"a": 1}}]})
        )
        assert answer.status_code == 400
