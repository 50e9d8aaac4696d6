"""The REST API of Firebase Realtime Database: what each request does and returns.

There are no priorities, and no queries of streams: what is not supported is refused with 501, and
never ignored. Without rules everything is allowed, credentials are not read, and a query needs no
index. For the websocket, see session.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from app.dev.rtdb.databases import PERMISSION_DENIED, Database, Databases
from app.dev.rtdb.faults import Counters
from app.dev.rtdb.http import HttpRequest, HttpResponse
from app.dev.rtdb.rules import Principal, Rules, principal_of
from app.dev.rtdb.tree import (
    INVALID_OBJECT,
    PARAMETERS,
    Change,
    Json,
    Path,
    Query,
    RtdbError,
    RtdbTree,
    WriteCheck,
    export,
    path_text,
)

NAME = "RTDB-compatible development server, not Firebase"
SUPPORTS = (
    "GET, PUT, PATCH (multi-path, atomic), POST, DELETE, ns=, print=silent, print=pretty, "
    "shallow=true, orderBy with ranges and limits, ETag with if-match and if-none-match, SSE "
    "streaming, server values, key rules and error bodies, X-HTTP-Method-Override, CORS, "
    "/.settings/rules.json for the token owner; over its websocket what the JavaScript SDK does, "
    "queries, transactions and onDisconnect included, but no priorities and no long polling; "
    "with --rules FILE: database rules and .indexOn, for unsigned tokens"
)
NO_JSON_SUFFIX = "append .json to your request URI to use the REST API."

_RULES = "/.settings/rules.json"
_OPEN_RULES = '{"rules": {".read": true, ".write": true}}'
_METHODS = "GET, PUT, PATCH, POST, DELETE"
_WRITE_SIZE_LIMITS = {None, "tiny", "small", "medium", "large", "unlimited"}
"""By the time that a write may take: every write takes less than the smallest here."""

_NO_INDEX = 'Index not defined, add ".indexOn": "{}", for path "{}", to the rules'
_UNSUPPORTED = {"startAfter", "endBefore", "format", "callback"}


class RestApi:
    """Executes requests on the databases, and counts the streams that they open."""

    def __init__(self, databases: Databases, counters: Counters) -> None:
        self._databases = databases
        self._counters = counters

    def execute(self, request: HttpRequest) -> HttpResponse | None:
        """Execute a request; return None if it has become a stream."""
        try:
            return self._dispatch(request)
        except RtdbError as error:
            text = error.text
            if error.key is not None:
                text = text.format(position=_key_position(request.body.decode(), error.key))
            return HttpResponse.error(error.status, text)

    def _dispatch(self, request: HttpRequest) -> HttpResponse | None:
        if request.raw_path in ("/", "/.about"):
            return HttpResponse.text(200, f"{NAME}. It supports: {SUPPORTS}.")
        if request.method == "OPTIONS":
            return _preflight(request)
        if not request.raw_path.endswith(".json"):
            return HttpResponse.text(404, NO_JSON_SUFFIX)
        if request.raw_path == _RULES:
            return self._access_rules(request)
        return self._access_data(request)

    def _access_data(self, request: HttpRequest) -> HttpResponse | None:
        unsupported = _UNSUPPORTED.intersection(request.parameters)
        if request.method == "STREAM":
            unsupported |= PARAMETERS.intersection(request.parameters)
        if unsupported:
            raise RtdbError(501, f"{NAME}: {', '.join(sorted(unsupported))} not supported.")
        path = request.path()
        database = self._databases.of(request.namespace)
        principal = database.principal_of(request)
        if request.method in ("STREAM", "GET") or _wants_etag(request):
            database.check_read(principal, path)
        match request.method:
            case "STREAM":
                if not request.is_abandoned:
                    self._counters.statuses[200] += 1
                    database.listen(request, path)
                return None
            case "GET":
                return _read(request, database, path)
            case "PUT" | "PATCH" | "POST" | "DELETE":
                return self._write(request, database, path, principal)
        raise RtdbError(405, f"{request.method} is not supported.")

    def _write(
        self, request: HttpRequest, database: Database, path: Path, principal: Principal
    ) -> HttpResponse:
        tree, method = database.tree, request.method
        if request.parameters.get("writeSizeLimit") not in _WRITE_SIZE_LIMITS:
            raise RtdbError(400, "writeSizeLimit must be tiny, small, medium, large or unlimited.")
        expected = request.headers.get("if-match")
        if expected is not None:
            if method not in ("PUT", "DELETE"):
                raise RtdbError(400, f"if-match is not supported for {method}.")
            current = tree.etag(path)
            if expected != current:
                return HttpResponse.of(tree.get(path), 412, current)
        change = _change(request, tree, path, database.write_check(principal))
        self._databases.publish(request.namespace, change)
        etag = tree.etag(path) if _wants_etag(request) else None
        return _render(request, lambda: _result(method, change), etag)

    def _access_rules(self, request: HttpRequest) -> HttpResponse:
        """Return the rules, or replace them, for an administrator."""
        if not principal_of(request.headers, request.parameters).is_admin:
            raise RtdbError(401, PERMISSION_DENIED)
        database = self._databases.of(request.namespace)
        if request.method == "PUT":
            try:
                database.rules = Rules(request.body.decode())
            except ValueError as error:
                raise RtdbError(400, str(error)) from None
            return HttpResponse.of({"status": "ok"})
        if request.method != "GET":
            raise RtdbError(405, f"{request.method} is not supported.")
        rules = database.rules
        return HttpResponse(200, (rules.text if rules else _OPEN_RULES).encode())


def _preflight(request: HttpRequest) -> HttpResponse:
    """Return what a browser asks before it sends what a form could not send."""
    asked = request.headers.get("Access-Control-Request-Headers", "")
    headers = {"Access-Control-Allow-Methods": _METHODS, "Access-Control-Allow-Headers": asked}
    return HttpResponse(200, b"", headers=headers)


def _read(request: HttpRequest, database: Database, path: Path) -> HttpResponse:
    tree = database.tree
    is_shallow = request.parameters.get("shallow") == "true"
    if not PARAMETERS.isdisjoint(request.parameters):
        query = Query.from_parameters(request.parameters)
        if is_shallow:
            raise RtdbError(400, "Mixing 'shallow' and querying parameters is not supported")
        index, rules = query.needed_index, database.rules
        if index is not None and rules is not None and not rules.has_index(path, index):
            raise RtdbError(400, _NO_INDEX.format(index, path_text(path)))
        return _render(request, lambda: export(query.select(tree.node(path))), None)
    if is_shallow:
        return _render(request, lambda: tree.shallow(path), None)
    etag = tree.etag(path) if _wants_etag(request) else None
    if etag is not None and etag == request.headers.get("if-none-match"):
        return HttpResponse(304, None, etag)
    return _render(request, lambda: tree.get(path), etag)


def _change(request: HttpRequest, tree: RtdbTree, path: Path, check: WriteCheck | None) -> Change:
    if request.method == "DELETE":
        return tree.delete(path, check)
    value = request.value()
    if request.method == "PUT":
        return tree.put(path, value, check)
    if request.method == "POST":
        return tree.post(path, value, check)
    if not isinstance(value, dict):
        raise RtdbError(400, INVALID_OBJECT)
    return tree.patch(path, value, check)


def _wants_etag(request: HttpRequest) -> bool:
    headers = request.headers
    asks = headers.get("X-Firebase-ETag", "").lower() == "true"
    return asks or "if-match" in headers or "if-none-match" in headers


def _result(method: str, change: Change) -> Json:
    """Return the body for a write: the new child's name, or the new value."""
    if method == "POST":
        return {"name": change.written[0].path[-1]}
    if change.kind == "put":
        return export(change.written[0].after)
    below = len(change.base)
    return {"/".join(each.path[below:]): export(each.after) for each in change.written}


def _render(request: HttpRequest, value: Callable[[], Json], etag: str | None) -> HttpResponse:
    match request.parameters.get("print"):
        case "silent":
            return HttpResponse(204, None, etag)
        case "pretty":
            body = json.dumps(value(), indent=2, ensure_ascii=False).encode() + b"\n"
            return HttpResponse(200, body, etag)
    return HttpResponse.of(value(), etag=etag)


def _key_position(text: str, key: str) -> str:
    """Return `line:column` of a key in the body, counted from 1, in RTDB's form."""
    for ensure_ascii in (True, False):
        written = json.dumps(key, ensure_ascii=ensure_ascii)
        found = re.search(re.escape(written) + r"\s*:", text)
        if found:
            before = text[: found.start()]
            return f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
    return "1:1"
