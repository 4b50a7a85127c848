"""Signs the receipts of this node's calls: its Ed25519 key and the ends of its chains, both files of its own."""

from __future__ import annotations

import json
import os
import secrets
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from media_node.call import receipt
from media_node.call.receipt import Link
from media_node.log import Event, log


class Receipts:
    """The signing key and, by environment, the last receipt. `sign` never blocks on the disk; `save` does."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._key = _load_key(directory / "receipt-key.pem")
        self._path = directory / "receipt-chains.json"
        self._lock = threading.Lock()
        self._chain, self._links = self._load()
        self._saved = True

    @property
    def jwk(self) -> dict[str, str]:
        """The public key that verifies this node's receipts (RFC 8037 section 2)."""
        return receipt.public_jwk(self._key.public_key())

    def sign(self, environment_id: str, claims: Mapping[str, Any]) -> str:
        """The receipt of the environment's next call."""
        with self._lock:
            link = self._links.get(environment_id, Link())
            signed = receipt.sign({**claims, "chain": self._chain}, link, self._key)
            self._links[environment_id] = link.after(signed)
            self._saved = False
        return signed

    def save(self) -> None:
        """Writes down where the chains end; raises OSError, and then the next `save` writes all."""
        with self._lock:
            if self._saved:
                return
            links = {environment: [link.number, link.sha256] for environment, link in self._links.items()}
            _write(self._path, json.dumps({"chain": self._chain, "links": links}).encode())
            self._saved = True

    def _load(self) -> tuple[str, dict[str, Link]]:
        """A new chain where there is none, or none that can be read: a gap that is seen is better than a fork."""
        try:
            kept = json.loads(self._path.read_text())
            return str(kept["chain"]), {name: Link(int(n), str(sha256)) for name, (n, sha256) in kept["links"].items()}
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log(Event.RECEIPT_CHAINS_ANEW, error=str(error))
        return secrets.token_hex(8), {}


def _load_key(path: Path) -> Ed25519PrivateKey:
    """The node's own key, made at its first start; it never leaves the node. Raises OSError or ValueError."""
    if path.exists():
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError(f"{path} holds no Ed25519 key")
        return key
    key = Ed25519PrivateKey.generate()
    _write(
        path,
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )
    return key


def _write(path: Path, content: bytes) -> None:
    partial = path.with_suffix(".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
