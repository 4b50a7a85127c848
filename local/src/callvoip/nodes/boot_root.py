"""A Debian 13 as an instance's disk has it before its first boot, built once for a machine: what the boot test boots.

It stands outside of the checkout, as it takes a minute or two and every clone may use it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

RELEASE = "trixie"
PACKAGES = ("systemd-sysv", "dbus", "iproute2", "netbase", "ca-certificates", "python3-venv")
AFTERWARDS = ("cloud-init",)
"""debootstrap itself trips on the order in which these are set up."""

_CLOUD_INIT = """\
# The user data lies beside it (https://docs.cloud-init.io/en/latest/reference/datasources/nocloud.html); addresses are given.
datasource_list: [NoCloud]
network: {config: disabled}
"""


def path() -> Path:
    """Where it stands, or would."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    made_of = repr((RELEASE, PACKAGES, AFTERWARDS, _CLOUD_INIT))
    return caches / "callvoip" / f"root-{RELEASE}-{hashlib.sha256(made_of.encode()).hexdigest()[:12]}"


def why_not() -> str:
    """Why it cannot be built here; empty when it may be tried."""
    if os.geteuid() != 0:
        return "only root may build it"
    if shutil.which("debootstrap") is None:
        return "debootstrap is not installed"
    return ""


def build(say: Callable[[str], None]) -> Path:
    """Build it when it is not there, as the only one who does. Raises OSError with the reason when it cannot be."""
    root = path()
    root.parent.mkdir(parents=True, exist_ok=True)
    with (root.parent / "root.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if root.exists():
            return root
        if reason := why_not():
            raise OSError(reason)
        say(f"building a Debian {RELEASE} in {root} ...")
        partial = root.with_name(f".new-{root.name}")
        shutil.rmtree(partial, ignore_errors=True)
        _run("debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", RELEASE, str(partial))
        (partial / "etc/dpkg/dpkg.cfg.d/fast").write_text("force-unsafe-io\n")
        _run("chroot", str(partial), "apt-get", "install", "-y", "-qq", "--no-install-recommends", *AFTERWARDS)
        _run("chroot", str(partial), "apt-get", "clean")
        (partial / "etc/cloud/cloud.cfg.d/99-given.cfg").write_text(_CLOUD_INIT)
        partial.rename(root)
        return root


def _run(*command: str) -> None:
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise OSError(f"{command[0]} failed: {(done.stdout + done.stderr)[-600:].strip()}")
