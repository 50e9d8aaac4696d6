"""A fake Google: Firebase behind TLS and a token endpoint, both on loopback.

The database is the local one, behind a door that lets in only those who signed in at the token
endpoint. Either can be told to answer anything: `google.database.answers = [Answer(status=302)]`.
"""

import asyncio
import base64
import json
import os
import secrets
import socket
import ssl
import struct
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.event_loop import EventLoopThread
from tests.tls import HOST, Authority

ACCOUNT = "bridge@p.iam.gserviceaccount.com"
SCOPES = {
    "https://www.googleapis.com/auth/firebase",
    "https://www.googleapis.com/auth/userinfo.email",
}
AUDIENCE = "https://oauth2.googleapis.com/token"
PAGE = b"<!DOCTYPE html><html><head><title>Blocked</title></head><body>Web filter</body></html>"
_REASON = {200: "OK", 204: "No Content", 302: "Found", 401: "Unauthorized", 404: "Not Found"}


@dataclass
class Answer:
    """What to answer in place of the truth.

    Conditions: `method`, `contains` (text in path or body); of the requests that match, the first
    `count` get it (None: all).

    Args:
        status: The status, sent with `headers` and `body`.
        pace: Seconds between two header lines.
        commit: The database carries the request out before it is answered so.
        reset: The connection is reset in place of an answer.
        swallow: Nothing is answered at all.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    pace: float = 0.0
    commit: bool = False
    reset: bool = False
    swallow: bool = False
    method: str | None = None
    contains: str | None = None
    count: int | None = None

    @classmethod
    def of(cls, status: int, value: Any, **rest: Any) -> "Answer":
        """Return an answer in JSON, as Google gives it."""
        headers = {"Content-Type": "application/json; charset=utf-8"}
        return cls(status, headers, json.dumps(value).encode(), **rest)

    @classmethod
    def page(cls, status: int, body: bytes = PAGE, **rest: Any) -> "Answer":
        """Return the HTML page of something that stands in between."""
        headers = {"Content-Type": "text/html", **rest.pop("headers", {})}
        return cls(status, headers, body, **rest)


DENIED = {"error": "Permission denied"}
TOKEN_EXPIRED = {"error": "Unauthorized request."}


@dataclass
class Request:
    """A request, as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Execute = Callable[[Request], "Answer | asyncio.Future[Answer]"]


