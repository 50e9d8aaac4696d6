"""The messages that were not counted: read, mended, sent again or cleared by an operator.

What is kept for an operator is a list of its own kind each, with the same things to do: `Kept`.
"""

import base64
import json
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from app.channels import updates_channel
from app.errors import RejectMessage, StopProgram
from app.journal import append
from app.ledger import Rejected
from app.ledger_reader import delete_rejected, read_rejected
from app.messages import read_update
from app.redis_client import connect, reaching
from app.settings import Settings


@dataclass(frozen=True)
class Kept:
    """A list of things that were kept for an operator, by id, and what can be done with one."""

    entries: Mapping[Any, Any]
    as_json: Callable[[Any], dict[str, Any]]
    as_text: Callable[[Any], str]
    resend: Callable[[Any], str]
    """Raises RejectMessage: this one cannot be sent; it stays."""
    clear: Callable[[Any], None]


def act(arguments: Namespace, kept: Kept) -> int:
    """Carry out one of list, show, resend and clear.

    Returns:
        The exit code: 0, or 1 if something that was asked for could not be done.

    Raises:
        StopProgram: what is to be shown is not there, or nothing can be done at all.
        RetryLater: Redis or Firebase cannot be reached; what was done before it, was.
    """
    if arguments.action in {"resend", "clear"}:
        return _each(arguments, kept)
    if arguments.action == "show":
        if arguments.id not in kept.entries:
            raise StopProgram(f"there is no {arguments.id} in the list")
        shown = kept.as_json(arguments.id)
        print_json(shown) if arguments.json else print_lines(kept.as_text(arguments.id))
    elif arguments.json:
        print_json([kept.as_json(identity) for identity in kept.entries])
    else:
        print_lines(*map(kept.as_text, kept.entries))
    return 0


def _each(arguments: Namespace, kept: Kept) -> int:
    """Resend or clear the given ones, or all, one by one; 1 if that failed for any of them."""
    results = []
    try:
        for identity in dict.fromkeys(kept.entries if arguments.all else arguments.ids):
            try:
                done, said = True, _done(arguments.action, kept, identity)
            except RejectMessage as error:
                done, said = False, str(error)
            results.append({"id": identity, "done": done, "said": said})
            if not arguments.json:
                print(f"{identity}  {said}", file=sys.stdout if done else sys.stderr)
    finally:
        if arguments.json:
            print_json(results)
    return 0 if all(result["done"] for result in results) else 1


def _done(action: str, kept: Kept, identity: Any) -> str:
    """Do it, and say what was done."""
    if identity not in kept.entries:
        raise RejectMessage("not in the list")
    if action == "resend":
        return kept.resend(identity)
    kept.clear(identity)
    return "cleared"


def rejected(settings: Settings, arguments: Namespace) -> int:
    """List, show, send again or clear the messages that were not counted."""
    folder = settings.profit_base_path
    entries = read_rejected(folder)
    given = getattr(arguments, "message", None)
    mended = None if given is None else _read(given)
    client = connect(settings.redis_url)

    def resend(number: int) -> str:
        message = entries[number].message if mended is None else mended
        with reaching(settings.redis_url):
            _send(client, message, settings.journal_length)
        delete_rejected(folder, [number])
        return "sent again"

    if getattr(arguments, "raw", False) and arguments.id in entries:
        sys.stdout.buffer.write(entries[arguments.id].message)
        return 0
    return act(
        arguments,
        Kept(
            entries,
            as_json=lambda number: _rejected_as_json(number, entries[number]),
            as_text=lambda number: _rejected_as_text(number, entries[number]),
            resend=resend,
            clear=lambda number: delete_rejected(folder, [number]),
        ),
    )


def _send(client: redis.Redis, message: bytes, journal_length: int) -> None:
    """Send a message where it came from: the bridge gets it once.

    Raises:
        RejectMessage: it cannot be sent as it is.
        redis.RedisError: it was perhaps sent; sending it again is safe.
    """
    try:
        envelope = json.loads(message)
    except ValueError as error:
        raise RejectMessage(f"not JSON, mend it first (see --help): {error}") from None
    data = envelope.get("data") if isinstance(envelope, dict) else None
    if isinstance(data, dict) and data.get("type") in {"price", "order"}:
        channel = updates_channel(read_update(message).symbol)
        if not client.publish(channel, message):
            raise RejectMessage("nobody listens for prices and orders: start the bridge first")
        return
    # To the journal alone: the bridge looks there once a second, also for what came while it was
    # down. It would keep a copy on pub/sub that is still bad as well.
    pipeline = client.pipeline(transaction=True)
    append(pipeline, message, journal_length)
    pipeline.execute()


def _read(path: str) -> bytes:
    """The message in a file, or on standard input for `-`."""
    if path == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise StopProgram(f"{path} cannot be read: {error.strerror}") from None


def _rejected_as_json(number: int, rejected: Rejected) -> dict[str, Any]:
    shown = {"id": number, **rejected._asdict()}
    shown["message"] = rejected.message.decode(errors="backslashreplace")
    # Where that is not the message to the letter.
    if shown["message"].encode() != rejected.message:
        shown["base64"] = base64.b64encode(rejected.message).decode()
    return shown


def _rejected_as_text(number: int, rejected: Rejected) -> str:
    message = rejected.message.decode(errors="backslashreplace")
    return f"{number}  {rejected.at}  {rejected.reason}\n    {message}"


def print_lines(*lines: str) -> None:
    """Print the output of a command."""
    for line in lines:
        print(line)  # noqa: T201 - this is its output


def print_json(value: Any) -> None:
    """Print the output of a command as JSON."""
    print_lines(json.dumps(value, indent=2))
