"""`./dev verify-receipt FILE ...`: whether call receipts are genuine and none is left out, without any network.

A receipt is a JWS (RFC 7515) under Ed25519 (RFC 8037). This reads them with nothing of the node's own code.
"""

import argparse
import base64
import binascii
import hashlib
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class NotGenuineError(ValueError):
    """The text is no receipt, or not signed by this key."""


def verify(receipt: str, jwk: Mapping[str, str]) -> dict[str, Any]:
    """What a receipt attests; raises NotGenuineError."""
    header, payload, signature = _parts(receipt)
    if _json(header).get("alg") != "EdDSA":
        raise NotGenuineError("it is signed by another algorithm than EdDSA")
    try:
        key = Ed25519PublicKey.from_public_bytes(_decode(jwk["x"]))
        key.verify(_decode(signature), f"{header}.{payload}".encode())
    except (InvalidSignature, KeyError, ValueError) as error:
        raise NotGenuineError("it is not signed by this key, or was changed afterwards") from error
    return _json(payload)


def gaps(receipts: Iterable[str]) -> list[str]:
    """What is missing between receipts, chain by chain; each must hold the hash of the one before it."""
    chains: dict[tuple[str, str], dict[int, str]] = defaultdict(dict)
    found = []
    for receipt in receipts:
        claims = _json(_parts(receipt)[1])
        chain = chains[(str(claims["environment"]), str(claims["chain"]))]
        if chain.setdefault(claims["number"], receipt) != receipt:
            found.append(f"environment {claims['environment']}: two receipts have number {claims['number']}")
    for (environment, _), chain in sorted(chains.items()):
        for before, number in zip(sorted(chain), sorted(chain)[1:], strict=False):
            missing = ", ".join(str(n) for n in range(before + 1, number))
            if missing:
                found.append(f"environment {environment}: receipt {missing} is missing")
            elif _json(_parts(chain[number])[1])["previous"] != hashlib.sha256(chain[before].encode()).hexdigest():
                found.append(f"environment {environment}: receipt {number} does not follow receipt {before}")
    return found


def main(arguments: list[str]) -> int:
    """Verify receipts, one a line; 1 when one is not genuine or one is missing."""
    parser = argparse.ArgumentParser(prog="./dev verify-receipt", description="Verify call receipts offline.")
    parser.add_argument("files", nargs="+", type=Path, help="receipts as text, one a line ('-' for standard input)")
    parser.add_argument(
        "--keys", required=True, type=Path, help="the provider's published keys: a JSON Web Key Set (RFC 7517)"
    )
    options = parser.parse_args(arguments)
    try:
        keys = {key["kid"]: key for key in json.loads(options.keys.read_text())["keys"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"{options.keys}: not a JSON Web Key Set: {error}", file=sys.stderr)
        return 2
    wrong, genuine = 0, []
    for path in options.files:
        text = sys.stdin.read() if str(path) == "-" else path.read_text()
        for number, line in enumerate(filter(None, map(str.strip, text.splitlines())), 1):
            try:
                kid = str(_json(_parts(line)[0]).get("kid"))
                if kid not in keys:
                    raise NotGenuineError(f"key {kid} is not among the published ones")
                print(f"{path}:{number}: genuine: {json.dumps(verify(line, keys[kid]), ensure_ascii=False)}")
                genuine.append(line)
            except NotGenuineError as error:
                wrong += 1
                print(f"{path}:{number}: NOT genuine: {error}")
    missing = gaps(genuine)
    print(*missing, f"{len(genuine)} genuine, {wrong} not, {len(missing)} gaps", sep="\n")
    return 1 if wrong or missing else 0


def _parts(receipt: str) -> tuple[str, str, str]:
    match receipt.strip().split("."):
        case [header, payload, signature]:
            return header, payload, signature
    raise NotGenuineError("it is not a JWS in compact form")


def _json(part: str) -> dict[str, Any]:
    try:
        value = json.loads(_decode(part))
    except ValueError as error:
        raise NotGenuineError("a part of it is not JSON") from error
    if not isinstance(value, dict):
        raise NotGenuineError("a part of it is not a JSON object")
    return value


def _decode(text: str) -> bytes:
    """Base64url without padding, in its one canonical form: whoever may spell a signature in two ways has two receipts.

    Raises ValueError.
    """
    try:
        octets = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64url") from error
    if base64.urlsafe_b64encode(octets).decode().rstrip("=") != text:
        raise ValueError("not canonical base64url")
    return octets
