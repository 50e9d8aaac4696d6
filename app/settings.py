"""Every setting, with its default and its meaning. Nothing else reads the environment."""

import functools
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints
from urllib.parse import urlsplit

import msgspec
from dotenv import dotenv_values
from msgspec import Meta

from app.channels import AGGREGATE, RedisNames
from app.domain import PLACES, ReportKind, stored_symbol
from app.errors import RejectMessage, WrongSetting
from app.urls import firebase_url, masked, redis_url

ADMIN = "admin"
"""The FIREBASE_AUTH_UID of a bridge that bypasses the database rules."""

DEFAULT_CREDENTIALS = Path("configs/adminsdk.json")
EMULATOR_NAMESPACE = "profit-bridge"
OFF = "off"

_SECRETS = ("REDIS_URL", "CELERY_BROKER_URL")
"""The settings that may also be given as a file, by a variable with `_FILE` at the end."""
_FILE = "_FILE"


def _address(text: str, smallest_port: int = 1) -> str:
    found = re.fullmatch(r"(?:[^/\s:]+|\[[0-9a-fA-F:]+\]):(\d{1,5})", text)
    if not found or not smallest_port <= int(found[1]) <= 65_535:
        raise ValueError("must be host:port, without http://")
    return text


def _address_or_off(text: str) -> str:
    try:
        return OFF if text.lower() == OFF else _address(text, smallest_port=0)
    except ValueError as error:
        raise ValueError(f"{error}, or {OFF}") from None


def _without_outer_slashes(text: str) -> str:
    return text.strip("/")


def _account(text: str) -> str:
    # Four digits would be a year's folder of daily files; TICKER_ begins the channels that are
    # subscribed to by pattern.
    if not re.fullmatch(r"(?!\d{4}$|TICKER_)[A-Za-z0-9][A-Za-z0-9_-]{0,31}", text):
        raise ValueError(
            "must be 1 to 32 letters, digits, - and _, such as paper; no year, and no TICKER_..."
        )
    return text


def _tickers(text: str) -> frozenset[str]:
    # A symbol may have blanks in it, as `BRK B`.
    words = re.split(r"[,\n]", text)
    try:
        symbols = frozenset(stored_symbol(word) for word in words if word.strip())
    except RejectMessage as error:
        raise ValueError(
            f"{error}: must be symbols with commas between them, such as SOFI,BRK B"
        ) from None
    if not symbols:
        raise ValueError("contains no symbol: name at least one, or leave it out to store all")
    return symbols


# An annotation describes its setting: the type to convert to, a function that first checks or
# changes the text, bounds (`title` says what a pattern asks for), and the meaning.
RedisUrl = Annotated[str, redis_url]
Count = Annotated[int, Meta(ge=1, le=100_000)]
_NODE = r"[^./$#\[\]?%\x00-\x1f\x7f]+"


