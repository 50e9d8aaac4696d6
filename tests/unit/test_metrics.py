"""What is declared, documented and alerted on is one thing."""

import ast
import re
import shutil
import subprocess
import tomllib

import pytest

from app import __version__
from app.monitoring import METRICS, REASONS, as_markdown, reason_class
from tests.system import ROOT

ALERTS = ROOT / "docs" / "alerts.yml"

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is missing: install prometheus"
)


def test_the_documentation_has_every_metric_as_it_is_declared() -> None:
    assert (ROOT / "docs" / "metrics.md").read_text() == as_markdown(), (
        "python -m app.monitoring.metrics"
    )


def test_the_version_that_is_told_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["version"] == __version__


@pytest.mark.parametrize("module", ["decoding", "amounts"])
def test_every_reason_for_which_a_message_is_refused_has_a_class_of_its_own(module: str) -> None:
    tree = ast.parse((ROOT / "app" / "domain" / f"{module}.py").read_text())
    texts = [
        "".join(str(part.value) if isinstance(part, ast.Constant) else "total" for part in parts)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "RejectMessage"
        for text in node.args
        for parts in [text.values if isinstance(text, ast.JoinedStr) else [text]]
    ]
    assert len(texts) > 3
    assert [text for text in texts if reason_class(text) == "other"] == []


def test_an_unknown_reason_makes_no_new_series() -> None:
    assert reason_class("anything: SOFI from 'bot 17'") in REASONS


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
        ["promtool", "test", "rules", ROOT / "tests" / "unit" / "alerts_test.yml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
