"""A health check is red for every answer but a good one, and says what it was."""

import threading
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from app.dev.processes import free_port
from app.monitoring.healthcheck import main


class Service(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        is_well = self.path == "/well"
        self.send_response(HTTPStatus.OK if is_well else HTTPStatus.SERVICE_UNAVAILABLE)
        self.end_headers()
        self.wfile.write(b"ok\n" if is_well else b"ledger: no room\n")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_service_that_is_well_is_green(service: str) -> None:
    assert main(f"{service}/well") == 0


def test_a_service_that_is_not_says_why(service: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(f"{service}/ill") == 1
    assert capsys.readouterr().out == "503: ledger: no room\n"


def test_a_service_that_is_not_there_is_red(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(f"http://127.0.0.1:{free_port()}/") == 1
    assert "no answer from" in capsys.readouterr().out
