"""All checks, in the order in which an operator would look."""

from app.operations.doctor import bridge_checks, delivery_checks, ledger_checks, redis_checks
from app.operations.doctor.findings import Check
from app.settings import Settings

_REDIS, _BROKER = ("redis",), ("broker",)


def checks_of(settings: Settings) -> list[Check]:
    """Return the checks of a deployment with these settings."""
    has_own_broker = settings.celery_broker_url != settings.redis_url
    broker_eviction = Check(
        "broker eviction", lambda its: redis_checks.eviction(its.broker), needs=_BROKER
    )
    return [
        Check("redis", redis_checks.reachable),
        Check("redis eviction", lambda its: redis_checks.eviction(its.redis), needs=_REDIS),
        Check("redis memory", redis_checks.memory, needs=_REDIS),
        Check("redis persistence", redis_checks.persistence, needs=_REDIS),
        Check("clock", redis_checks.clock, needs=_REDIS),
        Check("folder", ledger_checks.folder),
        Check("ledger", ledger_checks.ledger, ledger_checks.LEDGER_FIX, needs=("folder",)),
        Check("daily file", ledger_checks.daily_file, needs=("ledger",)),
        Check("rejected", ledger_checks.rejected, needs=("ledger",)),
        Check("repetitions", ledger_checks.repetitions, needs=("ledger",)),
        Check("bridge", bridge_checks.bridge, needs=_REDIS),
        Check("publishers", bridge_checks.publishers, needs=("bridge",)),
        Check("journal", bridge_checks.journal, needs=_REDIS),
        Check("broker", redis_checks.broker_reachable, needs=() if has_own_broker else _REDIS),
        *([broker_eviction] if has_own_broker else []),
        Check("queue", delivery_checks.queue, needs=_BROKER),
        Check("worker", delivery_checks.worker, delivery_checks.START, needs=_BROKER, timeout=10),
        Check(
            "firebase",
            delivery_checks.firebase,
            "correct FIREBASE_DATABASE_URL, or let this machine reach it",
            timeout=6,
        ),
        Check("front end", delivery_checks.front_end, timeout=6),
        Check("rejected updates", delivery_checks.rejected_updates, needs=_REDIS),
        Check("failed stores", delivery_checks.failed_stores, needs=_REDIS),
        Check(
            "figures in Firebase",
            ledger_checks.figures,
            "compare them yourself: python -m app audit",
            needs=("firebase", "ledger", "bridge", "worker"),
            timeout=8,
        ),
    ]
