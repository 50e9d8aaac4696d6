"""The values that Firebase refuses."""

import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from app.cli.dead_letters import DeadLetters, Request, Result, carry_out, takes_request
from app.cli.options import command
from app.cli.output import print_lines
from app.delivery import Candidate, FailedStores, LatestValueRegister, LatestValueStore
from app.domain import (
    to_microseconds,
)
from app.errors import RejectMessage
from app.firebase import firebase_of_this_process, storable_update
from app.settings import Settings


@command("""
examples:
  python -m app failed-stores
  python -m app failed-stores resend --all

What Firebase refuses is tried again by itself, up to 45 s apart, and leaves the list when it is
stored. `resend` tries it at once. It never replaces a newer value.""")
@takes_request(str)
def failed_stores(settings: Settings, request: Request) -> int:
    """List, show, store again or clear the values that Firebase refuses."""
    letters = _FailedLetters(settings)
    if request.action == "list" and not (request.as_json or letters.entries):
        print_lines("none")
        return 0
    return carry_out(request, letters)


class _FailedLetters(DeadLetters):
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._failed = FailedStores(settings)
        self.entries = {failed["id"]: failed for failed in self._failed.read()}

    def as_json(self, entry_id: str) -> dict[str, Any]:
        failed: dict[str, Any] = self.entries[entry_id]
        return failed

    def as_text(self, entry_id: str) -> str:
        failed = self.entries[entry_id]
        place = f"{failed['symbol']} {failed['key']}"
        times = failed["at"]
        if failed["count"] > 1:
            times = f"{failed['first']} to {times}, {failed['count']} times"
        return f"{failed['id']}  {times}  {place}  {failed['reason']}\n    {failed['value']}"

    def resend(self, entry_id: str) -> Result:
        candidate = _candidate_of(self.entries[entry_id], self._settings.firebase_root)
        register = LatestValueRegister(self._settings)
        firebase = firebase_of_this_process(self._settings)
        store = LatestValueStore(register, firebase, self._failed)
        stored = store.store([candidate], task=f"resend-{uuid.uuid4().hex}", force=True)
        if stored.refused:
            return Result(False, f"refused again: {stored.refused[0][1]}")
        self.clear(entry_id)
        if stored.held:
            return Result(True, "left to the task that is storing this value now")
        if not stored.written:
            return Result(True, "not stored: Firebase has this value already, or a newer one")
        if stored.written[-1].value != candidate.update.value:
            return Result(True, "replaced by a newer value, which is stored")
        return Result(True, "stored")

    def clear(self, entry_id: str) -> None:
        self._failed.remove([entry_id])


def _candidate_of(failed: Mapping[str, Any], root: str) -> Candidate:
    """The value as its task proposed it, and as old as it was then, so that newer ones win.

    Raises:
        RejectMessage: It can never be stored.
    """
    update = storable_update(failed["symbol"], failed["key"], failed["value"], root)
    value = update.value
    timestamp_us = to_microseconds(failed["at"])
    if isinstance(value, Mapping) and isinstance(value.get("timestamp"), str):
        with suppress(RejectMessage):
            timestamp_us = min(timestamp_us, to_microseconds(value["timestamp"]))
    return Candidate(update, timestamp_us)
