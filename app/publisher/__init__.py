"""What a bot imports: `from app.publisher import RedisPublisher`."""

from app.publisher.publisher import TIMEOUT, RedisPublisher
from app.publisher.sender import Published

__all__ = ["TIMEOUT", "Published", "RedisPublisher"]
