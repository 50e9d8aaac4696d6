"""The databases of the server, one per namespace, and the file that they are saved to."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Protocol

from app.dev.rtdb.faults import Counters, WriteLog
from app.dev.rtdb.history import History
from app.dev.rtdb.http import EventStream, HttpRequest, dumps
from app.dev.rtdb.rules import ADMIN, Principal, Rules, principal_of
from app.dev.rtdb.tree import (
    Change,
    Json,
    Node,
    Path,
    RtdbError,
    RtdbTree,
    StreamEvent,
    WriteCheck,
    event_for,
    leaf_writes,
)

PERMISSION_DENIED = "Permission denied"


class Listener(Protocol):
    """Receives every change at a path: an event stream, or one listen of a websocket."""

    @property
    def path(self) -> Path: ...

    def notify(self, event: StreamEvent) -> None:
        """Send a change."""

    def keep_alive(self) -> None:
        """Show that the connection is alive, where the protocol leaves that to the server."""

    def close(self) -> None:
        """Close the connection."""


@dataclass
class Database:
    """One namespace: its data and rules, its listeners, its log and its history."""

    rules: Rules | None = None
    tree: RtdbTree = field(default_factory=RtdbTree)
    listeners: set[Listener] = field(default_factory=set)
    log: WriteLog = field(default_factory=WriteLog)
    history: History = field(default_factory=History)

    def principal_of(self, request: HttpRequest) -> Principal:
        """Return who sent a request; without rules, credentials are ignored."""
        return principal_of(request.headers, request.parameters) if self.rules else ADMIN

    def check_read(self, principal: Principal, path: Path) -> None:
        """Raise RtdbError 401 if there are rules that do not let `principal` read at `path`."""
        if self.rules is None or principal.is_admin:
            return
        if not self.rules.may_read(principal.auth, path, self.tree.node(())):
            raise RtdbError(401, PERMISSION_DENIED)

    def write_check(self, principal: Principal) -> WriteCheck | None:
        """Return the check, if any, that raises RtdbError 401 for a write that is not allowed."""
        rules = self.rules
        if rules is None or principal.is_admin:
            return None

        def check(before: Node | None, after: Node | None, paths: tuple[Path, ...]) -> None:
            if not rules.may_write(principal.auth, paths, before, after):
                raise RtdbError(401, PERMISSION_DENIED)

        return check

    def listen(self, request: HttpRequest, path: Path) -> None:
        """Turn the request into a stream of the current value, and then of every change."""
        stream = EventStream(request.connection, path)
        request.connection.set_close_callback(lambda: self.listeners.discard(stream))
        self.listeners.add(stream)
        stream.notify(StreamEvent("put", "/", self.tree.get(path)))

    def publish(self, change: Change) -> None:
        """Log a change of the tree, and notify the listeners."""
        writes = list(leaf_writes(change))
        self.log.extend(writes)
        self.history.record(writes, time.time_ns() // 1_000_000)
        for listener in list(self.listeners):
            event = event_for(change, listener.path)
            if event is not None:
                listener.notify(event)


class Databases:
    """All databases, and the file that they are saved to."""

    def __init__(
        self, data_file: FilePath | None, counters: Counters, rules: Rules | None = None
    ) -> None:
        self.rules = rules
        self.by_namespace: dict[str, Database] = {}
        self._data_file = data_file
        self._counters = counters
        self._unsaved = False

    def of(self, namespace: str) -> Database:
        """Return the database of a namespace; a new one is empty."""
        return self.by_namespace.setdefault(namespace, Database(self.rules))

    def publish(self, namespace: str, change: Change) -> None:
        """Count and publish a change that a tree has made, and mark it for saving."""
        self._counters.commits += 1
        self._unsaved = True
        self.of(namespace).publish(change)

    def listeners(self) -> list[Listener]:
        return [listener for each in self.by_namespace.values() for listener in each.listeners]

    def clear(self) -> None:
        """Drop all data and logs. Listeners stay connected, but receive nothing more."""
        self.by_namespace.clear()
        self._unsaved = True

    def load(self) -> None:
        """Read the data file if there is one; raise ValueError if it holds something else."""
        if self._data_file is None or not self._data_file.exists():
            return
        try:
            for namespace, value in json.loads(self._data_file.read_bytes()).items():
                self.of(namespace).tree.put((), value)
        except (ValueError, AttributeError, RtdbError) as error:
            raise ValueError(f"{self._data_file} is not a data file: {error}") from None

    def save(self) -> None:
        """Write the data file, if one is configured and something has changed."""
        if self._data_file is None or not self._unsaved:
            return
        data: Json = {name: each.tree.get(()) for name, each in self.by_namespace.items()}
        write_atomically(self._data_file, dumps(data))
        self._unsaved = False


def write_atomically(path: FilePath, data: bytes) -> None:
    """Replace a file so that a reader sees all of it or nothing."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(data)
    temporary.replace(path)
