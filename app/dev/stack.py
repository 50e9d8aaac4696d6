"""The whole system on this machine, without any account: `python -m app dev`.

Redis, a local Firebase, the bridge, a worker, Flower and simulated bots, each a process on
loopback with its data in one temporary folder, and a live table of the figures.
"""

import http.client
import json
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import NoReturn

import redis
from rich.console import Console
from rich.live import Live

from app.accounting import path_of
from app.channels import PROFIT_REPORT, RedisNames
from app.dev.processes import Process, end_all, free_port, wait_until
from app.dev.redis_server import start_redis
from app.dev.rtdb.rules import RuleError, load_rules
from app.domain import day_of
from app.errors import StopProgram, WrongUse
from app.messaging import connect
from app.operations.watch import Row, Watcher, changed_lines, render_table
from app.settings import EMULATOR_NAMESPACE, Settings, variables
from app.shutdown import ShutdownRequested, ShutdownSignals
from app.timing import now_us

START_WITHIN = 60.0
"""Seconds that a program may take to get ready on a busy machine."""

END_WITHIN = 3.7
"""Seconds; even an idle worker needs about three."""

STORES_END_WITHIN = 0.8

_REDRAW = 0.25
_REPRINT = 2.0
_TICK = 0.05
_LOG_TAIL = 15
_WORKER_LISTENS = "_kombu.binding.celery.pidbox"
"""Redis key that a worker sets when it starts to listen for commands."""

_PROJECT = Path(__file__).parents[2]

_DIRECT = {"NO_PROXY": "*", "no_proxy": "*", "PYTHONUNBUFFERED": "1"}
_FOREIGN = ("CELERY", "FLOWER_", "FIREBASE_", "GOOGLE_")


def run(settings: Settings, *, as_json: bool = False, rules: Path | None = None) -> int:
    """Run everything until Ctrl-C or SIGTERM; return the exit code.

    Args:
        settings: Only `log_level` is used, so that nothing here can touch a real deployment.
        as_json: Print the addresses as one line of JSON, and all else to stderr.
        rules: File of database rules to enforce; without one everything is allowed.

    Raises:
        WrongUse: The rules cannot be used.
        StopProgram: A program did not start, or ended by itself.
    """
    if rules is not None:
        try:
            load_rules(rules)
        except RuleError as error:
            raise WrongUse(f"--rules: {error}") from None
    console = Console(highlight=False, stderr=as_json)
    prefix = "profit-bridge-dev-"
    with (
        ShutdownSignals() as signals,
        tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as folder,
    ):
        stack = Stack(Path(folder), settings.log_level, console, signals, rules)
        try:
            stack.start()
            if as_json:
                print(json.dumps(stack.addresses()), flush=True)  # noqa: T201 - its output
            stack.print_addresses()
            stack.show_table()
        except ShutdownRequested:
            with suppress(OSError):  # the terminal may be gone
                console.print("stopping")
            return 0
        finally:
            stack.end()


