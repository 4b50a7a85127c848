"""baresip as a desk phone or a trunk: a process with a configuration of its own, driven over ctrl_tcp."""

from __future__ import annotations

import json
import random
import re
import socket
import subprocess
import time
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from callvoip.phones import PhoneError
from callvoip.process import die_with_parent, end

MODULES = "/usr/lib/baresip/modules"


def free_port() -> int:
    """A port on 127.0.0.1 that is free for UDP and TCP, and so is its successor: baresip listens for TLS one above its
    SIP port.

    It lies below the ports that the kernel gives to outgoing connections, so none of those takes it before it is used.
    """
    while True:
        port = random.randrange(21000, 32000, 2)  # noqa: S311 (any will do)
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                for number in (port, port + 1):
                    with socket.socket(type=kind) as probe:
                        probe.bind(("127.0.0.1", number))
        except OSError:
            continue
        return port


def write_tone(path: Path, samples: list[int]) -> None:
    """Samples (16 bit, 8 kHz, mono) as a WAV file, baresip's microphone.

    At its end baresip hangs up: let it outlast the call.
    """
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples))


@dataclass(frozen=True)
class Message:
    """A SIP message of a phone's trace, and the IP address it came from."""

    source: str
    text: str


class Baresip:
    """A running baresip. Leave its `with` block to end the process."""

    def __init__(
        self,
        directory: Path,
        *,
        account: str,
        microphone: Path,
        ca_file: Path | None = None,
        sip_port: int = 0,
        nameserver: str = "",
        host: str = "127.0.0.1",
        settings: Sequence[str] = (),
        contact: str = "",
    ) -> None:
        """`account` is a line of baresip's accounts file; `microphone` a WAV file; `ca_file` whom to trust over TLS;
        `nameserver` (HOST:PORT) whom to ask for names; `settings` further lines of its config file; `contact` whom its
        `message` writes to, a line of its contacts file.

        It listens on `sip_port` of `host` over UDP and TCP, on the next for TLS; 0 chooses a free pair.
        """
        directory.mkdir(parents=True)
        self.log = directory / "log"
        self.sip_port = sip_port or free_port()
        self._control_port = free_port()
        config = [
            f"sip_listen {host}:{self.sip_port}",
            f"audio_source aufile,{microphone}",
            "audio_player aufile,/dev/null",
            "audio_srate 8000-8000",
            "audio_channels 1-1",
            "rtp_stats yes",
            f"module_path {MODULES}",
            *(f"module {name}.so" for name in ("stdio", "g711", "aufile", "ausine", "srtp", "dtls_srtp")),
            "module_tmp uuid.so",
            "module_tmp account.so",
            "module_app menu.so",
            "module_app ctrl_tcp.so",
            f"ctrl_tcp_listen 127.0.0.1:{self._control_port}",
        ]
        config += settings
        if nameserver:
            config.append(f"dns_server {nameserver}")
        if ca_file is not None:
            config.append(f"sip_cafile {ca_file}")
        (directory / "config").write_text("\n".join(config) + "\n")
        (directory / "accounts").write_text(account + "\n")
        (directory / "contacts").write_text(f"{contact}\n" if contact else "")
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                ["baresip", "-4", "-v", "-s", "-f", directory],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent,
            )
        self._control = self._connect()
        self._received = b""
        self.events: list[dict[str, Any]] = []

    def __enter__(self) -> Baresip:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._control.close()
        end(self._process)

    def _connect(self) -> socket.socket:
        deadline = time.monotonic() + 10
        while True:
            try:
                return socket.create_connection(("127.0.0.1", self._control_port))
            except ConnectionRefusedError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise PhoneError(f"baresip did not start:\n{self.text()}") from None
                time.sleep(0.05)

    def command(self, command: str, params: str = "") -> str:
        """Send a command of baresip's menu (dial, hangup, callstat, hold, ...) and return what it answers."""
        message = json.dumps({"command": command, "params": params, "token": command}).encode()
        self._control.sendall(b"%d:%s," % (len(message), message))
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            for message_ in self._read(0.2):
                if message_.get("response") and message_.get("token") == command:
                    return str(message_.get("data") or "")
        raise PhoneError(f"baresip did not answer {command!r}:\n{self.text()}")

    def hear(self) -> None:
        """Take in the events that have come."""
        self._read(0.05)

    def _read(self, timeout: float) -> list[dict[str, Any]]:
        self._control.settimeout(timeout)
        try:
            self._received += self._control.recv(65536)
        except TimeoutError:
            return []
        messages = []
        # Netstrings: LENGTH:JSON,
        while match := re.match(rb"(\d+):", self._received):
            end = match.end() + int(match[1])
            if len(self._received) <= end:
                break
            message = json.loads(self._received[match.end() : end])
            self._received = self._received[end + 1 :]
            messages.append(message)
            if message.get("event"):
                self.events.append(message)
        return messages

    def wait_for(self, event: str, *, timeout: float = 15) -> dict[str, Any]:
        """Wait for an event by its type (REGISTER_OK, CALL_ESTABLISHED, CALL_CLOSED, ...), past ones included."""
        deadline = time.monotonic() + timeout
        while True:
            for seen in self.events:
                if seen["type"] == event:
                    return seen
            if event == "REGISTER_OK" and re.search(r"200 OK \(\) \[\d+ binding", self.text()):
                return {"type": event}  # it may have registered before the control connection stood
            if time.monotonic() > deadline:
                raise PhoneError(
                    f"baresip saw no {event} but {[e['type'] for e in self.events]}:\n{self.text()[-6000:]}"
                )
            self._read(0.2)

    def wait_for_text(self, pattern: str, *, timeout: float = 15) -> str:
        """Wait until what was printed matches; all of it. For what ctrl_tcp tells no event of."""
        deadline = time.monotonic() + timeout
        while not re.search(pattern, self.text()):
            if time.monotonic() > deadline:
                raise PhoneError(f"baresip did not print {pattern!r}:\n{self.text()[-6000:]}")
            time.sleep(0.05)
        return self.text()

    def packets(self, least: int = 0) -> tuple[int, int]:
        """RTP packets sent and received in the last call that ended, as baresip counted them. It prints that a little after
        the call has closed: more than `least` of both are waited for.
        """
        deadline = time.monotonic() + 5
        while True:
            counts = re.findall(r"^packets:\s+(\d+)\s+(\d+)", self.text(), re.MULTILINE)
            last = (int(counts[-1][0]), int(counts[-1][1])) if counts else (0, 0)
            if counts and (min(last) > least or not least or time.monotonic() > deadline):
                return last
            if time.monotonic() > deadline:
                raise PhoneError(f"no call has ended yet:\n{self.text()[-3000:]}")
            time.sleep(0.05)

    def messages(self) -> list[Message]:
        """All SIP messages so far, as the trace shows them."""
        # Each begins with a line "#" in colour, then "PROTOCOL source -> destination", and ends where the colour does.
        found = re.findall(r"#\n\w+ (\S+):\d+ -> \S+\n(.*?)\x1b\[;m", self.text(), re.DOTALL)
        return [Message(*groups) for groups in found]

    def text(self) -> str:
        """Everything the program printed, its SIP trace included."""
        return self.log.read_text(errors="replace")


def talk(caller: Baresip, callee: Baresip, seconds: float = 3) -> None:
    """Let a call that was dialled come about and run, and end it from the caller's side."""
    for phone in (caller, callee):
        phone.wait_for("CALL_ESTABLISHED")
    time.sleep(seconds)
    caller.command("hangup")
    for phone in (caller, callee):
        phone.wait_for("CALL_CLOSED")
