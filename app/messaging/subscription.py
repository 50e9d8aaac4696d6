"""Listening on Redis channels, in batches, through every kind of outage."""

import logging
import random
import threading
import time
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import Any

import redis

from app.errors import StopProgram
from app.messaging.bulk_connection import Answers, BulkConnection
from app.messaging.client import fix_for, is_refusal
from app.settings import masked

log = logging.getLogger(__name__)

SILENCE_BEFORE_PING = 5.0
"""Seconds without a message after which Redis is asked whether it is still there."""

PONG_WITHIN = 4.0
"""Seconds after which a connection that has not answered is given up."""

PATIENCE_AT_START = 3.0
"""Seconds for which a Redis that is still starting is waited for."""

MOST_UNREAD = 32 * 1024 * 1024
"""Bytes that are read ahead of who handles them; then it is for Redis to keep what comes."""

_MESSAGES = (b"message", b"pmessage")
_CONFIRMATIONS = (b"subscribe", b"psubscribe")
_SUBSCRIBED_WITHIN = 2.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
_LOOK_AGAIN = 0.01
_TICK = 1.0

Received = tuple[bytes, bytes]
"""The channel of a message, and the message."""


class Subscription:
    """Subscribes to channels and patterns, and does so again after every outage.

    A thread takes in the bytes that come, and does nothing else: Redis cuts off a subscriber that
    is behind by 32 MB, so neither a slow disk nor a burst may keep it from that. They become
    messages when these are asked for: who waits in line as bytes takes half of the memory, and what
    was just read is quick to handle.

    A socket that neither answers nor closes is noticed by a PING of our own: the PING of redis-py
    is only sent, its answer is not missed.

    Args:
        url: the Redis to listen on.
        channels: by name.
        patterns: as PSUBSCRIBE takes them.
    """

    def __init__(self, url: str, channels: Sequence[str], patterns: Sequence[str] = ()) -> None:
        self._url = url
        self._channels = list(channels)
        self._patterns = list(patterns)
        self._wire: BulkConnection | None = None
        self._inbox: SimpleQueue[tuple[BulkConnection, bytes]] = SimpleQueue()
        self._bytes_put = self._bytes_taken = 0
        self._heard = self._pinged = 0.0
        self._refusal: tuple[BulkConnection, redis.RedisError] | None = None
        self._pause = _FIRST_PAUSE
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="subscriber", daemon=True)
        self.subscriptions = 0
        """How often it has subscribed: more than before means that messages may be missing."""

    @property
    def is_subscribed(self) -> bool:
        """Whether it listens, as far as it knows."""
        return self._wire is not None

    def start(self) -> None:
        """Subscribe for the first time, and begin to read.

        Raises:
            StopProgram: Redis cannot be reached, also not after a short wait.
        """
        give_up_at = time.monotonic() + PATIENCE_AT_START
        while True:
            try:
                self._subscribe()
                break
            except (redis.RedisError, OSError) as error:
                if is_refusal(error) or time.monotonic() >= give_up_at:
                    raise StopProgram(
                        f"cannot reach Redis at {masked(self._url)}: {error}: {fix_for(error)}"
                    ) from None
                time.sleep(_FIRST_PAUSE)
        self._thread.start()

    def receive(self, limit: int, timeout: float) -> list[Received]:
        """Wait for a message, then take what else is already there.

        Args:
            limit: after how many messages to stop taking; what was read together stays together.
            timeout: seconds to wait for the first.

        Returns:
            The messages in order; none after `timeout`, while Redis is away, or where what came
            is not a whole message yet.
        """
        batch: list[Received] = []
        try:
            wire, received = self._inbox.get(timeout=timeout)
            while True:
                self._bytes_taken += len(received)
                batch += self._messages(wire, received)
                if len(batch) >= limit:
                    break
                wire, received = self._inbox.get_nowait()
        except Empty:
            pass
        return batch

    def close(self) -> None:
        """Leave all channels; what was read before can still be received."""
        self._closing.set()
        wire = self._wire
        if wire is not None:
            wire.close()
        if self._thread.is_alive():
            self._thread.join(_TICK)

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                if self._wire is None:
                    self._subscribe()
                self._read()
            except (redis.RedisError, OSError, ValueError) as error:
                # ValueError: TLS, where `close` came in the middle of a receive.
                self._lost(error)

    def _read(self) -> None:
        assert self._wire is not None  # noqa: S101 - for the type checker
        if self._refusal is not None and self._refusal[0] is self._wire:
            raise self._refusal[1]
        try:
            self._put(self._wire, self._wire.receive(_TICK))
        except TimeoutError:
            self._check_alive()
            return
        self._heard = time.monotonic()
        while self._bytes_put - self._bytes_taken > MOST_UNREAD and not self._closing.is_set():
            time.sleep(_LOOK_AGAIN)

    def _put(self, wire: BulkConnection, received: bytes) -> None:
        self._bytes_put += len(received)
        self._inbox.put((wire, received))

    def _messages(self, wire: BulkConnection, received: bytes) -> list[Received]:
        """The messages that are whole with these bytes."""
        messages = []
        for answer in wire.read(received):
            if type(answer) is not list or not answer:
                # For the thread that waits for more: closed under it, TLS would raise anything.
                self._refusal = wire, _refusal_in(answer)
            elif answer[0] in _MESSAGES:
                messages.append((answer[-2], answer[-1]))
        return messages

    def _check_alive(self) -> None:
        assert self._wire is not None  # noqa: S101 - for the type checker
        now = time.monotonic()
        if self._pinged > self._heard:
            if now - self._pinged > PONG_WITHIN:
                raise redis.ConnectionError("it does not answer a PING")
        elif now - self._heard > SILENCE_BEFORE_PING:
            self._pinged = now
            self._wire.send(self._wire.pack("PING"))

    def _subscribe(self) -> None:
        wire = BulkConnection(self._url)
        try:
            for command, names in (("SUBSCRIBE", self._channels), ("PSUBSCRIBE", self._patterns)):
                if names:
                    wire.send(wire.pack(command, *names))
            awaited = len(self._channels) + len(self._patterns)
            # Read here only to be counted: what comes on one channel before the next is confirmed
            # is for whoever asks for messages.
            confirmed = Answers()
            while awaited > 0:
                received = wire.receive(_SUBSCRIBED_WITHIN)
                for answer in confirmed.read(received):
                    if type(answer) is not list or not answer:
                        raise _refusal_in(answer)
                    awaited -= answer[0] in _CONFIRMATIONS
                self._put(wire, received)
        except BaseException:
            wire.close()
            raise
        self._wire = wire
        self._heard = time.monotonic()
        self._pause = _FIRST_PAUSE
        self.subscriptions += 1
        log.info("subscribed redis=%s times=%d", masked(self._url), self.subscriptions)

    def _lost(self, error: Exception) -> None:
        if self._closing.is_set():
            return
        if self._wire is not None:
            log.warning("redis_lost redis=%s reason=%s", masked(self._url), error)
            self._wire.close()
            self._wire = None
        self._closing.wait(self._pause * random.uniform(0.5, 1))  # noqa: S311
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)


def _refusal_in(answer: Any) -> redis.RedisError:
    """The error in an answer that is none to a subscription."""
    if isinstance(answer, redis.RedisError):
        return answer
    return redis.InvalidResponse(f"it says {answer!r:.80}")
