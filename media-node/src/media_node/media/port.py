"""UDP in batches: recvmmsg(2) and sendmmsg(2) over buffers that are made once, and the sockets they serve.

A batch is read as columns (all source addresses, all SSRCs, all timestamps), because one operation on a column costs
Python little more than one on a single packet. The structures are the same on Linux x86-64 and arm64; nothing is
compiled.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
import sys
from array import array
from collections.abc import Hashable, Sequence
from typing import Any, Literal

from cffi import FFI

BATCH = 32
"""Packets taken in or given out by one system call. A packet waits until the last of its batch is through, so more
would cost the slowest ones time, and save no CPU (docs/decisions/0026)."""

ROOM = 1600
"""Octets a packet may have, above any Ethernet payload; longer ones arrive cut off and are refused."""

SLOT = 1728
"""Octets from one packet's buffer to the next: ROOM and a trailer, an odd multiple of 64 so that headers spread over
the CPU's cache.
"""

NAME = 32
"""Octets from one socket address to the next: sockaddr_in6 (28), rounded up to whole words."""

NAME_LENGTH = 28
CONTROL = 32
RECEIVE_BUFFER = 32 << 20
"""Octets; the kernel counts some 800 for a packet of audio: a second of 500 calls both ways. A limit, not a
reservation.
"""
EXPEDITED_FORWARDING = 46 << 2
"""The differentiated services code point of telephony (RFC 4594 section 4.1), as the octet it stands in."""

SO_RXQ_OVFL = 40
SO_RCVBUFFORCE = 33
MSG_DONTWAIT = socket.MSG_DONTWAIT

ffi = FFI()
ffi.cdef(
    """
    struct iovec { void *iov_base; size_t iov_len; };
    struct msghdr { void *msg_name; unsigned int msg_namelen; struct iovec *msg_iov; size_t msg_iovlen;
                    void *msg_control; size_t msg_controllen; int msg_flags; };
    struct mmsghdr { struct msghdr msg_hdr; int msg_len; };
    int recvmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags, void *timeout);
    int sendmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags);
    """
)
libc: Any = ffi.dlopen(None)

HEADER_QUADS = ffi.sizeof("struct mmsghdr") // 8
MSG_LEN_WORD = ffi.offsetof("struct mmsghdr", "msg_len") // 4
CONTROLLEN_QUAD = ffi.offsetof("struct msghdr", "msg_controllen") // 8

TransportAddress = int | tuple[int, int, int]
"""A transport address as the kernel wrote it, in the cheapest form that hashes: family, port and host of IPv4 are one
64-bit word.
"""


def transport_address(host: str, port: int) -> TransportAddress:
    """The TransportAddress of a numeric host and a port. Raises ValueError for a name."""
    address = ipaddress.ip_address(host)
    if address.version == 4:
        return int.from_bytes(
            struct.pack("=H", socket.AF_INET) + struct.pack(">H", port) + address.packed, sys.byteorder
        )
    first, second, third = struct.unpack(
        "=3Q", struct.pack("=H", socket.AF_INET6) + struct.pack(">HI", port, 0) + address.packed
    )
    return first, second, third


def sockaddr_of(source: TransportAddress) -> bytes:
    """A TransportAddress as a socket address of NAME_LENGTH octets, for sendmmsg (which allows an IPv4 address to be longer than
    it is).
    """
    octets = source.to_bytes(8, sys.byteorder) if isinstance(source, int) else struct.pack("=3Q", *source)
    return octets.ljust(NAME_LENGTH, b"\0")


def host_of(source: TransportAddress) -> Hashable:
    """The host part of a TransportAddress: the same for all its ports, never equal to a TransportAddress."""
    return ("host", source >> 32) if isinstance(source, int) else ("host", *source[1:])


def address_of(source: TransportAddress) -> tuple[str, int]:
    """A TransportAddress as host and port, for socket.sendto."""
    octets = sockaddr_of(source)
    (port,) = struct.unpack(">H", octets[2:4])
    host = ipaddress.ip_address(octets[4:8] if isinstance(source, int) else octets[8:24])
    return str(host), port


class Port:
    """A bound, non-blocking UDP socket. Raises OSError when the port is taken."""

    def __init__(self, address: str, port: int) -> None:
        self.family = ipaddress.ip_address(address).version
        self.socket = socket.socket(socket.AF_INET if self.family == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
        try:
            self.socket.setblocking(False)
            self._make_room()
            self.socket.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
            if self.family == 6:
                self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, EXPEDITED_FORWARDING)
            else:
                self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, EXPEDITED_FORWARDING)
            self.socket.bind((address, port))
        except OSError:
            self.socket.close()
            raise
        self.fd = self.socket.fileno()
        self.number: int = self.socket.getsockname()[1]
        self.dropped = 0
        """Datagrams the kernel threw away for want of room, as of the last batch."""

    def _make_room(self) -> None:
        """RECEIVE_BUFFER, beyond the system's limit (net.core.rmem_max) where the process may (CAP_NET_ADMIN)."""
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
        except PermissionError:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, RECEIVE_BUFFER)

    def send(self, packet: bytes, destination: TransportAddress) -> bool:
        """Send one packet outside the batches; False when the network would not take it."""
        try:
            self.socket.sendto(packet, address_of(destination))
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Free the port."""
        self.socket.close()


def open_pair(address: str, ports: Sequence[int]) -> tuple[Port, Port]:
    """An even port from `ports` and the odd one above it, RTP and RTCP (RFC 3550 section 11).

    Raises OSError when none is free.
    """
    for number in ports:
        try:
            rtp = Port(address, number)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            continue
        try:
            return rtp, Port(address, rtp.number + 1)
        except OSError as error:
            rtp.close()
            if error.errno != errno.EADDRINUSE:
                raise
        except OverflowError:
            rtp.close()
    raise OSError(errno.EADDRINUSE, f"no free pair of ports at {address}")


class Column:
    """One field of 16, 32 or 64 bits of the first n packets of a batch, for every n.

    The views are made once: slicing a memoryview costs as much as reading a dozen packets through it.
    """

    def __init__(self, memory: memoryview, start: int, step: int) -> None:
        self._code = memory.format
        self._memory, self._start, self._step = memory, start, step
        self._views = [memory[start : n * step : step] for n in range(BATCH + 1)]
        self._network = [struct.Struct(f">{n}{memory.format}") for n in range(BATCH + 1)]

    def __getitem__(self, index: int) -> int:
        """The field of packet `index`."""
        return self._memory[self._start + index * self._step]

    def __setitem__(self, index: int, value: int) -> None:
        self._memory[self._start + index * self._step] = value

    def read(self, count: int) -> list[int]:
        """The field of each packet."""
        return self._views[count].tolist()

    def read_network(self, count: int) -> list[int]:
        """The field of each packet, which is in network byte order."""
        return list(self._network[count].unpack(self._views[count].tobytes()))

    def write(self, values: Sequence[int]) -> None:
        """Set the field of the first packets."""
        self._views[len(values)][:] = array(self._code, values)

    def write_network(self, values: Sequence[int]) -> None:
        """Set the field of the first packets, in network byte order."""
        swapped = array(self._code, values)
        swapped.byteswap()
        self._views[len(values)][:] = swapped


class Batch:
    """Room for BATCH packets, their addresses, and the two message vectors the kernel reads. One serves all ports of a
    process.

    `numbers`, `timestamps` and `ssrcs` are the packets' RTP headers but for the first two octets, `sizes` their
    lengths. `slots[i]` and `lengths[i]` are C pointers to packet i and its length (int, written by the kernel, updated
    in place by whoever changes the packet).
    """

    def __init__(self) -> None:
        self._octets = ffi.new("unsigned char[]", BATCH * SLOT)
        self._names = ffi.new("unsigned char[]", BATCH * NAME)
        self._control = ffi.new("unsigned char[]", CONTROL)
        self._incoming = ffi.new("struct mmsghdr[]", BATCH)
        self._outgoing = ffi.new("struct mmsghdr[]", BATCH)
        self._incoming_parts = ffi.new("struct iovec[]", BATCH)
        self._outgoing_parts = ffi.new("struct iovec[]", BATCH)
        for i in range(BATCH):
            self._incoming_parts[i].iov_base = self._octets + i * SLOT
            self._incoming_parts[i].iov_len = ROOM
            received, sent = self._incoming[i].msg_hdr, self._outgoing[i].msg_hdr
            received.msg_name, received.msg_namelen = self._names + i * NAME, NAME_LENGTH
            received.msg_iov, received.msg_iovlen = self._incoming_parts + i, 1
            sent.msg_namelen = NAME_LENGTH
            sent.msg_iov, sent.msg_iovlen = self._outgoing_parts + i, 1
        # One control buffer, on the first message, is enough to read a counter that only grows.
        self._incoming[0].msg_hdr.msg_control = self._control
        self._incoming[0].msg_hdr.msg_controllen = CONTROL
        self._control_words = _words(self._control, "I")
        self._incoming_quads = _words(self._incoming, "Q")
        self.octets = _words(self._octets, "B")
        self.numbers = Column(_words(self._octets, "H"), 1, SLOT // 2)
        self.timestamps, self.ssrcs = (Column(_words(self._octets, "I"), start, SLOT // 4) for start in (1, 2))
        self.sizes = Column(_words(self._incoming, "I"), MSG_LEN_WORD, HEADER_QUADS * 2)
        names, parts = _words(self._names, "Q"), _words(self._outgoing_parts, "Q")
        self._sources = [Column(names, start, NAME // 8) for start in range(3)]
        self._destinations = Column(_words(self._outgoing, "Q"), 0, HEADER_QUADS)
        self._bases, self._outgoing_sizes = Column(parts, 0, 2), Column(parts, 1, 2)
        self.slots = [self._octets + i * SLOT for i in range(BATCH)]
        self.lengths = [ffi.addressof(self._incoming[i], "msg_len") for i in range(BATCH)]
        self._addresses = [int(ffi.cast("uintptr_t", slot)) for slot in self.slots]
        self._bases.write(self._addresses)
        self._in_order = True

    def receive(self, port: Port) -> int:
        """Take up to BATCH waiting packets into the slots; how many there were."""
        count: int = libc.recvmmsg(port.fd, self._incoming, BATCH, MSG_DONTWAIT, ffi.NULL)
        if count <= 0:
            return 0
        if self._incoming_quads[CONTROLLEN_QUAD]:
            # cmsghdr (length, level, type) and then the counter, in 32-bit words: 4, then the value.
            port.dropped = self._control_words[4]
        self._incoming_quads[CONTROLLEN_QUAD] = CONTROL
        return count

    def sources(self, port: Port, count: int) -> Sequence[TransportAddress]:
        """Where each of the first `count` packets came from."""
        if port.family == 4:
            return self._sources[0].read(count)
        return list(zip(*(column.read(count) for column in self._sources), strict=True))

    def pointers(self, indexes: Sequence[int]) -> tuple[list[Any], list[Any]]:
        """`slots` and `lengths` of the packets at `indexes`; a range begins at 0."""
        if isinstance(indexes, range):
            return self.slots[: len(indexes)], self.lengths[: len(indexes)]
        return [self.slots[i] for i in indexes], [self.lengths[i] for i in indexes]

    def packet(self, index: int) -> bytes:
        """A copy of packet `index`."""
        return bytes(self.octets[index * SLOT : index * SLOT + self.sizes[index]])

    def replace(self, index: int, packet: bytes | memoryview) -> None:
        """Put another packet in place of packet `index`. It must fit in ROOM."""
        self.octets[index * SLOT : index * SLOT + len(packet)] = packet
        self.sizes[index] = len(packet)

    def send(self, port: Port, indexes: Sequence[int], destinations: Sequence[int]) -> int:
        """Send the packets at `indexes` to the socket addresses at `destinations` (pointers as integers); how many the
        kernel took.

        A range of indexes begins at 0.
        """
        count = len(indexes)
        self._destinations.write(destinations)
        if isinstance(indexes, range):
            self._outgoing_sizes.write(self.sizes.read(count))
            if not self._in_order:
                self._bases.write(self._addresses)
                self._in_order = True
        else:
            self._outgoing_sizes.write([self.sizes[i] for i in indexes])
            self._bases.write([self._addresses[i] for i in indexes])
            self._in_order = False
        sent = tried = 0
        while tried < count:
            done: int = libc.sendmmsg(port.fd, self._outgoing + tried, count - tried, MSG_DONTWAIT)
            if done > 0:
                sent += done
                tried += done
            elif ffi.errno in (errno.EAGAIN, errno.ENOBUFS):
                break
            else:
                tried += 1  # this one cannot be sent (no route, refused by a filter); the others may
        return sent


def _words(memory: Any, code: Literal["B", "H", "I", "Q"]) -> memoryview:
    """C memory as a memoryview of octets ("B") or words of 16 ("H"), 32 ("I") or 64 bits ("Q")."""
    octets: memoryview = memoryview(ffi.buffer(memory)).cast("B")
    return octets.cast(code)


class SocketAddress:
    """A destination in memory that the kernel can read; `pointer` is valid only while this object lives."""

    __slots__ = ("_octets", "address", "pointer")

    def __init__(self, address: TransportAddress) -> None:
        self.address = address
        self._octets = ffi.new("unsigned char[]", sockaddr_of(address))
        self.pointer = int(ffi.cast("uintptr_t", self._octets))
