"""A ledger of an older program is brought up to date whole, or left as it was."""

import json
import os
import shutil
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from app.accounting import FILE_NAME, Bookkeeper, Ledger, LedgerReader, read_rejected
from app.accounting.migration import bring_up_to_date, copy_of
from app.accounting.schema import VERSION
from app.domain import ATOMS, DAY, Figures
from app.errors import StopProgram

LEDGERS = Path(__file__).parents[2] / "ledgers"
"""Written by the programs that had these versions: six days with late reports, a day of snapshots,
an imported opening balance, rejected messages, repetitions, and a batch that was not published."""

EXPECTED: dict[str, Any] = json.loads((LEDGERS / "version_0.json").read_text())
MILLIONTH = ATOMS // 1_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(LEDGERS / "version_0.sqlite3", tmp_path / FILE_NAME)
    return tmp_path


def in_atoms(figures: dict[str, list[int]]) -> dict[str, Figures]:
    found = {}
    for symbol, (total, unrealized, realized, converted, timestamp_us) in figures.items():
        amounts = (amount * MILLIONTH for amount in (total, unrealized, realized, converted))
        found[symbol] = Figures(*amounts).plus(Figures(timestamp_us=timestamp_us))
    return found


def assert_has_everything(folder: Path) -> None:
    with closing(LedgerReader(folder)) as reader, reader.at_one_moment():
        for day, kind in EXPECTED["kinds"].items():
            assert reader.kind_of(int(day)) == kind
            assert reader.figures(int(day), kind) == in_atoms(EXPECTED["days"][day])
            assert reader.opening_balance(int(day)) == in_atoms(EXPECTED["opening"][day])
        assert reader.last_id() == EXPECTED["reports"]
    found = [[number, one.at, one.reason] for number, one in read_rejected(folder).items()]
    assert found == EXPECTED["rejected"]


