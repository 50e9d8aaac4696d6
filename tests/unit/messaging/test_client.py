"""An error of Redis comes with what an operator can do about it."""

import pytest
import redis

from app.errors import RetryLater
from app.messaging import fix_for, reaching

_UNTRUSTED = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: "


@pytest.mark.parametrize(
    ("error", "fix"),
    [
        (redis.ConnectionError("Connection refused"), "start it, or correct --to"),
        (redis.AuthenticationError("WRONGPASS"), "correct the password in --to"),
        (redis.exceptions.ReadOnlyError("READONLY"), "name the primary in --to"),
        (redis.ResponseError("MISCONF Errors writing to the AOF file"), "free its disk"),
        (redis.exceptions.BusyLoadingError("Redis is loading the dataset in memory"), "wait: it"),
        (redis.ConnectionError("max number of clients reached"), "raise its maxclients"),
        (redis.ResponseError("CROSSSLOT Keys in request don't hash"), "on a Redis Cluster"),
        (redis.ResponseError("WRONGTYPE Operation against a key"), "a Redis of its own"),
        (redis.ResponseError("ERR something new"), "see its log: it is alive"),
        (redis.ConnectionError("Connection closed by server."), "start --to with rediss://"),
        (redis.ConnectionError("[SSL: WRONG_VERSION_NUMBER]"), "start --to with redis://"),
        (redis.ConnectionError(_UNTRUSTED + "unknown CA"), "name the file of its CA: --to=rediss"),
        (redis.ConnectionError(_UNTRUSTED + "Hostname mismatch"), "the host name that its"),
        (redis.ConnectionError(_UNTRUSTED + "Missing Key Identifier"), "authorityKeyIdentifier"),
        (redis.ConnectionError("version mismatch"), "start it, or correct --to"),
    ],
)
def test_each_error_has_its_own_fix(error: redis.RedisError, fix: str) -> None:
    assert fix in fix_for(error, "--to")


def test_a_failure_names_redis_without_its_password_and_the_fix() -> None:
    with pytest.raises(RetryLater) as failed, reaching("redis://:secret@h:1/0"):
        raise redis.ConnectionError("Connection refused.")
    assert str(failed.value) == (
        "cannot use Redis at redis://:***@h:1/0: Connection refused: start it, or correct REDIS_URL"
    )
