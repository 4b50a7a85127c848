"""The nodes' user data: understood by cloud-init and by the node, and run for real on the bundle that the build
makes.
"""

import os
import platform
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from callvoip import build
from media_node.config import Config

_IN_A_COPY = r"""
set -eu
mount -t tmpfs tmpfs "$1/scratch"
mkdir "$1/scratch/upper" "$1/scratch/work"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/scratch/upper,workdir=$1/scratch/work" "$1/root"
mount --bind "$1/given" "$1/root/mnt"
mount --rbind /dev "$1/root/dev"
mount -t tmpfs tmpfs "$1/root/run"
cp -R "$1/root/mnt/files/." "$1/root/"
export PATH=/mnt/programs:/usr/sbin:/usr/bin:/sbin:/bin
chroot "$1/root" sh /mnt/runcmd || true   # as cloud-init: a command that fails does not keep the next from running
chroot "$1/root" /opt/media-node/bin/media-node --help
chroot "$1/root" cat /etc/systemd/system/multi-user.target.wants/media-node.service
chroot "$1/root" timeout 4 /opt/media-node/bin/media-node --config /etc/media-node/node.toml 2>&1 || true
"""

# Stands in for S3, which has the bundle, and for the network, which has nothing else.
_AWS = """#!/bin/sh
for last; do :; done
case $last in *.zip) exec cp /mnt/bundle.zip "$last";; esac
exit 1
"""


@pytest.fixture
def cloud_config(template) -> dict[str, Any]:
    """The user data as an instance gets it; what only CloudFormation knows is called `x`."""
    [launch_template] = template.resources("AWS::EC2::LaunchTemplate").values()
    [parts] = [argument[1] for argument in launch_template["LaunchTemplateData"]["UserData"]["Fn::Base64"].values()]
    text = "".join(part if isinstance(part, str) else "x" for part in parts)
    assert text.startswith("#cloud-config\n")
    return dict(yaml.safe_load(text))


def test_it_has_keys_of_cloud_init_only(cloud_config):
    # cloud-init's own check lets unknown keys pass without a word.
    assert set(cloud_config) == {"package_update", "packages", "write_files", "runcmd"}


def test_its_configuration_is_one_that_the_node_takes(cloud_config):
    [file] = cloud_config["write_files"]
    config = Config.parse(tomllib.loads(file["content"]))
    assert (config.port, config.srtp_port, config.rtp_ports) == (5061, 20000, (21000, 21999))
    assert (config.region, config.fleet_table, config.cdr_table) == ("x", "x", "x")


@pytest.mark.timeout(300)
def test_an_instance_comes_up_from_it(cloud_config, tmp_path, monkeypatch):
    if os.geteuid() != 0 or subprocess.run(["unshare", "-mn", "true"], capture_output=True).returncode:
        pytest.skip("needs root and mount namespaces")
    # The bundle for this system's own Python: what is tried is the way up, not the release of Debian.
    monkeypatch.setattr(build, "NODE_PYTHON", Path("/usr/bin/python3").resolve().name.removeprefix("python"))
    monkeypatch.setattr(build, "PLATFORM", f"{platform.machine()}-manylinux_2_28")
    given = tmp_path / "given"
    build._media_node(tmp_path / "bundle")
    shutil.make_archive(str(given / "bundle"), "zip", tmp_path / "bundle")
    for file in cloud_config["write_files"]:
        path = given / "files" / file["path"].lstrip("/")
        path.parent.mkdir(parents=True)
        path.write_text(file["content"])
    (given / "programs").mkdir()
    (given / "programs" / "aws").write_text(_AWS)
    (given / "programs" / "aws").chmod(0o755)
    (given / "runcmd").write_text("\n".join(cloud_config["runcmd"]) + "\n")
    for name in ("scratch", "root"):
        (tmp_path / name).mkdir()
    done = subprocess.run(
        ["unshare", "-mn", "sh", "-c", _IN_A_COPY, "sh", tmp_path], capture_output=True, text=True, timeout=150
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "usage: media-node" in done.stdout
    assert "ExecStart=/opt/media-node/bin/media-node --config /etc/media-node/node.toml" in done.stdout
    assert '"waiting", "what": "instance metadata"' in done.stdout, (
        "the node has read its configuration and looks for who it is"
    )
