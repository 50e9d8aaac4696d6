"""The databases of the development server, one per namespace, and the file that keeps them."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path as FilePath

from app.dev.rtdb_faults import WriteLog
from app.dev.rtdb_http import EventStream, Request, dumps
from app.dev.rtdb_nodes import Json, Path, RtdbError
from app.dev.rtdb_tree import Change, RtdbTree, event_for, leaf_writes


@dataclass
class Database:
    """One namespace: its data, who listens to it, and what was written."""

    tree: RtdbTree = field(default_factory=RtdbTree)
    streams: set[EventStream] = field(default_factory=set)
    log: WriteLog = field(default_factory=WriteLog)

    def listen(self, request: Request, path: Path) -> None:
        """Turn the request into a stream that tells what is there, and then every change."""
        stream = EventStream(request.connection, path)
        request.connection.set_close_callback(lambda: self.streams.discard(stream))
        self.streams.add(stream)
        stream.send("put", {"path": "/", "data": self.tree.get(path)})

    def publish(self, change: Change) -> None:
        """Log a change of the tree, and tell those who listen."""
        self.log.extend(leaf_writes(change))
        for stream in list(self.streams):
            event = event_for(change, stream.at)
            if event is not None:
                stream.send(event.kind, {"path": event.path, "data": event.data})


class Databases:
    """All databases. Set `unsaved` after a change, so that the next `save` writes the file."""

    def __init__(self, data_file: FilePath | None) -> None:
        self.by_namespace: dict[str, Database] = {}
        self.unsaved = False
        self._data_file = data_file

    def of(self, namespace: str) -> Database:
        """The database of a namespace; new ones are empty."""
        return self.by_namespace.setdefault(namespace, Database())

    def streams(self) -> list[EventStream]:
        """All open listeners."""
        return [stream for each in self.by_namespace.values() for stream in each.streams]

    def clear(self) -> None:
        """Forget all data and logs. Open streams stay open, but hear no more of it."""
        self.by_namespace.clear()
        self.unsaved = True

    def load(self) -> None:
        """Read the data file, if there is one. Raises ValueError if it holds something else."""
        if self._data_file is None or not self._data_file.exists():
            return
        try:
            for namespace, value in json.loads(self._data_file.read_bytes()).items():
                self.of(namespace).tree.put((), value)
        except (ValueError, AttributeError, RtdbError) as error:
            raise ValueError(f"{self._data_file} is not a data file: {error}") from None

    def save(self) -> None:
        """Write the data file, if there is to be one and something has changed."""
        if self._data_file is None or not self.unsaved:
            return
        data: Json = {name: each.tree.get(()) for name, each in self.by_namespace.items()}
        write_whole(self._data_file, dumps(data))
        self.unsaved = False


def write_whole(path: FilePath, data: bytes) -> None:
    """Write a file so that a reader sees all of it or nothing."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(data)
    temporary.replace(path)
