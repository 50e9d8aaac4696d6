"""The processes of one measurement, and what they use: each is stopped by its own id."""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
import requests

from app.accounting import path_of
from app.dev.processes import Process, end_all, free_port, wait_until
from app.dev.redis_server import RedisServer, start_redis

ROOT = Path(__file__).parent.parent
PATIENCE = 60.0
NEVER_CUT_OFF = ("--client-output-buffer-limit", "pubsub 0 0 0")
"""Everything is sent at once and waits in Redis, which else cuts off who has not read it yet."""

_TICKS = os.sysconf("SC_CLK_TCK")


class Firebase:
    """The local database, as a separate program."""

    def __init__(self, process: Process, port: int) -> None:
        self.process = process
        self.port = port
        self.host = f"127.0.0.1:{port}"
        self._http = requests.Session()
        self._http.trust_env = False

    def is_ready(self) -> bool:
        """Whether it answers."""
        try:
            return self._http.get(f"http://{self.host}/.control", timeout=1).ok
        except requests.RequestException:
            return False

    def performances(self) -> dict[str, dict[str, Any]]:
        """What the front end shows, by symbol."""
        answer = self._http.get(f"http://{self.host}/services.json", timeout=30)
        answer.raise_for_status()
        return {
            symbol: node["performance"]
            for symbol, node in (answer.json() or {}).items()
            if "performance" in node
        }

    def control(self, order: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The state of the server, after it has done what `order` says (app/dev/rtdb_control)."""
        url = f"http://{self.host}/.control"
        if order is None:
            answer = self._http.get(url, timeout=30)
        else:
            answer = self._http.post(url, json=order, timeout=30)
        answer.raise_for_status()
        state: dict[str, Any] = answer.json()
        return state

    def put_away(self, seconds: float) -> None:
        """Make it `seconds` away: half of that before a request arrives, half before its answer."""
        half = seconds / 2
        self.control({"faults": [{"delay": half, "answer_delay": half}] if seconds else []})


class Stage:
    """Redis, and whatever is started beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.base = folder / "profits"
        self.redis_server: RedisServer = start_redis(
            folder, options=NEVER_CUT_OFF, ends_with_us=True
        )
        self.processes: list[Process] = [self.redis_server]
        self.url = self.redis_server.url
        self.redis: redis.Redis = redis.Redis.from_url(self.url)
        self.environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "REDIS_URL": self.url,
            "PROFIT_BASE_PATH": str(self.base),
            "METRICS_ADDRESS": "127.0.0.1:0",
        }

    def close(self) -> None:
        """Stop everything."""
        self.redis.close()
        end_all(reversed(self.processes), within=0)

    def start(self, name: str, *command: str, ready: str = "", **environment: str) -> Process:
        """Start a Python program, and wait until its log says that it is `ready`."""
        process = Process(
            name,
            [sys.executable, *command],
            self.folder / f"{name}.log",
            self.environment | environment,
            ends_with_us=True,
        )
        self.processes.append(process)
        if ready:
            self.wait_for(process, ready)
        return process

    def wait_for(self, process: Process, words: str) -> None:
        """Wait until a program has printed something."""
        wait_until(lambda: words in process.log.read_text(), PATIENCE, words, [process])

    def start_firebase(self) -> Firebase:
        """Start the local database; `is_ready` some time later."""
        port = free_port()
        command = ("-m", "app.dev.rtdb.server", "--host", "127.0.0.1", "--port", str(port))
        firebase = Firebase(self.start("firebase", *command), port)
        self.environment["FIREBASE_DATABASE_EMULATOR_HOST"] = firebase.host
        return firebase

    def start_ours(self, *bridge: str, worker: tuple[str, ...] = (), **environment: str) -> "Ours":
        """Start everything: local Firebase, bridge and a real worker.

        Args:
            bridge: the program to run in place of `-m app bridge`.
            worker: options for `celery worker`.
            environment: settings.
        """
        firebase = self.start_firebase()
        ours = Ours(
            self.start("bridge", *(bridge or ("-m", "app", "bridge")), **environment),
            # As the README starts it, so without a line of log for each task.
            self.start("worker", "-m", "celery", "-A", "tasks", "worker", *worker, **environment),
            firebase,
        )
        self.wait_for(ours.bridge, "bridge_started")
        wait_until(self.worker_listens, PATIENCE, "ready worker", [ours.worker])
        wait_until(firebase.is_ready, PATIENCE, "answer of Firebase", [firebase.process])
        return ours

    def worker_listens(self) -> bool:
        """Whether a worker has begun to take orders: it sets a key of kombu's then."""
        return bool(self.redis.exists("_kombu.binding.celery.pidbox"))

    def daily_file(self, day: int) -> Path:
        """The bridge's daily JSON."""
        return path_of(self.base, day)


class Ours:
    """The three programs that are ours."""

    def __init__(self, bridge: Process, worker: Process, firebase: Firebase) -> None:
        self.bridge = bridge
        self.worker = worker
        self.firebase = firebase


@contextmanager
def staged() -> Iterator[Stage]:
    """A stage in a temporary folder; nothing of it is left afterwards."""
    # Stopping this program stops, in order, all that it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        stage = Stage(Path(folder))
        try:
            yield stage
        finally:
            stage.close()


def cpu_seconds(pid: int) -> float:
    """What a process, its threads and its children have used so far."""
    used = 0
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                fields = Path(entry.path, "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            # Each of our processes leads a session, and its children are in it.
            if int(fields[3]) == pid:
                used += int(fields[11]) + int(fields[12])
    return used / _TICKS


class Used:
    """CPU seconds of some processes from now on."""

    def __init__(self, processes: Mapping[str, Process]) -> None:
        self._processes = processes
        self._before = {name: cpu_seconds(process.pid) for name, process in processes.items()}

    def so_far(self) -> dict[str, float]:
        """Seconds by name."""
        return {
            name: cpu_seconds(process.pid) - self._before[name]
            for name, process in self._processes.items()
        }


def wait_for(holds: Any, within: float, what: str, every: float = 0.005) -> None:
    """Wait until `holds()`; looks seldom enough to cost nothing.

    Raises:
        RuntimeError: it did not come to hold.
    """
    give_up_at = time.monotonic() + within
    while not holds():
        if time.monotonic() > give_up_at:
            raise RuntimeError(f"no {what} within {within:.0f} s")
        time.sleep(every)
