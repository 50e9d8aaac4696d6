"""Redis: can it be reached, will it keep what it is given, and is its clock ours."""

import time
from typing import Any

import redis

from app.domain import AHEAD_LIMIT
from app.messaging import fix_for
from app.operations.doctor.findings import FAIL, OK, WARN, Deployment, Finding
from app.settings import masked

_NEARLY_FULL, _FILLING = 0.95, 0.75
_MEGABYTE = 1024 * 1024
_CLOCK_WARNING = 1.0


def reachable(deployment: Deployment) -> Finding:
    """Whether Redis answers."""
    return _reachable(deployment.redis, deployment.settings.redis_url, "REDIS_URL")


def broker_reachable(deployment: Deployment) -> Finding:
    """Whether the Redis of the tasks answers."""
    settings = deployment.settings
    if settings.celery_broker_url == settings.redis_url:
        return Finding(OK, "the same Redis")
    return _reachable(deployment.broker, settings.celery_broker_url, "CELERY_BROKER_URL")


def eviction(deployment: Deployment) -> Finding:
    """Whether Redis keeps what it has when its memory is full."""
    return _eviction(deployment.redis)


def broker_eviction(deployment: Deployment) -> Finding:
    """The same of the Redis of the tasks."""
    return _eviction(deployment.broker)


def memory(deployment: Deployment) -> Finding:
    """How near Redis is to refusing what it is given."""
    info: Any = deployment.redis.info("memory")
    used, limit = info["used_memory"], info["maxmemory"]
    if not limit:
        return Finding(OK, f"{used / _MEGABYTE:.0f} MB, without a limit")
    found = f"{used / _MEGABYTE:.0f} of {limit / _MEGABYTE:.0f} MB"
    if used > _FILLING * limit:
        status = FAIL if used > _NEARLY_FULL * limit else WARN
        return Finding(status, found, "raise its maxmemory: a Redis that is full refuses reports")
    return Finding(OK, found)


def persistence(deployment: Deployment) -> Finding:
    """Whether what Redis has survives its end."""
    info: Any = deployment.redis.info("persistence")
    failed = [
        name
        for name in (
            "aof_last_write_status",
            "aof_last_bgrewrite_status",
            "rdb_last_bgsave_status",
        )
        if info.get(name, "ok") != "ok"
    ]
    if failed:
        fix = "see to the disk of Redis (its log says why): it may refuse what it is given"
        return Finding(FAIL, f"{', '.join(failed)}: error", fix)
    if not info["aof_enabled"]:
        # A warning: it costs reports only if Redis ends while no bridge listens.
        fix = "set appendonly yes: a restart of Redis would lose reports that were not counted yet"
        return Finding(WARN, "appendonly is off", fix)
    return Finding(OK, "appendonly, last write ok")


def clock(deployment: Deployment) -> Finding:
    """Whether this machine and the one of Redis agree on the time."""
    began = time.monotonic()
    before = deployment.now()
    seconds, micros = deployment.redis.time()
    halfway = before + (time.monotonic() - began) / 2
    ahead = halfway - (seconds + micros / 1e6)
    found = f"{abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} that of Redis"
    fix = "have both machines set their clocks by NTP: "
    if abs(ahead) > AHEAD_LIMIT.total_seconds():
        # The bots' clocks are as much as ahead of the bridge's.
        return Finding(FAIL, found, f"{fix}reports {AHEAD_LIMIT} ahead of the bridge are refused")
    if abs(ahead) > _CLOCK_WARNING:
        return Finding(WARN, found, f"{fix}around midnight a report counts for its own UTC day")
    return Finding(OK, f"within {_CLOCK_WARNING:.0f} s of that of Redis")


def _reachable(client: redis.Redis, url: str, variable: str) -> Finding:
    began = time.monotonic()
    try:
        client.ping()
    except redis.RedisError as error:
        return Finding(FAIL, f"{masked(url)}: {error}", fix_for(error, variable))
    took = time.monotonic() - began
    info: Any = client.info("server")
    server = f"{info.get('server_name', 'redis')} {_version(info)}"
    return Finding(OK, f"{server} at {masked(url)}, in {1000 * took:.0f} ms")


def _version(info: Any) -> str:
    return str(info.get("valkey_version") or info["redis_version"])


def _eviction(client: redis.Redis) -> Finding:
    info: Any = client.info("memory")
    policy = info["maxmemory_policy"]
    if policy != "noeviction":
        fix = "set maxmemory-policy noeviction: any other drops tasks and reports without a word"
        return Finding(FAIL, f"maxmemory-policy is {policy}", fix)
    return Finding(OK, policy)
