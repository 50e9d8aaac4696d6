"""The spool keeps what it has taken, in order, whatever happens to the process or the disk."""

import errno
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.publisher import NotPublished, Spool
from tests.system import PATIENCE, ROOT

APPENDING = """
import sys
from pathlib import Path
from app.publisher.spool import Spool

spool = Spool(Path(sys.argv[1]), "redis-6379-0")
for number in range(1_000_000):
    spool.append(b"%d %s" % (number, b"x" * (number * 37 % 5000)))
    print(number, flush=True)
"""


def spool(folder: Path, target: str = "redis-6379-0", **options: int) -> Spool:
    return Spool(folder, target, **options)


def waiting(spool: Spool) -> list[bytes]:
    return spool.oldest(len(spool))


def the_file(folder: Path) -> Path:
    (path,) = folder.glob("*.spool")
    return path


def left_behind(folder: Path, *messages: bytes) -> Path:
    """The file of a process that has ended."""
    before = set(folder.glob("*.spool"))
    first = spool(folder)
    for message in messages:
        first.append(message)
    first.close()
    (path,) = set(folder.glob("*.spool")) - before
    return path


def test_messages_come_out_in_the_order_they_went_in(tmp_path: Path) -> None:
    own = spool(tmp_path)
    for number in range(10):
        own.append(b"%d" % number)
    assert own.oldest(3) == [b"0", b"1", b"2"]
    own.drop(4)
    own.append(b"10")
    assert waiting(own) == [b"%d" % number for number in range(4, 11)]


