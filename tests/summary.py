"""What tests record for the summary at the end of a run."""

from typing import Any


def properties(terminalreporter: Any, name: str) -> list[Any]:
    """Return all values that tests have recorded under a name with pytest's `record_property`."""
    return [
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", "") == "call"
        for key, value in report.user_properties
        if key == name
    ]
