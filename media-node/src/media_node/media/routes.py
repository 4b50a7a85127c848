"""Where a stream's packets go: the table of the fast path, and the sockets and calls its entries belong to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from media_node.media.leg import Leg
from media_node.media.port import Port, SocketAddress, TransportAddress
from media_node.media.srtp import ReceiveContext, SendContext
from media_node.media.stream import Inbound

Route = tuple[Any, Any, int, int, Inbound, tuple[ReceiveContext | None, SendContext | None, SocketAddress]]
"""What the fast path does with a stream's packets, as a row, so that a batch of them turns into columns by one zip.

C pointers to the SRTP contexts that decrypt and that encrypt (None on a plain leg); the outward SSRC as the machine
reads that word; a pointer to the destination's socket address, as a number; the stream; and what keeps all that alive
until the last batch that saw this route is through, whatever becomes of the call meanwhile. A bare tuple: Python reads
it faster than a named one.
"""

Table = dict[tuple[TransportAddress, int], Route]
"""Routes by source address and SSRC, both as the machine reads those words."""


@dataclass(eq=False)
class ReceivingSocket:
    """A port packets come in by. `leg` is the plain leg it belongs to; None when it is shared by all SRTP legs."""

    port: Port
    rtcp: bool
    leg: Leg | None = None
    table: Table = field(default_factory=dict)
    """The fast path."""


@dataclass(eq=False)
class RelayedCall:
    """Two legs that hear each other, and the ports that are theirs alone.

    `further` tells that it is another stream of a call beside its first, as text is: it has other SRTP ports, since a
    peer tells streams apart by them, and its silence says nothing.
    """

    legs: dict[str, Leg]
    sockets: list[ReceivingSocket]
    further: bool = False
    routes: list[tuple[Table, tuple[TransportAddress, int]]] = field(default_factory=list)
    """Its entries on the fast path."""

    def forget_routes(self) -> None:
        """Takes the call off the fast path: its next packets go the slow one, which decides anew."""
        for table, key in self.routes:
            table.pop(key, None)
        self.routes.clear()
        for leg in self.legs.values():
            leg.tell_latch()
            for stream in leg.inbound.values():
                stream.routed = False
