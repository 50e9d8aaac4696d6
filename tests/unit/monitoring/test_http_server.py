"""What the status server answers to each request, and whom it turns away."""

import gzip
import http.client
import logging
from collections.abc import Callable

import pytest

from app.monitoring import Metrics, StatusServer, use_standard_logging
from app.settings import Settings

NOWHERE = "redis://127.0.0.1:1/0"


class FixedHealth:
    """A service in a given state."""

    def __init__(self, hangs: list[str], troubles: list[str]) -> None:
        self.hangs = lambda: hangs
        self.troubles = lambda: troubles
        self.figures = dict[object, float]


Ask = Callable[..., tuple[int, dict[str, str], bytes]]


@pytest.fixture
def ask(caplog: pytest.LogCaptureFixture) -> Ask:
    use_standard_logging()
    caplog.set_level(logging.INFO)
    health = FixedHealth([], ["redis: not subscribed", "ledger: full"])
    settings = Settings(redis_url=NOWHERE, metrics_address="127.0.0.1:0")
    StatusServer(settings, health, Metrics()).start()  # type: ignore[arg-type]
    port = int(caplog.text.partition("127.0.0.1:")[2].split()[0].strip("',}"))

    def request(method: str, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        found = response.status, dict(response.getheaders()), response.read()
        connection.close()
        return found

    return request


def test_health_pages_say_what_is_wrong(ask: Ask) -> None:
    assert ask("GET", "/healthz")[::2] == (200, b"ok\n")
    assert ask("GET", "/readyz?x=1")[::2] == (503, b"redis: not subscribed\nledger: full\n")
    assert ask("GET", "/anything")[0] == 404


@pytest.mark.parametrize(
    ("path", "status"), [("/healthz", 200), ("/readyz", 503), ("/metrics", 200), ("/x", 404)]
)
def test_head_is_answered_like_get_without_a_body(ask: Ask, path: str, status: int) -> None:
    assert ask("HEAD", path)[::2] == (status, b"")


def test_metrics_come_compressed_to_who_asks_for_that_even_without_redis(ask: Ask) -> None:
    status, _, plain = ask("GET", "/metrics")
    assert status == 200
    assert b"profit_bridge_reports_total" in plain
    _, headers, compressed = ask("GET", "/metrics", **{"Accept-Encoding": "gzip"})
    assert headers["Content-Encoding"] == "gzip"
    assert b"profit_bridge_reports_total" in gzip.decompress(compressed)


def test_no_answer_names_the_version_of_python(ask: Ask) -> None:
    assert ask("GET", "/healthz")[1]["Server"].strip() == "profit-bridge"
