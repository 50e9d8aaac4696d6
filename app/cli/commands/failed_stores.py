"""The values that Firebase refused for good: read, stored again or cleared by an operator."""

import argparse
import uuid
from argparse import Namespace
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from app.cli.dead_letters import DeadLetters, act, add_actions, check
from app.delivery import Candidate, FailedStores, LatestValueRegister, LatestValueStore
from app.domain import (
    PERFORMANCE,
    Update,
    performance_value,
    stored_symbol,
    to_microseconds,
)
from app.errors import RejectMessage
from app.firebase import firebase_of_this_process
from app.settings import Settings

_EPILOG = """examples:
  python -m app failed-stores
  python -m app failed-stores resend --all

A value that is stored again never replaces a newer one. What Firebase still refuses comes back to
the list under a new id."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take an action on the list."""
    parser.epilog = _EPILOG
    add_actions(parser, str)


def run(settings: Settings, arguments: Namespace) -> int:
    """List, show, store again or clear the values that Firebase refused for good."""
    check(arguments)
    failed_stores = FailedStores(settings.redis_url)
    entries = {failed["id"]: failed for failed in failed_stores.read()}

    def resend(identity: str) -> str:
        register = LatestValueRegister(settings.redis_url)
        store = LatestValueStore(register, firebase_of_this_process(settings), failed_stores)
        candidate = _candidate_of(entries[identity])
        stored = store.store([candidate], task=f"resend-{uuid.uuid4().hex}")
        failed_stores.remove([identity])
        if stored.refused:
            raise RejectMessage(
                "other", f"kept under a new id, refused again: {stored.refused[0][1]}"
            )
        if stored.held:
            return "left to the task that stores there"
        if not stored.written:
            return "not stored: this value is there already, or a newer one"
        if stored.written[-1].value != candidate.update.value:
            return "stored, but a newer value: this one is old"
        return "stored"

    return act(
        arguments,
        DeadLetters(
            entries,
            as_json=lambda identity: entries[identity],
            as_text=lambda identity: _failed_as_text(entries[identity]),
            resend=resend,
            clear=lambda identity: failed_stores.remove([identity]),
        ),
    )


def _candidate_of(failed: Mapping[str, Any]) -> Candidate:
    """The value as its task proposed it; no newer than it was then, so that newest wins.

    Raises:
        RejectMessage: it can never be stored.
    """
    symbol, key, value = stored_symbol(failed["symbol"]), failed["key"], failed["value"]
    if key == PERFORMANCE:
        value = performance_value(value)
    at = to_microseconds(failed["at"])
    if isinstance(value, Mapping) and isinstance(value.get("timestamp"), str):
        with suppress(RejectMessage):
            at = min(at, to_microseconds(value["timestamp"]))
    return Candidate(Update(symbol, key, value), at)


def _failed_as_text(failed: Mapping[str, Any]) -> str:
    place = f"{failed['symbol']} {failed['key']}"
    return f"{failed['id']}  {failed['at']}  {place}  {failed['reason']}\n    {failed['value']}"
