"""Enqueueing, as the bridge's hand-over needs it."""

from collections.abc import Sequence

from kombu.exceptions import OperationalError
from redis import RedisError

from app.delivery import Candidate
from app.domain import PERFORMANCE
from app.errors import RetryLater
from app.messaging import connect, reaching
from app.settings import Settings, masked
from tasks.celery_app import app
from tasks.store import store_in_bulk, store_performance, store_ticker_data

_KOMBUS_OWN = "__type__"
"""What has a key of this name may reach a worker as another thing than JSON, or not at all. So it
is left in the register, where the task finds it."""


class CeleryQueue:
    """The queue of the Celery app. Not safe to share by threads."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.celery_broker_url
        self._client = connect(self._url)
        self._name: str = app.conf.task_default_queue

    def waiting(self) -> int:
        """How many tasks no worker has taken yet.

        Raises:
            RetryLater: the broker cannot be reached.
        """
        with reaching(self._url, "CELERY_BROKER_URL"):
            return int(self._client.llen(self._name))

    def store(self, candidates: Sequence[Candidate]) -> None:
        """Enqueue one task for each candidate.

        Raises:
            RetryLater: the broker cannot be reached; perhaps some are enqueued.
        """
        for (symbol, key, value), revision in candidates:
            if key == PERFORMANCE:
                self._enqueue(store_performance, (symbol, value), revision=revision)
            elif _KOMBUS_OWN in repr(value):
                self._enqueue(store_in_bulk, ([(symbol, key)],))
            else:
                self._enqueue(store_ticker_data, (symbol, key, value), revision=revision)

    def store_in_bulk(self, candidates: Sequence[Candidate]) -> None:
        """Enqueue one task for all candidates. It names them: their values are in the register.

        Raises:
            RetryLater: the broker cannot be reached; perhaps it is enqueued.
        """
        self._enqueue(store_in_bulk, ([update[:2] for update, _ in candidates],))

    def _enqueue(self, task: object, arguments: tuple[object, ...], **options: object) -> None:
        try:
            task.apply_async(arguments, options)  # type: ignore[attr-defined]
        except (OperationalError, RedisError, OSError) as error:
            raise RetryLater(f"cannot enqueue on {masked(self._url)}: {error}") from None
