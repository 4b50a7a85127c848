"""Requests of peers that make no unique branches (RFC 2543) are told apart by other fields, and forgotten like all others."""

from __future__ import annotations

import pytest

from media_node.sip.grammar import URI, Parameters, Via
from media_node.sip.headers import Request, Response
from tests.support.node import DOMAIN
from tests.support.simulated_office import SimulatedOffice
from tests.support.simulation import End


@pytest.mark.parametrize("branch", [{}, {"branch": "1"}, {"branch": "z9hG4bK"}, {"rport": None}])
def test_an_invite_without_a_branch_said_twice_is_one_and_nothing_of_it_is_left(branch: dict[str, str | None]) -> None:
    office = SimulatedOffice()
    try:
        stranger = office.phone("103")
        (node,) = office.ends
        heard: list[int] = []

        def sent(message: Request | Response) -> bool:
            heard.append(message.code if isinstance(message, Response) else 0)
            return True

        node.send = sent  # type: ignore[method-assign]

        def say(number: int, end: End = node) -> None:
            uri = URI("sip", DOMAIN, user="102")
            request = stranger._request("INVITE", uri, uri, f"old-{number}", 1)
            request.contact = [stranger.contact]
            request.via = [Via("TLS", "192.0.2.9", 5061, Parameters(**branch))]
            end.receiver.received(end, request)

        for number in range(10):
            for _ in range(2):
                office.loop.do(lambda number=number: say(number))  # type: ignore[misc]
        layer = office.exchange.transactions
        assert len(layer._runs[node.number]) == len(layer._servers) == len(layer._strangers) == 10
        assert [heard.count(code) for code in set(heard) - {100}] == [20]
        office.everything_ends()
    finally:
        office.close()
