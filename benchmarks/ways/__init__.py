"""The ways that the bridge is compared with, each a program of its own: `NAME REDIS_URL ...`."""
