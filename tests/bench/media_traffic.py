"""The telephones of the media benchmark: a socket each, packets encrypted beforehand, sent on time, their arrival timed
by the kernel.
"""

from __future__ import annotations

import array
import ctypes
import gc
import resource
import select
import socket
import statistics
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pylibsrtp

from media_node.suites import Suite

PROFILES = {
    Suite.AES_CM_128_HMAC_SHA1_80: pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    Suite.AES_CM_128_HMAC_SHA1_32: pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
}
FRAME_S = 0.02
TICKS = 100
"""Parts of a frame: the calls' packets are spread evenly over it, as those of independent callers are."""

SO_TIMESTAMPNS = 35
PR_SET_TIMERSLACK = 29
PAYLOAD = bytes(range(160))
WARM_UP_S = 0.4
DRAIN_S = 0.1


class Telephone:
    """One end of a call: a connected socket and its SRTP keys; None when the path under test does no crypto."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 0))
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.port: int = self.socket.getsockname()[1]
        self.ssrc = self.port
        self.sequence = 1000
        self.outbound: pylibsrtp.Session | None = None
        self.inbound: pylibsrtp.Session | None = None

    def secure(self, suite: Suite, send_key: bytes, receive_key: bytes) -> None:
        """Take the keys the signalling agreed on."""
        policy, profile = pylibsrtp.Policy, PROFILES[suite]
        self.outbound = pylibsrtp.Session(
            policy(key=send_key, ssrc_type=policy.SSRC_ANY_OUTBOUND, srtp_profile=profile)
        )
        self.inbound = pylibsrtp.Session(
            policy(key=receive_key, ssrc_type=policy.SSRC_ANY_INBOUND, srtp_profile=profile)
        )

    def next(self) -> bytes:
        """The next packet of 20 ms, encrypted."""
        header = struct.pack(">BBHII", 0x80, 8, self.sequence & 0xFFFF, self.sequence * 160 & 0xFFFFFFFF, self.ssrc)
        self.sequence += 1
        packet = header + PAYLOAD
        return packet if self.outbound is None else self.outbound.protect(packet)

    def verify(self, packet: bytes) -> bool:
        """Whether what came out is what went in, under this telephone's key."""
        try:
            plain = packet if self.inbound is None else self.inbound.unprotect(packet)
        except pylibsrtp.Error:
            return False
        return plain[12:] == PAYLOAD


@dataclass
class Way:
    """One direction of one call, and what was seen of it in the current run."""

    sender: Telephone
    receiver: Telephone
    first_out: int | None = None
    """Outward sequence number of the packet with index 0; the relay may number as it likes, but on end."""

    queue: list[bytes] = field(default_factory=list)
    sent_at: array.array[int] = field(default_factory=lambda: array.array("q"))
    received: int = 0
    last: bytes = b""


@dataclass(frozen=True)
class Run:
    """One measured run of one subject.

    Times in microseconds; CPU is of the subject's processes only, `generator_cpu` of this one.
    """

    packets: int
    lost: int
    invalid: int
    cpu_user_us: float
    cpu_system_us: float
    cpu_us: float
    generator_cpu: float
    late_us: float
    latencies: list[float]

    def percentile(self, share: float) -> float:
        """Latency that `share` of the packets stayed within."""
        return (
            self.latencies[min(len(self.latencies) - 1, int(share * len(self.latencies)))]
            if self.latencies
            else float("nan")
        )


def cpu_seconds(pids: Iterable[int]) -> tuple[float, float]:
    """User and system seconds of all threads of these processes; the sum is exact to the nanosecond, the split by the
    kernel's ticks.
    """
    total = user = system = 0.0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0]) / 1e9
            fields = (task / "stat").read_text().rsplit(")", 1)[1].split()
            user, system = user + int(fields[11]), system + int(fields[12])
    share = user / (user + system) if user + system else 0.5
    return total * share, total * (1 - share)


def resident_bytes(pids: Iterable[int]) -> int:
    """Memory these processes have in use."""
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids) * resource.getpagesize()


