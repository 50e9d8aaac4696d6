"""The messages that were not counted or not stored."""

import base64
import json
from abc import abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, BinaryIO

import click
import redis

from app.accounting import MISSING, Rejected, delete_rejected, read_rejected
from app.cli.dead_letters import DeadLetters, Request, Result, carry_out, takes_request
from app.cli.options import command
from app.cli.output import print_bytes, print_lines
from app.delivery import RejectedUpdates
from app.domain import read_performance, read_update
from app.errors import RetryLater, WrongUse
from app.messaging import append, connect, reaching
from app.settings import Settings


def _message_options(function: Callable[..., int]) -> Callable[..., int]:
    raw = click.option(
        "--raw", is_flag=True, help="With show: print only the message, byte for byte."
    )
    message = click.option(
        "--message",
        type=click.File("rb"),
        metavar="FILE",
        help="With resend: send the content of FILE instead (-: standard input).",
    )
    return raw(message(function))


@command("""
fix a message and send it again:
  python -m app rejected show --raw 7 > message.json
  (edit message.json)
  python -m app rejected resend --message message.json 7

A report is sent through the journal, so it is counted even if the bridge is down now. A message
that is rejected again returns to the list under a new ID. Prices and orders have a list of their
own: python -m app rejected-updates.""")
@takes_request(int)
@_message_options
def rejected(settings: Settings, request: Request, raw: bool, message: BinaryIO | None) -> int:
    """List, show, send again or clear the reports that were not counted."""
    code = _carry_out(_RejectedReports, settings, request, raw, message)
    if request.action == "list" and not request.as_json:
        _print_updates(settings)
    return code


@command("""
examples:
  python -m app rejected-updates
  python -m app rejected-updates show --raw 1a2b3c4d > message.json
  python -m app rejected-updates clear --all

The list is in Redis. A price or an order that is sent again is not older for that than one that was
stored meanwhile: clear it if there is a newer one.""")
@takes_request(str)
@_message_options
def rejected_updates(
    settings: Settings, request: Request, raw: bool, message: BinaryIO | None
) -> int:
    """List, show, send again or clear the prices and orders that could not be stored."""
    return _carry_out(_RejectedUpdates, settings, request, raw, message)


def _carry_out(
    kind: type["_RejectedMessages"],
    settings: Settings,
    request: Request,
    raw: bool,
    message: BinaryIO | None,
) -> int:
    if raw and request.action != "show":
        raise WrongUse("--raw is for show: give the ID of one message")
    if message and (request.action != "resend" or len(request.ids) != 1):
        raise WrongUse("--message is for resend: give the ID of the one message it replaces")
    letters = kind(settings, message.read() if message else None)
    if raw and request.ids[0] in letters.entries:
        print_bytes(letters.entries[request.ids[0]].message)
        return 0
    return carry_out(request, letters)


def _print_updates(settings: Settings) -> None:
    """Say in one line what the other list has, if Redis says so."""
    with suppress(RetryLater):
        updates = RejectedUpdates(settings).read()
        if updates:
            print_lines(
                f"and {len(updates)} prices and orders, see python -m app rejected-updates; "
                f"the last: {updates[0]['reason']}"
            )


class _RejectedMessages(DeadLetters):
    """One of the two lists.

    Args:
        settings: This process's settings.
        fixed: What to send in place of a message.
    """

    entries: Mapping[Any, Rejected]

    def __init__(self, settings: Settings, fixed: bytes | None) -> None:
        self._settings = settings
        self._fixed = fixed

    def as_json(self, entry_id: Any) -> dict[str, Any]:
        entry = self.entries[entry_id]
        text = entry.message.decode(errors="backslashreplace")
        shown = {"id": entry_id, **entry._asdict(), "message": text}
        if text.encode() != entry.message:
            shown["base64"] = base64.b64encode(entry.message).decode()
        return shown

    def as_text(self, entry_id: Any) -> str:
        entry = self.entries[entry_id]
        text = entry.message.decode(errors="backslashreplace")
        return f"{entry_id}  {entry.at}  {entry.reason}\n    {text}"

    def resend(self, entry_id: Any) -> Result:
        message = self.entries[entry_id].message if self._fixed is None else self._fixed
        with reaching(self._settings.redis_url), connect(self._settings.redis_url) as client:
            result = self._send(client, entry_id, message)
        if result.done:
            self.clear(entry_id)
        return result

    @abstractmethod
    def _send(self, client: redis.Redis, entry_id: Any, message: bytes) -> Result:
        """Send a message once, by the way it came.

        Raises:
            RejectMessage: It cannot be sent as it is.
            redis.RedisError: It may have been sent; sending it again is safe.
        """


class _RejectedReports(_RejectedMessages):
    def __init__(self, settings: Settings, fixed: bytes | None) -> None:
        super().__init__(settings, fixed)
        self.entries = read_rejected(settings.profit_base_path)

    def clear(self, entry_id: int) -> None:
        delete_rejected(self._settings.profit_base_path, [entry_id])

    def _send(self, client: redis.Redis, entry_id: int, message: bytes) -> Result:
        if entry_id == MISSING and self._fixed is None:
            return Result(False, "only their bots have these reports: clear the entry when done")
        try:
            envelope = json.loads(message)
        except ValueError as error:
            return Result(False, f"not JSON, fix it first (see --help): {error}")
        names = self._settings.names
        data = envelope.get("data") if isinstance(envelope, dict) else None
        if isinstance(data, dict) and data.get("type") in {"price", "order"}:
            # Of a former version, which had one list for all.
            return _publish(client, names.updates_channel(read_update(message).symbol), message)
        # Only to the journal, which a running bridge reads every second, and a stopped one when it
        # starts. A copy on pub/sub would be rejected a second time if it is still wrong.
        pipeline = client.pipeline(transaction=True)
        append(pipeline, names, message, self._settings.journal_length)
        pipeline.execute()
        return Result(True, "sent again")


class _RejectedUpdates(_RejectedMessages):
    def __init__(self, settings: Settings, fixed: bytes | None) -> None:
        super().__init__(settings, fixed)
        self._list = RejectedUpdates(settings)
        updates = self._list.read()
        self._channels = {update["id"]: update["channel"] for update in updates}
        self.entries = {
            update["id"]: Rejected(
                update["at"], update["reason"], update["message"].encode(errors="surrogateescape")
            )
            for update in updates
        }

    def as_json(self, entry_id: str) -> dict[str, Any]:
        return super().as_json(entry_id) | {"channel": self._channels[entry_id]}

    def as_text(self, entry_id: str) -> str:
        return super().as_text(entry_id).replace("\n", f"  on {self._channels[entry_id]}\n", 1)

    def clear(self, entry_id: str) -> None:
        self._list.remove([entry_id])

    def _send(self, client: redis.Redis, entry_id: str, message: bytes) -> Result:
        channel = self._channels[entry_id]
        _, is_update, ticker = channel.partition(self._settings.names.ticker_updates)
        if is_update:
            read_update(message, ticker)
        else:
            read_performance(message)
        return _publish(client, channel, message)


def _publish(client: redis.Redis, channel: str, message: bytes) -> Result:
    if client.publish(channel, message):
        return Result(True, "sent again")
    return Result(False, "nobody listens for prices and orders: start the bridge first")
