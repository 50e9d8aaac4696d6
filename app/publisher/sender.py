"""Store and forward: messages go out within a bound of time, or reports into the spool."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from enum import Enum
from typing import Any

import redis

from .connection import SOCKET_TIMEOUT, PublisherConnection
from .errors import NotPublished
from .spool import Spool

log = logging.getLogger(__name__)

PROFIT_REPORT = "PROFIT_REPORT"
JOURNAL = "profit-bridge:journal"
"""The stream that keeps reports until the bridge has counted them."""

_BATCH = 100
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0


class Published(int):
    """What became of a message. As an int: how many listeners received it on its channel.

    Attributes:
        spooled: Redis could not take this report, so nobody has received it yet. It is on the bot's
            disk and will be sent; publishing it again is not needed, and harmless.
    """

    spooled: bool

    def __new__(cls, listeners: int, *, spooled: bool = False) -> Published:
        published = super().__new__(cls, listeners)
        published.spooled = spooled
        return published


_SPOOLED = Published(0, spooled=True)


class _Redis(Enum):
    """What a sender knows about Redis."""

    UNKNOWN = "not asked yet, or the connection was closed: the background thread finds out"
    OPEN = "it answers, and nothing is spooled"
    CATCHING_UP = "it answers; spooled reports go first"
    AWAY = "it does not answer"


class Sender:
    """Sends messages to Redis within a bound of time, and spools reports that it cannot send.

    A background thread does all connecting and sends what is spooled, so that a caller never waits
    for either beyond its deadline. It runs only while the state is not OPEN.

    `_line` is held while the connection is used, `_changed` while the state or the spool is. To
    hold both, take `_line` first.

    Args:
        connection: not connected yet.
        place: the Redis in error texts, without a password.
        spool: for reports that Redis cannot take.
        prefix: what all names on Redis begin with.
        journal_length: entries that the journal keeps, about.
        timeout: seconds that `close` may take.
    """

    def __init__(
        self,
        connection: PublisherConnection,
        place: str,
        spool: Spool,
        prefix: str,
        journal_length: int,
        timeout: float,
    ) -> None:
        self._connection = connection
        self._place = place
        self._spool = spool
        self._channel, self._journal = prefix + PROFIT_REPORT, prefix + JOURNAL
        self._journal_length = journal_length
        self._timeout = timeout
        self._line = threading.Lock()
        self._changed = threading.Condition()
        self._state = _Redis.UNKNOWN
        self._reason = ""
        self._background: threading.Thread | None = None
        self._closed = threading.Event()

    def take_over_leftovers(self) -> None:
        """Start to send what processes that have ended left in the spool."""
        with self._changed:
            count = self._spool.take_over()
            if count:
                log.info("spool_taken_over reports=%d", count)
                self._start_background()

    def send_report(self, message: bytes, deadline: float) -> Published:
        """Journal and publish a report, or spool it until that is possible.

        Raises:
            NotPublished: neither was possible.
        """
        try:
            replies = self._send(self._transaction([message]), deadline, is_report=True)
            return Published(replies[-1])
        except NotPublished as error:
            not_sent = error
        with self._changed:
            try:
                self._spool.append(message)
            except NotPublished as not_spooled:
                raise NotPublished(f"{not_sent}; {not_spooled}") from None
            finally:
                if self._state is _Redis.OPEN:
                    self._state = _Redis.CATCHING_UP
                self._start_background()
        return _SPOOLED

    def send_other(self, channel: str, message: bytes, deadline: float) -> Published:
        """Publish a message that is not worth spooling.

        Raises:
            NotPublished: Redis did not take it, or it is unknown whether it did.
        """
        return Published(self._send([("PUBLISH", channel, message)], deadline, is_report=False))

    def close(self) -> None:
        """End the background thread; if Redis answers, the spool has `timeout` seconds to empty."""
        deadline = time.monotonic() + self._timeout
        with self._changed:
            self._changed.wait_for(
                lambda: self._background is None or self._state is _Redis.AWAY, self._timeout
            )
            self._closed.set()
            background = self._background
        if background is not None:
            background.join(max(0.0, deadline - time.monotonic()))
        # If the thread is stuck in an exchange, it disconnects as soon as that ends.
        if self._line.acquire(timeout=max(0.0, deadline - time.monotonic())):
            self._connection.disconnect()
            self._line.release()
        with self._changed:
            if len(self._spool):
                log.warning("reports_left_in_spool reports=%d", len(self._spool))
            self._spool.close()

    def leave_to_parent(self) -> None:
        """After a fork, close the child's copies of what the parent owns; no lock is reliable."""
        self._connection.disconnect()
        self._spool.close()

    def _send(self, commands: Sequence[Sequence[Any]], deadline: float, *, is_report: bool) -> Any:
        """Send commands, and return the reply to the last."""
        packed = self._connection.pack(commands)
        was_lost = False
        while True:
            self._wait_until_usable(deadline, is_report)
            if not self._line.acquire(timeout=max(0.0, deadline - time.monotonic())):
                reason = f"no answer within {self._timeout} s"
                self._set_lost(_Redis.AWAY, reason)
                raise self._not_published(reason)
            try:
                if self._connection.is_connected:
                    return self._connection.exchange(packed, len(commands), deadline)
                self._set_lost(_Redis.UNKNOWN, "the connection was closed")
            except redis.ResponseError as error:
                raise self._not_published(error) from None
            except redis.TimeoutError as error:
                self._set_lost(_Redis.AWAY, error)
                raise self._not_published(error) from None
            except (redis.RedisError, OSError) as error:
                # A Redis that restarted looks like this too: connect once more.
                self._set_lost(_Redis.AWAY if was_lost else _Redis.UNKNOWN, error)
                was_lost = True
            finally:
                self._line.release()

    def _wait_until_usable(self, deadline: float, is_report: bool) -> None:
        if self._state is _Redis.OPEN:
            return
        with self._changed:
            self._start_background()
            if not self._changed.wait_for(
                lambda: self._state is not _Redis.UNKNOWN, max(0.0, deadline - time.monotonic())
            ):
                reason = f"no connection within {self._timeout} s"
                self._set_lost(_Redis.AWAY, reason)
                raise self._not_published(reason)
            if self._state is _Redis.AWAY:
                raise self._not_published(self._reason)
            if self._state is _Redis.CATCHING_UP and is_report:
                raise self._not_published("older reports go first")

    def _transaction(self, messages: Sequence[bytes]) -> list[tuple[Any, ...]]:
        """Return the commands that journal and publish reports, all of them or none."""
        commands: list[tuple[Any, ...]] = [("MULTI",)]
        for message in messages:
            at_most = ("MAXLEN", "~", self._journal_length)
            commands.append(("XADD", self._journal, *at_most, "*", "message", message))
            commands.append(("PUBLISH", self._channel, message))
        commands.append(("EXEC",))
        return commands

    def _set_lost(self, state: _Redis, reason: object) -> None:
        """Note that Redis did not answer; the background thread finds out when it does again."""
        with self._changed:
            self._reason = str(reason)
            if state is _Redis.AWAY and self._state is not _Redis.AWAY:
                log.warning("redis_away reason=%s", self._not_published(reason))
            if self._state is not _Redis.AWAY:
                self._state = state
            self._start_background()
            self._changed.notify_all()

    def _not_published(self, reason: object) -> NotPublished:
        return NotPublished(f"cannot use Redis at {self._place}: {reason}")

    def _start_background(self) -> None:
        """Start the background thread unless it runs; `_changed` is held."""
        if self._background is None and not self._closed.is_set():
            self._background = threading.Thread(
                target=self._run_background, name="publisher", daemon=True
            )
            self._background.start()

    def _run_background(self) -> None:
        """Connect and send what is spooled, again and again until nothing is left."""
        pause = _FIRST_PAUSE
        try:
            while not self._closed.is_set():
                try:
                    self._catch_up()
                except redis.ResponseError as error:
                    # Other messages go through; the reports go on waiting.
                    log.warning("spool_refused reason=%s", self._not_published(error))
                except (redis.RedisError, OSError) as error:
                    self._set_lost(_Redis.AWAY, error)
                else:
                    return
                self._closed.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
        finally:
            with self._changed:
                if self._background is threading.current_thread():
                    self._background = None
                self._changed.notify_all()
            if self._closed.is_set():
                with self._line:
                    self._connection.disconnect()

    def _catch_up(self) -> None:
        """Connect and send what is spooled; return in state OPEN, or when closed."""
        sent = 0
        while True:
            with self._line:
                if not self._connection.is_connected:
                    self._connection.connect()
            with self._changed:
                if self._closed.is_set():
                    return
                batch = self._spool.oldest(_BATCH)
                if batch:
                    self._state = _Redis.CATCHING_UP
                elif self._connection.is_connected:
                    self._state = _Redis.OPEN
                    self._background = None
                self._changed.notify_all()
                if self._state is _Redis.OPEN:
                    break
            if batch:
                self._send_batch(batch)
                sent += len(batch)
        if sent:
            log.info("spool_sent reports=%d", sent)

    def _send_batch(self, batch: Sequence[bytes]) -> None:
        commands = self._transaction(batch)
        packed = self._connection.pack(commands)
        with self._line:
            self._connection.exchange(packed, len(commands), time.monotonic() + SOCKET_TIMEOUT)
        with self._changed:
            # Once closed, the spool has released its files: the next publisher sends this again.
            if not self._closed.is_set():
                self._spool.drop(len(batch))
