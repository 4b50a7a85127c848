"""`./dev image`: the image that nodes boot from (infra/image), and the root that the tests boot."""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from callvoip import build
from callvoip.nodes import boot_root
from callvoip.paths import BUILD, ROOT

STAGE = ROOT / "infra" / "src" / "infra" / "stage.toml"
DEFINITION = ROOT / "infra" / "image"
NEWEST_DEBIAN = "/aws/service/debian/release/13/latest/arm64"
"""Under this name Debian publishes its newest image of the release."""


def main(arguments: list[str]) -> int:
    """`pin` chooses what to bake from, `bake` makes the image and names it in stage.toml, `root` builds the tests' root."""
    parser = argparse.ArgumentParser(prog="./dev image", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, purpose in (
        (
            "pin",
            "write Debian's newest image and today into infra/src/infra/stage.toml: what the next image is baked from",
        ),
        (
            "bake",
            "bake the image with Packer and write its AMI into infra/src/infra/stage.toml; then ./dev deploy rolls it",
        ),
    ):
        commands.add_parser(name, help=purpose, description=purpose).add_argument("--region", default="eu-central-1")
    purpose = "build the Debian 13 that the boot test boots, once for this machine, when it is not there"
    commands.add_parser("root", help=purpose, description=purpose)
    options = parser.parse_args(arguments)
    try:
        match options.command:
            case "pin":
                _pin(options.region)
            case "bake":
                _bake(options.region)
            case "root":
                print(boot_root.build(print))
    except (OSError, ValueError, BotoCoreError, ClientError, build.BuildError, subprocess.CalledProcessError) as error:
        print(f"dev: {error}", file=sys.stderr)
        return 1
    return 0


def settings() -> Mapping[str, Any]:
    """[image] of stage.toml. Raises OSError or ValueError."""
    return dict(tomllib.loads(STAGE.read_text(encoding="utf-8")).get("image", {}))


def stale() -> str:
    """What to tell whoever deploys with an image that was baked from another bundle than there is now; else empty."""
    image = settings()
    [node] = [step for step in build.deploy_steps() if step.name == "media-node"]
    if not image.get("ami") or image.get("bundle") == node.digest():
        return ""
    return (
        f"Nodes go on with the image {image['ami']}, which was baked before media-node changed: "
        "./dev image bake makes the next one."
    )


def changed(text: str, values: Mapping[str, str]) -> str:
    """stage.toml with these values in its [image], everything else as it is. Raises ValueError for a name that it lacks."""
    before, section, image = text.partition("[image]\n")
    for name, value in values.items():
        image, found = re.subn(rf'(?m)^{name} = ".*"$', f'{name} = "{value}"', image, count=1)
        if not found:
            raise ValueError(f"{STAGE.name} has no {name} under [image]")
    return before + section + image


def _write(values: Mapping[str, str]) -> None:
    STAGE.write_text(changed(STAGE.read_text(encoding="utf-8"), values), encoding="utf-8")
    for name, value in values.items():
        print(f"{name} = {value!r}  ({STAGE.relative_to(ROOT)})")


def _pin(region: str) -> None:
    answer = boto3.client("ssm", region_name=region).get_parameter(Name=NEWEST_DEBIAN)
    _write({"base": answer["Parameter"]["Value"], "day": datetime.now(UTC).strftime("%Y%m%dT000000Z")})


def _bake(region: str) -> None:
    image = settings()
    if missing := [name for name in ("base", "day", "ssm_agent") if not image.get(name)]:
        raise ValueError(f"stage.toml does not say {', '.join(missing)} under [image]: ./dev image pin does")
    packer = shutil.which("packer")
    if packer is None:
        raise OSError("packer is not installed: https://developer.hashicorp.com/packer/install")
    steps = [step for step in build.deploy_steps() if step.name == "media-node"]
    with build.exclusive(print):
        build.run(steps, print)
    bundle, manifest = BUILD / "media-node.tar", BUILD / "image.json"
    with tarfile.open(bundle, "w") as archive:
        archive.add(steps[0].output, ".")
    manifest.unlink(missing_ok=True)
    values = variables(image, region=region, release=steps[0].digest(), bundle=bundle, manifest=manifest)
    subprocess.run([packer, "init", DEFINITION], check=True)
    subprocess.run(
        [packer, "build", *(f"-var={name}={value}" for name, value in values.items()), DEFINITION], check=True
    )
    [made] = json.loads(manifest.read_text(encoding="utf-8"))["builds"]
    _write({"ami": str(made["artifact_id"]).rpartition(":")[2], "bundle": steps[0].digest()})
    print("./dev deploy names it in the launch template, and the fleet rolls to it by itself.")


def variables(
    image: Mapping[str, Any], *, region: str, release: str, bundle: Path, manifest: Path
) -> Mapping[str, str]:
    """What the definition is given."""
    return {
        "region": region,
        "base": image["base"],
        "day": image["day"],
        "ssm_agent": image["ssm_agent"],
        "bundle": str(bundle),
        "release": release[:12],
        "manifest": str(manifest),
    }
