"""The ways that the bridge is compared with, each a separate program: `NAME REDIS_URL ...`."""
