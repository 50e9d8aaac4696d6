"""The latest value of every slot on its way to Firebase, with one writer per slot."""

from app.delivery.conflating_queue import ConflatingQueue, Slot
from app.delivery.dispatcher import (
    BULK_SIZE,
    MAX_SINGLE_TASKS,
    MAX_TASKS_WAITING,
    Dispatcher,
)
from app.delivery.failed_stores import FailedStores
from app.delivery.kept_orders import KeptOrders
from app.delivery.proposals import Candidate, ProposalStatus
from app.delivery.register import (
    ANY_REVISION,
    LEASE_SECONDS,
    LONGEST_WRITE_SECONDS,
    MAX_REVISION,
    SLOT_TTL_SECONDS,
    LatestValueRegister,
)
from app.delivery.rejected_updates import RejectedUpdate, RejectedUpdates
from app.delivery.store import (
    MAX_REQUEST_BYTES,
    MAX_ROUNDS,
    FirebaseWriter,
    LatestValueStore,
    StoreResult,
    Unfinished,
)

__all__ = [
    "ANY_REVISION",
    "BULK_SIZE",
    "LEASE_SECONDS",
    "LONGEST_WRITE_SECONDS",
    "MAX_REQUEST_BYTES",
    "MAX_REVISION",
    "MAX_ROUNDS",
    "MAX_SINGLE_TASKS",
    "MAX_TASKS_WAITING",
    "SLOT_TTL_SECONDS",
    "Candidate",
    "ConflatingQueue",
    "Dispatcher",
    "FailedStores",
    "FirebaseWriter",
    "KeptOrders",
    "LatestValueRegister",
    "LatestValueStore",
    "ProposalStatus",
    "RejectedUpdate",
    "RejectedUpdates",
    "Slot",
    "StoreResult",
    "Unfinished",
]
