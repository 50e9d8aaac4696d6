"""From the words of the command line to a command and its arguments. Loads only that command."""

import argparse
import difflib
import importlib
import itertools
import sys
from collections.abc import Iterable, Sequence
from typing import NoReturn

from app.cli.commands import COMMANDS, Command
from app.cli.output import print_error

PROGRAM = "python -m app"
WRONG_USE = 2

_EXIT_CODES = "exit codes: 0 fine, 1 found something or could not, 2 wrong use or settings"


class CommandParser(argparse.ArgumentParser):
    """Says in one line what it does not understand, and what may have been meant."""

    def __init__(self, **options: object) -> None:
        # An option in short would become another one when a new one is added.
        options["allow_abbrev"] = False
        super().__init__(**options)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """End the program with one line and exit code 2."""
        print_error(f"{message}; see {self.prog} --help")
        raise SystemExit(WRONG_USE)

    def options(self) -> set[str]:
        """Every option that may be given, also to one of its actions."""
        known = set(self._option_string_actions)
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                known = known.union(*(parser.options() for parser in action.choices.values()))
        return known


def parse(words: Sequence[str]) -> tuple[Command, argparse.Namespace]:
    """The command that is meant, and its arguments.

    Raises:
        SystemExit: help was asked for (0), or there is no such command or argument (2).
    """
    if not words:
        print(contents(), file=sys.stderr)  # noqa: T201 - for people
        raise SystemExit(WRONG_USE)
    if words[0] in {"-h", "--help", "help"}:
        print(contents())  # noqa: T201 - this is its output
        raise SystemExit(0)
    found = [command for command in COMMANDS if command.name == words[0]]
    if not found:
        nearest = _nearest(words[0], (command.name for command in COMMANDS))
        print_error(f"there is no command {words[0]}{nearest}; {PROGRAM} --help lists all")
        raise SystemExit(WRONG_USE)
    parser = parser_of(found[0])
    arguments, unknown = parser.parse_known_args(words[1:])
    if unknown:
        nearest = _nearest(unknown[0].partition("=")[0], parser.options())
        parser.error(f"{found[0].name} does not take {unknown[0]}{nearest}")
    return found[0], arguments


def parser_of(command: Command) -> CommandParser:
    """What reads the arguments of one command."""
    parser = CommandParser(
        prog=f"{PROGRAM} {command.name}",
        description=f"{command.summary[0].upper()}{command.summary[1:]}.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    importlib.import_module(command.module).add_arguments(parser)
    parser.epilog = "\n\n".join(filter(None, (parser.epilog, _EXIT_CODES)))
    return parser


def contents() -> str:
    """The table of contents: every command, by group."""
    width = max(len(command.name) for command in COMMANDS)
    lines = [f"usage: {PROGRAM} COMMAND [...]", "", "The profit bridge: from the bots to Firebase."]
    for group, commands in itertools.groupby(COMMANDS, lambda command: command.group):
        lines += ["", group]
        lines += [f"  {command.name:<{width}}  {command.summary}" for command in commands]
    return "\n".join([*lines, "", f"{PROGRAM} COMMAND --help says what a command takes."])


def _nearest(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, sorted(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""
