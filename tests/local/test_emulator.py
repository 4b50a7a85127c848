"""What the emulated AWS does better than moto alone."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from callvoip.lambdas.streams import Source, _Reader


@pytest.fixture
def table(emulated) -> str:
    emulated.client("dynamodb").create_table(
        TableName="t",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return "t"


def test_a_failing_transaction_loses_nobody_elses_writes(emulated, table):
    def fail() -> None:
        client = emulated.client("dynamodb")
        for _ in range(20):
            put = {"TableName": table, "Item": {"pk": {"S": "never"}}, "ConditionExpression": "attribute_exists(pk)"}
            with pytest.raises(ClientError, match="TransactionCanceled"):
                client.transact_write_items(TransactItems=[{"Put": put}])

    def write(start: int) -> None:
        client = emulated.client("dynamodb")
        for number in range(start, start + 40):
            client.put_item(TableName=table, Item={"pk": {"S": str(number)}})

    with ThreadPoolExecutor() as pool:
        for work in [pool.submit(fail), pool.submit(fail), pool.submit(write, 0), pool.submit(write, 100)]:
            work.result()
    assert emulated.client("dynamodb").scan(TableName=table, Select="COUNT")["Count"] == 80


def test_a_failing_transaction_leaves_neither_item_nor_record(emulated, table):
    client = emulated.client("dynamodb")
    client.update_table(TableName=table, StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"})

    def put(pk: str, condition: str) -> dict[str, object]:
        return {"Put": {"TableName": table, "Item": {"pk": {"S": pk}}, "ConditionExpression": condition}}

    def records() -> list[str]:
        streams = emulated.client("dynamodbstreams")
        arn = client.describe_table(TableName=table)["Table"]["LatestStreamArn"]
        [shard] = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
        at = streams.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")[
            "ShardIterator"
        ]
        return [
            record["dynamodb"]["NewImage"]["pk"]["S"] for record in streams.get_records(ShardIterator=at)["Records"]
        ]

    absent, present = "attribute_not_exists(pk)", "attribute_exists(pk)"
    client.transact_write_items(TransactItems=[put("a", absent), put("b", absent)])
    with pytest.raises(ClientError, match="TransactionCanceled"):
        client.transact_write_items(TransactItems=[put("c", absent), put("d", present)])
    client.transact_write_items(TransactItems=[put("e", absent)])
    assert records() == ["a", "b", "e"]
    assert sorted(item["pk"]["S"] for item in client.scan(TableName=table)["Items"]) == ["a", "b", "e"]


async def test_whoever_waits_hears_of_writes_and_not_of_reads(emulated, table):
    client = emulated.client("dynamodb")
    async with emulated.changes("dynamodb") as changes:
        await anext(changes)
        waiting = asyncio.ensure_future(anext(changes))
        await asyncio.to_thread(client.get_item, TableName=table, Key={"pk": {"S": "x"}})
        await asyncio.to_thread(emulated.client("ec2").describe_instances)
        await asyncio.sleep(0.2)
        assert not waiting.done()
        await asyncio.to_thread(client.put_item, TableName=table, Item={"pk": {"S": "x"}})
        await asyncio.wait_for(waiting, 2)


def test_a_change_of_names_is_pending_until_the_name_server_answers_by_it(emulated):
    client = emulated.client("route53")

    def change() -> object:
        record = {"Name": "a.example.nl", "Type": "A", "TTL": 30, "ResourceRecords": [{"Value": "192.0.2.1"}]}
        batch = {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": record}]}
        return client.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)["ChangeInfo"]["Id"]

    def status(made: object) -> object:
        return client.get_change(Id=made)["ChangeInfo"]["Status"]

    async def follow() -> None:
        async with emulated.changes("route53") as changes:
            await emulated.followed("route53", await anext(changes))

    zone = client.create_hosted_zone(Name="example.nl", CallerReference="x")["HostedZone"]["Id"]
    assert status(change()) == "INSYNC", "nobody follows"
    asyncio.run(follow())
    made = change()
    assert status(made) == "PENDING"
    asyncio.run(follow())
    assert status(made) == "INSYNC"


def launch(emulated, token: str, **changes):
    request = {
        "ImageId": "ami-12345678",
        "InstanceType": "c7g.medium",
        "MinCount": 1,
        "MaxCount": 1,
        "ClientToken": token,
        **changes,
    }
    return emulated.client("ec2").run_instances(**request)["Instances"][0]["InstanceId"]


def test_the_same_client_token_gives_the_same_instance(emulated):
    with ThreadPoolExecutor() as pool:
        first = {work.result() for work in [pool.submit(launch, emulated, "a") for _ in range(4)]}
    assert len(first) == 1
    assert launch(emulated, "b") not in first


def test_a_client_token_with_another_request_is_refused(emulated):
    launch(emulated, "a")
    with pytest.raises(ClientError, match="IdempotentParameterMismatch"):
        launch(emulated, "a", InstanceType="c8g.medium")


def test_a_stream_tells_of_every_order_that_is_there_and_of_no_other_however_many_conflict(emulated, table):
    """Good and conflicting transactions at once, while the stream is read as the functions' triggers read it."""
    client = emulated.client("dynamodb")
    client.update_table(TableName=table, StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"})
    arn = client.describe_table(TableName=table)["Table"]["LatestStreamArn"]
    placed: list[str] = []
    done = threading.Event()

    def place(worker: int) -> None:
        """Orders of ten customers: whoever has one open gets no second one."""
        client = emulated.client("dynamodb")
        for number in range(20):
            order, customer = f"ORDER#{worker}-{number}", f"OPEN#{number % 10 + 10 * (worker % 3)}"
            puts = [
                {"TableName": table, "Item": {"pk": {"S": pk}}, "ConditionExpression": "attribute_not_exists(pk)"}
                for pk in (order, customer)
            ]
            try:
                client.transact_write_items(TransactItems=[{"Put": put} for put in puts])
            except client.exceptions.TransactionCanceledException:
                continue
            placed.append(order)
            assert client.get_item(TableName=table, Key={"pk": {"S": order}})["Item"]

    def read() -> list[str]:
        reader, position, told = _Reader(Source(stream=arn, function="f", batch=10), emulated), None, []
        while True:
            last = done.is_set()
            batches, position = reader.read(position)
            told += [record["dynamodb"]["NewImage"]["pk"]["S"] for batch in batches for record in batch]
            if last:
                return told

    with ThreadPoolExecutor() as pool:
        reading = [pool.submit(read) for _ in range(2)]
        for work in [pool.submit(place, worker) for worker in range(6)]:
            work.result()
        done.set()
        for told in reading:
            orders = [pk for pk in told.result() if pk.startswith("ORDER#")]
            assert sorted(orders) == sorted(placed)
    stored = {item["pk"]["S"] for item in client.scan(TableName=table)["Items"]}
    assert len(placed) == 30 and set(placed) == {pk for pk in stored if pk.startswith("ORDER#")}
