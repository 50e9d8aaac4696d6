"""The publisher reads the same settings as the bridge, with nothing of the bridge."""

from pathlib import Path

import pytest

from app.publisher import RedisPublisher, WrongPublisherSetting
from app.publisher.environment import Environment
from app.settings import load_settings


@pytest.fixture(autouse=True)
def nothing_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("REDIS_URL", "REDIS_URL_FILE", "PUBLISHER_SPOOL_PATH", "JOURNAL_LENGTH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_the_defaults_are_those_of_the_bridge() -> None:
    settings, environment = load_settings({}), Environment()
    assert environment.redis_url() == settings.redis_url
    assert environment.spool_folder() == settings.publisher_spool_path
    assert environment.journal_length() == settings.journal_length


def test_a_variable_goes_before_dotenv(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("REDIS_URL=redis://from-file:1/0\nJOURNAL_LENGTH=2000\n")
    monkeypatch.setenv("REDIS_URL", "redis://from-environment:1/0")
    environment = Environment()
    assert environment.redis_url() == "redis://from-environment:1/0"
    assert environment.journal_length() == 2000


def test_a_url_may_be_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("secret").write_text("redis://:secret@host:1/0\n")
    monkeypatch.setenv("REDIS_URL_FILE", "secret")
    assert Environment().redis_url() == "redis://:secret@host:1/0"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"REDIS_URL": "http://:word@x"}, r"^REDIS_URL=http://:\*\*\*@x: must look like redis://"),
        ({"REDIS_URL": "redis://x?a=1"}, "REDIS_URL=.*: takes no a"),
        ({"REDIS_URL": "redis://x", "REDIS_URL_FILE": "y"}, "REDIS_URL_FILE are both given"),
        ({"REDIS_URL_FILE": "absent"}, "^REDIS_URL_FILE=absent cannot be read: No such file"),
        ({"REDIS_URL_FILE": "empty"}, "^REDIS_URL_FILE=empty is empty"),
        ({"REDIS_URL_FILE": "wrong"}, "^REDIS_URL_FILE=wrong: must look like redis://"),
        ({"JOURNAL_LENGTH": "999"}, "^JOURNAL_LENGTH=999: must be a whole number from 1000"),
    ],
)
def test_a_wrong_variable_is_named_with_its_fix(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], text: str
) -> None:
    Path("empty").write_text("")
    Path("wrong").write_text("word")
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(WrongPublisherSetting, match=text):
        RedisPublisher()


def test_an_unreadable_dotenv_is_named() -> None:
    Path(".env").write_bytes(b"\xff")
    with pytest.raises(WrongPublisherSetting, match=r"^\.env cannot be read"):
        RedisPublisher()
