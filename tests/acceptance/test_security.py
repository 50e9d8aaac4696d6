"""What docs/security.md says that a bot, a listener or a stolen password can and cannot do."""

import base64
import json
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.exceptions import NoPermissionError

from app.dev.processes import Process
from app.dev.redis_server import RedisServer, start_redis
from app.messaging import connect
from app.publisher import RedisPublisher
from tests.system import JOURNAL, ROOT, System, envelope, now_text, report, run_here, wait_until

USERS = ROOT / "docs" / "redis-users.acl"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis with the users of the documentation; the test is the administrator."""
    folder = tmp_path_factory.mktemp("guarded")
    users = folder / "users.acl"
    users.write_text(USERS.read_text().replace(">ADMIN-PASSWORD", "nopass"))
    server = start_redis(folder, options=("--aclfile", str(users)))
    yield server
    server.end()


def url_of(server: RedisServer, user: str) -> str:
    return f"redis://{user}:{user.upper()}-PASSWORD@127.0.0.1:{server.port}/0"


def allowed(client: Any, *words: Any) -> bool:
    try:
        client.execute_command(*words)
    except NoPermissionError:
        return False
    return True


def test_a_command_of_a_user_who_may_not_asks_for_another_user(guarded: RedisServer) -> None:
    done = run_here({"REDIS_URL": url_of(guarded, "bot")}, "report", "F", "--realized=1", "--wait")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.endswith(": name a user in REDIS_URL that may do this\n")
    assert "BOT-PASSWORD" not in done.stderr
    findings = json.loads(
        run_here({"REDIS_URL": url_of(guarded, "bot")}, "doctor", "--json").stdout
    )
    assert [one["name"] for one in findings if one["status"] == "FAIL"] == []
    with redis.Redis.from_url(guarded.url) as admin:
        admin.acl_log_reset()


def test_a_report_that_waits_in_the_spool_says_so(guarded: RedisServer, tmp_path: Path) -> None:
    given = {"REDIS_URL": url_of(guarded, "listener"), "PUBLISHER_SPOOL_PATH": str(tmp_path)}
    done = run_here(given, "report", "F", "--realized=1", "--wait", "0.5")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"it is kept in {tmp_path}" in done.stderr
    with redis.Redis.from_url(guarded.url) as admin:
        admin.acl_log_reset()


def test_a_bot_can_report_and_nothing_else(guarded: RedisServer, tmp_path: Path) -> None:
    with redis.Redis.from_url(guarded.url) as admin:
        admin.flushall()
        publisher = RedisPublisher(url_of(guarded, "bot"), spool=tmp_path)
        assert not publisher.publish("PROFIT_REPORT", report(), sender="scale_t").spooled
        price = {"type": "price", "symbol": "SOFI", "price": 1, "timestamp": now_text()}
        assert not publisher.publish("TICKER_UPDATES_SOFI", price).spooled
        publisher.close()
        assert admin.xlen(JOURNAL) == 1
        assert not admin.execute_command("ACL", "LOG")
        # What it can do to others.
        with connect(url_of(guarded, "bot")) as bot:
            bot.xadd(JOURNAL, {"message": "x"}, maxlen=1, approximate=False)
        assert admin.xlen(JOURNAL) == 1

    with redis.Redis.from_url(url_of(guarded, "bot")) as bot:
        for words in (
            ("XRANGE", JOURNAL, "-", "+"), ("XREAD", "STREAMS", JOURNAL, "0"), ("DEL", JOURNAL),
            ("XTRIM", JOURNAL, "MAXLEN", 0), ("XADD", "profit-bridge:other", "*", "message", "x"),
            ("PUBLISH", "TICKER_PERFORMANCE_SOFI", "x"), ("SUBSCRIBE", "PROFIT_REPORT"),
            ("LPUSH", "profit-bridge", "a task"), ("SET", "profit-bridge:revision", 1),
            ("GET", "profit-bridge:revision"), ("EVAL", "return 1", 0), ("KEYS", "*"),
            ("FLUSHALL",), ("CONFIG", "GET", "*"), ("ACL", "LIST"), ("CLIENT", "LIST"),
        ):  # fmt: skip
            assert not allowed(bot, *words), words


def test_a_listener_can_listen_and_nothing_else(guarded: RedisServer) -> None:
    with redis.Redis.from_url(url_of(guarded, "listener")) as listener:
        with listener.pubsub() as heard:
            heard.subscribe("TICKER_PERFORMANCE_SOFI", "PROFIT_REPORT")
            heard.psubscribe("TICKER_PERFORMANCE_*", "TICKER_UPDATES_*")
            for _ in range(4):
                heard.get_message(timeout=5)
            with redis.Redis.from_url(guarded.url) as admin:
                admin.publish("TICKER_UPDATES_SOFI", "x")
            wait_until(
                lambda: (heard.get_message(timeout=0.1) or {}).get("data") == b"x", "a message"
            )
        for words in (
            ("PUBLISH", "PROFIT_REPORT", "x"), ("XADD", JOURNAL, "*", "message", "x"),
            ("XRANGE", JOURNAL, "-", "+"), ("GET", "x"), ("LPUSH", "profit-bridge", "a task"),
            ("SUBSCRIBE", "/0.celeryev/task.sent"),
        ):  # fmt: skip
            assert not allowed(listener, *words), words


def test_a_password_is_changed_while_bots_go_on(guarded: RedisServer) -> None:
    old, new = (
        connect(f"redis://bot:{word}@127.0.0.1:{guarded.port}/0")
        for word in ("BOT-PASSWORD", "changed")
    )
    with redis.Redis.from_url(guarded.url) as admin, old, new:
        admin.execute_command("ACL", "SETUSER", "bot", ">changed")
        assert old.ping()
        assert new.ping()
        admin.execute_command("ACL", "SETUSER", "bot", "<BOT-PASSWORD")
        admin.execute_command("CLIENT", "KILL", "USER", "bot")
        assert new.ping()
        with pytest.raises(redis.AuthenticationError):
            old.ping()
        admin.execute_command("ACL", "SAVE")
        admin.execute_command("ACL", "SETUSER", "bot", ">BOT-PASSWORD")


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system of which every program is the user that the documentation has for it."""
    system = System(tmp_path_factory.mktemp("system"))
    try:
        for line in USERS.read_text().splitlines()[1:]:
            system.redis.execute_command("ACL", "SETUSER", *line.split()[1:])
        system.environment["REDIS_URL"] = url_of(system.redis_server, "bridge")
        system.start_bridge()
        system.start_worker()
        yield system
    finally:
        system.close()


