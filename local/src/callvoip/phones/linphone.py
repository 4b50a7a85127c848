"""linphone as a softphone: linphone-daemon, with a configuration and name servers of its own, driven over its standard input."""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from callvoip.phones import PhoneError
from callvoip.process import die_with_parent, end

# With hosts and name servers of its own: names lead where they should, and nothing is asked outside.
_IN_ITS_OWN_NAMES = 'mount --bind "$1" /etc/hosts && mount --bind "$2" /etc/resolv.conf && shift 2 && exec "$@"'


@dataclass(frozen=True)
class Account:
    """What a phone is told to register with; `server` is the name of its environment."""

    username: str
    password: str
    domain: str
    server: str


class Linphone:
    """A running linphone-daemon, which answers calls by itself. Leave its `with` block to end the process."""

    def __init__(
        self,
        directory: Path,
        *,
        ca_file: Path,
        account: Account | None = None,
        provisioning: str = "",
        hosts: Mapping[str, str] | None = None,
        nameserver: str = "127.0.0.1:53",
    ) -> None:
        """It registers `account`, or what it fetches from the address `provisioning`.

        Names are looked up in `hosts`, then at `nameserver`.
        """
        (directory / ".local/share/linphone").mkdir(parents=True)  # it does not make its own
        names = [*(hosts or {}).items(), ("localhost", "127.0.0.1")]
        (directory / "hosts").write_text("".join(f"{address} {name}\n" for name, address in names))
        host, _, port = nameserver.rpartition(":")
        (directory / "resolv.conf").write_text(f"nameserver [{host}]:{port}\noptions timeout:1 attempts:1\n")
        (directory / "linphonerc").write_text(
            _configuration(ca_file, provisioning) + (_accounted(account) if account else "")
        )
        command = ["linphone-daemon", "--config", str(directory / "linphonerc"), "--log", str(directory / "log")]
        names_and = [str(directory / "hosts"), str(directory / "resolv.conf")]
        as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
        self.log = directory / "log"
        self._process = subprocess.Popen(
            [
                "unshare",
                *as_root,
                "--mount",
                "sh",
                "-c",
                _IN_ITS_OWN_NAMES,
                "sh",
                *names_and,
                *command,
                "--auto-answer",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={"HOME": str(directory), "PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "TERM": "dumb"},
            preexec_fn=die_with_parent,
        )
        self._said: list[str] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def __enter__(self) -> Linphone:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        end(self._process)

    def _listen(self) -> None:
        self._said.extend(iter(self._process.stdout.readline, ""))  # type: ignore[union-attr]

    def command(self, text: str) -> str:
        """Send a command and return what the daemon says in answer. Raises PhoneError when it says nothing."""
        before = len(self._said)
        try:
            self._process.stdin.write(f"{text}\n")  # type: ignore[union-attr]
            self._process.stdin.flush()  # type: ignore[union-attr]
        except OSError as error:
            raise PhoneError(f"linphone has ended:\n{self.text()[-5000:]}") from error
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            answer = "".join(self._said[before:])
            if re.search(r"^Status: (Ok|Error)", answer, re.MULTILINE):
                time.sleep(0.1)
                return "".join(self._said[before:])
            time.sleep(0.05)
        raise PhoneError(f"linphone did not answer {text!r}:\n{self.text()[-5000:]}")

    def text(self) -> str:
        """All that it said and logged."""
        log = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "".join(self._said) + log


def _configuration(ca_file: Path, provisioning: str) -> str:
    return (
        (f"[misc]\nconfig-uri={provisioning}\n" if provisioning else "")
        + f"[sip]\nroot_ca={ca_file}\nsip_port=-1\nsip_tcp_port=-1\nsip_tls_port=-1\n"
        + ("media_encryption=srtp\nmedia_encryption_mandatory=1\ndefault_proxy=0\n" if not provisioning else "")
        + "[sound]\ncapture_dev_id=\nplayback_dev_id=\nremote_ring=\nlocal_ring=\n"
        "[rtp]\naudio_rtp_port=-1\n"
    )


def _accounted(account: Account) -> str:
    server = f"<sip:{account.server};transport=tls"
    return (
        f"[proxy_0]\nreg_proxy={server}>\nreg_route={server};lr>\nreg_identity=sip:{account.username}@{account.domain}\n"
        "reg_expires=60\nreg_sendregister=1\npublish=0\n"
        f"[auth_info_0]\nusername={account.username}\npasswd={account.password}\n"
        f"domain={account.domain}\nrealm={account.domain}\n"
    )
