"""What a bot imports to publish: `from app.publisher import RedisPublisher`."""

import json
import os
import time
import weakref
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import redis

from app.channels import PROFIT_REPORT
from app.messaging import connect, journal_name
from app.publisher.sender import Published, Sender
from app.publisher.spool import Spool
from app.settings import process_settings

TIMEOUT = 1.0
"""Seconds that a call may wait for Redis, unless the bot says otherwise."""


class RedisPublisher:
    """Publishes a bot's messages, and sees to it that every profit report arrives.

    A profit report goes to the journal and to its channel in one transaction, so it is counted
    even if the bridge is down, restarting or cut off at that moment. If Redis cannot take it, it
    is kept on the bot's disk, and sent in the background, in order, once Redis is back; what a bot
    that ended has left there is sent by the next publisher for the same Redis and folder.

    Safe to share by threads. A process that was forked off has a connection and a spool of its own.

    Args:
        url: the Redis to publish on; the setting REDIS_URL unless given.
        spool: folder for reports that Redis cannot take; PUBLISHER_SPOOL_PATH unless given. On a
            local disk; any number of bots may share it.
        timeout: seconds that a call of `publish` may wait for Redis in all: for a connection, for
            other threads, for the answer. While Redis is known to be away it does not wait at all.

    Raises:
        ValueError: `timeout` is not above 0.
    """

    def __init__(
        self, url: str | None = None, *, spool: Path | str | None = None, timeout: float = TIMEOUT
    ) -> None:
        if not timeout > 0:
            raise ValueError(f"timeout must be above 0 seconds, not {timeout}")
        settings = process_settings()
        self._url = url or settings.redis_url
        self._folder = Path(spool or settings.publisher_spool_path)
        self._timeout = timeout
        self._journal_length = settings.journal_length
        # Never connected: it knows how commands are written and where the journal is.
        self._client = connect(self._url)
        self._journal = journal_name(self._client)
        self._sender = self._new_sender()
        self._sender.take_over_leftovers()
        _publishers.add(self)

    def publish(
        self, channel: str, message_data: Mapping[str, Any], sender: str | None = None
    ) -> Published:
        """Publish `message_data` in the envelope that every message of this system uses.

        Args:
            channel: such as `PROFIT_REPORT` or `TICKER_UPDATES_SOFI`.
            message_data: what goes under `data`; must be JSON.
            sender: the bot's name; part of the identity of its reports.

        Returns:
            How many listeners the message had on its channel, an int; a profit report is kept for
            the bridge even if there were none. Or, with `spooled` set, that Redis could not take
            the report, or has older ones to take first: it is on the disk and will be sent.

        Raises:
            RetryLater: Redis cannot take the message, and it was not kept: because it is no profit
                report, of which only the newest matter, or because the spool is full or the disk
                takes nothing. Publishing a report again is safe: it counts once.
            ValueError: an amount is NaN or infinite.
            TypeError: the data is not JSON.
        """
        deadline = time.monotonic() + self._timeout
        envelope: dict[str, Any] = {
            "data": dict(message_data),
            "timestamp": datetime.now().isoformat(timespec="milliseconds"),
            "sender": sender,
        }
        if channel != PROFIT_REPORT:
            return self._sender.send_or_fail(channel, _encoded(envelope), deadline)
        message = _encoded(envelope | {"journal": self._journal})
        return self._sender.send_or_keep(message, deadline)

    def close(self) -> None:
        """Give the connection back, and end what runs in the background, within `timeout`.

        Reports that Redis has not taken by then stay in the spool for the next publisher.
        """
        self._sender.close()
        self._sender = self._new_sender()

    def _new_sender(self) -> Sender:
        spool = Spool(self._folder, _target_name(self._client))
        return Sender(self._client, self._url, spool, self._journal_length, self._timeout)

    def _begin_anew_after_fork(self) -> None:
        inherited, self._sender = self._sender, self._new_sender()
        inherited.leave_to_parent()


_publishers: "weakref.WeakSet[RedisPublisher]" = weakref.WeakSet()


def _after_fork() -> None:
    for publisher in list(_publishers):
        publisher._begin_anew_after_fork()


os.register_at_fork(after_in_child=_after_fork)


def _target_name(client: redis.Redis) -> str:
    """The database that the client uses, as part of a file name."""
    at = client.connection_pool.connection_kwargs
    place = at.get("path") or f"{at.get('host') or 'localhost'}-{at.get('port') or 6379}"
    return quote(f"{place}-{at.get('db') or 0}", safe="")


_encoder = json.JSONEncoder(allow_nan=False)


def _encoded(envelope: Mapping[str, Any]) -> bytes:
    return _encoder.encode(envelope).encode()
