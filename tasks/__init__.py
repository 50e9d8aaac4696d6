"""The Celery app and its tasks: `celery -A tasks worker`, `celery -A tasks flower`."""

from tasks.celery_app import app
from tasks.store import store_in_bulk, store_performance, store_ticker_data

__all__ = ["app", "store_in_bulk", "store_performance", "store_ticker_data"]
