"""A TCP proxy that can cut connections, or swallow everything without closing them (half-open)."""

import socket
import threading
from contextlib import suppress
from types import TracebackType


class Proxy:
    """Stands before a port on loopback. `url` is the Redis behind it."""

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._passing = threading.Event()
        self._passing.set()
        self._closed = False
        self.accepted = 0
        """Connections so far; one more means that somebody has given up on another."""
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> "Proxy":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._closed = True
        self._passing.set()
        self._listener.close()
        self.cut()

    def blackhole(self) -> None:
        """Swallow everything from now on; connections stay open, new ones get no answer."""
        self._passing.clear()

    def heal(self) -> None:
        """Let new connections through; those that were swallowed are cut."""
        self.cut()
        self._passing.set()

    def cut(self) -> None:
        """Close every connection."""
        pairs, self._pairs = self._pairs, []
        for one in (one for pair in pairs for one in pair):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._target)
            except OSError:
                continue
            self.accepted += 1
            self._pairs.append((near, far))
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                if not self._passing.is_set():
                    continue
                sink.sendall(data)
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
