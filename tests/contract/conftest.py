"""The database that the contract suite runs against, through the unmodified Admin SDK.

Normally that is the development server in a process of its own. With CONTRACT_FIREBASE_DATABASE_URL
set it is that database instead: a real one (`https://...`, with credentials where the SDK looks for
them, GOOGLE_APPLICATION_CREDENTIALS) or Google's emulator (`http://HOST:PORT/?ns=NAME`). Every test
then works below a random root of its own and removes it; tests that need the development server
itself (faults, its log, other namespaces, its process) are skipped.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlsplit

import firebase_admin
import pytest
import requests
from firebase_admin import _http_client, credentials, db
from google.auth.transport.requests import AuthorizedSession

from tests.summary import properties

REAL_URL = os.environ.get("CONTRACT_FIREBASE_DATABASE_URL")
PATIENCE = (
    20.0  # seconds until a test that waits gives up; nothing waits that long when all is well
)

Heard: TypeAlias = tuple[str, str, Any]


def eventually(holds: Callable[[], Any], what: str) -> Any:
    """Wait until `holds` gives something true, and return that; fail after PATIENCE."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        value = holds()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"not within {PATIENCE} s: {what}")


class ServerProcess:
    """The development server in its own process; `stop` or `kill` it, always by its own pid."""

    def __init__(self, directory: Path, *options: str) -> None:
        port_file = directory / f"port-{uuid.uuid4().hex}"
        command = [sys.executable, "-m", "app.dev.rtdb.server", "--port-file", str(port_file)]
        # A listener's close() returns only when its blocked read does: frequent keep-alives.
        command += ["--keep-alive", "0.1", *options]
        here = Path(__file__).parents[2]
        self._process = subprocess.Popen(command, cwd=here, stdout=subprocess.PIPE, text=True)
        try:
            eventually(lambda: port_file.exists() or self._process.poll() is not None, "a port")
            self.port = int(port_file.read_text())
        except BaseException:
            self.kill()
            raise
        self.url = f"http://127.0.0.1:{self.port}"

    def stop(self) -> tuple[int, str]:
        """Ask it to end with SIGTERM; its exit code, and what it printed."""
        self._process.terminate()
        output, _ = self._process.communicate(timeout=PATIENCE)
        return self._process.returncode, output

    def kill(self) -> None:
        """End it whatever happens."""
        self._process.kill()
        self._process.communicate()

    def http(self, method: str, target: str, **options: Any) -> requests.Response:
        """One plain request; `target` is path and query."""
        return requests.request(method, f"{self.url}{target}", timeout=PATIENCE, **options)

    def control(self, **order: Any) -> dict[str, Any]:
        """Give an order to /.control (`faults`, `clear`), or only ask for its state."""
        answer = (
            self.http("POST", "/.control", json=order) if order else self.http("GET", "/.control")
        )
        answer.raise_for_status()
        state: dict[str, Any] = answer.json()
        return state


@dataclass(frozen=True)
class Target:
    """Where the database is, and how to talk to it without the SDK's database module."""

    url: str
    parameters: dict[str, str]
    session: requests.Session
    app: firebase_admin.App

    def raw(
        self, method: str, path: str, body: bytes = b"", if_match: str = ""
    ) -> requests.Response:
        """One plain REST request; `path` is that of a reference."""
        return self.session.request(
            method,
            f"{self.url}{path}.json",
            params=self.parameters,
            data=body,
            headers={"if-match": if_match} if if_match else {},
            timeout=PATIENCE,
        )


@pytest.fixture
def straight_to_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a proxy nor a developer's emulator setting comes between test and database."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("FIREBASE_DATABASE_EMULATOR_HOST", raising=False)


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess | None]:
    """One server process for all tests; None if they run against another database."""
    if REAL_URL is not None:
        yield None
        return
    server = ServerProcess(tmp_path_factory.mktemp("rtdb"))
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture
def server(
    shared_server: ServerProcess | None, straight_to_the_target: None
) -> Iterator[ServerProcess]:
    """The development server, with no faults set before and after."""
    if shared_server is None:
        pytest.skip("needs the development server itself")
    shared_server.control(faults=[], clear=["counters", "writes"])
    yield shared_server
    shared_server.control(faults=[])


@pytest.fixture
def make_app(straight_to_the_target: None) -> Iterator[Callable[..., firebase_admin.App]]:
    """Makes SDK apps from options, and removes them after the test."""
    apps = []

    def make(url: str, **options: Any) -> firebase_admin.App:
        credential = credentials.ApplicationDefault()
        options = {"databaseURL": url, "httpTimeout": PATIENCE, **options}
        apps.append(firebase_admin.initialize_app(credential, options, uuid.uuid4().hex))
        return apps[-1]

    yield make
    for app in apps:
        firebase_admin.delete_app(app)


@pytest.fixture
def target(
    shared_server: ServerProcess | None,
    make_app: Callable[..., firebase_admin.App],
    monkeypatch: pytest.MonkeyPatch,
) -> Target:
    """The database under test, signed in to."""
    # The SDK sends as often as ever, but does not pause before it sends a failed request again.
    monkeypatch.setattr(_http_client.DEFAULT_RETRY_CONFIG, "backoff_max", 0)
    url = REAL_URL or f"{shared_server.url}/?ns=contract"  # type: ignore[union-attr]
    app, parts = make_app(url), urlsplit(url)
    if parts.scheme == "https":
        session = AuthorizedSession(app.credential.get_credential())
        return Target(f"https://{parts.netloc}", {}, session, app)
    namespace = parse_qs(parts.query)["ns"][0]
    return Target(f"http://{parts.netloc}", {"ns": namespace}, requests.Session(), app)


@pytest.fixture
def root(target: Target) -> Iterator[db.Reference]:
    """An empty location that belongs to this test alone."""
    reference = db.reference(f"contract-{uuid.uuid4().hex}", app=target.app)
    yield reference
    if REAL_URL is not None:
        reference.delete()


@pytest.fixture
def listen() -> Iterator[Callable[[db.Reference], Callable[[], Heard]]]:
    """Listens to a reference; the function it returns waits for the next event."""
    registrations = []

    def start(reference: db.Reference) -> Callable[[], Heard]:
        events: Queue[Heard] = Queue()
        registrations.append(
            reference.listen(lambda event: events.put((event.event_type, event.path, event.data)))
        )
        return lambda: events.get(timeout=PATIENCE)

    yield start
    for registration in registrations:
        registration.close()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what the writer concluded from each answer of the fake Google."""
    rows = properties(terminalreporter, "answer")
    if not rows:
        return
    write = terminalreporter.write_line
    write("")
    write(f"{'answer':<46}{'the writer concludes':<24}{'requests':>9}{'sign-ins':>9}  line")
    for answer, concluded, sent, sign_ins, line in rows:
        write(f"{answer:<46}{concluded:<24}{sent:>9}{sign_ins:>9}  {line}")
