"""What FirebaseClient writes, as a reader of the database finds it; over the real Admin SDK."""

import dataclasses
import json
import multiprocessing
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.domain import Update
from app.errors import GiveUp, Misconfigured, OutcomeUnknown, RetryLater
from app.firebase import (
    HEALTH_CHECK_PATH,
    FirebaseClient,
    firebase_of_this_process,
    unescape_key,
)
from app.settings import Settings, load_settings
from tests.system import Firebase

PERFORMANCE = {
    "total": 28.76, "unrealized": 28.76, "realized": 0.0, "converted": 0.0,
    "timestamp": "2025-05-15T13:32:56.582434+00:00",
}  # fmt: skip


@pytest.fixture(scope="module")
def firebase(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firebase]:
    firebase = Firebase(tmp_path_factory.mktemp("firebase"))
    yield firebase
    firebase.process.end()


@pytest.fixture
def given_settings(firebase: Firebase) -> Settings:
    firebase.faults()
    firebase.put("services", {"SOFI": {"price": 1.5, "orders": {"1": {"event": "new"}}}})
    return load_settings(
        {"FIREBASE_DATABASE_EMULATOR_HOST": firebase.host, "FIREBASE_TIMEOUT_SECONDS": "1"}
    )


@pytest.fixture
def client(given_settings: Settings) -> Iterator[FirebaseClient]:
    client = FirebaseClient(given_settings)
    yield client
    client.close()


def test_a_performance_lands_beside_its_siblings(
    client: FirebaseClient, firebase: Firebase
) -> None:
    path = client.store_ticker_data("SOFI", "performance", PERFORMANCE)
    assert path == "services/SOFI/performance"
    sofi = firebase.get("services/SOFI")
    assert sofi == {"price": 1.5, "orders": {"1": {"event": "new"}}, "performance": PERFORMANCE}


def test_each_write_is_announced_to_the_limiter_with_its_size_and_what_it_is_for(
    given_settings: Settings, firebase: Firebase
) -> None:
    asked: list[tuple[int, bool]] = []

    def acquire(size: int, /, *, for_orders: bool) -> None:
        asked.append((size, for_orders))

    with closing(FirebaseClient(given_settings, acquire)) as client:
        client.store_ticker_data("SOFI", "performance", PERFORMANCE)
        client.store_ticker_data("SOFI", "orders/2", {"text": "x" * 5_000})
        client.store_many([Update("SOFI", "orders/1", {}), Update("HOOD", "orders/2", {"x": 1})])
        assert client.order_ids("SOFI") == ["2"]
        assert client.order_times("SOFI", ["2", "3"]) == [None, None]
    assert [for_orders for _, for_orders in asked] == [False, True, True]
    assert 5_000 < asked[1][0] < 5_100


def test_a_price_is_merged_into_the_ticker(client: FirebaseClient, firebase: Firebase) -> None:
    client.store_ticker_data("SOFI", "performance", PERFORMANCE)
    value = {"price": 2.5, "volume": 10, "timestamp": PERFORMANCE["timestamp"]}
    client.store_ticker_data("SOFI", "price", value)
    sofi = firebase.get("services/SOFI")
    assert sofi.pop("last_updated").endswith("+00:00")
    assert sofi == value | {"orders": {"1": {"event": "new"}}, "performance": PERFORMANCE}


def test_one_request_stores_many_symbols_and_kinds(
    client: FirebaseClient, firebase: Firebase
) -> None:
    client.store_many(
        [
            Update("BRK.B", "performance", PERFORMANCE),
            Update("BTC/USD", "orders/a/b.c", {"event": "fill"}),
            Update("0700", "price", {"price": 3}),
            Update("aggregate", "performance", PERFORMANCE),
        ]
    )
    found = firebase.get()
    assert found["BRK!2EB"] == {"performance": PERFORMANCE}
    assert found["BTC!2FUSD"] == {"orders": {"a!2Fb!2Ec": {"event": "fill"}}}
    assert found["0700"]["price"] == 3
    assert found["aggregate"] == {"performance": PERFORMANCE}
    assert found["SOFI"] == {"price": 1.5, "orders": {"1": {"event": "new"}}}


