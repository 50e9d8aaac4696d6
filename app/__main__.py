"""The commands. The one place where the parts are wired together."""

import argparse
import gc
import logging
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from app.errors import ProfitBridgeError, StopProgram
from app.operator_arguments import add_arguments, parse
from app.settings import Settings, described, process_settings

if TYPE_CHECKING:
    from app.handover import Handover


class _Service(Protocol):
    def run(self) -> None: ...

    def stop(self) -> None: ...


def _bridge(settings: Settings) -> int:
    """Take in reports, keep the daily JSON, republish, and hand over to the workers."""
    from app.bridge import Bridge
    from app.channels import PROFIT_REPORT, TICKER_UPDATES
    from app.daily_file import DailyFiles
    from app.journal import Journal
    from app.ledger import Ledger
    from app.redis_client import connect
    from app.republisher import Republisher
    from app.subscriber import Subscriber

    # What is there by now stays; what comes is freed without help. Looking for cycles in it after
    # every 700 objects would cost a quarter of the time of a report.
    gc.freeze()
    gc.set_threshold(50_000)
    return _serve(
        Bridge(
            settings,
            subscriber=Subscriber(settings.redis_url, [PROFIT_REPORT], [TICKER_UPDATES + "*"]),
            journal=Journal(connect(settings.redis_url)),
            ledger=Ledger(settings.profit_base_path),
            files=DailyFiles(settings.profit_base_path),
            republisher=Republisher(settings.redis_url),
            handover=_handover(settings),
        )
    )


def _subscriber(settings: Settings) -> int:
    """Store what another program publishes on TICKER_PERFORMANCE_* and TICKER_UPDATES_*."""
    from app.feed import Feed, feed_subscriber

    return _serve(Feed(feed_subscriber(settings), _handover(settings)))


def _handover(settings: Settings) -> "Handover":
    from app.handover import Handover
    from app.newest import NewestRegister
    from tasks.queue import CeleryQueue

    register = NewestRegister(settings.redis_url)
    return Handover(CeleryQueue(settings), register, settings.tickers)


def _dev(settings: Settings) -> int:
    """Run the whole system on this machine, with simulated bots and no account."""
    from app.dev.stack import run

    return run(settings)


def _show_config(settings: Settings) -> int:
    """Print every setting, with secrets masked."""
    for name, value, meaning in described(settings):
        print(f"{name}={value}  # {meaning}")  # noqa: T201 - this is its output
    return 0


def _audit(settings: Settings, arguments: argparse.Namespace) -> int:
    """Make a day again from the ledger, and say what differs in the daily JSON and in Firebase."""
    from app.operator_commands import audit

    return audit(settings, arguments)


def _rejected(settings: Settings, arguments: argparse.Namespace) -> int:
    """Print, send again or clear the messages that were not counted."""
    from app.rejects import rejected

    return rejected(settings, arguments)


def _failed_stores(settings: Settings, arguments: argparse.Namespace) -> int:
    """Print, store again or clear the values that Firebase refused for good."""
    from app.operator_commands import failed_stores

    return failed_stores(settings, arguments)


_COMMANDS: dict[str, Callable[[Settings], int]] = {
    "bridge": _bridge,
    "subscriber": _subscriber,
    "dev": _dev,
    "show-config": _show_config,
}

_OPERATOR_COMMANDS: dict[str, Callable[[Settings, argparse.Namespace], int]] = {
    "audit": _audit,
    "rejected": _rejected,
    "failed-stores": _failed_stores,
}


def _serve(service: _Service) -> int:
    """Run a service until SIGTERM or Ctrl-C."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: service.stop())
    service.run()
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run one command; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m app", description="The profit bridge.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in _COMMANDS.items():
        commands.add_parser(name, help=command.__doc__, description=command.__doc__)
    for name, operator_command in _OPERATOR_COMMANDS.items():
        add_arguments(commands, name, str(operator_command.__doc__))
    given = parse(parser, arguments)
    try:
        # The development system keeps away from the settings of a real one, right or wrong.
        settings = Settings() if given.command == "dev" else process_settings()
        logging.basicConfig(
            level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s"
        )
        if given.command in _COMMANDS:
            return _COMMANDS[given.command](settings)
        return _OPERATOR_COMMANDS[given.command](settings, given)
    except ProfitBridgeError as error:
        print(f"profit bridge: {error}", file=sys.stderr)  # noqa: T201 - for people
        return error.exit_code if isinstance(error, StopProgram) else 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main())
