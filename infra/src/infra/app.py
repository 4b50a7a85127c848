"""`python -m infra.app OUTPUT_DIRECTORY [-c name=value ...]`: synthesise the CloudFormation; no credentials are
needed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from aws_cdk import App

from infra.checks import check
from infra.places import BUILD, read_brand
from infra.stack import CallvoipStack

REGION = "eu-central-1"
"""Where everything stands, and what the privacy page says about it."""

# The CDK command would give the second: it puts each resource's path into the template, for people and for local/.
CONTEXT = {"@aws-cdk/aws-iam:minimizePolicies": True, "aws:cdk:enable-path-metadata": True}


def build(output: str, *, bundles: Path = BUILD, certificate_arn: str | None = None, region: str = REGION) -> App:
    """The app with its stack and its checks, ready to synthesise into `output`."""
    app = App(outdir=output, analytics_reporting=False, context=CONTEXT)
    CallvoipStack(app, "Callvoip", brand=read_brand(), bundles=bundles, certificate_arn=certificate_arn, region=region)
    check(app)
    return app


def main() -> int:
    """Synthesise into the directory named on the command line; findings of the checks end it with a non-zero status."""
    parser = argparse.ArgumentParser(prog="infra.app", description="Synthesise the CloudFormation of callvoip.")
    parser.add_argument("output")
    parser.add_argument(
        "--certificate-arn", help="for the site's domain, in us-east-1; without it CloudFront's name is used"
    )
    parser.add_argument("--region", default=REGION)
    parser.add_argument("--bundles", type=Path, default=BUILD, help="where layer/ and media-node/ stand")
    options = parser.parse_args()
    build(
        options.output, bundles=options.bundles, certificate_arn=options.certificate_arn, region=options.region
    ).synth()
    return 0


if __name__ == "__main__":
    sys.exit(main())