class Stack:
    """The running programs.

    Args:
        folder: Folder for all their data and logs.
        log_level: Log level of the bridge.
        console: Where to print.
        signals: Requests to shut down.
        rules: File of database rules.
    """

    def __init__(
        self,
        folder: Path,
        log_level: str,
        console: Console,
        signals: ShutdownSignals,
        rules: Path | None,
    ) -> None:
        self._folder = folder
        self._profits = folder / "profits"
        self._log_level = log_level
        self._console = console
        self._signals = signals
        self._rules = rules
        self._stores: list[Process] = []
        self._programs: list[Process] = []
        self._environment: dict[str, str] = {}

    def start(self) -> None:
        """Start everything, and wait until it is ready.

        Raises:
            StopProgram: A program does not start.
        """
        self._start_stores()
        bridge = self._start(self._programs, "bridge", "-m", "app", "bridge")
        celery = ("-m", "celery", "-A", "tasks")
        worker = self._start(self._programs, "worker", *celery, "worker", "--loglevel=WARNING")
        flower_port = free_port()
        options = ["--address=127.0.0.1", f"--port={flower_port}"]
        flower = self._start(self._programs, "flower", *celery, "flower", *options)
        bots = self._start(self._programs, "bots", "-m", "app.dev.bots")
        self._flower_url = f"http://127.0.0.1:{flower_port}"

        names = RedisNames("")
        with closing(connect(self._redis_url)) as client:
            self._wait(bridge, lambda: _listens(client, names.profit_report))
            self._wait(worker, lambda: _exists(client, _WORKER_LISTENS))
            self._wait(flower, lambda: _answers(f"127.0.0.1:{flower_port}", "/healthcheck"))
            self._wait(bots, lambda: _exists(client, names.journal))

    def _start_stores(self) -> None:
        """Start Redis and Firebase, which the other programs need."""
        redis_server = start_redis(self._folder, ends_with_us=True)
        self._stores.append(redis_server)
        self._redis_url = redis_server.url
        self._print_ready(redis_server)
        port = free_port()
        self._firebase_host = f"127.0.0.1:{port}"
        self._metrics_host = f"127.0.0.1:{free_port()}"
        self._environment = sealed_environment(
            os.environ,
            {
                "REDIS_URL": self._redis_url,
                "CELERY_BROKER_URL": self._redis_url,
                "FIREBASE_DATABASE_EMULATOR_HOST": self._firebase_host,
                "PROFIT_BASE_PATH": str(self._profits),
                "PUBLISHER_SPOOL_PATH": str(self._folder / "publisher"),
                "TMPDIR": str(self._folder),
                "LOG_LEVEL": self._log_level,
                "METRICS_ADDRESS": self._metrics_host,
            },
        )
        options = ["--host", "127.0.0.1", "--port", str(port)]
        if self._rules is not None:
            options += ["--rules", str(self._rules.absolute())]
        firebase = self._start(self._stores, "firebase", "-m", "app.dev.rtdb.server", *options)
        self._wait(firebase, lambda: _answers(self._firebase_host, "/"))

    def _start(self, group: list[Process], name: str, *arguments: str) -> Process:
        self._signals.check()
        log = self._folder / f"{name}.log"
        command = [sys.executable, *arguments]
        process = Process(name, command, log, self._environment, ends_with_us=True)
        group.append(process)
        return process

    def _wait(self, process: Process, is_ready: Callable[[], bool]) -> None:
        def ready_or_stopped() -> bool:
            self._signals.check()
            return is_ready()

        wait_until(ready_or_stopped, START_WITHIN, f"ready {process.name}", [process])
        self._print_ready(process)

    def _print_ready(self, process: Process) -> None:
        self._print(f"{process.name:<8} ready")

    def addresses(self) -> dict[str, str]:
        """Return where each part is, by name, for people and for programs."""
        owner = "auth=owner" if self._rules else ""
        query = "&".join(filter(None, (f"ns={EMULATOR_NAMESPACE}", owner, "print=pretty")))
        return {
            "live page": f"http://{self._firebase_host}/{owner and '?' + owner}",
            "Flower": self._flower_url,
            "Firebase": f"http://{self._firebase_host}/{Settings.firebase_root}.json?{query}",
            "front end": _how_a_front_end_connects(self._firebase_host, bool(self._rules)),
            "REDIS_URL": self._redis_url,
            "daily JSON": str(path_of(self._profits, day_of(now_us()))),
            "metrics": f"http://{self._metrics_host}/metrics",
            "logs": f"{self._folder}/*.log",
        }

    def print_addresses(self) -> None:
        """Print the addresses, and how to report a fill."""
        for name, address in self.addresses().items():
            self._print(f"{name:<10} {address}")
        self._print(f"\nTo report a fill of your own:\n{_command_to_report(self._redis_url)}\n")
        self._print("Ctrl-C stops everything.\n")

    def _print(self, text: str) -> None:
        """Print without wrapping, so that lines can be copied from a narrow terminal."""
        self._console.print(text, soft_wrap=True, markup=False)

    def show_table(self) -> NoReturn:
        """Show the figures until a shutdown is requested.

        Raises:
            ShutdownRequested: A shutdown was requested.
            StopProgram: A program has ended by itself.
        """
        watcher = Watcher(Settings(firebase_database_emulator_host=self._firebase_host))
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            with Live(console=self._console, auto_refresh=False) as live:
                while True:
                    table = render_table(
                        watcher.rows(), datetime.now(UTC), width=self._console.width
                    )
                    live.update(table, refresh=True)
                    self._watch(_REDRAW)
        printed: dict[str, Row] = {}
        while True:
            for line in changed_lines(watcher.rows(), printed):
                self._print(line)
            self._watch(_REPRINT)

    def _watch(self, seconds: float) -> None:
        """Wait while everything runs."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._signals.check()
            for process in (*self._stores, *self._programs):
                if process.exit_code is not None:
                    raise StopProgram(self._died(process))
            time.sleep(_TICK)

    def _died(self, process: Process) -> str:
        tail = process.log.read_text(errors="replace").splitlines()[-_LOG_TAIL:]
        self._print("\n".join([f"The end of the log of {process.name}:", *tail]))
        return f"{process.name} ended by itself with exit code {process.exit_code}"

    def end(self) -> None:
        """Stop everything: the bots first, and the stores last, since the others still use them."""
        end_all(reversed(self._programs), END_WITHIN)
        end_all(reversed(self._stores), STORES_END_WITHIN)


def sealed_environment(inherited: Mapping[str, str], ours: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of the programs: `ours`, and nothing of a real deployment.

    A setting that is empty has its default, whatever `.env` says.
    """
    harmless = {name: text for name, text in inherited.items() if not name.startswith(_FOREIGN)}
    defaults = dict.fromkeys(variables(), "")
    return harmless | defaults | _DIRECT | dict(ours)


def _listens(client: redis.Redis, channel: str) -> bool:
    with suppress(redis.RedisError):
        return bool(client.pubsub_channels(channel))
    return False


def _exists(client: redis.Redis, key: str) -> bool:
    with suppress(redis.RedisError):
        return bool(client.exists(key))
    return False


def _answers(host: str, path: str) -> bool:
    with closing(http.client.HTTPConnection(host, timeout=2)) as connection:
        try:
            connection.request("GET", path)
            return connection.getresponse().status == HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False


def _how_a_front_end_connects(firebase_host: str, signs_in: bool) -> str:
    """Return the call of the Firebase JavaScript SDK, and the database URL that the app needs."""
    host, _, port = firebase_host.partition(":")
    url = f"http://{firebase_host}/?ns={EMULATOR_NAMESPACE}"
    user = ', {mockUserToken: {sub: "me"}}' if signs_in else ""
    return f'connectDatabaseEmulator(db, "{host}", {port}{user}), databaseURL: "{url}"'


def _command_to_report(redis_url: str) -> str:
    """Return a command that reports another fill each time, in whichever folder it runs."""
    code = (
        "from datetime import datetime as t, UTC; from app.publisher import RedisPublisher as P; "
        f"P('{redis_url}', account='').publish('{PROFIT_REPORT}', {{'symbol': 'MINE', "
        "'total': 12.5, 'unrealized': 12.5, 'realized': 0, 'timestamp': t.now(UTC).isoformat()}, "
        "'me')"
    )
    return f'PYTHONPATH={shlex.quote(str(_PROJECT))} {shlex.quote(sys.executable)} -c "{code}"'
