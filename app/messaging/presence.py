"""Which bridges hear the same reports on one Redis.

Each bridge subscribes to a channel on which nobody publishes, named after its database and its
ledger. `PUBSUB CHANNELS` lists the channels of all of them, in whichever database they are, because
pub/sub knows no databases. A bridge that restarts has the same channel as before, and so has a
standby with a copy of its ledger.
"""

from typing import Any

import redis

from app.channels import RedisNames
from app.messaging.client import database_of

SAME_REPORTS = (
    "each counts all reports, since pub/sub ignores database numbers: stop all but one, "
    "or set ACCOUNT for one of the deployments (its bridge, workers, commands and bots)"
)
"""What is wrong if there are several bridges, and the fix."""


def listening_bridges(client: redis.Redis, names: RedisNames) -> dict[str, str]:
    """Return the database number of each bridge that hears this account, by its channel."""
    found: Any = client.pubsub_channels(f"{names.bridges}*")
    channels = [channel.decode() for channel in found]
    return {name: name.removeprefix(names.bridges).partition(":")[0] for name in channels}


class Presence:
    """What a bridge shows of itself to others, and sees of them.

    Args:
        client: Its Redis.
        names: The names there.
        identity: What names its ledger.
    """

    def __init__(self, client: redis.Redis, names: RedisNames, identity: str) -> None:
        self._client = client
        self._names = names
        self.channel = f"{names.bridges}{database_of(client)}:{identity}"
        """To be subscribed to."""

    def others(self) -> dict[str, str]:
        """Return the other bridges, as `listening_bridges` does; none if Redis may not be asked.

        Raises:
            redis.RedisError: Redis does not answer.
        """
        try:
            found = listening_bridges(self._client, self._names)
        except redis.ResponseError:
            return {}
        found.pop(self.channel, None)
        return found
