"""The whole node as a process: real TLS, real media workers, an emulated AWS, and phones of our own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from callvoip.commands.verify_receipt import gaps, verify
from media_node.call.record import CUT_SHORT
from media_node.control.receipts import Receipts
from media_node.probe.check import LATCHING, fall_silent, verdict
from media_node.probe.phone import Conversation, Phone, RequestRefused
from media_node.sip.sdp import Direction
from tests.support.node import DOMAIN, NodeFactory, NodeUnderTest, TestAccount, accounts, wait_until

CUSTOMER = "abc234"


def probe(
    node: NodeUnderTest, caller: TestAccount, callee: TestAccount, *options: str
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "media_node.probe", "--host", node.address, "--domain", DOMAIN, "--json", *options]
    command += ["--ca-file", str(node.certificates.ca_file), "--caller", str(caller), "--callee", str(callee)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


async def handset(node: NodeUnderTest, account: TestAccount, **options: Any) -> Phone:
    phone = Phone(account.username, account.password, DOMAIN, **options)
    await phone.connect(node.address, 5061, node.certificates.client_context())
    await phone.register()
    return phone


async def talking(node: NodeUnderTest, phones: Sequence[TestAccount]) -> tuple[Conversation, Conversation]:
    callee, caller = await handset(node, phones[1]), await handset(node, phones[0])
    ours = await caller.call(phones[1].extension)
    return ours, await callee.answered()


async def hang_up(ours: Conversation, theirs: Conversation) -> None:
    await fall_silent(ours, theirs)
    await ours.hang_up()
    for conversation in (ours, theirs):
        await conversation.phone.close()


def test_the_probe_proves_a_call_with_srtp_on_both_legs(new_node: NodeFactory) -> None:
    node = new_node()
    caller, callee = phones = accounts(CUSTOMER)
    node.assign(CUSTOMER, phones, probed=True)
    report = node.item("REPORT")["assignments"]["abc234"]
    assert report["phones"] == 2
    assert report["probe"]["suites"] == ["AES_CM_128_HMAC_SHA1_80"] * 2
    assert report["probe"]["plaintextPackets"] == 0
    assert report["probe"]["packets"] > 50

    for suites in (
        ["AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_80"],
        ["AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32"],
        ["AEAD_AES_256_GCM", "AES_CM_128_HMAC_SHA1_32"],
    ):
        done = probe(node, caller, callee, "--seconds", "1", "--caller-suites", suites[0], "--callee-suites", suites[1])
        assert done.returncode == 0, done.stdout + done.stderr + node.log.read_text()
        result = json.loads(done.stdout)
        assert [leg["suite"] for leg in result["legs"]] == suites
        assert all(leg["packets"] > 35 for leg in result["legs"])
        assert (result["plaintext_packets"], result["audio_ok"]) == (0, True)

    heartbeat = wait_until(lambda: node.item("HEARTBEAT"))
    assert (heartbeat["state"], heartbeat["address"], heartbeat["sipPort"]) == ("ready", node.address, 5061)
    records = wait_until(lambda: len(node.records(CUSTOMER)) == 3 and node.records(CUSTOMER))
    assert all(record["reason"] == "completed" for record in records), "the node's own probe leaves no record"
    text = node.log.read_text()
    assert caller.username not in text
    assert caller.password not in text


async def test_what_must_be_refused_is_refused_and_the_running_call_is_not_disturbed(new_node: NodeFactory) -> None:
    node = await asyncio.to_thread(new_node)
    phones = accounts(CUSTOMER, 4)
    await asyncio.to_thread(node.assign, CUSTOMER, phones)
    ours, theirs = await talking(node, phones)

    for attempt, code, text in (
        ("no-crypto", 488, "SRTP is required"),
        ("unknown-suite", 488, "F8_128_HMAC_SHA1_80 is not supported"),
        ("wrong-password", 403, ""),
    ):
        done = await asyncio.to_thread(probe, node, phones[2], phones[3], "--attempt", attempt)
        assert done.returncode == 0, done.stdout + done.stderr
        refused = json.loads(done.stdout)["refused"]
        assert refused["code"] == code
        assert text in refused["warning"]
    stranger = TestAccount(f"{CUSTOMER}-999", "999", "x")
    assert (await asyncio.to_thread(probe, node, stranger, phones[3])).returncode == 2
    for garbage in (b"\x16\x03\x01\x00\x64" + bytes(100), b"GET / HTTP/1.1\r\n\r\n", bytes(4000)):
        await asyncio.to_thread(_throw, node, garbage, None)
    context = node.certificates.client_context()
    context.check_hostname = False
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"A" * 20000, b"INVITE x SIP/2.0\r\n\r\n", bytes(300)):
        await asyncio.to_thread(_throw, node, garbage, context)
    with pytest.raises(ssl.SSLError):
        await asyncio.to_thread(_throw, node, b"", _only(ssl.TLSVersion.TLSv1, node))
    with pytest.raises(ssl.SSLError):
        await asyncio.to_thread(_throw, node, b"", _only(ssl.TLSVersion.TLSv1_1, node))

    assert not ours.ended.is_set()
    await hang_up(ours, theirs)
    result = verdict(ours, theirs)
    assert result.audio_ok, result
    assert result.plaintext_packets == 0


def _only(version: ssl.TLSVersion, node: NodeUnderTest) -> ssl.SSLContext:
    context = node.certificates.client_context()
    context.check_hostname = False
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    return context


def _throw(node: NodeUnderTest, garbage: bytes, context: ssl.SSLContext | None) -> None:
    """Sends garbage and insists that the node hangs up."""
    with socket.create_connection((node.address, 5061), timeout=5) as plain:
        channel = context.wrap_socket(plain, server_hostname=DOMAIN) if context else plain
        try:
            channel.sendall(garbage)
            while channel.recv(4096):
                pass
        except (ConnectionError, ssl.SSLError):
            if context is not None and context.maximum_version is ssl.TLSVersion.TLSv1_2:
                raise


async def test_hold_stops_the_audio_and_resume_brings_it_back(new_node: NodeFactory) -> None:
    node = await asyncio.to_thread(new_node)
    phones = accounts(CUSTOMER)
    await asyncio.to_thread(node.assign, CUSTOMER, phones)
    ours, theirs = await talking(node, phones)
    await asyncio.sleep(0.5)
    await ours.change(Direction.INACTIVE)
    await asyncio.sleep(0.3)
    held = (ours.stream.tally.received, theirs.stream.tally.received)
    await asyncio.sleep(0.7)
    assert (ours.stream.tally.received, theirs.stream.tally.received) == held
    await ours.change(Direction.SENDRECV)
    await asyncio.sleep(0.7)
    for conversation, before in zip((ours, theirs), held, strict=True):
        assert conversation.stream.tally.received > before + 20
        assert conversation.stream.tally.foreign == conversation.stream.tally.unverified == 0
    await hang_up(ours, theirs)


def test_an_environment_without_srtp_is_proved_too(new_node: NodeFactory) -> None:
    node = new_node()
    node.assign(CUSTOMER, accounts(CUSTOMER), encrypted=False, probed=True)
    assert node.item("REPORT")["assignments"]["abc234"]["probe"]["suites"] == ["none", "none"]


async def test_credentials_handed_out_later_are_loaded_without_disturbing_a_call(new_node: NodeFactory) -> None:
    node = await asyncio.to_thread(new_node)
    phones, later = accounts(CUSTOMER), accounts("xyz789")
    await asyncio.to_thread(node.assign, CUSTOMER, phones)
    await asyncio.to_thread(node.assign, "xyz789", later, credentials=False)
    ours, theirs = await talking(node, phones)
    with pytest.raises(RequestRefused) as refused:
        await handset(node, later[0])
    assert refused.value.code == 403
    await asyncio.to_thread(node.assign, "xyz789", later, version=2)
    await (await handset(node, later[0])).close()
    assert not ours.ended.is_set()
    await hang_up(ours, theirs)
    assert verdict(ours, theirs).audio_ok


async def test_a_leg_that_falls_silent_is_asked_and_keeps_its_call(new_node: NodeFactory) -> None:
    node = await asyncio.to_thread(new_node, media_timeout=2)
    phones = accounts(CUSTOMER)
    await asyncio.to_thread(node.assign, CUSTOMER, phones)
    ours, theirs = await talking(node, phones)
    await asyncio.sleep(0.5)
    theirs.stream.muted = True
    await asyncio.to_thread(wait_until, lambda: node.events("media timeout"))
    await asyncio.sleep(0.5)
    assert not ours.ended.is_set() and not theirs.ended.is_set()
    await ours.hang_up()
    await asyncio.wait_for(theirs.ended.wait(), 10)
    for conversation in (ours, theirs):
        await conversation.phone.close()


async def test_sigterm_says_goodbye_and_leaves_a_record(new_node: NodeFactory) -> None:
    node = await asyncio.to_thread(new_node, state="drain_s = 0.3")
    phones = accounts(CUSTOMER)
    await asyncio.to_thread(node.assign, CUSTOMER, phones)
    ours, theirs = await talking(node, phones)
    status = await asyncio.to_thread(node.stop)
    assert status == 0, node.log.read_text()
    await asyncio.wait_for(ours.ended.wait(), 5)
    assert "this node is stopping" in ours.end_reason
    theirs.stream.close()
    (record,) = node.records(CUSTOMER)
    assert record["reason"] == "this node is stopping"
    assert node.item("HEARTBEAT")["state"] == "draining"


async def test_records_survive_an_aws_that_is_away(new_node: NodeFactory) -> None:
    node = await asyncio.to_thread(new_node)
    phones = accounts(CUSTOMER)
    await asyncio.to_thread(node.assign, CUSTOMER, phones)
    await asyncio.to_thread(node.dynamodb.delete_table, TableName=node.cdr_table)
    ours, theirs = await talking(node, phones)
    await hang_up(ours, theirs)
    await asyncio.to_thread(node.stop)
    assert len(list((node.directory / "state" / "records").glob("*.json"))) == 1
    await asyncio.to_thread(
        node.dynamodb.create_table,
        TableName=node.cdr_table,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    )
    await asyncio.to_thread(node.start)
    (record,) = await asyncio.to_thread(wait_until, lambda: node.records(CUSTOMER))
    assert record["reason"] == "completed"


async def test_a_worker_that_dies_is_replaced_and_the_other_worker_s_call_never_notices(new_node: NodeFactory) -> None:
    node = await asyncio.to_thread(new_node, workers=2)
    phones = accounts(CUSTOMER, 4)
    await asyncio.to_thread(node.assign, CUSTOMER, phones, probed=True)  # the node's own call is over
    calls = [await talking(node, pair) for pair in (phones[:2], phones[2:])]
    await asyncio.sleep(0.5)
    first, _ = await asyncio.to_thread(_children, node)
    os.kill(first, signal.SIGKILL)
    ends = [asyncio.create_task(ours.ended.wait()) for ours, _ in calls]
    await asyncio.wait(ends, timeout=5, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.to_thread(wait_until, lambda: node.events("media worker replaced"))
    await asyncio.sleep(0.5)
    assert sorted(end.done() for end in ends) == [False, True], "calls are spread over the workers"
    (lost, silenced), spared = sorted(calls, key=lambda call: not call[0].ended.is_set())
    assert "the media relay failed" in lost.end_reason and silenced.ended.is_set()
    silenced.stream.close()
    again = await lost.phone.call(silenced.phone.username.partition("-")[2])
    await asyncio.sleep(0.3)
    assert again.stream.tally.received
    await again.hang_up()
    await hang_up(*spared)
    assert verdict(*spared).audio_ok
    for heard, said in (spared, spared[::-1]):
        assert heard.stream.tally.received >= said.stream.tally.sent - LATCHING
    for conversation in (lost, silenced):
        await conversation.phone.close()
    records = await asyncio.to_thread(wait_until, lambda: len(node.records(CUSTOMER)) == 3 and node.records(CUSTOMER))
    assert sorted(record["reason"] for record in records) == ["completed", "completed", "the media relay failed"]


async def test_a_node_killed_in_a_call_leaves_one_record_of_it_and_the_receipts_are_a_whole_chain(
    new_node: NodeFactory,
) -> None:
    node = await asyncio.to_thread(new_node)
    phones = accounts(CUSTOMER)
    await asyncio.to_thread(node.assign, CUSTOMER, phones, probed=True)
    first = await talking(node, phones)
    await asyncio.sleep(0.4)
    await hang_up(*first)
    await asyncio.to_thread(wait_until, lambda: node.records(CUSTOMER))
    ours, theirs = await talking(node, phones)
    spool = node.directory / "state" / "records"
    await asyncio.to_thread(wait_until, lambda: list(spool.glob("*.begun")))
    await asyncio.to_thread(node.stop, signal.SIGKILL)
    for conversation in (ours, theirs):
        conversation.stream.close()
        await conversation.phone.close()
    await asyncio.to_thread(node.start)
    records = await asyncio.to_thread(wait_until, lambda: len(node.records(CUSTOMER)) == 2 and node.records(CUSTOMER))
    assert [record["reason"] for record in records] == ["completed", CUT_SHORT]
    assert all(record["startedAt"] <= record["answeredAt"] <= record["endedAt"] for record in records)
    receipts = [record["receipt"] for record in records]
    jwk = Receipts(node.directory / "state").jwk
    whole, cut = (verify(receipt, jwk) for receipt in receipts)
    assert [(leg["keying"], leg["plaintextPackets"]) for leg in whole["legs"]] == [("SDES", 0), ("SDES", 0)]
    assert all(whole["answeredAt"] <= leg["lastSecuredAt"] <= whole["endedAt"] for leg in whole["legs"])
    assert (whole["beyond"], cut["reason"]) == ("nothing", CUT_SHORT)
    assert gaps(receipts) == []
    assert list(spool.glob("*.begun")) == []


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_worker_that_hangs_is_replaced_and_a_call_made_meanwhile_goes_on(
    new_node: NodeFactory, workers: int
) -> None:
    node = await asyncio.to_thread(new_node, workers=workers)
    phones = accounts(CUSTOMER, 4)
    await asyncio.to_thread(node.assign, CUSTOMER, phones, probed=True)
    lost, silenced = await talking(node, phones[:2])
    await asyncio.sleep(0.3)
    for child in _children(node):
        os.kill(child, signal.SIGSTOP)  # every worker: the call that follows can have none that answers
    meanwhile = await talking(node, phones[2:])
    await asyncio.wait_for(asyncio.gather(lost.ended.wait(), silenced.ended.wait()), 10)
    assert "the media relay failed" in lost.end_reason
    await asyncio.sleep(0.5)
    await hang_up(*meanwhile)
    assert verdict(*meanwhile).audio_ok
    for conversation in (lost, silenced):
        await conversation.phone.close()
    await asyncio.to_thread(wait_until, lambda: len(node.events("media worker replaced")) == workers)
    records = await asyncio.to_thread(wait_until, lambda: len(node.records(CUSTOMER)) == 2 and node.records(CUSTOMER))
    assert sorted(record["reason"] for record in records) == ["completed", "the media relay failed"]


def _children(node: NodeUnderTest) -> list[int]:
    assert node.process is not None
    children = Path(f"/proc/{node.process.pid}/task/{node.process.pid}/children").read_text()
    return [int(child) for child in children.split()]


def test_a_node_without_calls_stops_at_once(new_node: NodeFactory) -> None:
    node = new_node()
    assert node.stop(signal.SIGINT, timeout=5) == 0


@pytest.mark.usefixtures("processes")
def test_a_bad_configuration_is_named(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text("[fleet]\n")
    done = subprocess.run([sys.executable, "-m", "media_node", "--config", path], capture_output=True, text=True)
    assert done.returncode == 2
    assert "node.toml lacks sip" in done.stderr
