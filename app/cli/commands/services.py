"""The commands that run until they are stopped. `app.__main__` wires the services together."""

from pathlib import Path

import click

from app.cli.options import command, json_option
from app.settings import Settings


@command("""
examples:
  python -m app bridge
  REDIS_URL=redis://:password@localhost:6379/0 python -m app bridge

It needs Redis and write access to the folder PROFIT_BASE_PATH. python -m app show-config prints
all settings. SIGTERM or Ctrl-C stops it after it has counted what it received. Only one bridge can
run on a folder: a second one refuses to start.""")
def bridge(settings: Settings) -> int:
    """Count the bots' reports, keep the daily file, publish the figures, and have them stored."""
    return _serve("bridge", settings)


@command("""
example:
  TICKERS=SOFI,BRK.B python -m app subscriber

For a deployment where another program calculates the profits: run this in place of the bridge. It
subscribes to TICKER_PERFORMANCE and TICKER_UPDATES of each ticker, and gives the latest values to
the workers. SIGTERM or Ctrl-C stops it.""")
def subscriber(settings: Settings) -> int:
    """Store in Firebase what another program publishes."""
    return _serve("subscriber", settings)


def _serve(name: str, settings: Settings) -> int:
    code: int = click.get_current_context().obj[name](settings)
    return code


@command(
    """
examples:
  python -m app dev
  python -m app dev --json    one line with every address, for a program
  python -m app dev --rules database.rules.json    the access rules of production

It touches no real deployment, whatever the environment or .env contain. Ctrl-C stops everything
and removes its data.""",
    with_settings=False,
)
@json_option
@click.option(
    "--rules",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Apply these database rules; without them everything is allowed.",
)
def dev(as_json: bool, rules: Path | None) -> int:
    """Run the whole system on this machine, with simulated bots and no account."""
    from app.dev.stack import run  # noqa: PLC0415 - most of it is installed for development only
    from app.monitoring import configure  # noqa: PLC0415

    settings = Settings()
    configure(settings)
    return run(settings, as_json=as_json, rules=rules)
