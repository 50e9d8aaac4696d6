"""Hears every change of the local Firebase, as a front end does, and notes when: `HOST PORT FILE`.

Only notes: what the notes mean is found out afterwards by `benchmarks.seen`.
"""

import signal
import socket
import struct
import sys
import time
from pathlib import Path

NOTE = struct.Struct("<qI")
"""Nanoseconds of the monotonic clock, which all processes share, and the bytes that follow."""


def run(host: str, port: int, path: Path) -> None:
    """Listen until killed."""
    with path.open("wb") as notes, socket.create_connection((host, port)) as stream:
        signal.signal(signal.SIGTERM, lambda *_: stream.shutdown(socket.SHUT_RDWR))
        # By HTTP/1.0 the stream comes as it is, not in chunks.
        stream.sendall(b"GET /services.json HTTP/1.0\r\nAccept: text/event-stream\r\n\r\n")
        while received := stream.recv(1 << 20):
            notes.write(NOTE.pack(time.monotonic_ns(), len(received)) + received)
            if not notes.tell() or b"event: put" in received[:200]:
                print("listening", flush=True)
                notes.flush()


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
