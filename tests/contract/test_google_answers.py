"""What the writer concludes from each answer of Firebase and of the token endpoint: a table.

Every row is tried on a fake Google: one write, by a client that has not signed in yet. The suite
prints the table at its end.
"""

import json
import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from app.dev.processes import free_port
from app.domain import Update
from app.errors import (
    GiveUp,
    Misconfigured,
    OutcomeUnknown,
    ProfitBridgeError,
    RetryLater,
    WrongSetting,
)
from app.firebase import FirebaseClient, NotADatabase
from app.firebase.sign_in import TokenCache
from app.settings import Settings, load_settings
from tests.google import DENIED, TOKEN_EXPIRED, Answer, FakeGoogle
from tests.system import Firebase

PERFORMANCE = {
    "total": 28.76, "unrealized": 28.76, "realized": 0.0, "converted": 0.0,
    "timestamp": "2025-05-15T13:32:56.582434+00:00",
}  # fmt: skip
STORED, RETRY, UNKNOWN, REFUSED, GIVE_UP = (
    "stored", "retry", "retry, outcome unknown", "refused", "give up",
)  # fmt: skip
_CONCLUSIONS: list[tuple[type[ProfitBridgeError], str]] = [
    (OutcomeUnknown, UNKNOWN),
    (RetryLater, RETRY),
    (Misconfigured, REFUSED),
    (GiveUp, GIVE_UP),
]
_MESS = ("<", "{", "HTTPSConnectionPool", "Max retries", "object at 0x", "Traceback", "\n")
"""What no operator should have to read."""


@dataclass
class Row:
    """An answer, and what is right."""

    answer: str
    concludes: str
    reads: str = ""
    """A part of the line that an operator reads."""
    requests: int = 1
    sign_ins: int = 1
    database: Answer | None = None
    token: Answer | None = None
    arrange: Callable[[FakeGoogle], Any] = lambda google: None
    within: float = 6.0


def _grant(description: str, error: str = "invalid_grant", status: int = 400) -> Answer:
    return Answer.of(status, {"error": error, "error_description": description})


_IAT = (
    "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
    "Check your iat and exp values in the JWT claim."
)
_LATIN_1 = "<html>Dienst nicht verfügbar, bitte später</html>".encode("latin-1")
_NO_DATABASE = "no Firebase database answers"

