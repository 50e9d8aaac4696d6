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
    url_of,
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


@pytest.mark.parametrize(
    ("parts", "options"),
    [
        ({"host": "h"}, {"host": "h", "port": 6379, "db": 0}),
        ({"port": "6380", "db": 2}, {"host": "localhost", "port": 6380, "db": 2}),
        ({"host": "", "password": "p:/@?# %"}, {"host": "localhost", "password": "p:/@?# %"}),
        ({"host": "::1", "username": "b", "password": "w"}, {"host": "::1", "username": "b"}),
    ],
)
def test_a_server_may_be_given_in_parts_as_to_redis_py(
    parts: dict[str, Any], options: dict[str, Any]
) -> None:
    assert connection_options(str(url_of(None, **parts))).items() >= options.items()


def test_without_parts_the_url_stands_and_without_a_url_nothing_is_given() -> None:
    none = dict.fromkeys(("host", "port", "db", "username", "password"))
    assert url_of("redis://h", **none) == "redis://h"
    assert url_of(None, **none) is None


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"url": "redis://h", "port": 1}, "url and port are both given: leave out one of them"),
        ({"url": 6379}, "url must be text such as redis://host:6379/0, not int"),
        ({"url": "localhost"}, "url=localhost: must look like redis://host:6379/0"),
        ({"host": "redis://:word@h"}, r"host=redis://:\*\*\*@h: must be the name of a host"),
        ({"host": 1}, "host must be text, not int"),
        ({"password": 1234}, "password must be text, not int"),
        ({"port": 0}, "port=0: must be a whole number from 1 to 65535"),
        ({"port": 1.5}, "port=1.5: must be a whole number"),
        ({"db": "-1"}, "db=-1: must be a whole number from 0"),
        ({"account": "a b"}, "account=a b: must be 1 to 32 letters"),
        ({"timeout": 0}, "timeout must be above 0 and at most 3600 seconds, not 0"),
        ({"timeout": "1"}, "timeout must be .*, not '1'"),
        ({"timeout": float("inf")}, "timeout must be .*, not inf"),
    ],
)
def test_a_wrong_argument_is_one_line_that_names_it(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=f"^{text}"):
        RedisPublisher(**arguments, spool=os.devnull)


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
