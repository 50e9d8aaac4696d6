"""Fixtures for every kind of test."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from app.dev.redis_server import RedisServer, start_redis
from tests.system import System


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One real Redis for all tests that only need an empty one: see `redis_url`."""
    server = start_redis(tmp_path_factory.mktemp("redis"), options=("--appendonly", "no"))
    yield server
    server.end()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The URL of an empty Redis."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    return redis_server.url


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    """A private Redis and local Firebase; the test starts bridge and workers as it needs."""
    system = System(tmp_path)
    try:
        yield system
    finally:
        system.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 24 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False).returncode:
        pytest.skip("mounting a small disk is not allowed here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)
