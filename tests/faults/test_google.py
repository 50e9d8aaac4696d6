"""A real Firebase's bad days, on a fake Google: refusals, outages of the token endpoint, pages."""

import itertools
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from app.delivery import LEASE_SECONDS
from tests.faults.load import totals_in_firebase
from tests.google import DENIED, Answer, FakeGoogle
from tests.system import System, envelope, report, wait_until

SECONDS = float(os.environ.get("GOOGLE_FAULT_SECONDS", "30"))
"""How long Google has a bad time."""


@pytest.fixture
def google(system: System, tmp_path: Path) -> Iterator[FakeGoogle]:
    folder = tmp_path / "google"
    folder.mkdir()
    behind = system.firebase.port
    with FakeGoogle(folder, behind, latency=0.05, sign_in_latency=0.1) as google:
        system.environment |= google.environment
        del system.environment["FIREBASE_DATABASE_EMULATOR_HOST"]
        yield google


class Reports:
    """One report after the other, of symbols in turn, and the total of each."""

    def __init__(self, system: System, symbols: int, rate: float) -> None:
        self._system = system
        self._done = threading.Event()
        self._pause = 1 / rate
        self.symbols = [f"S{n:03}" for n in range(symbols)]
        self.totals = dict.fromkeys(self.symbols, 0)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Reports":
        for symbol in self.symbols:
            self.send(symbol)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join(10)

    def send(self, symbol: str) -> None:
        assert self._system.publish(envelope(report(symbol, 1)))
        self.totals[symbol] += 1

    def _run(self) -> None:
        began = time.monotonic()
        for number, symbol in enumerate(itertools.cycle(self.symbols)):
            if self._done.wait(max(0.0, began + number * self._pause - time.monotonic())):
                return
            self.send(symbol)


def entries(system: System) -> list[dict[str, Any]]:
    return list(json.loads(system.command("failed-stores", "--json").stdout))


def is_current(system: System, expected: dict[str, int]) -> Callable[[], bool]:
    def check() -> bool:
        found = totals_in_firebase(system)
        return all(found.get(symbol) == total for symbol, total in expected.items())

    return check


def test_300_refused_symbols_are_no_storm(system: System, google: FakeGoogle) -> None:
    google.database.answers = [Answer.of(401, DENIED)]
    system.start_bridge()
    system.start_worker(concurrency=8)
    with Reports(system, symbols=300, rate=100) as reports:
        time.sleep(SECONDS)
        requests, sign_ins = len(google.database.requests), google.sign_ins
        listed = entries(system)
        print(f"{requests} requests, {sign_ins} sign-ins, {len(listed)} entries")
        google.database.answers = []
        began = time.monotonic()
    wait_until(is_current(system, reports.totals), "all current", within=60)
    print(f"current after {time.monotonic() - began:.1f} s")
    assert requests <= 60
    assert sign_ins <= 3
    assert len(listed) == 301
    assert {entry["symbol"] for entry in listed} == {*reports.symbols, "aggregate"}
    assert entries(system) == []


