"""Messages that bots and brokers in the field really send, each with what is right.

One JSON object a line: `channel`; `message`, an object or, where it is no JSON, text, or several
`messages`; `right`, in words. For tests that go through all lines: `counts`, the total that the
message adds, or `reason`, a pattern of why it is refused; `totals`, what `messages` add by symbol,
and `refused`, a pattern of why one of them is. `@now` and the like stand for times.
"""

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


def cases(name: str) -> Iterator[dict[str, Any]]:
    """Yield the lines of a file. The message of each, if it has one, is text with its times."""
    for line in (FOLDER / f"{name}.jsonl").read_text().splitlines():
        case = json.loads(line)
        if "message" in case:
            case["message"] = timed(case["message"])
        case["messages"] = [timed(message) for message in case.get("messages", ())]
        yield case


def timed(message: Any) -> str:
    """Return a message as text, with times of the moment in the places of their names."""
    text = message if isinstance(message, str) else json.dumps(message)
    return re.sub(r'"@([^"]*)"', lambda found: _time(found[1]), text)


def _time(name: str) -> str:
    now = datetime.now(UTC)
    if name == "local":
        return json.dumps(datetime.now().isoformat(timespec="milliseconds"))
    if name == "epoch text":
        return json.dumps(f"{time.time():.6f}")
    if name.startswith("epoch "):
        # Whole, but for seconds, of which two reports must not share one.
        factor = int(name.removeprefix("epoch "))
        return str(time.time() if factor == 1 else time.time_ns() * factor // 10**9)
    if name.startswith("today "):
        # Yesterday's, which is past at any time of the day.
        return json.dumps(f"{(now - timedelta(days=1)).date()}T{name.removeprefix('today ')}")
    ahead = re.match(r"now(?:([+-]\d+)([hs]))?", name)
    assert ahead, name
    if ahead[1]:
        now += int(ahead[1]) * timedelta(**{"hours" if ahead[2] == "h" else "seconds": 1})
    if name.endswith(" naive"):
        return json.dumps(now.replace(tzinfo=None).isoformat(" "))
    return json.dumps(now.isoformat())
