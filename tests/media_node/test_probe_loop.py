"""Which environments are called through, when, and how many at a time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_node.call.directory import Environment, Phone
from media_node.probe import environments
from media_node.probe.environments import AT_ONCE, Door, EnvironmentProbe, due
from media_node.probe.probed import Probed

NOON = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


def environment(name: str, epoch: int = 1) -> Environment:
    return Environment(
        environment_id=name, customer_id=name, encrypted=True, calls=1, version=1, phones=(), epoch=epoch
    )


def ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def proved(at: datetime, *, ok: bool = True) -> Probed:
    return Probed(ok=ok, at=ms(at))


def test_what_was_never_proved_or_has_moved_is_due() -> None:
    one = environment("abc234")
    assert due(one, None, None, ms(NOON))
    assert due(one, proved(NOON, ok=False), 1, ms(NOON))
    assert not due(one, proved(NOON), 1, ms(NOON))
    assert due(replace(one, epoch=2), proved(NOON), 1, ms(NOON))


@given(st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)).map(lambda at: at.replace(tzinfo=UTC)))
def test_a_proof_is_repeated_once_a_day_at_a_quiet_moment(at: datetime) -> None:
    one, probed = environment("abc234"), proved(at)
    repeated = next(
        at + timedelta(hours=hours) for hours in range(40) if due(one, probed, 1, ms(at + timedelta(hours=hours)))
    )
    assert timedelta(hours=20) <= repeated - at <= timedelta(hours=30)
    assert repeated.hour in environments.QUIET_HOURS or repeated - at == timedelta(hours=30)


class Calls:
    """Stands in for the call of the probe's two phones: takes a moment, and fails where it is told to."""

    def __init__(self, failing: set[str] | None = None) -> None:
        self.failing, self.order, self.running, self.most = failing or set(), list[str](), 0, 0
        self.guests: tuple[Phone, ...] = ()

    async def __call__(self, *, caller: Any, **_: Any) -> Any:
        name = caller.username.partition("-")[0]
        self.order.append(name)
        assert sum(guest.customer_id == name for guest in self.guests) == 2, "both phones exist while they call"
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0.02)
        self.running -= 1
        if name in self.failing:
            raise OSError("no call")
        leg = SimpleNamespace(suite="AES_CM_128_HMAC_SHA1_80", packets=50)
        return SimpleNamespace(ok=True, audio_ok=True, legs=(leg, leg), plaintext_packets=0)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    made = Calls()
    monkeypatch.setattr(environments, "check", made)
    monkeypatch.setattr("ssl.create_default_context", lambda **_: SimpleNamespace(verify_flags=0))
    monkeypatch.setattr(environments, "LOOK_INTERVAL", 0.005)
    return made


async def probe(calls: Calls, *watched: Environment, until: Any) -> EnvironmentProbe:
    stopped = False

    def guests(phones: tuple[Phone, ...]) -> None:
        calls.guests = phones

    found = EnvironmentProbe(lambda: Door("127.0.0.1", 5061, "sip.example.nl", ""), guests, lambda: None)
    found.watch(watched)
    running = asyncio.create_task(found.run(lambda: stopped))
    async with asyncio.timeout(20):
        while not until(found):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    stopped = True
    await running
    return found


async def test_a_hundred_environments_are_proved_a_few_at_a_time(calls: Calls) -> None:
    many = [environment(f"env{number:03}") for number in range(100)]
    found = await probe(calls, *many, until=lambda found: len(found.results) == 100)
    assert all(result.ok for result in found.results.values())
    assert 1 < calls.most <= AT_ONCE
    assert len(calls.order) == 100, "what is proved is not called through again"
    assert calls.guests == ()


async def test_environments_that_fail_keep_no_other_waiting(calls: Calls) -> None:
    calls.failing = {f"env{number:03}" for number in range(10)}
    many = [environment(f"env{number:03}") for number in range(30)]
    found = await probe(calls, *many, until=lambda found: sum(result.ok for result in found.results.values()) == 20)
    assert {name for name, result in found.results.items() if not result.ok} <= calls.failing
    assert max(calls.order.count(name) for name in calls.failing) < 6, "and are tried again ever later"


async def test_an_environment_that_left_while_it_was_probed_leaves_no_result(calls: Calls) -> None:
    found = await probe(calls, environment("gone"), until=lambda found: calls.running and not found.watch(()))
    assert found.results == {}
