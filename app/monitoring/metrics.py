"""Every metric, declared in one place, and the counters of the main loop.

`make contracts` writes docs/metrics.md from the declarations.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from app import __version__
from app.errors import RejectCode


@dataclass(frozen=True)
class Metric:
    """The declaration of one metric.

    Attributes:
        name: Its name in Prometheus, which ends in the unit.
        kind: Its type in Prometheus.
        meaning: What one number says.
        label: The name of its label; empty without one.
        values: All values of the label.
        buckets: Upper bounds of a histogram, in the unit of the name.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    label: str = ""
    values: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

REPORTS = Metric(
    "profit_bridge_reports_total",
    "counter",
    "Reports read, by outcome. Repeated ones had been counted before.",
    "outcome",
    ("counted", "repeated", "conflict"),
)
LATE = Metric(
    "profit_bridge_late_reports_total",
    "counter",
    "Counted reports that belong to an earlier day than the one they arrived on.",
)
REJECTED = Metric(
    "profit_bridge_rejected_messages_total",
    "counter",
    "Reports that were not counted, by reason, and kept: `python -m app rejected`.",
    "reason",
    get_args(RejectCode),
)
REJECTED_UPDATES = Metric(
    "profit_bridge_rejected_updates_total",
    "counter",
    "Prices and orders (in the subscriber, performances too) that were not stored, by reason. The "
    "newest are kept: `python -m app rejected-updates`.",
    "reason",
    get_args(RejectCode),
)
VALUES = Metric(
    "profit_bridge_values_total",
    "counter",
    "Prices and orders accepted; in the subscriber, performances too. "
    "Of several values for one slot in one batch, only the newest counts.",
)
BATCH = Metric(
    "profit_bridge_batch_reports",
    "histogram",
    "Reports in one commit.",
    buckets=(1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500),
)
COMMIT = Metric(
    "profit_bridge_commit_seconds",
    "histogram",
    "Time the ledger took to put one batch on disk.",
    buckets=_FAST,
)
FILE_WRITE = Metric(
    "profit_bridge_daily_file_write_seconds",
    "histogram",
    "Time it took to write one daily JSON file.",
    buckets=_FAST,
)
LAST_REPORT = Metric(
    "profit_bridge_last_report_timestamp_seconds",
    "gauge",
    "Time the last report was counted, in seconds since 1970 UTC; 0: none since the start.",
)
FRESHNESS = Metric(
    "profit_bridge_freshness_seconds",
    "histogram",
    "Age of a performance, by its bot's time, when Firebase had it. Counted once for each "
    "performance stored, by any worker, the account's included.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0),
)
READY = Metric("profit_bridge_ready", "gauge", "1 while `/readyz` answers ok, else 0.")
SUBSCRIBED = Metric(
    "profit_bridge_subscribed", "gauge", "1 while the service is subscribed to Redis, else 0."
)
RECONNECTS = Metric(
    "profit_bridge_redis_reconnects_total",
    "counter",
    "Times the service subscribed to Redis again.",
)
SLOTS_WAITING = Metric(
    "profit_bridge_slots_waiting",
    "gauge",
    "Slots (a key of a symbol) whose latest value waits in this process to be dispatched.",
)
TASKS_WAITING = Metric(
    "profit_bridge_tasks_waiting",
    "gauge",
    "Tasks in the queue when the dispatcher last asked.",
)
SLOTS_OPEN = Metric(
    "profit_bridge_slots_open",
    "gauge",
    "Slots in Redis whose latest value is announced and not yet stored in Firebase.",
)
FAILED_STORES = Metric(
    "profit_bridge_failed_stores",
    "gauge",
    "Slots with a value that Firebase refuses: `python -m app failed-stores`.",
)
JOURNAL_LAG = Metric(
    "profit_bridge_journal_lag_seconds",
    "gauge",
    "Age of the oldest journaled report that is not counted yet; 0: none.",
)
LEDGER_SIZE = Metric(
    "profit_bridge_ledger_bytes", "gauge", "Size of the ledger on disk, with its write-ahead log."
)
MISSING_REPORTS = Metric(
    "profit_bridge_missing_reports",
    "gauge",
    "Reports that the journal dropped before they were counted, until an operator clears them: "
    "`python -m app rejected clear 0`. At least 1 where Redis (before 7.0) does not know how many.",
)
BUILD = Metric(
    "profit_bridge_build_info", "gauge", "Always 1; the label is the version.", "version", ("",)
)

METRICS = tuple(found for found in list(globals().values()) if isinstance(found, Metric))


class Metrics:
    """The counters of one process, in a registry of their own.

    They are updated once per batch, and not for every report: each update takes a lock.
    """

    def __init__(self) -> None:
        # `_created` would double the series, only to repeat when this process started.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        prometheus_client.ProcessCollector(registry=self.registry)
        self._reports = self._register(Counter, REPORTS)
        self._late = self._register(Counter, LATE)
        self._rejected = self._register(Counter, REJECTED)
        self._rejected_updates = self._register(Counter, REJECTED_UPDATES)
        self._values = self._register(Counter, VALUES)
        self._batch = self._register(Histogram, BATCH)
        self._commit = self._register(Histogram, COMMIT)
        self._file_write = self._register(Histogram, FILE_WRITE)
        self._last_report = self._register(Gauge, LAST_REPORT)
        self._register(Gauge, BUILD).labels(__version__).set(1)
        # Start every series at 0: a rate needs a first value.
        for outcome in REPORTS.values:
            self._reports.labels(outcome)
        for code in get_args(RejectCode):
            self._rejected.labels(code)
            self._rejected_updates.labels(code)

    def batch_counted(self, seconds: float, outcomes: Mapping[str, int], late: int) -> None:
        """Count a batch that is in the ledger.

        Args:
            seconds: The time that the ledger took.
            outcomes: The number of reports by outcome, as in REPORTS.
            late: The number of counted reports that belong to an earlier day.
        """
        self._commit.observe(seconds)
        self._batch.observe(sum(outcomes.values()))
        for outcome, count in outcomes.items():
            self._reports.labels(outcome).inc(count)
        if outcomes.get("counted"):
            self._last_report.set_to_current_time()
        self._late.inc(late)

    def rejected(self, codes: Iterable[RejectCode]) -> None:
        for code in codes:
            self._rejected.labels(code).inc()

    def updates_rejected(self, codes: Iterable[RejectCode]) -> None:
        for code in codes:
            self._rejected_updates.labels(code).inc()

    def values_accepted(self, count: int) -> None:
        self._values.inc(count)

    def file_written(self, seconds: float) -> None:
        self._file_write.observe(seconds)

    def _register(self, kind: Any, metric: Metric) -> Any:
        labels = (metric.label,) if metric.label else ()
        options = {"buckets": metric.buckets} if metric.buckets else {}
        return kind(metric.name, metric.meaning, labels, registry=self.registry, **options)


def as_markdown() -> str:
    """Return docs/metrics.md: a table of all metrics."""
    lines = [
        "# Metrics",
        "",
        "What `/metrics` of the bridge and of the subscriber exports, besides the usual "
        "`process_*`. Written by `make contracts` from `app/monitoring/metrics.py`.",
        "",
        "| metric | kind | meaning |",
        "|---|---|---|",
    ]
    for metric in METRICS:
        values = ", ".join(f"`{value}`" for value in metric.values if value)
        labels = f" `{metric.label}`: {values}." if values else ""
        lines.append(f"| `{metric.name}` | {metric.kind} | {metric.meaning}{labels} |")
    return "\n".join(lines) + "\n"
