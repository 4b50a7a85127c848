"""sipp as a desk phone: scenarios over TCP, and stunnel before the node, as Debian's sipp speaks no TLS."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from callvoip.phones.baresip import free_port
from callvoip.process import die_with_parent, end
from tests.support.node import DOMAIN, TestAccount

_STUNNEL = """foreground = yes
debug = 0
pid =
client = yes
[sip]
accept = 127.0.0.1:{front}
connect = {host}:5061
TIMEOUTclose = 0
"""


@contextlib.contextmanager
def front(host: str, directory: Path) -> Iterator[int]:
    """stunnel before a node: takes TCP, speaks TLS; its port."""
    port, settings = free_port(), directory / "stunnel.conf"
    settings.write_text(_STUNNEL.format(front=port, host=host))
    process = subprocess.Popen(
        ["stunnel4", str(settings)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=die_with_parent,
    )
    try:
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < deadline, "stunnel does not start"
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(20)


KEY: Final = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"


def audio(direction: str = "sendrecv", version: int = 1, *, secure: bool = True, more: str = "") -> str:
    """A session description with G.711 and telephone events."""
    return (
        f"v=0\no=sipp 1 {version} IN IP4 [local_ip]\ns=-\nc=IN IP4 [local_ip]\nt=0 0\n"
        f"m=audio [media_port] RTP/{'SAVP' if secure else 'AVP'} 8 101\na=rtpmap:8 PCMA/8000\n"
        f"a=rtpmap:101 telephone-event/8000\na=fmtp:101 0-16\na={direction}\n"
        + (f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\n" if secure else "")
        + more
    )


def send(text: str, body: str = "", kind: str = "application/sdp") -> str:
    """A message; its header ends with a line end."""
    described = f"Content-Type: {kind}\nContent-Length: [len]\n\n{body}" if body else "Content-Length: 0\n\n"
    return f"<send><![CDATA[\n\n{text}{described}\n]]></send>\n"


def receive(what: int | str, action: str = "", **attributes: str) -> str:
    """A response by its code, or a request by its method."""
    kind = "response" if isinstance(what, int) else "request"
    more = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return (
        f'<recv {kind}="{what}"{more}><action>{action}</action></recv>\n'
        if action
        else f'<recv {kind}="{what}"{more}/>\n'
    )


def check(expression: str, variable: str, *, header: str = "") -> str:
    """What a message has to hold, kept under a name."""
    where = f'search_in="hdr" header="{header}"' if header else 'search_in="msg"'
    escaped = expression.replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    return f'<ereg regexp="{escaped}" {where} check_it="true" assign_to="{variable}"/>'


def pause(milliseconds: int) -> str:
    """Nothing for a while."""
    return f'<pause milliseconds="{milliseconds}"/>\n'


_OURS: Final = "<sip:sipp@[local_ip]:[local_port];transport=[transport]>"


def answer(status: str, body: str = "", more: str = "", contact: str = _OURS) -> str:
    """A response to the request that came last."""
    fields = "".join(f"[last_{name}:]\n" for name in ("Via", "Record-Route", "From"))
    to = "[last_To:]\n" if status.startswith("100") else "[last_To:];tag=[call_number]\n"
    return send(f"SIP/2.0 {status}\n{fields}{to}[last_Call-ID:]\n[last_CSeq:]\nContact: {contact}\n{more}", body)


def acknowledge_in_dialog(status: str = "200 OK") -> str:
    """A response to a request within a dialog, whose To has its tag."""
    fields = "".join(f"[last_{name}:]\n" for name in ("Via", "From", "To", "Call-ID", "CSeq"))
    return send(f"SIP/2.0 {status}\n{fields}")


def scenario(name: str, *steps: str, logged: str = "") -> str:
    """A whole file; `logged` are the names of variables that are only checked."""
    used = f'<Reference variables="{logged}"/>\n' if logged else ""
    return (
        '<?xml version="1.0" encoding="ISO-8859-1" ?>\n<!DOCTYPE scenario SYSTEM "sipp.dtd">\n'
        f'<scenario name="{name}">\n{"".join(steps)}{used}</scenario>\n'
    )


def head(
    method: str,
    sequence: int,
    *,
    uri: str,
    extension: str,
    account: TestAccount,
    to_tag: bool | str = False,
    call: str = "",
    branch: str = "[branch]",
) -> str:
    """The first lines of a request in a scenario; `account` is who sends it. Its agent gets MD5, which is what sipp can.

    `to_tag` is that of the message that came last, or a text; `call` makes another dialog of the same scenario.
    """
    peer = f";tag={to_tag}" if isinstance(to_tag, str) else "[peer_tag_param]" if to_tag else ""
    return (
        f"{method} {uri} SIP/2.0\r\n"
        f"Via: SIP/2.0/[transport] [local_ip]:[local_port];branch={branch};rport\r\n"
        "Max-Forwards: 70\r\n"
        f"From: <sip:{account.username}@{DOMAIN}>;tag=[call_number]\r\n"
        f"To: <sip:{extension}@{DOMAIN}>{peer}\r\n"
        f"Call-ID: {call}[call_id]\r\n"
        f"CSeq: {sequence} {method}\r\n"
        f"Contact: <sip:{account.username}@[local_ip]:[local_port];transport=[transport]>\r\n"
        "User-Agent: baresip v1.0.0 (x86_64/linux)\r\n"
    ).replace("\r\n", "\n")


def challenged(
    method: str,
    sequence: int,
    *,
    uri: str,
    extension: str,
    account: TestAccount,
    more: str = "",
    body: str = "",
    kind: str = "application/sdp",
    call: str = "",
    code: int = 407,
) -> str:
    """A request outside a dialog, its challenge, and the same with credentials: two numbers of the CSeq."""

    def lines(number: int, name: str = method, *, to_tag: bool = False) -> str:
        return head(name, number, uri=uri, extension=extension, account=account, call=call, to_tag=to_tag)

    credentials = f"[authentication username={account.username} password={account.password}]\n"
    return "".join(
        (
            send(lines(sequence) + more, body, kind),
            receive(100, optional="true") if method == "INVITE" else "",
            receive(code, auth="true"),
            send(lines(sequence, "ACK", to_tag=True)) if method == "INVITE" else "",
            send(lines(sequence + 1) + more + credentials, body, kind),
            receive(100, optional="true") if method == "INVITE" else "",
        )
    )


def sipp(
    file: Path,
    port: int,
    *,
    called: str,
    host: str = "127.0.0.1",
    timeout: int = 60,
    calls: int = 1,
    transport: str = "t1",
    more: Sequence[str] = (),
) -> subprocess.Popen[str]:
    """Begins one call of a scenario, or waits for one; ends with 0 when it went as written. `called` is the URI, without its
    scheme, that credentials are for.
    """
    command = [
        *("sipp", f"{host}:{port}", "-sf", str(file), "-t", transport, "-m", str(calls), "-l", "1", "-nostdin"),
        *("-auth_uri", called, "-timeout", str(timeout), "-timeout_error"),
        *("-trace_err", "-trace_msg", "-message_file", str(file.with_suffix(".log"))),
        *("-error_file", str(file.with_suffix(".err"))),
        *more,
    ]
    return subprocess.Popen(
        command,
        cwd=file.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=die_with_parent,
    )


def went_well(running: subprocess.Popen[str], file: Path, timeout: float = 60) -> str:
    """Waits for its end: all messages that it logged."""
    _, said = running.communicate(timeout=timeout)
    log, errors = (file.with_suffix(kind) for kind in (".log", ".err"))
    messages = log.read_text() if log.exists() else ""
    wrong = errors.read_text() if errors.exists() else ""
    assert running.returncode == 0, f"{said[-500:]}\n{wrong[-1500:]}\n{messages[-5000:]}"
    return messages


@dataclass
class Script:
    """A running sipp."""

    process: subprocess.Popen[str]
    file: Path

    def ended(self) -> str:
        """Waits for its end: its messages."""
        return went_well(self.process, self.file)

    def said(self) -> str:
        """Its messages so far."""
        log = self.file.with_suffix(".log")
        return log.read_text() if log.exists() else ""

    def end(self) -> None:
        """Ends it at once."""
        end(self.process, 5)
