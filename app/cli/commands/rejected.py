"""The messages that were not counted: read, fixed, sent again or cleared by an operator."""

import argparse
import base64
import json
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import redis

from app.accounting import Rejected, delete_rejected, read_rejected
from app.channels import updates_channel
from app.cli.dead_letters import DeadLetters, act, add_actions, check
from app.domain import read_update
from app.errors import RejectMessage, StopProgram, WrongUse
from app.messaging import append, connect, reaching
from app.settings import Settings

_EPILOG = """fix a message and send it again:
  python -m app rejected show --raw 7 > message.json
  (edit message.json)
  python -m app rejected resend --message message.json 7

A report is sent through the journal, so it is counted even if the bridge is down now. What is still
bad comes back to the list under a new id."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take an action on the list, and a fixed message to resend."""
    parser.epilog = _EPILOG
    actions = add_actions(parser, int)
    actions["show"].add_argument("--raw", action="store_true", help="only the message, as it is")
    actions["resend"].add_argument(
        "--message", metavar="FILE", help="send what is in FILE instead (-: standard input)"
    )


def run(settings: Settings, arguments: Namespace) -> int:
    """List, show, send again or clear the messages that were not counted."""
    check(arguments)
    folder = settings.profit_base_path
    entries = read_rejected(folder)
    fixed = _fixed(arguments)
    client = connect(settings.redis_url)

    def resend(number: int) -> str:
        message = entries[number].message if fixed is None else fixed
        with reaching(settings.redis_url):
            _send(client, message, settings.journal_length)
        delete_rejected(folder, [number])
        return "sent again"

    if getattr(arguments, "raw", False) and arguments.id in entries:
        sys.stdout.buffer.write(entries[arguments.id].message)
        return 0
    return act(
        arguments,
        DeadLetters(
            entries,
            as_json=lambda number: _rejected_as_json(number, entries[number]),
            as_text=lambda number: _rejected_as_text(number, entries[number]),
            resend=resend,
            clear=lambda number: delete_rejected(folder, [number]),
        ),
    )


def _fixed(arguments: Namespace) -> bytes | None:
    """The message that is to be sent in place of the one that was kept."""
    path = getattr(arguments, "message", None)
    if path is None:
        return None
    if len(arguments.ids) != 1:
        raise WrongUse("resend --message: give the one ID that it is for")
    return _read(path)


def _send(client: redis.Redis, message: bytes, journal_length: int) -> None:
    """Send a message where it came from: the bridge gets it once.

    Raises:
        RejectMessage: it cannot be sent as it is.
        redis.RedisError: it was perhaps sent; sending it again is safe.
    """
    try:
        envelope = json.loads(message)
    except ValueError as error:
        raise RejectMessage("not_json", f"not JSON, fix it first (see --help): {error}") from None
    data = envelope.get("data") if isinstance(envelope, dict) else None
    if isinstance(data, dict) and data.get("type") in {"price", "order"}:
        channel = updates_channel(read_update(message).symbol)
        if not client.publish(channel, message):
            raise RejectMessage(
                "other", "nobody listens for prices and orders: start the bridge first"
            )
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
