"""What a web page gets that signs nobody in: a read without credentials, as the rules judge it."""

from urllib.parse import parse_qsl, quote, urlsplit

import requests

from app.errors import RetryLater
from app.settings import Settings

_TIMEOUT = 2.0
_DENIED = frozenset({401, 403})


def anybody_may_read(settings: Settings, path: str = "") -> bool:
    """Return whether the database lets a request without credentials read a node below the root.

    Args:
        settings: This process's settings; no key file is needed.
        path: The node; the root itself by default. Only the keys of its children are read.

    Raises:
        WrongSetting: The settings name no database.
        RetryLater: No database has answered, so nobody knows.
    """
    database = urlsplit(settings.database_url)
    node = quote("/".join(filter(None, (settings.firebase_root, path))))
    url = f"{database.scheme}://{database.netloc}/{node}.json"
    query = {**dict(parse_qsl(database.query)), "shallow": "true"}
    try:
        with requests.Session() as session:
            # A proxy named in the environment does not apply to a database on this machine.
            session.trust_env = database.scheme == "https"
            answer = session.get(url, params=query, timeout=_TIMEOUT, allow_redirects=False)
            found = answer.json()
    except requests.JSONDecodeError:
        # A page of a proxy says nothing about the rules.
        raise RetryLater(f"{url} answers, but not as a database does") from None
    except requests.RequestException:
        raise RetryLater(f"{url} does not answer") from None
    if answer.status_code == requests.codes.ok:
        return True
    if answer.status_code in _DENIED and isinstance(found, dict) and "error" in found:
        return False
    raise RetryLater(f"{url} answers {answer.status_code}: {str(found)[:80]}")