def test_keys_inside_a_value_are_escaped_too(client: FirebaseClient, firebase: Firebase) -> None:
    client.store_ticker_data(
        "SOFI", "orders/2", {"order": {"limit.price": 1, "legs": [{"a/b": 2}]}}
    )
    found = firebase.get("services/SOFI/orders/2")
    assert found == {"order": {"limit!2Eprice": 1, "legs": [{"a!2Fb": 2}]}}


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@example("A+B C?%2B/.!")
@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=60))
def test_any_text_as_an_id_gives_a_key_of_its_own(
    client: FirebaseClient, firebase: Firebase, identity: str
) -> None:
    firebase.put("services", {"SOFI": {"price": 1.5}})
    client.store_ticker_data("SOFI", f"orders/{identity}", {"event": "one"})
    client.store_many(
        [Update("SOFI", f"fills/{identity}", {"event": "two"}), Update("HOOD", "x", 1)]
    )
    sofi = firebase.get("services/SOFI")
    for kind in ("orders", "fills"):
        keys = sofi[kind] if isinstance(sofi[kind], dict) else _as_object(sofi[kind])
        assert [unescape_key(key) for key in keys] == [identity]


def _as_object(array: list[Any]) -> dict[str, Any]:
    return {str(n): value for n, value in enumerate(array) if value is not None}


def test_a_value_is_read_as_it_is_in_the_database(
    client: FirebaseClient, firebase: Firebase
) -> None:
    assert client.get("SOFI/price") == 1.5
    assert client.get() == firebase.get()
    assert client.get("HOOD") is None


def test_keys_are_read_without_what_is_below_them(client: FirebaseClient) -> None:
    client.store_ticker_data("BRK.B", "performance", PERFORMANCE)
    assert sorted(client.keys()) == ["BRK!2EB", "SOFI"]
    assert sorted(client.keys("SOFI")) == ["orders", "price"]
    assert client.keys("SOFI/price") == client.keys("HOOD") == []


@pytest.mark.parametrize(
    ("fault", "means"),
    [
        ({"status": 503}, RetryLater),
        ({"drop": True}, RetryLater),
        ({"status": 401}, Misconfigured),
        ({"status": 404}, Misconfigured),
        ({"status": 400}, GiveUp),
    ],
)
def test_a_read_that_fails_says_what_to_do(
    client: FirebaseClient, firebase: Firebase, fault: dict[str, Any], means: type[Exception]
) -> None:
    firebase.faults(fault)
    for read in (client.get, client.keys):
        with pytest.raises(means) as raised:
            read("SOFI")
        assert type(raised.value) is not OutcomeUnknown


def test_a_health_check_leaves_nothing_behind(client: FirebaseClient, firebase: Firebase) -> None:
    assert client.health_check()
    assert firebase.get(HEALTH_CHECK_PATH) is None
    assert any(HEALTH_CHECK_PATH in path for path, _ in firebase.writes())


@pytest.mark.parametrize("status", [423, 429, 500, 502, 503, 504])
def test_a_server_that_is_overloaded_is_tried_later(
    client: FirebaseClient, firebase: Firebase, status: int
) -> None:
    firebase.faults({"status": status, "count": 1})
    with pytest.raises(RetryLater):
        client.store_ticker_data("SOFI", "performance", PERFORMANCE)
    client.store_ticker_data("SOFI", "performance", PERFORMANCE)


@pytest.mark.parametrize("fault", [{"drop": True}, {"drop": True, "commit": True}, {"delay": 3}])
def test_a_request_without_an_answer_is_tried_later(
    client: FirebaseClient, firebase: Firebase, fault: dict[str, Any]
) -> None:
    client.store_ticker_data("SOFI", "x", 1)
    firebase.faults(fault | {"count": 1})
    with pytest.raises(RetryLater, match="cannot write to Firebase at http://127"):
        client.store_ticker_data("SOFI", "performance", PERFORMANCE)


