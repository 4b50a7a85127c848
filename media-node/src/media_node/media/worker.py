"""A media worker: the process that relays, and the Unix socket over which call/ tells it what (worker_link/protocol.py is the
vocabulary).

One thread, no asyncio. It connects to the socket once its ports are open, and ends when that connection does.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import ipaddress
import json
import logging
import random
import select
import signal
import socket
import sys
import time
from typing import Any

from media_node.media.leg import Leg
from media_node.media.port import BATCH, Port, open_pair
from media_node.media.relay import Relay
from media_node.media.routes import ReceivingSocket
from media_node.media.srtp import SrtpError
from media_node.suites import Suite
from media_node.worker_link import protocol

FURTHER_PORTS = 2
"""How far above the SRTP ports of calls' first streams those of further ones are."""

TICK_S = 0.25
GATHER_S = 0.0008
"""Seconds from one batch to the next while there is traffic: packets gather, and with the batch itself wait less than a
millisecond.
"""

ROUNDS = 8
"""Full batches taken from one port before the others have their turn."""

PR_SET_PDEATHSIG = 1
PR_SET_TIMERSLACK = 29
EPHEMERAL_TRIES = 200


def open_srtp_pairs(addresses: list[str], port: int) -> dict[int, tuple[Port, Port]]:
    """The SRTP and SRTCP ports by address family, the same numbers on each address; any free even pair when `port` is
    0.

    Raises OSError when taken.
    """
    numbers = [port] if port else [random.randrange(20000, 60000, 2) for _ in range(EPHEMERAL_TRIES)]  # noqa: S311
    for number in numbers:
        pairs: dict[int, tuple[Port, Port]] = {}
        try:
            for address in addresses:
                pairs[ipaddress.ip_address(address).version] = open_pair(address, [number])
        except OSError:
            for pair in pairs.values():
                for each in pair:
                    each.close()
            if number == numbers[-1]:
                raise
            continue
        return pairs
    raise AssertionError("numbers is never empty")


class Worker:
    """The relay with its clock, its sockets and its orders."""

    def __init__(
        self,
        control: socket.socket,
        *,
        addresses: list[str],
        announce: list[str],
        srtp_port: int,
        rtp_ports: range,
        timeout_s: float,
        gather_s: float,
        suites: tuple[Suite, ...],
    ) -> None:
        self._control = control
        self._by_family = {ipaddress.ip_address(address).version: address for address in addresses}
        self._announce = {
            ipaddress.ip_address(address).version: name for address, name in zip(addresses, announce, strict=True)
        }
        self._rtp_ports = rtp_ports
        self._next_port = 0
        self._gather_s = gather_s
        self._pending = b""
        self._epoll = select.epoll()
        self._epoll.register(control.fileno(), select.EPOLLIN)
        further_port = srtp_port + FURTHER_PORTS if srtp_port else 0
        self._relay = Relay(
            open_srtp_pairs(addresses, srtp_port),
            open_srtp_pairs(addresses, further_port),
            self._open_pair,
            timeout_s,
            suites,
        )
        for fd in self._relay.sockets:
            self._epoll.register(fd, select.EPOLLIN)

    def _open_pair(self, family: int) -> tuple[Port, Port]:
        """The next free pair of the range, round and round, so that a port just freed rests before another call has
        it.
        """
        if family not in self._by_family:
            raise ValueError(f"this worker has no IPv{family} address")
        span = len(self._rtp_ports)
        pair = open_pair(self._by_family[family], [self._rtp_ports[(self._next_port + i) % span] for i in range(span)])
        self._next_port = (self._rtp_ports.index(pair[0].number) + 1) % span
        return pair

    def run(self) -> None:
        """Relay until the control connection ends."""
        control, sockets = self._control.fileno(), self._relay.sockets
        next_tick = now = time.monotonic()
        busy = False
        while True:
            if busy and (rest := now + self._gather_s - time.monotonic()) > 0:
                time.sleep(rest)
            ready = self._epoll.poll(0 if busy else max(0.0, next_tick - time.monotonic()))
            now = time.monotonic()
            busy = False
            for fd, _ in ready:
                if fd == control:
                    if not self._obey():
                        return
                elif (receiving := sockets.get(fd)) is not None:
                    self._drain(receiving)
                    busy = True
            if now >= next_tick:
                next_tick = now + TICK_S
                for call, leg in self._relay.tick(now, time.time()):
                    self._say({"event": "timeout", "call": call, "leg": leg})

    def _drain(self, receiving: ReceivingSocket) -> None:
        for _ in range(ROUNDS):
            if self._relay.serve(receiving, time.monotonic(), time.time()) < BATCH:
                return

    # Orders

    def _obey(self) -> bool:
        """Carry out the requests that have come in; False when there will be no more."""
        data = self._control.recv(1 << 16)
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            request = json.loads(line)
            try:
                self._say({"id": request["id"], "result": self._answer(request)})
            except (ValueError, LookupError, TypeError, OSError, SrtpError) as error:
                self._say({"id": request["id"], "error": str(error)})
        return bool(data)

    def _say(self, message: dict[str, Any]) -> None:
        self._control.sendall(json.dumps(message).encode() + b"\n")

    def _answer(self, request: dict[str, Any]) -> Any:
        now = time.monotonic()
        match request["op"]:
            case "open":
                legs = self._relay.open(
                    request["call"],
                    request["secure"],
                    request.get("families") or {},
                    now,
                    further=request.get("further", False),
                )
                for receiving in self._relay.calls[request["call"]].sockets:
                    self._epoll.register(receiving.port.fd, select.EPOLLIN)
                return {side: protocol.encode(self._local(leg)) for side, leg in legs.items()}
            case "reopen":
                leg, before = self._relay.reopen(request["call"], request["leg"], request["secure"], now)
                for receiving in self._relay.calls[request["call"]].sockets:
                    if receiving.leg is leg:
                        self._epoll.register(receiving.port.fd, select.EPOLLIN)
                return {"local": protocol.encode(self._local(leg)), "before": protocol.encode(before)}
            case "move":
                before = self._relay.move(request["call"], request["leg"], request["to"], request["to_leg"], now)
                return protocol.encode(before)
            case "set":
                self._relay.set(request["call"], request["leg"], protocol.decode_leg(request["remote"]), now)
                return {}
            case "stats":
                return {side: protocol.encode(stats) for side, stats in self._relay.stats(request["call"], now).items()}
            case "close":  # closed sockets leave the epoll set by themselves
                closed = self._relay.close(request["call"], now)
                return {side: protocol.encode(stats) for side, stats in closed.items()}
            case "load":
                return protocol.encode(self._relay.load())
            case op:
                raise ValueError(f"no operation {op}")

    def _local(self, leg: Leg) -> protocol.LocalTransport:
        return protocol.LocalTransport(
            address=self._announce[leg.rtp.family],
            rtp_port=leg.rtp.number,
            rtcp_port=leg.rtcp.number,
            fingerprint=self._relay.identity.fingerprint if leg.secure else "",
        )


