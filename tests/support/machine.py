"""A whole machine for tests: Debian 13 booted by systemd-nspawn from a cached root, on a wire of its own.

The wire is a veth pair into a network namespace; its two addresses are of the networks that RFC 5737 keeps for examples.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from callvoip.nodes import boot_root
from callvoip.process import die_with_parent

_BOOT = r"""
set -eu
mount -t tmpfs tmpfs "$1/scratch"
mkdir "$1/scratch/upper" "$1/scratch/work"
mount -t overlay overlay -o "lowerdir=$2,upperdir=$1/scratch/upper,workdir=$1/scratch/work" "$1/root"
cp -R "$1/files/." "$1/root/"
if [ "$3" = baked ]; then
    mount --bind "$1/given" "$1/root/mnt"
    mount --rbind /dev "$1/root/dev"
    mount --rbind /proc "$1/root/proc"
    PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$1/root" sh /mnt/bundle/boot/bake.sh
    umount "$1/root/mnt"
    umount --recursive --lazy "$1/root/dev" "$1/root/proc"
fi
exec systemd-nspawn --quiet --register=no --keep-unit --network-namespace-path="/run/netns/$4" --directory="$1/root" \
    --bind-ro="$1/given:/mnt" --boot systemd.journald.forward_to_console=1
"""


@dataclass(frozen=True)
class Wire:
    """A link between this machine and a namespace: the addresses of both ends."""

    namespace: str
    here: str
    there: str


@contextlib.contextmanager
def wire() -> Iterator[Wire]:
    """A namespace on a wire; raises subprocess.CalledProcessError where none can be made."""
    namespace, ours = f"callvoip-{os.getpid()}", f"cv{os.getpid()}"
    network, block = random.choice(("192.0.2", "198.51.100", "203.0.113")), 4 * random.randrange(64)
    here, there = f"{network}.{block + 1}", f"{network}.{block + 2}"
    _ip("netns", "add", namespace)
    try:
        _ip("link", "add", ours, "type", "veth", "peer", "name", "host0", "netns", namespace)
        _ip("address", "add", f"{here}/30", "dev", ours)
        _ip("link", "set", ours, "up")
        for command in (f"address add {there}/30 dev host0", "link set host0 up", "link set lo up"):
            _ip("-netns", namespace, *command.split())
        yield Wire(namespace, here, there)
    finally:
        _ip("netns", "delete", namespace)  # and with it both ends of the wire


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def why_not() -> str:
    """Why no machine can be booted here; empty when it can."""
    if os.geteuid() != 0:
        return "only root may boot a machine"
    for program in ("systemd-nspawn", "ip", "unshare"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    if not boot_root.path().exists():
        return "there is no Debian to boot; ./dev image root builds it once for this machine"
    try:
        with wire():
            return ""
    except subprocess.CalledProcessError as error:
        return f"no network namespace can be made: {error.stderr.decode().strip()}"


@dataclass
class Machine:
    """One that boots; `console` is what it has said so far, its journal with it."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def console(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def lives(self) -> bool:
        return self.process.poll() is None


@contextlib.contextmanager
def boot(directory: Path, wire: Wire, *, given: Path, files: Mapping[str, str], baked: bool) -> Iterator[Machine]:
    """Boots it with `given` at /mnt and `files` (path: text; an executable where it begins with #!) on its disk.

    With `baked` /mnt/bundle/boot/bake.sh has made an image of it before.
    """
    for name in ("scratch", "root", "files"):
        (directory / name).mkdir(parents=True)
    for path, text in files.items():
        target = directory / "files" / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(0o755 if text.startswith("#!") else 0o644)
    if not given.is_relative_to(directory):
        (directory / "given").symlink_to(given)
    log = directory / "console"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *("unshare", "--mount", "sh", "-c", _BOOT, "sh"),
                *(str(directory), str(boot_root.path()), "baked" if baked else "plain", wire.namespace),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # A host with the old hierarchies of control groups as well: Debian 13's systemd wants the new one.
            env=os.environ | {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            preexec_fn=die_with_parent,
        )
    try:
        yield Machine(process, log)
    finally:
        process.terminate()  # the machine is shut down in order
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