def test_every_figure_of_an_older_ledger_is_the_same(folder: Path) -> None:
    ledger = Ledger(folder)
    assert ledger.journal_position == EXPECTED["positions"]["journal"]
    assert len(ledger.unpublished()) == EXPECTED["unpublished"]
    last = max(map(int, EXPECTED["days"]))
    bookkeeper = Bookkeeper(ledger, folder, "increment", lambda: last * DAY + DAY // 2)
    bookkeeper.open(lambda: "0-0")
    rendered = bookkeeper.rendered_at_start()
    for day, shown in EXPECTED["shown"].items():
        of_day = rendered.by_day[int(day)]
        assert {symbol: json.loads(fields) for symbol, fields in of_day} == shown
    ledger.close()
    assert_has_everything(folder)


def test_a_copy_of_an_older_ledger_stays_beside_it(folder: Path) -> None:
    Ledger(folder).close()
    copy = copy_of(folder / FILE_NAME, 0)
    with closing(sqlite3.connect(copy)) as kept, closing(_version_0()) as original:
        for table in ("report", "opening", "rejected", "position", "day", "sqlite_sequence"):
            select = f"SELECT * FROM {table} ORDER BY 1, 2"
            assert kept.execute(select).fetchall() == original.execute(select).fetchall()
        assert kept.execute("PRAGMA user_version").fetchone() == (0,)
    Ledger(folder).close()
    (folder / FILE_NAME).unlink()
    # What the runbook says of going back to the older program, and forward again.
    copy.rename(folder / FILE_NAME)
    Ledger(folder).close()
    assert_has_everything(folder)


def _version_0() -> sqlite3.Connection:
    return sqlite3.connect(f"{(LEDGERS / 'version_0.sqlite3').as_uri()}?immutable=1", uri=True)


def killed_after(folder: Path, ticks: int) -> bool:
    """Bring the ledger up to date in a process that is killed so far into it."""
    child = os.fork()
    if child == 0:
        db = sqlite3.connect(folder / FILE_NAME, isolation_level=None)
        left = iter(range(ticks))

        def tick() -> None:
            if next(left, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)

        db.set_progress_handler(tick, 50)
        bring_up_to_date(db, folder / FILE_NAME)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def test_killed_anywhere_the_ledger_is_of_one_version_and_complete(tmp_path: Path) -> None:
    versions = set()
    ticks, was_killed = 0, True
    while was_killed:
        folder = tmp_path / str(ticks)
        folder.mkdir()
        shutil.copy(LEDGERS / "version_0.sqlite3", folder / FILE_NAME)
        was_killed = killed_after(folder, ticks)
        with closing(sqlite3.connect(folder / FILE_NAME)) as db:
            versions.add(db.execute("PRAGMA user_version").fetchone()[0])
        Ledger(folder).close()
        assert_has_everything(folder)
        ticks += 13
    assert ticks > 130, "killed in fewer than ten places"
    assert versions == {0, VERSION}


def test_the_ids_of_reports_go_on_even_if_the_last_ones_were_deleted(folder: Path) -> None:
    with closing(sqlite3.connect(folder / FILE_NAME)) as db, db:
        db.execute("DELETE FROM report")
    Ledger(folder).close()
    with closing(sqlite3.connect(folder / FILE_NAME)) as db, db:
        db.execute(
            "INSERT INTO report (symbol, sender, at, total, unrealized, realized, converted, key, "
            "publication) VALUES ('SOFI', '', 1, 1, 1, 0, 0, '', 0)"
        )
        assert db.execute("SELECT id FROM report").fetchone()[0] > EXPECTED["reports"]


def test_a_ledger_that_was_never_finished_is_brought_up_to_date_too(folder: Path) -> None:
    with closing(sqlite3.connect(folder / FILE_NAME)) as db, db:
        for table in ("day", "opening", "rejected", "position"):
            db.execute(f"DROP TABLE {table}")
        db.execute("DELETE FROM report")
    Ledger(folder).close()
    with closing(LedgerReader(folder)) as reader:
        assert not reader.nearest_days(0)


def test_what_an_older_program_counted_does_not_count_again_with_digits_or_an_id(
    folder: Path,
) -> None:
    Ledger(folder).close()
    with closing(LedgerReader(folder)) as reader:
        *_, counted = reader.reports(max(map(int, EXPECTED["days"])))
    ledger = Ledger(folder)
    again = [counted._replace(key="001"), counted._replace(key="=7", publication=5)]
    others = [counted._replace(key="=8", total=counted.total + 1), counted._replace(sender="new")]
    outcomes = ledger.record([(one, b"") for one in again + others], [], "0-0", "")
    assert [outcome.value for outcome in outcomes] == ["repeated"] * 2 + ["counted"] * 2
    ledger.close()


def _newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")


def _of_another_program(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE song (title)")


def _no_database(path: Path) -> None:
    path.write_bytes(b"not a database at all, but long enough to be taken for one " * 99)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_newer, f"is of version {VERSION + 1}, newer than this program"),
        (_of_another_program, "is a database of another program, and no ledger"),
        (_no_database, "file is not a database"),
    ],
)
def test_what_is_no_ledger_that_we_know_is_refused_in_one_line_and_not_touched(
    folder: Path, spoil: Any, reason: str
) -> None:
    spoil(folder / FILE_NAME)
    before = (folder / FILE_NAME).read_bytes()
    for use in (Ledger, LedgerReader, read_rejected):
        with pytest.raises(StopProgram, match=reason) as refused:
            use(folder)
        assert len(str(refused.value).splitlines()) == 1
        assert str(folder / FILE_NAME) in str(refused.value)
    assert (folder / FILE_NAME).read_bytes() == before


def test_until_the_bridge_has_brought_it_up_to_date_readers_say_so(folder: Path) -> None:
    with pytest.raises(StopProgram, match=r"version 0, older than .*: start the bridge"):
        LedgerReader(folder)


def test_a_disk_that_takes_no_copy_leaves_the_old_ledger(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (folder / FILE_NAME).read_bytes()
    copy_of(folder / FILE_NAME, 0).mkdir()
    with pytest.raises(StopProgram, match=r"the ledger .* cannot be used: .*see python -m app"):
        Ledger(folder)
    assert (folder / FILE_NAME).read_bytes() == before
    assert not [path for path in folder.iterdir() if path.name.endswith(".tmp")]
