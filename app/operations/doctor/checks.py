"""All checks, in the order in which a person would look."""

from app.operations.doctor import (
    bridge_checks,
    firebase_check,
    ledger_checks,
    redis_checks,
    worker_checks,
)
from app.operations.doctor.findings import Check
from app.settings import Settings

_REDIS, _BROKER = ("redis",), ("broker",)


def checks_of(settings: Settings) -> list[Check]:
    """What there is to look at in a deployment with these settings."""
    apart = settings.celery_broker_url != settings.redis_url
    return [
        Check("redis", redis_checks.reachable),
        Check("redis eviction", redis_checks.eviction, needs=_REDIS),
        Check("redis memory", redis_checks.memory, needs=_REDIS),
        Check("redis persistence", redis_checks.persistence, needs=_REDIS),
        Check("clock", redis_checks.clock, needs=_REDIS),
        Check("folder", ledger_checks.folder),
        Check("ledger", ledger_checks.ledger, ledger_checks.LEDGER_FIX, needs=("folder",)),
        Check("daily file", ledger_checks.daily_file, needs=("ledger",)),
        Check("rejected", ledger_checks.rejected, needs=("ledger",)),
        Check("bridge", bridge_checks.bridge, needs=_REDIS),
        Check("journal", bridge_checks.journal, needs=_REDIS),
        Check("broker", redis_checks.broker_reachable, needs=() if apart else _REDIS),
        *([Check("broker eviction", redis_checks.broker_eviction, needs=_BROKER)] if apart else []),
        Check("queue", worker_checks.queue, needs=_BROKER),
        Check(
            "worker",
            worker_checks.worker,
            "start one: celery -A tasks worker",
            needs=_BROKER,
            within=10,
        ),
        Check(
            "firebase",
            firebase_check.firebase,
            "correct FIREBASE_DATABASE_URL, or let this machine reach it",
            within=6,
        ),
        Check("failed stores", worker_checks.failed_stores, needs=_REDIS),
        Check(
            "figures in Firebase",
            ledger_checks.figures,
            "look yourself: python -m app audit",
            needs=("firebase", "ledger", "bridge", "worker"),
            within=8,
        ),
    ]
