"""The two services: the bridge, and the subscriber."""

from app.bridge.performance_publisher import PerformancePublisher
from app.bridge.service import BATCH, PUBLISHED_AT_ONCE, Bridge
from app.bridge.subscriber_service import SubscriberService, service_subscription

__all__ = [
    "BATCH",
    "PUBLISHED_AT_ONCE",
    "Bridge",
    "PerformancePublisher",
    "SubscriberService",
    "service_subscription",
]
