"""The image as it is deployed: a worker of pytest-celery's that runs our image, with our settings.

One Redis and one local Firebase in containers of their own; no result backend, as in production.
Everything here is skipped where no Docker engine runs.
"""

from __future__ import annotations

import functools
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import docker  # type: ignore[import-untyped]
import pytest
import requests
from celery import Celery
from pytest_celery import (  # type: ignore[import-untyped]
    CeleryBrokerCluster,
    CeleryTestSetup,
    CeleryTestWorker,
    CeleryWorkerCluster,
    CeleryWorkerContainer,
    RedisContainer,
    RedisTestBroker,
)
from pytest_docker_tools import build, container, fxtr  # type: ignore[import-untyped]
from pytest_docker_tools.wrappers import Container  # type: ignore[import-untyped]

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
IMAGE = "profit-bridge:test"
ON_LOOPBACK = ("127.0.0.1",)
"""How docker-py is told: a free port, and not on every interface."""

PATIENCE = 90.0
"""Seconds until a test that waits gives up; longer than a lease, and than a slow machine needs."""


@functools.cache
def engine_runs() -> bool:
    try:
        client = docker.from_env(timeout=5)
        client.ping()
        client.close()
    except (docker.errors.DockerException, requests.RequestException, OSError):
        return False
    return True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ours = [item for item in items if Path(__file__).parent in item.path.parents]
    if ours and not engine_runs():
        for item in ours:
            item.add_marker(pytest.mark.skip(reason="no Docker engine runs here"))


def eventually(holds: Callable[[], T], what: str, within: float = PATIENCE) -> T:
    """Wait until `holds` gives something true, and return that."""
    deadline = time.monotonic() + within
    while True:
        value = holds()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what}; last seen: {value!r}")
        time.sleep(0.1)


def published_port(of: Container, port: str) -> int:
    """Where a container's port is on loopback.

    pytest-docker-tools' own answer is another one if this machine looks like a container.
    """
    found: int = of.ports[port][0]
    return found


class LocalFirebase:
    """The local Firebase, as its REST API shows it at a loopback port."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def performance(self, symbol: str) -> Any:
        return self._asked("GET", f"/services/{symbol}/performance.json")

    def totals_written(self, symbol: str) -> list[float]:
        """Every `total` of a symbol that was ever there, in order."""
        path = f"services/{symbol}/performance/total"
        log = self._asked("GET", "/.control/writes?ns=profit-bridge")
        return [value for written, value in log["writes"] if written.strip("/") == path]

    def set_faults(self, *faults: dict[str, Any]) -> None:
        self._asked("POST", "/.control", json={"faults": list(faults)})

    def fault_hits(self) -> int:
        return sum(fault["hits"] for fault in self._asked("GET", "/.control")["faults"])

    def _asked(self, method: str, path: str, **options: Any) -> Any:
        answer = requests.request(method, self._url + path, timeout=10, **options)
        answer.raise_for_status()
        return answer.json()


def performance(total: float, at: datetime) -> dict[str, Any]:
    """The five fields that the front end reads."""
    return {
        "total": total,
        "unrealized": total,
        "realized": 0.0,
        "converted": 0.0,
        "timestamp": at.astimezone(UTC).isoformat(timespec="microseconds"),
    }


def growing(totals: int) -> list[dict[str, Any]]:
    """Performances of one symbol, a second apart: 1.0, 2.0, ..."""
    start = datetime.now(UTC) - timedelta(seconds=totals)
    return [performance(n + 1.0, start + timedelta(seconds=n)) for n in range(totals)]


def shuffled(values: list[T]) -> list[T]:
    """`values` in the same disorder at every run."""
    return random.Random(0).sample(values, len(values))


# --- pytest-celery's components, replaced by ours -------------------------------------------------


class OurRedisContainer(RedisContainer):
    @classmethod
    def image(cls) -> str:
        return "redis:8-alpine"

    @classmethod
    def ports(cls) -> dict[str, Any]:
        return {"6379/tcp": ON_LOOPBACK}

    @property
    def port(self) -> int:
        return published_port(self, "6379/tcp")


# As pytest-celery's, but of our class, and leaving no volume behind.
default_redis_broker = container(
    image="{default_redis_broker_image}",
    tmpfs={"/data": ""},
    command=fxtr("default_redis_broker_command"),
    network="{default_pytest_celery_network.name}",
    ports=fxtr("default_redis_broker_ports"),
    wrapper_class=OurRedisContainer,
    timeout=60,
)


class OurWorkerContainer(CeleryWorkerContainer):
    @classmethod
    def command(cls, *_arguments: str, **_options: Any) -> list[str]:
        return ["celery", "-A", "tasks", "worker", "--loglevel=INFO"]

    @classmethod
    def worker_name(cls) -> str:
        return "celery"

    @classmethod
    def worker_queue(cls) -> str:
        return "profit-bridge"


@pytest.fixture
def default_redis_broker_cls() -> type[RedisContainer]:
    return OurRedisContainer


@pytest.fixture
def celery_broker_cluster(celery_redis_broker: RedisTestBroker) -> CeleryBrokerCluster:
    return CeleryBrokerCluster(celery_redis_broker)


@pytest.fixture
def celery_backend_cluster() -> None:
    """Nobody waits for a result."""


@pytest.fixture
def celery_worker_cluster(celery_setup_worker: CeleryTestWorker) -> CeleryWorkerCluster:
    return CeleryWorkerCluster(celery_setup_worker)


@pytest.fixture
def default_worker_container_cls() -> type[CeleryWorkerContainer]:
    return OurWorkerContainer


@pytest.fixture
def default_worker_env(
    celery_worker_cluster_config: dict[str, Any], firebase_container: Container
) -> dict[str, str]:
    return {
        "REDIS_URL": celery_worker_cluster_config["celery_broker_cluster_config"]["urls"][0],
        "FIREBASE_DATABASE_EMULATOR_HOST": f"{firebase_container.id[:12]}:9000",
    }


celery_base_worker_image = build(path=str(ROOT), tag=IMAGE)

firebase_container = container(
    image="{celery_base_worker_image.id}",
    command=["python", "-m", "app.dev.rtdb.server", "--host", "0.0.0.0", "--port", "9000"],
    network="{default_pytest_celery_network.name}",
    ports={"9000/tcp": ON_LOOPBACK},
    timeout=60,
)

# Without pytest-celery's volume, which would hide our code behind an app of its own.
default_worker_container = container(
    image="{celery_base_worker_image.id}",
    command=fxtr("default_worker_command"),
    environment=fxtr("default_worker_env"),
    network="{default_pytest_celery_network.name}",
    wrapper_class=OurWorkerContainer,
    timeout=60,
)


@pytest.fixture
def firebase(firebase_container: Container) -> LocalFirebase:
    return LocalFirebase(published_port(firebase_container, "9000/tcp"))


StorePerformance = Callable[[str, dict[str, Any]], None]


@pytest.fixture
def store_performance(celery_setup: CeleryTestSetup) -> StorePerformance:
    """Enqueue the task as a program would that has nothing of ours but the task's name."""
    app: Celery = celery_setup.app

    def send(symbol: str, data: dict[str, Any]) -> None:
        app.send_task("tasks.store_performance", (symbol, data), queue="profit-bridge")

    return send
