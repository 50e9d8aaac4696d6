"""URLs of Redis and Firebase: what they may contain, and what Celery and Flower need to know."""

import os
import re
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_CHOICES = {
    "ssl_cert_reqs": ("required", "optional", "none"),
    "ssl_check_hostname": ("true", "false"),
}
_TLS = {*_FILES, *_CHOICES, "ssl_ca_path", "ssl_password"}
# No timeouts: noticing a dead connection in time depends on ours.
_OPTIONS = {"db", "username", "password", "client_name", *_TLS}


def redis_url(text: str) -> str:
    """Return the URL if it can be used: `redis://`, `rediss://` (TLS) or `unix://`.

    Raises:
        ValueError: It cannot; the text says what it must be.
    """
    try:
        parts = urlsplit(text)
        is_usable = _names_a_server(parts)
    except ValueError:
        is_usable = False
    if not is_usable:
        scheme, found, _ = text.partition("://")
        if found and scheme.lower() not in {"redis", "rediss", "unix"}:
            raise ValueError(
                f"{scheme}:// is not served, only Redis is: it must look like redis://host:6379/0"
            )
        raise ValueError("must look like redis://host:6379/0")
    for name, value in parse_qsl(parts.query):
        if name not in _OPTIONS:
            raise ValueError(f"takes no {name}; its options are {', '.join(sorted(_OPTIONS))}")
        if name in _TLS and parts.scheme != "rediss":
            raise ValueError(f"{name} is for TLS: start the URL with rediss://")
        if value not in _CHOICES.get(name, (value,)):
            raise ValueError(f"{name} must be one of {', '.join(_CHOICES[name])}")
        if name in _FILES and not os.access(value, os.R_OK):
            raise ValueError(f"{name}: there is no readable file {value}: correct the path")
    return text


def firebase_url(text: str) -> str:
    """Return the URL if it can be that of a Realtime Database, or of one in an emulator.

    Raises:
        ValueError: It cannot; the text says what it must be.
    """
    forms = (
        "must be https://<database>.firebaseio.com, https://<database>.<region>.firebasedatabase."
        "app, or http://host:port/?ns=<database> for an emulator"
    )
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port  # the port is parsed only here
    except ValueError:
        raise ValueError(forms) from None
    if host.startswith("console."):
        raise ValueError(
            "is the address of the console: give that of the database, which the console shows "
            "above its data: https://<database>.firebaseio.com"
        )
    if not re.fullmatch(r"[A-Za-z0-9._-]+|[0-9a-fA-F:]+", host) or port == 0 or "@" in parts.netloc:
        raise ValueError(forms)
    if parts.path not in {"", "/"} or parts.fragment:
        raise ValueError(
            f"must end after the host: leave out {parts.path}, or put it into FIREBASE_ROOT"
        )
    given = parse_qsl(parts.query, keep_blank_values=True)
    namespaces = [value for name, value in given if name == "ns"]
    is_emulator = parts.scheme == "http" and len(namespaces) == 1 and namespaces[0]
    if not (is_emulator or (parts.scheme == "https" and not given)):
        raise ValueError(forms)
    return text


def masked(text: str) -> str:
    """Return the text with the password of every URL in it hidden."""
    text = re.sub(r"(://[^:/@\s]*:)\S*@", r"\1***@", text)
    return re.sub(r"(password=)[^&\s]*", r"\1***", text)


def tls_of(url: str) -> dict[str, Any] | None:
    """Return the TLS options of a `rediss://` URL as redis-py names them; None for any other URL.

    Certificate and host name are verified unless the URL says otherwise. Celery by itself verifies
    neither, and Flower does not read the URL.
    """
    parts = urlsplit(url)
    if parts.scheme != "rediss":
        return None
    options: dict[str, Any] = {k: v for k, v in parse_qsl(parts.query) if k in _TLS}
    if "ssl_check_hostname" in options:
        options["ssl_check_hostname"] = options["ssl_check_hostname"] == "true"
    return {"ssl_cert_reqs": "required"} | options


def without_tls_options(url: str) -> str:
    """Return the URL without the options that `tls_of` returns."""
    parts = urlsplit(url)
    return parts._replace(
        query=urlencode([(k, v) for k, v in parse_qsl(parts.query) if k not in _TLS])
    ).geturl()


def _names_a_server(parts: SplitResult) -> bool:
    if parts.scheme == "unix":
        return bool(parts.path)
    is_redis = parts.scheme in {"redis", "rediss"} and bool(parts.hostname) and parts.port != 0
    return is_redis and bool(re.fullmatch(r"/?\d*", parts.path))
