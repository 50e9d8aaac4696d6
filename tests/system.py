"""A whole system of real processes for one test: Redis, local Firebase, bridge, workers."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import redis
import requests

from app.__main__ import main
from app.accounting import path_of
from app.channels import RedisNames
from app.dev.processes import Process, end_all, free_port
from app.dev.processes import wait_until as wait
from app.dev.redis_server import RedisServer, start_redis
from app.domain import DAY, day_of
from app.settings import process_settings
from app.timing import now_us

JOURNAL = RedisNames("").journal
PATIENCE = 30.0
ROOT = Path(__file__).parent.parent


def now_text(ahead: timedelta = timedelta()) -> str:
    return (datetime.now(UTC) + ahead).isoformat(timespec="microseconds")


def today() -> int:
    return day_of(now_us())


def report(symbol: str = "SOFI", total: Any = 1.0, **fields: Any) -> dict[str, Any]:
    """Return the data of a report as the contract has it; all of it is unrealized unless given."""
    data = {
        "symbol": symbol,
        "total": total,
        "unrealized": total,
        "realized": 0.0,
        "converted": 0.0,
        "timestamp": now_text(),
    }
    return data | fields


def envelope(data: Any, sender: str | None = "scale_t") -> str:
    local = datetime.now().isoformat(timespec="milliseconds")
    return json.dumps({"data": data, "timestamp": local, "sender": sender})


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments to its end, with only the given settings."""
    return subprocess.run(
        [sys.executable, *command],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        cwd=ROOT,
    )


