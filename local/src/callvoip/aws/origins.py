"""What AWS's origins are called on this machine: wherever an address of theirs would be told, the local one is."""

from __future__ import annotations

from collections.abc import Mapping

from callvoip.aws.deployment import Deployment


def local_origins(deployment: Deployment, *, site: str, login: str) -> dict[str, str]:
    """The local origin of the site and of the sign-in page, by AWS's."""
    distribution = deployment.the("AWS::CloudFront::Distribution")
    names = distribution.properties["DistributionConfig"].get("Aliases") or [
        f"{distribution.name.lower()}.cloudfront.net"
    ]
    prefix = deployment.the("AWS::Cognito::UserPoolDomain").name
    return {
        **{f"https://{name}": site for name in names},
        f"https://{prefix}.auth.{deployment.region}.amazoncognito.com": login,
    }


def translate(text: str, aliases: Mapping[str, str]) -> str:
    """`text` with every origin of AWS replaced by the local one."""
    for origin, local in aliases.items():
        text = text.replace(origin, local)
    return text