def prepare_process() -> None:
    """Have the kernel end this process when its parent ends, however that goes, and wake it from its naps to the
    microsecond.
    """
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    libc.prctl(PR_SET_TIMERSLACK, 1000)


def parse_ports(text: str) -> range:
    """Even ports from "A-B", both ends included. Raises ValueError."""
    first, last = (int(part) for part in text.split("-"))
    if not 0 < first < last < 65536:
        raise ValueError(f"not a range of ports: {text}")
    return range(first + first % 2, last, 2)


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="media-worker", description="Relay SRTP and RTP as told over a Unix socket.")
    parser.add_argument("--socket", required=True, help="Unix socket to connect to")
    parser.add_argument("--address", required=True, help="address to bind; one of each family, separated by a comma")
    parser.add_argument("--announce", help="address to announce for each, when another than it binds to")
    parser.add_argument(
        "--srtp-port",
        type=int,
        required=True,
        help="SRTP port, even, and the next three: SRTCP, and both for further streams; 0 for any",
    )
    parser.add_argument("--rtp-ports", type=parse_ports, required=True, help="FIRST-LAST, for plain RTP legs")
    parser.add_argument("--timeout", type=float, required=True, help="seconds a leg may be unheard")
    parser.add_argument("--gather", type=float, default=GATHER_S, help="seconds packets may gather into a batch")
    parser.add_argument(
        "--suites",
        type=lambda names: tuple(map(Suite, names.split(","))),
        default=tuple(Suite),
        help="SRTP suites a DTLS handshake may choose, the preferred first, separated by commas",
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run a worker; 0 when its parent let it go."""
    prepare_process()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s media-worker %(message)s")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    options = arguments(argv)
    addresses = options.address.split(",")
    control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        worker = Worker(
            control,
            addresses=addresses,
            announce=(options.announce or options.address).split(","),
            srtp_port=options.srtp_port,
            rtp_ports=options.rtp_ports,
            timeout_s=options.timeout,
            gather_s=options.gather,
            suites=options.suites,
        )
    except OSError as error:
        logging.error("no ports: %s", error)
        return 1
    control.connect(options.socket)
    # Nothing here makes reference cycles that live; a collection would only delay packets.
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        worker.run()
    except (ConnectionError, BrokenPipeError):
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