ROWS = [
    Row("204", STORED),
    *(
        Row(
            f"{status} to https://login.example/",
            RETRY,
            f"{_NO_DATABASE} at https://localhost",
            database=Answer.page(status, headers={"Location": "https://login.example/"}),
        )
        for status in (300, 301, 302, 303, 304, 307, 308)
    ),
    Row("200 with an HTML page", RETRY, _NO_DATABASE, database=Answer.page(200)),
    Row("200 with JSON", RETRY, _NO_DATABASE, database=Answer.of(200, {"ok": True})),
    Row("201, 202 of something else", RETRY, _NO_DATABASE, database=Answer(status=202)),
    *(
        Row(f"{status} with an HTML page", RETRY, _NO_DATABASE, database=Answer.page(status))
        for status in (401, 403)
    ),
    Row('401 "Permission denied"', REFUSED, "the rules", 2, database=Answer.of(401, DENIED)),
    Row("403", REFUSED, "the rules", 2, database=Answer.of(403, {"error": "Forbidden"})),
    Row(
        '401 "Unauthorized request." once',
        STORED,
        requests=2,
        sign_ins=2,
        database=Answer.of(401, TOKEN_EXPIRED, count=1),
    ),
    Row(
        '401 "Unauthorized request." for ever',
        REFUSED,
        "of the same project",
        requests=2,
        sign_ins=2,
        database=Answer.of(401, TOKEN_EXPIRED),
    ),
    Row(
        "404: another region",
        REFUSED,
        "Please change your database URL to https://p.europe-west1.firebasedatabase.app",
        database=Answer.of(
            404,
            {
                "correctUrl": "https://p.europe-west1.firebasedatabase.app",
                "error": "Database lives in a different region. Please change your database URL "
                "to https://p.europe-west1.firebasedatabase.app",
            },
        ),
    ),
    Row("404 with an HTML page", REFUSED, "there is no database", database=Answer.page(404)),
    Row("400", GIVE_UP, "Invalid data", database=Answer.of(400, {"error": "Invalid data."})),
    Row("413 with an HTML page", GIVE_UP, "413", database=Answer.page(413)),
    Row("501", GIVE_UP, "501", database=Answer.page(501)),
    *(
        Row(f"{status}", RETRY, f"{status}", database=Answer.of(status, {"error": "Later."}))
        for status in (408, 423, 425, 429, 500, 503)
    ),
    Row("407 of a proxy", RETRY, "HTTPS_PROXY", database=Answer.page(407)),
    Row("503 with a latin-1 page", RETRY, "503", database=Answer.page(503, _LATIN_1)),
    *(
        Row(f"{status} with an HTML page", UNKNOWN, f"{status}", database=Answer.page(status))
        for status in (502, 504, 507, 509, 511, 520, 522, 524, 529, 530, 599)
    ),
    Row(
        "commits, then 502",
        UNKNOWN,
        "502",
        database=Answer.page(502, commit=True),
    ),
    Row("reset", UNKNOWN, "reset", database=Answer(reset=True)),
    Row("no answer", UNKNOWN, "no answer in time", database=Answer(swallow=True)),
    Row(
        "a header every half second",
        UNKNOWN,
        "no complete answer within",
        database=Answer(status=204, headers={f"x-{n}": "1" for n in range(80)}, pace=0.5),
    ),
    Row(
        "connections swallowed",
        RETRY,
        "does not answer",
        requests=0,
        sign_ins=1,
        arrange=lambda google: setattr(google.database, "swallows_connections", True),
    ),
    *(
        Row(f"token: {name}", RETRY, reads, requests=0, token=token)
        for name, reads, token in (
            ("502 with HTML", "502", Answer.page(502)),
            ("503 with a latin-1 page", "503", Answer.page(503, _LATIN_1)),
            ("503 in JSON", "503", Answer.of(503, {"error": "internal_failure"})),
            ("500", "500", Answer.page(500)),
            ("429", "429", Answer.page(429)),
            ("408", "408", Answer.page(408)),
            ("200 with HTML", "no token", Answer.page(200)),
            ("200 with a latin-1 page", "no token", Answer.page(200, _LATIN_1)),
            ("200 with a list", "no token", Answer.of(200, [])),
            ("200 without a token", "no token", Answer.of(200, {"expires_in": 3600})),
            (
                "200 with an expiry that is no number",
                "no token",
                Answer.of(200, {"access_token": "a", "expires_in": "soon"}),
            ),
            ("302 to https://login.example/", "302", Answer.page(302)),
            ("403 with HTML", "403", Answer.page(403)),
            ("400 with HTML", "400", Answer.page(400)),
            ("404 with HTML", "404", Answer.page(404)),
            ("reset", "reset", Answer(reset=True)),
            ("no answer", "no answer in time", Answer(swallow=True)),
            (
                "a header every half second",
                "no complete answer within",
                Answer.page(200, headers={f"x-{n}": "1" for n in range(80)}, pace=0.5),
            ),
        )
    ),
    Row(
        "token: connections swallowed",
        RETRY,
        "does not answer",
        requests=0,
        sign_ins=0,
        arrange=lambda google: setattr(google.sign_in, "swallows_connections", True),
    ),
    *(
        Row(f"token: {name}", REFUSED, reads, requests=0, token=token)
        for name, reads, token in (
            ("invalid_grant, iat and exp", "set this machine's clock", _grant(_IAT)),
            (
                "invalid_grant, signature",
                "revoked or deleted: download a new key",
                _grant("Invalid JWT Signature."),
            ),
            (
                "invalid_grant, no account",
                "GOOGLE_APPLICATION_CREDENTIALS",
                _grant("Invalid grant: account not found"),
            ),
            (
                "invalid_client",
                "GOOGLE_APPLICATION_CREDENTIALS",
                _grant("The OAuth client was disabled.", "disabled_client", 401),
            ),
            (
                "unauthorized_client",
                "GOOGLE_APPLICATION_CREDENTIALS",
                _grant("Client is unauthorized", "unauthorized_client", 401),
            ),
        )
    ),
]


@pytest.fixture(scope="module")
def firebase(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firebase]:
    firebase = Firebase(tmp_path_factory.mktemp("firebase"))
    yield firebase
    firebase.process.end()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, firebase: Firebase) -> Iterator[FakeGoogle]:
    with FakeGoogle(tmp_path_factory.mktemp("google"), firebase.port) as google:
        yield google


@pytest.fixture
def google(stage: FakeGoogle, monkeypatch: pytest.MonkeyPatch) -> FakeGoogle:
    stage.reset()
    for name, value in stage.environment.items():
        monkeypatch.setenv(name, value)
    return stage