def run_here(environment: Mapping[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end in this process, which saves a second of imports.

    Its effects and its output are those of a process of its own.
    """
    out, errors = io.TextIOWrapper(io.BytesIO()), io.StringIO()
    process_settings.cache_clear()
    with (
        mock.patch.dict(os.environ, environment, clear=True),
        redirect_stdout(out),
        redirect_stderr(errors),
    ):
        try:
            code = main(list(words))
        except SystemExit as ended:
            code = int(ended.code or 0)
    process_settings.cache_clear()
    out.flush()
    output = out.buffer.getvalue().decode()
    return subprocess.CompletedProcess(words, code, output, errors.getvalue())


class Firebase:
    """The local database in a process of its own, accessed as its owner."""

    def __init__(self, folder: Path, *options: str, port: int | None = None) -> None:
        self.port = port or free_port()
        self.host = f"127.0.0.1:{self.port}"
        self.process = Process(
            "firebase",
            [
                sys.executable,
                "-m",
                "app.dev.rtdb.server",
                "--host",
                "127.0.0.1",
                "--port",
                str(self.port),
                *options,
            ],
            folder / "firebase.log",
            {**os.environ, "PYTHONPATH": str(ROOT)},
        )
        self._http = requests.Session()
        self._http.headers["Authorization"] = "Bearer owner"
        wait(self._answers, PATIENCE, "answer from the local Firebase", [self.process])

    def get(self, path: str = "services") -> Any:
        found = self._http.get(f"http://{self.host}/{path}.json", timeout=10)
        found.raise_for_status()
        return found.json()

    def put(self, path: str, value: Any) -> None:
        url = f"http://{self.host}/{path}.json"
        self._http.put(url, data=json.dumps(value), timeout=10).raise_for_status()

    def patch(self, path: str, values: Mapping[str, Any]) -> None:
        url = f"http://{self.host}/{path}.json"
        self._http.patch(url, data=json.dumps(values), timeout=10).raise_for_status()

    def faults(self, *faults: Mapping[str, Any], close_streams: bool = False) -> None:
        """Answer requests with these faults from now on; without any, answer normally again."""
        order = {"faults": list(faults), "clear": ["streams"] if close_streams else []}
        answer = self._http.post(f"http://{self.host}/.control", json=order, timeout=10)
        assert answer.ok, answer.text

    @contextmanager
    def stream(self, path: str) -> Iterator[Iterator[str]]:
        """Yield the lines of the event stream of a node."""
        headers = {"Accept": "text/event-stream"}
        url = f"http://{self.host}/{path}.json"
        with requests.get(url, headers=headers, stream=True, timeout=60) as answer:
            yield answer.iter_lines(decode_unicode=True)

    def held(self) -> int:
        """The number of requests that a fault delays now."""
        state = self._http.get(f"http://{self.host}/.control", timeout=10).json()
        return int(state["delayed"])

    def refusals(self) -> int:
        """The number of requests that the rules refused."""
        state = self._http.get(f"http://{self.host}/.control", timeout=10).json()
        return int(state["statuses"].get("401", 0))

    def write_requests(self) -> int:
        """The number of write requests since the start."""
        counted = self._http.get(f"http://{self.host}/.control", timeout=10).json()["requests"]
        return sum(counted.get(method, 0) for method in ("PUT", "PATCH", "POST", "DELETE"))

    def writes(self) -> list[tuple[str, Any]]:
        """Return every committed value with its path, in order."""
        found = self._http.get(f"http://{self.host}/.control/writes", timeout=10).json()
        assert not found["forgotten"]
        return [(path.strip("/"), value) for path, value in found["writes"]]

    def _answers(self) -> bool:
        try:
            return self._http.get(f"http://{self.host}/.json", timeout=1).ok
        except requests.RequestException:
            return False


class System:
    """The processes of one test: Redis and Firebase at once, bridge and workers when started."""

    def __init__(self, folder: Path, *firebase_options: str) -> None:
        self.folder = folder
        self.base = folder / "profits"
        self.processes: list[Process] = []
        self._started = 0
        self.redis_server: RedisServer = start_redis(folder)
        self.processes.append(self.redis_server)
        self.firebase = Firebase(folder, *firebase_options)
        self.processes.append(self.firebase.process)
        self.redis: redis.Redis = redis.Redis.from_url(self.redis_server.url)
        self.environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "REDIS_URL": self.redis_server.url,
            "FIREBASE_DATABASE_EMULATOR_HOST": self.firebase.host,
            "PROFIT_BASE_PATH": str(self.base),
            # Many bridges run at once; a test of the status server chooses a port itself.
            "METRICS_ADDRESS": "off",
        }

    def restart_redis(self) -> None:
        """Start Redis again on its port, with the data it wrote to disk."""
        self.processes.remove(self.redis_server)
        self.redis_server = start_redis(self.folder, self.redis_server.port)
        self.processes.insert(0, self.redis_server)

    def publisher_client(self) -> redis.Redis:
        """Return a client that may publish even where others may not."""
        self.redis.execute_command(
            "ACL", "SETUSER", "bot", "on", "nopass", "allcommands", "allchannels"
        )
        port = self.redis_server.port
        return redis.Redis(port=port, username="bot", password="any")

    def close(self) -> None:
        self.redis.close()
        # A clean shutdown of a worker would take seconds, and nobody uses it any more.
        end_all(reversed(self.processes), within=0)

    def start(self, name: str, *command: str, **environment: str) -> Process:
        self._started += 1
        process = Process(
            name,
            [sys.executable, *command],
            self.folder / f"{name}-{self._started}.log",
            self.environment | environment,
        )
        self.processes.append(process)
        return process

    def start_bridge(self, command: str = "bridge", **environment: str) -> Process:
        bridge = self.start("bridge", "-m", "app", command, **environment)
        wait(lambda: "_started" in bridge.log.read_text(), PATIENCE, "started bridge", [bridge])
        return bridge

    def start_worker(self, concurrency: int = 2, **environment: str) -> Process:
        worker = self.start(
            "worker",
            *("-m", "celery", "-A", "tasks", "worker", "--loglevel", "INFO"),
            *("--concurrency", str(concurrency), "--without-gossip", "--without-mingle"),
            *("--hostname", f"worker{self._started}@%h"),
            **environment,
        )
        wait(lambda: " ready." in worker.log.read_text(), PATIENCE, "ready worker", [worker])
        return worker

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run Python with these arguments to its end, in this system."""
        return run(*command, **self.environment | environment)

    def command(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end in this process, in this system."""
        return run_here(self.environment | environment, *words)

    def publish(self, message: str | bytes, channel: str = "PROFIT_REPORT") -> int:
        """PUBLISH as redis-cli does; return the number of listeners."""
        return int(self.redis.publish(channel, message))

    def is_heard(self) -> bool:
        """Publish a report of 1.0 for SOFI; return whether anybody received it."""
        try:
            return self.publish(envelope(report("SOFI", 1))) >= 1
        except redis.RedisError:
            return False

    def report(self, symbol: str = "SOFI", total: Any = 1.0, **fields: Any) -> dict[str, Any]:
        data = report(symbol, total, **fields)
        assert self.publish(envelope(data)) >= 1
        return data

    def daily_file(self, day: int | None = None) -> dict[str, Any]:
        path = path_of(self.base, today() if day is None else day)
        try:
            found: dict[str, Any] = json.loads(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return {}
        return found

    def total(self, symbol: str = "aggregate", day: int | None = None) -> float:
        """Return the total of a symbol in the daily file; 0 if there is none."""
        found: float = self.daily_file(day).get(symbol, {}).get("total", 0)
        return found

    def rejected(self) -> list[str]:
        return self.command("rejected").stdout.splitlines()

    @contextmanager
    def listening(self, *patterns: str) -> Iterator["Listener"]:
        """Record what is published on TICKER_PERFORMANCE_*, or on other channels."""
        listener = Listener(self.redis_server.url, *patterns)
        try:
            yield listener
        finally:
            listener.close()


class Listener:
    """Records what is published on TICKER_PERFORMANCE_*, or on other channels, in order."""

    def __init__(self, url: str, *patterns: str) -> None:
        self._client: redis.Redis = redis.Redis.from_url(url)
        self._pubsub = self._client.pubsub()
        self._pubsub.psubscribe(*patterns or ("TICKER_PERFORMANCE_*",))
        self._pubsub.get_message(timeout=5)
        self.received: list[tuple[str, dict[str, Any]]] = []

    def wait_for(self, count: int) -> list[tuple[str, dict[str, Any]]]:
        """Wait for at least `count` messages; return all."""

        def enough() -> bool:
            while (message := self._pubsub.get_message(timeout=0.01)) is not None:
                if message["type"] == "pmessage":
                    body = json.loads(message["data"])
                    self.received.append((message["channel"].decode(), body))
            return len(self.received) >= count

        wait(enough, PATIENCE, f"{count} messages")
        return self.received

    def close(self) -> None:
        self._pubsub.close()
        self._client.close()


def wait_until(holds: Callable[[], bool], what: str, within: float = PATIENCE) -> None:
    wait(holds, within, what)


def midnight(day: int) -> datetime:
    """Return the beginning of a UTC day, counted from 1970-01-01."""
    return datetime.fromtimestamp(day * DAY / 1_000_000, UTC)


def fill(filler: Path) -> None:
    """Fill the disk."""
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 65_536)
