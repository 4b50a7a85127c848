"""Mutated messages go the stranger's way through the node: nothing but refusals, and nothing grows.

`./dev bench fuzz` does the same guided by coverage, for as long as is asked, and against a running node.
"""

from __future__ import annotations

import pytest

from tests.media_node.fuzzing import Edge, mutations, seeds


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
