"""However many INVITEs of strangers wait for an ACK, who comes next is heard."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from media_node.log import Event
from media_node.sip import transaction_layer
from media_node.sip.grammar import URI
from tests.support.node import DOMAIN
from tests.support.office import CUSTOMER
from tests.support.simulated_office import SimulatedOffice


@pytest.fixture
def office(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedOffice]:
    monkeypatch.setattr(transaction_layer, "MAX_OF_STRANGERS", 50)
    office = SimulatedOffice()
    yield office
    office.close()


def flood(office: SimulatedOffice) -> None:
    """Strangers who never acknowledge a refusal, from one address."""
    strangers = [office.phone("103", "192.0.2.66", username=f"nobody-{number}") for number in range(5)]
    for number, stranger in enumerate(strangers):
        end = office.ends[-len(strangers) + number]
        end.send = lambda message: True  # type: ignore[method-assign]
        for each in range(transaction_layer.MAX_OF_A_STRANGER):
            uri = URI("sip", DOMAIN, user="102")
            request = stranger._request("INVITE", uri, uri, f"flood-{number}-{each}", 1)
            request.contact = [stranger.contact]
            request.headers.set("Via", f"SIP/2.0/TLS 192.0.2.66;branch=z9hG4bKflood{number}x{each}")
            office.loop.do(lambda end=end, request=request: end.receiver.received(end, request))  # type: ignore[misc]


def test_a_phone_that_comes_back_among_them_registers_and_calls(office: SimulatedOffice) -> None:
    office.registered("102")
    flood(office)
    layer = office.exchange.transactions
    assert len(layer._strangers) == 50
    (phone,) = office.registered("101")
    talk = office.loop.do(lambda: phone.call("102"))
    office.loop.wait(1)
    assert talk.stands
    office.loop.do(talk.hang_up)
    office.everything_ends()


def test_112_of_a_phone_that_has_not_registered_is_heard_among_them(office: SimulatedOffice) -> None:
    flood(office)
    caller = office.phone("101")
    office.loop.do(lambda: caller.call("112"))
    office.loop.wait(1)
    refused = [fields for event, fields in office.log if event is Event.CALL_REFUSED]
    assert refused == [{"status": 503, "reason": "There is no way out to 112 on this node", "customer": CUSTOMER}]
