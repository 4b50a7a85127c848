"""`./dev synth`: build everything and synthesise the CloudFormation into cdk.out/, without AWS credentials."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from callvoip import build
from callvoip.edge import NODE
from callvoip.paths import BUILD, CDK_OUT, ROOT

# What a template depends on: the app, the brand's names, and the assets by what they were made from.
ASSETS = ("site", "functions", "layer", "media-node")
KEEP_SECONDS = 24 * 3600


def due() -> str | None:
    """The digest to synthesise for, or None when cdk.out/ is current."""
    wanted = build.digest((ROOT / "infra" / "src", ROOT / "site" / "data" / "brand.toml"), " ".join(build.stamp(name) for name in ASSETS))
    stamp = BUILD / ".stamps" / "cdk.out"
    current = stamp.read_text() if stamp.exists() and (CDK_OUT / "manifest.json").exists() else ""
    return None if current == wanted else wanted


def synthesise(say: build.Say, arguments: tuple[str, ...] = ()) -> None:
    """Run infra's app when something changed. Raises build.BuildError with what cdk-nag or CDK found."""
    wanted = due()
    if wanted is None and not arguments:
        return
    say("synthesising the infrastructure ...")
    started = time.monotonic()
    _forget_old_assets(CDK_OUT)
    # jsii starts the node it finds first; the system's may be too old.
    environment = {**os.environ, "PATH": f"{NODE.parent}:{os.environ.get('PATH', '')}", "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1"}
    command = [sys.executable, "-m", "infra.app", str(CDK_OUT), *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise build.BuildError(f"synthesis failed:\n{(done.stdout + done.stderr).strip()}")
    stamp = BUILD / ".stamps" / "cdk.out"
    stamp.write_text("with arguments" if wanted is None or arguments else wanted)
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
    parser.add_argument("--certificate-arn", help="for the site's domain, in us-east-1; without it CloudFront's name is used")
    parser.add_argument("--region", help="where everything stands")
    options = parser.parse_args(arguments)
    further = [f"--{name.replace('_', '-')}={value}" for name, value in vars(options).items() if value]
    try:
        with build.exclusive():
            build.run(build.deploy_steps(), say)
            synthesise(say, tuple(further))
    except build.BuildError as error:
        print(f"dev: {error}", file=sys.stderr)
        return 1
    print(f"CloudFormation is in {CDK_OUT.relative_to(Path.cwd()) if CDK_OUT.is_relative_to(Path.cwd()) else CDK_OUT}/")
    return 0
