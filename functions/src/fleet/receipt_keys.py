"""The public keys under which nodes sign call receipts. They outlive their nodes, as receipts do."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from shared import dynamodb
from shared.clock import to_iso

_PARTITION = "RECEIPT_KEYS"
_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}")


def is_receipt_key(value: Any) -> bool:
    """Whether this is a public Ed25519 key as a node announces it (RFC 8037 section 2), with its thumbprint as `kid`."""
    return (
        isinstance(value, Mapping)
        and set(value) == {"crv", "kty", "x", "kid"}
        and (value["crv"], value["kty"]) == ("Ed25519", "OKP")
        and all(isinstance(value[name], str) and _THUMBPRINT.fullmatch(value[name]) for name in ("x", "kid"))
    )


class ReceiptKeyStore:
    """The keys in the fleet table; they are only ever added."""

    def __init__(self, table: str) -> None:
        self._table = table

    def keep(self, jwk: Mapping[str, str], node_id: str, since: datetime) -> None:
        """Write a node's key down; the first time counts."""
        item = {"pk": _PARTITION, "sk": jwk["kid"], "jwk": dict(jwk), "nodeId": node_id, "since": to_iso(since)}
        try:
            dynamodb.transact(dynamodb.put(self._table, item, lambda _: _KnownError(), "attribute_not_exists(pk)"))
        except _KnownError:
            return

    def all(self) -> list[dict[str, Any]]:
        """Every key, the oldest first; one that cannot be read is left out."""
        items = [item for item in dynamodb.partition(self._table, _PARTITION) if is_receipt_key(item.get("jwk"))]
        found = [
            {**item["jwk"], "alg": "EdDSA", "use": "sig", "node": item["nodeId"], "since": item["since"]}
            for item in items
        ]
        return sorted(found, key=lambda key: (key["since"], key["kid"]))


class _KnownError(Exception):
    pass
