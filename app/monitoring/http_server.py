"""What others see of a running service, over HTTP: `/metrics`, `/healthz`, `/readyz`."""

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from app.channels import FAILED_STORES as FAILED_STORES_KEY
from app.channels import JOURNAL, OPEN_SLOTS
from app.errors import RetryLater
from app.messaging import connect, reaching
from app.monitoring.freshness import FRESHNESS_KEY, cumulative
from app.monitoring.health import Health
from app.monitoring.metrics import (
    FAILED_STORES,
    FRESHNESS,
    JOURNAL_LAG,
    SLOTS_OPEN,
    Metric,
    Metrics,
)
from app.settings import OFF, Settings

log = logging.getLogger(__name__)

CLIENT_TIMEOUT = 3.0
"""Seconds that one who asks may take to ask, and to read the answer."""

MOST_CLIENTS = 64
"""How many are served at once; the others are heartbeat away."""

_TEXT = "text/plain; charset=utf-8"


class Answer(NamedTuple):
    """What is sent to who asked."""

    status: HTTPStatus
    body: bytes
    content_type: str = _TEXT


class StatusServer:
    """Serves what there is to see of one service, from threads of its own.

    Args:
        settings: of this process.
        health: of the service.
        metrics: that it counts.
        journal_position: up to where it has counted the journal, where it reads one.
    """

    def __init__(
        self,
        settings: Settings,
        health: Health,
        metrics: Metrics,
        journal_position: Callable[[], str] | None = None,
    ) -> None:
        self._address = settings.metrics_address
        self._health = health
        self._registry = metrics.registry
        self._registry.register(_State(health))
        self._registry.register(_InRedis(settings.redis_url, journal_position))

    def start(self) -> None:
        """Begin to serve, until the process ends; without, if the address cannot be had."""
        if self._address == OFF:
            return
        try:
            server = _Server(self._address, self._answer)
        except OSError as error:
            log.warning("status_not_served address=%s reason=%s", self._address, error.strerror)
            return
        threading.Thread(target=server.serve_forever, name="status", daemon=True).start()
        log.info("status_served address=%s", server.address)

    def _answer(self, path: str, accept: str) -> Answer:
        if path == "/healthz":
            return _verdict(self._health.hangs())
        if path == "/readyz":
            return _verdict(self._health.troubles())
        if path == "/metrics":
            return _metrics(self._registry, accept)
        return Answer(HTTPStatus.NOT_FOUND, b"/metrics, /healthz and /readyz are here\n")


def _verdict(troubles: list[str]) -> Answer:
    if troubles:
        body = "".join(f"{trouble}\n" for trouble in troubles)
        return Answer(HTTPStatus.SERVICE_UNAVAILABLE, body.encode())
    return Answer(HTTPStatus.OK, b"ok\n")


def _metrics(registry: CollectorRegistry, accept: str) -> Answer:
    encode, content_type = choose_encoder(accept)
    return Answer(HTTPStatus.OK, encode(registry), content_type)


class _State(Collector):
    """What the parts of this process say of themselves."""

    def __init__(self, health: Health) -> None:
        self._health = health

    def collect(self) -> Iterator[Family]:
        for metric, value in self._health.figures().items():
            yield _family(metric, value)


class _InRedis(Collector):
    """What is in Redis; nothing while Redis cannot say, for then it is unknown."""

    def __init__(self, url: str, journal_position: Callable[[], str] | None) -> None:
        self._url = url
        self._client = connect(url)
        self._journal_position = journal_position

    def collect(self) -> Iterator[Family]:
        position = self._journal_position() if self._journal_position else None
        try:
            with reaching(self._url):
                pipeline = self._client.pipeline(transaction=False)
                pipeline.time()
                pipeline.zcard(OPEN_SLOTS)
                pipeline.llen(FAILED_STORES_KEY)
                pipeline.hgetall(FRESHNESS_KEY)
                if position is not None:
                    pipeline.xrange(JOURNAL, min=f"({position}", count=1)
                (seconds, _), slots, failed, freshness, *unread = pipeline.execute()
        except RetryLater:
            return
        yield _family(SLOTS_OPEN, slots)
        yield _family(FAILED_STORES, failed)
        counts, total = cumulative(freshness)
        yield HistogramMetricFamily(FRESHNESS.name, FRESHNESS.meaning, counts, total)
        if position is not None:
            oldest = [int(name.partition(b"-")[0]) / 1000 for name, _ in unread[0]]
            yield _family(JOURNAL_LAG, max(0.0, seconds - oldest[0]) if oldest else 0.0)


def _family(metric: Metric, value: float) -> Family:
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    return kind(metric.name, metric.meaning, value)


class _Server(ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    # Else who comes while others do tries again a second later.
    request_queue_size = MOST_CLIENTS
    # Else the end of the service would wait for who reads slowly.
    block_on_close = False

    def __init__(self, address: str, answer: Callable[[str, str], Answer]) -> None:
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.answer = answer
        self._served = threading.BoundedSemaphore(MOST_CLIENTS)
        super().__init__((host, int(port)), _Handler)

    @property
    def address(self) -> str:
        """Where it listens, also where the system chose the port."""
        host, port = self.server_address[:2]
        return f"[{host!s}]:{port}" if ":" in str(host) else f"{host!s}:{port}"

    def verify_request(self, *_: Any) -> bool:
        return self._served.acquire(blocking=False)

    def process_request_thread(self, *connection: Any) -> None:
        try:
            super().process_request_thread(*connection)
        finally:
            self._served.release()

    def handle_error(self, *_: Any) -> None:
        log.debug("status_request_failed", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version, sys_version = "profit-bridge", ""
    timeout = CLIENT_TIMEOUT

    def do_GET(self) -> None:
        accept = self.headers.get("Accept") or ""
        answer = self.server.answer(self.path.partition("?")[0], accept)
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, *_: Any) -> None:
        """Who asks every few seconds is no news."""
