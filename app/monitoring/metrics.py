"""Every metric: its name, unit, meaning and labels; and the counters that the main loop keeps.

`python -m app.monitoring.metrics` prints them as docs/metrics.md has them.
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
    """What is told of a program; the name ends in its unit.

    Attributes:
        name: as Prometheus shows it.
        kind: as Prometheus has it.
        meaning: of one number.
        label: what the numbers differ by; empty: there is one.
        values: all that the label can be.
        buckets: upper bounds, in the unit of the name.
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
    "Reports that were read, by what became of them. Repeated ones had been counted before.",
    "outcome",
    ("counted", "repeated", "conflict"),
)
LATE = Metric(
    "profit_bridge_late_reports_total",
    "counter",
    "Reports among those counted that belong to an earlier day than that of their arrival.",
)
REJECTED = Metric(
    "profit_bridge_rejected_messages_total",
    "counter",
    "Messages that were not counted or not stored, by reason. The bridge keeps them: "
    "`python -m app rejected`.",
    "reason",
    get_args(RejectCode),
)
VALUES = Metric(
    "profit_bridge_values_total",
    "counter",
    "Prices and orders that were taken in; in the subscriber, performances too. "
    "Of several of one slot in one batch, the newest.",
)
BATCH = Metric(
    "profit_bridge_batch_reports",
    "histogram",
    "Reports that shared one commit.",
    buckets=(1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500),
)
COMMIT = Metric(
    "profit_bridge_commit_seconds",
    "histogram",
    "How long the ledger took to have one batch on disk.",
    buckets=_FAST,
)
FILE_WRITE = Metric(
    "profit_bridge_daily_file_write_seconds",
    "histogram",
    "How long it took to put one daily JSON file in place.",
    buckets=_FAST,
)
LAST_REPORT = Metric(
    "profit_bridge_last_report_timestamp_seconds",
    "gauge",
    "When the last report was counted, in seconds since 1970 UTC; 0: none since the start.",
)
FRESHNESS = Metric(
    "profit_bridge_freshness_seconds",
    "histogram",
    "From the time in a performance, which is its bot's, to when Firebase had it; once for each "
    "that was stored, whatever worker did it, and for the account too.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0),
)
READY = Metric("profit_bridge_ready", "gauge", "1 while `/readyz` says ok, else 0.")
SUBSCRIBED = Metric("profit_bridge_subscribed", "gauge", "1 while it listens on Redis, else 0.")
RECONNECTS = Metric(
    "profit_bridge_redis_reconnects_total",
    "counter",
    "Subscriptions to Redis after the first.",
)
SLOTS_WAITING = Metric(
    "profit_bridge_slots_waiting",
    "gauge",
    "Slots (a key of a symbol) whose newest value waits in this process to be handed over.",
)
TASKS_WAITING = Metric(
    "profit_bridge_tasks_waiting",
    "gauge",
    "Tasks that no worker had taken when the hand-over last looked.",
)
SLOTS_OPEN = Metric(
    "profit_bridge_slots_open",
    "gauge",
    "Slots in Redis whose newest value is announced and not stored in Firebase.",
)
FAILED_STORES = Metric(
    "profit_bridge_failed_stores",
    "gauge",
    "Values that Firebase refused for good and nobody has cleared: `python -m app failed-stores`.",
)
JOURNAL_LAG = Metric(
    "profit_bridge_journal_lag_seconds",
    "gauge",
    "How long the oldest journaled report that is not counted has been in the journal; 0: none.",
)
LEDGER_SIZE = Metric(
    "profit_bridge_ledger_bytes", "gauge", "Size of the ledger on disk, its write-ahead log too."
)
BUILD = Metric(
    "profit_bridge_build_info", "gauge", "Always 1; the label is the version.", "version", ("",)
)

METRICS = tuple(found for found in list(globals().values()) if isinstance(found, Metric))


class Metrics:
    """What the threads of one process count, in a registry of its own.

    Told once in a batch and not for every report: each of these calls takes a lock.
    """

    def __init__(self) -> None:
        # They would double the series, to say when this process began: `process_*` does.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        prometheus_client.ProcessCollector(registry=self.registry)
        self._reports = self._made(Counter, REPORTS)
        self._late = self._made(Counter, LATE)
        self._rejected = self._made(Counter, REJECTED)
        self._values = self._made(Counter, VALUES)
        self._batch = self._made(Histogram, BATCH, buckets=BATCH.buckets)
        self._commit = self._made(Histogram, COMMIT, buckets=COMMIT.buckets)
        self._file_write = self._made(Histogram, FILE_WRITE, buckets=FILE_WRITE.buckets)
        self._last_report = self._made(Gauge, LAST_REPORT)
        self._made(Gauge, BUILD).labels(__version__).set(1)
        # What was never counted is 0 and not unknown: a rate needs a number to begin with.
        self._of_outcome = {value: self._reports.labels(value) for value in REPORTS.values}
        for code in REJECTED.values:
            self._rejected.labels(code)

    def batch_counted(self, seconds: float, outcomes: Mapping[str, int], late: int) -> None:
        """A batch is in the ledger.

        Args:
            seconds: that the ledger took.
            outcomes: how many reports by what became of them, as in REPORTS.
            late: how many of the counted belong to an earlier day.
        """
        self._commit.observe(seconds)
        self._batch.observe(sum(outcomes.values()))
        for outcome, count in outcomes.items():
            if count:
                self._of_outcome[outcome].inc(count)
        if outcomes.get("counted"):
            self._last_report.set_to_current_time()
        if late:
            self._late.inc(late)

    def rejected(self, codes: Iterable[RejectCode]) -> None:
        """Count messages that were rejected."""
        for code in codes:
            self._rejected.labels(code).inc()

    def values_taken_in(self, count: int) -> None:
        """Values for Firebase were taken in that no report made."""
        if count:
            self._values.inc(count)

    def file_written(self, seconds: float) -> None:
        """A daily file was put in place."""
        self._file_write.observe(seconds)

    def _made(self, kind: Any, metric: Metric, **options: Any) -> Any:
        labels = (metric.label,) if metric.label else ()
        return kind(metric.name, metric.meaning, labels, registry=self.registry, **options)


def as_markdown() -> str:
    """The table of all metrics, for docs/metrics.md."""
    lines = [
        "# Metrics",
        "",
        "What `/metrics` of the bridge and of the subscriber tells; made by "
        "`python -m app.monitoring.metrics`. Beside it: `process_*`, as every Prometheus client "
        "has them.",
        "",
        "| metric | kind | meaning |",
        "|---|---|---|",
    ]
    for metric in METRICS:
        values = ", ".join(f"`{value}`" for value in metric.values if value)
        differs = f" `{metric.label}`: {values}." if values else ""
        lines.append(f"| `{metric.name}` | {metric.kind} | {metric.meaning}{differs} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(as_markdown(), end="")  # noqa: T201 - this is its output
