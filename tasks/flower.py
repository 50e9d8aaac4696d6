"""What Flower shows and keeps, however and wherever `celery -A tasks flower` is started."""

import logging
import os

_OPTIONS = {
    # The arguments are the symbol and its figures; the id opens the page of one task.
    "FLOWER_TASKS_COLUMNS": "name,args,state,received,runtime,worker,uuid",
    # About 50 MB; by itself Flower keeps 100,000.
    "FLOWER_MAX_TASKS": "5000",
}
"""Defaults by environment variable. Flower takes the command line's `--tasks-columns` first."""


def use_options() -> None:
    """Set these options for Flower in this process, unless the environment has them."""
    for variable, text in _OPTIONS.items():
        os.environ.setdefault(variable, text)
    # It asks all workers when it starts, and warns four times if none is up yet, as in every start
    # of a whole system. Its page says which workers there are.
    logging.getLogger("flower.inspector").setLevel(logging.ERROR)
