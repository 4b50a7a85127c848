"""The way out: one connection to the provider that reaches all numbers outside, made when it is first needed."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from dataclasses import dataclass
from typing import Any, Final

from media_node.sip import transport
from media_node.sip.grammar import URI, Address, Parameters
from media_node.sip.headers import Request
from media_node.sip.transaction_layer import TransactionLayer
from media_node.sip.transport import Connection, Transport

CONNECT_TIMEOUT: Final = 5.0


@dataclass(frozen=True)
class TrunkAddress:
    """Where the trunk is."""

    host: str
    port: int
    transport: Transport

    @classmethod
    def parse(cls, value: Any) -> TrunkAddress | None:
        """From the trunk parameter's JSON; an empty object means no trunk. Raises ValueError for what is neither."""
        if value == {}:
            return None
        try:
            return cls(str(value["host"]), int(value["port"]), Transport(str(value.get("transport", "tls")).upper()))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("a trunk needs host, port and transport") from error


class Trunk:
    """Keeps the connection to one trunk."""

    def __init__(
        self,
        address: TrunkAddress,
        transactions: TransactionLayer,
        *,
        local_host: str,
        announced_host: str | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.address = address
        self._transactions = transactions
        self._local_host = local_host
        self._announced_host = announced_host
        self._context = context
        self._connection: Connection | None = None
        self._connecting = asyncio.Lock()

    async def connection(self) -> Connection:
        """The open connection, made anew when there is none.

        Raises OSError or TimeoutError when the trunk cannot be reached.
        """
        async with self._connecting:
            if self._connection is None or self._connection.closed:
                async with asyncio.timeout(CONNECT_TIMEOUT):
                    self._connection = await transport.connect(
                        self._transactions,
                        self.address.transport,
                        host=self.address.host,
                        port=self.address.port,
                        context=self._context,
                        local_host=self._local_host,
                        announced_host=self._announced_host,
                    )
            return self._connection

    def uri(self, number: str) -> URI:
        """The Request-URI for a number."""
        return URI(
            "sip",
            self.address.host,
            user=number,
            port=self.address.port,
            parameters=Parameters(transport=self.address.transport.parameter),
        )

    def owns(self, connection: Connection) -> bool:
        """Whether this is the trunk's connection."""
        return connection is self._connection

    def close(self) -> None:
        """Closes the connection; the next call makes a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def trunk_caller(request: Request) -> Address:
    """Who calls from outside: what the trunk asserts (RFC 3325), else what the From says."""
    for value in request.headers.getlist("P-Asserted-Identity"):
        with contextlib.suppress(ValueError):
            return Address.parse_many(value)[0]
    return request.from_address
