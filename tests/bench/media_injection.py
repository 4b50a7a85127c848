"""Forged packets against the node and, beside it, against rtpengine: what is relayed, where the media goes, what the
call loses.

    python tests/bench/media_injection.py [--packets 20000] [--json]

Each row is a call of its own, SRTP on both legs, with an attacker who knows addresses, SSRC and sequence numbers but no
keys.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import struct
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import pylibsrtp

sys.path.insert(0, str(Path(__file__).parents[2]))

from media_node.suites import Suite
from media_node.worker_link.client import MediaWorker
from tests.bench.media_rtpengine import Rtpengine
from tests.bench.media_signalling import calls_through_sip, exchange
from tests.bench.media_traffic import PAYLOAD, PROFILES, Telephone

A_SUITE, B_SUITE = Suite.AES_CM_128_HMAC_SHA1_80, Suite.AES_CM_128_HMAC_SHA1_32


BURST, BURST_S = 20, 0.004
"""5000 a second, no more than 20 at once: rtpengine gives a port up after five bursts of over 50, which is another
matter than forgery.
"""


@dataclass(frozen=True)
class Attack:
    """Packets made by `forge`, from the phone's own address or another, before or during the call."""

    name: str
    from_phone: bool = False
    before: bool = False
    kind: str = "wrong key"


ATTACKS = (
    Attack("plaintext, other address", kind="plaintext"),
    Attack("plaintext, the phone's address", kind="plaintext", from_phone=True),
    Attack("wrong key, other address"),
    Attack("wrong key, the phone's address", from_phone=True),
    Attack("genuine packets replayed, other address", kind="replay"),
    Attack("wrong key, other address, before the phone's first packet", before=True),
)


@dataclass
class Outcome:
    """What an attack came to: forgeries that reached the callee, audio for the caller that reached the attacker, audio
    lost.
    """

    attack: str
    sent: int
    relayed: int = 0
    diverted: int = 0
    lost: int = 0
    spoken: int = 0


def forgeries(attack: Attack, phone: Telephone, overheard: list[bytes], number: int) -> list[bytes]:
    """The attacker's packets."""
    if attack.kind == "replay":
        return [overheard[i % len(overheard)] for i in range(number)]
    policy = pylibsrtp.Policy
    own = pylibsrtp.Session(
        policy(key=os.urandom(30), ssrc_type=policy.SSRC_ANY_OUTBOUND, srtp_profile=PROFILES[A_SUITE])
    )
    made = []
    for i in range(number):
        sequence = phone.sequence + i
        packet = struct.pack(
            ">BBHII", 0x80, 8, sequence & 0xFFFF, sequence * 160 & 0xFFFFFFFF, phone.ssrc
        ) + os.urandom(160)
        made.append(packet if attack.kind == "plaintext" else own.protect(packet))
    return made


def waiting(receiver: socket.socket) -> list[bytes]:
    """What has arrived."""
    found = []
    try:
        while True:
            found.append(receiver.recv(2048))
    except BlockingIOError:
        return found


def carry_out(attack: Attack, a: Telephone, b: Telephone, packets: int, frames: int) -> Outcome:
    """One call with one attack on its caller's leg, and at least `frames` packets of audio each way under it."""
    outcome = Outcome(attack.name, packets)
    overheard: list[bytes] = []
    attacker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    attacker.bind(("127.0.0.1", 0))
    attacker.connect(a.socket.getpeername())
    attacker.setblocking(False)

    def speak(frames: int) -> None:
        for _ in range(frames):
            packet = a.next()
            overheard.append(packet)
            a.socket.send(packet)
            b.socket.send(b.next())
            time.sleep(0.02)

    def settle() -> tuple[int, int, int]:
        """Packets of each other's audio both phones heard, and what else reached the callee or the attacker."""
        time.sleep(0.2)
        at_a, at_b = ([p for p in waiting(phone.socket) if p[1] & 0x7F == 8] for phone in (a, b))
        heard_b = sum(intact(b, packet) for packet in at_b)
        return sum(intact(a, packet) for packet in at_a) + heard_b, len(at_b) - heard_b, len(waiting(attacker))

    def spray() -> None:
        sender = a.socket if attack.from_phone else attacker
        for start in range(0, len(forged), BURST):
            for packet in forged[start : start + BURST]:
                with suppress(OSError):
                    sender.send(packet)
            time.sleep(BURST_S)

    if attack.before:
        forged = forgeries(attack, a, overheard, packets)
        spray()
    speak(25)
    settle()
    if attack.before:
        speak(frames)
    else:
        forged = forgeries(attack, a, overheard, packets)
        thread = threading.Thread(target=spray)
        thread.start()
        spoken = len(overheard)
        while thread.is_alive() or len(overheard) - spoken < frames:
            speak(1)
        thread.join()
        outcome.spoken -= spoken * 2
    heard, outcome.relayed, outcome.diverted = settle()
    outcome.spoken = frames * 2 if attack.before else outcome.spoken + len(overheard) * 2
    outcome.lost = outcome.spoken - heard
    attacker.close()
    return outcome


