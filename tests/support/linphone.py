"""linphone as a softphone: linphonec, with a configuration of its own, driven over its command line."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType

from callvoip.process import die_with_parent, end
from tests.support.node import DOMAIN, NodeUnderTest, TestAccount

ROOT = Path(__file__).parents[2]


class Linphone:
    """A running linphonec. Leave its `with` block to end the process."""

    def __init__(
        self,
        directory: Path,
        *,
        node: NodeUnderTest,
        account: TestAccount,
        microphone: Path,
        media: str = "srtp",
        sip: Mapping[str, object] = MappingProxyType({}),
        video: bool = False,
        text: bool = False,
    ) -> None:
        """`media` is its media_encryption (srtp, dtls), `sip` further settings of its section of that name. With `text` it is
        linphone_text.py instead of linphonec.
        """
        (directory / ".local/share/linphone").mkdir(parents=True)  # it does not make its own
        self._log = directory / "log"
        config = directory / "linphonerc"
        config.write_text(
            f"""
[sip]
sip_port=-1
sip_tcp_port=-1
sip_tls_port=-1
media_encryption={media}
media_encryption_mandatory=1
default_proxy=0
root_ca={node.certificates.ca_file}
verify_server_certs=1
verify_server_cn=0
{"".join(f"{name}={value}{chr(10)}" for name, value in sip.items())}[net]
dns_srv_enabled=0
[rtp]
audio_rtp_port=-1
text_rtp_port=-1
[sound]
playback_dev_id=none
[proxy_0]
reg_proxy=<sip:{node.address}:5061;transport=tls>
reg_route=<sip:{node.address}:5061;transport=tls;lr>
reg_identity=sip:{account.username}@{DOMAIN}
reg_expires=300
reg_sendregister=1
publish=0
[auth_info_0]
username={account.username}
passwd={account.password}
domain={DOMAIN}
realm={DOMAIN}
"""
        )
        self._output = self._log.open("wb")
        self._debug = directory / "debug"
        linphonec = ["linphonec", *(["-C"] if video else []), "-c", str(config), "-d", "4", "-l", str(self._debug)]
        own = [sys.executable, "-m", "tests.support.linphone_text", str(config), str(self._debug), str(microphone)]
        self._process = subprocess.Popen(
            own if text else linphonec,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            env={"HOME": str(directory), "PATH": "/usr/bin:/bin", "TERM": "dumb"},
            preexec_fn=die_with_parent,
        )
        self._heard = 0
        if not text:
            self.command("soundcard use files")
            self.command(f"play {microphone}")

    def __enter__(self) -> Linphone:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        end(self._process)
        self._output.close()

    def command(self, line: str) -> None:
        """Type a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        self._process.stdin.flush()

    def wait_for(self, pattern: str, *, seconds: float = 20) -> re.Match[str]:
        """Wait until what it printed or logged matches."""
        deadline = time.monotonic() + seconds
        while (match := re.search(pattern, self.text())) is None:
            assert time.monotonic() < deadline, f"linphonec did not say {pattern!r}:\n{self.text()[-5000:]}"
            time.sleep(0.1)
        return match

    def says(self, pattern: str, *, seconds: float = 20) -> re.Match[str]:
        """Wait until it prints what matches, after what the last such wait was for."""
        compiled, deadline = re.compile(pattern), time.monotonic() + seconds
        while (match := compiled.search(self.printed(), self._heard)) is None:
            assert time.monotonic() < deadline, f"linphonec did not print {pattern!r}:\n{self.text()[-9000:]}"
            time.sleep(0.1)
        self._heard = match.end()
        return match

    def forget(self) -> None:
        """Lets the next `says` begin with what comes from now on."""
        self._heard = len(self.printed())

    def printed(self) -> str:
        """Everything it printed."""
        return self._log.read_text(errors="replace")

    def text(self) -> str:
        """Everything it printed and logged."""
        debug = self._debug.read_text(errors="replace") if self._debug.exists() else ""
        return self._log.read_text(errors="replace") + debug
