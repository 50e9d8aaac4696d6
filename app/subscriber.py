"""Listening on Redis channels, in batches, through every kind of outage."""

import logging
import random
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import redis

from app.errors import StopProgram
from app.redis_client import bare_connection
from app.settings import masked

log = logging.getLogger(__name__)

SILENCE_BEFORE_PING = 5.0
"""Seconds without a message after which Redis is asked whether it is still there."""

PONG_WITHIN = 4.0
"""Seconds after which a connection that has not answered is given up."""

PATIENCE_AT_START = 3.0
"""Seconds for which a Redis that is still starting is waited for."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0


class Received(NamedTuple):
    """A message, and the channel it came on."""

    channel: str
    message: bytes


class Subscriber:
    """Subscribes to channels and patterns, and does so again after every outage.

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
        self._connection: Any = None
        self._early: list[Received] = []
        self._heard = self._pinged = 0.0
        self._pause = _FIRST_PAUSE
        self._try_at = 0.0
        self.subscriptions = 0
        """How often it has subscribed: more than before means that messages may be missing."""

    def start(self) -> None:
        """Subscribe for the first time.

        Raises:
            StopProgram: Redis cannot be reached, also not after a short wait.
        """
        give_up_at = time.monotonic() + PATIENCE_AT_START
        while True:
            try:
                self._subscribe()
            except (redis.RedisError, OSError) as error:
                if isinstance(error, redis.AuthenticationError) or time.monotonic() >= give_up_at:
                    raise StopProgram(
                        f"cannot reach Redis at {masked(self._url)}: {error}: "
                        "start it, or correct REDIS_URL"
                    ) from None
                time.sleep(_FIRST_PAUSE)
            else:
                return

    def close(self) -> None:
        """Leave all channels."""
        if self._connection is not None:
            self._connection.disconnect()
            self._connection = None

    def receive(self, limit: int, timeout: float) -> list[Received]:
        """Wait for a message, then take what else is already there.

        Args:
            limit: how many messages at the most.
            timeout: seconds to wait for the first.

        Returns:
            The messages in order; none after `timeout`, or while Redis is away.
        """
        if self._connection is None and not self._reconnected(timeout):
            return []
        batch, self._early = self._early, []
        try:
            self._read(batch, limit, 0 if batch else timeout)
            self._check_alive()
        except (redis.RedisError, OSError) as error:
            self._lost(error)
        return batch

    def _read(self, batch: list[Received], limit: int, timeout: float) -> None:
        connection = self._connection
        wait = timeout
        while len(batch) < limit and connection.can_read(timeout=wait):
            self._take(connection.read_response(), batch)
            wait = 0
        if wait != timeout or batch:
            self._heard = time.monotonic()

    @staticmethod
    def _take(response: list[bytes], batch: list[Received]) -> bytes:
        kind = response[0]
        if kind == b"message":
            batch.append(Received(response[1].decode(errors="replace"), response[2]))
        elif kind == b"pmessage":
            batch.append(Received(response[2].decode(errors="replace"), response[3]))
        return kind

    def _check_alive(self) -> None:
        now = time.monotonic()
        if self._pinged > self._heard:
            if now - self._pinged > PONG_WITHIN:
                raise redis.ConnectionError("it does not answer a PING")
        elif now - self._heard > SILENCE_BEFORE_PING:
            self._pinged = now
            self._connection.send_command("PING", check_health=False)

    def _subscribe(self) -> None:
        connection = bare_connection(self._url)
        connection.connect()
        try:
            for command, names in (("SUBSCRIBE", self._channels), ("PSUBSCRIBE", self._patterns)):
                if names:
                    connection.send_command(command, *names)
            awaited = len(self._channels) + len(self._patterns)
            while awaited:
                # What comes on one channel before the next is confirmed is kept.
                kind = self._take(connection.read_response(), self._early)
                awaited -= kind in {b"subscribe", b"psubscribe"}
        except BaseException:
            connection.disconnect()
            raise
        self._connection = connection
        self._heard = time.monotonic()
        self._pause = _FIRST_PAUSE
        self.subscriptions += 1
        log.info("subscribed redis=%s times=%d", masked(self._url), self.subscriptions)

    def _reconnected(self, timeout: float) -> bool:
        wait = self._try_at - time.monotonic()
        if wait > 0:
            time.sleep(min(wait, timeout))
            return False
        try:
            self._subscribe()
        except (redis.RedisError, OSError) as error:
            self._lost(error)
            return False
        return True

    def _lost(self, error: Exception) -> None:
        if self._connection is not None:
            log.warning("redis_lost redis=%s reason=%s", masked(self._url), error)
        self.close()
        self._try_at = time.monotonic() + self._pause * random.uniform(0.5, 1)  # noqa: S311
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
