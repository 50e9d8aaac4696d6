"""What is recorded and not published yet."""

from collections.abc import Sequence

import redis
import structlog

from app.accounting import Ledger
from app.bridge.performance_publisher import PerformancePublisher
from app.domain import RenderedFigures
from app.messaging import CircuitBreaker
from app.monitoring import Health
from app.shutdown import ShutdownSignals

log = structlog.stdlib.get_logger(__name__)

PUBLISHED_AT_ONCE = 5_000
"""Messages in one round trip, so that a slow connection can take them before its timeout. A batch
has fewer; but a bridge that crashed may have left a hundred thousand unpublished."""

_RETRY_PAUSE = 0.5


class Outbox:
    """Figures that wait to be published, in order.

    What may have been published already is published again after a failure: at least once.

    Args:
        performance_publisher: Publishes the figures.
        ledger: Is told when everything it has recorded is published.
        breaker: Tripped when Redis does not answer.
        health: Is told what the bridge waits for.
        shutdown: A request ends the retries.
    """

    def __init__(
        self,
        performance_publisher: PerformancePublisher,
        ledger: Ledger,
        breaker: CircuitBreaker,
        health: Health,
        shutdown: ShutdownSignals,
    ) -> None:
        self._performance_publisher = performance_publisher
        self._ledger = ledger
        self._breaker = breaker
        self._health = health
        self._shutdown = shutdown
        self._unpublished: list[RenderedFigures] = []

    @property
    def is_empty(self) -> bool:
        """Whether everything is published, and confirmed by Redis."""
        return not self._unpublished

    def put(self, figures: Sequence[RenderedFigures]) -> None:
        """Add figures, for the next `publish`."""
        self._unpublished += figures

    def publish(self, *, wait: bool = True) -> None:
        """Publish all figures, however long Redis takes.

        Only a shutdown leaves some in the outbox: if Redis does not answer, or if it takes too
        long. They are published at the next start.

        Args:
            wait: Wait for Redis to confirm. Otherwise the next call does.
        """
        while self._unpublished:
            if self._shutdown.is_requested and self._breaker.is_tripped:
                return
            try:
                if not self._performance_publisher.unconfirmed:
                    self._performance_publisher.send(self._unpublished[:PUBLISHED_AT_ONCE])
                if not wait:
                    return
                published = self._performance_publisher.unconfirmed
                self._performance_publisher.confirm()
            except (redis.RedisError, OSError) as error:
                self._breaker.trip()
                self._health.heartbeat(waits_for=f"redis: nothing can be published: {error}")
                log.warning("not_published", messages=len(self._unpublished), reason=error)
                self._shutdown.wait(_RETRY_PAUSE)
                continue
            del self._unpublished[:published]
            if self._unpublished and self._shutdown.is_overdue:
                return
        self._ledger.mark_published()

    def sync(self) -> None:
        """Have the ledger write to disk how far everything is published."""
        self._ledger.sync_published()

    def close(self) -> None:
        self._performance_publisher.close()
        self.sync()
