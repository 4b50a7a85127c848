"""Records of the calls that ran on a node when it was lost: the node has told of them in its own partition of the cdr table.

The key is the one of the node's own record: whichever is written first stands, and the node's, which knows more, is written over this one.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from shared import dynamodb
from shared.clock import from_iso, to_iso
from shared.dynamodb import Item
from shared.telemetry import count, logger

NODE_LOST = "the node was lost during the call"


class AlreadyRecordedError(Exception):
    """The node wrote the call's record itself."""


class CallRecords:
    """The cdr table."""

    def __init__(self, cdr_table: str) -> None:
        self._table = cdr_table

    def end(self, arn: str, last_heard: datetime) -> int:
        """Write what is known of each call that the node of this instance had not ended; answers how many. Doing it twice does no harm."""
        written = 0
        for begun in dynamodb.partition(self._table, arn):
            key = {"pk": begun["pk"], "sk": begun["sk"]}
            try:
                record = broken(begun, last_heard)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                logger.error("fleet: odd call", extra={**key, "error": repr(error)})
                count("FleetOddItem")
                continue
            forget = dynamodb.delete(self._table, key, _already, "attribute_exists(pk) OR attribute_not_exists(pk)")
            try:
                dynamodb.transact(dynamodb.put(self._table, record, _already, "attribute_not_exists(pk)"), forget)
                written += 1
            except AlreadyRecordedError:
                dynamodb.transact(forget)
        return written


def broken(begun: Mapping[str, Any], last_heard: datetime) -> Item:
    """The record of a call that ran when its node was last heard: it lasted until then at least, and nothing later is known. Pure.

    Raises KeyError, TypeError or ValueError for what no node would have begun.
    """
    pk, _, sk = str(begun["sk"]).partition("/")
    if not sk or not pk.startswith("CUSTOMER#"):
        raise ValueError("no key of a call record")
    answered = from_iso(begun.get("answeredAt") or begun["startedAt"])
    return {"legs": [], **begun, "pk": pk, "sk": sk, "endedAt": to_iso(max(answered, last_heard)), "reason": NODE_LOST}


def _already(_: Item | None) -> Exception:
    return AlreadyRecordedError()
