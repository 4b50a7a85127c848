"""What is typed, through a real media worker: both ways, with losses made up for, and nothing of strangers or in clear."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.support.media.call import call_between, running_worker, text_between
from tests.support.media.phone import CM80, phones
from tests.support.office import Office, until
from tests.support.text_phone import connected

pytestmark = pytest.mark.usefixtures("processes")


async def test_text_neither_ends_a_call_by_its_silence_nor_keeps_one_that_is_silent(tmp_path: Path) -> None:
    with phones(CM80, CM80, CM80, CM80) as (a, b, typing, reading):
        async with running_worker(tmp_path, timeout_s=0.5) as (worker, events):
            text = await text_between(worker, typing, reading)
            await asyncio.sleep(1.2)
            assert not events
            speech = await call_between(worker, a, b)
            for _ in range(12):
                text.a_to_b()
                text.b_to_a()
                await asyncio.sleep(0.1)
            assert {(event["event"], event["call"]) for event in events} == {("timeout", speech.name)}


async def test_two_phones_type_to_each_other_and_a_lost_packet_is_made_up_for(office: Office, tmp_path: Path) -> None:
    async with running_worker(tmp_path) as (worker, events):
        office.exchange.media = lambda: worker
        _, _, ours, theirs = await connected(office)
        for text in ("Goede", "mid", "dag", " \N{EURO SIGN}", ""):
            ours.type(text)
            theirs.type(text.upper())
        await asyncio.sleep(0.2)
        assert theirs.read() == "Goedemiddag \N{EURO SIGN}"
        assert ours.read() == "GOEDEMIDDAG \N{EURO SIGN}"
        lost = ours.typist.type(" Een")
        del lost  # it never reaches the node, or the other phone
        ours.type(" twee")
        ours.type(" drie")
        assert theirs.read() == "Goedemiddag \N{EURO SIGN} Een twee drie"
        packet = theirs.text.receive(0.1)
        assert packet is None
        (call,) = office.exchange.calls
        stats = await worker.stats(f"{call}/text")
        assert (stats["a"].received, stats["a"].lost, stats["b"].sent, stats["b"].received) == (7, 1, 7, 5)
        # What strangers and copies send in clear, or forged, reaches nobody and is counted.
        clear = bytes(ours.typist.type("geheim"))
        forged = bytes(12) + os.urandom(40)
        for datagram in (clear, clear, bytes([0x80, 100]) + forged):
            ours.text.send_raw(ours.text_at, datagram)
        ours.type("!")
        theirs.read()
        stats = await worker.stats(f"{call}/text")
        assert stats["a"].plaintext == 2, stats["a"].drops
        assert sum(stats["a"].drops.values()) == 3
        assert not events, "text is silent as long as nobody types"
        await ours.hang_up()
        await until(lambda: bool(office.records))
        typed = [leg for leg in office.records[0].legs if leg.media == "text"]
        assert [(leg.suite, leg.keying, leg.plaintext) for leg in typed] == [
            ("AES_CM_128_HMAC_SHA1_80", "SDES", 2),
            ("AES_CM_128_HMAC_SHA1_80", "SDES", 0),
        ]
        assert all(leg.mos is None for leg in typed)
        assert not (await worker.load()).calls
