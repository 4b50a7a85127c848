"""Instances as processes: each with its own address, metadata service and files."""

import asyncio
import json
import os
import sys
import tomllib
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from callvoip.aws.endpoint import Emulated
from callvoip.aws.permissions import Principal
from callvoip.nodes.ec2 import Ec2, address, materialise, node_config
from callvoip.process import listening_socket

USER_DATA = """#cloud-config
write_files:
  - path: /etc/media-node/node.toml
    permissions: "0600"
    content: |
      [sip]
      port = 5061
      [state]
      directory = "/var/lib/media-node"
runcmd:
  - echo installing
"""

# Stands in for media-node: asks who it is as boto3 would, and writes it down.
NODE = """
import json, os, sys, time, tomllib, boto3, urllib.request
endpoint = os.environ["AWS_EC2_METADATA_SERVICE_ENDPOINT"]
request = urllib.request.Request(endpoint + "/latest/api/token", method="PUT", headers={"X-aws-ec2-metadata-token-ttl-seconds": "60"})
token = urllib.request.urlopen(request).read().decode()
def get(path):
    request = urllib.request.Request(endpoint + path, headers={"X-aws-ec2-metadata-token": token})
    return urllib.request.urlopen(request).read().decode()
config = tomllib.load(open(sys.argv[sys.argv.index("--config") + 1], "rb"))
said = {"pid": os.getpid(), "address": get("/latest/meta-data/local-ipv4"), "config": config,
        "document": json.loads(get("/latest/dynamic/instance-identity/document")), "endpoint": endpoint,
        "key": boto3.Session().get_credentials().access_key}
with open(os.path.join(config["state"]["directory"], "said.json"), "w") as file:
    json.dump(said, file)
time.sleep(60)
"""


NODE_ROLE = Principal("NodeRole", ())


@pytest.fixture
def port() -> int:
    with listening_socket() as listening:
        return int(listening.getsockname()[1])


@pytest.fixture
def happened() -> list[tuple[str, str]]:
    return []


@pytest.fixture
async def ec2(emulated: Emulated, port: int, tmp_path: Path, happened) -> AsyncIterator[Ec2]:
    def publish(event):
        happened.append((event["detail"]["instance-id"], event["detail"]["state"]))

    node = tmp_path / "node.py"
    node.write_text(NODE)
    async with Ec2(
        emulated,
        port=port,
        role=NODE_ROLE,
        disks=tmp_path,
        logs=tmp_path / "logs",
        publish=publish,
        command=[sys.executable, str(node)],
    ) as running:
        yield running


async def launch(emulated: Emulated) -> str:
    client = emulated.client("ec2")
    made = await asyncio.to_thread(
        client.run_instances, MinCount=1, MaxCount=1, ImageId="ami-12345678", UserData=USER_DATA
    )
    return str(made["Instances"][0]["InstanceId"])


async def eventually(check: Callable[[], object], seconds: float = 15) -> None:
    for _ in range(int(seconds / 0.05)):
        if check():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not happen")


async def said(tmp_path: Path, instance: str) -> Any:
    path = tmp_path / instance / "var/lib/media-node/said.json"
    await eventually(lambda: path.exists() and path.stat().st_size)
    return json.loads(path.read_text())


async def test_an_instance_is_a_process_that_knows_who_it_is(ec2, emulated, port, tmp_path, happened):
    instance = await launch(emulated)
    told = await said(tmp_path, instance)
    assert told["address"] == address(port, 1)
    assert told["document"]["instanceId"] == instance
    assert told["document"]["region"] == "eu-central-1"
    assert told["key"].startswith("ASIA"), "credentials come from the metadata service"
    assert told["config"]["state"]["directory"] == f"{tmp_path}/{instance}/var/lib/media-node"
    await eventually(lambda: happened == [(instance, "pending"), (instance, "running")])


async def test_every_instance_has_an_address_of_its_own(ec2, emulated, tmp_path):
    first, second = await launch(emulated), await launch(emulated)
    assert len({(await said(tmp_path, first))["address"], (await said(tmp_path, second))["address"]}) == 2


async def test_terminating_ends_the_process_and_tells(ec2, emulated, tmp_path, happened):
    instance = await launch(emulated)
    told = await said(tmp_path, instance)
    await asyncio.to_thread(emulated.client("ec2").terminate_instances, InstanceIds=[instance])
    await eventually(lambda: [state for _, state in happened] == ["pending", "running", "shutting-down", "terminated"])
    with pytest.raises(ProcessLookupError):
        os.kill(told["pid"], 0)
    with pytest.raises(urllib.error.URLError):
        await asyncio.to_thread(urllib.request.urlopen, told["endpoint"])


async def test_a_node_that_dies_is_started_again(ec2, emulated, tmp_path):
    instance = await launch(emulated)
    told = await said(tmp_path, instance)
    os.kill(told["pid"], 9)

    def again() -> bool:
        path = tmp_path / instance / "var/lib/media-node/said.json"
        return bool(path.stat().st_size) and json.loads(path.read_text())["pid"] != told["pid"]

    await eventually(again)


async def test_the_metadata_service_answers_only_with_a_token(ec2, emulated, tmp_path):
    told = await said(tmp_path, await launch(emulated))
    with pytest.raises(urllib.error.HTTPError, match="401"):
        await asyncio.to_thread(urllib.request.urlopen, told["endpoint"] + "/latest/meta-data/instance-id")


@pytest.mark.parametrize(
    ("port", "number", "expected"), [(8080, 1, "127.31.144.2"), (65535, 1, "127.255.255.2"), (8081, 3, "127.31.145.4")]
)
def test_addresses_follow_from_the_sites_port(port, number, expected):
    assert address(port, number) == expected


def test_files_of_the_user_data_stand_below_the_instances_root(tmp_path):
    config = materialise(USER_DATA, tmp_path)
    assert config == tmp_path / "etc/media-node/node.toml"
    assert config.stat().st_mode & 0o777 == 0o600
    assert tomllib.loads(config.read_text())["state"]["directory"] == f"{tmp_path}/var/lib/media-node"
    assert (tmp_path / "var/lib/media-node").is_dir()


def test_user_data_without_a_configuration_is_an_error():
    with pytest.raises(LookupError):
        node_config("#cloud-config\nruncmd: []\n")
