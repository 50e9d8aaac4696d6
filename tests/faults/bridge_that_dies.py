"""The bridge, killing itself right after a named step: `bridge_that_dies.py STEP N`.

The steps are wrapped from outside, so the program itself knows nothing of them.
"""

import functools
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from app.__main__ import main
from app.accounting import DailyFiles, Ledger
from app.bridge import PerformancePublisher
from app.delivery import Dispatcher
from app.messaging import Subscription

STEPS: dict[str, tuple[type, str]] = {
    "receive": (Subscription, "receive"),
    "commit": (Ledger, "record"),
    "file": (DailyFiles, "_write_dirty"),
    "send": (PerformancePublisher, "send"),
    "publish": (PerformancePublisher, "confirm"),
    "dispatch": (Dispatcher, "_dispatch"),
}


def dies_after(method: Callable[..., Any], calls: int) -> Callable[..., Any]:
    left = calls

    @functools.wraps(method)
    def wrapped(*args: Any, **options: Any) -> Any:
        nonlocal left
        result = method(*args, **options)
        # Waiting in vain is no step.
        if result or result is None or result is False:
            left -= 1
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return result

    return wrapped


if __name__ == "__main__":
    owner, name = STEPS[sys.argv[1]]
    setattr(owner, name, dies_after(getattr(owner, name), int(sys.argv[2])))
    sys.exit(main(["bridge"]))
