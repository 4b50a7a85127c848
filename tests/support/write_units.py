"""What AWS bills for the writes of an act, in write units.

DynamoDB Local counts a single write as AWS does, but not those of a transaction (it says 4.0 of one small put, and of
four together too). So each write of a transaction is weighed alone. Of a transaction AWS bills the table's units twice
and the index's once:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html
"""

from collections.abc import Callable, Mapping
from typing import Any

from shared import dynamodb


def of(act: Callable[[], object]) -> float:
    """The write units of all puts and updates that `act` makes through `shared.dynamodb`; raises NotImplementedError
    for other writes.
    """
    units: list[float] = []

    def single(parsed: Mapping[str, Any], **_: object) -> None:
        units.append(parsed["ConsumedCapacity"]["CapacityUnits"])

    def ask(params: dict[str, Any], **_: object) -> None:
        params["ReturnConsumedCapacity"] = "INDEXES"

    def transaction(params: Mapping[str, Any], **_: object) -> None:
        for operation in params["TransactItems"]:
            units.append(_in_a_transaction(operation))

    handlers: dict[str, Callable[..., None]] = {"provide-client-params.dynamodb.TransactWriteItems": transaction}
    for operation in ("PutItem", "UpdateItem", "DeleteItem"):
        handlers[f"provide-client-params.dynamodb.{operation}"] = ask
        handlers[f"after-call.dynamodb.{operation}"] = single
    events = dynamodb.client().meta.events
    for name, handler in handlers.items():
        events.register(name, handler)
    try:
        act()
    finally:
        for name, handler in handlers.items():
            events.unregister(name, handler)
    return sum(units)


def _in_a_transaction(operation: Mapping[str, Any]) -> float:
    """Make the write alone on the table as it is, before the transaction does, and take it back."""
    match dict(operation):
        case {"Put": {"TableName": str(table), "Item": item}}:
            pass
        case {"Update": {"TableName": str(table), "Key": key}}:
            # What an update makes of the item: it is weighed as a put of the item as it is, which is as small.
            item = {**_other_client().get_item(TableName=table, Key=key).get("Item", {}), **key}
        case _:
            raise NotImplementedError(f"a transaction with a {next(iter(operation))} is not weighed")
    client = _other_client()
    told = client.put_item(TableName=table, Item=item, ReturnConsumedCapacity="INDEXES", ReturnValues="ALL_OLD")
    if "Attributes" in told:
        client.put_item(TableName=table, Item=told["Attributes"])
    else:
        client.delete_item(TableName=table, Key={name: item[name] for name in ("pk", "sk")})
    used = told["ConsumedCapacity"]
    indexes: Mapping[str, Any] = used.get("GlobalSecondaryIndexes", {})
    return float(2 * used["Table"]["CapacityUnits"] + sum(index["CapacityUnits"] for index in indexes.values()))


def _other_client() -> Any:
    """A client whose writes nobody counts."""
    return dynamodb.client.__wrapped__()
