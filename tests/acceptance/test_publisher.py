"""A bot's reports arrive once and in order whatever Redis does, and it learns what happened."""

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis

from app.publisher import NotPublished, RedisPublisher
from tests.system import JOURNAL, PATIENCE, ROOT, System, now_text, report, wait_until

Make = Callable[..., RedisPublisher]

BOT = """
import sys
from app.publisher import RedisPublisher
from tests.system import report

first, last = int(sys.argv[1]), int(sys.argv[2])
publisher = RedisPublisher(timeout=0.3)
for number in range(first, last):
    result = publisher.publish("PROFIT_REPORT", report("SOFI", number), "bot")
    print(number, "spooled" if result.spooled else "sent", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def publishers(system: System) -> Iterator[Make]:
    """Makes publishers that share a spool folder, and closes them."""
    made: list[RedisPublisher] = []

    def make(url: str | None = None, timeout: float = 0.3) -> RedisPublisher:
        folder = system.folder / "spool"
        made.append(RedisPublisher(url or system.redis_server.url, spool=folder, timeout=timeout))
        return made[-1]

    yield make
    for publisher in made:
        publisher.close()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The bounds of every wait of the main thread for a connection."""
    found: list[float] = []
    real = threading.Condition.wait_for

    def counted(self: threading.Condition, holds: Any, timeout: float | None = None) -> Any:
        if threading.current_thread() is threading.main_thread() and not holds():
            found.append(timeout or 0)
        return real(self, holds, timeout)

    monkeypatch.setattr(threading.Condition, "wait_for", counted)
    return found


@pytest.fixture
def gate(system: System) -> Iterator["Gate"]:
    gate = Gate(system.redis_server.port)
    yield gate
    gate.close()


class Gate:
    """A way to Redis that can become half-open: it takes everything, and nothing comes of it."""

    def __init__(self, port: int) -> None:
        self.swallowed = b""
        self._port = port
        self._shut = False
        self._is_mute = False
        self._dead: set[Any] = set()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listening.getsockname()[1]}/0"
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listening, selectors.EVENT_READ)
        self._wake, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def shut(self) -> None:
        self._shut = True

    def open(self) -> None:
        """New connections work again; the old ones stay as they are, for ever."""
        self._shut = self._is_mute = False

    def be_mute(self) -> None:
        """Let everything through to Redis, and no answer to a transaction back."""
        self._shut, self._is_mute = False, True

    def close(self) -> None:
        self._wake.close()
        self._thread.join()

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._woken:
                    for other in list(self._selector.get_map().values()):
                        other.fileobj.close()  # type: ignore[union-attr]
                    return self._selector.close()
                if key.fileobj is self._listening:
                    self._accept()
                else:
                    self._pass_on(key.fileobj, key.data)

    def _pass_on(self, source: Any, target: Any) -> None:
        content = b""
        with suppress(OSError):
            content = source.recv(65536)
        if self._is_mute and b"EXEC" in content:
            self._dead.add(target)
        if self._shut or source in self._dead:
            self._dead |= {source, target}
            self.swallowed += content
        elif content:
            target.sendall(content)
        if not content:
            self._selector.unregister(source)
            if source not in self._dead:
                with suppress(OSError):
                    target.shutdown(socket.SHUT_WR)

    def _accept(self) -> None:
        near, _ = self._listening.accept()
        far = socket.create_connection(("127.0.0.1", self._port))
        self._selector.register(near, selectors.EVENT_READ, far)
        self._selector.register(far, selectors.EVENT_READ, near)


def journaled(system: System, symbol: str = "SOFI") -> list[float]:
    """The totals in the journal, in order, each the first time that it is there."""
    try:
        entries: Any = system.redis.xrange(JOURNAL)
    except redis.RedisError:
        return []
    reports = [json.loads(fields[b"message"])["data"] for _, fields in entries]
    return list(dict.fromkeys(data["total"] for data in reports if data["symbol"] == symbol))


def stop_redis(system: System) -> None:
    system.redis_server.signal(signal.SIGKILL)
    system.redis_server.wait(PATIENCE)


def spooled(system: System) -> list[Path]:
    """The files in the spool folder that the publishers of a test share."""
    return list((system.folder / "spool").glob("*"))


