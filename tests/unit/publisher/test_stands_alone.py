"""The publisher can be taken out of this repository, and speaks the bridge's language."""

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.channels import RedisNames
from app.domain import read_report
from app.errors import WrongSetting
from app.messaging import append, connect, journal_name
from app.publisher import RedisPublisher, sender
from app.publisher.sender import Sender
from app.settings import load_settings
from app.timing import now_us
from tests.system import ROOT, report

FOLDER = ROOT / "app" / "publisher"
URL = "redis://127.0.0.1:1/3"
NAMES = RedisNames("")

IMPORTED = """
import sys
import app.publisher
print(*sorted(name.partition(".")[0] if not name.startswith("app.") else name
              for name in sys.modules if name not in sys.stdlib_module_names))
"""


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_its_syntax_is_that_of_python_3_9(path: Path) -> None:
    ast.parse(path.read_text(), feature_version=(3, 9))


def test_it_loads_nothing_of_the_bridge_and_only_redis_besides() -> None:
    found = subprocess.run(
        [sys.executable, "-c", IMPORTED], cwd=ROOT, capture_output=True, text=True, check=True
    )
    ours = {name for name in found.stdout.split() if name.startswith("app.")}
    assert {name for name in ours if not name.startswith("app.publisher")} == set()
    assert "msgspec" not in found.stdout.split()


class _Recorder:
    """Stands in for the sender."""

    def __init__(self) -> None:
        self.reports: list[bytes] = []
        self.others: list[tuple[str, bytes]] = []

    def send_report(self, message: bytes, deadline: float) -> None:
        self.reports.append(message)

    def send_other(self, channel: str, message: bytes, deadline: float) -> None:
        self.others.append((channel, message))


def recorded(tmp_path: Path, account: str = "") -> tuple[RedisPublisher, _Recorder]:
    made, recorder = RedisPublisher(URL, spool=tmp_path, account=account), _Recorder()
    made._sender = recorder  # type: ignore[assignment]
    return made, recorder


def test_channel_and_journal_are_named_as_in_the_bridge(tmp_path: Path) -> None:
    assert NAMES.profit_report == sender.PROFIT_REPORT
    assert NAMES.journal == sender.JOURNAL
    made, recorder = recorded(tmp_path)
    made.publish(NAMES.profit_report, report("SOFI", 1), "bot")
    (message,) = recorder.reports
    assert json.loads(message)["journal"] == journal_name(connect(URL), NAMES)


def test_an_account_comes_before_every_name_and_its_spool_is_a_folder_of_its_own(
    tmp_path: Path,
) -> None:
    names = RedisNames("paper")
    made, recorder = recorded(tmp_path, account="paper")
    for channel in ("PROFIT_REPORT", names.profit_report):
        made.publish(channel, report("SOFI", 1), "bot")
    for channel in ("TICKER_UPDATES_SOFI", names.updates_channel("SOFI")):
        made.publish(channel, {"type": "price"})
    assert [channel for channel, _ in recorder.others] == [names.updates_channel("SOFI")] * 2
    journals = {json.loads(message)["journal"] for message in recorder.reports}
    assert (len(recorder.reports), journals) == (2, {journal_name(connect(URL), names)})
    real = RedisPublisher(URL, spool=tmp_path, account="paper", timeout=0.01)
    assert real.publish("PROFIT_REPORT", report("SOFI", 1), "bot").spooled
    real.close()
    assert len(list((tmp_path / "paper").glob("*.spool"))) == 1
    assert not list(tmp_path.glob("*.spool"))


@pytest.mark.parametrize("account", ["", "paper", "Paper-1_b", "7"])
def test_it_takes_the_accounts_that_the_bridge_takes(account: str, tmp_path: Path) -> None:
    names = load_settings({"ACCOUNT": account}).names
    made = RedisPublisher(URL, spool=tmp_path, account=account)
    assert made._prefix == names.prefix


@pytest.mark.parametrize("account", ["2025", "TICKER_A", "a b", "-a", "a:", "a" * 33])
def test_it_refuses_the_accounts_that_the_bridge_refuses(account: str, tmp_path: Path) -> None:
    with pytest.raises(WrongSetting) as wrong:
        load_settings({"ACCOUNT": account})
    with pytest.raises(ValueError, match="must be 1 to 32 letters") as refused:
        RedisPublisher(URL, spool=tmp_path, account=account)
    assert str(refused.value) == str(wrong.value).replace("ACCOUNT=", "account=")


def test_a_report_is_journaled_with_the_command_of_the_bridge() -> None:
    pipeline = connect(URL).pipeline()
    append(pipeline, NAMES, b"message", 2000)
    ((expected, _),) = pipeline.command_stack
    made: Any = Sender.__new__(Sender)
    made._journal_length = 2000
    made._channel, made._journal = NAMES.profit_report, NAMES.journal
    multi, journaled, published, execute = made._transaction([b"message"])
    encode = connect(URL).get_encoder().encode
    assert [encode(word) for word in journaled] == [encode(word) for word in expected]
    assert published == ("PUBLISH", NAMES.profit_report, b"message")
    assert (multi, execute) == (("MULTI",), ("EXEC",))


def test_the_bridge_reads_what_is_published(tmp_path: Path) -> None:
    made, recorder = recorded(tmp_path)
    made.publish(NAMES.profit_report, report("SOFI", 12.5), "bot")
    made.publish("TICKER_UPDATES_SOFI", {"type": "price"})
    read, journal = read_report(recorder.reports[0], now_us())
    assert (read.symbol, read.sender) == ("SOFI", "bot")
    assert journal == journal_name(connect(URL), NAMES)
    ((channel, message),) = recorder.others
    assert channel == "TICKER_UPDATES_SOFI"
    assert json.loads(message).keys() == {"data", "timestamp", "sender"}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((b"PROFIT_REPORT", {}), "channel must be text, not b'PROFIT_REPORT'"),
        (("", {}), "channel must be text"),
        (("PROFIT_REPORT", "SOFI"), "message_data must be a dict, not 'SOFI'"),
        (("PROFIT_REPORT", None), "message_data must be a dict, not None"),
        (("PROFIT_REPORT", {}, 7), "sender must be text, not 7"),
    ],
)
def test_a_wrong_argument_of_publish_is_one_line_that_names_it(
    tmp_path: Path, arguments: tuple[Any, ...], text: str
) -> None:
    made, recorder = recorded(tmp_path)
    with pytest.raises(TypeError, match=f"^{text}"):
        made.publish(*arguments)
    assert not recorder.reports
    assert not recorder.others
