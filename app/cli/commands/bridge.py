"""The long-running process between the bots and the workers. Wired together in `app.__main__`."""

import argparse

_EPILOG = """examples:
  python -m app bridge
  REDIS_URL=redis://:password@localhost:6379/0 python -m app bridge

It needs Redis and the folder PROFIT_BASE_PATH, and takes all else from its settings: see
python -m app show-config. SIGTERM or Ctrl-C ends it once it has counted what it received. There is
one bridge for a folder: a second one refuses to start."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It takes none."""
    parser.epilog = _EPILOG
