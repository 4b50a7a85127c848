"""`./dev synth`: build everything and synthesise the CloudFormation into cdk.out/, without AWS credentials."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from callvoip import build
from callvoip.paths import BUILD, CDK_OUT, NODE, ROOT

KEEP_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Assembly:
    """A cloud assembly to make in `output`, with the layer and the nodes' bundle from `bundles`."""

    output: Path
    bundles: Path

    @property
    def assets(self) -> tuple[str, ...]:
        """Names of the build steps whose output it holds."""
        prefix = "" if self.bundles == BUILD else f"{self.bundles.relative_to(BUILD)}/"
        return ("site", "functions", f"{prefix}layer", f"{prefix}media-node")

    def digest(self, arguments: Sequence[str]) -> str:
        """What it depends on: infra's app, the tables it reads, and the assets by what they were made from."""
        salt = " ".join((*arguments, *(build.stamp(name) for name in self.assets)))
        return build.digest(
            (ROOT / "infra" / "src", *(ROOT / "site" / "data" / name for name in ("brand.toml", "retention.toml"))),
            salt,
        )

    @property
    def made_with(self) -> str:
        """The digest that it was made with, empty when it is not there."""
        stamp = self.output / STAMP
        return stamp.read_text() if stamp.exists() else ""


FOR_AWS = Assembly(CDK_OUT, BUILD)
FOR_LOCAL = Assembly(BUILD / "cdk.local", BUILD / "thin")
STAMP = ".made-with"


def synthesise(assembly: Assembly, say: build.Say, arguments: Sequence[str] = ()) -> None:
    """Run infra's app when something changed. Raises build.BuildError with what cdk-nag or CDK found."""
    wanted = assembly.digest(arguments)
    if assembly.made_with == wanted:
        return
    say("synthesising the infrastructure ...")
    started = time.monotonic()
    (assembly.output / STAMP).unlink(missing_ok=True)
    _forget_old_assets(assembly.output)
    # jsii starts the node it finds first; the system's may be too old.
    environment = {**os.environ, "PATH": f"{NODE.parent}:{os.environ.get('PATH', '')}"}
    command = [sys.executable, "-m", "infra.app", str(assembly.output), "--bundles", str(assembly.bundles), *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise build.BuildError(f"synthesis failed:\n{(done.stdout + done.stderr).strip()}")
    (assembly.output / STAMP).write_text(wanted)
    say(f"  synthesised in {time.monotonic() - started:.1f} s")


def _forget_old_assets(directory: Path) -> None:
    """Assets stand under their hash and pile up; local systems still running use young ones."""
    for path in directory.glob("asset.*"):
        if time.time() - path.stat().st_mtime > KEEP_SECONDS:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def say(line: str) -> None:
    """A line of progress on standard error."""
    print(line, file=sys.stderr, flush=True)


def main(arguments: list[str]) -> int:
    """Build and synthesise; what is left of the arguments goes to infra's app."""
    parser = argparse.ArgumentParser(prog="./dev synth", description=__doc__)
    parser.add_argument(
        "--certificate-arn", help="for the site's domain, in us-east-1; without it CloudFront's name is used"
    )
    parser.add_argument("--region", help="where everything stands")
    options = parser.parse_args(arguments)
    further = [f"--{name.replace('_', '-')}={value}" for name, value in vars(options).items() if value]
    try:
        with build.exclusive(say):
            build.run(build.deploy_steps(), say)
            synthesise(FOR_AWS, say, further)
    except build.BuildError as error:
        print(f"dev: {error}", file=sys.stderr)
        return 1
    print(f"CloudFormation is in {CDK_OUT.relative_to(Path.cwd()) if CDK_OUT.is_relative_to(Path.cwd()) else CDK_OUT}/")
    return 0
