"""What a bot imports: `from app.publisher import RedisPublisher`.

This package imports nothing but redis-py and the standard library, runs on Python 3.9 or newer, and
works with redis-py 4.5 or newer.
"""

from .errors import NotPublished, PublisherError, WrongPublisherSetting
from .publisher import TIMEOUT, RedisPublisher
from .sender import Published
from .spool import Spool

__all__ = [
    "TIMEOUT",
    "NotPublished",
    "Published",
    "PublisherError",
    "RedisPublisher",
    "Spool",
    "WrongPublisherSetting",
]
