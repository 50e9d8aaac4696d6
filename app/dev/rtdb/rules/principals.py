"""Principals: whom a request's credentials name, as Google's emulator reads them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.dev.rtdb.rules.rules import Claims
from app.dev.rtdb.tree import RtdbError

OWNER = "owner"
"""The token of an administrator. It is no secret: the server is for one machine."""


@dataclass(frozen=True)
class Principal:
    """Who sends a request. Rules see `auth`; an administrator is exempt from them."""

    auth: Claims = None
    is_admin: bool = False


ANONYMOUS = Principal()
ADMIN = Principal(is_admin=True)


def principal_of(headers: Mapping[str, str], parameters: Mapping[str, str]) -> Principal:
    """Return who sent a request, by its headers and the parameters of its URL.

    Raises:
        RtdbError: 401 for an invalid token, 400 for an invalid override.
    """
    scheme, _, bearer = headers.get("Authorization", "").partition(" ")
    given = bearer.strip() if scheme.lower() == "bearer" else ""
    token = given or parameters.get("access_token") or parameters.get("auth")
    principal = principal_for_token(token) if token else ANONYMOUS
    override = parameters.get("auth_variable_override")
    return principal if override is None or not principal.is_admin else _overridden(override)


def principal_for_token(token: str) -> Principal:
    """Return who signs in with a token: `owner`, or a JWT, whose signature is not checked.

    Raises:
        RtdbError: 401, the token is neither.
    """
    if token == OWNER:
        return ADMIN
    try:
        payload = token.split(".")[1]
        claims: Any = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        uid = claims.get("user_id") or claims["sub"]
    except (LookupError, ValueError, AttributeError):
        raise RtdbError(401, "Could not parse auth token.") from None
    sign_in = claims.get("firebase")
    provider = sign_in.get("sign_in_provider") if isinstance(sign_in, dict) else None
    return Principal({"uid": uid, "provider": provider or "custom", "token": claims})


def _overridden(text: str) -> Principal:
    try:
        auth = json.loads(text)
    except ValueError:
        auth = text
    if auth is not None and not isinstance(auth, dict):
        raise RtdbError(400, "auth_variable_override must be an object or null.")
    return Principal(auth)
