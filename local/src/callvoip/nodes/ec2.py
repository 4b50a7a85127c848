"""Instances of the emulated EC2, as real processes: each runs media-node as its own user data says, on a loopback
address of its own.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import shutil
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml
from aiohttp import web

from callvoip.aws.deployment import Deployment
from callvoip.aws.endpoint import Emulated
from callvoip.aws.permissions import Principal
from callvoip.lambdas.triggers import event
from callvoip.nodes.imds import Instance, MetadataService
from callvoip.process import Child, base_environment

_log = logging.getLogger(__name__)

NODE_COMMAND = (str(Path(sys.prefix) / "bin" / "media-node"),)
NODE_CONFIG = "/etc/media-node/node.toml"
# As the unit's Restart= and RestartSec= do.
RESTART_SECONDS = 1.0
MOST_INSTANCES = 253

ADDRESS_TAG = "callvoip:address"
"""Holds an instance's loopback address, which it keeps for as long as it lives."""

_GONE = ("shutting-down", "terminated", "stopping", "stopped")

Publish = Callable[[Mapping[str, Any]], None]


def address(port: int, number: int) -> str:
    """Loopback address of node `number` (1 to MOST_INSTANCES) of the system whose site is on `port`."""
    return f"127.{port >> 8}.{port & 255}.{number + 1}"


def node_config(user_data: str) -> dict[str, Any]:
    """What the node's configuration file in a cloud-config says. Raises LookupError when it writes none."""
    for entry in yaml.safe_load(user_data).get("write_files", []):
        if entry["path"] == NODE_CONFIG:
            return tomllib.loads(entry["content"])
    raise LookupError(f"the user data writes no {NODE_CONFIG}")


def launch_template_user_data(deployment: Deployment) -> str:
    """The user data that every node is started with."""
    data = deployment.the("AWS::EC2::LaunchTemplate").properties["LaunchTemplateData"]
    return base64.b64decode(data["UserData"]).decode()


@dataclass
class _Machine:
    """A running instance: its metadata service and its node."""

    instance: Instance
    metadata: web.AppRunner
    keeper: asyncio.Task[None]