def test_the_sdk_does_not_retry_behind_our_back(client: FirebaseClient, firebase: Firebase) -> None:
    firebase.faults({"status": 503, "count": 1})
    with pytest.raises(RetryLater):
        client.store_ticker_data("SOFI", "performance", PERFORMANCE)
    assert "performance" not in firebase.get("services/SOFI")


def test_a_refused_connection_is_tried_later_and_named_in_a_few_words() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{closed.getsockname()[1]}"
        client = FirebaseClient(load_settings({"FIREBASE_DATABASE_EMULATOR_HOST": host}))
        with pytest.raises(RetryLater, match="cannot write to Firebase") as raised:
            client.store_ticker_data("SOFI", "performance", PERFORMANCE)
        client.close()
    assert str(raised.value).endswith("Connection refused")
    assert "Max retries" not in str(raised.value)


@pytest.mark.parametrize("status", [401, 403])
def test_a_denial_is_for_an_operator(
    client: FirebaseClient, firebase: Firebase, status: int
) -> None:
    firebase.faults({"status": status})
    with pytest.raises(Misconfigured, match="credentials or the rules"):
        client.store_ticker_data("SOFI", "performance", PERFORMANCE)


@pytest.mark.parametrize(
    ("status", "error", "means"),
    [(503, "internal_failure", RetryLater), (400, "invalid_grant", Misconfigured)],
)
def test_a_failed_sign_in_is_retried_if_the_failure_may_pass(
    tmp_path: Path, status: int, error: str, means: type[Exception]
) -> None:
    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps({"error": error}).encode())

    key = rsa.generate_private_key(65537, 2048).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as google:
        threading.Thread(target=google.serve_forever, daemon=True).start()
        account = {
            "type": "service_account",
            "project_id": "p",
            "private_key_id": "1",
            "private_key": key.decode(),
            "client_email": "bridge@p.iam.gserviceaccount.com",
            "token_uri": f"http://127.0.0.1:{google.server_port}/token",
        }
        (tmp_path / "key.json").write_text(json.dumps(account))
        given = load_settings(
            {
                "FIREBASE_DATABASE_URL": "https://p-default-rtdb.firebaseio.com",
                "GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "key.json"),
            }
        )
        with closing(FirebaseClient(given)) as client, pytest.raises(means):
            client.store_ticker_data("SOFI", "performance", PERFORMANCE)
        google.shutdown()


@pytest.mark.parametrize("value", [None, float("nan"), "x" * 10_500_000, {1, 2}])
def test_what_firebase_can_never_take_is_given_up(given_settings: Settings, value: Any) -> None:
    # Ten megabytes may take a busy machine more than the second that the others are given.
    client = FirebaseClient(dataclasses.replace(given_settings, firebase_timeout_seconds=10))
    with closing(client), pytest.raises(GiveUp):
        client.store_ticker_data("SOFI", "performance", value)


def test_threads_share_a_client(client: FirebaseClient, firebase: Firebase) -> None:
    def write(number: int) -> None:
        for _ in range(10):
            client.store_ticker_data(f"T{number}", "performance", PERFORMANCE | {"total": number})

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = firebase.get()
    assert [found[f"T{number}"]["performance"]["total"] for number in range(8)] == list(range(8))


def _write_in_child(settings: Settings, number: int) -> None:
    client = firebase_of_this_process(settings)
    for turn in range(20):
        client.store_ticker_data(f"C{number}", "performance", {"turn": turn})


def test_children_of_a_process_that_has_used_its_client_get_their_own(
    given_settings: Settings, firebase: Firebase, redis_url: str
) -> None:
    settings = dataclasses.replace(given_settings, redis_url=redis_url)
    firebase_of_this_process(settings).store_ticker_data("SOFI", "performance", PERFORMANCE)
    fork = multiprocessing.get_context("fork")
    children = [
        fork.Process(target=_write_in_child, args=(settings, number)) for number in range(4)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join(20)
    assert [child.exitcode for child in children] == [0] * 4
    found = firebase.get()
    assert [found[f"C{number}"]["performance"]["turn"] for number in range(4)] == [19] * 4
