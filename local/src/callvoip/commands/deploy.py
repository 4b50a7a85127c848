"""`./dev deploy`: synthesise and deploy to AWS with the CDK command, which npm has and PyPI has not."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from callvoip.aws import template
from callvoip.commands import image, synth
from callvoip.paths import CDK_OUT, NODE, ROOT

CDK = "aws-cdk@2.1148.1"
"""The CDK command. It goes by versions of its own; one that is older than the library cannot read the assembly."""


def main(arguments: list[str]) -> int:
    """Deploy; what is not about the deploy itself goes to `./dev synth` first."""
    options, synth_arguments = _parser().parse_known_args(arguments)
    approval = options.require_approval or "broadening"
    if approval != "never" and not sys.stdin.isatty():
        print(
            "dev: nobody can be asked here whether wider permissions are right (standard input is no terminal).\n"
            "     A pipeline deploys with: ./dev deploy --require-approval never",
            file=sys.stderr,
        )
        return 2
    status = synth.main(synth_arguments)
    if status:
        return status
    region = template.load(CDK_OUT).stacks[0].region
    account = _account(region)
    if account is None:
        return 1
    if told := image.stale():
        print(f"dev: {told}", file=sys.stderr)
    print(f"Deploying to account {account} in {region}.")
    return subprocess.run(_cdk(approval), cwd=ROOT, env=_environment(region), check=False).returncode


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./dev deploy",
        description=__doc__,
        epilog="The options of ./dev synth hold too; see ./dev synth --help.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--require-approval",
        choices=("never", "any-change", "broadening"),
        help="ask before changes of permissions: never (unattended), before any, or when they widen (default)",
    )
    return parser


def _cdk(approval: str) -> list[str]:
    npx = [str(NODE), str(NODE.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npx-cli.js")]
    return [*npx, "--yes", CDK, "deploy", "--app", str(CDK_OUT), "--all", "--require-approval", approval]


def _environment(region: str) -> dict[str, str]:
    return {**os.environ, "PATH": f"{NODE.parent}:{os.environ.get('PATH', '')}", "AWS_REGION": region}


def _account(region: str) -> str | None:
    """The account that the credentials in the environment belong to, or None after saying what is wrong."""
    session = boto3.Session(region_name=region)
    if session.get_credentials() is None:
        print(
            "dev: there are no AWS credentials. Sign in first, for example with `aws sso login`, and name the profile:\n"
            "     AWS_PROFILE=name ./dev deploy\n"
            "The template is in cdk.out/; ./dev synth makes it without credentials.",
            file=sys.stderr,
        )
        return None
    try:
        account: str = session.client("sts").get_caller_identity()["Account"]
    except (BotoCoreError, ClientError) as error:
        print(f"dev: AWS does not accept the credentials: {error}", file=sys.stderr)
        return None
    return account
