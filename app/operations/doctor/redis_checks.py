"""Redis: whether it can be reached, loses nothing, and agrees with this machine on the time."""

import time
from typing import Any

import redis

from app.domain import AHEAD_LIMIT
from app.messaging import fix_for
from app.operations.doctor.findings import FAIL, OK, WARN, Deployment, Finding
from app.urls import masked

_MEMORY_FULL, _MEMORY_LOW = 0.95, 0.75
_MEGABYTE = 1024 * 1024
_CLOCK_TOLERANCE = 1.0
_WRITE_STATUSES = ("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status")


def reachable(deployment: Deployment) -> Finding:
    """Check that Redis answers."""
    return _reachable(deployment.redis, deployment.settings.redis_url, "REDIS_URL")


def broker_reachable(deployment: Deployment) -> Finding:
    """Check that the Redis of the tasks answers."""
    settings = deployment.settings
    if settings.celery_broker_url == settings.redis_url:
        return Finding(OK, "the same Redis")
    return _reachable(deployment.broker, settings.celery_broker_url, "CELERY_BROKER_URL")


def eviction(client: redis.Redis) -> Finding:
    """Check that this Redis evicts nothing when its memory is full."""
    info: Any = client.info("memory")
    policy = info["maxmemory_policy"]
    if policy != "noeviction":
        fix = "set maxmemory-policy noeviction: any other silently drops tasks and reports"
        return Finding(FAIL, f"maxmemory-policy is {policy}", fix)
    return Finding(OK, policy)


def memory(deployment: Deployment) -> Finding:
    """Check that Redis has memory left."""
    info: Any = deployment.redis.info("memory")
    used, limit = info["used_memory"], info["maxmemory"]
    if not limit:
        return Finding(OK, f"{used / _MEGABYTE:.0f} MB, without a limit")
    found = f"{used / _MEGABYTE:.0f} of {limit / _MEGABYTE:.0f} MB"
    if used > _MEMORY_LOW * limit:
        status = FAIL if used > _MEMORY_FULL * limit else WARN
        return Finding(status, found, "raise its maxmemory: a full Redis refuses reports")
    return Finding(OK, found)


def persistence(deployment: Deployment) -> Finding:
    """Check that the data of Redis survives a restart."""
    info: Any = deployment.redis.info("persistence")
    failed = [name for name in _WRITE_STATUSES if info.get(name, "ok") != "ok"]
    if failed:
        fix = "check the disk of Redis (its log names the error): Redis may refuse writes"
        return Finding(FAIL, f"{', '.join(failed)}: error", fix)
    if not info["aof_enabled"]:
        # Only a warning: reports are lost only if Redis stops while no bridge is listening.
        fix = "set appendonly yes: otherwise a restart of Redis loses reports not yet counted"
        return Finding(WARN, "appendonly is off", fix)
    return Finding(OK, "appendonly, last write ok")


def clock(deployment: Deployment) -> Finding:
    """Check that this machine and Redis agree on the time."""
    began = time.monotonic()
    before = deployment.now()
    seconds, micros = deployment.redis.time()
    halfway = before + (time.monotonic() - began) / 2
    ahead = halfway - (seconds + micros / 1e6)
    found = f"{abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} the clock of Redis"
    fix = "synchronise both machines by NTP: "
    if abs(ahead) > AHEAD_LIMIT.total_seconds():
        # The clocks of the bots are likely to be as far ahead of the bridge's.
        fix += f"reports more than {AHEAD_LIMIT} ahead of the bridge are rejected"
        return Finding(FAIL, found, fix)
    if abs(ahead) > _CLOCK_TOLERANCE:
        return Finding(WARN, found, f"{fix}around midnight, reports may count for the wrong day")
    return Finding(OK, f"within {_CLOCK_TOLERANCE:.0f} s of the clock of Redis")


def _reachable(client: redis.Redis, url: str, variable: str) -> Finding:
    began = time.monotonic()
    try:
        client.ping()
    except redis.RedisError as error:
        return Finding(FAIL, f"{masked(url)}: {error}", fix_for(error, variable))
    milliseconds = 1000 * (time.monotonic() - began)
    info: Any = client.info("server")
    server = info.get("server_name", "redis")
    version = info.get("valkey_version") or info["redis_version"]
    return Finding(OK, f"{server} {version} at {masked(url)}, in {milliseconds:.0f} ms")
