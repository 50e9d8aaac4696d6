"""The profit bridge: what the bots report on Redis, exactly once and always current in Firebase."""
