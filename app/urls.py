"""A Redis URL: what may be in it, and what Celery and Flower need to know of its TLS."""

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
# No timeouts: how soon a dead connection is noticed rests on ours.
_KNOWN = {"db", "username", "password", "client_name", *_TLS}


def checked(value: str) -> str:
    """The URL, if it can be used: `redis://`, `rediss://` (TLS) or `unix://`.

    Raises:
        ValueError: with what it must be.
    """
    try:
        parts = urlsplit(value)
        usable = _names_a_server(parts)
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("must look like redis://host:6379/0")
    for name, text in parse_qsl(parts.query):
        if name not in _KNOWN:
            raise ValueError(
                f"takes no {name}; what may follow the ? is {', '.join(sorted(_KNOWN))}"
            )
        if name in _TLS and parts.scheme != "rediss":
            raise ValueError(f"{name} is for TLS: begin with rediss://")
        if text not in _CHOICES.get(name, (text,)):
            raise ValueError(f"{name} must be one of {', '.join(_CHOICES[name])}")
        if name in _FILES and not os.access(text, os.R_OK):
            raise ValueError(f"{name}: there is no readable file {text}: correct the path")
    return value


def tls_of(url: str) -> dict[str, Any] | None:
    """The TLS options of a `rediss://` URL, as redis-py names them; None for any other.

    Certificate and host name are verified unless the URL says otherwise. Celery would verify
    neither of its own accord, and Flower does not read the URL.
    """
    parts = urlsplit(url)
    if parts.scheme != "rediss":
        return None
    given: dict[str, Any] = {k: v for k, v in parse_qsl(parts.query) if k in _TLS}
    if "ssl_check_hostname" in given:
        given["ssl_check_hostname"] = given["ssl_check_hostname"] == "true"
    return {"ssl_cert_reqs": "required"} | given


def without_tls_options(url: str) -> str:
    """The URL without what `tls_of` reads from it."""
    parts = urlsplit(url)
    return parts._replace(
        query=urlencode([(k, v) for k, v in parse_qsl(parts.query) if k not in _TLS])
    ).geturl()


def _names_a_server(parts: SplitResult) -> bool:
    if parts.scheme == "unix":
        return bool(parts.path)
    is_redis = parts.scheme in {"redis", "rediss"} and bool(parts.hostname) and parts.port != 0
    return is_redis and bool(re.fullmatch(r"/?\d*", parts.path))
