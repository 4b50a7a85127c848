"""What `./dev up --data` keeps: orders, the same instances, and who trusts them."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import requests
from botocore.exceptions import BotoCoreError, ClientError

from callvoip.aws import dynamodb_local, tables
from callvoip.aws.deployment import _secrets
from callvoip.aws.endpoint import Emulated
from callvoip.client import Client
from callvoip.data import DataError, opened
from callvoip.lambdas.streams import Position, Positions, Source, _Reader
from callvoip.process import Child, base_environment, listening_socket
from callvoip.system import LocalSystem, StartError

REGION = "eu-central-1"
TABLE: dict[str, Any] = {
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
    "StreamSpecification": {"StreamViewType": "NEW_AND_OLD_IMAGES"},
}
INDEX = {
    "IndexName": "by-state",
    "KeySchema": [{"AttributeName": "state", "KeyType": "HASH"}],
    "Projection": {"ProjectionType": "KEYS_ONLY"},
}
ORDER = {
    "company": "Bakkerij Voorbeeld",
    "name": "Jo de Tester",
    "email": "jo@example.nl",
    "telephone": "085 555 01 23",
    "phones": 2,
    "street": "Voorbeeldstraat",
    "houseNumber": "1",
    "postcode": "3511 AA",
    "city": "Utrecht",
}


async def emulator(tmp_path: Path, *options: str) -> tuple[Child, Emulated]:
    with listening_socket() as listening:
        port, descriptor = listening.getsockname()[1], listening.fileno()
        command = [sys.executable, "-m", "callvoip.aws.emulator", "--fd", str(descriptor), *options]
        child = await Child.start(command, log=tmp_path / "aws.log", env=base_environment(), pass_fds=[descriptor])
    return child, Emulated(f"http://127.0.0.1:{port}", REGION)


@pytest.fixture
async def lasting(tmp_path: Path):
    """The emulated AWS with DynamoDB Local behind it."""
    dynamodb_local.install()
    (tmp_path / "tables").mkdir()
    database, address = await dynamodb_local.start(tmp_path / "tables", tmp_path / "dynamodb.log")
    child, emulated = await emulator(tmp_path, "--tables", address)
    yield emulated
    await child.stop()
    await database.stop()


def completed(customer: Client, order_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + 120
    while True:
        order: dict[str, Any] = customer.get(f"/orders/{order_id}")
        if order["state"] == "completed":
            return order
        assert time.monotonic() < deadline, order
        time.sleep(0.2)


def call(system: LocalSystem, sip: dict[str, Any], phones: list[dict[str, str]]) -> dict[str, Any]:
    """A call through the node; it is tried again for as long as the node does not know the phones."""
    caller, callee = (f"{phone['username']}:{phone['password']}" for phone in phones)
    command = [
        *(sys.executable, "-m", "media_node.probe", "--json", "--seconds", "1", "--ca-file", str(system.ca_file)),
        *(
            "--host",
            system.locate(sip["host"])[0].host,
            "--port",
            str(sip["port"]),
            "--domain",
            sip["domain"],
            "--caller",
            caller,
            "--callee",
            callee,
        ),
    ]
    deadline = time.monotonic() + 40
    while True:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0 or time.monotonic() > deadline:
            assert done.returncode == 0, done.stdout + done.stderr
            return dict(json.loads(done.stdout))
        time.sleep(0.5)


def mails_until_in_service(system: LocalSystem, to: str) -> list[dict[str, Any]]:
    """The mails of one order that is completed, once they are all there."""
    deadline = time.monotonic() + 30
    while len(found := mails(system, to)) < 3 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert [mail["subject"].partition(" (")[0] for mail in found] == [
        "De versleuteling van uw gesprekken staat klaar",
        "Uw bestelling is goedgekeurd",
        "Wij hebben uw bestelling ontvangen",
    ]
    return found


def mails(system: LocalSystem, to: str) -> list[dict[str, Any]]:
    sent = requests.get(f"{system.site}/_local/mail.json", timeout=10).json()
    return [mail for mail in sent if to in mail["to"]]


@pytest.mark.timeout(400)  # whole systems, one after the other
@pytest.mark.needs("java")
def test_after_a_restart_orders_are_there_and_phones_call_as_before(tmp_path):
    data = tmp_path / "data"
    with LocalSystem.start(data=data) as system:
        placed = Client(system.api).post("/orders", ORDER)
        waiting = Client(system.api).post(
            "/orders", {**ORDER, "email": "an@example.com", "company": "Slagerij Voorbeeld"}
        )
        sales = Client.signed_in(system.site, system.api, system.sales_user, system.sales_password)
        sales.post(f"/sales/orders/{placed['id']}/approve")
        customer = Client(system.api, placed["token"])
        before = completed(customer, placed["id"])
        phones = customer.post(f"/orders/{placed['id']}/credentials")["phones"]
        authority = system.ca_file.read_text()
        sent = mails_until_in_service(system, "jo@example.nl")
        with pytest.raises(StartError, match="another local system"):
            LocalSystem.start(data=data)

    with LocalSystem.start(data=data) as system:
        again = Client(system.api, placed["token"]).get(f"/orders/{placed['id']}")
        assert again == {**before, "credentials": "issued", "credentialsIssuedAt": again["credentialsIssuedAt"]} | {
            name: again[name] for name in ("version", "events")
        }
        assert Client(system.api, waiting["token"]).get(f"/orders/{waiting['id']}")["state"] == "acknowledged"
        assert system.ca_file.read_text() == authority
        assert call(system, again["sip"], phones)["audio_ok"]
        sales = Client.signed_in(system.site, system.api, system.sales_user, system.sales_password)
        node = sales.get(f"/sales/orders/{placed['id']}")["node"]
        # What waited is served by the same node, as soon as it is back.
        sales.post(f"/sales/orders/{waiting['id']}/approve")
        completed(Client(system.api, waiting["token"]), waiting["id"])
        assert sales.get(f"/sales/orders/{waiting['id']}")["node"]["id"] == node["id"]
        mails_until_in_service(system, "an@example.com")
        told = mails(system, "jo@example.nl")
        assert {mail["id"] for mail in sent} <= {mail["id"] for mail in told}, "none lost"
        subjects = [mail["subject"] for mail in told]
        assert len(set(subjects)) == len(subjects), "none sent twice"


@pytest.mark.timeout(400)  # whole systems, one after the other
@pytest.mark.needs("java")
def test_an_order_in_progress_goes_on_after_the_system_was_killed(tmp_path):
    data = tmp_path / "data"
    system = LocalSystem.start(data=data)
    placed = Client(system.api).post("/orders", ORDER)
    sales = Client.signed_in(system.site, system.api, system.sales_user, system.sales_password)
    sales.post(f"/sales/orders/{placed['id']}/approve")
    system.process.kill()
    system.process.wait()
    time.sleep(1)  # its processes end with it
    with LocalSystem.start(data=data) as system:
        assert completed(Client(system.api, placed["token"]), placed["id"])["sip"]["host"]


@pytest.mark.needs("java")
async def test_the_emulated_aws_passes_dynamodb_on_and_tells_of_its_writes(lasting):
    client = lasting.client("dynamodb")
    stream = tables.make(client, "orders", TABLE)
    assert tables.make(client, "orders", TABLE) == stream, "a table that is there is kept"
    async with lasting.changes("dynamodb") as changes:
        await anext(changes)
        client.put_item(TableName="orders", Item={"pk": {"S": "a"}})
        await anext(changes)
    with pytest.raises(ClientError, match="ConditionalCheckFailed"):
        client.put_item(TableName="orders", Item={"pk": {"S": "a"}}, ConditionExpression="attribute_not_exists(pk)")


@pytest.mark.needs("java")
async def test_an_index_that_is_new_in_the_template_is_made_and_other_keys_are_refused(lasting):
    client = lasting.client("dynamodb")
    tables.make(client, "orders", TABLE)
    attributes = [*TABLE["AttributeDefinitions"], {"AttributeName": "state", "AttributeType": "S"}]
    tables.make(client, "orders", {**TABLE, "AttributeDefinitions": attributes, "GlobalSecondaryIndexes": [INDEX]})
    client.put_item(TableName="orders", Item={"pk": {"S": "a"}, "state": {"S": "held"}, "phones": {"N": "2"}})
    wider = {**INDEX, "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["phones"]}}
    for _ in range(2):
        tables.make(client, "orders", {**TABLE, "AttributeDefinitions": attributes, "GlobalSecondaryIndexes": [wider]})
    found = client.query(
        TableName="orders",
        IndexName="by-state",
        KeyConditionExpression="#s = :s",
        ExpressionAttributeNames={"#s": "state"},
        ExpressionAttributeValues={":s": {"S": "held"}},
    )
    assert found["Items"] == [{"pk": {"S": "a"}, "state": {"S": "held"}, "phones": {"N": "2"}}]
    with pytest.raises(RuntimeError, match="another --data"):
        tables.make(client, "orders", {**TABLE, "KeySchema": [{"AttributeName": "sk", "KeyType": "HASH"}]})


@pytest.mark.needs("java")
async def test_a_stream_is_read_on_from_where_it_was_left(lasting, tmp_path):
    client = lasting.client("dynamodb")
    source = Source(stream=tables.make(client, "orders", TABLE), function="f", batch=2)

    def read() -> list[str]:
        positions = Positions(tmp_path / "streams.json")
        batches, position = _Reader(source, lasting).read(positions.of(source))
        assert position
        positions.move(source, position)
        assert all(len(batch) <= 2 for batch in batches)
        return [record["dynamodb"]["Keys"]["pk"]["S"] for batch in batches for record in batch]

    for name in "abc":
        client.put_item(TableName="orders", Item={"pk": {"S": name}})
    assert read() == ["a", "b", "c"]
    assert read() == []
    client.put_item(TableName="orders", Item={"pk": {"S": "d"}})
    assert read() == ["d"]


@pytest.mark.needs("java")
async def test_dynamodb_local_that_is_killed_is_started_again_with_its_tables(tmp_path):
    await asyncio.to_thread(dynamodb_local.install)
    lost: list[str] = []
    async with dynamodb_local.Database(tmp_path, tmp_path / "log", lost.append) as database:
        client = Emulated(f"http://{database.address}", REGION).client("dynamodb")
        client.create_table(
            TableName="orders", **{name: TABLE[name] for name in TABLE if name != "StreamSpecification"}
        )
        client.put_item(TableName="orders", Item={"pk": {"S": "a"}})
        os.kill(database.pid, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while True:
            try:
                item = await asyncio.to_thread(client.get_item, TableName="orders", Key={"pk": {"S": "a"}})
                break
            except BotoCoreError:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.2)
        assert item["Item"] == {"pk": {"S": "a"}}
    assert lost == []


@pytest.mark.needs("java")
async def test_dynamodb_local_that_cannot_be_started_again_is_told(tmp_path, monkeypatch):
    await asyncio.to_thread(dynamodb_local.install)
    told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with dynamodb_local.Database(tmp_path, tmp_path / "log", told.set_result) as database:
        monkeypatch.setattr(dynamodb_local, "command", lambda *_: ["false"])
        os.kill(database.pid, signal.SIGKILL)
        assert "does not start" in await asyncio.wait_for(told, 60)


def test_without_java_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(dynamodb_local.MissingError, match="apt-get install default-jre-headless"):
        dynamodb_local.install()


def test_generated_secrets_stay_what_they_are(tmp_path):
    first = _secrets(["a"], tmp_path / "s")
    second = _secrets(["a", "b"], tmp_path / "s")
    assert second["a"] == first["a"] and len(set(second.values())) == 2
    assert (tmp_path / "s").stat().st_mode & 0o077 == 0
    assert _secrets(["a"], None) != first


def test_positions_are_kept_for_each_function_and_stream(tmp_path):
    one, other = Source("s", "f", 1), Source("s", "g", 1)
    Positions(tmp_path / "p").move(one, Position("shard", "7"))
    assert Positions(tmp_path / "p").of(one) == Position("shard", "7")
    assert Positions(tmp_path / "p").of(other) is None


@pytest.mark.usefixtures("processes")
async def test_instances_run_again_after_a_restart_and_ended_ones_do_not(tmp_path):
    options = ("--instances", str(tmp_path / "ec2.json"))
    child, emulated = await emulator(tmp_path, *options)
    client = emulated.client("ec2")
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "callvoip:node", "Value": "n0001"}]}]
    request = {
        "ImageId": "ami-12345678",
        "InstanceType": "c7g.medium",
        "UserData": "#cloud-config",
        "TagSpecifications": tags,
    }
    kept, ended = (client.run_instances(MinCount=1, MaxCount=1, **request)["Instances"][0] for _ in range(2))
    client.terminate_instances(InstanceIds=[ended["InstanceId"]])
    await child.stop()

    child, emulated = await emulator(tmp_path, *options)
    client = emulated.client("ec2")
    [reservation] = client.describe_instances()["Reservations"]
    [instance] = reservation["Instances"]
    for name in ("InstanceId", "InstanceType", "ImageId", "LaunchTime", "Placement", "Tags"):
        assert instance[name] == kept[name], name
    data = client.describe_instance_attribute(InstanceId=kept["InstanceId"], Attribute="userData")
    assert data["UserData"]["Value"] == "I2Nsb3VkLWNvbmZpZw=="
    await child.stop()


def test_a_directory_serves_one_system_at_a_time_and_its_owner_only(tmp_path):
    with opened(tmp_path / "d") as data:
        assert data.directory.stat().st_mode & 0o077 == 0
        with pytest.raises(DataError, match="another"), opened(tmp_path / "d"):
            pass
    with opened(tmp_path / "d"):
        pass
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot keep"), opened(tmp_path / "file"):
        pass
