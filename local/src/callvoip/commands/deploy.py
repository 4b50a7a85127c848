"""`./dev deploy`: synthesise and deploy to AWS with the CDK command, which npm has and PyPI has not."""

from __future__ import annotations

import os
import subprocess
import sys

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from callvoip.aws import template
from callvoip.commands import synth
from callvoip.paths import CDK_OUT, NODE, ROOT

CDK = "aws-cdk@2.1148.1"
"""The CDK command. It goes by versions of its own; one that is older than the library cannot read the assembly."""


def main(arguments: list[str]) -> int:
    """Deploy; arguments go to `./dev synth` first."""
    status = synth.main(arguments)
    if status:
        return status
    region = template.load(CDK_OUT).stacks[0].region
    account = _account(region)
    if account is None:
        return 1
    print(f"Deploying to account {account} in {region}.")
    npx = [str(NODE), str(NODE.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npx-cli.js")]
    environment = {**os.environ, "PATH": f"{NODE.parent}:{os.environ.get('PATH', '')}", "AWS_REGION": region}
    return subprocess.run(
        [*npx, "--yes", CDK, "deploy", "--app", str(CDK_OUT), "--all"], cwd=ROOT, env=environment, check=False
    ).returncode


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
