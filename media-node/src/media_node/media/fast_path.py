"""The fast path: a batch of packets whose streams have routes, verified, renumbered, encrypted and sent, in columns.

It decides nothing. A route (routes.py) remembers what the slow path decided of its stream.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from socket import htonl, ntohl
from typing import Any

from media_node.media import packet as rtp
from media_node.media import port as udp
from media_node.media.leg import DropReason, drop_reason
from media_node.media.port import Batch, Port
from media_node.media.routes import Route
from media_node.media.srtp import failure
from media_node.media.srtp import protect as srtp_protect
from media_node.media.srtp import unprotect as srtp_unprotect
from media_node.media.stream import Inbound


class FastPath:
    """Works on the packets in `batch`. `first_ports` are the SRTP ports for RTP of calls' first streams, one an address
    family; `drops` counts what belongs to no leg.
    """

    def __init__(self, batch: Batch, first_ports: Sequence[Port], drops: Counter[DropReason]) -> None:
        self.batch = batch
        self.sent = 0
        self.legs_elsewhere = 0
        """Legs on other ports: while there is none, and one family, everything leaves by one port."""
        self._families = len(first_ports)
        self._only_port = first_ports[0]
        self._drops = drops

    def unprotect(self, indexes: Sequence[int], routes: list[Route]) -> tuple[Sequence[int], list[Route]]:
        """Verify and decrypt packets in place; those that passed."""
        codes = list(map(srtp_unprotect, [route[0] for route in routes], *self.batch.pointers(indexes)))
        if not any(codes):
            return indexes, routes
        for i, route, code in zip(indexes, routes, codes, strict=True):
            if code:
                route[4].leg.drops[drop_reason(failure(code), self.batch.packet(i))] += 1
        return [i for i, code in zip(indexes, codes, strict=True) if not code], [
            route for route, code in zip(routes, codes, strict=True) if not code
        ]

    def check(self, indexes: Sequence[int], routes: list[Route]) -> tuple[Sequence[int], list[Route]]:
        """See what a tag would have told of plain packets, that they are whole, and RTP; those that passed."""
        passed = []
        for i, route in zip(indexes, routes, strict=True):
            size = self.batch.sizes[i]
            if rtp.RTP_HEADER <= size < udp.ROOM and self.batch.octets[i * udp.SLOT] >> 6 == 2:
                passed.append((i, route))
            else:
                route[4].leg.drops[DropReason.MALFORMED if size < udp.ROOM else DropReason.OVERSIZED] += 1
        if len(passed) == len(routes):
            return indexes, routes
        return [i for i, _ in passed], [route for _, route in passed]

    def carry(self, indexes: Sequence[int], routes: list[Route], count: int, now: float) -> None:
        """Give decrypted packets the other leg's numbers, key and address, and send them."""
        batch = self.batch
        _, contexts, words, destinations, streams, _ = zip(*routes, strict=True)
        numbers = batch.numbers.read_network(count)
        for i, stream in zip(indexes, streams, strict=True):
            number = numbers[i]
            if number == stream.next:
                stream.next = number + 1 & 0xFFFF
                stream.heard = now
            else:
                stream.irregular(number, ntohl(batch.timestamps[i]), now)
            if not number & 7:
                stream.sample(ntohl(batch.timestamps[i]), batch.octets[i * udp.SLOT + 1] & 0x7F, now)
                stream.measure(batch.sizes[i] - rtp.RTP_HEADER)
            if stream.timestamp_offset:
                batch.timestamps[i] = htonl(ntohl(batch.timestamps[i]) + stream.timestamp_offset & 0xFFFFFFFF)
            numbers[i] = number + stream.sequence_offset & 0xFFFF
        batch.numbers.write_network(numbers)
        if len(routes) == count:
            batch.ssrcs.write(words)
        else:
            for i, word in zip(indexes, words, strict=True):
                batch.ssrcs[i] = word
        if self.legs_elsewhere == 0 and self._families == 1:
            self._protect_and_send(self._only_port, indexes, contexts, destinations, streams)
            return
        ports = [stream.leg.other.rtp for stream in streams if stream.leg.other is not None]
        for port in set(ports):
            mine = [k for k, each in enumerate(ports) if each is port]
            self._protect_and_send(
                port,
                [indexes[k] for k in mine],
                [contexts[k] for k in mine],
                [destinations[k] for k in mine],
                [streams[k] for k in mine],
            )

    def _protect_and_send(
        self,
        port: Port,
        chosen: Sequence[int],
        contexts: Sequence[Any],
        destinations: Sequence[int],
        streams: Sequence[Inbound],
    ) -> None:
        """Send these packets by one port, encrypted unless it is a plain leg's."""
        batch = self.batch
        if contexts[0] is not None:
            codes = list(map(srtp_protect, contexts, *batch.pointers(chosen)))
            if any(codes):
                for stream, code in zip(streams, codes, strict=True):
                    if code:
                        stream.leg.drops[DropReason.REPLAYED if code == 9 else DropReason.UNSENT] += 1
                        stream.out.failed += 1
                good = [k for k, code in enumerate(codes) if not code]
                chosen, destinations = [chosen[k] for k in good], [destinations[k] for k in good]
        sent = batch.send(port, chosen, destinations)
        self.sent += sent
        if sent < len(chosen):
            self._drops[DropReason.UNSENT] += len(chosen) - sent
