"""What is declared, documented and alerted on is one thing."""

import re
import shutil
import subprocess
from typing import get_args

import pytest

from app.errors import RejectCode
from app.monitoring import METRICS, as_markdown
from tests.system import ROOT

ALERTS = ROOT / "docs" / "alerts.yml"

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is missing: install prometheus"
)


def test_the_documentation_has_every_metric_as_it_is_declared() -> None:
    assert (ROOT / "docs" / "metrics.md").read_text() == as_markdown(), "make contracts"


def test_every_code_of_a_rejection_is_documented() -> None:
    (line,) = [
        line
        for line in (ROOT / "docs" / "metrics.md").read_text().splitlines()
        if "profit_bridge_rejected_messages_total" in line
    ]
    for code in get_args(RejectCode):
        assert f"`{code}`" in line


def test_alerts_are_about_metrics_that_there_are() -> None:
    series = {metric.name for metric in METRICS} | {
        f"{metric.name}_{part}"
        for metric in METRICS
        if metric.kind == "histogram"
        for part in ("bucket", "count", "sum")
    }
    assert set(re.findall(r"profit_bridge_\w+", ALERTS.read_text())) <= series


@needs_promtool
def test_each_alert_is_raised_by_what_it_is_for_and_by_nothing_else() -> None:
    done = subprocess.run(
        ["promtool", "test", "rules", ROOT / "tests" / "unit" / "monitoring" / "alerts_test.yml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
