"""Fixtures that the tests of the delivery share; each module has a `firebase` of its own kind."""

from collections.abc import Iterator

import pytest

from app.delivery import FailedStores, LatestValueRegister, LatestValueStore
from app.firebase import FirebaseClient
from app.settings import Settings
from tests.system import Firebase


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firebase]:
    database = Firebase(tmp_path_factory.mktemp("firebase"))
    yield database
    database.process.end()


@pytest.fixture
def register(redis_url: str) -> LatestValueRegister:
    return LatestValueRegister(Settings(redis_url=redis_url))


@pytest.fixture
def failed_stores(redis_url: str) -> FailedStores:
    return FailedStores(Settings(redis_url=redis_url))


@pytest.fixture
def store(
    register: LatestValueRegister, firebase: FirebaseClient, failed_stores: FailedStores
) -> LatestValueStore:
    return LatestValueStore(register, firebase, failed_stores)
