"""The bridge, with a main loop that hangs once a file is there: `bridge_that_hangs.py FILE`.

In production only something without a timeout hangs it, such as a disk. A test cannot have that.
"""

import sys
import time
from pathlib import Path

from app.__main__ import main
from app.monitoring import health

if __name__ == "__main__":
    sign, right = Path(sys.argv[1]), time.time_ns

    def hangs() -> int:
        while sign.exists():
            time.sleep(0.01)
        return right()

    # Read by the main loop in every turn, and by nobody who answers.
    time.time_ns = hangs
    health.HEARTBEAT_TIMEOUT = 1.0
    sys.exit(main(["bridge"]))
