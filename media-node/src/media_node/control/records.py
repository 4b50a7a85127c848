"""Call records on their way to the cdr table: memory, then a file of their own, then DynamoDB, then the file goes.

The event loop only ever touches memory; `write`, `upload` and `recover` block and belong in a thread. A record that is
on the disk survives a crash, a reboot and an AWS that does not answer. One that cannot be written, as the disk is full,
waits in memory up to a bound. Sending one twice does no harm: its key is its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from media_node.control.aws import to_item
from media_node.log import Event, log

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MOST_IN_MEMORY: Final = 10_000
"""Records that wait in memory while the disk takes none: some 20 MB."""
BATCH: Final = 25
"""What BatchWriteItem takes at a time (https://docs.aws.amazon.com/amazondynamodb/latest/APIReference)."""
MOST_BATCH_TRIES: Final = 3
_ALIVE: Final = "alive"

Item = dict[str, Any]
T = TypeVar("T")


class Spool:
    """Records waiting: `NAME.json` is whole, `NAME.begun` is of a call that has not ended yet."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._disk = threading.Lock()
        self._memory: dict[str, tuple[bool, Item]] = {}
        self._memory_lock = threading.Lock()
        self._forgotten: set[str] = set()
        self.dropped = 0
        """Records lost because disk and memory were full."""
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for partial in directory.glob("*.partial"):  # the process ended while it wrote them
            partial.unlink(missing_ok=True)

    # From the event loop: never blocks on the disk.

    def begin(self, name: str, item: Item) -> None:
        """Keeps what is known of a call that was answered, so that it leaves a record however it ends."""
        self._keep(name, False, item)

    def add(self, name: str, item: Item) -> None:
        """Keeps a whole record under a name of its own; what was begun under that name is replaced."""
        self._keep(name, True, item)

    def forget(self, name: str) -> None:
        """Keeps nothing of a call that was begun, from the next `write` on."""
        with self._memory_lock:
            self._memory.pop(name, None)
            self._forgotten.add(name)

    def _keep(self, name: str, whole: bool, item: Item) -> None:
        with self._memory_lock:
            if len(self._memory) >= MOST_IN_MEMORY and name not in self._memory:
                self.dropped += 1
                return
            self._memory[name] = (whole, item)

    # From a thread.

    def write(self) -> int:
        """Moves what is in memory to the disk and returns how many records went; raises OSError at the first that
        the disk did not take, which stays in memory with the rest.
        """
        with self._disk:
            written = 0
            with self._memory_lock:
                forgotten, self._forgotten = self._forgotten, set()
            for name in forgotten:
                (self._directory / f"{name}.begun").unlink(missing_ok=True)
            for name, (whole, item) in self._in_memory():
                self._write(name, whole, item)
                with self._memory_lock:
                    if self._memory.get(name) == (whole, item):  # else the call has ended meanwhile
                        del self._memory[name]
                written += 1
            return written

    def _in_memory(self) -> list[tuple[str, tuple[bool, Item]]]:
        with self._memory_lock:
            return list(self._memory.items())

    def _write(self, name: str, whole: bool, item: Item) -> None:
        partial = self._directory / f"{name}.partial"
        try:
            with partial.open("w") as file:
                json.dump(item, file)
                file.flush()
                os.fsync(file.fileno())
            partial.rename(self._directory / f"{name}.{'json' if whole else 'begun'}")
        except OSError:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
            raise
        if whole:
            (self._directory / f"{name}.begun").unlink(missing_ok=True)

    def waiting(self) -> list[Path]:
        """The files that still have to go, the oldest first."""
        return sorted(self._directory.glob("*.json"), key=_written_at)

    @property
    def in_memory(self) -> int:
        """How many records the disk has not taken yet."""
        return len(self._memory)

    def upload(self, client: DynamoDBClient, table: str) -> int:
        """Sends what waits on the disk and, where the disk takes none, in memory; returns how many records went.

        Raises aws.Unavailable at the first batch that did not go; it and the rest wait.
        """
        try:
            self.write()
        except OSError as error:
            log(Event.RECORDS_IN_MEMORY, error=str(error), records=self.in_memory, dropped=self.dropped)
        with self._disk:  # one at a time: the last upload of a node that stops meets the one under way
            return self._upload_files(client, table) + self._upload_memory(client, table)

    def _upload_files(self, client: DynamoDBClient, table: str) -> int:
        sent = 0
        for paths in _batches(self.waiting()):
            items: dict[Path, Item] = {}
            for path in paths:
                try:
                    items[path] = _to_record(json.loads(path.read_text()))
                except (ValueError, OSError) as error:
                    _set_aside(path, error)
            gone, refused = _put(client, table, items)
            for path in gone:
                path.unlink(missing_ok=True)
            for path, why in refused.items():
                _set_aside(path, why)
            sent += len(gone)
        return sent

    def _upload_memory(self, client: DynamoDBClient, table: str) -> int:
        sent = 0
        for batch in _batches([(name, item) for name, (whole, item) in self._in_memory() if whole]):
            gone, refused = _put(client, table, {name: _to_record(item) for name, item in batch})
            for name, why in refused.items():
                log(Event.RECORD_SET_ASIDE, record=name, error=str(why))
            with self._memory_lock:
                for name in (*gone, *refused):
                    self._memory.pop(name, None)
            for name in gone:
                (self._directory / f"{name}.begun").unlink(missing_ok=True)
            sent += len(gone)
        return sent

    # After a crash.

    def alive(self) -> None:
        """Notes on the disk that the node lives now, where the disk takes it."""
        with contextlib.suppress(OSError):
            (self._directory / _ALIVE).touch()

    def recover(self) -> list[tuple[str, Item, datetime]]:
        """The calls that were running when the process before this one ended: each with its name, what was begun, and
        when that process was last known to live. A file that cannot be read is set aside.
        """
        found = []
        alive = self._directory / _ALIVE
        for path in sorted(self._directory.glob("*.begun"), key=_written_at):
            try:
                item = json.loads(path.read_text())
                seen = max(_written_at(path), _written_at(alive))
                found.append((path.stem, item, datetime.fromtimestamp(seen, UTC)))
            except (ValueError, OSError) as error:
                _set_aside(path, error)
        return found


def _to_record(value: Any) -> Item:
    """What the table takes; raises ValueError for what has no key."""
    if not isinstance(value, dict) or not all(isinstance(value.get(key), str) for key in ("pk", "sk")):
        raise ValueError("no record with a key")
    return to_item(value)


def _put(client: DynamoDBClient, table: str, items: Mapping[T, Item]) -> tuple[list[T], dict[T, Exception]]:
    """Which of at most 25 items DynamoDB has now, and which it will never take; raises aws.Unavailable when it takes
    none for now.
    """
    names = {(item["pk"]["S"], item["sk"]["S"]): name for name, item in items.items()}
    wanted: list[Any] = [{"PutRequest": {"Item": item}} for item in items.values()]
    for _ in range(MOST_BATCH_TRIES):
        if not wanted:
            break
        try:
            answer = client.batch_write_item(RequestItems={table: wanted})
        except client.exceptions.ClientError as error:
            if error.response["Error"]["Code"] == "ValidationException" and len(items) > 1:
                return _put_each(client, table, items)  # one of them spoils the batch
            if error.response["Error"]["Code"] == "ValidationException":
                return [], dict.fromkeys(items, error)
            raise
        wanted = list(answer.get("UnprocessedItems", {}).get(table, []))
    waiting = {names[(key["PutRequest"]["Item"]["pk"]["S"], key["PutRequest"]["Item"]["sk"]["S"])] for key in wanted}
    return [name for name in items if name not in waiting], {}


def _put_each(client: DynamoDBClient, table: str, items: Mapping[T, Item]) -> tuple[list[T], dict[T, Exception]]:
    gone, refused = list[T](), dict[T, Exception]()
    for name, item in items.items():
        went, why = _put(client, table, {name: item})
        gone += went
        refused |= why
    return gone, refused


def _batches(whole: list[T]) -> Iterable[list[T]]:
    return (whole[begin : begin + BATCH] for begin in range(0, len(whole), BATCH))


def _set_aside(path: Path, error: Exception) -> None:
    """Kept for a person; it must not hold up the others."""
    log(Event.RECORD_SET_ASIDE, record=path.name, error=str(error))
    with contextlib.suppress(OSError):
        path.rename(path.with_suffix(".broken"))


def _written_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
