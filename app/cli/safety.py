"""Keeping figures that are not real out of an account that is."""

import argparse
import ipaddress
from urllib.parse import urlsplit

import redis

from app.errors import WrongUse
from app.messaging import connect, reaching
from app.settings import Settings, masked

_FLAG = "--not-a-real-account"


def add_flag(parser: argparse.ArgumentParser) -> None:
    """Take the word of a person that the target is nobody's account."""
    parser.add_argument(
        _FLAG,
        action="store_true",
        dest="not_real",
        help="the target is no real account, though it is on another machine or has a database",
    )


def is_loopback(url: str) -> bool:
    """Whether a Redis is on this machine."""
    parts = urlsplit(url)
    if parts.scheme == "unix" or parts.hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


def refuse_other_machine(url: str, name: str, not_real: bool) -> None:
    """Raise WrongUse unless the Redis is on this machine, or a person gave his word."""
    if not not_real and not is_loopback(url):
        raise WrongUse(
            f"{name}={masked(url)} is not on this machine: what is sent there is counted as real "
            f"money; {_FLAG} if it is nobody's account"
        )


def refuse_real_database(settings: Settings, not_real: bool) -> None:
    """Raise WrongUse if workers with these settings write to a real database."""
    is_real = settings.firebase_database_url and not settings.firebase_database_emulator_host
    if is_real and not not_real:
        raise WrongUse(
            f"FIREBASE_DATABASE_URL={settings.firebase_database_url} is a real database: people "
            f"would see the figures there; {_FLAG} if it is nobody's account"
        )


def refuse_same_deployment(settings: Settings, target: str) -> None:
    """Raise WrongUse if the target is the Redis of these settings, and no local database is set.

    Raises:
        RetryLater: the target cannot be reached.
    """
    if settings.firebase_database_emulator_host is None and _is_same(settings.redis_url, target):
        raise WrongUse(
            f"--to {masked(target)} is REDIS_URL, the deployment that the ledger is of: the day "
            "would count there a second time"
        )


def _is_same(ours: str, target: str) -> bool:
    with reaching(target, "--to"), connect(target) as client:
        identity = client.info("server")["run_id"]
    try:
        with connect(ours) as client:
            return bool(client.info("server")["run_id"] == identity)
    except (redis.RedisError, OSError):
        # It is down, and the target is not.
        return False
