"""Every setting, with its default and its meaning. Nothing else reads the environment."""

import dataclasses
import functools
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from dotenv import dotenv_values

from app.domain import ReportKind, stored_symbol
from app.errors import RejectMessage, WrongSetting
from app.secret_files import SUFFIX, with_secret_files
from app.urls import checked as _redis_url

ADMIN = "admin"
"""The FIREBASE_AUTH_UID of a bridge that no database rule is to be asked about."""

DEFAULT_CREDENTIALS = Path("configs/adminsdk.json")
EMULATOR_NAMESPACE = "profit-bridge"
OFF = "off"


def _text(value: str) -> str:
    return value


def _database_url(value: str) -> str:
    parts = urlsplit(value)
    if not parts.netloc or parts.scheme not in {"https", "http"}:
        raise ValueError("must look like https://<database>.firebaseio.com")
    if parts.scheme == "http" and "ns=" not in parts.query:
        raise ValueError("must be https, or for an emulator http://host:port/?ns=<database>")
    return value


def _host_and_port(value: str) -> str:
    found = re.fullmatch(r"(?:[^/\s:]+|\[[0-9a-fA-F:]+\]):(\d{1,5})", value)
    if not found or not 0 < int(found.group(1)) <= 65_535:
        raise ValueError("must be host:port, without http://")
    return value


def _address_or_off(value: str) -> str:
    if value.lower() == OFF:
        return OFF
    found = re.fullmatch(r"(?:[A-Za-z0-9._-]+|\[[0-9a-fA-F:]+\]):(\d{1,5})", value)
    if not found or int(found.group(1)) > 65_535:
        raise ValueError("must be host:port, or off")
    return value


def _node_path(value: str) -> str:
    segments = value.strip("/").split("/")
    if not all(re.fullmatch(r"[^.$#\[\]?%\x00-\x1f\x7f]+", segment) for segment in segments):
        raise ValueError("must be the path of a Firebase node, such as services")
    return "/".join(segments)


def _uid(value: str) -> str:
    # The Admin SDK puts it into a URL as it is.
    if not re.fullmatch(r"[A-Za-z0-9_.:-]{1,128}", value):
        raise ValueError("must be letters, digits, - _ . and :, at most 128")
    return value


def _report_kind(value: str) -> str:
    if value not in {"increment", "snapshot"}:
        raise ValueError("must be increment or snapshot")
    return value


def _decimals(value: str) -> int:
    if not re.fullmatch(r"[0-6]", value):
        raise ValueError("must be a whole number from 0 to 6")
    return int(value)


