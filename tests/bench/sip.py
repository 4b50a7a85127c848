"""Registrations per second of processor time, and memory of a registered phone, beside Kamailio in one run.

    python tests/bench/sip.py [--registrations 500] [--rate 250] [--rounds 5] [--phones 5000] [--calls 150] [--json]

Both end TLS themselves with the same certificate, ask for the same digest (MD5, which is what sipp can), keep the contact in
memory, and answer a 401 and a 200. sipp speaks TCP to a stunnel that speaks TLS to either, in short rounds by turns, so that what
else the machine does bears on both alike. `per_cpu_second` counts all of a server's own processes, in nanoseconds of the
scheduler; `ratio` is ours to Kamailio's in the two rounds beside each other. Each figure is the median, with the least and the
most of its rounds. `phone_kb` is the growth of their proportional memory by a phone over a TLS connection of its own, `mb` all
of it then. `calls_per_cpu_second` is the node's alone, as Kamailio relays no call: INVITE to BYE between two phones over TLS with
keys for both legs, a real media worker, the signalling's process counted.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench.calls import calls_per_cpu_second, processor_seconds
from tests.bench.edge_wire import DOMAIN, PASSWORD, WirePhone, trusting, username

SUBJECTS = ("node", "kamailio")
ACCOUNTS = 2000
_AT_ONCE = 60
"""Registrations that sipp has under way at most: the node takes 120 messages of a stranger's connection at once, and each round's
connection is a stranger's until its first password."""
_KAMAILIO = """#!KAMAILIO
debug=0
log_stderror=no
fork=yes
children=1
tcp_children=1
auto_aliases=no
enable_tls=yes
tcp_connection_lifetime=3605
tcp_max_connections=20000
tls_max_connections=20000
listen=tls:127.0.0.1:{port}
mpath="/usr/lib/x86_64-linux-gnu/kamailio/modules/"
loadmodule "tls.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "tm.so"
loadmodule "siputils.so"
loadmodule "textops.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
modparam("tls", "private_key", "{certificate}")
modparam("tls", "certificate", "{certificate}")
modparam("tls", "tls_method", "TLSv1.2+")
modparam("usrloc", "db_mode", 0)
modparam("registrar", "max_expires", 300)
modparam("auth", "nonce_expire", 300)
request_route {{
    if (is_method("REGISTER")) {{
        if (!pv_www_authenticate("{domain}", "{password}", "0")) {{
            www_challenge("{domain}", "1");
            exit;
        }}
        save("location");
        exit;
    }}
    sl_send_reply("200", "OK");
}}
"""
_STUNNEL = """foreground = yes
debug = 0
pid =
client = yes
[sip]
accept = 127.0.0.1:{front}
connect = 127.0.0.1:{port}
TIMEOUTclose = 0
"""
_SCENARIO = """<?xml version="1.0" encoding="ISO-8859-1" ?>
<!DOCTYPE scenario SYSTEM "sipp.dtd">
<scenario name="register">
  <send retrans="500"><![CDATA[{request}]]></send>
  <recv response="401" auth="true" rtd="true"></recv>
  <send retrans="500"><![CDATA[{authorised}]]></send>
  <recv response="200"></recv>
</scenario>
"""
_REGISTER = """
REGISTER sip:{domain} SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport
Max-Forwards: 70
From: <sip:[field0]@{domain}>;tag=[call_number]
To: <sip:[field0]@{domain}>
Call-ID: [call_id]
CSeq: {sequence} REGISTER
Contact: <sip:[field0]@[local_ip]:[local_port];transport=[transport]>
User-Agent: baresip v1.0.0 (x86_64/linux)
Expires: 300
{authentication}Content-Length: 0

"""


