"""The commands of `python -m app`, a module each, which is loaded when its command is given.

Each module has `add_arguments(parser)`, which says what the command takes, and
`run(settings, arguments)`, which returns its exit code: 0 all is well or was done, 1 something was
found or could not be done, 2 wrong use or a wrong setting. A service has no `run`: it is wired
together in `app.__main__`.
"""

from typing import NamedTuple


class Command(NamedTuple):
    """One command, as the table of contents has it."""

    group: str
    name: str
    summary: str
    own_settings: bool = False
    """Whether it sees to its settings itself, and is given the defaults."""

    @property
    def module(self) -> str:
        """Where it is."""
        return f"{__name__}.{self.name.replace('-', '_')}"


COMMANDS = (
    Command("Run", "bridge", "take in reports, count, republish, and hand over to the workers"),
    Command("Run", "subscriber", "store what another program publishes as TICKER_PERFORMANCE"),
    Command("Look", "watch", "show every ticker live, as Firebase has it"),
    Command("Look", "explain", "print the reports that make a figure, with running sums"),
    Command("Look", "show-config", "print every setting, with secrets masked"),
    Command(
        "Look", "doctor", "look at each part of a deployment: what is wrong, and the fix", True
    ),
    Command("Fix", "audit", "make a day again from the ledger, and compare file and Firebase"),
    Command("Fix", "rejected", "print, send again or clear the messages that were not counted"),
    Command("Fix", "failed-stores", "print, store again or clear what Firebase refused for good"),
    Command(
        "Try out", "dev", "run the whole system here, with simulated bots and no account", True
    ),
    Command("Try out", "report", "report one fill by hand, and see it arrive"),
    Command("Try out", "simulate", "have simulated bots trade, and print what the sums must be"),
    Command("Try out", "replay", "send a recorded day into a development system"),
)
