"""A wrong setting is one line that names the variable and the fix."""

from pathlib import Path

import pytest

from app.errors import WrongSetting
from app.settings import described, load_settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ACCOUNT", "paper:"),
        ("ACCOUNT", "paper account"),
        ("ACCOUNT", "p" * 33),
        ("ACCOUNT", "pápier"),
        ("ACCOUNT", "-paper"),
        ("ACCOUNT", "2025"),
        ("ACCOUNT", "TICKER_UPDATES_SOFI"),
        ("REDIS_URL", "localhost:6379"),
        ("REDIS_URL", "http://localhost"),
        ("REDIS_URL", "redis://localhost:port/0"),
        ("REDIS_URL", "redis://localhost:6379/zero"),
        ("CELERY_BROKER_URL", "amqp://localhost"),
        ("FIREBASE_DATABASE_URL", "my-database"),
        ("FIREBASE_DATABASE_URL", "http://my-database.firebaseio.com"),
        (
            "FIREBASE_DATABASE_URL",
            "https://console.firebase.google.com/project/p/database/p-default-rtdb/data",
        ),
        ("FIREBASE_DATABASE_URL", "https://p.firebaseio.com/services"),
        ("FIREBASE_DATABASE_URL", "https://p.firebaseio.com/.json"),
        ("FIREBASE_DATABASE_URL", "https://p.firebaseio.com?auth=secret"),
        ("FIREBASE_DATABASE_URL", "https://user:secret@p.firebaseio.com"),
        ("FIREBASE_DATABASE_URL", "https://my database.firebaseio.com"),
        ("FIREBASE_DATABASE_URL", "https://localhost:99999"),
        ("FIREBASE_DATABASE_URL", "https://localhost:0"),
        ("FIREBASE_DATABASE_URL", "http://localhost:9000/?ns="),
        ("FIREBASE_DATABASE_URL", "http://localhost:9000/?ns=a&ns=b"),
        ("FIREBASE_DATABASE_EMULATOR_HOST", "http://localhost:9000"),
        ("FIREBASE_DATABASE_EMULATOR_HOST", "localhost:90000"),
        ("FIREBASE_ROOT", "a.b"),
        ("FIREBASE_AUTH_UID", "a&b"),
        ("FIREBASE_TIMEOUT_SECONDS", "0"),
        ("PROFIT_REPORT_KIND", "total"),
        ("PROFIT_DECIMALS", "two"),
        ("PROFIT_DECIMALS", "9"),
        ("JOURNAL_LENGTH", "-1"),
        ("TICKERS", " , "),
        ("TICKERS", "SOFI," + "X" * 65),
        ("TICKERS", "SOFI,S\u200bOFI"),
        ("TICKERS_FILE", "/nowhere/tickers.txt"),
        ("TICKERS_FILE", "/dev/null"),
        ("STORE_AGGREGATE", "perhaps"),
        ("ORDERS_KEPT", "-1"),
        ("ORDERS_KEPT", "few"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
        ("METRICS_ADDRESS", "9464"),
        ("METRICS_ADDRESS", "http://127.0.0.1:9464"),
        ("METRICS_ADDRESS", "127.0.0.1:94640"),
    ],
)
def test_a_wrong_setting_names_itself_and_the_fix(name: str, value: str) -> None:
    with pytest.raises(WrongSetting) as refused:
        load_settings({name: value})
    assert refused.value.exit_code == 2
    assert str(refused.value).startswith(f"{name}=")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://p-default-rtdb.firebaseio.com",
        "https://p-default-rtdb.firebaseio.com/",
        "https://p-default-rtdb.europe-west1.firebasedatabase.app",
        "https://localhost:8443",
        "http://localhost:9000/?ns=p",
        "http://[::1]:9000?ns=p",
    ],
)
def test_the_address_of_a_database_is_taken(url: str) -> None:
    assert load_settings({"FIREBASE_DATABASE_URL": url}).database_url == url


def test_every_setting_has_the_default_of_the_contract() -> None:
    settings = load_settings({})
    assert settings.redis_url == settings.celery_broker_url == "redis://localhost:6379/0"
    assert settings.firebase_root == "services"
    assert settings.firebase_auth_uid == "profit-bridge"
    assert settings.profit_base_path == Path("data/performance/profits")
    assert settings.publisher_spool_path == Path("data/publisher")
    assert settings.profit_report_kind == "increment"
    assert settings.profit_decimals == 2
    assert settings.stores("ANY")
    assert settings.stores("aggregate")


def test_an_account_has_names_a_folder_and_a_node_of_its_own_under_those_that_are_set() -> None:
    live, paper = load_settings({}), load_settings({"ACCOUNT": "paper"})
    assert (live.names.prefix, paper.names.prefix) == ("", "paper:")
    assert vars(paper.names) == {name: f"paper:{text}" for name, text in vars(live.names).items()}
    assert paper.profit_base_path == live.profit_base_path / "paper"
    assert paper.firebase_root == "services-paper"
    given = {"ACCOUNT": "7", "PROFIT_BASE_PATH": "/data", "FIREBASE_ROOT": "team/services"}
    assert load_settings(given).profit_base_path == Path("/data/7")
    assert load_settings(given).firebase_root == "team/services-7"


