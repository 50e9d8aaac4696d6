"""How a running service looks from outside: metrics, health, freshness, logs."""

from app.monitoring.freshness import FRESHNESS_KEY, FreshnessRecord, MeasuredFirebase, cumulative
from app.monitoring.health import Health
from app.monitoring.http_server import StatusServer
from app.monitoring.logs import JsonFormatter, configure, formatter
from app.monitoring.metrics import FRESHNESS, METRICS, Metrics, as_markdown

__all__ = [
    "FRESHNESS",
    "FRESHNESS_KEY",
    "METRICS",
    "FreshnessRecord",
    "Health",
    "JsonFormatter",
    "MeasuredFirebase",
    "Metrics",
    "StatusServer",
    "as_markdown",
    "configure",
    "cumulative",
    "formatter",
]