def _settings(google: FakeGoogle) -> Settings:
    return load_settings({**google.environment, "FIREBASE_TIMEOUT_SECONDS": "1"})


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.answer)
def test_table(
    row: Row,
    google: FakeGoogle,
    firebase: Firebase,
    record_property: Callable[[str, object], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.firebase.client.CALL_SECONDS", 3.0, raising=False)
    monkeypatch.setattr("app.firebase.sign_in._TIMEOUT", (1.0, 1.0), raising=False)
    firebase.put("localhost", None)
    google.database.answers = [row.database] if row.database else []
    google.sign_in.answers = [row.token] if row.token else []
    row.arrange(google)
    concluded, line = STORED, ""
    began = time.monotonic()
    with closing(FirebaseClient(_settings(google))) as client:
        try:
            client.store_many([Update("SOFI", "performance", PERFORMANCE)])
        except ProfitBridgeError as error:
            concluded = next(name for kind, name in _CONCLUSIONS if isinstance(error, kind))
            line = str(error)
        except Exception as error:
            concluded, line = f"breaks: {type(error).__name__}", str(error)
    seconds = time.monotonic() - began
    requests, sign_ins = len(google.database.requests), google.sign_ins
    record_property("answer", (row.answer, concluded, requests, sign_ins, line))
    assert (concluded, requests, sign_ins) == (row.concludes, row.requests, row.sign_ins), line
    assert row.reads in line
    assert not [mess for mess in _MESS if mess in line], line
    assert seconds < row.within, "a deadline ends it"


def _elliptic(google: FakeGoogle) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return json.dumps({**google.account, "private_key": pem.decode()})


@pytest.mark.parametrize(
    "content",
    [
        lambda google: "[]",
        lambda google: "{",
        lambda google: "\xff",
        lambda google: json.dumps({**google.account, "type": "authorized_user"}),
        lambda google: json.dumps({**google.account, "private_key": "secret"}),
        lambda google: json.dumps({k: v for k, v in google.account.items() if k != "token_uri"}),
        _elliptic,
    ],
)
def test_a_key_file_of_a_wrong_form_is_named_in_one_line(
    google: FakeGoogle, tmp_path: Path, content: Callable[[FakeGoogle], str]
) -> None:
    file = tmp_path / "key.json"
    file.write_text(content(google), encoding="latin-1")
    given = {**google.environment, "GOOGLE_APPLICATION_CREDENTIALS": str(file)}
    with pytest.raises(WrongSetting) as refused:
        FirebaseClient(load_settings(given))
    line = str(refused.value)
    assert line.startswith(f"GOOGLE_APPLICATION_CREDENTIALS: {file} is not the key file")
    assert "\n" not in line
    assert "secret" not in line


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_bundle_of_certificates_that_cannot_be_used_is_named_in_one_line(
    google: FakeGoogle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    file = tmp_path / "ca.pem"
    if content:
        file.write_text(content)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(file))
    with pytest.raises(WrongSetting, match=f"^REQUESTS_CA_BUNDLE.*{file}.*correct the path"):
        FirebaseClient(_settings(google))


def test_the_processes_of_a_worker_sign_in_once(
    google: FakeGoogle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.firebase.sign_in._shared", TokenCache())
    settings, fork = _settings(google), multiprocessing.get_context("fork")
    for _ in range(2):  # the second time with a token that is not accepted any more
        children = [fork.Process(target=_write_in_child, args=(settings,)) for _ in range(4)]
        for child in children:
            child.start()
        for child in children:
            child.join(20)
        assert [child.exitcode for child in children] == [0] * 4
        google.expire_tokens()
    assert google.sign_ins == 2


def _write_in_child(settings: Settings) -> None:
    with closing(FirebaseClient(settings)) as client:
        client.store_many([Update("SOFI", "performance", PERFORMANCE)])


def test_a_certificate_that_nobody_vouches_for_names_the_variable(
    google: FakeGoogle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    client = FirebaseClient(_settings(google))
    with closing(client), pytest.raises(RetryLater, match="REQUESTS_CA_BUNDLE"):
        client.store_many([Update("SOFI", "performance", PERFORMANCE)])


def test_a_proxy_that_is_not_there_names_the_variable(
    google: FakeGoogle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("NO_PROXY", "")
    client = FirebaseClient(_settings(google))
    with closing(client), pytest.raises(RetryLater, match=r"Connection refused.*HTTPS_P") as raised:
        client.store_many([Update("SOFI", "performance", PERFORMANCE)])
    assert not [mess for mess in _MESS if mess in str(raised.value)]


def test_a_page_in_place_of_what_is_read_is_no_database(google: FakeGoogle) -> None:
    google.database.answers = [Answer.page(200)]
    with closing(FirebaseClient(_settings(google))) as client:
        for read in (client.get, client.keys, client.health_check):
            with pytest.raises(NotADatabase, match=_NO_DATABASE):
                read()