class Host:
    """One TLS server, which counts what comes, and answers the truth or what it is told.

    Args:
        loop: Where it runs.
        context: What it presents itself with.
        truth: Answers a request that no `Answer` is for.
        latency: Seconds that every answer takes.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, context: ssl.SSLContext, truth: Any, latency: float
    ) -> None:
        self._context = context
        self._truth = truth
        self._given: dict[int, int] = {}
        self.latency = latency
        self.answers: list[Answer] = []
        self.swallows_connections = False
        """Whether connections are accepted and never spoken to."""
        self.connections = 0
        self.requests: list[Request] = []
        self.statuses: list[int] = []
        """The status of every answer, in order."""
        self.seconds: list[float] = []
        """How long each request took, whoever ended it."""
        starting = asyncio.start_server(self._serve, "127.0.0.1", 0)
        server = asyncio.run_coroutine_threadsafe(starting, loop).result(10)
        self.port = int(server.sockets[0].getsockname()[1])
        self.url = f"https://{HOST}:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        # Cancelled: the stage is taken down.
        with suppress(OSError, EOFError, asyncio.CancelledError):
            if self.swallows_connections:
                await asyncio.sleep(3600)
            await writer.start_tls(self._context)
            while (request := await _read(reader)) is not None:
                self.requests.append(request)
                began = time.monotonic()
                await asyncio.sleep(self.latency)
                try:
                    if not await self._respond(request, writer):
                        break
                finally:
                    self.seconds.append(time.monotonic() - began)
        writer.close()

    async def _respond(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        """Answer; return whether the connection goes on."""
        told = self._told(request)
        answer = await self._truth(request) if told is None or told.commit else told
        answer = told or answer
        if answer.swallow:
            await asyncio.sleep(3600)
        if answer.reset:
            _reset(writer)
            return False
        self.statuses.append(answer.status)
        headers = {} if answer.status in {204, 304} else {"Content-Length": str(len(answer.body))}
        headers |= answer.headers
        reason = _REASON.get(answer.status, "Status")
        lines = [f"HTTP/1.1 {answer.status} {reason}", *(f"{k}: {v}" for k, v in headers.items())]
        for line in lines:
            writer.write(line.encode("latin-1") + b"\r\n")
            await writer.drain()
            await asyncio.sleep(answer.pace)
        writer.write(b"\r\n" + (b"" if answer.status in {204, 304} else answer.body))
        await writer.drain()
        return True

    def _told(self, request: Request) -> Answer | None:
        for answer in self.answers:
            given = self._given.get(id(answer), 0)
            text = answer.contains is None or answer.contains.encode() in (
                request.target.encode() + request.body
            )
            right_method = answer.method in (None, request.method)
            if text and right_method and (answer.count is None or given < answer.count):
                self._given[id(answer)] = given + 1
                return answer
        return None


class FakeGoogle(EventLoopThread):
    """Both hosts, as a context. `environment` is what a program needs to use them.

    Args:
        folder: Where the key file and the certificate go.
        behind: The port of the local database.
        latency: Seconds that the database's answers take.
        sign_in_latency: Seconds that a sign-in takes.
        uid: The user as whom a client must write; None: an administrator.
    """

    def __init__(
        self,
        folder: Path,
        behind: int,
        latency: float = 0.0,
        sign_in_latency: float = 0.0,
        uid: str | None = "profit-bridge",
    ) -> None:
        super().__init__()
        self._behind = behind
        self._uid = uid
        self._tokens: dict[str, float] = {}
        self._key = rsa.generate_private_key(65537, 2048)
        authority = Authority(folder, "google")
        context = authority.server_context()
        self.token_seconds = 3600
        self.database = Host(self._loop, context, self._pass_on, latency)
        self.sign_in = Host(self._loop, context, self._give_token, sign_in_latency)
        self.key_file = folder / "key.json"
        self.account = {
            "type": "service_account",
            "project_id": "p",
            "private_key_id": "1",
            "private_key": self._key.private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
            ).decode(),
            "client_email": ACCOUNT,
            "token_uri": f"{self.sign_in.url}/token",
        }
        self.key_file.write_text(json.dumps(self.account))
        self.environment = {
            "FIREBASE_DATABASE_URL": self.database.url,
            "GOOGLE_APPLICATION_CREDENTIALS": str(self.key_file),
            "REQUESTS_CA_BUNDLE": str(authority.file),
            "NO_PROXY": HOST,
        }

    def reset(self) -> None:
        """Answer the truth again, and count from nothing."""
        for host in (self.database, self.sign_in):
            host.answers, host.swallows_connections = [], False
            host.requests, host.statuses, host.connections = [], [], 0

    def expire_tokens(self) -> None:
        """Make every token invalid, as if an hour had passed."""
        self._tokens.clear()

    @property
    def sign_ins(self) -> int:
        """How often somebody asked for a token."""
        return len(self.sign_in.requests)

    async def _pass_on(self, request: Request) -> Answer:
        """Carry a request out in the local database, if its sender signed in."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or self._tokens.get(token, 0) < time.time():
            return Answer.of(401, TOKEN_EXPIRED)
        query = parse_qs(urlsplit(request.target).query)
        override = query.get("auth_variable_override", [None])[-1]
        if (json.loads(override)["uid"] if override else None) != self._uid:
            return Answer.of(401, {"error": f"This stage expects the user {self._uid}."})
        reader, writer = await asyncio.open_connection("127.0.0.1", self._behind)
        headers = {**request.headers, "authorization": "Bearer owner", "connection": "close"}
        head = f"{request.method} {request.target} HTTP/1.1\r\n"
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"{head}{lines}\r\n".encode() + request.body)
        head_bytes, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        status, *fields = head_bytes.decode("latin-1").split("\r\n")
        kept = dict(line.split(": ", 1) for line in fields)
        kept.pop("Connection", None)
        kept.pop("Transfer-Encoding", None)
        return Answer(int(status.split()[1]), kept, body)

    async def _give_token(self, request: Request) -> Answer:
        """Check an assertion as Google does, and give a token for it."""
        wrong = self._what_is_wrong(parse_qs(request.body.decode()))
        if wrong:
            return Answer.of(400, {"error": "invalid_grant", "error_description": wrong})
        token = secrets.token_urlsafe(32)
        self._tokens[token] = time.time() + self.token_seconds
        answer = {"access_token": token, "expires_in": self.token_seconds, "token_type": "Bearer"}
        return Answer.of(200, answer)

    def _what_is_wrong(self, form: Mapping[str, list[str]]) -> str:
        if form.get("grant_type") != ["urn:ietf:params:oauth:grant-type:jwt-bearer"]:
            return "Unsupported grant type."
        signed, _, signature = form["assertion"][0].rpartition(".")
        try:
            self._key.public_key().verify(
                _decoded(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256()
            )
        except InvalidSignature:
            return "Invalid JWT Signature."
        claims = json.loads(_decoded(signed.partition(".")[2]))
        now = time.time()
        if not (now - 300 < claims["iat"] < now + 300 and now < claims["exp"] < now + 3900):
            return (
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable "
                "timeframe. Check your iat and exp values in the JWT claim."
            )
        if claims["iss"] != ACCOUNT or claims["aud"] != AUDIENCE:
            return "Invalid grant: account not found"
        return "" if set(claims["scope"].split()) >= SCOPES else "Invalid scope"


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with RST, also one inside TLS."""
    given: socket.socket = writer.get_extra_info("socket")
    twin = socket.socket(fileno=os.dup(given.fileno()))
    twin.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    twin.close()


async def _read(reader: asyncio.StreamReader) -> Request | None:
    """Read a request; None if there is no other one."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    line, *fields = head.strip().split("\r\n")
    method, target, _ = line.split(" ")
    headers = {}
    for each in fields:
        name, _, value = each.partition(":")
        headers[name.lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, target, headers, body)
