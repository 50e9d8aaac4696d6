"""Bringing messages to Redis within a bound of time, and keeping reports that cannot be brought."""

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from enum import Enum
from typing import Any

import redis

from app.channels import PROFIT_REPORT
from app.errors import RetryLater
from app.messaging import SOCKET_TIMEOUT, append, bare_connection
from app.publisher.spool import Spool
from app.settings import masked

log = logging.getLogger(__name__)

_BATCH = 100
_REPLIES = 4
"""To MULTI, XADD, PUBLISH and EXEC."""

_PLACE = b"<the message>"
_SMALL = 4096
"""Bytes that a connection takes at once, also if nobody reads at its other end."""

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0


class Published(int):
    """What became of a message. As an int: how many listeners it has had on its channel.

    Attributes:
        spooled: Redis could not take this report, so it has had no listener. It is on the bot's
            disk and will be sent; to publish it again is not needed, and harmless.
    """

    spooled: bool

    def __new__(cls, listeners: int, *, spooled: bool = False) -> "Published":
        published = super().__new__(cls, listeners)
        published.spooled = spooled
        return published


_SPOOLED = Published(0, spooled=True)


class _Redis(Enum):
    """What a publisher knows about Redis."""

    UNKNOWN = "nobody has asked yet, or the connection was closed: finding out"
    OPEN = "it answers, and nothing is spooled"
    CATCHING_UP = "it answers; what is spooled goes first"
    AWAY = "it does not answer"


