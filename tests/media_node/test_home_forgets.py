"""The provider's own exchange loses what it was told, with a word or without one: the node finds out and tells it again."""

from __future__ import annotations

import pytest

from media_node.call import home
from tests.media_node.test_home import exchange, of
from tests.support.office import Office, desk_phone, until


async def test_an_exchange_that_lost_what_it_was_told_without_a_word_is_told_all_again(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over UDP no connection is lost when it restarts."""
    monkeypatch.setattr(home, "LOOK_BACK", 0)
    async with exchange(office) as own:
        for extension in ("101", "102", "103", "104"):
            await desk_phone(office, extension)
        await until(lambda: len(own.held) == 4)
        before = dict(own.held)
        told = len(own.registers)
        await office.exchange.home.sync()
        assert own.asked and len(own.registers) == told, "nothing is missing"
        own.held.clear()
        await office.exchange.home.sync()
        assert own.held == before


async def test_one_device_that_was_removed_there_is_told_again_alone(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(home, "LOOK_BACK", 0)
    monkeypatch.setattr(
        "media_node.call.home.random.sample", lambda told, count: sorted(told, key=lambda each: each.username)[:count]
    )
    async with exchange(office) as own:
        for extension in ("101", "102", "103"):
            await desk_phone(office, extension)
        await until(lambda: len(own.held) == 3)
        before, told = dict(own.held), len(own.registers)
        own.held.pop(of(own, "101")[0])
        await office.exchange.home.sync()
        assert own.held == before
        assert len(own.registers) == told + 1


async def test_an_exchange_that_never_says_what_it_has_is_not_told_all_over_and_over(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(home, "LOOK_BACK", 0)
    async with exchange(office) as own:
        own.says_what_it_has = False
        await desk_phone(office, "101")
        await until(lambda: len(own.held) == 1)
        for _ in range(5):
            await office.exchange.home.sync()
        assert len(own.registers) == 2, "one time to see that it does not say"
        # What it cannot say, an outage that OPTIONS saw does.
        own.held.clear()
        trunk = office.exchange.home.trunk
        assert trunk is not None
        for up in (False, True):
            office.exchange.outside.trunks.mark(trunk, up)
            await office.exchange.home.sync()
        assert of(own, "101")