def test_the_broker_is_redis_url_unless_set() -> None:
    assert load_settings({"REDIS_URL": "redis://a:1/2"}).celery_broker_url == "redis://a:1/2"
    both = load_settings({"REDIS_URL": "redis://a:1/2", "CELERY_BROKER_URL": "redis://b:1/2"})
    assert both.celery_broker_url == "redis://b:1/2"


def test_tickers_come_from_list_and_file_and_may_name_the_account(tmp_path: Path) -> None:
    file = tmp_path / "tickers.txt"
    file.write_text("sofi\n\n# closed: HOOD\nbrk b, F  # class B\n#AAPL\nES#F\n币安人生usdt\n")
    settings = load_settings({"TICKERS": "0700, Aggregate ,c pr d", "TICKERS_FILE": str(file)})
    named = ("SOFI", "BRK B", "F", "ES#F", "币安人生USDT", "0700", "aggregate", "C PR D")
    assert settings.tickers == frozenset(named)


def test_the_account_is_stored_whatever_the_list_says_unless_it_is_switched_off() -> None:
    for tickers in ({}, {"TICKERS": "SOFI"}, {"TICKERS": "SOFI,aggregate"}):
        assert load_settings(tickers).stores("aggregate")
        assert not load_settings(tickers | {"STORE_AGGREGATE": "False"}).stores("aggregate")


def test_passwords_are_not_shown() -> None:
    settings = load_settings(
        {"REDIS_URL": "redis://:hush@h:1/0", "CELERY_BROKER_URL": "redis://u:hu@sh@h:1/0"}
    )
    text = "\n".join(f"{name}={value}" for name, value, _ in described(settings))
    assert "REDIS_URL=redis://:***@h:1/0" in text
    assert "hush" not in text
    assert "sh@h" not in text


def test_a_wrong_url_is_refused_without_showing_its_password() -> None:
    with pytest.raises(WrongSetting) as refused:
        load_settings({"REDIS_URL": "redis://:hush@h:1/zero"})
    assert "hush" not in str(refused.value)


def test_an_emulator_needs_neither_url_nor_credentials() -> None:
    settings = load_settings({"FIREBASE_DATABASE_EMULATOR_HOST": "127.0.0.1:9000"})
    assert settings.database_url == "http://127.0.0.1:9000/?ns=profit-bridge"
    assert settings.credentials_file is None


def test_with_an_emulator_the_name_of_the_database_stays() -> None:
    settings = load_settings(
        {
            "FIREBASE_DATABASE_EMULATOR_HOST": "127.0.0.1:9000",
            "FIREBASE_DATABASE_URL": "https://desk-1.firebaseio.com",
        }
    )
    assert settings.database_url == "http://127.0.0.1:9000/?ns=desk-1"


def test_a_worker_without_a_database_is_told_what_to_set() -> None:
    with pytest.raises(WrongSetting, match="FIREBASE_DATABASE_URL is not set"):
        _ = load_settings({}).credentials_file


@pytest.mark.parametrize("given", [{"GOOGLE_APPLICATION_CREDENTIALS": "/nowhere/key.json"}, {}])
def test_a_missing_credential_file_is_named(
    given: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environment = {"FIREBASE_DATABASE_URL": "https://desk-1.firebaseio.com"} | given
    with pytest.raises(WrongSetting, match=r"GOOGLE_APPLICATION_CREDENTIALS: .*\.json"):
        _ = load_settings(environment).credentials_file


def test_the_environment_wins_over_the_env_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("FIREBASE_ROOT=from_file\nPROFIT_DECIMALS=4\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FIREBASE_ROOT", "from_environment")
    settings = load_settings()
    assert (settings.firebase_root, settings.profit_decimals) == ("from_environment", 4)


def secret_file(folder: Path, text: str) -> str:
    file = folder / "redis_url"
    file.write_text(text)
    return str(file)


def test_a_secret_may_be_in_a_file(tmp_path: Path) -> None:
    file = secret_file(tmp_path, "redis://:hush@h:1/0\n")
    settings = load_settings({"REDIS_URL_FILE": file, "CELERY_BROKER_URL_FILE": file})
    assert settings.redis_url == settings.celery_broker_url == "redis://:hush@h:1/0"
    assert ("REDIS_URL", "redis://:***@h:1/0") in [row[:2] for row in described(settings)]


def test_a_secret_in_both_ways_is_refused(tmp_path: Path) -> None:
    file = secret_file(tmp_path, "redis://h:1/0")
    with pytest.raises(WrongSetting, match="REDIS_URL and REDIS_URL_FILE are both given"):
        load_settings({"REDIS_URL_FILE": file, "REDIS_URL": "redis://h:1/0"})


@pytest.mark.parametrize(
    ("text", "said"),
    [(None, "cannot be read: No such file"), ("\n", "is empty"), ("hush", "must look like")],
)
def test_a_file_that_holds_no_secret_is_named_and_not_shown(
    tmp_path: Path, text: str | None, said: str
) -> None:
    file = str(tmp_path / "none") if text is None else secret_file(tmp_path, text)
    with pytest.raises(WrongSetting) as refused:
        load_settings({"CELERY_BROKER_URL_FILE": file})
    assert str(refused.value).startswith(f"CELERY_BROKER_URL_FILE={file}")
    assert said in str(refused.value)
    assert "hush" not in str(refused.value)