class Sender:
    """Brings messages to Redis within a bound, and keeps the reports that it cannot bring.

    A thread in the background does all connecting, and sends what is spooled, so that no caller
    waits longer than his bound for either. It is there only while the state is not OPEN.

    `_line` is held while the connection is used, `_changed` while state or spool are; who wants
    both takes `_line` first.
    """

    def __init__(
        self, client: redis.Redis, url: str, spool: Spool, journal_length: int, timeout: float
    ) -> None:
        self._client = client
        self._url = url
        self._spool = spool
        self._journal_length = journal_length
        self._timeout = timeout
        self._connection = bare_connection(url)
        self._report = self._form_of_a_report()
        self._line = threading.Lock()
        self._changed = threading.Condition()
        self._state = _Redis.UNKNOWN
        self._reason = ""
        self._background: threading.Thread | None = None
        self._closed = threading.Event()

    def take_over_leftovers(self) -> None:
        """Begin to send what ended processes have left."""
        with self._changed:
            count = self._spool.adopt()
            if count:
                log.info("spool_taken_over reports=%d", count)
                self._start_background()

    def send_or_keep(self, message: bytes, deadline: float) -> Published:
        """Send a report, or keep it until it can be sent.

        Raises:
            RetryLater: neither was possible.
        """
        packed = (b"$%d\r\n%s\r\n" % (len(message), message)).join(self._report)
        try:
            return Published(self._send([packed], _REPLIES, deadline, is_report=True)[-1])
        except RetryLater as error:
            reason = error
        with self._changed:
            try:
                self._spool.append(message)
            except RetryLater as error:
                raise RetryLater(f"{reason}; {error}") from None
            finally:
                if self._state is _Redis.OPEN:
                    self._state = _Redis.CATCHING_UP
                self._start_background()
        return _SPOOLED

    def send_or_fail(self, channel: str, message: bytes, deadline: float) -> Published:
        """Send any other message.

        Raises:
            RetryLater: Redis has not taken it, or it is not known whether it has.
        """
        packed = self._connection.pack_command("PUBLISH", channel, message)
        return Published(self._send(packed, 1, deadline, is_report=False))

    def _send(
        self, packed: Sequence[bytes], replies: int, deadline: float, *, is_report: bool
    ) -> Any:
        was_lost = False
        while True:
            self._wait_for_connection(deadline, is_report)
            if not self._line.acquire(timeout=max(0.0, deadline - time.monotonic())):
                raise self._lost(_Redis.AWAY, f"no answer within {self._timeout} s")
            try:
                if self._connection.is_connected:
                    return self._exchange(packed, replies, deadline)
                self._lost(_Redis.UNKNOWN, "the connection was closed")
            except redis.ResponseError as error:
                raise self._unusable(error) from None
            except redis.TimeoutError as error:
                raise self._lost(_Redis.AWAY, error) from None
            except (redis.RedisError, OSError) as error:
                # A Redis that was restarted looks like this too: connect once more.
                self._lost(_Redis.AWAY if was_lost else _Redis.UNKNOWN, error)
                was_lost = True
            finally:
                self._line.release()

    def _wait_for_connection(self, deadline: float, is_report: bool) -> None:
        if self._state is _Redis.OPEN:
            return
        with self._changed:
            self._start_background()
            if not self._changed.wait_for(
                lambda: self._state is not _Redis.UNKNOWN, max(0.0, deadline - time.monotonic())
            ):
                raise self._lost(_Redis.AWAY, f"no connection within {self._timeout} s")
            if self._state is _Redis.AWAY:
                raise self._unusable(self._reason)
            if self._state is _Redis.CATCHING_UP and is_report:
                raise self._unusable("older reports go first")

    def _exchange(self, packed: Sequence[bytes], replies: int, deadline: float) -> Any:
        """Send, and take so many replies; the last of them. `_line` is held.

        Raises:
            redis.ResponseError: Redis refuses; the connection can be used further.
            redis.RedisError, OSError: the connection is closed.
        """
        connection = self._connection
        refusal: redis.ResponseError | None = None
        reply: Any = None
        try:
            if len(packed) > 1 or len(packed[0]) > _SMALL:
                connection.update_current_socket_timeout(max(0.001, deadline - time.monotonic()))
            connection.send_packed_command(packed, check_health=False)
            for _ in range(replies):
                left = max(0.001, deadline - time.monotonic())
                try:
                    reply = connection.read_response(timeout=left)
                except redis.ResponseError as error:
                    refusal = refusal or error
        except BaseException:
            # Also an exception of a signal handler: the rest of the answer must not be read as
            # the answer to something else.
            connection.disconnect()
            raise
        if refusal is None and isinstance(reply, list):
            refusal = next((part for part in reply if isinstance(part, redis.ResponseError)), None)
        if refusal is not None:
            raise refusal
        return reply

    def _transaction(self, messages: Sequence[bytes]) -> list[Any]:
        """The commands that journal and publish reports, all of them or none."""
        pipeline = self._client.pipeline()
        for message in messages:
            append(pipeline, message, self._journal_length)
            pipeline.publish(PROFIT_REPORT, message)
        return [("MULTI",), *(words for words, _ in pipeline.command_stack), ("EXEC",)]

    def _form_of_a_report(self) -> list[bytes]:
        """The transaction of one report, split where the message is: packed once for all."""
        packed = self._connection.pack_commands(self._transaction([_PLACE]))
        return b"".join(packed).split(b"$%d\r\n%s\r\n" % (len(_PLACE), _PLACE))

    def _lost(self, state: _Redis, error: object) -> RetryLater:
        """Redis has not answered; the background finds out when it does again."""
        with self._changed:
            self._reason = str(error)
            if state is _Redis.AWAY and self._state is not _Redis.AWAY:
                log.warning("redis_away reason=%s", self._unusable(error))
            if self._state is not _Redis.AWAY:
                self._state = state
            self._start_background()
            self._changed.notify_all()
        return self._unusable(error)

    def _unusable(self, error: object) -> RetryLater:
        return RetryLater(f"cannot use Redis at {masked(self._url)}: {error}")

    def _start_background(self) -> None:
        """`_changed` is held."""
        if self._background is None and not self._closed.is_set():
            self._background = threading.Thread(
                target=self._find_redis, name="publisher", daemon=True
            )
            self._background.start()

    def _find_redis(self) -> None:
        """Connect and send what is spooled, again and again until nothing is."""
        pause = _FIRST_PAUSE
        try:
            while not self._closed.is_set():
                try:
                    self._catch_up()
                except redis.ResponseError as error:
                    # It answers others; the reports go on waiting.
                    log.warning("spool_refused reason=%s", self._unusable(error))
                except (redis.RedisError, OSError) as error:
                    self._lost(_Redis.AWAY, error)
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
        """Return with state OPEN, or when closed."""
        sent = 0
        while True:
            self._connect()
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
                commands = self._transaction(batch)
                packed = self._connection.pack_commands(commands)
                with self._line:
                    self._exchange(packed, len(commands), time.monotonic() + SOCKET_TIMEOUT)
                with self._changed:
                    if self._closed.is_set():
                        return
                    self._spool.drop(len(batch))
                sent += len(batch)
        if sent:
            log.info("spool_sent reports=%d", sent)

    def _connect(self) -> None:
        with self._line:
            if not self._connection.is_connected:
                self._connection.connect()
                # A half-open Redis accepts connections.
                with suppress(redis.ResponseError):
                    ping = self._connection.pack_command("PING")
                    self._exchange(ping, 1, time.monotonic() + SOCKET_TIMEOUT)

    def close(self) -> None:
        """End the background; what is spooled gets `timeout` seconds if Redis answers."""
        deadline = time.monotonic() + self._timeout
        with self._changed:
            self._changed.wait_for(
                lambda: self._background is None or self._state is _Redis.AWAY, self._timeout
            )
            self._closed.set()
            background = self._background
        if background is not None:
            background.join(max(0.0, deadline - time.monotonic()))
        # If it hangs in the middle of something it ends, and disconnects, as soon as that does.
        if self._line.acquire(timeout=max(0.0, deadline - time.monotonic())):
            self._connection.disconnect()
            self._line.release()
        with self._changed:
            if len(self._spool):
                log.warning("reports_left_in_spool reports=%d", len(self._spool))
            self._spool.close()

    def leave_to_parent(self) -> None:
        """Close this process's copies of what belongs to the parent; no lock can be relied on."""
        self._connection.disconnect()
        self._spool.close()
