"""Another peer takes one leg's place in a running call, as after a transfer or a forwarded call."""

from __future__ import annotations

from pathlib import Path

import pytest

from media_node.suites import Suite
from media_node.worker_link.client import MediaError
from tests.support.media.call import Call, call_between, running_worker
from tests.support.media.phone import phones

pytestmark = pytest.mark.usefixtures("processes")

CM80, GCM = Suite.AES_CM_128_HMAC_SHA1_80, Suite.AEAD_AES_128_GCM


@pytest.mark.parametrize("suite", [CM80, GCM, None])
async def test_the_leg_that_stays_hears_the_new_peer_without_a_gap_in_its_numbers(
    tmp_path: Path, suite: Suite | None
) -> None:
    with phones(CM80, CM80, suite) as (staying, leaving, coming):
        async with running_worker(tmp_path) as (worker, _):
            call = await call_between(worker, staying, leaving)
            call.talk(5)
            call.b_at, before = await worker.reopen(call.name, "b", secure=suite is not None)
            assert (before.received, before.suite) == (5, CM80)
            _, lost = call.a_to_b()
            assert lost is None, "nothing goes to the peer that left, nor to the one that is not there yet"
            call.b = coming
            await worker.set(call.name, "b", coming.leg())
            call.talk(5)
            of_a, of_b = await call.stats()
            assert (of_b.received, of_b.sent, of_b.drops) == (5, 5, {})
            assert of_a.sent == 10
            leaving.send(call.b_at)
            assert staying.receive() is None, "whoever left is not heard any more"


async def test_a_leg_that_does_not_exist_cannot_be_reopened(tmp_path: Path) -> None:
    with phones(CM80, CM80) as (a, b):
        async with running_worker(tmp_path) as (worker, _):
            call = await call_between(worker, a, b)
            for name, leg in ((call.name, "c"), ("nobody", "a")):
                with pytest.raises(MediaError, match="no"):
                    await worker.reopen(name, leg, secure=True)
            call.talk(3)


async def test_a_leg_of_another_call_takes_the_place_with_the_keys_it_has(tmp_path: Path) -> None:
    with phones(CM80, None, CM80, CM80) as (staying, leaving, coming, between):
        async with running_worker(tmp_path) as (worker, _):
            first = await call_between(worker, staying, leaving)
            second = await call_between(worker, between, coming)
            first.talk(3)
            second.talk(4)
            before = await worker.move(second.name, "b", to=first.name, to_leg="b")
            assert (before.received, before.suite) == (3, None)
            between.send(second.a_at)
            assert coming.receive() is None, "whoever stays behind speaks to nobody"
            assert set(await worker.close(second.name)) == {"a"}
            joined = Call(worker, staying, coming, name=first.name)
            joined.a_at, joined.b_at = first.a_at, second.b_at
            joined.talk(5)
            of_a, of_b = await joined.stats()
            assert (of_a.received, of_b.received, of_b.drops) == (8, 9, {})
            assert (await worker.close(first.name))["b"].suite == CM80
            assert (await worker.load()).calls == 0
