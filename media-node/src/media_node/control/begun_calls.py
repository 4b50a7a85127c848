"""Calls that run, told in the node's own partition of the cdr table: when node and disk are lost, the reconciler writes their records.

Beside the spool, whose record of a call that ends always wins: it has the same key as the one that the reconciler would write.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from media_node.control.aws import to_item

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

BATCH: Final = 25
"""What BatchWriteItem takes at a time (https://docs.aws.amazon.com/amazondynamodb/latest/APIReference)."""
MOST_WAITING: Final = 10_000
"""Calls that wait to be told while AWS does not answer."""

Item = dict[str, Any]


def key(arn: str, item: Item) -> dict[str, str]:
    """Where a call that runs stands: its sort key holds both keys of its record to be."""
    return {"pk": arn, "sk": f"{item['pk']}/{item['sk']}"}


class BegunCalls:
    """What is to be told of calls that begin and end. `begin` and `end` never block; `tell` does, and belongs in a thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun: dict[str, Item] = {}
        """Not told yet."""
        self._told: dict[str, Item] = {}
        self._over: set[str] = set()

    def begin(self, name: str, item: Item) -> None:
        """A call was answered; `item` is what its record is to be, as far as it is known."""
        with self._lock:
            if len(self._begun) < MOST_WAITING:
                self._begun[name] = item

    def end(self, name: str, item: Item, *, told: bool = False) -> None:
        """The call's record is in the spool. `told` when a process before this one may have told of it."""
        with self._lock:
            self._begun.pop(name, None)
            if told:
                self._told[name] = item
            if name in self._told:
                self._over.add(name)

    def over(self) -> frozenset[str]:
        """Calls whose record is in the spool by now: once that is sent, nothing more is to be told of them."""
        with self._lock:
            return frozenset(self._over)

    def tell(self, client: DynamoDBClient, table: str, arn: str, over: frozenset[str]) -> None:
        """Tells of calls that have begun, and takes back those in `over`. Raises aws.Unavailable; what did not go is told next time."""
        with self._lock:
            begun, ended = dict(self._begun), {name: self._told[name] for name in over}
        writes: list[tuple[str, Any]] = [
            *((name, {"PutRequest": {"Item": to_item({**item, **key(arn, item)})}}) for name, item in begun.items()),
            *((name, {"DeleteRequest": {"Key": to_item(key(arn, item))}}) for name, item in ended.items()),
        ]
        for at in range(0, len(writes), BATCH):
            batch = writes[at : at + BATCH]
            answer = client.batch_write_item(RequestItems={table: [write for _, write in batch]})
            left = answer.get("UnprocessedItems", {}).get(table, [])
            self._went([name for name, write in batch if write not in left], begun)

    def _went(self, names: list[str], begun: dict[str, Item]) -> None:
        with self._lock:
            for name in names:
                if name not in begun:
                    self._told.pop(name, None)
                    self._over.discard(name)
                    continue
                self._told[name] = begun[name]
                if self._begun.pop(name, None) is None:
                    self._over.add(name)  # it has ended meanwhile
