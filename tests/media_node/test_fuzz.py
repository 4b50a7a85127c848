"""Mutated messages go the stranger's way through the node: nothing but refusals, and nothing grows.

`./dev bench fuzz` does the same guided by coverage, for as long as is asked, and against a running node.
"""

from __future__ import annotations

import pytest

from media_node.sip.framing import PING, Framer
from tests.media_node.fuzzing import CORPUS, MESSAGES, TORTURE, Edge, mutations, seeds
from tests.media_node.fuzzing_inside import Inside
from tests.media_node.fuzzing_media import MediaEdge, media_mutations, media_seeds


def test_the_corpus_goes_through() -> None:
    edge = Edge()
    for data in seeds():
        edge.stream(data)
        edge.packet(data)
    assert edge.taken > 20


@pytest.mark.parametrize("seed", range(4))
def test_mutated_messages_are_read_or_refused_and_nothing_else_happens(seed: int) -> None:
    edge = Edge()
    for data in mutations(seed, 1000):
        edge.stream(data)
        edge.packet(data)
    assert edge.taken > 10


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_however_octets_are_cut_the_messages_are_the_same(size: int) -> None:
    for data in seeds(MESSAGES):
        whole = list(Framer().feed(data))
        assert whole
        framer = Framer()
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        assert [frame for piece in pieces for frame in framer.feed(piece)] == whole


def test_keep_alives_between_messages_are_no_part_of_them() -> None:
    alone = [list(Framer().feed(data)) for data in seeds(MESSAGES)]
    framer = Framer()
    for data, frames in zip(seeds(MESSAGES), alone, strict=True):
        assert list(framer.feed(b"\r\n\r\n" + data)) == [PING, *frames]


@pytest.mark.parametrize("seed", range(3))
def test_mutated_messages_of_a_known_phone_are_answered_and_calls_end_as_they_do(seed: int) -> None:
    inside = Inside()
    for data in [*(seeds() if seed == 0 else ()), *mutations(seed, 500, MESSAGES, TORTURE, CORPUS, most=2)]:
        inside.message(data)
    for data in mutations(seed, 700, MESSAGES, most=2):
        inside.message(data)
    inside.end()
    assert inside.heard > 200


def test_mutated_datagrams_move_no_media_and_are_counted_for_what_they_are() -> None:
    edge = MediaEdge()
    try:
        for data in [*media_seeds(), *media_mutations(1, 400)]:
            edge.datagram(data)
        assert edge.relay.received > 10_000
    finally:
        edge.close()
