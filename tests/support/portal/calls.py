"""Call records as a node writes them."""

from shared.dynamodb import Item


def call(minute: int, **changes: object) -> Item:
    """A call of the bakery at 20 November 2026, 10:MM UTC, that was encrypted as far as we go."""
    leg = {"keying": "sdes", "suite": "AES_CM_128_HMAC_SHA1_80", "packets": 500, "sent": 500, "plaintextPackets": 0}
    began = f"2026-11-20T10:{minute:02d}:00.000Z"
    item: Item = {
        "pk": "CUSTOMER#bakker",
        "sk": f"{began}#call{minute}@example.nl",
        "from": "201",
        "to": "+3120123****",
        "startedAt": began,
        "answeredAt": f"2026-11-20T10:{minute:02d}:05.000Z",
        "endedAt": f"2026-11-20T10:{minute:02d}:45.000Z",
        "reason": "hung up",
        "beyond": "notSecured",
        "legs": [{**leg, "mos": 4.3}, leg],
    }
    return {**item, **changes}
