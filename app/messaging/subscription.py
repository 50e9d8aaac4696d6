"""Listening on Redis channels, in batches, through every kind of outage."""

import threading
import time
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import Any

import redis
import structlog

from app.errors import StopProgram
from app.messaging.answers import meaning_of
from app.messaging.bulk_connection import BulkConnection, ReplyReader, pack
from app.messaging.client import fix_for, is_refusal
from app.timing import Backoff
from app.urls import masked

log = structlog.stdlib.get_logger(__name__)

SILENCE_BEFORE_PING = 5.0
"""Seconds without a message after which Redis has to answer a PING."""

PONG_WITHIN = 4.0
"""Seconds after a PING without an answer after which the connection is given up."""

PATIENCE_AT_START = 3.0
"""Seconds to wait for a Redis that is still starting."""

MAX_UNREAD = 32 * 1024 * 1024
"""Bytes that may wait here to be handled. Beyond that, Redis has to keep what it sends."""

_MESSAGES = (b"message", b"pmessage")
_CONFIRMATIONS = (b"subscribe", b"psubscribe")
_CONFIRMED_WITHIN = 2.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
_POLL_SECONDS = 0.01
_TICK = 1.0

Received = tuple[bytes, bytes]
"""The channel of a message, and the message."""


class Subscription:
    """Subscribes to channels and patterns, and does so again after every outage.

    A thread reads bytes and does nothing else. Redis disconnects a subscriber that is 32 MB
    behind, so neither a slow disk nor a burst may keep the thread from reading. `receive` makes
    messages of the bytes: waiting as bytes takes half of the memory, and a message that was parsed
    just now is quicker to handle.

    A connection that is neither alive nor closed is noticed by a PING of our own. redis-py's health
    check only sends one, and does not miss the answer.

    Args:
        url: The Redis to listen on.
        channels: Channels by name.
        patterns: Channels by pattern, as PSUBSCRIBE takes it.
    """

    def __init__(self, url: str, channels: Sequence[str], patterns: Sequence[str] = ()) -> None:
        self._url = url
        self._channels = list(channels)
        self._patterns = list(patterns)
        self._connection: BulkConnection | None = None
        self._inbox: SimpleQueue[tuple[BulkConnection, bytes]] = SimpleQueue()
        self._bytes_put = self._bytes_taken = 0
        self._last_received = self._last_ping = 0.0
        self._failure: tuple[BulkConnection, redis.RedisError] | None = None
        self._backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="subscription", daemon=True)
        self.subscriptions = 0
        """How often it has subscribed. After each but the first, messages may be missing."""

    @property
    def is_subscribed(self) -> bool:
        """Whether it is listening, as far as it knows."""
        return self._connection is not None

    def start(self) -> None:
        """Subscribe for the first time, and start reading.

        Raises:
            StopProgram: Redis cannot be reached, even after a short wait.
        """
        deadline = time.monotonic() + PATIENCE_AT_START
        while True:
            try:
                self._subscribe()
                break
            except (redis.RedisError, OSError) as error:
                if is_refusal(error) or time.monotonic() >= deadline:
                    raise StopProgram(
                        f"cannot reach Redis at {masked(self._url)}: {error}: {fix_for(error)}"
                    ) from None
                time.sleep(_FIRST_PAUSE)
        self._thread.start()

    def receive(self, limit: int, timeout: float) -> list[Received]:
        """Wait for a message, then take what else has arrived.

        Args:
            limit: Number of messages at which to stop. What was read together stays together, so
                there may be a few more.
            timeout: Seconds to wait for the first message.

        Returns:
            The messages in order; none after `timeout`, during an outage, or if only a part of a
            message has arrived.
        """
        batch: list[Received] = []
        try:
            connection, received = self._inbox.get(timeout=timeout)
            while True:
                self._bytes_taken += len(received)
                batch += self._messages(connection, received)
                if len(batch) >= limit:
                    break
                connection, received = self._inbox.get_nowait()
        except Empty:
            pass
        return batch

    def close(self) -> None:
        """Leave all channels. Messages that were read before can still be received."""
        self._closing.set()
        connection = self._connection
        if connection is not None:
            connection.close()
        if self._thread.is_alive():
            self._thread.join(_TICK)

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                if self._connection is None:
                    self._subscribe()
                else:
                    self._read(self._connection)
            except (redis.RedisError, OSError, ValueError) as error:
                # ValueError comes from TLS when `close` interrupts a receive.
                self._reconnect_later(error)

    def _read(self, connection: BulkConnection) -> None:
        if self._failure is not None and self._failure[0] is connection:
            raise self._failure[1]
        try:
            self._put(connection, connection.receive(_TICK))
        except TimeoutError:
            self._check_alive(connection)
            return
        self._last_received = time.monotonic()
        while self._bytes_put - self._bytes_taken > MAX_UNREAD and not self._closing.is_set():
            time.sleep(_POLL_SECONDS)

    def _put(self, connection: BulkConnection, received: bytes) -> None:
        self._bytes_put += len(received)
        self._inbox.put((connection, received))

    def _messages(self, connection: BulkConnection, received: bytes) -> list[Received]:
        """Return the messages that are complete with these bytes."""
        messages = []
        for reply in connection.read(received):
            if _is_sign_of_life(reply):
                continue
            if type(reply) is not list or not reply:
                # Left to the reading thread: TLS breaks if it is closed while another one reads.
                self._failure = connection, _failure_in(reply)
            elif reply[0] in _MESSAGES:
                messages.append((reply[-2], reply[-1]))
        return messages

    def _check_alive(self, connection: BulkConnection) -> None:
        now = time.monotonic()
        if self._last_ping > self._last_received:
            if now - self._last_ping > PONG_WITHIN:
                raise redis.ConnectionError("it does not answer a PING")
        elif now - self._last_received > SILENCE_BEFORE_PING:
            self._last_ping = now
            connection.send([pack(("PING",))])

    def _subscribe(self) -> None:
        connection = BulkConnection(self._url)
        try:
            for command, names in (("SUBSCRIBE", self._channels), ("PSUBSCRIBE", self._patterns)):
                if names:
                    connection.send([pack((command, *names))])
            missing = len(self._channels) + len(self._patterns)
            # Only counts confirmations. Messages may arrive on one channel before the next one is
            # confirmed, so `receive` gets the same bytes.
            confirmations = ReplyReader()
            while missing > 0:
                received = connection.receive(_CONFIRMED_WITHIN)
                for reply in confirmations.read(received):
                    if type(reply) is not list or not reply:
                        raise _failure_in(reply)
                    missing -= reply[0] in _CONFIRMATIONS
                self._put(connection, received)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        self._last_received = time.monotonic()
        self._backoff.reset()
        self.subscriptions += 1
        log.info("subscribed", redis=masked(self._url), times=self.subscriptions)

    def _reconnect_later(self, error: Exception) -> None:
        if self._closing.is_set():
            return
        if self._connection is not None:
            log.warning("redis_lost", redis=masked(self._url), reason=error)
            self._connection.close()
            self._connection = None
        self._closing.wait(self._backoff.next_pause())


def _is_sign_of_life(reply: Any) -> bool:
    """Return whether it is an error that a PING gets from a Redis that still delivers messages."""
    if not isinstance(reply, redis.ResponseError):
        return False
    answer = meaning_of(reply)
    return answer is not None and answer.waiting_helps and not answer.wrong_server


def _failure_in(reply: Any) -> redis.RedisError:
    """Return the error that a reply is, or stands for."""
    if isinstance(reply, redis.RedisError):
        return reply
    return redis.InvalidResponse(f"it sent {reply!r:.80}")