def start_bot(
    system: System, first: int, last: int, url: str | None = None
) -> "subprocess.Popen[str]":
    own = {"PUBLISHER_SPOOL_PATH": str(system.folder / "spool")}
    if url is not None:
        own["REDIS_URL"] = url
    return subprocess.Popen(
        [sys.executable, "-c", BOT, str(first), str(last)],
        env=system.environment | own,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def lines(bot: "subprocess.Popen[str]", count: int) -> list[str]:
    assert bot.stdout is not None
    return [bot.stdout.readline().strip() for _ in range(count)]


def kill(bot: "subprocess.Popen[str]") -> None:
    bot.send_signal(signal.SIGKILL)
    bot.communicate(timeout=PATIENCE)


def test_reports_made_while_redis_is_down_arrive_by_themselves_once_and_in_order(
    system: System, publishers: Make
) -> None:
    system.start_bridge()
    # It would drop from the journal what is counted by then.
    wait_until(lambda: "cmdstat_xtrim" in system.redis.info("commandstats"), "reconciliation")
    publisher = publishers()
    results = [publisher.publish("PROFIT_REPORT", report("SOFI", 1), "bot")]
    stop_redis(system)
    for number in range(2, 31):
        results.append(publisher.publish("PROFIT_REPORT", report("SOFI", number), "bot"))
    assert [result.spooled for result in results] == [False] + [True] * 29
    assert results == [1] + [0] * 29
    system.restart_redis()
    wait_until(lambda: system.total() == sum(range(31)), "all of them, though no more is published")
    assert journaled(system) == list(range(1, 31))
    wait_until(lambda: not spooled(system), "empty spool")
    assert not publisher.publish("PROFIT_REPORT", report("SOFI", 31), "bot").spooled
    wait_until(lambda: system.total() == sum(range(32)), "the one after")


def test_a_redis_that_was_paused_counts_what_it_may_have_taken_once_and_in_order(
    system: System, publishers: Make
) -> None:
    system.start_bridge()
    publisher = publishers()
    with system.listening() as listener:
        publisher.publish("PROFIT_REPORT", report("SOFI", 1), "bot")
        listener.wait_for(2)
        system.redis_server.signal(signal.SIGSTOP)
        for number in range(2, 10):
            # The first of these is in the socket of the paused Redis, and in the spool.
            assert publisher.publish("PROFIT_REPORT", report("SOFI", number), "bot").spooled
        system.redis_server.signal(signal.SIGCONT)
        heard = listener.wait_for(18)
    assert [body["data"]["total"] for _, body in heard][::2] == [
        sum(range(number + 1)) for number in range(1, 10)
    ]
    wait_until(lambda: system.total() == 45, "the file")


def test_a_half_open_redis_holds_up_one_publish_and_not_every_one(
    system: System, publishers: Make, gate: Gate, waits: list[float]
) -> None:
    publisher = publishers(gate.url)
    assert not publisher.publish("PROFIT_REPORT", report("SOFI", 1), "bot").spooled
    gate.shut()
    waits.clear()
    for number in range(2, 52):
        assert publisher.publish("PROFIT_REPORT", report("SOFI", number), "bot").spooled
        with pytest.raises(NotPublished):
            publisher.publish("TICKER_UPDATES_SOFI", {"type": "price", "price": 1.0})
    # Waiting for an answer begins with sending: only the first was sent. No other waited at all.
    assert waits == []
    assert gate.swallowed.count(b"XADD") == 1
    assert gate.swallowed.count(b"TICKER_UPDATES_SOFI") == 0
    gate.open()
    wait_until(lambda: journaled(system) == list(range(1, 52)), "all of them")
    system.start_bridge()
    wait_until(lambda: system.total() == sum(range(52)), "each once")


def test_a_redis_that_is_half_open_from_the_start_holds_up_one_publish(
    system: System, publishers: Make, gate: Gate, waits: list[float]
) -> None:
    gate.shut()
    publisher = publishers(gate.url)
    for number in range(50):
        assert publisher.publish("PROFIT_REPORT", report("SOFI", number), "bot").spooled
    assert len(waits) == 1
    assert waits[0] <= 0.3
    gate.open()
    wait_until(lambda: journaled(system) == list(range(50)), "all of them")


def test_a_killed_bot_leaves_its_reports_to_the_next_one(system: System) -> None:
    system.start_bridge()
    stop_redis(system)
    first = start_bot(system, 1, 6)
    assert lines(first, 5) == [f"{number} spooled" for number in range(1, 6)]
    kill(first)
    second = start_bot(system, 6, 8)
    assert lines(second, 2) == ["6 spooled", "7 spooled"]
    kill(second)
    third = start_bot(system, 8, 8)
    system.restart_redis()
    wait_until(lambda: system.total() == 28, "all, from a bot that has published nothing")
    assert journaled(system) == list(range(1, 8))
    kill(third)
    assert not spooled(system)


def test_a_bot_killed_between_sending_and_forgetting_doubles_nothing(
    system: System, gate: Gate
) -> None:
    gate.shut()
    bot = start_bot(system, 1, 251, gate.url)
    assert lines(bot, 250)[-1] == "250 spooled"
    gate.be_mute()
    wait_until(lambda: journaled(system) == list(range(1, 101)), "the first lot in the journal")
    kill(bot)
    gate.open()
    again = start_bot(system, 251, 252, gate.url)
    wait_until(lambda: journaled(system) == list(range(1, 252)), "the rest, and in order")
    kill(again)
    assert system.redis.xlen(JOURNAL) >= 251 + 100
    system.start_bridge()
    wait_until(lambda: system.total() == sum(range(252)), "each once")


def test_threads_that_share_a_publisher_lose_nothing_and_keep_each_its_order(
    system: System, publishers: Make
) -> None:
    publisher = publishers()
    results: list[bool] = []
    ready = threading.Barrier(5)

    def trade(symbol: str) -> None:
        for number in range(1, 101):
            if number in {30, 90}:
                ready.wait(PATIENCE)
            result = publisher.publish("PROFIT_REPORT", report(symbol, number), symbol)
            results.append(result.spooled)

    def reach_redis() -> bool:
        data = {"type": "price", "symbol": "SOFI", "price": 1.0}
        with suppress(NotPublished):
            return publisher.publish("TICKER_UPDATES_SOFI", data) == 0
        return False

    threads = [threading.Thread(target=trade, args=(f"S{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: ready.n_waiting == 4, "the first part")
    system.redis_server.signal(signal.SIGSTOP)
    ready.wait(PATIENCE)
    wait_until(lambda: any(results), "a report in the spool")
    system.redis_server.signal(signal.SIGCONT)
    wait_until(lambda: ready.n_waiting == 4, "the second part")
    wait_until(lambda: reach_redis() and not spooled(system), "Redis, and an empty spool")
    ready.wait(PATIENCE)
    for thread in threads:
        thread.join(PATIENCE)
    assert results[: 4 * 29] == [False] * 4 * 29
    assert results[-4 * 11 :] == [False] * 4 * 11
    for n in range(4):
        assert journaled(system, f"S{n}") == list(range(1, 101))
    system.start_bridge()
    wait_until(lambda: system.total() == 4 * 5050, "all of them, once each")


def test_a_bot_that_was_idle_while_redis_restarted_is_not_refused(
    system: System, publishers: Make
) -> None:
    publisher = publishers(timeout=5)
    publisher.publish("PROFIT_REPORT", report("SOFI", 1), "bot")
    stop_redis(system)
    system.restart_redis()
    assert not publisher.publish("PROFIT_REPORT", report("SOFI", 2), "bot").spooled
    assert publisher.publish("TICKER_UPDATES_SOFI", {"type": "price", "price": 1.0}) == 0
    assert not (system.folder / "spool").exists()


def test_a_price_is_not_kept_and_goes_through_again_once_redis_is_back(
    system: System, publishers: Make
) -> None:
    publisher = publishers()
    stop_redis(system)
    for _ in range(3):
        with pytest.raises(NotPublished, match=r"cannot use Redis at redis://127\.0\.0\.1"):
            publisher.publish("TICKER_UPDATES_SOFI", {"type": "price", "price": 1.0})
    assert not (system.folder / "spool").exists()
    system.restart_redis()

    def goes_through() -> bool:
        with suppress(NotPublished):
            return publisher.publish("TICKER_UPDATES_SOFI", {"type": "price"}) == 0
        return False

    wait_until(goes_through, "a price")


def test_a_report_that_redis_refuses_waits_until_it_does_not_and_prices_go_on(
    system: System, publishers: Make
) -> None:
    publisher = publishers()
    system.redis.set(JOURNAL, "no stream")
    assert publisher.publish("PROFIT_REPORT", report("SOFI", 1), "bot").spooled
    assert publisher.publish("PROFIT_REPORT", report("SOFI", 2), "bot").spooled
    assert publisher.publish("TICKER_UPDATES_SOFI", {"type": "price", "price": 1.0}) == 0
    system.redis.delete(JOURNAL)
    wait_until(lambda: journaled(system) == [1, 2], "both")


def test_a_report_that_cannot_be_spooled_either_fails_with_both_reasons(
    system: System, tmp_path: Path
) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("")
    publisher = RedisPublisher(system.redis_server.url, spool=blocked, timeout=0.3)
    stop_redis(system)
    data = report("SOFI", 1)
    with pytest.raises(NotPublished, match=r"cannot use Redis at .*blocked keeps nothing: "):
        publisher.publish("PROFIT_REPORT", data, "bot")
    system.restart_redis()

    def goes_through() -> bool:
        with suppress(NotPublished):
            return not publisher.publish("PROFIT_REPORT", data, "bot").spooled
        return False

    wait_until(goes_through, "the same report")
    assert journaled(system) == [1]
    publisher.close()


@pytest.mark.parametrize("amount", [float("nan"), float("inf")])
def test_what_is_no_json_is_refused_whatever_redis_does(
    system: System, publishers: Make, amount: float
) -> None:
    publisher = publishers()
    stop_redis(system)
    with pytest.raises(ValueError, match="JSON"):
        publisher.publish("PROFIT_REPORT", report("SOFI", amount), "bot")
    with pytest.raises(TypeError):
        publisher.publish("PROFIT_REPORT", report("SOFI", {1, 2}), "bot")
    assert not (system.folder / "spool").exists()


def test_a_spooled_report_arrives_as_it_was_published(system: System, publishers: Make) -> None:
    publisher = publishers()
    stop_redis(system)
    data = report("SOFI", 12.340000000000002, timestamp=now_text(), note="Köln\n")
    assert publisher.publish("PROFIT_REPORT", data, "bot").spooled
    system.restart_redis()
    wait_until(lambda: bool(journaled(system)), "the report")
    entries: Any = system.redis.xrange(JOURNAL)
    message = json.loads(entries[0][1][b"message"])
    assert message["data"] == data
    assert message["sender"] == "bot"
    assert message["journal"] == f"0:{JOURNAL}"


def test_a_bot_that_forks_shares_neither_connection_nor_spool_with_its_child(
    system: System,
) -> None:
    forking = """
import os, sys
from app.publisher import RedisPublisher
from tests.system import report

publisher = RedisPublisher(timeout=0.3)
publisher.publish("PROFIT_REPORT", report("SOFI", 1), "parent")
end, ending = os.pipe()
os.kill(int(sys.argv[1]), 19)
assert publisher.publish("PROFIT_REPORT", report("SOFI", 2), "parent").spooled
child = os.fork()
if not child:
    assert publisher.publish("PROFIT_REPORT", report("AMD", 1), "child").spooled
    print(len(os.listdir(os.environ["PUBLISHER_SPOOL_PATH"])), flush=True)
    os.close(ending)
    os.read(end, 1)
    os._exit(0)
print(sys.stdin.readline().strip(), flush=True)
os.kill(int(sys.argv[1]), 18)
publisher.publish("PROFIT_REPORT", report("SOFI", 3), "parent")
sys.stdin.read()
os.close(ending)
assert os.waitpid(child, 0)[1] == 0
"""
    bot = subprocess.Popen(
        [sys.executable, "-c", forking, str(system.redis_server.pid)],
        env=system.environment | {"PUBLISHER_SPOOL_PATH": str(system.folder / "spool")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert bot.stdin is not None
    assert lines(bot, 1) == ["2"]  # files
    bot.stdin.write("go on\n")
    bot.stdin.flush()
    assert lines(bot, 1) == ["go on"]
    wait_until(lambda: journaled(system) == [1, 2, 3], "what the parent published")
    wait_until(lambda: journaled(system, "AMD") == [1], "what the child published")
    bot.communicate(timeout=PATIENCE)
    assert bot.returncode == 0
    assert system.redis.xlen(JOURNAL) == 5  # 2 was sent before the pause, and again


def test_a_publisher_that_is_closed_leaves_no_thread_and_its_spool_to_the_next(
    system: System, publishers: Make
) -> None:
    before = set(threading.enumerate())
    publisher = publishers(timeout=3)
    stop_redis(system)
    assert publisher.publish("PROFIT_REPORT", report("SOFI", 1), "bot").spooled
    assert set(threading.enumerate()) > before
    publisher.close()
    assert set(threading.enumerate()) == before
    system.restart_redis()
    publishers()
    wait_until(lambda: journaled(system) == [1], "the report")


def test_a_publisher_in_the_happy_path_has_no_thread_and_no_file(
    system: System, publishers: Make
) -> None:
    before = set(threading.enumerate())
    publisher = publishers()
    publisher.publish("PROFIT_REPORT", report("SOFI", 1), "bot")
    wait_until(lambda: set(threading.enumerate()) == before, "no thread")
    assert not (system.folder / "spool").exists()


def test_a_bound_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="timeout must be above 0"):
        RedisPublisher("redis://localhost:1/0", spool=os.devnull, timeout=0)