def _whole_number(smallest: int, largest: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not value.isascii() or not value.isdigit() or not smallest <= int(value) <= largest:
            raise ValueError(f"must be a whole number from {smallest} to {largest}")
        return int(value)

    return parse


def _tickers(value: str) -> frozenset[str]:
    try:
        symbols = frozenset(stored_symbol(word) for word in re.split(r"[,\s]+", value) if word)
    except RejectMessage as error:
        raise ValueError(f"{error}: must be symbols, such as SOFI, BRK.B and aggregate") from None
    if not symbols:
        raise ValueError("names no symbol: name one, or leave it out to store all")
    return symbols


def _log_level(value: str) -> str:
    if value.upper() not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
        raise ValueError("must be DEBUG, INFO, WARNING or ERROR")
    return value.upper()


def _log_format(value: str) -> str:
    if value not in {"text", "json"}:
        raise ValueError("must be text or json")
    return value


def _setting(
    name: str,
    default: Any,
    meaning: str,
    parse: Callable[[str], Any] = _text,
    *,
    secret: bool = False,
) -> Any:
    metadata = {"name": name, "meaning": meaning, "parse": parse, "secret": secret}
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Settings:
    """The settings of one process. `None` means that the setting was not given."""

    redis_url: str = _setting(
        "REDIS_URL",
        "redis://localhost:6379/0",
        "the Redis that carries the channels, the journal and the newest values",
        _redis_url,
        secret=True,
    )
    celery_broker_url: str = _setting(
        "CELERY_BROKER_URL",
        None,
        "the Redis that carries the tasks (REDIS_URL)",
        _redis_url,
        secret=True,
    )
    firebase_database_url: str | None = _setting(
        "FIREBASE_DATABASE_URL", None, "the Realtime Database to write to", _database_url
    )
    google_application_credentials: Path | None = _setting(
        "GOOGLE_APPLICATION_CREDENTIALS",
        None,
        f"key file of the service account that writes ({DEFAULT_CREDENTIALS})",
        Path,
    )
    firebase_database_emulator_host: str | None = _setting(
        "FIREBASE_DATABASE_EMULATOR_HOST",
        None,
        "host:port of a local database to write to instead; needs no credentials",
        _host_and_port,
    )
    firebase_root: str = _setting(
        "FIREBASE_ROOT", "services", "the node that holds the tickers", _node_path
    )
    firebase_auth_uid: str = _setting(
        "FIREBASE_AUTH_UID",
        "profit-bridge",
        f"who writes, to the database rules; {ADMIN}: past all rules, as an administrator",
        _uid,
    )
    firebase_timeout_seconds: int = _setting(
        "FIREBASE_TIMEOUT_SECONDS",
        5,
        "how long one request to Firebase may wait for its connection, and for its answer",
        _whole_number(1, 10),
    )
    firebase_writes_per_second: int = _setting(
        "FIREBASE_WRITES_PER_SECOND",
        800,
        "requests that all workers together may send; a database takes about 1,000",
        _whole_number(1, 100_000),
    )
    firebase_megabytes_per_minute: int = _setting(
        "FIREBASE_MEGABYTES_PER_MINUTE",
        48,
        "how much they may send; a database takes 64",
        _whole_number(1, 100_000),
    )
    profit_base_path: Path = _setting(
        "PROFIT_BASE_PATH",
        Path("data/performance/profits"),
        "folder of the ledger and the daily JSON files",
        Path,
    )
    profit_report_kind: ReportKind = _setting(
        "PROFIT_REPORT_KIND",
        "increment",
        "increment: a report is what one fill added; snapshot: the figure of the day so far",
        _report_kind,
    )
    profit_decimals: int = _setting(
        "PROFIT_DECIMALS", 2, "decimals of the amounts that are shown (0 to 6)", _decimals
    )
    journal_length: int = _setting(
        "JOURNAL_LENGTH",
        100_000,
        "reports that the journal keeps for a bridge that is down, about",
        _whole_number(1_000, 10_000_000),
    )
    publisher_spool_path: Path = _setting(
        "PUBLISHER_SPOOL_PATH",
        Path("data/publisher"),
        "folder in which a bot keeps the reports that Redis cannot take at the moment",
        Path,
    )
    ledger_days_kept: int = _setting(
        "LEDGER_DAYS_KEPT",
        400,
        "days for which the reports behind the figures are kept; the daily JSON files stay",
        _whole_number(8, 100_000),
    )
    reconcile_seconds: int = _setting(
        "RECONCILE_SECONDS",
        300,
        "how often every figure is proposed to Firebase again",
        _whole_number(1, 86_400),
    )
    tickers: frozenset[str] | None = _setting(
        "TICKERS",
        None,
        "symbols to store, by commas; aggregate is one of them (all symbols)",
        _tickers,
    )
    tickers_file: Path | None = _setting(
        "TICKERS_FILE", None, "file with the symbols to store, one per line", Path
    )
    metrics_address: str = _setting(
        "METRICS_ADDRESS",
        "127.0.0.1:9464",
        "host:port on which bridge and subscriber show /metrics, /healthz and /readyz; or off",
        _address_or_off,
    )
    log_level: str = _setting("LOG_LEVEL", "INFO", "DEBUG, INFO, WARNING or ERROR", _log_level)
    log_format: Literal["text", "json"] = _setting(
        "LOG_FORMAT", "text", "text, or json: one JSON object in a line", _log_format
    )

    def stores(self, symbol: str) -> bool:
        """Whether `symbol` (or `aggregate`) is to be stored in Firebase."""
        return self.tickers is None or symbol in self.tickers

    @property
    def database_url(self) -> str:
        """URL for the Admin SDK; the SDK takes an `http` one with `ns` for an emulator.

        Raises:
            WrongSetting: neither a database nor an emulator was named.
        """
        host = self.firebase_database_emulator_host
        if host is None:
            if self.firebase_database_url is None:
                raise WrongSetting(
                    "FIREBASE_DATABASE_URL is not set: give the URL of your Realtime Database, or "
                    "FIREBASE_DATABASE_EMULATOR_HOST=host:port for a local one"
                )
            return self.firebase_database_url
        namespace = EMULATOR_NAMESPACE
        if self.firebase_database_url is not None:
            parts = urlsplit(self.firebase_database_url)
            in_query = re.search(r"(?:^|&)ns=([^&]+)", parts.query)
            namespace = in_query.group(1) if in_query else str(parts.hostname).split(".")[0]
        return f"http://{host}/?ns={namespace}"

    @property
    def credentials_file(self) -> Path | None:
        """Key file of the service account, or None where an emulator needs none.

        Raises:
            WrongSetting: the file is missing or cannot be read.
        """
        if self.database_url.startswith("http://"):
            return None
        given = self.google_application_credentials
        path = given or DEFAULT_CREDENTIALS
        if not os.access(path, os.R_OK) or not path.is_file():
            fix = "correct the path" if given else "set it to the key file of your service account"
            raise WrongSetting(
                f"GOOGLE_APPLICATION_CREDENTIALS: there is no readable file {path}: {fix}"
            )
        return path


_NAMES = [field.metadata["name"] for field in dataclasses.fields(Settings)]
_SECRETS = [
    field.metadata["name"] for field in dataclasses.fields(Settings) if field.metadata["secret"]
]


def variables() -> list[str]:
    """Every variable that is read, with those that name the file of a secret."""
    return _NAMES + [name + SUFFIX for name in _SECRETS]


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from the environment, and what it leaves out from `.env`.

    A secret may be given as a file: `REDIS_URL_FILE` in place of `REDIS_URL`.

    Raises:
        WrongSetting: a setting that is given cannot be used. What a command needs and was not
            given is told by the property that needs it.
    """
    if environment is None:
        environment = _environment()
    environment = with_secret_files(environment, _SECRETS)
    given: dict[str, Any] = {}
    for field in dataclasses.fields(Settings):
        name, text = field.metadata["name"], environment.get(field.metadata["name"], "").strip()
        if text:
            try:
                given[field.name] = field.metadata["parse"](text)
            except ValueError as error:
                # What is in a file may be nothing but the secret.
                path = environment.get(name + SUFFIX) if field.metadata["secret"] else None
                shown = f"{name}{SUFFIX}={path}" if path else f"{name}={masked(text)}"
                raise WrongSetting(f"{shown}: {error}") from None
    given.setdefault("celery_broker_url", given.get("redis_url", Settings.redis_url))
    if "tickers_file" in given:
        given["tickers"] = given.get("tickers", frozenset()) | _read_tickers(given["tickers_file"])
    settings = Settings(**given)
    if settings.google_application_credentials and settings.firebase_database_url:
        # Who names a key file is told at once that it is missing, whichever program he starts.
        _ = settings.credentials_file
    return settings


def _environment() -> dict[str, str]:
    try:
        from_file = dotenv_values(".env")
    except (OSError, UnicodeDecodeError) as error:
        raise WrongSetting(f".env cannot be read: {error}: correct it") from None
    return {name: text for name, text in from_file.items() if text is not None} | dict(os.environ)


@functools.cache
def process_settings() -> Settings:
    """The settings of this process, read once."""
    return load_settings()


def _read_tickers(path: Path) -> frozenset[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise WrongSetting(f"TICKERS_FILE={path} cannot be read: {reason}: correct it") from None
    try:
        return _tickers(" ".join(line.partition("#")[0] for line in lines))
    except ValueError as error:
        raise WrongSetting(f"TICKERS_FILE={path}: {error}") from None


def masked(text: str) -> str:
    """`text` with every password of a URL in it hidden."""
    text = re.sub(r"(://[^:/@\s]*:)\S*@", r"\1***@", text)
    return re.sub(r"(password=)[^&\s]*", r"\1***", text)


def described(settings: Settings) -> list[tuple[str, str, str]]:
    """Name, value (secrets masked) and meaning of every setting."""
    rows = []
    for field in dataclasses.fields(Settings):
        value = getattr(settings, field.name)
        if value is None:
            shown = ""
        elif isinstance(value, frozenset):
            shown = ",".join(sorted(value))
        else:
            shown = masked(str(value))
        rows.append((field.metadata["name"], shown, field.metadata["meaning"]))
    return rows
