"""What tshark read off the wire, its TLS opened with the node's keys: its own findings, and the SIP messages as they stood."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final

from tests.support.sip_sanity import Said, faults, split

_KNOWN: Final = frozenset({"sip", "sdp", "rtp", "rtcp", "tls"})
_EXPERT: Final = "_ws.expert.severity >= warning && (sip || sdp || rtp || rtcp) && !tcp.analysis.flags"


@dataclass(frozen=True)
class Reading:
    """`counts` of packets by protocol; `faults` are tshark's expert findings (warnings and errors in SIP, SDP, RTP and RTCP)
    and what sip_sanity.py found.
    """

    counts: Counter[str]
    faults: list[str]
    messages: list[Said]

    def requests(self) -> Counter[str]:
        """How often each method was asked for, by anybody."""
        return Counter(each.method for each in self.messages if not each.code)


def read(file: Path, node: str, keys: Path, tcp_ports: Sequence[int] = ()) -> Reading:
    """Reads a capture; `node` is the node's address, `tcp_ports` are where SIP was spoken over TCP without TLS."""
    base = ["tshark", "-n", "-r", str(file), "-o", f"tls.keylog_file:{keys}"]
    base += [f"-dtcp.port=={port},sip" for port in tcp_ports]
    counts: Counter[str] = Counter()
    streams: dict[int, str] = {}
    messages: list[Said] = []
    fields = ("frame.protocols", "tcp.stream", "ip.src", "udp.srcport", "udp.dstport", "udp.payload")
    for line in _run([*base, "-T", "fields", *(f"-e{name}" for name in fields)]):
        stack, stream, source, _, _, payload = line.split("\t")
        protocols = set(stack.split(":"))
        counts.update(protocols & _KNOWN)
        if "sip" in protocols and stream:
            streams[int(stream)] = "tls" if "tls" in protocols else "tcp"
        elif "sip" in protocols:
            messages.append(Said(bytes.fromhex(payload), source == node, "udp"))
    follow = [word for number, kind in streams.items() for word in ("-z", f"follow,{kind},raw,{number}")]
    if follow:
        # tshark tells of them in an order of its own.
        messages += sorted(_followed(_run([*base, "-q", *follow]), node), key=lambda said: int(said.link))
    expert = ("frame.number", "_ws.col.Protocol", "_ws.expert.message", "_ws.col.Info")
    found = _run([*base, "-Y", _EXPERT, "-T", "fields", *(f"-e{name}" for name in expert)])
    return Reading(counts, [*found, *faults(messages)], messages)


def _followed(lines: list[str], node: str) -> Iterator[Said]:
    """tshark's `follow`: the octets of node 1 are indented by a tab, those of node 0 are not."""
    link, first_is_node = "", False
    for said, group in groupby(lines, lambda line: re.match(r"\t?[0-9a-f]+$", line) and line.startswith("\t")):
        if said is None:
            for line in group:
                if found := re.match(r"Filter: tcp.stream eq (\d+)", line):
                    link = found[1]
                elif found := re.match(r"Node 0: (.*):\d+$", line):
                    first_is_node = found[1] == node
            continue
        spoken = b"".join(bytes.fromhex(line.strip()) for line in group)
        for raw in split(spoken):
            yield Said(raw, said != first_is_node, link)


def _run(command: list[str]) -> list[str]:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
