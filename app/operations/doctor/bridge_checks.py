"""The bridge, and the reports that wait for it."""

import json
import time
from contextlib import closing
from typing import Any

from app.accounting import LedgerReader
from app.channels import SENDER
from app.errors import StopProgram
from app.messaging import SAME_REPORTS, Journal, JournalEntry, listening_bridges
from app.operations.doctor.findings import FAIL, OK, WARN, Deployment, Finding

_LONG_WAIT = 5.0
"""Seconds. A bridge reads the journal once a second; this is enough after a failed read, too."""

_LISTEN_SECONDS = 1.5
_NEARLY_FULL = 0.9
_MAX_READ = 1_000


def bridge(deployment: Deployment) -> Finding:
    """Check that exactly one bridge listens for reports, and nothing else that may count them."""
    names = deployment.settings.names
    channel = names.profit_report
    ((_, listeners),) = deployment.redis.pubsub_numsub(channel)
    if not listeners:
        fix = "start the bridge: python -m app bridge (its log says why it stopped)"
        return Finding(FAIL, f"nobody listens on {channel}", fix)
    databases = sorted(listening_bridges(deployment.redis, names).values())
    if len(databases) > 1:
        listed = " and ".join(databases)
        found = f"{len(databases)} bridges listen on {channel}, in databases {listed}"
        return Finding(FAIL, found, SAME_REPORTS)
    if listeners > 1:
        fix = (
            "stop what else counts reports, such as another profit calculator: "
            "it publishes every figure again"
        )
        return Finding(WARN, f"{listeners} programs listen on {channel}", fix)
    return Finding(OK, f"one program listens on {channel}")


def publishers(deployment: Deployment) -> Finding:
    """Listen for a moment, and check that nobody else publishes figures where the bridge does."""
    channels = deployment.settings.names.ticker_performance + "*"
    senders = set()
    client: Any = deployment.redis
    with client.pubsub(ignore_subscribe_messages=True) as subscription:
        subscription.psubscribe(channels)
        until = time.monotonic() + _LISTEN_SECONDS
        while (left := until - time.monotonic()) > 0:
            message = subscription.get_message(timeout=left)
            if message is not None:
                senders.add(_sender_of(message["data"]))
    others = sorted(senders - {SENDER})
    if others:
        found = f"figures on {channels} come from {', '.join(others)} too"
        fix = (
            "stop that program: what listens there, and Firebase, would show now one, now the other"
        )
        return Finding(FAIL, found, fix)
    heard = "only the bridge publishes" if senders else "nobody published within a moment"
    return Finding(OK, f"{heard} on {channels}")


def _sender_of(message: bytes) -> str:
    try:
        return repr(json.loads(message)["sender"]).strip("'")
    except (ValueError, LookupError, TypeError):
        return "a program that names no sender"


def journal(deployment: Deployment) -> Finding:
    """Check that the journal is read before it is full."""
    client, limit = deployment.redis, deployment.settings.journal_length
    names = deployment.settings.names
    kind: Any = client.type(names.journal)
    if kind == b"none":
        return Finding(OK, "empty: nothing was published with RedisPublisher yet")
    if kind != b"stream":
        fix = "find out which other program uses this database, and rename or delete that key"
        return Finding(FAIL, f"the key {names.journal} is a {kind.decode()}, not a stream", fix)
    length = client.xlen(names.journal)
    found = f"{length} of about {limit} reports"
    position = _ledger_position(deployment)
    if position is None:
        return Finding(OK, f"{found}; there is no ledger here to compare with")
    reading = Journal(client, names).read(position, _MAX_READ)
    entries = reading.entries
    if reading.dropped and entries:
        found += ", and older ones that were not counted are gone"
        return Finding(FAIL, found, "start the bridge: it says how many, and counts the rest")
    if not entries:
        return Finding(OK, f"{found}, all of them in the ledger")
    return _waiting(entries, deployment.now(), is_full=length > _NEARLY_FULL * limit)


def _waiting(entries: list[JournalEntry], now: float, *, is_full: bool) -> Finding:
    """Return the finding for entries that are not in the ledger."""
    age = now - int(entries[0].position.partition("-")[0]) / 1000
    are_many = len(entries) == _MAX_READ
    at_least = "at least " if are_many else ""
    found = f"{at_least}{len(entries)} are not in the ledger, the oldest for {age:.0f} s"
    if is_full and are_many:
        fix = "start the bridge now, or raise JOURNAL_LENGTH for the bots: the oldest are dropped"
        return Finding(FAIL, f"{found}, and the journal is full", fix)
    if age > _LONG_WAIT:
        return Finding(WARN, found, "start the bridge, or read in its log what it is waiting for")
    return Finding(OK, found)


def _ledger_position(deployment: Deployment) -> str | None:
    """Return how far the ledger has read the journal; None without a ledger."""
    try:
        with (
            closing(LedgerReader(deployment.settings.profit_base_path)) as reader,
            reader.at_one_moment(),
        ):
            return reader.journal_position()
    except StopProgram:
        return None
