"""The publisher of a bot's messages."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from .connection import (
    PublisherConnection,
    connection_options,
    database,
    masked,
    target_name,
    url_of,
)
from .environment import Environment, checked_account
from .message import encoded
from .sender import JOURNAL, PROFIT_REPORT, Published, Sender
from .spool import Spool

TIMEOUT = 1.0
"""Seconds that a call may wait for Redis, unless the bot sets another bound."""

_LONGEST_TIMEOUT = 3_600


class RedisPublisher:
    """Publishes a bot's messages, and makes sure that every profit report arrives.

    A profit report goes to the journal and to its channel in one transaction, so it is counted
    even if the bridge is down, restarting or cut off at that moment. If Redis cannot take it, it is
    spooled on the bot's disk and sent in the background, in order, once Redis is back. What a bot
    leaves in its spool is sent by the next publisher for the same Redis and folder.

    Threads may share a publisher. After a fork, the child has its own connection and spool.

    Args:
        url: the Redis to publish on, such as `redis://host:6379/0`; by default the environment
            variable REDIS_URL.
        host: its host, in place of `url`. What is not given of this and the next four is as in
            `redis.Redis`: port 6379 of localhost, database 0, no user and no password.
        port: its port.
        db: the number of its database.
        username: the user in Redis to connect as.
        password: the password of Redis, or of that user.
        spool: folder for reports that Redis cannot take; by default PUBLISHER_SPOOL_PATH. It must
            be on a local disk; any number of bots may share it.
        account: the account that the bot trades for, if several are kept apart on this Redis; by
            default ACCOUNT; empty for none. All names on Redis then begin with it.
        timeout: seconds that a call of `publish` may wait for Redis in all: for a connection, for
            other threads, for the answer. While Redis is known to be away, no call waits at all.

    Raises:
        ValueError: an argument cannot be used; the text names it and the fix.
        WrongPublisherSetting: an environment variable is wrong.
    """

    def __init__(  # noqa: PLR0913 - those of redis.Redis, and three of ours
        self,
        url: str | None = None,
        *,
        host: str | None = None,
        port: int | str | None = None,
        db: int | str | None = None,
        username: str | None = None,
        password: str | None = None,
        spool: Path | str | None = None,
        account: str | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        if not (isinstance(timeout, (int, float)) and 0 < timeout <= _LONGEST_TIMEOUT):
            raise ValueError(
                f"timeout must be above 0 and at most {_LONGEST_TIMEOUT} seconds, not {timeout!r}"
            )
        given = url_of(url, host=host, port=port, db=db, username=username, password=password)
        environment = Environment()
        self._url = given or environment.redis_url()
        try:
            self._options = connection_options(self._url)
        except ValueError as error:
            raise ValueError(f"url={masked(self._url)}: {error}") from None
        account = environment.account() if account is None else checked_account(account)
        self._prefix = f"{account}:" if account else ""
        self._folder = Path(spool or environment.spool_folder()) / account
        self._journal_length = environment.journal_length()
        self._timeout = timeout
        # Pub/sub ignores database numbers, streams do not.
        self._journal = f"{database(self._options)}:{self._prefix}{JOURNAL}"
        self._sender = self._new_sender()
        self._sender.take_over_leftovers()
        _publishers.add(self)

    def publish(
        self, channel: str, message_data: Mapping[str, Any], sender: str | None = None
    ) -> Published:
        """Publish `message_data` in the envelope that every message of this system has.

        Args:
            channel: such as `PROFIT_REPORT` or `TICKER_UPDATES_SOFI`, with or without the account.
            message_data: the envelope's `data`. Besides what JSON has, it may hold `Decimal`,
                `date`, `datetime` and what numpy calculates with.
            sender: the bot's name, which is part of the identity of its reports.

        Returns:
            The number of listeners on the channel, as an int; a profit report is journaled even
            if there are none. With `spooled` set, the report is on the disk and will be sent,
            because Redis could not take it or has older ones to take first.

        Raises:
            NotPublished: Redis cannot take the message, and it was not kept: it is no profit
                report (of other messages only the newest matters), the spool is full, or the disk
                takes nothing. Publishing a report again is safe: it counts once.
            ValueError: an amount is NaN or infinite.
            TypeError: an argument has the wrong type, or a value in the data no form in JSON.
        """
        deadline = time.monotonic() + self._timeout
        if not isinstance(channel, str) or not channel:
            raise TypeError(f"channel must be text, not {channel!r:.80}")
        if not isinstance(sender, (str, type(None))):
            raise TypeError(f"sender must be text, not {sender!r:.80}")
        try:
            data = dict(message_data)
        except (TypeError, ValueError):
            raise TypeError(f"message_data must be a dict, not {message_data!r:.80}") from None
        envelope: dict[str, Any] = {
            "data": data,
            # Microseconds tell two publications of the same data apart.
            "timestamp": datetime.now().isoformat(timespec="microseconds"),
            "sender": sender,
        }
        channel = channel.removeprefix(self._prefix)
        if channel != PROFIT_REPORT:
            return self._sender.send_other(self._prefix + channel, encoded(envelope), deadline)
        envelope["journal"] = self._journal
        return self._sender.send_report(encoded(envelope), deadline)

    def close(self) -> None:
        """Close the connection and end the background thread, within `timeout`.

        Reports that Redis has not taken by then stay in the spool for the next publisher.
        """
        self._sender.close()
        self._sender = self._new_sender()

    def _new_sender(self) -> Sender:
        return Sender(
            PublisherConnection(self._options),
            masked(self._url),
            Spool(self._folder, target_name(self._options)),
            self._prefix,
            self._journal_length,
            self._timeout,
        )

    def _renew_after_fork(self) -> None:
        inherited, self._sender = self._sender, self._new_sender()
        inherited.leave_to_parent()


_publishers: weakref.WeakSet[RedisPublisher] = weakref.WeakSet()


def _after_fork() -> None:
    for publisher in list(_publishers):
        publisher._renew_after_fork()


os.register_at_fork(after_in_child=_after_fork)
