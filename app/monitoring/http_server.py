"""The status of a running service over HTTP: `/metrics`, `/healthz`, `/readyz`."""

import socket
import threading
from collections.abc import Callable, Iterator
from http import HTTPStatus
from socketserver import ThreadingTCPServer
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, MetricsHandler
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from app.errors import RetryLater
from app.messaging import connect, reaching
from app.monitoring.freshness import cumulative
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

log = structlog.stdlib.get_logger(__name__)

CLIENT_TIMEOUT = 3.0
"""Seconds that a client may take to send its request, and to read the response."""

MAX_CLIENTS = 64
"""Clients that are served at once; further connections are closed."""


class StatusServer:
    """Serves the status of one service from threads of its own.

    Args:
        settings: This process's settings.
        health: The health of the service.
        metrics: The metrics that the service counts.
        journal_position: Returns how far the journal has been counted; None without a journal.
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
        self._registry.register(_StateCollector(health, settings, journal_position))

    def start(self) -> None:
        """Serve until the process ends. Where the address is not free, log that and go on."""
        if self._address == OFF:
            return
        try:
            server = _Server(self._address, self._health, self._registry)
        except OSError as error:
            log.warning("status_not_served", address=self._address, reason=error.strerror)
            return
        threading.Thread(target=server.serve_forever, name="status", daemon=True).start()
        log.info("status_served", address=server.address)


class _StateCollector(Collector):
    """The state of this process and of Redis, read for each scrape.

    Without Redis, the figures that are there are unknown, and left out.
    """

    def __init__(
        self, health: Health, settings: Settings, journal_position: Callable[[], str] | None
    ) -> None:
        self._health = health
        self._url = settings.redis_url
        self._names = settings.names
        self._client = connect(self._url)
        self._journal_position = journal_position

    def collect(self) -> Iterator[Family]:
        for metric, value in self._health.figures().items():
            yield _family(metric, value)
        position = self._journal_position() if self._journal_position else None
        try:
            with reaching(self._url):
                pipeline = self._client.pipeline(transaction=False)
                pipeline.time()
                pipeline.zcard(self._names.open_slots)
                pipeline.zcard(self._names.open_orders)
                pipeline.hlen(self._names.refused_stores)
                pipeline.llen(self._names.failed_stores)
                pipeline.hgetall(self._names.freshness)
                if position is not None:
                    pipeline.xrange(self._names.journal, min=f"({position}", count=1)
                (seconds, _), slots, orders, refused, failed, freshness, *unread = (
                    pipeline.execute()
                )
        except RetryLater:
            return
        yield _family(SLOTS_OPEN, slots + orders)
        yield _family(FAILED_STORES, refused + failed)
        counts, total = cumulative(freshness)
        yield HistogramMetricFamily(FRESHNESS.name, FRESHNESS.meaning, counts, total)
        if position is not None:
            oldest = [int(name.partition(b"-")[0]) / 1000 for name, _ in unread[0]]
            yield _family(JOURNAL_LAG, max(0.0, seconds - oldest[0]) if oldest else 0.0)


def _family(metric: Metric, value: float) -> Family:
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    return kind(metric.name, metric.meaning, value)


class _Server(ThreadingTCPServer):
    # Not http.server's: that one asks DNS for the host's name before it listens.
    allow_reuse_address = True
    daemon_threads = True
    # A client that finds a shorter queue full tries again only after a second.
    request_queue_size = MAX_CLIENTS

    def __init__(self, address: str, health: Health, registry: CollectorRegistry) -> None:
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.health = health
        self._free = threading.BoundedSemaphore(MAX_CLIENTS)
        super().__init__((host, int(port)), _Handler.factory(registry))

    @property
    def address(self) -> str:
        """The address that it listens on, with the port that the system chose for port 0."""
        host, port = self.server_address[:2]
        return f"[{host!s}]:{port}" if ":" in str(host) else f"{host!s}:{port}"

    def verify_request(self, *_: Any) -> bool:
        return self._free.acquire(blocking=False)

    def process_request_thread(self, *connection: Any) -> None:
        try:
            super().process_request_thread(*connection)
        finally:
            self._free.release()

    def handle_error(self, *_: Any) -> None:
        log.debug("status_request_failed", exc_info=True)


class _Handler(MetricsHandler):
    server: _Server
    server_version, sys_version = "profit-bridge", ""
    timeout = CLIENT_TIMEOUT

    def do_GET(self) -> None:  # noqa: N802 - http.server's name
        match self.path.partition("?")[0]:
            case "/healthz":
                self._answer_with(self.server.health.hangs())
            case "/readyz":
                self._answer_with(self.server.health.troubles())
            case "/metrics" if self.command == "HEAD":
                self._answer(HTTPStatus.OK)
            case "/metrics":
                super().do_GET()
            case _:
                self._answer(HTTPStatus.NOT_FOUND, "try /metrics, /healthz or /readyz")

    do_HEAD = do_GET  # noqa: N815

    def _answer_with(self, troubles: list[str]) -> None:
        status = HTTPStatus.SERVICE_UNAVAILABLE if troubles else HTTPStatus.OK
        self._answer(status, *(troubles or ["ok"]))

    def _answer(self, status: HTTPStatus, *lines: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write("".join(f"{line}\n" for line in lines).encode())
