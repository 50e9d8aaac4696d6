"""The Firebase side alone. Wired together in `app.__main__`."""

import argparse

_EPILOG = """example:
  TICKERS=SOFI,BRK.B,aggregate python -m app subscriber

For a deployment whose profit calculator is another program: run it in place of the bridge. It hears
TICKER_PERFORMANCE and TICKER_UPDATES of each ticker, and hands the newest values to the workers.
SIGTERM or Ctrl-C ends it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It takes none."""
    parser.epilog = _EPILOG
