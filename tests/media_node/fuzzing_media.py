"""What a media worker takes from the network, as one function for fuzzers: datagrams of strangers and of the phones themselves,
as they are and under a phone's own key, to a relay with calls keyed by SDES and by DTLS and a plain leg.
"""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Final

import pylibsrtp

from media_node.media import packet as rtp
from media_node.media.dtls import Identity
from media_node.media.leg import DropReason, Leg
from media_node.media.port import open_pair
from media_node.media.relay import Relay
from tests.support.media.dtls_phone import DtlsPhone
from tests.support.media.phone import CM80, Phone, Rtp

BEGIN: Final = 100.0


class MediaEdge:
    """A relay in this process, with its calls. `close` it."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._a, self._b, self._plain = (self._phone(Phone(suite)) for suite in (CM80, CM80, None))
        self._dtls = self._phone(DtlsPhone())
        self._stranger = self._stack.enter_context(closing(socket.socket(type=socket.SOCK_DGRAM)))
        self._stranger.bind(("127.0.0.1", 0))
        shared, further = (open_pair("127.0.0.1", range(43000, 59998, 2)) for _ in range(2))
        for port in (*shared, *further):
            self._stack.callback(port.close)
        self.relay = Relay({4: shared}, {4: further}, lambda _: open_pair("127.0.0.1", range(30000, 42998, 2)), 60.0)
        self.now = BEGIN
        self.legs: dict[str, Leg] = {}
        for name, a, b in (("sdes", self._a, self._b), ("dtls", self._dtls, self._plain)):
            legs = self.relay.open(name, {"a": True, "b": b is not self._plain}, {}, self.now)
            self.legs |= {f"{name} {side}": leg for side, leg in legs.items()}
            for side, phone in (("a", a), ("b", b)):
                self.relay.set(name, side, phone.leg(), self.now)
        self._plain_port = self.legs["dtls b"].rtp
        self._ports = [*shared, *further, self._plain_port, self.legs["dtls b"].rtcp]
        for _ in range(5):
            self._say(self._a, self._a.protect(self._a.next()))
            self._say(self._b, self._b.protect(self._b.next()))
        self._where = self._destinations()
        self._drain()

    def _phone(self, phone: Phone) -> Phone:
        self._stack.callback(phone.close)
        return phone

    def close(self) -> None:
        """Ends the calls and closes all sockets."""
        for name in list(self.relay.calls):
            self.relay.close(name, self.now)
        self._stack.close()

    def datagram(self, data: bytes) -> None:
        """One datagram from everybody who could send it. What goes wrong in the relay is an AssertionError."""
        self.now += 1.0  # so that what strangers may cost is there again
        data = data[:1600]
        for port in self._ports:
            for by in (self._stranger, self._a.rtp, self._a.rtcp, self._plain.rtp, self._dtls.rtp):
                by.sendto(data, ("127.0.0.1", port.number))
        self._serve()
        assert self._destinations() == self._where, "media goes elsewhere"
        self._by_a_key_holder(data)
        self.relay.tick(self.now, self.now)
        assert not self.relay.drops[DropReason.INTERNAL]
        assert not any(leg.drops[DropReason.INTERNAL] for leg in self.legs.values())
        self._drain()

    def _by_a_key_holder(self, data: bytes) -> None:
        """The same as RTCP and as payload of RTP, under the key of a phone that is known."""
        for protect, by, port in (
            (self._a.outbound.protect_rtcp, self._a.rtcp, self.legs["sdes a"].rtcp),
            (self._a.outbound.protect, self._a.rtp, self.legs["sdes a"].rtp),
        ):
            try:
                by.sendto(protect(data), ("127.0.0.1", port.number))
            except (pylibsrtp.Error, ValueError, TypeError):
                continue  # no RTP to the library
        self._say(self._a, self._a.protect(self._a.next(data[:1200])))

    def _say(self, phone: Phone, datagram: bytes) -> None:
        phone.rtp.sendto(datagram, ("127.0.0.1", self.legs["sdes a"].rtp.number))
        self._serve()

    def _serve(self) -> None:
        for receiving in list(self.relay.sockets.values()):
            while self.relay.serve(receiving, self.now, self.now):
                pass

    def _destinations(self) -> list[object]:
        """Where media goes: of the plain leg where the signalling said, of the others where a packet verified."""
        return [leg.outbound.name and leg.outbound.name.address for leg in self.legs.values()]

    def _drain(self) -> None:
        for phone in (self._a, self._b, self._plain, self._dtls):
            for each in (phone.rtp, phone.rtcp):
                each.setblocking(False)
                try:
                    while each.recv(2048):
                        pass
                except BlockingIOError:
                    pass


def media_seeds() -> list[bytes]:
    """Datagrams of each kind."""
    phone = Rtp(1, 160, 0x01020304, b"\xd5" * 160)
    report = rtp.Report(0x01020304, rtp.SenderInfo(1 << 40, 160, 1, 160), (rtp.ReportBlock(5, lost=1),))
    [hello] = Identity().begin(lambda: ()).take()
    stun = b"\0\1\0\x08!\x12\xa4B" + bytes(12) + b"\x80\x22\0\4test"
    compound = rtp.write_compound(report, "phone@example.nl")
    bye = b"\x81\xcb\0\1\1\2\3\4"
    app = b"\x80\xcc\0\3\1\2\3\4test\0\0\0\0"
    feedback = b"\x81\xcd\0\3" + bytes(12)
    events = Rtp(2, 320, 0x01020304, b"\5\x0a\0\xa0", 101)
    extended = b"\x90\x08\0\3" + bytes(8) + b"\xbe\xde\0\1\x10\xff\0\0" + b"\xd5" * 20
    csrcs = b"\x8f\x08\0\4" + bytes(8) + bytes(60) + b"\xd5" * 20
    return [
        *(bytes(phone), bytes(events), extended, csrcs, b"\xa0" + bytes(phone)[1:-1] + b"\xff"),
        *(compound, compound + bye, app, feedback, compound * 3, rtp.write_compound(rtp.Report(1, None), "") + app),
        *(
            hello,
            hello[:13],
            hello * 2,
            b"\x14\xfe\xfd" + bytes(8) + b"\0\1\1",
            b"\x15\xfe\xfd" + bytes(8) + b"\0\2\2\x28",
        ),
        *(stun, stun[:20], b"", b"\0", b"\r\n\r\n", b"OPTIONS sip:x SIP/2.0\r\n\r\n"),
    ]


def media_mutations(seed: int, number: int) -> Iterator[bytes]:
    """Mutated datagrams, the same ones for the same seed (but for the hello's own chance)."""
    chance, sources = random.Random(seed), media_seeds()
    for _ in range(number):
        data = bytearray(chance.choice(sources))
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(data) + 1)
            match chance.randrange(6):
                case 0:
                    data[at : at + 1] = bytes([chance.randrange(256)])
                case 1:
                    del data[at : at + chance.randint(1, 20)]
                case 2:
                    data[at:at] = os.urandom(chance.choice((1, 2, 4, 12, 1400)))
                case 3:
                    data[at:at] = chance.choice(sources)
                case 4:
                    data[at : at + 2] = chance.choice((b"\0\0", b"\xff\xff", b"\x80\0", b"\0\x01"))
                case _:
                    data[at : at + 1] = bytes([(data[at] if at < len(data) else 0) ^ 1 << chance.randrange(8)])
        yield bytes(data)
