"""What a bot imports: `from app.publisher import RedisPublisher`."""

from app.publisher.publisher import TIMEOUT, RedisPublisher
from app.publisher.sender import Published
from app.publisher.spool import Spool

__all__ = ["TIMEOUT", "Published", "RedisPublisher", "Spool"]
