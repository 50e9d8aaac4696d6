"""The latest value of every slot on its way to Firebase, with one writer per slot."""

from app.delivery.conflating_queue import ConflatingQueue, Slot
from app.delivery.dispatcher import BULK, FEW, MOST_WAITING, Dispatcher
from app.delivery.failed_stores import read_failed, remove_failed
from app.delivery.register import (
    ANY,
    HIGHEST,
    LEASE_SECONDS,
    LONGEST_WRITE_SECONDS,
    SLOT_KEPT_SECONDS,
    Candidate,
    LatestValueRegister,
    ProposalStatus,
)
from app.delivery.store import MAX_ROUNDS, Firebase, Stored, Unfinished, store_newest

__all__ = [
    "ANY",
    "BULK",
    "FEW",
    "HIGHEST",
    "LEASE_SECONDS",
    "LONGEST_WRITE_SECONDS",
    "MAX_ROUNDS",
    "MOST_WAITING",
    "SLOT_KEPT_SECONDS",
    "Candidate",
    "ConflatingQueue",
    "Dispatcher",
    "Firebase",
    "LatestValueRegister",
    "ProposalStatus",
    "Slot",
    "Stored",
    "Unfinished",
    "read_failed",
    "remove_failed",
    "store_newest",
]
