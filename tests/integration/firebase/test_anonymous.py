"""Whether reading without sign-in is refused is said by the database itself, or by nobody."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from app.dev.processes import free_port
from app.errors import RetryLater
from app.firebase import anybody_may_read
from app.settings import load_settings
from tests.rules.cases import performance
from tests.rules.forms import PUBLIC, SIGNED_IN, merged
from tests.system import Firebase

OF_EACH_TICKER = {"rules": {"services": {"$symbol": {".read": True}}}}


@pytest.mark.parametrize(
    ("rules", "allowed"),
    [
        (merged(SIGNED_IN), {"": False, "aggregate/performance": False}),
        (merged(PUBLIC), {"": True, "aggregate/performance": True}),
        (OF_EACH_TICKER, {"": False, "aggregate/performance": True}),
    ],
    ids=["signed in", "public", "each ticker"],
)
def test_the_rules_are_found_out_without_credentials(
    rules: Any, allowed: dict[str, bool], tmp_path: Path
) -> None:
    file = tmp_path / "rules.json"
    file.write_text(json.dumps(rules))
    database = Firebase(tmp_path, "--rules", str(file))
    try:
        settings = load_settings({"FIREBASE_DATABASE_EMULATOR_HOST": database.host})
        for there in (None, {"SOFI": {"performance": performance()}}):
            database.put("services", there)
            assert {path: anybody_may_read(settings, path) for path in allowed} == allowed
    finally:
        database.process.end()


@pytest.fixture
def answering() -> Iterator[Any]:
    """A server that answers everything with what the test gives it, and notes what it was asked."""

    class Handler(BaseHTTPRequestHandler):
        answer: tuple[int, str] = 200, ""
        asked: tuple[str, dict[str, str]] = "", {}

        def do_GET(self) -> None:
            type(self).asked = self.path, dict(self.headers)
            status, body = self.answer
            self.send_response(status)
            self.send_header("Location", "/other.json")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1], Handler
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "body", "allowed"),
    [
        (200, "null", True),
        (401, '{"error": "Permission denied"}', False),
        (403, '{"error": "Permission denied"}', False),
        (200, "<html>Sign in to this network</html>", None),
        (401, "<html>Proxy authentication</html>", None),
        (401, "null", None),
        (302, "", None),
        (302, "{}", None),
        (404, '{"error": "404 Not Found"}', None),
        (503, '{"error": "Service unavailable"}', None),
    ],
)
def test_only_the_answer_of_a_database_counts(
    answering: Any, status: int, body: str, allowed: bool | None
) -> None:
    port, handler = answering
    handler.answer = status, body
    url = f"http://127.0.0.1:{port}/?ns=desk-1"
    settings = load_settings({"FIREBASE_DATABASE_URL": url, "FIREBASE_ROOT": "desk/my stocks"})
    if allowed is None:
        with pytest.raises(RetryLater, match=f"^http://127.0.0.1:{port}/desk/my%20stocks.json "):
            anybody_may_read(settings)
    else:
        assert anybody_may_read(settings) is allowed
    path, headers = handler.asked
    assert path == "/desk/my%20stocks.json?ns=desk-1&shallow=true"
    assert "Authorization" not in headers


def test_no_answer_is_neither_yes_nor_no() -> None:
    host = f"127.0.0.1:{free_port()}"
    settings = load_settings({"FIREBASE_DATABASE_EMULATOR_HOST": host})
    with pytest.raises(RetryLater, match=f"^http://{host}/services.json does not answer$"):
        anybody_may_read(settings)
