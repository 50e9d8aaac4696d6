"""The team's own front end: the real Firebase SDK for JavaScript in Node, at the local database."""

import json
import os
import subprocess
import threading
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from app.settings import EMULATOR_NAMESPACE
from tests.node import node_for
from tests.system import PATIENCE, Firebase, wait_until

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def node() -> str:
    return node_for(HERE)


class Listening:
    """What one listener was told, in order."""

    def __init__(self, client: "FrontEnd", number: int) -> None:
        self.number = number
        self._client = client

    @property
    def told(self) -> list[Any]:
        return [each["event"] for each in self._client.outcomes(self.number)]

    @property
    def keys(self) -> list[str]:
        return [each["key"] for each in self._client.outcomes(self.number)]

    def until(self, value: Any) -> None:
        """Wait until the newest it was told is this."""
        wait_until(lambda: self.told[-1:] == [value], f"{value!r:.80}, not {self.told[-1:]!r:.80}")


class FrontEnd:
    """A Node process with the SDK; see client.mjs."""

    def __init__(self, node: str, port: int, log: Path, user: dict[str, Any] | None) -> None:
        url = f"http://127.0.0.1:{port}/?ns={EMULATOR_NAMESPACE}"
        command = [node, str(HERE / "client.mjs"), url, "127.0.0.1", str(port)]
        if user is not None:
            command.append(json.dumps(user))
        self.log = log
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={"PATH": os.environ["PATH"]},
            )
        self._outcomes: dict[int, list[dict[str, Any]]] = defaultdict(list)
        self._last = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def outcomes(self, number: int) -> list[dict[str, Any]]:
        return list(self._outcomes.get(number, ()))

    def __call__(self, call: str, path: str = "/", *arguments: Any, query: Any = ()) -> Any:
        """Have it call the SDK, and wait for what comes of it; an error is an AssertionError."""
        number = self.order(call, path, *arguments, query=query)
        wait_until(lambda: bool(self.outcomes(number)), f"end of {call} {path}")
        (outcome,) = self.outcomes(number)
        assert "error" not in outcome, outcome["error"]
        return outcome["value"]

    def order(self, call: str, path: str = "/", *arguments: Any, query: Any = ()) -> int:
        """Have it call the SDK, and wait for nothing; the number of the order."""
        self._last += 1
        order = {"id": self._last, "call": call, "path": path, "arguments": arguments}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order | {"query": query}) + "\n")
        self._process.stdin.flush()
        return self._last

    def listen(self, path: str, event: str = "onValue", query: Any = ()) -> Listening:
        return Listening(self, self.order(event, path, query=query))

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join(PATIENCE)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            outcome = json.loads(line)
            self._outcomes[outcome.pop("id")].append(outcome)


@pytest.fixture(scope="module")
def open_front_end(
    node: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., FrontEnd]]:
    """Opens front ends of a local database; they are closed after the last test of a file."""
    folder = tmp_path_factory.mktemp("front-ends")
    with ExitStack() as all_of_them:

        def open_one(port: int, user: dict[str, Any] | None = None) -> FrontEnd:
            log = folder / f"{len(list(folder.iterdir()))}.log"
            front_end = FrontEnd(node, port, log, user)
            all_of_them.callback(front_end.close)
            return front_end

        yield open_one


@pytest.fixture(scope="module")
def firebase(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firebase]:
    """A local database for all tests of a file."""
    firebase = Firebase(tmp_path_factory.mktemp("firebase"))
    try:
        yield firebase
    finally:
        firebase.process.end()


@pytest.fixture(scope="module")
def front_end(open_front_end: Callable[..., FrontEnd], firebase: Firebase) -> FrontEnd:
    """One front end for all tests of a file; each works at a place of its own: `root`."""
    return open_front_end(firebase.port)


@pytest.fixture
def root() -> str:
    """A place in the database that nobody else uses."""
    return f"place-{uuid.uuid4().hex}"
