"""Call records on their way to the cdr table: first a file of their own, then DynamoDB, then the file goes.

A record that is in the spool survives a crash, a reboot and an AWS that does not answer. Writing one twice does no
harm: its key is its own.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from media_node.control.aws import to_item

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class Spool:
    """Records waiting in a directory, one JSON file each."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._uploading = threading.Lock()
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def add(self, name: str, item: dict[str, Any]) -> None:
        """Keeps a record under a name of its own; once this returns it is on the disk. Raises OSError."""
        partial, whole = self._directory / f"{name}.partial", self._directory / f"{name}.json"
        with partial.open("w") as file:
            json.dump(item, file)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(whole)

    def waiting(self) -> list[Path]:
        """The files that still have to go, the oldest first."""
        return sorted(self._directory.glob("*.json"), key=lambda path: path.stat().st_mtime)

    def upload(self, client: DynamoDBClient, table: str) -> int:
        """Sends what waits and returns how many went; blocks. Raises aws.Unavailable at the first that did not; the
        rest waits.
        """
        with self._uploading:  # one at a time: the last upload of a node that stops meets the one under way
            return sum(self._send(path, client, table) for path in self.waiting())

    @staticmethod
    def _send(path: Path, client: DynamoDBClient, table: str) -> bool:
        try:
            item = json.loads(path.read_text())
        except ValueError:
            path.rename(path.with_suffix(".broken"))  # kept for a person; it must not hold up the others
            return False
        client.put_item(TableName=table, Item=to_item(item))
        path.unlink()
        return True