@dataclass(frozen=True)
class Settings:
    """The settings of one process. `None` means that the setting was not given."""

    redis_url: Annotated[
        RedisUrl, "the Redis with the channels, the journal and the latest values"
    ] = "redis://localhost:6379/0"
    celery_broker_url: Annotated[
        RedisUrl, "the Redis with the Celery tasks (default: REDIS_URL)"
    ] = None  # type: ignore[assignment]  # load_settings fills it in
    account: Annotated[
        str,
        _account,
        "keeps deployments on one Redis apart: begins every name there, and ends PROFIT_BASE_PATH "
        "and FIREBASE_ROOT",
    ] = ""
    firebase_database_url: Annotated[
        str | None, firebase_url, "the Realtime Database to write to"
    ] = None
    google_application_credentials: Annotated[
        Path | None,
        f"the key file of the service account that writes (default: {DEFAULT_CREDENTIALS})",
    ] = None
    firebase_database_emulator_host: Annotated[
        str | None, _address, "host:port of a local database to write to instead; no credentials"
    ] = None
    firebase_root: Annotated[
        str,
        _without_outer_slashes,
        Meta(pattern=f"^{_NODE}(/{_NODE})*$", title="the path of a Firebase node, e.g. services"),
        "the node that holds the tickers",
    ] = "services"
    firebase_auth_uid: Annotated[
        str,
        # The Admin SDK puts it into a URL unescaped.
        Meta(pattern=r"^[A-Za-z0-9_.:-]{1,128}$", title="up to 128 letters, digits, - _ . and :"),
        f"the user that database rules see; {ADMIN} bypasses the rules",
    ] = "profit-bridge"
    firebase_timeout_seconds: Annotated[
        int, Meta(ge=1, le=10), "how long a Firebase request may take to connect, and to answer"
    ] = 5
    firebase_writes_per_second: Annotated[
        Count, "write requests of all workers together; a database takes about 1,000"
    ] = 800
    firebase_megabytes_per_minute: Annotated[
        Count, "data written by all workers together; a database takes 64"
    ] = 48
    profit_base_path: Annotated[
        Path, "the folder that holds the ledger and the daily JSON files"
    ] = Path("data/performance/profits")
    profit_report_kind: Annotated[
        ReportKind, "increment: what one fill added; snapshot: the day's figure so far"
    ] = "increment"
    profit_decimals: Annotated[
        int, Meta(ge=0, le=PLACES), f"decimals of the published amounts (0 to {PLACES})"
    ] = 2
    journal_length: Annotated[
        int,
        Meta(ge=1_000, le=10_000_000),
        "about how many reports the journal keeps for a bridge that is down",
    ] = 100_000
    publisher_spool_path: Annotated[
        Path, "folder where a bot keeps reports while it cannot reach Redis"
    ] = Path("data/publisher")
    ledger_days_kept: Annotated[
        int,
        Meta(ge=8, le=100_000),
        "days for which reports are kept; the daily JSON files stay for ever",
    ] = 400
    reconcile_seconds: Annotated[
        int, Meta(ge=1, le=86_400), "how often every figure is proposed to Firebase again"
    ] = 300
    tickers: Annotated[
        frozenset[str] | None,
        _tickers,
        "symbols to store, with commas between them (default: all)",
    ] = None
    tickers_file: Annotated[Path | None, "file with the symbols to store, one per line"] = None
    store_aggregate: Annotated[
        bool,
        Meta(title="true or false"),
        "whether to store the account, whatever TICKERS says",
    ] = True
    orders_kept: Annotated[
        Annotated[int, Meta(ge=0, le=100_000)] | None,
        Meta(title="a whole number from 0 to 100000"),
        "newest orders to keep in Firebase per symbol; 0: none are stored (default: all)",
    ] = None
    metrics_address: Annotated[
        str, _address_or_off, "host:port for /metrics, /healthz and /readyz of the services, or off"
    ] = "127.0.0.1:9464"
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"], str.upper, "DEBUG, INFO, WARNING or ERROR"
    ] = "INFO"
    log_format: Annotated[Literal["text", "json"], "text, or json: one JSON object per line"] = (
        "text"
    )

    @functools.cached_property
    def names(self) -> RedisNames:
        """The names on Redis."""
        return RedisNames(self.account)

    def stores(self, symbol: str) -> bool:
        """Whether Firebase is to show `symbol` (or `aggregate`)."""
        if symbol == AGGREGATE:
            # Not by name: teams start a bot for each ticker of their list.
            return self.store_aggregate
        return self.tickers is None or symbol in self.tickers

    @property
    def stores_all(self) -> bool:
        """Whether Firebase is to show every symbol, and the account."""
        return self.tickers is None and self.store_aggregate

    @property
    def database_url(self) -> str:
        """The URL for the Admin SDK, which takes an `http` one with `ns` for an emulator.

        Raises:
            WrongSetting: Neither a database nor an emulator is set.
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
        """The key file of the service account, or None for an emulator, which needs none.

        Raises:
            WrongSetting: The file is missing or cannot be read.
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


_ANNOTATIONS: dict[str, Any] = {
    name.upper(): annotation
    for name, annotation in get_type_hints(Settings, include_extras=True).items()
}


def variables() -> list[str]:
    """Every environment variable that is read."""
    return [*_ANNOTATIONS, *(name + _FILE for name in _SECRETS)]