class Ec2:
    """Async context manager: starts and ends nodes as instances come and go, and tells `publish` of it."""

    def __init__(
        self,
        emulated: Emulated,
        *,
        port: int,
        role: Principal,
        disks: Path,
        logs: Path,
        publish: Publish,
        command: Sequence[str] = NODE_COMMAND,
    ) -> None:
        self._emulated = emulated
        self._client = emulated.client("ec2")
        self._port = port
        self._role = role
        self._disks = disks
        self._logs = logs
        self._publish = publish
        self._command = command
        self._states: dict[str, str] = {}
        self._machines: dict[str, _Machine] = {}
        self._follower: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Ec2:
        self._logs.mkdir(parents=True, exist_ok=True)
        self._follower = asyncio.create_task(self._follow())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._follower:
            self._follower.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._follower
        await asyncio.gather(*(self._stop(machine) for machine in self._machines.values()))

    async def _follow(self) -> None:
        async with self._emulated.changes("ec2") as changes:
            async for _ in changes:
                try:
                    await self._look()
                except Exception:
                    _log.exception("instances could not be brought in line")

    async def _look(self) -> None:
        """Compare what EC2 says with what runs. A new instance is pending for as long as its machine takes to start."""
        instances = await asyncio.to_thread(self._describe)
        for described in instances:
            instance_id, state = described["InstanceId"], described["State"]["Name"]
            before = self._states.get(instance_id)
            if state in _GONE:
                if before not in (None, *_GONE):
                    self._tell(instance_id, "shutting-down")
                    await self._stop(self._machines.pop(instance_id))
                    shutil.rmtree(self._disks / instance_id)
                    self._tell(instance_id, state)
                self._states[instance_id] = state
            elif before is None:
                self._states[instance_id] = "running"
                self._tell(instance_id, "pending")
                self._machines[instance_id] = await self._start(
                    described, await asyncio.to_thread(self._address, described, instances)
                )
                self._tell(instance_id, "running")

    def _describe(self) -> list[dict[str, Any]]:
        pages = self._client.get_paginator("describe_instances").paginate()
        return [
            instance for page in pages for reservation in page["Reservations"] for instance in reservation["Instances"]
        ]

    def _tell(self, instance_id: str, state: str) -> None:
        detail = {"instance-id": instance_id, "state": state}
        region = self._emulated.region
        arn = f"arn:aws:ec2:{region}:{instance_id}"
        self._publish(
            event(
                "aws.ec2", "EC2 Instance State-change Notification", detail, [arn], region=region, now=datetime.now(UTC)
            )
        )

    def _address(self, described: Mapping[str, Any], instances: Sequence[Mapping[str, Any]]) -> str:
        """The address that it has, or the next one."""
        taken = {_tags(instance).get(ADDRESS_TAG, "") for instance in instances} | {
            one.instance.address for one in self._machines.values()
        }
        if own := _tags(described).get(ADDRESS_TAG):
            return own
        own = next(
            one for one in (address(self._port, number) for number in range(1, MOST_INSTANCES + 1)) if one not in taken
        )
        self._client.create_tags(Resources=[described["InstanceId"]], Tags=[{"Key": ADDRESS_TAG, "Value": own}])
        return own

    async def _start(self, described: Mapping[str, Any], own_address: str) -> _Machine:
        attribute = await asyncio.to_thread(
            self._client.describe_instance_attribute, InstanceId=described["InstanceId"], Attribute="userData"
        )
        instance = Instance(
            id=described["InstanceId"],
            region=self._emulated.region,
            zone=described["Placement"]["AvailabilityZone"],
            type=described["InstanceType"],
            image=described["ImageId"],
            address=own_address,
            role=self._role.name,
            user_data=base64.b64decode(attribute["UserData"]["Value"]).decode(),
        )
        own = {"ec2:SourceInstanceARN": [instance.arn]}
        await self._emulated.announce(instance.access_key, replace(self._role, context=own))
        metadata = web.AppRunner(MetadataService(instance).application(), access_log=None, shutdown_timeout=0.1)
        await metadata.setup()
        await web.TCPSite(metadata, instance.address, 0).start()
        host, port = metadata.addresses[0][:2]
        root = self._disks / instance.id
        config = materialise(instance.user_data, root)
        environment = {
            **base_environment(),
            "HOME": str(root),
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://{host}:{port}",
            "AWS_ENDPOINT_URL": self._emulated.endpoint,
        }
        keeper = asyncio.create_task(self._keep(instance, [*self._command, "--config", str(config)], environment))
        return _Machine(instance, metadata, keeper)

    async def _keep(self, instance: Instance, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Run the node until the machine goes; start it again when it ends, as systemd would."""
        log = self._logs / f"{instance.id}.log"
        while True:
            _log.info("media-node of %s starts on %s", instance.id, instance.address)
            child = await Child.start(command, log=log, env=environment, cwd=self._disks / instance.id)
            try:
                status = await child.wait()
                _log.warning("media-node of %s has ended with status %d; see %s", instance.id, status, log)
            finally:
                await child.stop()
            await asyncio.sleep(RESTART_SECONDS)

    async def _stop(self, machine: _Machine) -> None:
        machine.keeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await machine.keeper
        await machine.metadata.cleanup()


def _tags(described: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in described.get("Tags", ())}


def materialise(user_data: str, root: Path) -> Path:
    """Write the files of a cloud-config below `root` as cloud-init would below /, and return the node's configuration
    file.

    Paths under /var/lib that files mention are below `root` too: that is where an instance's own disk is.
    """
    for entry in yaml.safe_load(user_data).get("write_files", []):
        path = root / str(entry["path"]).lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(entry["content"].replace('"/var/lib/', f'"{root}/var/lib/'), encoding="utf-8")
        path.chmod(int(str(entry.get("permissions", "0644")), 8))
    config = node_config(user_data)
    (root / str(config["state"]["directory"]).lstrip("/")).mkdir(parents=True, exist_ok=True)
    return root / NODE_CONFIG.lstrip("/")
