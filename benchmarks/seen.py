"""What a front end saw, and when: the events of the local Firebase, with the time of each."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.dev.processes import Process
from app.firebase import unescape_key
from benchmarks.stage import Firebase, Stage
from benchmarks.ways.observer import NOTE


@dataclass(frozen=True)
class Seen:
    """A performance that came to be visible."""

    at: float
    """Seconds of the monotonic clock."""
    symbol: str
    figures: dict[str, Any]


class Observer:
    """A separate process that receives what a front end receives."""

    def __init__(self, stage: Stage, firebase: Firebase) -> None:
        self._notes = stage.folder / "observed"
        command = ("-m", "benchmarks.ways.observer", "127.0.0.1", str(firebase.port))
        self._process: Process = stage.start(
            "observer", *command, str(self._notes), ready="listening"
        )

    def end(self) -> list[Seen]:
        """Stop listening; everything that was seen, in order."""
        self._process.end()
        return list(read_notes(self._notes))


def read_notes(path: Path) -> Iterator[Seen]:
    """Every performance in an observer's notes."""
    content = path.read_bytes()
    at, rest = 0, b""
    while at + NOTE.size <= len(content):
        nanoseconds, length = NOTE.unpack_from(content, at)
        at += NOTE.size
        *events, rest = (rest + content[at : at + length]).split(b"\n\n")
        at += length
        for event in events:
            _, found, text = event.partition(b"\ndata: ")
            if found and text != b"null":
                yield from _performances(nanoseconds / 1e9, json.loads(text))


def _performances(at: float, event: dict[str, Any]) -> Iterator[Seen]:
    """The performances in one event: of a single write, or of a multi-path one."""
    base = event["path"].strip("/")
    data = event["data"] if isinstance(event["data"], dict) else {}
    if base.endswith("/performance"):
        yield Seen(at, unescape_key(base.partition("/")[0]), data)
        return
    for path, figures in data.items():
        symbol, _, key = f"{base}/{path}".strip("/").partition("/")
        if key == "performance":
            yield Seen(at, unescape_key(symbol), figures)
        elif not key and isinstance(figures, dict) and "performance" in figures:
            yield Seen(at, unescape_key(symbol), figures["performance"])
