"""Flower as people find it: each task's symbol and figures in its list, and bounded memory."""

from pathlib import Path
from typing import Any

import pytest
import requests
from celery import Celery

from app.dev.processes import Process, free_port
from tests.browser import chromium
from tests.system import System, wait_until

KEPT = 5_000
"""The tasks that Flower is to keep, in about 50 MB; by itself it keeps 100,000."""


@pytest.fixture
def flower(system: System) -> tuple[str, Process]:
    """Flower started without options of ours, before any worker."""
    port = free_port()
    options = ("--address=127.0.0.1", f"--port={port}")
    process = system.start("flower", "-m", "celery", "-A", "tasks", "flower", *options)
    wait_until(lambda: "Connected to" in process.log.read_text(), "Flower")
    return f"http://127.0.0.1:{port}", process


def tasks_in(url: str, text: str = "") -> dict[str, Any]:
    """What the list of tasks gets for its first page."""
    query = {"draw": "1", "start": "0", "length": "15", "order[0][column]": "0"}
    query["search[value]"] = text
    answer = requests.get(f"{url}/tasks/datatable", params=query, timeout=10)
    found: dict[str, Any] = answer.json()
    return found


def test_the_list_of_tasks_shows_symbol_and_total_in_a_window_of_usual_width(
    system: System, flower: tuple[str, Process], tmp_path: Path
) -> None:
    url, process = flower
    wait_until(lambda: tasks_in(url)["recordsTotal"] == 0, "its page")
    system.start_worker()
    system.start_bridge()
    system.report("BRK.B", 28.76)
    wait_until(lambda: tasks_in(url, "state:SUCCESS")["recordsFiltered"] >= 2, "the tasks")
    with chromium(tmp_path) as browser:
        page = browser.open(f"{url}/tasks", width=1280, height=900)
        cell = (
            "[...document.querySelectorAll('#tasks-table td')].find(c => /BRK.B/.test(c.innerText))"
        )
        text = page.until(f"{cell}?.innerText")
        assert text.startswith("('BRK.B', {'total': 28.76, 'unrealized': 28.76, ")
        # Not only in the page: up to its total it is to be seen without scrolling.
        shown = f"""
            const cell = {cell}, range = document.createRange(), text = cell.firstChild;
            range.setStart(text, 0);
            range.setEnd(text, text.data.indexOf('28.76') + 5);
            range.getBoundingClientRect().right - cell.getBoundingClientRect().right
        """
        assert page.value(shown) < 0
        assert page.value(f"{cell}.getBoundingClientRect().right < innerWidth")
        page.close()
    assert "WARNING" not in process.log.read_text()


def test_it_keeps_a_bounded_number_of_tasks(system: System, flower: tuple[str, Process]) -> None:
    url, _ = flower
    with Celery(broker=system.redis_server.url) as app, app.events.default_dispatcher() as events:

        def received(number: int) -> bool:
            task = {"uuid": str(number), "name": "tasks.any", "args": f"('S{number:05}',)"}
            events.send("task-received", **task)
            return bool(tasks_in(url, f"args:S{number:05}")["recordsFiltered"])

        wait_until(lambda: received(0), "Flower listening to events")
        for number in range(1, KEPT + 100):
            events.send("task-received", uuid=str(number), name="tasks.any")
        wait_until(lambda: received(KEPT + 100), "the last")
    assert tasks_in(url)["recordsTotal"] == KEPT
