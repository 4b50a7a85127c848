"""What an instance runs at boot: the install script in a throw-away copy of this system, and the unit's hardening."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

BOOT = Path(__file__).parents[2] / "media-node" / "boot"
SITE = Path(sysconfig.get_path("purelib"))


@pytest.mark.needs("systemd-analyze")
def test_the_unit_is_hardened_to_an_exposure_of_two_at_most(tmp_path: Path) -> None:
    unit = shutil.copy(BOOT / "media-node.service", tmp_path)
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", unit], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-500:]


@pytest.mark.needs("systemd-analyze")
def test_the_unit_is_understood_line_by_line(tmp_path: Path) -> None:
    text = (BOOT / "media-node.service").read_text().replace("/opt/media-node/bin/media-node", "/bin/true")
    unit = tmp_path / "media-node.service"
    unit.write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True)
    complaints = [line for line in done.stderr.splitlines() if "media-node.service" in line]
    assert complaints == []


_IN_A_COPY = r"""
set -eu
mount -t tmpfs tmpfs "$1/scratch"
mkdir "$1/scratch/upper" "$1/scratch/work"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/scratch/upper,workdir=$1/scratch/work" "$1/root"
mount --bind "$1/bundle" "$1/root/mnt"
mount --rbind /dev "$1/root/dev"
mkdir -p "$1/root/etc/media-node"
echo "[fleet]" > "$1/root/etc/media-node/node.toml"
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
chroot "$1/root" sh /mnt/boot/install.sh
chroot "$1/root" sh /mnt/boot/install.sh
chroot "$1/root" /opt/media-node/bin/media-node --help
chroot "$1/root" getent passwd media-node
chroot "$1/root" cat /etc/systemd/system/multi-user.target.wants/media-node.service /etc/sysctl.d/90-media-node.conf
"""


@pytest.mark.usefixtures("processes")
def test_install_sets_a_node_up_without_network_and_twice_is_as_good_as_once(tmp_path: Path) -> None:
    packages = tmp_path / "bundle" / "packages"
    for name in (
        "sipmessage",
        "pylibsrtp",
        "cffi",
        "pycparser",
        "boto3",
        "botocore",
        "s3transfer",
        "jmespath",
        "dateutil",
        "urllib3",
        "cryptography",
        "prometheus_client",
    ):
        shutil.copytree(SITE / name, packages / name, ignore=shutil.ignore_patterns("data", "__pycache__"))
    shutil.copytree(SITE / "phonenumbers", packages / "phonenumbers", ignore=shutil.ignore_patterns("__pycache__"))
    for pattern in ("six.py", "_cffi_backend*", "sipmessage-*", "pylibsrtp-*"):
        for path in SITE.glob(pattern):
            (shutil.copytree if path.is_dir() else shutil.copy)(path, packages / path.name)
    shutil.copytree(BOOT.parent / "src" / "media_node", packages / "media_node")
    shutil.copytree(BOOT, tmp_path / "bundle" / "boot")
    for name in ("scratch", "root"):
        (tmp_path / name).mkdir()
    may = os.geteuid() == 0 and subprocess.run(["unshare", "-mn", "true"], capture_output=True).returncode == 0
    if not may:
        pytest.skip("needs root and mount namespaces")
    done = subprocess.run(
        ["unshare", "-mn", "sh", "-c", _IN_A_COPY, "sh", tmp_path], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "usage: media-node" in done.stdout
    assert "media-node:x:" in done.stdout
    assert "ExecStart=/opt/media-node/bin/media-node --config /etc/media-node/node.toml" in done.stdout
