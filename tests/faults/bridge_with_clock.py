"""The bridge on a machine whose clock is wrong: `bridge_with_clock.py SECONDS`."""

import sys
import time

from app.__main__ import main

if __name__ == "__main__":
    ahead, right = int(sys.argv[1]) * 1_000_000_000, time.time_ns
    time.time_ns = lambda: right() + ahead
    sys.exit(main(["bridge"]))
