"""Redis over TLS: everything that talks to it verifies whom it talks to."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from app.dev.processes import free_port
from app.errors import StopProgram
from app.messaging import Subscription
from app.publisher import RedisPublisher
from tests.system import System, report, wait_until
from tests.tls import HOST, Authority, TlsServer

REPORTS = 500


@dataclass
class Tls:
    """A Redis that is reached over TLS only, by `url`."""

    system: System
    server: TlsServer
    authority: Authority

    def url(self, authority: Authority | None, host: str = HOST, scheme: str = "rediss") -> str:
        trusted = f"?ssl_ca_certs={authority.file}" if authority else ""
        return f"{scheme}://{host}:{self.server.port}/0{trusted}"


@pytest.fixture
def tls(system: System) -> Iterator[Tls]:
    authority = Authority(system.folder)
    port = system.redis_server.port
    with TlsServer(port, authority.server_context()) as server:
        tls = Tls(system, server, authority)
        system.environment["REDIS_URL"] = tls.url(authority)
        yield tls
        # Whoever talks through it goes first.
        system.close()


def test_a_report_goes_all_the_way_over_tls_and_flower_sees_the_queue(tls: Tls) -> None:
    system, port = tls.system, free_port()
    at = ("--address=127.0.0.1", f"--port={port}")
    system.start("flower", "-m", "celery", "-A", "tasks", "flower", *at)
    system.start_bridge()
    system.start_worker()
    publisher = RedisPublisher(tls.url(tls.authority), spool=system.folder / "spool")
    for _ in range(REPORTS):
        assert not publisher.publish("PROFIT_REPORT", report("SOFI", 0.5), "bot").spooled

    def is_stored() -> bool:
        return bool(system.firebase.get("services/SOFI/performance/total") == REPORTS / 2)

    wait_until(is_stored, "the sum in Firebase")

    def is_shown() -> bool:
        try:
            page = requests.get(f"http://127.0.0.1:{port}/broker", timeout=5)
        except requests.ConnectionError:
            return False
        return page.ok and "profit-bridge" in page.text

    wait_until(is_shown, "the queue in Flower")


def test_an_untrusted_certificate_is_one_line_with_the_fix(tls: Tls, tmp_path: Path) -> None:
    other = Authority(tmp_path, "other")
    done = tls.system.run("-m", "app", "bridge", REDIS_URL=tls.url(other))
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.endswith(
        ": name the file of its CA: REDIS_URL=rediss://...?ssl_ca_certs=FILE\n"
    )


def test_each_way_of_getting_tls_wrong_has_its_own_fix(tls: Tls) -> None:
    plain = tls.system.redis_server.port
    fixes = {
        tls.url(None): "name the file of its CA",
        tls.url(tls.authority, "127.0.0.1"): "the host name that its certificate was issued for",
        tls.url(None, scheme="redis"): "start REDIS_URL with rediss://",
        f"rediss://{HOST}:{plain}/0": "start REDIS_URL with redis://",
    }

    def refusal(url: str) -> str:
        with pytest.raises(StopProgram) as stopped:
            Subscription(url, ["PROFIT_REPORT"]).start()
        return str(stopped.value)

    with ThreadPoolExecutor() as threads:
        for fix, text in zip(fixes.values(), threads.map(refusal, fixes), strict=True):
            assert fix in text


@pytest.mark.skipif(sys.version_info < (3, 13), reason="older Pythons accept such a CA")
def test_a_ca_that_this_python_finds_too_lax_is_one_line_that_says_what_it_lacks(
    system: System, tmp_path: Path
) -> None:
    lax = Authority(tmp_path, "lax", is_strict=False)
    with TlsServer(system.redis_server.port, lax.server_context()) as server:
        url = f"rediss://{HOST}:{server.port}/0?ssl_ca_certs={lax.file}"
        done = system.run("-m", "app", "bridge", REDIS_URL=url)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "authorityKeyIdentifier" in done.stderr


def test_celery_verifies_the_certificate_too(tls: Tls) -> None:
    worker = tls.system.start(
        "worker",
        *("-m", "celery", "-A", "tasks", "worker", "--concurrency", "1"),
        REDIS_URL=tls.url(None),
    )

    def is_refused() -> bool:
        return "CERTIFICATE_VERIFY_FAILED" in worker.log.read_text()

    wait_until(is_refused, "refusal of an unknown CA")
    assert tls.server.taken == 0
