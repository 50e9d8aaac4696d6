"""A Redis URL is read the same way by redis-py, Celery and Flower."""

from pathlib import Path

import pytest

from app.urls import masked, redis_url, tls_of, without_tls_options


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://h?ssl_cert_reqs=none", "start the URL with rediss://"),
        ("rediss://h?ssl_cert_reqs=CERT_REQUIRED", "required, optional, none"),
        ("rediss://h?ssl_check_hostname=no", "true, false"),
        ("rediss://h?ssl_ca_certs=/nowhere/ca.pem", "no readable file /nowhere/ca.pem"),
        ("amqp://guest@h//", "amqp:// is not served, only Redis is: it must look like redis://"),
        ("sqs://", "sqs:// is not served"),
        ("redis://h?socket_timeout=60", "takes no socket_timeout"),
    ],
)
def test_what_no_client_could_use_is_refused_with_the_fix(url: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        redis_url(url)


def test_what_can_be_used_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.touch()
    for url in (
        "redis://h",
        "unix:///run/redis.sock?db=3",
        f"rediss://u:p@h:6390/2?ssl_ca_certs={file}&ssl_check_hostname=false",
    ):
        assert redis_url(url) == url


def test_tls_verifies_unless_the_url_says_otherwise() -> None:
    assert tls_of("redis://h") is None
    assert tls_of("rediss://h") == {"ssl_cert_reqs": "required"}
    given = "rediss://h:1/0?ssl_cert_reqs=none&db=3&ssl_check_hostname=false"
    assert tls_of(given) == {"ssl_cert_reqs": "none", "ssl_check_hostname": False}
    assert without_tls_options(given) == "rediss://h:1/0?db=3"


def test_no_password_of_a_url_is_shown() -> None:
    text = "cannot use redis://u:a:b@h:1/0 and rediss://h?password=c&db=3: refused"
    assert (
        masked(text) == "cannot use redis://u:***@h:1/0 and rediss://h?password=***&db=3: refused"
    )
