"""How the emulated AWS is spoken with: as the operator, or as a role that was announced to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import boto3
from botocore.config import Config

from callvoip.aws.permissions import Principal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ACCOUNT = "123456789012"
OPERATOR_KEY = "operator"
"""Access key that may do anything in the emulated AWS."""
SECRET_KEY = "local"  # noqa: S105 (nothing checks it)


@dataclass(frozen=True)
class Emulated:
    """Where the emulated AWS answers."""

    endpoint: str
    region: str

    def client(self, service: str, access_key: str = OPERATOR_KEY) -> Any:
        """A boto3 client of it, as the operator unless another key is given."""
        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=self.endpoint,
            region_name=self.region,
            aws_access_key_id=access_key,
            aws_secret_access_key=SECRET_KEY,
            config=Config(retries={"mode": "standard", "total_max_attempts": 3}, max_pool_connections=10),
        )

    def environment(self, access_key: str) -> dict[str, str]:
        """What makes boto3 in another process speak with it (not for media nodes: they get credentials as instances
        do).
        """
        credentials = {"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
        return {
            **credentials,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
        }

    async def announce(self, access_key: str, principal: Principal) -> None:
        """From now on requests with `access_key` may do what `principal` may."""
        told = {
            "key": access_key,
            "name": principal.name,
            "statements": principal.statements,
            "context": principal.context,
        }
        async with (
            aiohttp.ClientSession(self.endpoint) as session,
            session.post("/callvoip/principals", json=told) as answer,
        ):
            answer.raise_for_status()

    @asynccontextmanager
    async def changes(self, service: str) -> AsyncIterator[AsyncIterator[int]]:
        """Yields an iterator that gives the number of writes to `service` at once and after each, many at once counting
        as one.
        """
        async with aiohttp.ClientSession(self.endpoint, timeout=aiohttp.ClientTimeout(total=None)) as session:

            async def each() -> AsyncIterator[int]:
                seen = -1
                while True:
                    async with session.get("/callvoip/changes", params={"service": service, "after": seen}) as answer:
                        writes = (await answer.json())["writes"]
                    if writes != seen:
                        seen = writes
                        yield writes

            yield each()

    async def followed(self, service: str, writes: int) -> None:
        """Tell that somebody serves what the first so many writes to `service` have made."""
        async with (
            aiohttp.ClientSession(self.endpoint) as session,
            session.post("/callvoip/followed", json={"service": service, "writes": writes}) as answer,
        ):
            answer.raise_for_status()


async def send(emulated: Emulated, queue_arn: str, message: Mapping[str, Any]) -> None:
    """Put a message into an SQS queue, as a failure destination gets it."""
    queues = emulated.client("sqs")
    url = (await asyncio.to_thread(queues.get_queue_url, QueueName=queue_arn.rsplit(":", 1)[1]))["QueueUrl"]
    await asyncio.to_thread(queues.send_message, QueueUrl=url, MessageBody=json.dumps(message))