@functools.cache
def process_settings() -> Settings:
    """The settings of this process, read once."""
    return load_settings()


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from the environment, and what it leaves out from `.env`.

    A secret may be given as a file: `REDIS_URL_FILE` in place of `REDIS_URL`.

    Raises:
        WrongSetting: A value cannot be used. Settings that only some commands need are not
            required here: the property that needs one raises.
    """
    if environment is None:
        environment = _environment()
    given: dict[str, Any] = {}
    for name in _ANNOTATIONS:
        text = environment.get(name, "").strip()
        source = f"{name}={masked(text)}"
        file = name + _FILE
        if name in _SECRETS and (path := environment.get(file, "").strip()):
            if text:
                raise WrongSetting(f"{name} and {file} are both given: leave out one of them")
            source, text = f"{file}={path}", _read_secret(file, Path(path))
        if text:
            try:
                given[name.lower()] = _converted(name, text)
            except ValueError as error:
                raise WrongSetting(f"{source}: {error}") from None
    given.setdefault("celery_broker_url", given.get("redis_url", Settings.redis_url))
    if "tickers_file" in given:
        given["tickers"] = given.get("tickers", frozenset()) | _read_tickers(given["tickers_file"])
    settings = _of_account(Settings(**given))
    if settings.google_application_credentials and settings.firebase_database_url:
        _ = settings.credentials_file  # a wrong path is an error in every program, also the bridge
    return settings


def _of_account(settings: Settings) -> Settings:
    """Give an account a folder and a Firebase node of its own, beside those without an account."""
    if not settings.account:
        return settings
    return replace(
        settings,
        profit_base_path=settings.profit_base_path / settings.account,
        firebase_root=f"{settings.firebase_root}-{settings.account}",
    )


def _environment() -> dict[str, str]:
    try:
        from_file = dotenv_values(".env")
    except (OSError, UnicodeDecodeError) as error:
        raise WrongSetting(f".env cannot be read: {error}: correct it") from None
    return {name: text for name, text in from_file.items() if text is not None} | dict(os.environ)


def _converted(name: str, text: str) -> Any:
    """Convert the text of a setting; raise ValueError with what it must be."""
    annotation = _ANNOTATIONS[name]
    value: Any = text
    for convert in filter(callable, annotation.__metadata__):
        value = convert(value)
    try:
        return msgspec.convert(value, annotation, strict=False, dec_hook=lambda kind, it: kind(it))
    except msgspec.ValidationError:
        raise ValueError(f"must be {_expected(annotation)}") from None


def _expected(annotation: Any) -> str:
    for meta in annotation.__metadata__:
        if isinstance(meta, Meta) and meta.title:
            return meta.title
        if isinstance(meta, Meta) and meta.ge is not None:
            return f"a whole number from {meta.ge} to {meta.le}"
    *choices, last = get_args(annotation.__origin__)
    return f"{', '.join(choices)} or {last}"


def _read_secret(variable: str, path: Path) -> str:
    """Read a secret from a file. The text of an error never contains what the file holds."""
    secret = _read(variable, path).strip()
    if not secret:
        raise WrongSetting(f"{variable}={path} is empty: write the secret into it")
    return secret


def _read_tickers(path: Path) -> frozenset[str]:
    lines = _read("TICKERS_FILE", path).splitlines()
    try:
        # A comment begins with a line or after a blank: a symbol may have a # in it.
        return _tickers("\n".join(re.sub(r"(^|\s)#.*", "", line) for line in lines))
    except ValueError as error:
        raise WrongSetting(f"TICKERS_FILE={path}: {error}") from None


def _read(variable: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise WrongSetting(f"{variable}={path} cannot be read: {reason}: correct it") from None


def described(settings: Settings) -> list[tuple[str, str, str]]:
    """Name, value (secrets masked) and meaning of every setting."""
    rows = []
    for name, annotation in _ANNOTATIONS.items():
        value = getattr(settings, name.lower())
        if value is None:
            shown = ""
        elif isinstance(value, bool):
            shown = str(value).lower()
        elif isinstance(value, frozenset):
            shown = ",".join(sorted(value))
        else:
            shown = masked(str(value))
        rows.append((name, shown, annotation.__metadata__[-1]))
    return rows
