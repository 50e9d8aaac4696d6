"""The live page of the development server: the files in app/dev/rtdb/page/, and what they ask for.

GET /                      the page, for a browser; other clients get the server's line about itself
GET /.page/<file>          its parts
GET /.history.json?ns=     the day so far of each total; see app/dev/rtdb/history.py
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
    # Nothing from anywhere else, nothing inline: text out of the database stays text.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class LivePage:
    """Answers these requests."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases

    def answer(self, request: HttpRequest) -> HttpResponse | None:
        """The answer, or None if the request is for somebody else."""
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
            database.check_read(database.principal_of(request), ())  # it is of all there is
        except RtdbError as error:
            return HttpResponse.error(error.status, error.text)
        return HttpResponse.of(database.history.as_json())


def _file(name: str) -> HttpResponse:
    for path in _FOLDER.iterdir():  # a name that is not in the folder is never made a path
        if path.name == name and path.suffix in _CONTENT_TYPES:
            content_type = _CONTENT_TYPES[path.suffix]
            return HttpResponse(200, path.read_bytes(), content_type=content_type, headers=_HEADERS)
    return HttpResponse.text(404, f"The page has no {_PARTS}{name}.")
