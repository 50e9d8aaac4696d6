"""What the answers of a Redis that is alive mean, in one table."""

import re
from typing import NamedTuple


class Answer(NamedTuple):
    """One kind of error that Redis answers with. Whatever it answers, it is alive."""

    pattern: str
    """A pattern of its code or of its text: redis-py leaves out some codes."""
    fix: str
    """What it means and what to do, with `{variable}` for the setting that holds the URL."""
    waiting_helps: bool = True
    """Whether the same call may succeed later without anybody changing a setting here."""
    wrong_server: bool = False
    """Whether to connect anew: after a failover an old connection still leads to this server."""


_ANSWERS = (
    Answer(
        "^NOAUTH|Authentication required",
        "write the password that it asks for into {variable}",
        waiting_helps=False,
    ),
    Answer(
        "called without any password configured",
        "leave the password out of {variable}: it asks for none",
        waiting_helps=False,
    ),
    Answer(
        "^WRONGPASS|invalid (username-password|password)",
        "correct the password in {variable}",
        waiting_helps=False,
    ),
    Answer(
        "^NOPERM|has no permissions|No permissions to access",
        "name a user in {variable} that may do this",
        waiting_helps=False,
    ),
    Answer(
        "CLUSTERDOWN|^CROSSSLOT|^MOVED|Keys in request don't hash",
        "name a Redis that is no cluster in {variable}: Celery cannot run on a Redis Cluster",
        waiting_helps=False,
        wrong_server=True,
    ),
    Answer(
        "^READONLY|read only replica|read-only replica",
        "name the primary in {variable}: this is a replica",
        wrong_server=True,
    ),
    Answer(
        "^MASTERDOWN|Link with MASTER is down",
        "name the primary in {variable}: this is a replica that has lost it",
        wrong_server=True,
    ),
    Answer("^LOADING|loading the dataset", "wait: it is still reading its data from disk"),
    Answer(
        "^BUSY |running a script",
        "wait, or end the script that blocks it: redis-cli SCRIPT KILL",
    ),
    Answer(
        "^MISCONF|AOF file|RDB snapshot",
        "free its disk: it cannot save its data, so it refuses writes (its log names the error)",
    ),
    Answer("^OOM|maxmemory", "raise its maxmemory: it is full"),
    Answer("^NOREPLICAS|good replicas", "connect its replicas: it takes no writes without them"),
    Answer("max number of clients", "raise its maxclients, or end clients that are not needed"),
    Answer(
        "^WRONGTYPE|against a key holding the wrong kind",
        "another program uses the same name: give it a Redis of its own, or set ACCOUNT",
        waiting_helps=False,
    ),
)


def meaning_of(error: BaseException) -> Answer | None:
    """Return what an error means that Redis answered with; None if it is none of the table."""
    text = str(error)
    code = getattr(error, "status_code", None)
    texts = (f"{code} {text}", text) if code else (text,)
    return next(
        (
            answer
            for answer in _ANSWERS
            if any(re.search(answer.pattern, each, re.IGNORECASE) for each in texts)
        ),
        None,
    )
