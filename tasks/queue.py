"""The dispatcher's way to enqueue tasks."""

from collections.abc import Sequence

from celery import Task
from kombu.exceptions import OperationalError
from redis import RedisError

from app.delivery import Candidate
from app.domain import PERFORMANCE
from app.errors import RetryLater
from app.messaging import connect, reaching
from app.settings import Settings
from app.urls import masked
from tasks.store import store_in_bulk, store_performance, store_ticker_data

_KOMBU_TYPE_KEY = "__type__"
"""kombu gives a meaning of its own to objects with this key, so they may reach a worker changed, or
not at all. Such a value stays in the register, where the task finds it."""


class CeleryQueue:
    """The queue of the Celery app. Not safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.celery_broker_url
        # Unless it is set, the broker is at REDIS_URL.
        self._variable = "REDIS_URL" if self._url == settings.redis_url else "CELERY_BROKER_URL"
        self._client = connect(self._url)
        self._name = settings.names.queue

    def waiting(self) -> int:
        """Return how many tasks no worker has taken yet.

        Raises:
            RetryLater: The broker cannot be reached.
        """
        with reaching(self._url, self._variable):
            return int(self._client.llen(self._name))

    def store(self, candidates: Sequence[Candidate]) -> None:
        """Enqueue one task for each candidate.

        Raises:
            RetryLater: The broker cannot be reached. Some tasks may be enqueued.
        """
        for candidate in candidates:
            (symbol, key, value), revision = candidate
            if key == PERFORMANCE:
                self._enqueue(store_performance, (symbol, value), revision=revision)
            elif _KOMBU_TYPE_KEY in repr(value):
                self.store_in_bulk([candidate])
            else:
                self._enqueue(store_ticker_data, (symbol, key, value), revision=revision)

    def store_in_bulk(self, candidates: Sequence[Candidate]) -> None:
        """Enqueue one task for all candidates. It names them: their values are in the register.

        Raises:
            RetryLater: The broker cannot be reached. The task may be enqueued.
        """
        self._enqueue(store_in_bulk, ([update[:2] for update, _ in candidates],))

    def _enqueue(self, task: Task, arguments: tuple[object, ...], **options: object) -> None:
        try:
            task.apply_async(arguments, options)
        except (OperationalError, RedisError, OSError) as error:
            raise RetryLater(f"cannot enqueue on {masked(self._url)}: {error}") from None
