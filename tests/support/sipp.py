"""sipp as a desk phone: scenarios over TCP, and stunnel before the node, as Debian's sipp speaks no TLS."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from callvoip.phones.baresip import free_port
from callvoip.process import die_with_parent
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


def head(method: str, sequence: int, *, uri: str, extension: str, account: TestAccount, to_tag: bool = False) -> str:
    """The first lines of a request in a scenario; `account` is who sends it. Its agent gets MD5, which is what sipp can."""
    peer = "[peer_tag_param]" if to_tag else ""
    return (
        f"{method} {uri} SIP/2.0\r\n"
        "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport\r\n"
        "Max-Forwards: 70\r\n"
        f"From: <sip:{account.username}@{DOMAIN}>;tag=[call_number]\r\n"
        f"To: <sip:{extension}@{DOMAIN}>{peer}\r\n"
        "Call-ID: [call_id]\r\n"
        f"CSeq: {sequence} {method}\r\n"
        f"Contact: <sip:{account.username}@[local_ip]:[local_port];transport=[transport]>\r\n"
        "User-Agent: baresip v1.0.0 (x86_64/linux)\r\n"
    ).replace("\r\n", "\n")


def sipp(file: Path, port: int, *, called: str, timeout: int = 60) -> subprocess.Popen[str]:
    """Begins one call of a scenario; ends with 0 when it went as written."""
    command = [
        *("sipp", f"127.0.0.1:{port}", "-sf", str(file), "-t", "t1", "-m", "1", "-l", "1", "-nostdin"),
        *("-auth_uri", f"{called}@{DOMAIN}", "-timeout", str(timeout), "-timeout_error"),
        *("-trace_err", "-trace_msg", "-message_file", str(file.with_suffix(".log"))),
        *("-error_file", str(file.with_suffix(".err"))),
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
