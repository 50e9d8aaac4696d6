"""The stores that Firebase refused for good, as `LatestValueRegister.keep_failed` keeps them."""

import json
from collections.abc import Collection
from typing import Any

from app.channels import FAILED_STORES
from app.messaging import connect, reaching


def read_failed(url: str) -> list[dict[str, Any]]:
    """All of them, newest first, each with an `id` that stays.

    Raises:
        RetryLater: Redis cannot be reached.
    """
    with reaching(url), connect(url) as client:
        entries: Any = client.lrange(FAILED_STORES, 0, -1)
    return [json.loads(entry) for entry in entries]


def remove_failed(url: str, ids: Collection[str]) -> None:
    """Strike some off the list; an id that is not there is nothing to do.

    Raises:
        RetryLater: Redis cannot be reached; perhaps some are struck off.
    """
    with reaching(url), connect(url) as client:
        entries: Any = client.lrange(FAILED_STORES, 0, -1)
        # By content: others may be added at any moment, so that no place in the list stays.
        for entry in entries:
            if json.loads(entry)["id"] in ids:
                client.lrem(FAILED_STORES, 0, entry.decode())
