"""What happens to a file at the path of the daily JSON that cannot be used."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.accounting import DailyFiles, path_of, set_aside
from app.dev.processes import wait_until
from app.domain import ATOMS, Figures

DAY = 20_000
PATIENCE = 10.0


def unusable(folder: Path) -> Path:
    path = folder / "2025-05-15_profit.json"
    path.write_bytes(b"{torn")
    return path


def test_it_is_copied_and_stays_where_it_is_until_it_is_replaced(tmp_path: Path) -> None:
    path = unusable(tmp_path)
    aside = set_aside(path, until_replaced=True)
    assert path.read_bytes() == aside.read_bytes() == b"{torn"
    (tmp_path / "new").write_bytes(b"{}")
    (tmp_path / "new").replace(path)
    assert (path.read_bytes(), aside.read_bytes()) == (b"{}", b"{torn")


@pytest.mark.parametrize("has_links", [True, False])
def test_it_is_set_aside_also_where_the_file_system_has_no_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    if not has_links:
        monkeypatch.setattr("os.link", refuse)
    path = unusable(tmp_path)
    aside = set_aside(path, until_replaced=not has_links)
    assert not path.exists()
    assert aside.read_bytes() == b"{torn"


def refuse(*_arguments: object) -> None:
    raise OSError("no links here")


class Disk:
    """A disk whose syncing the test controls."""

    def __init__(self) -> None:
        self.syncs = 0
        self.is_full = False
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def sync(self, _file: int) -> None:
        self.syncs += 1
        self.may_go_on.wait(PATIENCE)
        if self.is_full:
            raise OSError(28, "No space left on device")


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr(os, "fsync", disk.sync)
    return disk


@pytest.fixture
def files(tmp_path: Path, disk: Disk) -> Iterator[DailyFiles]:
    files = DailyFiles(tmp_path)
    yield files
    disk.is_full = False
    disk.may_go_on.set()
    files.close(PATIENCE)


def test_a_full_disk_gets_one_copy_of_it_however_many_attempts_there_are(
    tmp_path: Path, disk: Disk, files: DailyFiles
) -> None:
    path = path_of(tmp_path, DAY)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"{torn")
    disk.is_full = True
    files.update({DAY: [("SOFI", Figures(ATOMS).shown(2))]})
    files.start()
    wait_until(lambda: disk.syncs > 2, PATIENCE, "some tries")
    assert path.read_bytes() == b"{torn"
    assert not list(path.parent.glob("*.unusable-*"))
    disk.is_full = False
    wait_until(lambda: path.read_bytes() != b"{torn", PATIENCE, "the file")
    (aside,) = path.parent.glob("*.unusable-*")
    assert aside.read_bytes() == b"{torn"


def test_a_change_right_after_it_was_written_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: DailyFiles
) -> None:
    path = path_of(tmp_path, DAY)
    right = Figures(ATOMS).shown(2)
    strange = iter([b"another program's", b"and again"])
    replace = Path.replace

    def replace_and_change(self: Path, target: Path) -> None:
        replace(self, target)
        if text := next(strange, b""):
            target.write_bytes(text)

    monkeypatch.setattr(Path, "replace", replace_and_change)
    files.update({DAY: [("SOFI", right)]})
    files.start()
    wait_until(lambda: path.exists() and right in path.read_bytes(), PATIENCE, "our file")


def test_close_reports_a_file_that_is_still_being_written(disk: Disk, files: DailyFiles) -> None:
    disk.may_go_on.clear()
    files.update({DAY: [("SOFI", Figures(ATOMS).shown(2))]})
    files.start()
    wait_until(lambda: disk.syncs > 0, PATIENCE, "the first try")
    assert not files.close(0.01)
    disk.may_go_on.set()
    assert files.close(PATIENCE)


def test_the_journal_may_be_trimmed_to_what_is_on_disk_also_while_changes_keep_coming(
    disk: Disk, files: DailyFiles
) -> None:
    disk.may_go_on.clear()
    files.update({DAY: [("SOFI", Figures(ATOMS).shown(2))]}, "1-0")
    files.start()
    wait_until(lambda: disk.syncs == 1, PATIENCE, "the first write")
    files.update({DAY: [("SOFI", Figures(2 * ATOMS).shown(2))]}, "2-0")
    assert files.written_position == "0-0"
    first, disk.may_go_on = disk.may_go_on, threading.Event()
    first.set()
    wait_until(lambda: disk.syncs == 2, PATIENCE, "the second write")
    assert files.written_position == "1-0"
    disk.may_go_on.set()
    wait_until(lambda: files.written_position == "2-0", PATIENCE, "the last change")


def test_the_journal_keeps_what_a_full_disk_does_not_have(disk: Disk, files: DailyFiles) -> None:
    disk.is_full = True
    files.update({DAY: [("SOFI", Figures(ATOMS).shown(2))]}, "1-0")
    files.start()
    wait_until(lambda: disk.syncs > 2, PATIENCE, "some tries")
    assert files.written_position == "0-0"
    disk.is_full = False
    wait_until(lambda: files.written_position == "1-0", PATIENCE, "the file")
