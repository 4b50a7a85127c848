"""Batches of datagrams in and out, read as columns, on both address families."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_node.media.port import (
    BATCH,
    NAME_LENGTH,
    ROOM,
    Batch,
    Port,
    SocketAddress,
    address_of,
    host_of,
    open_pair,
    sockaddr_of,
    transport_address,
)

LOOPBACKS = pytest.mark.parametrize("address", ["127.0.0.1", "::1"])


@given(st.ip_addresses(), st.integers(1, 65535))
def test_an_address_survives_being_a_source(address, port: int) -> None:
    source = transport_address(str(address), port)
    assert address_of(source) == (str(address), port)
    assert len(sockaddr_of(source)) == NAME_LENGTH
    assert host_of(source) == host_of(transport_address(str(address), port % 65535 + 1)) != source


@LOOPBACKS
def test_a_batch_is_read_as_columns_and_sent_back_changed(address: str) -> None:
    port, batch = Port(address, 0), Batch()
    peers = [socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
    try:
        for number, peer in enumerate(peers):
            peer.bind((address, 0))
            peer.settimeout(2)
            peer.sendto(number.to_bytes(4, "big") * 5, (address, port.number))
        assert batch.receive(port) == 3
        assert [address_of(source) for source in batch.sources(port, 3)] == [peer.getsockname()[:2] for peer in peers]
        assert batch.ssrcs.read_network(3) == [0, 1, 2]
        assert batch.sizes.read(3) == [20, 20, 20]
        batch.numbers.write_network([7, 8, 9])
        batch.replace(1, b"shorter")
        names = [SocketAddress(transport_address(*peer.getsockname()[:2])) for peer in reversed(peers)]
        assert batch.send(port, [2, 0, 1], [name.pointer for name in names]) == 3
        received = [peer.recv(100) for peer in peers]
        assert received == [
            b"shorter",
            bytes.fromhex("00000007") + bytes(16),
            bytes.fromhex("00000009") + bytes.fromhex("00000002") * 4,
        ]
        assert batch.receive(port) == 0
    finally:
        port.close()
        for peer in peers:
            peer.close()


def test_one_call_takes_at_most_a_batch_and_the_next_the_rest() -> None:
    port, batch = Port("127.0.0.1", 0), Batch()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        for _ in range(BATCH + 5):
            peer.sendto(b"x" * 12, ("127.0.0.1", port.number))
        assert [batch.receive(port) for _ in range(3)] == [BATCH, 5, 0]
    port.close()


def test_a_datagram_too_long_shows_by_its_size() -> None:
    port, batch = Port("127.0.0.1", 0), Batch()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.sendto(b"x" * 9000, ("127.0.0.1", port.number))
        assert (batch.receive(port), batch.sizes.read(1)) == (1, [ROOM])
    port.close()


def test_what_the_kernel_drops_is_known() -> None:
    port, batch = Port("127.0.0.1", 0), Batch()
    port.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        for _ in range(200):
            peer.sendto(b"x" * 200, ("127.0.0.1", port.number))
        kept = 0
        while count := batch.receive(port):
            kept += count
        assert kept < 200
        peer.sendto(b"x" * 200, ("127.0.0.1", port.number))
        batch.receive(port)
    assert port.dropped == 200 - kept
    port.close()


def test_a_destination_the_network_refuses_costs_only_its_own_packet() -> None:
    port, batch = Port("127.0.0.1", 0), Batch()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        peer.settimeout(2)
        for _ in range(3):
            peer.sendto(b"x" * 12, ("127.0.0.1", port.number))
        batch.receive(port)
        good, bad = (
            SocketAddress(transport_address("127.0.0.1", peer.getsockname()[1])),
            SocketAddress(transport_address("255.255.255.255", 9)),
        )
        assert batch.send(port, [0, 1, 2], [good.pointer, bad.pointer, good.pointer]) == 2
        assert [len(peer.recv(100)) for _ in range(2)] == [12, 12]
    port.close()


def test_a_pair_is_even_and_odd_and_skips_what_is_taken() -> None:
    first = open_pair("127.0.0.1", range(41000, 41400, 2))
    second = open_pair("127.0.0.1", range(first[0].number, 41400, 2))
    assert first[0].number % 2 == 0 and first[1].number == first[0].number + 1
    assert second[0].number >= first[0].number + 2
    with pytest.raises(OSError, match="no free pair"):
        open_pair("127.0.0.1", [first[0].number])
    for port in (*first, *second):
        port.close()
