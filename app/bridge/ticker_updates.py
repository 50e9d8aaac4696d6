"""From messages on TICKER_UPDATES_* and TICKER_PERFORMANCE_* to values for Firebase."""

import json
from collections.abc import Iterable, Sequence

import structlog

from app.channels import RedisNames
from app.delivery import RejectedUpdate, RejectedUpdates, Slot
from app.domain import read_performance, read_update
from app.errors import RejectMessage, RetryLater
from app.messaging import CircuitBreaker, Received
from app.monitoring import Metrics

log = structlog.stdlib.get_logger(__name__)


def latest_values(
    received: Iterable[Received], names: RedisNames
) -> tuple[dict[Slot, str], list[RejectedUpdate]]:
    """Return each slot's latest value in these messages, as JSON text, and what is no value.

    Messages on any other channel are ignored.
    """
    updates, performance = names.ticker_updates.encode(), names.ticker_performance.encode()
    values: dict[Slot, str] = {}
    rejected: list[RejectedUpdate] = []
    for channel, message in received:
        try:
            if channel.startswith(updates):
                # What is not UTF-8 is no symbol, and is rejected as one if the message needs it.
                ticker = channel[len(updates) :].decode(errors="surrogateescape")
                update = read_update(message, ticker)
            elif channel.startswith(performance):
                update = read_performance(message)
            else:
                continue
            values[update.symbol, update.key] = json.dumps(update.value)
        except RejectMessage as error:
            rejected.append(RejectedUpdate(channel, message, error))
    return values, rejected


def keep_rejected(
    rejected: Sequence[RejectedUpdate],
    kept: RejectedUpdates,
    metrics: Metrics,
    breaker: CircuitBreaker,
) -> None:
    """Put what is no value into the operators' list; without Redis, it is only logged."""
    if not rejected:
        return
    metrics.updates_rejected(one.error.code for one in rejected)
    # One line for a batch: a program that misbehaves must not slow this one by logging.
    log.warning("updates_rejected", count=len(rejected), last=str(rejected[-1].error))
    if breaker.is_tripped:
        return
    try:
        kept.add(rejected)
    except RetryLater as error:
        breaker.is_tripped = True
        log.warning("updates_not_kept", count=len(rejected), reason=error)
