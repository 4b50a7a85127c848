"""linphone, a phone we did not write: a daemon that gets all it knows from a provisioning address."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from pathlib import Path
from types import TracebackType

from callvoip.process import die_with_parent

# With hosts and name servers of its own: names lead where the test wants, and nothing is asked outside.
_IN_ITS_OWN_NAMES = 'mount --bind "$1" /etc/hosts && mount --bind "$2" /etc/resolv.conf && shift 2 && exec "$@"'


class ProvisionedLinphone:
    """A running linphone-daemon. Leave its `with` block to end the process."""

    def __init__(self, directory: Path, *, provisioning: str, ca_file: Path, hosts: dict[str, str]) -> None:
        """`provisioning` is the address it fetches its settings from, `hosts` are names with their addresses."""
        (directory / ".local/share/linphone").mkdir(parents=True)
        names = [*hosts.items(), ("localhost", "127.0.0.1")]
        (directory / "hosts").write_text("".join(f"{address} {name}\n" for name, address in names))
        (directory / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        (directory / "linphonerc").write_text(
            f"[misc]\nconfig-uri={provisioning}\n"
            f"[sip]\nroot_ca={ca_file}\nsip_port=-1\nsip_tcp_port=-1\nsip_tls_port=-1\n"
            "[sound]\ncapture_dev_id=\nplayback_dev_id=\nremote_ring=\nlocal_ring=\n"
            "[rtp]\naudio_rtp_port=-1\n"
        )
        command = ["linphone-daemon", "--config", str(directory / "linphonerc"), "--log", str(directory / "log")]
        names_and = [str(directory / "hosts"), str(directory / "resolv.conf")]
        self.log = directory / "log"
        self._process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", _IN_ITS_OWN_NAMES, "sh", *names_and, *command, "--auto-answer"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={"HOME": str(directory), "PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "TERM": "dumb"},
            preexec_fn=die_with_parent,
        )
        self._said: list[str] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def __enter__(self) -> ProvisionedLinphone:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        self._said.extend(iter(self._process.stdout.readline, ""))

    def command(self, text: str) -> str:
        """Send a command and return what the daemon says in answer."""
        before = len(self._said)
        assert self._process.stdin is not None
        self._process.stdin.write(f"{text}\n")
        self._process.stdin.flush()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            answer = "".join(self._said[before:])
            if re.search(r"^Status: (Ok|Error)", answer, re.MULTILINE):
                time.sleep(0.1)
                return "".join(self._said[before:])
            time.sleep(0.05)
        raise AssertionError(f"linphone did not answer {text!r}:\n{self.text()}")

    def text(self) -> str:
        """All that it said and logged."""
        log = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "".join(self._said) + log
