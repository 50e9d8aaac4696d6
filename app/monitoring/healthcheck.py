"""A health check: `python -m app.monitoring.healthcheck URL` fails unless the URL answers well."""

import sys
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

WITHIN = 5.0
"""Seconds."""

_MOST_SHOWN = 1000


def main(url: str) -> int:
    """Ask, and print the answer for whoever looks at the health check's log; the exit code."""
    try:
        # Not through a proxy: it is this machine that is asked.
        with build_opener(ProxyHandler({})).open(url, timeout=WITHIN) as answer:
            answer.read(_MOST_SHOWN)
            return 0
    except HTTPError as error:
        said = error.read(_MOST_SHOWN).decode(errors="replace").strip()
        print(f"{error.code}: {said}")  # noqa: T201 - for people
    except OSError as error:
        print(f"no answer from {url}: {error}")  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