def intact(phone: Telephone, packet: bytes) -> bool:
    """Whether a packet is the other phone's audio."""
    assert phone.inbound is not None
    try:
        return phone.inbound.unprotect(packet)[12:] == PAYLOAD
    except pylibsrtp.Error:
        return False


@asynccontextmanager
async def node(directory: Path, calls: int) -> AsyncIterator[list[tuple[Telephone, Telephone]]]:
    """Calls through a media worker."""
    worker = await MediaWorker.start(
        index=0, address="127.0.0.1", announce="127.0.0.1", srtp_port=0, rtp_ports=(52000, 52999), timeout_s=3600,
        run_directory=directory, on_event=print,
    )  # fmt: skip
    try:
        async with exchange(worker, calls, directory / "certificate.pem") as (_, port, context):
            yield await calls_through_sip(port, context, calls, A_SUITE, B_SUITE)
    finally:
        await worker.stop()


@asynccontextmanager
async def rtpengine(directory: Path, calls: int, *flags: str) -> AsyncIterator[list[tuple[Telephone, Telephone]]]:
    """Calls through rtpengine."""
    daemon = Rtpengine(directory)
    try:
        yield daemon.calls(calls, A_SUITE, B_SUITE, flags)
    finally:
        daemon.stop()


SUBJECTS: dict[str, Callable[[Path, int], AbstractAsyncContextManager[list[tuple[Telephone, Telephone]]]]] = {
    "node": node,
    "rtpengine": rtpengine,
    "rtpengine, strict-source": lambda directory, calls: rtpengine(directory, calls, "strict-source"),
}
"""The node, rtpengine as it comes, and rtpengine told to stay with the source it has learnt."""


async def measure(subjects: list[str], packets: int, frames: int) -> dict[str, list[Outcome]]:
    """All attacks on each."""
    outcomes = {}
    with tempfile.TemporaryDirectory() as directory:
        for name in subjects:
            async with SUBJECTS[name](Path(directory), len(ATTACKS)) as pairs:
                outcomes[name] = [
                    carry_out(attack, a, b, packets, frames) for attack, (a, b) in zip(ATTACKS, pairs, strict=True)
                ]
    return outcomes


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 1 when the node relayed a forgery or sent media to the attacker."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packets", type=int, default=20_000, help="forgeries per attack")
    parser.add_argument("--frames", type=int, default=100, help="packets of audio each way during an attack, at least")
    parser.add_argument("--subjects", nargs="+", choices=list(SUBJECTS), default=list(SUBJECTS))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    outcomes = asyncio.run(measure(options.subjects, options.packets, options.frames))
    if options.json:
        print(json.dumps({name: [asdict(outcome) for outcome in rows] for name, rows in outcomes.items()}))
    else:
        print(
            f"| {options.packets} forgeries | "
            + " | ".join(f"{name}: relayed | diverted | lost" for name in outcomes)
            + " |"
        )
        print("|---" * (1 + 3 * len(outcomes)) + "|")
        for row in zip(*outcomes.values(), strict=True):
            cells = [f"{each.relayed} | {each.diverted} | {each.lost} of {each.spoken}" for each in row]
            print(f"| {row[0].attack} | {' | '.join(cells)} |")
    return int(any(outcome.relayed or outcome.diverted for outcome in outcomes.get("node", ())))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
