"""A health check for containers: `python app/monitoring/healthcheck.py URL` asks one URL.

Run as a file, and not with `-m`, it loads nothing of the project: it runs every few seconds.
"""

import sys
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

TIMEOUT = 5.0
"""Seconds."""

_MAX_SHOWN = 1000


def main(url: str) -> int:
    """Ask the URL, print a bad response for the health check's log, and return the exit code."""
    try:
        # Without a proxy: the URL is on this machine.
        with build_opener(ProxyHandler({})).open(url, timeout=TIMEOUT) as response:
            response.read(_MAX_SHOWN)
            return 0
    except HTTPError as error:
        text = error.read(_MAX_SHOWN).decode(errors="replace").strip()
        print(f"{error.code}: {text}")  # noqa: T201 - for people
    except OSError as error:
        print(f"no answer from {url}: {error}")  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
