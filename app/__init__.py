"""The profit bridge: what the bots report on Redis, exactly once and always current in Firebase."""

__version__ = "0.1.0"
