"""Whether a registered phone still answers: OPTIONS over its connection (RFC 3261 section 11)."""

from __future__ import annotations

import asyncio
import secrets
from typing import Final

from media_node.sip.grammar import URI, Address, CSeq, Parameters
from media_node.sip.headers import Request
from media_node.sip.registrar import Binding
from media_node.sip.transaction_layer import TransactionLayer
from media_node.sip.transport import Connection

PATIENCE: Final = 10.0
"""Seconds. A phone answers OPTIONS at once, whatever it answers."""
_OUR_OWN: Final = (408, 503)


async def answers(transactions: TransactionLayer, domain: str, connection: Connection, binding: Binding) -> bool:
    """Whether the phone answers anything at all in time."""
    request = Request("OPTIONS", binding.contact)
    request.headers.set("Max-Forwards", "70")
    request.from_address = Address(URI("sip", domain), parameters=Parameters(tag=secrets.token_hex(8)))
    request.to_address = Address(URI("sip", domain, user=binding.username))
    request.headers.set("Call-ID", secrets.token_hex(8))
    request.cseq = CSeq(1, "OPTIONS")
    try:
        async with asyncio.timeout(PATIENCE):
            response = await transactions.ask(connection, request)
    except TimeoutError:
        return False
    return response.code not in _OUR_OWN
