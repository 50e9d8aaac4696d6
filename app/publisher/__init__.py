"""What a bot imports: `from app.publisher import RedisPublisher`.

This package imports nothing but redis-py and the standard library, runs on Python 3.9 or newer, and
works with redis-py 4.5 or newer.
"""

from app.publisher.errors import NotPublished, PublisherError, WrongPublisherSetting
from app.publisher.publisher import TIMEOUT, RedisPublisher
from app.publisher.sender import Published
from app.publisher.spool import Spool

__all__ = [
    "TIMEOUT",
    "NotPublished",
    "Published",
    "PublisherError",
    "RedisPublisher",
    "Spool",
    "WrongPublisherSetting",
]
