"""The stores that Firebase refused, for operators: one entry for each slot."""

import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from app.delivery.dead_letters import DeadLetterList, head
from app.domain import Update
from app.messaging import reaching
from app.settings import Settings

MAX_FAILED_STORES = 1_000
"""How many entries are kept. Beyond it, the oldest are dropped."""


class FailedStores(DeadLetterList):
    """The entries: a hash, and the list of former versions, which had one for each refusal."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.redis_url, settings.names.failed_stores, MAX_FAILED_STORES)
        self._by_slot = settings.names.refused_stores

    def add(self, refused: Iterable[tuple[Update, str]], *, is_new: bool = True) -> None:
        """Note values that were refused, with the reason.

        Args:
            refused: The values, and why each was refused.
            is_new: Whether they were refused once more; if not, only a slot that is not listed yet
                is added.
        """
        by_slot = {_slot(update): (update, reason) for update, reason in refused}
        if not by_slot:
            return
        with reaching(self._url):
            former: Any = self._client.hmget(self._by_slot, list(by_slot))
            entries: dict[Any, Any] = {}
            for (slot, (update, reason)), text in zip(by_slot.items(), former, strict=True):
                if text and not is_new:
                    continue
                new = head()
                known: dict[str, Any] = (
                    json.loads(text) if text else {"id": new["id"], "first": new["at"]}
                )
                entry = {
                    "id": known["id"],
                    "first": known["first"],
                    "at": new["at"],
                    "count": known.get("count", 0) + 1,
                    **update._asdict(),
                    "reason": reason,
                }
                entries[slot] = _text(entry)
            if entries:
                self._client.hset(self._by_slot, mapping=entries)
                self._drop_oldest()

    def read(self) -> list[dict[str, Any]]:
        with reaching(self._url):
            by_slot: Any = self._client.hvals(self._by_slot)
        entries = [*map(json.loads, by_slot), *super().read()]
        entries = [{"first": entry["at"], "count": 1, **entry} for entry in entries]
        return sorted(entries, key=lambda entry: str(entry["at"]), reverse=True)

    def forget(self, updates: Sequence[Update]) -> None:
        """Remove the entries of slots that Firebase has taken a value of."""
        if updates:
            with reaching(self._url):
                self._client.hdel(self._by_slot, *map(_slot, updates))

    def remove(self, ids: Collection[str]) -> None:
        with reaching(self._url):
            by_slot: Any = self._client.hgetall(self._by_slot)
            slots = [slot for slot, text in by_slot.items() if json.loads(text)["id"] in ids]
            if slots:
                self._client.hdel(self._by_slot, *slots)
        super().remove(ids)

    def _drop_oldest(self) -> None:
        excess = int(self._client.hlen(self._by_slot)) - MAX_FAILED_STORES
        if excess > 0:
            by_slot: Any = self._client.hgetall(self._by_slot)
            oldest = sorted(by_slot, key=lambda slot: str(json.loads(by_slot[slot])["at"]))
            self._client.hdel(self._by_slot, *oldest[:excess])


def _slot(update: Update) -> str:
    # Of a task's argument that was refused at the door, symbol and key may be anything.
    return json.dumps([str(update.symbol), str(update.key)])


def _text(entry: dict[str, Any]) -> str:
    try:
        return json.dumps(entry)
    except (TypeError, ValueError, RecursionError):
        # Refused for that very reason: an operator can only clear it.
        return json.dumps(entry | {"symbol": "", "key": "", "value": None})
