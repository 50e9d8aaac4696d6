"""The program with its commands. Only the module of the command that is given is loaded."""

import importlib
import itertools
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import NamedTuple

import click

from app import __version__
from app.cli.output import print_error
from app.errors import ProfitBridgeError, StopProgram
from app.settings import Settings

WRONG_USE = 2

_MODULE, _SCRIPT = "python -m app", "profit-bridge"


class Entry(NamedTuple):
    """A command in the table of contents."""

    group: str
    name: str
    module: str
    """The module in `app.cli.commands` that defines it, under its name with underscores."""
    summary: str


COMMANDS = (
    Entry("Run", "bridge", "services", "count reports, publish and store the figures"),
    Entry("Run", "subscriber", "services", "store the figures that another program publishes"),
    Entry("Inspect", "watch", "watch", "show every ticker live, as Firebase has it"),
    Entry("Inspect", "explain", "explain", "list the reports behind a figure, with running sums"),
    Entry("Inspect", "show-config", "deployment", "print every setting, with secrets masked"),
    Entry("Inspect", "doctor", "deployment", "check a deployment: what is wrong, and the fix"),
    Entry("Fix", "audit", "audit", "compare ledger, daily file and Firebase for a day"),
    Entry("Fix", "rejected", "rejected", "list, resend or clear reports that were not counted"),
    Entry("Fix", "rejected-updates", "rejected", "the same for prices and orders"),
    Entry("Fix", "repetitions", "repetitions", "list, count or clear reports that came again"),
    Entry("Fix", "failed-stores", "failed_stores", "list, resend or clear what Firebase refused"),
    Entry("Try out", "dev", "services", "run the whole system here, with simulated bots"),
    Entry("Try out", "report", "report", "send one report by hand, and see it arrive"),
    Entry("Try out", "simulate", "simulate", "trade with simulated bots, and print their sums"),
    Entry("Try out", "replay", "replay", "send a recorded day to a development system"),
)


class _Program(click.Group):
    """Lists its commands by group, and loads one only when it is given."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None and command is not None:
            (entry,) = (entry for entry in COMMANDS if entry.name == name)
            module = importlib.import_module(f"app.cli.commands.{entry.module}")
            command = getattr(module, name.replace("-", "_"))
        return name, command, rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for group, entries in itertools.groupby(COMMANDS, lambda entry: entry.group):
            with formatter.section(group):
                formatter.write_dl([(entry.name, entry.summary) for entry in entries])


_program = _Program(
    commands={
        entry.name: click.Command(entry.name, short_help=entry.summary) for entry in COMMANDS
    },
    context_settings={"help_option_names": ["-h", "--help"]},
    subcommand_metavar="COMMAND [...]",
    help="The profit bridge: from the trading bots to Firebase.",
    epilog="COMMAND --help describes a command, with examples.",
)
click.version_option(__version__, message="%(version)s")(_program)


def run(words: Sequence[str] | None, services: Mapping[str, Callable[[Settings], int]]) -> int:
    """Run one command and return its exit code.

    Args:
        words: The command and its options; those of this process if None.
        services: What runs a service until it is asked to stop, by the name of its command.
    """
    words = list(sys.argv[1:] if words is None else words)
    if words[:1] == ["help"]:
        words = [*words[1:], "--help"]
    name = _SCRIPT if Path(sys.argv[0]).stem == _SCRIPT else _MODULE
    if isinstance(sys.stdout, TextIOWrapper):
        # A terminal that has no Chinese shows a symbol escaped, in place of a traceback.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = _program.main(words, prog_name=name, standalone_mode=False, obj=services)
        sys.stdout.flush()
        return int(code or 0)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return WRONG_USE
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else name
        print_error(f"{' '.join(error.format_message().split())} See {path} --help")
        return WRONG_USE
    except ProfitBridgeError as error:
        print_error(str(error))
        return error.exit_code if isinstance(error, StopProgram) else 1
    except BrokenPipeError:
        # The reader has closed the pipe. Python would try to flush the rest as it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except click.Abort:  # Ctrl-C
        return 128 + signal.SIGINT