def test_an_empty_spool_leaves_no_file_and_no_folder(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there"
    own = spool(folder)
    assert own.take_over() == 0
    assert not folder.exists()
    own.append(b"1")
    own.drop(1)
    assert list(folder.iterdir()) == []
    own.append(b"2")
    assert waiting(own) == [b"2"]


def test_what_is_dropped_stays_dropped_for_the_next_process(tmp_path: Path) -> None:
    first = spool(tmp_path)
    for number in range(5):
        first.append(b"%d" % number)
    first.drop(2)
    first.close()
    second = spool(tmp_path)
    assert second.take_over() == 3
    assert waiting(second) == [b"2", b"3", b"4"]
    second.append(b"5")
    assert waiting(second) == [b"2", b"3", b"4", b"5"]


@pytest.mark.parametrize("moment", range(4))
def test_a_process_killed_in_mid_append_loses_nothing_that_append_confirmed(
    tmp_path: Path, moment: int
) -> None:
    bot = subprocess.Popen(
        [sys.executable, "-c", APPENDING, str(tmp_path)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert bot.stdout is not None
    for _ in range(random.Random(moment).randrange(1, 200)):
        bot.stdout.readline()
    bot.send_signal(signal.SIGKILL)
    confirmed = [
        line for line in bot.stdout.read().splitlines(keepends=True) if line.endswith("\n")
    ]
    assert bot.wait(PATIENCE) == -signal.SIGKILL
    next_one = spool(tmp_path)
    next_one.take_over()
    numbers = [int(message.split()[0]) for message in waiting(next_one)]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > (int(confirmed[-1]) if confirmed else 0)


def test_a_torn_last_record_costs_no_other(tmp_path: Path) -> None:
    path = left_behind(tmp_path, b"first", b"second", b"the third one")
    whole = path.read_bytes()
    for length in range(whole.index(b"second") + len(b"second\n"), len(whole)):
        path.write_bytes(whole[:length])
        next_one = spool(tmp_path)
        assert next_one.take_over() == 2, length
        assert waiting(next_one) == [b"first", b"second"]
        next_one.close()


@pytest.mark.parametrize("length", [0, 10, 21])
def test_a_file_that_was_just_begun_is_no_obstacle(tmp_path: Path, length: int) -> None:
    path = left_behind(tmp_path, b"first")
    path.write_bytes(path.read_bytes()[:length])
    next_one = spool(tmp_path)
    assert next_one.take_over() == 0
    next_one.append(b"second")
    assert waiting(next_one) == [b"second"]


def test_a_damaged_record_is_left_to_a_person_and_the_others_are_sent(tmp_path: Path) -> None:
    path = left_behind(tmp_path, b"first", b"second", b"third")
    path.write_bytes(path.read_bytes().replace(b"second", b"secand"))
    next_one = spool(tmp_path)
    next_one.take_over()
    assert waiting(next_one) == [b"first", b"third"]
    next_one.drop(2)
    (aside,) = tmp_path.iterdir()
    assert aside.name.endswith(".damaged")
    assert b"secand" in aside.read_bytes()
    assert spool(tmp_path).take_over() == 0


def test_a_full_spool_says_so_and_takes_more_once_it_has_room(tmp_path: Path) -> None:
    own = spool(tmp_path, limit=200)
    message = b"x" * 50
    own.append(message)
    own.append(message)
    with pytest.raises(NotPublished, match=r"spool .* is full: it holds 2 reports.*200 bytes"):
        own.append(message)
    assert waiting(own) == [message] * 2
    assert the_file(tmp_path).stat().st_size <= 200
    own.drop(2)
    own.append(message)
    assert waiting(own) == [message]


def test_the_bound_holds_over_restarts(tmp_path: Path) -> None:
    left_behind(tmp_path, b"x" * 100)
    next_one = spool(tmp_path, limit=200)
    next_one.take_over()
    with pytest.raises(NotPublished, match="is full"):
        next_one.append(b"x" * 50)


def test_a_disk_that_is_full_in_mid_append_is_reported_and_harms_no_other_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = spool(tmp_path)
    own.append(b"first")

    def half(number: int, content: bytes, place: int, write=os.pwrite) -> int:  # type: ignore[no-untyped-def]
        if len(content) < 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        return int(write(number, content[: len(content) // 2], place))

    with monkeypatch.context() as full:
        full.setattr("app.publisher.spool.os.pwrite", half)
        with pytest.raises(NotPublished, match=r"keeps nothing: No space left on device"):
            own.append(b"second, which is too long")
    own.append(b"third")
    own.close()
    next_one = spool(tmp_path)
    next_one.take_over()
    assert waiting(next_one) == [b"first", b"third"]
    next_one.drop(2)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotPublished, match=r"file.*keeps nothing: Not a directory"):
        spool(tmp_path / "file" / "spool").append(b"1")


def test_it_says_where_the_reports_are_once_for_each_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    own = spool(Path("below"))
    own.append(b"1")
    own.append(b"2")
    assert caplog.messages == [f"reports_spooled file={the_file(tmp_path / 'below')}"]


def test_a_folder_that_is_read_only_is_known_before_it_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    spool(tmp_path / "not" / "there").take_over()
    assert caplog.messages == []
    asked = []
    monkeypatch.setattr("os.access", lambda path, mode: asked.append(path))  # root may write
    spool(tmp_path / "not" / "there").take_over()
    assert asked == [tmp_path]
    (line,) = caplog.messages
    assert f"spool_not_writable folder={tmp_path}/not/there " in line


def test_two_writers_in_one_folder_leave_each_other_alone(tmp_path: Path) -> None:
    one, other = spool(tmp_path), spool(tmp_path)
    for number in range(20):
        (one if number % 2 else other).append(b"%d" % number)
    assert one.take_over() == other.take_over() == 0
    other.drop(10)
    assert waiting(one) == [b"%d" % number for number in range(1, 20, 2)]


def test_a_process_that_lives_keeps_its_file_and_one_that_is_killed_leaves_it(
    tmp_path: Path,
) -> None:
    bot = subprocess.Popen(
        [sys.executable, "-c", APPENDING, str(tmp_path)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    assert bot.stdout is not None
    bot.stdout.readline()
    bot.send_signal(signal.SIGSTOP)
    other = spool(tmp_path)
    assert other.take_over() == 0
    bot.send_signal(signal.SIGKILL)
    bot.wait(PATIENCE)
    assert other.take_over() >= 1
    bot.stdout.close()


def test_what_waits_for_one_redis_is_not_taken_for_another(tmp_path: Path) -> None:
    left_behind(tmp_path, b"1")
    assert spool(tmp_path, "redis-6379-1").take_over() == 0
    assert spool(tmp_path).take_over() == 1


def test_the_oldest_of_several_files_comes_first(tmp_path: Path) -> None:
    left_behind(tmp_path, b"1", b"2")
    left_behind(tmp_path, b"3")
    next_one = spool(tmp_path)
    next_one.take_over()
    next_one.append(b"4")
    assert waiting(next_one) == [b"1", b"2", b"3", b"4"]
    next_one.drop(3)
    assert waiting(next_one) == [b"4"]
    assert len(list(tmp_path.iterdir())) == 1
