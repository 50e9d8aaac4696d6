"""How the publisher connects: what a URL may hold, and what each redis-py understands."""

import os
from typing import Any

import pytest
from redis.connection import SSLConnection

from app.publisher import RedisPublisher
from app.publisher.connection import (
    SOCKET_TIMEOUT,
    PublisherConnection,
    connection_options,
    target_name,
)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("redis://host", "host-6379-0"),
        ("redis://host:1/2", "host-1-2"),
        ("rediss://user:word@[::1]:1", "%3A%3A1-1-0"),
        ("unix:///run/redis.sock?db=3", "%2Frun%2Fredis.sock-3"),
    ],
)
def test_a_spool_is_named_after_its_database(url: str, name: str) -> None:
    options = connection_options(url)
    assert target_name(options) == name
    PublisherConnection(options)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("", "must look like redis://host:6379/0"),
        ("host:6379", "must look like"),
        ("redis://", "must look like"),
        ("redis://host:0", "must look like"),
        ("redis://host/name", "must look like"),
        ("redis://[::1", "must look like"),
        ("unix://", "must look like"),
        ("redis://host?ssl_ca_certs=x", "takes no ssl_ca_certs; options of TLS need rediss://"),
        ("rediss://host?ssl_ca_certs=/absent", "ssl_ca_certs: there is no readable file /absent"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused(url: str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        connection_options(url)


def test_a_url_given_as_an_argument_is_refused_without_its_password() -> None:
    with pytest.raises(ValueError, match=r"^url=http://:\*\*\*@x: must look like"):
        RedisPublisher("http://:word@x", spool=os.devnull)


@pytest.mark.parametrize(("requirement", "is_checked"), [("required", True), ("none", False)])
def test_the_host_name_is_checked_wherever_the_certificate_is(
    requirement: str, is_checked: bool
) -> None:
    options = connection_options(f"rediss://host?ssl_cert_reqs={requirement}")
    assert options["ssl_check_hostname"] is is_checked


def test_a_url_cannot_lengthen_the_timeouts() -> None:
    options = connection_options("redis://host?socket_timeout=60&socket_connect_timeout=60")
    assert options["socket_timeout"] == options["socket_connect_timeout"] == SOCKET_TIMEOUT


def test_options_that_an_older_redis_py_does_not_know_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = {"socket_timeout", "lib_name", "lib_version", "host"}
    monkeypatch.setattr("app.publisher.connection._parameters", lambda kind: known)
    options: dict[str, Any] = connection_options("redis://host")
    assert options == {
        "host": "host",
        "socket_timeout": SOCKET_TIMEOUT,
        "lib_name": None,
        "lib_version": None,
    }


def test_this_redis_py_knows_all_options() -> None:
    tls = connection_options("rediss://host")
    assert tls["connection_class"] is SSLConnection
    assert {"protocol", "socket_keepalive", "retry", "driver_info"} < tls.keys()
