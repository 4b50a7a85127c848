"""An instance's metadata service, version 2 only: what tells a node who it is and gives it its role's credentials.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
"""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from aiohttp import web

from callvoip.aws.endpoint import ACCOUNT

_TTL = "X-aws-ec2-metadata-token-ttl-seconds"
_TOKEN = "X-aws-ec2-metadata-token"  # noqa: S105 (the header's name)
CREDENTIAL_HOURS = 6


@dataclass(frozen=True)
class Instance:
    """An instance as it sees itself. `role` is the name of the role in its instance profile."""

    id: str
    region: str
    zone: str
    type: str
    image: str
    address: str
    role: str
    user_data: str

    @property
    def arn(self) -> str:
        """ARN, by which its partition of the fleet table goes."""
        return f"arn:aws:ec2:{self.region}:{ACCOUNT}:instance/{self.id}"

    @property
    def access_key(self) -> str:
        """By which the emulated AWS knows it."""
        return f"ASIA{self.id.removeprefix('i-').upper()[:16]}"

    def document(self) -> dict[str, str]:
        """The instance identity document."""
        return {
            "accountId": ACCOUNT,
            "architecture": "arm64",
            "availabilityZone": self.zone,
            "imageId": self.image,
            "instanceId": self.id,
            "instanceType": self.type,
            "privateIp": self.address,
            "region": self.region,
            "version": "2017-09-30",
        }


class MetadataService:
    """The HTTP application for one instance."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._tokens: dict[str, float] = {}

    def application(self) -> web.Application:
        """To be served on an address of the instance's own."""
        application = web.Application()
        application.router.add_put("/latest/api/token", self._issue)
        application.router.add_get("/latest/{path:.*}", self._get)
        return application

    async def _issue(self, request: web.Request) -> web.Response:
        try:
            seconds = int(request.headers.get(_TTL, ""))
        except ValueError:
            seconds = 0
        if not 1 <= seconds <= 21600:
            return web.Response(status=400)
        token = secrets.token_urlsafe(32)
        self._tokens[token] = time.monotonic() + seconds
        return web.Response(text=token, headers={_TTL: str(seconds)})

    async def _get(self, request: web.Request) -> web.Response:
        if self._tokens.get(request.headers.get(_TOKEN, ""), 0.0) < time.monotonic():
            return web.Response(status=401)
        text = self._value(request.match_info["path"])
        return web.Response(status=404) if text is None else web.Response(text=text)

    def _value(self, path: str) -> str | None:
        instance = self._instance
        match path.rstrip("/"):
            case "meta-data/iam/security-credentials":
                return instance.role
            case "dynamic/instance-identity/document":
                return json.dumps(instance.document())
            case "user-data":
                return instance.user_data
            case credentials if credentials == f"meta-data/iam/security-credentials/{instance.role}":
                return json.dumps(self._credentials())
        plain = {
            "instance-id": instance.id,
            "instance-type": instance.type,
            "ami-id": instance.image,
            "local-ipv4": instance.address,
            "public-ipv4": instance.address,
            "placement/region": instance.region,
            "placement/availability-zone": instance.zone,
        }
        return plain.get(path.removeprefix("meta-data/"))

    def _credentials(self) -> dict[str, str]:
        now = datetime.now(UTC)

        def at(moment: datetime) -> str:
            return moment.strftime("%Y-%m-%dT%H:%M:%SZ")

        return {
            "Code": "Success",
            "Type": "AWS-HMAC",
            "LastUpdated": at(now),
            "AccessKeyId": self._instance.access_key,
            "SecretAccessKey": "local",
            "Token": "local",
            "Expiration": at(now + timedelta(hours=CREDENTIAL_HOURS)),
        }
