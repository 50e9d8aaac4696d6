"""The live page: the files in app/dev/rtdb/page/, and the data that they request.

GET /                      the page, for a browser; other clients get a line about the server
GET /.page/<file>          its parts
GET /.history.json?ns=     each total over the current day; see history.py
"""

from __future__ import annotations

from pathlib import Path as FilePath

from app.dev.rtdb.databases import Databases
from app.dev.rtdb.http import HttpRequest, HttpResponse
from app.dev.rtdb.tree import RtdbError

_FOLDER = FilePath(__file__).parent / "page"
_PARTS = "/.page/"
_HISTORY = "/.history.json"

_CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

_HEADERS = {
    # Nothing from other servers, nothing inline: text from the database can only be text.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class LivePage:
    """Handles these requests."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases

    def handle(self, request: HttpRequest) -> HttpResponse | None:
        """Return the response, or None if the request is not for the page."""
        if request.method not in ("GET", "HEAD"):
            return None
        path = request.raw_path
        if path == "/" and "text/html" in request.headers.get("Accept", ""):
            return _file("index.html")
        if path.startswith(_PARTS):
            return _file(path.removeprefix(_PARTS))
        if path == _HISTORY:
            return self._history(request)
        return None

    def _history(self, request: HttpRequest) -> HttpResponse:
        database = self._databases.of(request.namespace)
        try:
            database.check_read(database.principal_of(request), ())  # the history has every node
        except RtdbError as error:
            return HttpResponse.error(error.status, error.text)
        return HttpResponse.of(database.history.as_json())


def _file(name: str) -> HttpResponse:
    for path in _FOLDER.iterdir():  # never build a path from a name that comes from outside
        if path.name == name and path.suffix in _CONTENT_TYPES:
            content_type = _CONTENT_TYPES[path.suffix]
            return HttpResponse(200, path.read_bytes(), content_type=content_type, headers=_HEADERS)
    return HttpResponse.text(404, f"The page has no {_PARTS}{name}.")
