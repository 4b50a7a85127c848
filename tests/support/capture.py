"""What an eavesdropper on the wire sees: UDP payloads between the node's media ports and the phones, taken with
tshark.
"""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from callvoip.process import die_with_parent


@dataclass(frozen=True)
class Datagram:
    """One captured UDP packet."""

    source: str
    source_port: int
    destination: str
    destination_port: int
    payload: bytes

    @property
    def is_rtp(self) -> bool:
        """RTP rather than RTCP or something else, by version and payload type (RFC 5761 section 4)."""
        return len(self.payload) > 12 and self.payload[0] >> 6 == 2 and not 64 <= self.payload[1] & 0x7F <= 95


class Capture:
    """A capture on loopback that runs until its `with` block ends; `datagrams` then holds what was seen."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.datagrams: list[Datagram] = []

    def read(self) -> None:
        fields = ["ip.src", "udp.srcport", "ip.dst", "udp.dstport", "udp.payload"]
        output = subprocess.run(
            ["tshark", "-n", "-r", self._file, "-T", "fields", *(f"-e{field}" for field in fields)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for line in output.splitlines():
            source, source_port, destination, destination_port, payload = line.split("\t")
            self.datagrams.append(
                Datagram(source, int(source_port), destination, int(destination_port), bytes.fromhex(payload))
            )


@contextmanager
def capture(host: str, file: Path) -> Iterator[Capture]:
    """Capture all UDP from and to `host` on loopback."""
    with recording(f"udp and host {host}", file):
        seen = Capture(file)
        yield seen
    seen.read()


@contextmanager
def recording(what: str, file: Path) -> Iterator[None]:
    """Write what a capture filter lets through on loopback into a file."""
    process = subprocess.Popen(
        ["tshark", "-n", "-q", "-i", "lo", "-f", what, "-w", file],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=die_with_parent,
    )
    assert process.stderr
    try:
        # tshark says so when it listens; a packet sent earlier would be missed.
        for line in process.stderr:
            if "Capturing on" in line:
                break
        deadline = time.monotonic() + 10
        while not file.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)


def protocol_errors(file: Path, sip_port: int) -> tuple[dict[str, int], list[str]]:
    """What tshark's own reading of a capture says: how many packets of each protocol it knew, and its expert's errors and
    warnings in SIP, SDP, RTP and RTCP; `sip_port` is where SIP over TCP was spoken.
    """
    base = ["tshark", "-n", "-r", str(file), "-d", f"tcp.port=={sip_port},sip"]

    def seen(display: str, *fields: str) -> list[str]:
        command = [*base, "-Y", display, "-T", "fields", *(f"-e{field}" for field in fields)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    counts = {name: len(seen(name, "frame.number")) for name in ("sip", "sdp", "rtp", "rtcp")}
    faults = seen(
        "_ws.expert.severity >= warning && (sip || sdp || rtp || rtcp) && !tcp.analysis.flags",
        "frame.number",
        "_ws.col.Protocol",
        "_ws.expert.message",
        "_ws.col.Info",
    )
    return counts, faults


def likeness(payload: bytes, spoken: bytes) -> float:
    """The largest share of octets that `payload` has in common with any stretch of the periodic G.711 in `spoken` (0 to
    1).

    What is random shares about one octet in 256; the same speech under another alignment shares all.
    """
    if not payload or len(spoken) < len(payload):
        raise ValueError("likeness needs a payload and at least as much of what was spoken")
    starts = range(min(len(spoken) - len(payload) + 1, 400))
    return max(
        sum(a == b for a, b in zip(payload, spoken[start : start + len(payload)], strict=True)) for start in starts
    ) / len(payload)
