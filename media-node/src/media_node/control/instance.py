"""Which instance this is, asked of the instance metadata service (IMDSv2).

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Final

DEFAULT_ENDPOINT: Final = "http://169.254.169.254"
_TIMEOUT: Final = 3.0
_LIFETIME: Final = {"X-aws-ec2-metadata-token-ttl-seconds": "300"}


@dataclass(frozen=True, kw_only=True)
class Instance:
    """This instance: `address` is what it binds to, `public_address` what the world reaches it by, if anything else."""

    instance_id: str
    account: str
    region: str
    address: str
    public_address: str | None

    @property
    def arn(self) -> str:
        """The instance's ARN, which is its own partition of the fleet table."""
        return f"arn:aws:ec2:{self.region}:{self.account}:instance/{self.instance_id}"

    @property
    def announced(self) -> str:
        """The address phones are told."""
        return self.public_address or self.address


def endpoint() -> str:
    """Where the metadata service is; the variable is the one that AWS's own libraries read."""
    return os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", DEFAULT_ENDPOINT).rstrip("/")


def read(base: str) -> Instance:
    """Asks the metadata service; blocks. Raises OSError when it does not answer, ValueError for an answer that is not
    one.
    """
    headers = {"X-aws-ec2-metadata-token": _ask(f"{base}/latest/api/token", _LIFETIME, "PUT")}
    document = json.loads(_ask(f"{base}/latest/dynamic/instance-identity/document", headers))
    try:
        public: str | None = _ask(f"{base}/latest/meta-data/public-ipv4", headers)
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
        public = None
    try:
        return Instance(
            instance_id=document["instanceId"],
            account=document["accountId"],
            region=document["region"],
            address=_ask(f"{base}/latest/meta-data/local-ipv4", headers),
            public_address=public or None,
        )
    except (KeyError, TypeError) as error:
        raise ValueError("the instance identity document is incomplete") from error


def _ask(url: str, headers: dict[str, str], method: str = "GET") -> str:
    request = urllib.request.Request(url, headers=headers, method=method)  # noqa: S310 - http on the link-local address, by design
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:  # noqa: S310
        text: str = response.read().decode().strip()
        return text
