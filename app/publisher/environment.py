"""The settings that the publisher reads from the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from .connection import connection_options, masked
from .errors import WrongPublisherSetting

_REDIS_URL = "REDIS_URL"
_REDIS_URL_FILE = "REDIS_URL_FILE"
_SPOOL_PATH = "PUBLISHER_SPOOL_PATH"
_JOURNAL_LENGTH = "JOURNAL_LENGTH"
_ACCOUNT = "ACCOUNT"

_DEFAULTS = {
    _REDIS_URL: "redis://localhost:6379/0",
    _SPOOL_PATH: "data/publisher",
    _JOURNAL_LENGTH: "100000",
}
_SHORTEST_JOURNAL = 1_000
_LONGEST_JOURNAL = 10_000_000


class Environment:
    """The environment of this process, completed by `.env` where python-dotenv is installed.

    Raises:
        WrongPublisherSetting: `.env` cannot be read; or, from each method, its variable is wrong.
    """

    def __init__(self) -> None:
        self._values: Mapping[str, str | None] = _from_dotenv() | os.environ

    def redis_url(self) -> str:
        path, url = self._given(_REDIS_URL_FILE), self._given(_REDIS_URL)
        if path and url:
            raise WrongPublisherSetting(
                f"{_REDIS_URL} and {_REDIS_URL_FILE} are both given: leave out one of them"
            )
        if path:
            url, shown = _content(path), f"{_REDIS_URL_FILE}={path}"
        else:
            url = url or _DEFAULTS[_REDIS_URL]
            shown = f"{_REDIS_URL}={masked(url)}"
        try:
            connection_options(url)
        except ValueError as error:
            raise WrongPublisherSetting(f"{shown}: {error}") from None
        return url

    def spool_folder(self) -> Path:
        return Path(self._given(_SPOOL_PATH) or _DEFAULTS[_SPOOL_PATH])

    def journal_length(self) -> int:
        text = self._given(_JOURNAL_LENGTH) or _DEFAULTS[_JOURNAL_LENGTH]
        is_number = text.isascii() and text.isdigit()
        if not is_number or not _SHORTEST_JOURNAL <= int(text) <= _LONGEST_JOURNAL:
            raise WrongPublisherSetting(
                f"{_JOURNAL_LENGTH}={text}: must be a whole number from {_SHORTEST_JOURNAL} to "
                f"{_LONGEST_JOURNAL}"
            )
        return int(text)

    def account(self) -> str:
        try:
            return checked_account(self._given(_ACCOUNT), _ACCOUNT)
        except ValueError as error:
            raise WrongPublisherSetting(str(error)) from None

    def _given(self, name: str) -> str:
        return (self._values.get(name) or "").strip()


def checked_account(account: str, source: str = "account") -> str:
    """Return the account if bridges take it too, or if it is empty.

    Raises:
        ValueError: it cannot be used; the text names its source and what it must be.
    """
    if account and not re.fullmatch(
        r"(?!\d{4}$|TICKER_)[A-Za-z0-9][A-Za-z0-9_-]{0,31}", str(account)
    ):
        raise ValueError(
            f"{source}={account}: must be 1 to 32 letters, digits, - and _, such as paper; "
            "no year, and no TICKER_..."
        )
    return str(account)


def _from_dotenv() -> dict[str, str | None]:
    try:
        from dotenv import dotenv_values  # noqa: PLC0415 - a bot may not have it
    except ImportError:
        return {}
    try:
        return dict(dotenv_values(".env"))
    except (OSError, UnicodeDecodeError) as error:
        raise WrongPublisherSetting(f".env cannot be read: {error}: correct it") from None


def _content(path: str) -> str:
    """Return what the file holds; no error text has any of it, since it is a secret."""
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise WrongPublisherSetting(
            f"{_REDIS_URL_FILE}={path} cannot be read: {reason}: correct it"
        ) from None
    if not text:
        raise WrongPublisherSetting(f"{_REDIS_URL_FILE}={path} is empty: write the URL into it")
    return text
