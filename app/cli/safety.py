"""Keep simulated and replayed figures out of a real account."""

import ipaddress
from urllib.parse import urlsplit

import click
import redis

from app.errors import WrongUse
from app.messaging import connect, reaching
from app.settings import Settings
from app.urls import masked

_FLAG = "--not-a-real-account"


not_real_option = click.option(
    _FLAG,
    "not_real",
    is_flag=True,
    help="Confirm that a target on another machine, or with a database, is not a real account.",
)


def _is_loopback(url: str) -> bool:
    parts = urlsplit(url)
    if parts.scheme == "unix" or parts.hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


def refuse_other_machine(url: str, name: str, not_real: bool) -> None:
    """Raise WrongUse unless the Redis is on this machine, or a person confirmed the target."""
    if not not_real and not _is_loopback(url):
        raise WrongUse(
            f"{name}={masked(url)} is not on this machine: it would count these reports as real "
            f"money; if it is not a real account, add {_FLAG}"
        )


def refuse_real_database(settings: Settings, not_real: bool) -> None:
    """Raise WrongUse if workers with these settings write to a real database."""
    is_real = settings.firebase_database_url and not settings.firebase_database_emulator_host
    if is_real and not not_real:
        raise WrongUse(
            f"FIREBASE_DATABASE_URL={settings.firebase_database_url} is a real database: people "
            f"would see these figures there; if it is not a real account, add {_FLAG}"
        )


def refuse_same_deployment(settings: Settings, target: str) -> None:
    """Raise WrongUse if the target is the Redis of these settings, and no local database is set.

    Raises:
        RetryLater: The target cannot be reached.
    """
    if settings.firebase_database_emulator_host is None and _is_same(settings.redis_url, target):
        raise WrongUse(
            f"--to {masked(target)} is REDIS_URL, the deployment that recorded this day: it would "
            "count the day a second time"
        )


def _is_same(ours: str, target: str) -> bool:
    with reaching(target, "--to"), connect(target) as client:
        identity = client.info("server")["run_id"]
    try:
        with connect(ours) as client:
            return bool(client.info("server")["run_id"] == identity)
    except (redis.RedisError, OSError):
        return False  # ours is down, and the target is not
