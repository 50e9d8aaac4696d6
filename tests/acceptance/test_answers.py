"""Whatever Redis answers, its cause and fix are named, and no traceback is shown."""

import threading
from contextlib import suppress
from typing import Any

import pytest
import redis

from tests.system import System, wait_until

CAUSES = {
    "NOAUTH": "write the password that it asks for into REDIS_URL",
    "WRONGPASS": "correct the password in REDIS_URL",
    "NOPERM": "name a user in REDIS_URL that may do this",
    "MASTERDOWN": "name the primary in REDIS_URL: this is a replica that has lost it",
    "BUSY": "redis-cli SCRIPT KILL",
}


def cause(system: System, code: str) -> str:
    """Have Redis answer with this code from now on; return the REDIS_URL that meets it."""
    configure: Any = system.redis.config_set
    address = f"127.0.0.1:{system.redis_server.port}/0"
    if code in {"NOAUTH", "WRONGPASS"}:
        configure("requirepass", "secret")
        return f"redis://{'' if code == 'NOAUTH' else ':wrong@'}{address}"
    if code == "NOPERM":
        system.redis.execute_command("ACL", "SETUSER", "weak", "on", ">x", "+@connection")
        return f"redis://weak:x@{address}"
    if code == "MASTERDOWN":
        configure("replica-serve-stale-data", "no")
        system.redis.replicaof("127.0.0.1", 1)
    else:
        configure("busy-reply-threshold", 1)

        def block() -> None:
            with suppress(redis.RedisError):
                system.redis.eval("while true do end", 0)

        threading.Thread(target=block, daemon=True).start()
    url = f"redis://{address}"

    def answers_so() -> bool:
        with redis.Redis.from_url(url) as client, suppress(redis.TimeoutError):
            try:
                client.get("key")
            except redis.ResponseError:
                return True
        return False

    wait_until(answers_so, code)
    return url


@pytest.mark.parametrize("code", CAUSES)
def test_bridge_and_doctor_name_the_cause_of_an_answer(system: System, code: str) -> None:
    url = cause(system, code)
    bridge = system.run("-m", "app", "bridge", REDIS_URL=url)
    doctor = system.command("doctor", REDIS_URL=url)
    with suppress(redis.RedisError):
        system.redis.script_kill()
    assert CAUSES[code] in bridge.stderr, bridge.stderr
    assert "Traceback" not in bridge.stdout + bridge.stderr
    assert bridge.returncode == 1
    # A user that may not look into Redis may still be the right one for the bots and the bridge.
    found = "has no permissions to run" if code == "NOPERM" else CAUSES[code]
    assert found in doctor.stdout, doctor.stdout
    assert "start it" not in doctor.stdout.split("folder")[0]
