"""How a running service looks from outside: metrics, health, freshness, logs."""

from app.monitoring.freshness import FreshnessRecord, MeasuredFirebase, cumulative
from app.monitoring.health import Health
from app.monitoring.http_server import StatusServer
from app.monitoring.logs import configure, formatter, use_standard_logging
from app.monitoring.metrics import FRESHNESS, METRICS, Metrics, as_markdown

__all__ = [
    "FRESHNESS",
    "METRICS",
    "FreshnessRecord",
    "Health",
    "MeasuredFirebase",
    "Metrics",
    "StatusServer",
    "as_markdown",
    "configure",
    "cumulative",
    "formatter",
    "use_standard_logging",
]
