"""A headless Chromium for tests, spoken to over the DevTools protocol by tornado's websocket."""

import asyncio
import base64
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from app.dev.processes import Process, wait_until

PATIENCE = 20.0
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_OPTIONS = (
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--lang=en-US",
    "--remote-debugging-port=0",
)


@contextmanager
def chromium(folder: Path) -> Iterator["Browser"]:
    """A browser with a profile of its own in `folder`; the test is skipped where there is none."""
    program = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        pytest.skip("needs a browser: install chromium, or say in CHROMIUM where one is")
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    options = [*_OPTIONS, *as_root, f"--user-data-dir={folder}", "about:blank"]
    command, log = [program, *options], folder / "chromium.log"
    process = Process("chromium", command, log, ends_with_us=True)
    try:
        at = folder / "DevToolsActivePort"
        wait_until(lambda: at.exists() and at.read_text().count("\n") > 0, PATIENCE, "browser")
        port, path = at.read_text().split()
        with asyncio.Runner() as runner:
            yield Browser(runner, f"ws://127.0.0.1:{port}{path}")
    finally:
        process.end(within=0)


class Browser:
    """One browser; its events are read while it is asked something."""

    def __init__(self, runner: asyncio.Runner, url: str) -> None:
        self._runner = runner
        self._socket: WebSocketClientConnection = runner.run(self._connect(url))
        self._asked = 0
        self._pages: dict[str, Page] = {}

    async def _connect(self, url: str) -> WebSocketClientConnection:
        return await websocket_connect(url, max_message_size=100_000_000)

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Give one command and wait for what it answers."""
        waiting = asyncio.wait_for(self._call(method, session, parameters), PATIENCE)
        return self._runner.run(_awaited(waiting))

    async def _call(
        self, method: str, session: str | None, parameters: dict[str, Any]
    ) -> dict[str, Any]:
        self._asked += 1
        command = {"id": self._asked, "method": method, "params": parameters}
        await self._socket.write_message(
            json.dumps(command | ({"sessionId": session} if session else {}))
        )
        while (raw := await self._socket.read_message()) is not None:
            message = json.loads(raw)
            if message.get("id") == self._asked:
                assert "error" not in message, message
                answer: dict[str, Any] = message["result"]
                return answer
            if message.get("sessionId") in self._pages:
                self._pages[message["sessionId"]].take(message["method"], message["params"])
        raise AssertionError("the browser has gone")

    def open(self, url: str, width: int = 1280, height: int = 900, **media: str) -> "Page":
        """A page in a window of its own; `media` are features like `prefers_color_scheme`."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)
        attached = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        page = self._pages[attached["sessionId"]] = Page(self, attached["sessionId"], context)
        for domain in ("Page", "Runtime", "Network", "Log"):
            page.call(f"{domain}.enable")
        page.size(width, height)
        features = [{"name": k.replace("_", "-"), "value": v} for k, v in media.items()]
        page.call("Emulation.setEmulatedMedia", features=features)
        page.call("Page.navigate", url=url)
        page.until("location.href !== 'about:blank' && document.readyState === 'complete'")
        return page


async def _awaited(waiting: Any) -> Any:
    return await waiting


class Page:
    """One page, with the address of each request it made and each error it met."""

    def __init__(self, browser: Browser, session: str, context: str) -> None:
        self._browser = browser
        self._session = session
        self._context = context
        self.requests: list[str] = []
        self.errors: list[str] = []

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **parameters)

    def take(self, method: str, event: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(event["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(event["exceptionDetails"]))
        elif method == "Log.entryAdded" and event["entry"]["source"] == "security":
            self.errors.append(event["entry"]["text"])

    def size(self, width: int, height: int) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )

    def value(self, expression: str) -> Any:
        """What JavaScript makes of it, promises awaited."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, expression: str) -> Any:
        """The first value of it that is true."""
        deadline = time.monotonic() + PATIENCE
        while not (value := self.value(expression)):
            text = self.value("document.body?.innerText")
            assert time.monotonic() < deadline, f"not {expression} in: {text}"
            time.sleep(0.01)
        return value

    def close(self) -> None:
        self._browser.call("Target.disposeBrowserContext", browserContextId=self._context)

    def picture(self, path: Path) -> None:
        """What is to be seen, as PNG."""
        answer = self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(answer["data"]))
