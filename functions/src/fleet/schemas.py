"""What the fleet's own routes answer, for the OpenAPI document (shared/openapi.py)."""

from typing import Any

from shared.openapi import an_object

Schema = dict[str, Any]


def schemas() -> dict[str, Schema]:
    """By name."""
    text: Schema = {"type": "string"}
    key = an_object(
        kty={"const": "OKP"},
        crv={"const": "Ed25519"},
        alg={"const": "EdDSA"},
        use={"const": "sig"},
        x=text,
        kid=text,
        node=text,
        since={"type": "string", "format": "date-time"},
    )
    return {"ReceiptKeys": an_object(keys={"type": "array", "items": key})}


def parameters() -> dict[str, Schema]:
    """None of its own."""
    return {}
