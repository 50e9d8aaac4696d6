"""A list of things that were kept for an operator, and what can be done with it."""

import argparse
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.cli.options import add_json
from app.cli.output import print_json, print_lines
from app.errors import RejectMessage, StopProgram, WrongUse

_TAKES_SOME = {"resend", "clear"}


def add_actions(
    parser: argparse.ArgumentParser, kind: Callable[[str], Any]
) -> dict[str, argparse.ArgumentParser]:
    """Take an action; `kind` makes an id of its text. The parsers of the actions, by name."""
    add_json(parser)
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    parsers = {
        name: actions.add_parser(name, help=meaning, description=meaning)
        for name, meaning in (
            ("list", "print all, as without an action"),
            ("show", "print one"),
            ("resend", "send again, and take off the list what could be sent"),
            ("clear", "take off the list"),
        )
    }
    for name, action in parsers.items():
        add_json(action, default=argparse.SUPPRESS)
        if name == "show":
            action.add_argument("id", type=kind, metavar="ID")
        if name in _TAKES_SOME:
            action.add_argument("ids", type=kind, metavar="ID", nargs="*")
            action.add_argument("--all", action="store_true", help="all there are")
    return parsers


def check(arguments: Namespace) -> None:
    """Raise WrongUse if it is not clear which ones are meant."""
    if arguments.action in _TAKES_SOME and bool(arguments.ids) == arguments.all:
        raise WrongUse(f"{arguments.action}: give either IDs or --all")


@dataclass(frozen=True)
class DeadLetters:
    """A list of things that were kept for an operator, by id, and what can be done with one."""

    entries: Mapping[Any, Any]
    as_json: Callable[[Any], dict[str, Any]]
    as_text: Callable[[Any], str]
    resend: Callable[[Any], str]
    """Raises RejectMessage: this one cannot be sent; it stays."""
    clear: Callable[[Any], None]


def act(arguments: Namespace, kept: DeadLetters) -> int:
    """Carry out one of list, show, resend and clear.

    Returns:
        The exit code: 0, or 1 if something that was asked for could not be done.

    Raises:
        StopProgram: what is to be shown is not there, or nothing can be done at all.
        RetryLater: Redis or Firebase cannot be reached; what was done before it, was.
    """
    if arguments.action in _TAKES_SOME:
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


def _each(arguments: Namespace, kept: DeadLetters) -> int:
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


def _done(action: str, kept: DeadLetters, identity: Any) -> str:
    """Do it, and say what was done."""
    if identity not in kept.entries:
        raise RejectMessage("other", "not in the list")
    if action == "resend":
        return kept.resend(identity)
    kept.clear(identity)
    return "cleared"