class Ages:
    """How old each performance is when Firebase has it, in seconds."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._seen: list[float] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def take(self) -> list[float]:
        """Return the ages since the last call, sorted."""
        seen, self._seen = self._seen, []
        return sorted(seen)

    def _listen(self) -> None:
        with suppress(requests.RequestException), self._system.firebase.stream("services") as lines:
            for line in lines:
                if line.startswith("data: {"):
                    now = datetime.now(UTC)
                    stamps = re.findall(r'"timestamp":"([^"]+)"', line)
                    ages = [
                        (now - datetime.fromisoformat(stamp)).total_seconds() for stamp in stamps
                    ]
                    self._seen += ages


def p99(ages: list[float]) -> float:
    return ages[int(0.99 * len(ages))]


def test_one_refused_symbol_of_500_costs_the_others_nothing(
    system: System, google: FakeGoogle
) -> None:
    system.start_bridge()
    system.start_worker(concurrency=8)
    with Reports(system, symbols=500, rate=100) as reports:
        wait_until(lambda: len(totals_in_firebase(system)) == 501, "a start")
        ages = Ages(system)
        wait_until(lambda: len(ages.take()) > 0, "the first event, which is what was there before")
        time.sleep(SECONDS)
        before = ages.take()
        google.database.answers = [Answer.of(401, DENIED, contains="S013")]
        time.sleep(SECONDS)
        after = ages.take()
        refused = google.database.statuses.count(401)
    sums = {s: total for s, total in reports.totals.items() if s != "S013"}
    print(f"p99 {1000 * p99(before):.0f} ms of {len(before)}, then {1000 * p99(after):.0f} ms")
    print(f"{refused} requests refused")
    wait_until(is_current(system, sums), "the others", within=5)
    assert refused <= 10
    (entry,) = entries(system)
    assert entry["symbol"] == "S013"
    google.database.answers = []
    wait_until(is_current(system, reports.totals), "the refused one", within=60)
    assert entries(system) == []


@pytest.mark.parametrize(
    "way",
    [
        Answer.page(502),
        Answer.page(503, "<p>später</p>".encode("latin-1")),
        Answer.page(200),
        Answer(reset=True),
        None,
    ],
    ids=["502", "latin-1 page", "HTML 200", "reset", "swallowed"],
)
def test_sign_in_that_fails_for_a_while(
    system: System, google: FakeGoogle, way: Answer | None
) -> None:
    system.start_bridge()
    system.start_worker(concurrency=8)
    with Reports(system, symbols=50, rate=100) as reports:
        wait_until(lambda: len(totals_in_firebase(system)) == 51, "a start")
        google.sign_in.answers = [way] if way else []
        google.sign_in.swallows_connections = way is None
        google.expire_tokens()
        time.sleep(SECONDS)
        sign_ins = google.sign_ins
    assert not is_current(system, reports.totals)()
    google.sign_in.answers, google.sign_in.swallows_connections = [], False
    began = time.monotonic()
    wait_until(is_current(system, reports.totals), "all current", within=5)
    print(f"{sign_ins} sign-ins; current after {time.monotonic() - began:.1f} s")
    assert entries(system) == []


@pytest.mark.parametrize(
    "answer",
    [
        Answer(302, {"Location": "https://login.example/"}),
        Answer(301, {"Location": "https://login.example/"}),
        Answer(304),
        Answer.page(200),
    ],
    ids=["302", "301", "304", "200 with HTML"],
)
def test_what_is_no_database_is_named_and_nothing_counts_as_stored(
    system: System, google: FakeGoogle, answer: Answer
) -> None:
    google.database.answers = [answer]
    system.start_bridge()
    worker = system.start_worker(concurrency=4)
    with Reports(system, symbols=5, rate=20) as reports:
        time.sleep(min(SECONDS, 10))
    (firebase,) = (
        check
        for check in json.loads(system.run("-m", "app", "doctor", "--json").stdout)
        if check["name"] == "firebase"
    )
    assert firebase["status"] == "FAIL"
    assert "no Firebase database answers at" in firebase["found"]
    audit = system.run("-m", "app", "audit", "--within", "0")
    assert "no Firebase database answers at" in audit.stdout + audit.stderr
    assert "Traceback" not in audit.stderr + worker.log.read_text()
    assert "stored services/" not in worker.log.read_text()
    google.database.answers = []
    began = time.monotonic()
    wait_until(is_current(system, reports.totals), "all current", within=5)
    print(f"current after {time.monotonic() - began:.1f} s")


def test_an_answer_that_trickles_in_ends_before_the_lease(
    system: System, google: FakeGoogle
) -> None:
    headers = {f"x-{n}": "1" for n in range(40)}
    google.database.answers = [Answer(204, headers, pace=1.0)]
    system.start_bridge()
    system.start_worker(concurrency=8)
    with Reports(system, symbols=8, rate=1) as reports:
        wait_until(lambda: len(google.database.seconds) >= 8, "8 requests that end", within=60)
    assert max(google.database.seconds) < LEASE_SECONDS
    print(f"ended after {max(google.database.seconds):.1f} s at most")
    google.database.answers = []
    wait_until(is_current(system, reports.totals), "all current", within=30)
