"""The bridge, and what waits for it."""

import time
from typing import Any

from app.accounting import LedgerReader
from app.channels import JOURNAL, PROFIT_REPORT
from app.errors import StopProgram
from app.messaging import Journal, JournalEntry
from app.operations.doctor.findings import FAIL, OK, WARN, Deployment, Finding

_WAITS = 5.0
"""Seconds; a bridge reads the journal once a second, and in this time also after a bad one."""
_NEARLY_FULL = 0.9
_LOOKED_AT = 1_000


def bridge(deployment: Deployment) -> Finding:
    """Whether exactly one program listens to the reports."""
    ((_, listeners),) = deployment.redis.pubsub_numsub(PROFIT_REPORT)
    if not listeners:
        return Finding(
            FAIL,
            f"nobody listens on {PROFIT_REPORT}",
            "start it: python -m app bridge (its log says why it ended)",
        )
    if listeners > 1:
        return Finding(
            WARN,
            f"{listeners} listen on {PROFIT_REPORT}",
            "see that only one of them is a bridge: each would count and publish for itself",
        )
    return Finding(OK, f"one listens on {PROFIT_REPORT}")


def journal(deployment: Deployment) -> Finding:
    """Whether the journal is read before it is full."""
    client, limit = deployment.redis, deployment.settings.journal_length
    kind: Any = client.type(JOURNAL)
    if kind == b"none":
        return Finding(OK, "empty: nobody has published with RedisPublisher yet")
    if kind != b"stream":
        return Finding(
            FAIL,
            f"the key {JOURNAL} is a {kind.decode()}",
            "find who else uses this database, and rename or delete that key",
        )
    length = client.xlen(JOURNAL)
    found = f"{length} of about {limit} reports kept"
    position = _position(deployment)
    if position is None:
        return Finding(OK, f"{found}; there is no ledger here to compare with")
    entries = Journal(client).read(position, _LOOKED_AT)
    if not entries:
        return Finding(OK, f"{found}, all of them in the ledger")
    return _waiting(entries, is_full=length > _NEARLY_FULL * limit)


def _waiting(entries: list[JournalEntry], *, is_full: bool) -> Finding:
    """What to say of entries that the ledger does not have."""
    since = time.time() - int(entries[0].position.partition("-")[0]) / 1000
    many = len(entries) == _LOOKED_AT
    found = f"{'at least ' if many else ''}{len(entries)} are not in the ledger"
    found += f", the oldest for {since:.0f} s"
    if is_full and many:
        fix = "start the bridge now, or raise JOURNAL_LENGTH at the bots: the oldest are dropped"
        return Finding(FAIL, f"{found}, and it is full", fix)
    if since > _WAITS:
        return Finding(WARN, found, "start the bridge, or read in its log what it waits for")
    return Finding(OK, found)


def _position(deployment: Deployment) -> str | None:
    """Up to where the ledger has the journal; None without a ledger."""
    try:
        reader = LedgerReader(deployment.settings.profit_base_path)
        try:
            with reader.at_one_moment():
                return reader.journal_position()
        finally:
            reader.close()
    except StopProgram:
        return None
