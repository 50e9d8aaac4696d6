"""Figures that are not real do not get into an account that is."""

import pytest

from app.cli.safety import refuse_other_machine, refuse_real_database
from app.errors import WrongUse
from app.settings import load_settings


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost:6379/0",
        "redis://127.0.0.2:6379/0",
        "redis://[::1]:6379/0",
        "unix:///run/redis.sock",
    ],
)
def test_a_redis_on_this_machine_may_take_simulated_reports(url: str) -> None:
    refuse_other_machine(url, "--to", not_real=False)


@pytest.mark.parametrize("url", ["redis://10.1.2.3/0", "redis://desk.example/0", "redis:///0"])
def test_a_redis_elsewhere_needs_the_word_of_a_person(url: str) -> None:
    with pytest.raises(WrongUse, match="--not-a-real-account"):
        refuse_other_machine(url, "--to", not_real=False)
    refuse_other_machine(url, "--to", not_real=True)


def test_a_real_database_needs_the_word_of_a_person_and_an_emulator_does_not() -> None:
    real = {"FIREBASE_DATABASE_URL": "https://desk-1.firebaseio.com"}
    with pytest.raises(WrongUse, match="is a real database"):
        refuse_real_database(load_settings(real), not_real=False)
    refuse_real_database(load_settings(real), not_real=True)
    emulator = real | {"FIREBASE_DATABASE_EMULATOR_HOST": "127.0.0.1:9000"}
    refuse_real_database(load_settings(emulator), not_real=False)
