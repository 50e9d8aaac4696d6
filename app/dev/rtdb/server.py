"""An RTDB-compatible development server: Firebase's REST API and websocket, on loopback.

It is not Firebase: rest.py and session.py say what is left out.

    python -m app.dev.rtdb.server --host 127.0.0.1 --port 0 --port-file PATH --data-file PATH
        --rules database.rules.json

A browser gets the live page at `/`: live_page.py. `/.control` is for tests: control.py, faults.py.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from tornado.http1connection import HTTP1Connection
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPConnection, HTTPMessageDelegate, HTTPServerConnectionDelegate
from tornado.ioloop import PeriodicCallback
from tornado.netutil import bind_sockets
from tornado.routing import AnyMatches, PathMatches, Rule, RuleRouter

from app.dev.rtdb.control import Control
from app.dev.rtdb.databases import Databases, write_atomically
from app.dev.rtdb.faults import Counters, Fault, Faults
from app.dev.rtdb.http import ANY_ORIGIN, MAX_BODY_BYTES, HttpRequest, HttpResponse
from app.dev.rtdb.live_page import LivePage
from app.dev.rtdb.rest import NAME, RestApi
from app.dev.rtdb.rules import Rules, load_rules
from app.dev.rtdb.websocket import WebSockets

KEEP_ALIVE_SECONDS = 30.0
SAVE_SECONDS = 1.0


class RtdbServer(HTTPServerConnectionDelegate):
    """The server, in one event loop and without threads. `start` and `stop` it in a running loop.

    Args:
        keep_alive: Seconds between the keep-alive events of a stream.
        data_file: File with the data, read at the start; it is replaced as a whole, at most once a
            second and when the server stops.
        rules: Rules to enforce; without them everyone may read and write everything.
    """

    def __init__(
        self,
        keep_alive: float = KEEP_ALIVE_SECONDS,
        data_file: Path | None = None,
        rules: Rules | None = None,
    ) -> None:
        self._keep_alive = keep_alive
        self._faults = Faults()
        self._counters = Counters()
        self._databases = Databases(data_file, self._counters, rules)
        self._websockets = WebSockets(self._databases)
        self._delayed: set[asyncio.Task[None]] = set()
        self._page = LivePage(self._databases)
        self._rest = RestApi(self._databases, self._counters)
        self._control = Control(self._databases, self._faults, self._counters, self._delayed)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen, and return the port; port 0 takes a free one.

        Raises:
            OSError: The port is taken.
            ValueError: The data file holds something else.
        """
        self._databases.load()
        sockets = bind_sockets(port, host, backlog=1024)
        # This limit only guards memory: below it, a body that is too big is refused with a reason.
        self._http = HTTPServer(self._router(), max_body_size=2 * MAX_BODY_BYTES)
        self._http.add_sockets(sockets)
        self._timers = [
            PeriodicCallback(self._send_keep_alives, self._keep_alive * 1000),
            PeriodicCallback(self._databases.save, SAVE_SECONDS * 1000),
        ]
        for timer in self._timers:
            timer.start()
        return cast(int, sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close everything at once, without waiting for open streams or delayed requests."""
        for timer in self._timers:
            timer.stop()
        self._http.stop()
        for task in self._delayed:
            task.cancel()
        self._websockets.close()
        await self._http.close_all_connections()
        self._databases.save()

    def _router(self) -> RuleRouter:
        websockets = Rule(PathMatches(r"/\.(ws|lp)"), self._websockets.application())
        return RuleRouter([websockets, Rule(AnyMatches(), self)])

    def start_request(
        self, server_conn: object, request_conn: HTTPConnection
    ) -> HTTPMessageDelegate:
        """Handle the start of one request; tornado calls this."""
        return HttpRequest(cast(HTTP1Connection, request_conn), self._handle)

    def _handle(self, request: HttpRequest) -> None:
        if request.raw_path.startswith("/.control"):
            request.respond(self._control.handle(request))
            return
        page = self._page.handle(request)
        if page is not None:
            request.respond(page)
            return
        self._counters.requests[request.method] += 1
        fault = self._faults.consult(request)
        if fault is None:
            self._respond(request, self._rest.execute(request))
            return
        task = asyncio.get_running_loop().create_task(self._respond_with_fault(request, fault))
        self._delayed.add(task)
        task.add_done_callback(self._delayed.discard)

    async def _respond_with_fault(self, request: HttpRequest, fault: Fault) -> None:
        if fault.hold:
            await fault.released.wait()
        await asyncio.sleep(fault.delay)
        response = self._rest.execute(request) if fault.executes else None
        await asyncio.sleep(fault.answer_delay)
        if fault.drop:
            self._counters.dropped += 1
            request.drop()
            return
        response = fault.response or response
        if fault.trickle and response is not None:
            self._counters.statuses[response.status] += 1
            await request.trickle(response, fault.trickle)
        else:
            self._respond(request, response)

    def _respond(self, request: HttpRequest, response: HttpResponse | None) -> None:
        if response is not None:  # None: the request has become a stream
            self._counters.statuses[response.status] += 1
            request.respond(replace(response, headers={**ANY_ORIGIN, **response.headers}))

    def _send_keep_alives(self) -> None:
        for listener in self._databases.listeners():
            listener.keep_alive()


async def _serve(options: argparse.Namespace) -> int:
    shutdown = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, shutdown.set)
    try:
        rules = load_rules(options.rules) if options.rules else None
        server = RtdbServer(options.keep_alive, options.data_file, rules)
        port = await server.start(options.host, options.port)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"The development database cannot start: {error}\n")
        return 1
    host = f"[{options.host}]" if ":" in options.host else options.host
    sys.stdout.write(f"{NAME}: http://{host}:{port}\n")
    sys.stdout.flush()
    if options.port_file is not None:
        write_atomically(options.port_file, f"{port}\n".encode())
    await shutdown.wait()
    await server.stop()
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server until SIGTERM or SIGINT; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m app.dev.rtdb.server", description=NAME)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--port-file", type=Path, help="file to write the port to once it is open")
    parser.add_argument("--data-file", type=Path, help="JSON file to keep the data in")
    parser.add_argument("--rules", type=Path, help="database rules to enforce")
    parser.add_argument(
        "--keep-alive",
        type=float,
        default=KEEP_ALIVE_SECONDS,
        help="seconds between keep-alive events",
    )
    return asyncio.run(_serve(parser.parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())
