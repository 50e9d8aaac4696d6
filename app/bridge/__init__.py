"""The two services: the bridge, and the subscriber."""

from app.bridge.arrival_times import ArrivalTimes
from app.bridge.intake import BATCH_SIZE, Intake
from app.bridge.outbox import PUBLISHED_AT_ONCE, Outbox
from app.bridge.performance_publisher import PerformancePublisher
from app.bridge.service import FINISH_WITHIN, Bridge
from app.bridge.subscriber_service import SubscriberService, ticker_subscription

__all__ = [
    "BATCH_SIZE",
    "FINISH_WITHIN",
    "PUBLISHED_AT_ONCE",
    "ArrivalTimes",
    "Bridge",
    "Intake",
    "Outbox",
    "PerformancePublisher",
    "SubscriberService",
    "ticker_subscription",
]
