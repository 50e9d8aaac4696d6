"""The whole system on this machine, with no account: `python -m app dev`.

Redis, a local Firebase, the bridge, a worker, Flower and simulated bots, each a process of its own
on loopback with its data in one temporary folder, and a live table of what they make.
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
from app.channels import JOURNAL, PROFIT_REPORT
from app.dev.processes import Process, end_all, free_port, wait_until
from app.dev.redis_server import start_redis
from app.dev.rtdb.rules import RuleError, load_rules
from app.domain import day_of
from app.errors import StopProgram, WrongUse
from app.messaging import connect
from app.operations.watch import Row, Watcher, changed_lines, render_table
from app.settings import EMULATOR_NAMESPACE, Settings, variables
from app.shutdown import ShutdownRequested, ShutdownSignals

START_WITHIN = 60.0
"""Seconds that a program may take to be ready, on a busy machine."""

END_WITHIN = 3.7
STORES_END_WITHIN = 0.8
"""Seconds; a worker needs about three even if it has nothing to do."""

_TASKS_IN_FLOWER = 10_000
_REDRAW = 0.25
_CALM = 2.0
_LOOK = 0.05
_LOG_TAIL = 15
_WORKER_LISTENS = "_kombu.binding.celery.pidbox"
"""Redis key that a worker sets when it begins to take orders."""

_PROJECT = Path(__file__).parents[2]

_DIRECT = {"NO_PROXY": "*", "no_proxy": "*", "PYTHONUNBUFFERED": "1"}
_FOREIGN = ("CELERY", "FLOWER_", "FIREBASE_", "GOOGLE_")


def run(settings: Settings, *, as_json: bool = False, rules: Path | None = None) -> int:
    """Run everything until Ctrl-C or SIGTERM; the exit code.

    Args:
        settings: of them only `log_level` counts: nothing here may touch a real deployment.
        as_json: print the addresses as one line of JSON, and all else as an error.
        rules: a file of database rules to hold everybody to; without one all is open.

    Raises:
        WrongUse: the rules cannot be used.
        StopProgram: a program did not start, or ended by itself.
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
        stack = Stack(Path(folder), settings.log_level, console, signals.check, rules)
        try:
            stack.start()
            if as_json:
                print(json.dumps(stack.addresses()), flush=True)  # noqa: T201 - its output
            stack.tell_where_things_are()
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
        folder: takes all their data and logs.
        log_level: of the bridge.
        console: to tell about it.
        look: raises when it is time to stop; is called often.
        rules: of the database.
    """

    def __init__(
        self,
        folder: Path,
        log_level: str,
        console: Console,
        look: Callable[[], None],
        rules: Path | None,
    ) -> None:
        self._folder = folder
        self._profits = folder / "profits"
        self._log_level = log_level
        self._console = console
        self._look = look
        self._rules = rules
        self._stores: list[Process] = []
        self._programs: list[Process] = []
        self._environment: dict[str, str] = {}

    def start(self) -> None:
        """Start everything, and wait until it is ready.

        Raises:
            StopProgram: something does not start.
        """
        self._start_stores()
        bridge = self._start(self._programs, "bridge", "-m", "app", "bridge")
        celery = ("-m", "celery", "-A", "tasks")
        worker = self._start(self._programs, "worker", *celery, "worker", "--loglevel=WARNING")
        flower_port = free_port()
        at = ("--address=127.0.0.1", f"--port={flower_port}", f"--max-tasks={_TASKS_IN_FLOWER}")
        flower = self._start(self._programs, "flower", *celery, "flower", *at)
        bots = self._start(self._programs, "bots", "-m", "app.dev.bots")
        self._flower_url = f"http://127.0.0.1:{flower_port}"

        with closing(connect(self._redis_url)) as client:
            self._wait(bridge, lambda: _listens(client, PROFIT_REPORT))
            self._wait(worker, lambda: _exists(client, _WORKER_LISTENS))
            self._wait(flower, lambda: _answers(f"127.0.0.1:{flower_port}", "/healthcheck"))
            self._wait(bots, lambda: _exists(client, JOURNAL))

    def _start_stores(self) -> None:
        """Redis and Firebase, which the others need at their start."""
        redis_server = start_redis(self._folder, ends_with_us=True)
        self._stores.append(redis_server)
        self._redis_url = redis_server.url
        self._tell_ready(redis_server)
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
        self._look()
        log = self._folder / f"{name}.log"
        command = [sys.executable, *arguments]
        process = Process(name, command, log, self._environment, ends_with_us=True)
        group.append(process)
        return process

    def _wait(self, process: Process, is_ready: Callable[[], bool]) -> None:
        def ready_or_stopped() -> bool:
            self._look()
            return is_ready()

        wait_until(ready_or_stopped, START_WITHIN, f"ready {process.name}", [process])
        self._tell_ready(process)

    def _tell_ready(self, process: Process) -> None:
        self._print(f"{process.name:<8} ready")

    def addresses(self) -> dict[str, str]:
        """Where a person or a program gets at all of it, by name."""
        owner = "auth=owner" if self._rules else ""
        query = "&".join(filter(None, (f"ns={EMULATOR_NAMESPACE}", owner, "print=pretty")))
        return {
            "live page": f"http://{self._firebase_host}/{owner and '?' + owner}",
            "Flower": self._flower_url,
            "Firebase": f"http://{self._firebase_host}/{Settings.firebase_root}.json?{query}",
            "front end": _how_a_front_end_connects(self._firebase_host, bool(self._rules)),
            "REDIS_URL": self._redis_url,
            "daily JSON": str(path_of(self._profits, day_of(time.time_ns() // 1000))),
            "metrics": f"http://{self._metrics_host}/metrics",
            "logs": f"{self._folder}/*.log",
        }

    def tell_where_things_are(self) -> None:
        """Print the addresses, and how to report a fill."""
        for name, place in self.addresses().items():
            self._print(f"{name:<10} {place}")
        self._print(f"\nTo report a fill of your own:\n{_command_to_report(self._redis_url)}\n")
        self._print("Ctrl-C stops all of it.\n")

    def _print(self, text: str) -> None:
        """Print whole lines, so that they can be copied from a narrow terminal."""
        self._console.print(text, soft_wrap=True, markup=False)

    def show_table(self) -> NoReturn:
        """Show the figures until it is time to stop.

        Raises:
            StopProgram: a program has ended by itself.
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
            self._watch(_CALM)

    def _watch(self, seconds: float) -> None:
        """Let time pass while all is well."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._look()
            for process in (*self._stores, *self._programs):
                if process.exit_code is not None:
                    raise StopProgram(self._died(process))
            time.sleep(_LOOK)

    def _died(self, process: Process) -> str:
        tail = process.log.read_text(errors="replace").splitlines()[-_LOG_TAIL:]
        self._print("\n".join([f"The end of the log of {process.name}:", *tail]))
        return f"{process.name} ended by itself with exit code {process.exit_code}"

    def end(self) -> None:
        """Stop everything: the bots first, and last what the others write to as they end."""
        end_all(reversed(self._programs), END_WITHIN)
        end_all(reversed(self._stores), STORES_END_WITHIN)


def sealed_environment(inherited: Mapping[str, str], ours: Mapping[str, str]) -> dict[str, str]:
    """What the programs are to see: `ours`, and nothing of a real deployment.

    A setting that is empty is at its default, whatever `.env` says about it.
    """
    kept = {name: text for name, text in inherited.items() if not name.startswith(_FOREIGN)}
    defaults = dict.fromkeys(variables(), "")
    return kept | defaults | _DIRECT | dict(ours)


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
    """The call of the Firebase JavaScript SDK, and the database that the app has to name."""
    host, _, port = firebase_host.partition(":")
    url = f"http://{firebase_host}/?ns={EMULATOR_NAMESPACE}"
    user = ', {mockUserToken: {sub: "me"}}' if signs_in else ""
    return f'connectDatabaseEmulator(db, "{host}", {port}{user}), databaseURL: "{url}"'


def _command_to_report(redis_url: str) -> str:
    """A command that reports a fill of its own each time, whatever folder it is pasted in."""
    code = (
        "from datetime import datetime as t, UTC; from app.publisher import RedisPublisher as P; "
        f"P('{redis_url}').publish('{PROFIT_REPORT}', {{'symbol': 'MINE', 'total': 12.5, "
        "'unrealized': 12.5, 'realized': 0, 'timestamp': t.now(UTC).isoformat()}, 'me')"
    )
    return f'PYTHONPATH={shlex.quote(str(_PROJECT))} {shlex.quote(sys.executable)} -c "{code}"'
