"""What the commands for operators take on the command line. Loads nothing that they need to run."""

import argparse
from collections.abc import Callable
from datetime import date
from typing import Any

from app.messages import EPOCH

_AUDIT = """exit code 0 if nothing differs, 1 if something does or cannot be reached.

A bridge may run meanwhile. Firebase shows the newest day of a symbol only, and is compared where
that is the day of the audit. With --fix a daily file that is wrong is moved aside and written again
(by a bridge that is running, if there is one), and what is wrong in Firebase is stored again."""

_REJECTED = """mend a message and send it again:
  python -m app rejected show --raw 7 > message.json
  (edit message.json)
  python -m app rejected resend --message message.json 7

A report is sent through the journal, so it is counted even if the bridge is down now. What is still
bad comes back to the list under a new id.

exit code 0 if all was done, 1 if not, 2 if the command is not understood."""

_FAILED_STORES = """A value that is stored again never replaces a newer one. What Firebase still
refuses comes back to the list under a new id.

exit code 0 if all was done, 1 if not, 2 if the command is not understood."""

PATIENCE = 6.0
"""Seconds for which a difference may be something under way: the bridge sees to a file that was
touched once a second, and a task comes back from its retry after 4."""

_TAKES_SOME = {"resend", "clear"}


def add_arguments(commands: Any, name: str, meaning: str) -> None:
    """Add the command `name` to the subparsers `commands`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=meaning,
        description=meaning,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    if name == "audit":
        parser.epilog = _AUDIT
        _add_audit(parser)
    elif name == "rejected":
        parser.epilog = _REJECTED
        actions = _add_actions(parser, int)
        actions["show"].add_argument(
            "--raw", action="store_true", help="only the message, as it is"
        )
        actions["resend"].add_argument(
            "--message", metavar="FILE", help="send what is in FILE instead (-: standard input)"
        )
    else:
        parser.epilog = _FAILED_STORES
        _add_actions(parser, str)


def parse(parser: argparse.ArgumentParser, arguments: list[str] | None) -> argparse.Namespace:
    """What was given; ends the program with exit code 2 if it makes no sense."""
    given = parser.parse_args(arguments)
    if getattr(given, "action", None) in _TAKES_SOME and bool(given.ids) == given.all:
        parser.error(f"{given.command} {given.action}: give either IDs or --all")
    if getattr(given, "message", None) is not None and len(given.ids) != 1:
        parser.error("rejected resend --message: give the one ID that it is for")
    return given


def _add_audit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--day", type=day, metavar="YYYY-MM-DD", help="the UTC day; today unless given"
    )
    parser.add_argument("--fix", action="store_true", help="mend what differs, and audit again")
    parser.add_argument(
        "--within",
        type=float,
        default=PATIENCE,
        metavar="SECONDS",
        help="how long to look again at what may be under way (%(default)s)",
    )


def day(text: str) -> int:
    """Days since 1970-01-01."""
    return (date.fromisoformat(text) - EPOCH.date()).days


def _add_actions(
    parser: argparse.ArgumentParser, kind: Callable[[str], Any]
) -> dict[str, argparse.ArgumentParser]:
    """Add what can be done with a kept list; `kind` makes an id of its text."""
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
        action.add_argument(
            "--json", action="store_true", default=argparse.SUPPRESS, help="print JSON"
        )
        if name == "show":
            action.add_argument("id", type=kind, metavar="ID")
        if name in _TAKES_SOME:
            action.add_argument("ids", type=kind, metavar="ID", nargs="*")
            action.add_argument("--all", action="store_true", help="all there are")
    return parsers