def process(system: System, name: str) -> Process:
    return [each for each in system.processes if each.name == name][-1]


def test_the_whole_system_runs_as_a_user_that_cannot_administer(system: System) -> None:
    system.report("SOFI", 5)
    wait_until(lambda: bool(system.firebase.get("services/SOFI")), "a stored figure")
    doctor = system.command("doctor")
    assert doctor.returncode == 0, doctor.stdout
    assert not system.redis.execute_command("ACL", "LOG")
    with redis.Redis.from_url(system.environment["REDIS_URL"]) as client:
        for words in (("FLUSHALL",), ("CONFIG", "SET", "dir", "/"), ("ACL", "LIST")):
            assert not allowed(client, *words), words


def test_a_pickled_task_is_refused_and_runs_nothing(system: System) -> None:
    trace = system.folder / "ran"
    worker = process(system, "worker")
    system.redis.lpush("profit-bridge", json.dumps(pickled_task(f"touch {trace}")))
    wait_until(lambda: "Refusing to deserialize" in worker.log.read_text(), "a refusal")
    system.report("AMD")
    wait_until(lambda: bool(system.firebase.get("services/AMD")), "the next task's value")
    assert not trace.exists()


def test_a_journal_whose_positions_a_bot_used_up_is_started_again(system: System) -> None:
    """The most that a bot can break for others; the fix is the one of docs/security.md."""
    bot = url_of(system.redis_server, "bot")
    with redis.Redis.from_url(bot) as client:
        last = f"{2**64 - 1}-{2**64 - 1}"
        client.execute_command("XADD", JOURNAL, last, "message", envelope(report("F", 1)))
    publisher = RedisPublisher(bot, spool=system.folder / "spool")
    assert publisher.publish("PROFIT_REPORT", report("NVDA", 7), sender="scale_t").spooled
    process(system, "bridge").end()
    system.redis.delete(JOURNAL)
    system.start_bridge()
    wait_until(lambda: "NVDA" in system.daily_file(), "what was spooled")
    publisher.close()


class _Command:
    def __init__(self, command: str) -> None:
        self._command = command

    def __reduce__(self) -> Any:
        return os.system, (self._command,)


def pickled_task(command: str) -> dict[str, Any]:
    """A Celery message that would run a command of the shell, were it unpickled."""
    body = base64.b64encode(pickle.dumps(((_Command(command),), {}, {}))).decode()
    return {
        "body": body,
        "content-encoding": "binary",
        "content-type": "application/x-python-serialize",
        "headers": {"lang": "py", "task": "tasks.store_performance", "id": "x", "root_id": "x"},
        "properties": {
            "correlation_id": "x", "delivery_mode": 2, "delivery_tag": "x", "priority": 0,
            "delivery_info": {"exchange": "", "routing_key": "profit-bridge"},
            "body_encoding": "base64",
        },
    }  # fmt: skip
