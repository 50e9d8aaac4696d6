"""The messages that were not counted."""

import base64
import json
from typing import Any, BinaryIO

import click
import redis

from app.accounting import Rejected, delete_rejected, read_rejected
from app.channels import RedisNames
from app.cli.dead_letters import DeadLetters, Request, Result, carry_out, takes_request
from app.cli.options import command
from app.cli.output import print_bytes
from app.domain import read_update
from app.errors import WrongUse
from app.messaging import append, connect, reaching
from app.settings import Settings


@command("""
fix a message and send it again:
  python -m app rejected show --raw 7 > message.json
  (edit message.json)
  python -m app rejected resend --message message.json 7

A report is sent through the journal, so it is counted even if the bridge is down now. A message
that is rejected again returns to the list under a new ID.""")
@takes_request(int)
@click.option("--raw", is_flag=True, help="With show: print only the message, byte for byte.")
@click.option(
    "--message",
    type=click.File("rb"),
    metavar="FILE",
    help="With resend: send the content of FILE instead (-: standard input).",
)
def rejected(settings: Settings, request: Request, raw: bool, message: BinaryIO | None) -> int:
    """List, show, send again or clear the messages that were not counted."""
    if raw and request.action != "show":
        raise WrongUse("--raw is for show: give the ID of one message")
    if message and (request.action != "resend" or len(request.ids) != 1):
        raise WrongUse("--message is for resend: give the ID of the one message it replaces")
    letters = _RejectedMessages(settings, message.read() if message else None)
    if raw and request.ids[0] in letters.entries:
        print_bytes(letters.entries[request.ids[0]].message)
        return 0
    return carry_out(request, letters)


class _RejectedMessages(DeadLetters):
    def __init__(self, settings: Settings, fixed: bytes | None) -> None:
        self._settings = settings
        self._fixed = fixed
        self.entries = read_rejected(settings.profit_base_path)
        self._client = connect(settings.redis_url)

    def as_json(self, entry_id: int) -> dict[str, Any]:
        entry: Rejected = self.entries[entry_id]
        text = entry.message.decode(errors="backslashreplace")
        shown = {"id": entry_id, **entry._asdict(), "message": text}
        if text.encode() != entry.message:
            shown["base64"] = base64.b64encode(entry.message).decode()
        return shown

    def as_text(self, entry_id: int) -> str:
        entry: Rejected = self.entries[entry_id]
        text = entry.message.decode(errors="backslashreplace")
        return f"{entry_id}  {entry.at}  {entry.reason}\n    {text}"

    def resend(self, entry_id: int) -> Result:
        message = self.entries[entry_id].message if self._fixed is None else self._fixed
        with reaching(self._settings.redis_url):
            result = _send(
                self._client, self._settings.names, message, self._settings.journal_length
            )
        if result.done:
            self.clear(entry_id)
        return result

    def clear(self, entry_id: int) -> None:
        delete_rejected(self._settings.profit_base_path, [entry_id])


def _send(client: redis.Redis, names: RedisNames, message: bytes, journal_length: int) -> Result:
    """Send a message once, by the way it came.

    Raises:
        RejectMessage: It cannot be sent as it is.
        redis.RedisError: It may have been sent; sending it again is safe.
    """
    try:
        envelope = json.loads(message)
    except ValueError as error:
        return Result(False, f"not JSON, fix it first (see --help): {error}")
    data = envelope.get("data") if isinstance(envelope, dict) else None
    if isinstance(data, dict) and data.get("type") in {"price", "order"}:
        channel = names.updates_channel(read_update(message).symbol)
        if not client.publish(channel, message):
            return Result(False, "nobody listens for prices and orders: start the bridge first")
    else:
        # Only to the journal, which a running bridge reads every second, and a stopped one when it
        # starts. A copy on pub/sub would be rejected a second time if it is still wrong.
        pipeline = client.pipeline(transaction=True)
        append(pipeline, names, message, journal_length)
        pipeline.execute()
    return Result(True, "sent again")
