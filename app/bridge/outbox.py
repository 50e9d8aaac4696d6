"""What is recorded and not published yet."""

from collections.abc import Sequence
from dataclasses import dataclass, field

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


@dataclass
class Outbox:
    """Figures that wait to be published, in order.

    After a failure, what may have been published already is published again: at least once.
    """

    performance_publisher: PerformancePublisher
    ledger: Ledger
    breaker: CircuitBreaker
    health: Health
    shutdown: ShutdownSignals
    _unpublished: list[RenderedFigures] = field(default_factory=list, init=False)

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
            if self.shutdown.is_requested and self.breaker.is_tripped:
                return
            try:
                if not self.performance_publisher.unconfirmed:
                    self.performance_publisher.send(self._unpublished[:PUBLISHED_AT_ONCE])
                if not wait:
                    return
                published = self.performance_publisher.unconfirmed
                self.performance_publisher.confirm()
            except (redis.RedisError, OSError) as error:
                self.breaker.is_tripped = True
                self.health.heartbeat(waits_for=f"redis: nothing can be published: {error}")
                log.warning("not_published", messages=len(self._unpublished), reason=error)
                self.shutdown.wait(_RETRY_PAUSE)
                continue
            del self._unpublished[:published]
            if self._unpublished and self.shutdown.is_overdue:
                return
        self.ledger.mark_published()

    def sync(self) -> None:
        """Have the ledger write to disk how far everything is published."""
        self.ledger.sync_published()

    def close(self) -> None:
        self.performance_publisher.close()
        self.sync()
