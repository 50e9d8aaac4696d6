"""The worker of our image, on its own: tasks in, Firebase out."""

from __future__ import annotations

from typing import Any

import pytest
from docker import DockerClient  # type: ignore[import-untyped]
from docker.models.images import Image  # type: ignore[import-untyped]
from pytest_celery import CeleryTestSetup  # type: ignore[import-untyped]

from tests.docker.conftest import (
    LocalFirebase,
    StorePerformance,
    eventually,
    growing,
    shuffled,
)

UNACKED = "unacked_index"
"""Where Celery's transport keeps when each task was taken; score: seconds since 1970."""


@pytest.fixture
def broker(celery_setup: CeleryTestSetup) -> Any:
    """A client of the broker's Redis."""
    with celery_setup.broker.container.client as client:
        yield client


def test_a_performance_sent_to_the_worker_is_stored_in_firebase(
    store_performance: StorePerformance, firebase: LocalFirebase
) -> None:
    (data,) = growing(1)

    store_performance("BRK.B", data)

    eventually(lambda: firebase.performance("BRK!2EB") == data, "the performance in Firebase")


def test_a_burst_in_mixed_order_ends_on_the_newest_and_never_steps_back(
    store_performance: StorePerformance, firebase: LocalFirebase, broker: Any
) -> None:
    symbols = ["SOFI", "AMD", "BRK-B", "0700", "aggregate"]
    history = growing(40)

    for symbol, data in shuffled([(symbol, data) for symbol in symbols for data in history]):
        store_performance(symbol, data)
    eventually(
        lambda: not broker.llen("profit-bridge") and not broker.zcard(UNACKED), "an empty queue"
    )

    assert {symbol: firebase.performance(symbol) for symbol in symbols} == dict.fromkeys(
        symbols, history[-1]
    )
    for symbol in symbols:
        written = firebase.totals_written(symbol)
        assert written == sorted(written)


def test_a_worker_killed_in_mid_write_and_started_again_ends_on_the_newest(
    store_performance: StorePerformance,
    firebase: LocalFirebase,
    broker: Any,
    celery_setup: CeleryTestSetup,
    docker_client: DockerClient,
) -> None:
    older, newer = growing(2)
    worker = docker_client.containers.get(celery_setup.worker.container.id)
    firebase.set_faults({"path": "/services/SOFI", "hold": True, "drop": True})
    store_performance("SOFI", older)
    eventually(firebase.fault_hits, "a write under way")

    worker.kill()
    worker.wait()
    firebase.set_faults()
    store_performance("SOFI", newer)
    # As if the visibility timeout had passed while the worker was down.
    assert broker.zadd(UNACKED, dict.fromkeys(broker.zrange(UNACKED, 0, -1), 0), xx=True, ch=True)
    worker.start()

    eventually(lambda: firebase.performance("SOFI") == newer, "the newer value in Firebase")


def test_the_image_runs_as_a_fixed_user_other_than_root_and_holds_no_tests_and_no_secrets(
    celery_base_worker_image: Image, docker_client: DockerClient
) -> None:
    listing = docker_client.containers.run(
        celery_base_worker_image.id,
        ["sh", "-c", "id -u; ls -A; pip list --format=freeze"],
        remove=True,
        network_mode="none",
    ).decode()

    user, *lines = listing.split()
    assert user == "10001"
    assert set(lines) >= {"app", "tasks", "celeryconfig.py", "requirements"}
    assert not set(lines) & {"tests", "configs", "data", "benchmarks", ".env", ".git"}
    assert not [line for line in lines if line.startswith(("pytest", "mypy", "ruff", "hypothesis"))]
