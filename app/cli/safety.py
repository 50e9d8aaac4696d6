"""Keep simulated and replayed figures out of a real account."""

import ipaddress
from urllib.parse import urlsplit

import click
import redis

from app.errors import WrongUse
from app.messaging import connect, fix_for, is_refusal, reaching
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


def refuse_same_deployment(settings: Settings, target: str, journal_position: str) -> None:
    """Raise WrongUse if reports sent to the target could be counted by the ledger's own bridge.

    Args:
        settings: The settings of the deployment.
        target: The Redis to send to.
        journal_position: The position up to which the ledger has recorded its journal.

    Raises:
        RetryLater: The target cannot be reached.
    """
    with reaching(target, "--to"), connect(target) as client:
        identity = client.info("server").get("run_id")
        has_journal = _has_entry(client, settings.names.journal, journal_position)
    if _is_at(settings.redis_url, identity):
        reason = "is REDIS_URL, the deployment that recorded this day"
    elif has_journal:
        reason = "has the journal that this ledger was recorded from"
    else:
        return
    raise WrongUse(f"--to {masked(target)} {reason}: it would count the day a second time")


def _has_entry(client: redis.Redis, journal: str, position: str) -> bool:
    """Return whether the journal has this entry in any database: pub/sub reaches all of them."""
    with client.client() as connection:  # type: ignore[no-untyped-call]
        for name in connection.info("keyspace"):
            connection.execute_command("SELECT", name.removeprefix("db"))
            if connection.xrange(journal, position, position):
                return True
    return False


def _is_at(url: str, identity: str | None) -> bool:
    """Return whether the Redis at REDIS_URL has this identity; False if it is down."""
    try:
        with connect(url) as client:
            return bool(client.info("server").get("run_id") == identity)
    except (redis.RedisError, OSError) as error:
        is_down = isinstance(error, redis.ConnectionError | redis.TimeoutError | OSError)
        if is_down and not is_refusal(error):
            return False
        raise WrongUse(
            f"cannot tell whether --to is the deployment that recorded this day: REDIS_URL="
            f"{masked(url)}: {error}: {fix_for(error)}"
        ) from None