class Traffic:
    """All calls through one subject."""

    def __init__(self, calls: list[tuple[Telephone, Telephone]]) -> None:
        self._ways = [way for a, b in calls for way in (Way(a, b), Way(b, a))]
        self._by_fd = {way.receiver.socket.fileno(): way for way in self._ways}
        self._epoll = select.epoll()
        for fd in self._by_fd:
            self._epoll.register(fd, select.EPOLLIN)

    def acquaint(self) -> None:
        """A few packets each way, one at a time, so that every path stands and its outward numbering is known."""
        for _ in range(5):
            for way in self._ways:
                index = way.sender.sequence - 1000
                way.sender.socket.send(way.sender.next())
                if way.first_out is not None:
                    continue
                deadline = time.monotonic() + 0.05
                while time.monotonic() < deadline:
                    try:
                        packet = way.receiver.socket.recv(2048)
                    except BlockingIOError:
                        time.sleep(0.0002)
                        continue
                    way.first_out = int.from_bytes(packet[2:4], "big") - index & 0xFFFF
                    break
            time.sleep(0.02)
        time.sleep(DRAIN_S)
        self._discard()
        deaf = sum(way.first_out is None for way in self._ways)
        if deaf:
            raise RuntimeError(f"{deaf} of {len(self._ways)} directions carry nothing")

    def _discard(self) -> None:
        for way in self._ways:
            try:
                while way.receiver.socket.recv(2048):
                    pass
            except BlockingIOError:
                pass

    def run(self, seconds: float, pids: list[int]) -> Run:
        """Let all telephones talk for `seconds` and measure; a short warm-up goes before and is not counted."""
        self._discard()
        warm_up, frames = round(WARM_UP_S / FRAME_S), round(seconds / FRAME_S)
        for way in self._ways:
            way.queue = [way.sender.next() for _ in range(warm_up + frames)]
            way.sent_at = array.array("q")
            way.received = 0
        buckets: list[list[Way]] = [[] for _ in range(TICKS)]
        for number, way in enumerate(self._ways):
            buckets[number * 37 % TICKS].append(way)
        first_index = {id(way): way.sender.sequence - 1000 - warm_up - frames for way in self._ways}
        latencies: list[int] = []
        late: list[float] = []
        counting_from = warm_up * TICKS
        gc.collect()
        gc.disable()
        ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1000)
        before = own = (0.0, 0.0)
        start = time.perf_counter() + 0.01
        try:
            for tick in range((warm_up + frames) * TICKS):
                if tick == counting_from:
                    before, own = cpu_seconds(pids), (time.process_time(), time.perf_counter())
                self._receive(latencies, first_index)
                wait = start + tick * (FRAME_S / TICKS) - time.perf_counter()
                late.append(max(0.0, -wait))
                if wait > 0:
                    time.sleep(wait)
                frame = tick // TICKS
                for way in buckets[tick % TICKS]:
                    way.sent_at.append(time.time_ns())
                    way.sender.socket.send(way.queue[frame])
            after, own_after = cpu_seconds(pids), (time.process_time(), time.perf_counter())
            deadline = time.perf_counter() + DRAIN_S
            while time.perf_counter() < deadline:
                self._receive(latencies, first_index)
                time.sleep(0.001)
        finally:
            gc.enable()
        sent = len(self._ways) * (warm_up + frames)
        packets = len(self._ways) * frames
        user, system = (1e6 * (now - then) / packets for now, then in zip(after, before, strict=True))
        return Run(
            packets=packets,
            lost=sent - sum(way.received for way in self._ways),
            invalid=sum(not way.receiver.verify(way.last) for way in self._ways),
            cpu_user_us=user,
            cpu_system_us=system,
            cpu_us=user + system,
            generator_cpu=(own_after[0] - own[0]) / (own_after[1] - own[1]),
            late_us=1e6 * statistics.quantiles(late, n=100)[98],
            latencies=sorted(latency / 1000 for latency in latencies),
        )

    def _receive(self, latencies: list[int], first_index: dict[int, int]) -> None:
        for fd, _ in self._epoll.poll(0):
            way = self._by_fd[fd]
            try:
                while True:
                    packet, ancillary, _, _ = way.receiver.socket.recvmsg(2048, 64)
                    if packet[1] & 0x7F != 8:
                        continue  # a report
                    arrived = struct.unpack("qq", ancillary[0][2])
                    index = (int.from_bytes(packet[2:4], "big") - (way.first_out or 0) - first_index[id(way)]) & 0xFFFF
                    way.received += 1
                    way.last = packet
                    if index < len(way.sent_at):
                        latencies.append(arrived[0] * 1_000_000_000 + arrived[1] - way.sent_at[index])
            except BlockingIOError:
                pass