@dataclass
class Subject:
    """A server under load."""

    name: str
    pid: int
    port: int

    @property
    def pids(self) -> list[int]:
        """It and its children."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [self.pid, *map(int, children)]

    @property
    def cpu(self) -> float:
        """Seconds of processor time."""
        return sum(map(processor_seconds, self.pids))

    @property
    def memory(self) -> float:
        """Proportional set size in kB: what its processes share is counted once."""
        total = 0
        for pid in self.pids:
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        return total


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    """Waits until somebody listens. Raises TimeoutError."""
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise TimeoutError(f"nobody listens on {port}")


@contextlib.contextmanager
def node(accounts: int, directory: Path) -> Iterator[Subject]:
    """The node's signalling in a process of its own."""
    certificate = directory / "certificate.pem"
    served = Path(__file__).with_name("served.py")
    process = subprocess.Popen(
        [sys.executable, served, str(accounts), certificate, "--log"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin and process.stdout
    try:
        yield Subject("node", process.pid, int(process.stdout.readline()))
    finally:
        process.stdin.close()
        process.wait(20)


@contextlib.contextmanager
def kamailio(directory: Path) -> Iterator[Subject]:
    """Debian's Kamailio as a registrar in memory, with one process for TCP."""
    port = free_port()
    settings = directory / "kamailio.cfg"
    certificate = directory / "certificate.pem"
    settings.write_text(_KAMAILIO.format(port=port, certificate=certificate, domain=DOMAIN, password=PASSWORD))
    command = ["kamailio", "-f", str(settings), "-DD", "-m", "512", "-M", "64", "-Y", str(directory)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        yield Subject("kamailio", process.pid, port)
    finally:
        process.terminate()
        process.wait(20)


@contextlib.contextmanager
def front(subject: Subject, directory: Path) -> Iterator[int]:
    """stunnel before a subject: takes TCP, speaks TLS; its port."""
    port = free_port()
    settings = directory / f"stunnel-{subject.name}.conf"
    settings.write_text(_STUNNEL.format(front=port, port=subject.port))
    process = subprocess.Popen(["stunnel4", str(settings)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def scenario(directory: Path) -> list[str]:
    """sipp's scenario and accounts, as its options."""
    asks = _REGISTER.format(domain=DOMAIN, sequence=1, authentication="")
    shows = _REGISTER.format(domain=DOMAIN, sequence=2, authentication="[field1]\n")
    file, accounts = directory / "register.xml", directory / "accounts.csv"
    file.write_text(_SCENARIO.format(request=asks, authorised=shows))
    lines = (
        f"{username(number)};[authentication username={username(number)} password={PASSWORD}]"
        for number in range(ACCOUNTS)
    )
    accounts.write_text("SEQUENTIAL\n" + "\n".join(lines) + "\n")
    return ["-sf", str(file), "-inf", str(accounts)]


def register(subject: Subject, port: int, options: list[str], number: int, rate: int) -> float:
    """Registrations per second of the subject's processor time. Raises RuntimeError when some failed."""
    before = subject.cpu
    command = [
        *("sipp", f"127.0.0.1:{port}", *options, "-t", "t1", "-r", str(rate), "-m", str(number), "-l", str(_AT_ONCE)),
        *("-auth_uri", DOMAIN, "-nostdin", "-timeout", "120", "-timeout_error"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", cwd=Path(options[1]).parent)
    if done.returncode:
        raise RuntimeError(f"sipp against {subject.name}: {done.returncode}\n{done.stdout[-1500:]}{done.stderr[-500:]}")
    return number / (subject.cpu - before)


@dataclass(frozen=True)
class Spread:
    """The median of some rounds, and the least and the most."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, rounds: list[float], digits: int | None = None) -> Spread:
        """Of these rounds."""
        return cls(*(round(each, digits) for each in (statistics.median(rounds), min(rounds), max(rounds))))

    def __str__(self) -> str:
        return f"{self.median} ({self.least} to {self.most})"


def registered(subject: Subject, number: int) -> dict[str, float]:
    """How much memory registered phones cost: each, and the server's in all."""
    context = trusting()
    phones = [WirePhone(each, subject.port, "127.0.0.1", context) for each in range(number)]
    before = subject.memory
    for phone in phones:
        phone.connect()
        phone.register("MD5")
    time.sleep(3)
    after = subject.memory
    for phone in phones:
        phone.socket.close()
    return {"phone_kb": round((after - before) / number, 1), "mb": round(after / 1024)}


def main(arguments: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="dev bench sip", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--registrations", type=int, default=500, help="a round")
    parser.add_argument("--rate", type=int, default=250, help="registrations a second")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--phones", type=int, default=5000, help="phones whose memory is measured; 0 for none")
    parser.add_argument("--calls", type=int, default=150, help="calls a round, by the node alone; 0 for none")
    parser.add_argument("--call-rate", type=int, default=50, help="calls a second")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args(arguments)
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as running:
        directory = Path(name)
        subjects = [running.enter_context(node(max(ACCOUNTS, options.phones), directory))]
        subjects.append(running.enter_context(kamailio(directory)))
        ports = {each.name: running.enter_context(front(each, directory)) for each in subjects}
        sipp = scenario(directory)
        rounds: dict[str, list[float]] = {each.name: [] for each in subjects}
        for each in subjects:
            register(
                each, ports[each.name], sipp, options.rate, options.rate
            )  # whatever is made at the first of a kind
        for _ in range(options.rounds):
            for each in subjects:
                rounds[each.name].append(register(each, ports[each.name], sipp, options.registrations, options.rate))
        for each in subjects:
            figures[each.name] = {"per_cpu_second": Spread.of(rounds[each.name])}
        figures["ratio"] = Spread.of([ours / theirs for ours, theirs in zip(*rounds.values(), strict=True)], 3)
        for each in subjects if options.phones else ():
            figures[each.name] |= registered(each, options.phones)
    if options.calls:
        made = asyncio.run(calls_per_cpu_second(options.calls, options.call_rate, options.rounds))
        figures["node"]["calls_per_cpu_second"] = Spread.of(made)
    figures["load"] = round(os.getloadavg()[0], 1)
    if options.json:
        print(json.dumps(figures, default=asdict))
        return 0
    for subject in SUBJECTS:
        print(f"{subject:10}", ", ".join(f"{key} {value}" for key, value in figures[subject].items()))
    print(f"ratio {figures['ratio']} (aim: at least 0.33); load of the machine {figures['load']}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
