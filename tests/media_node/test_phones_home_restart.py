"""Kamailio as the provider's own exchange forgets who is registered, over UDP, where no connection tells of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from callvoip.phones.baresip import Baresip, talk
from tests.media_node.test_phones import Handset
from tests.media_node.test_phones import handset as handset
from tests.media_node.test_phones import microphone as microphone
from tests.support.kamailio import Kamailio
from tests.support.node import DOMAIN, NodeFactory, NodeUnderTest, accounts, wait_until

pytestmark = pytest.mark.needs("baresip", "kamailio")


@dataclass
class House:
    """A node, its exchange, and two phones."""

    node: NodeUnderTest
    exchange: Kamailio
    phones: tuple[Baresip, Baresip]


@pytest.fixture
def house(new_node: NodeFactory, handset: Handset, tmp_path: Path) -> Iterator[House]:
    with Kamailio(tmp_path / "kamailio", domain=DOMAIN, voicemail="sip:nobody@127.0.0.1:9") as exchange:
        node = new_node(trunk=exchange.trunk("udp"))
        known = accounts("abc234")
        node.assign("abc234", known)
        first, second = (handset(node, account) for account in known)
        for phone in (first, second):
            phone.wait_for("REGISTER_OK")
        yield House(node, exchange, (first, second))


def test_an_exchange_that_restarted_without_a_word_knows_the_phones_again(house: House) -> None:
    """Over UDP no connection tells; the node asks it whether it still knows them."""
    wait_until(lambda: house.exchange.registered().count("AoR: abc234-") == 2)
    house.exchange.restart()
    wait_until(lambda: house.node.events("exchange has forgotten the phones"), 60)
    wait_until(lambda: house.exchange.registered().count("AoR: abc234-") == 2)
    first, second = house.phones
    second.command("dial", "101")
    talk(second, first)
