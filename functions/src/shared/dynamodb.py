"""DynamoDB's low-level client with plain Python values, and transactions whose refusals are domain errors."""

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import ConnectionError as NotConnectedError
from botocore.exceptions import HTTPClientError

from shared import aws, settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import QueryOutputTypeDef, TransactWriteItemTypeDef

Item = dict[str, Any]
"""An item with plain values: str, int, float, bool, None, list, dict and frozenset of str."""

Refused = Callable[[Item | None], Exception]
"""Makes the domain error of a failed condition; gets the item as it was, None when there was none."""

_ATTEMPTS = 12
_LONGEST_PAUSE_S = 0.4


UNREACHABLE = (HTTPClientError, NotConnectedError)
"""What botocore raises when DynamoDB does not answer in time, or cannot be asked at all."""


class BusyError(Exception):
    """Others kept changing the same items; nothing was written and trying again may help."""


@cache
def client() -> "DynamoDBClient":
    """The process' one client. Where a person is waiting it asks once, and not for long; all else asks again."""
    patience = settings.store_timeout_s()
    if patience is None:
        return cast("DynamoDBClient", aws.client("dynamodb", connect_timeout_s=2, read_timeout_s=5, attempts=4))
    return cast("DynamoDBClient", aws.client("dynamodb", connect_timeout_s=1, read_timeout_s=patience, attempts=1))


def marshal(item: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values as DynamoDB's typed attribute values."""
    return {name: _typed(value) for name, value in item.items()}


def unmarshal(item: Mapping[str, Any]) -> Item:
    """DynamoDB's typed attribute values as plain values; whole numbers are int, others float."""
    return {name: _plain(value) for name, value in item.items()}


def _typed(value: Any) -> dict[str, Any]:
    """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html."""
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case str():
            return {"S": str(value)}
        case int() | float():
            return {"N": str(value)}
        case Mapping():
            return {"M": marshal(value)}
        case frozenset():
            return {"SS": sorted(value)}
        case list() | tuple():
            return {"L": [_typed(member) for member in value]}
    raise TypeError(f"DynamoDB has no type for {type(value).__name__}")


def _plain(value: Mapping[str, Any]) -> Any:
    [(kind, inner)] = value.items()
    try:
        return _PLAIN[kind](inner)
    except KeyError:
        raise TypeError(f"no plain value for the attribute value {set(value)}") from None


def _number(text: str) -> int | float:
    if text.isdecimal():
        return int(text)
    exact = Decimal(text)
    return int(exact) if exact == exact.to_integral_value() else float(exact)


_PLAIN: Mapping[str, Callable[[Any], Any]] = {
    "NULL": lambda _: None,
    "BOOL": bool,
    "S": str,
    "N": _number,
    "SS": frozenset,
    "M": unmarshal,
    "L": lambda members: [_plain(member) for member in members],
}
"""By DynamoDB's names of types."""


@dataclass(frozen=True)
class Write:
    """One write of a transaction and the error that its failed condition means."""

    operation: "TransactWriteItemTypeDef"
    refused: Refused


def put(table: str, item: Mapping[str, Any], refused: Refused, condition: str, **values: Any) -> Write:
    """Put an item on a condition; `values` are the condition's :values, and #state, #version, #at stand for reserved
    words.
    """
    return Write({"Put": {"TableName": table, "Item": marshal(item), **_condition(condition, values)}}, refused)  # type: ignore[typeddict-item]


def update(
    table: str, key: Mapping[str, str], expression: str, refused: Refused, condition: str, **values: Any
) -> Write:
    """Update an item on a condition; `values` are the :values of both expressions."""
    names = _names(f"{expression} {condition}")
    operation = {
        "TableName": table,
        "Key": marshal(key),
        "UpdateExpression": expression,
        **_condition(condition, values, names),
    }
    return Write({"Update": operation}, refused)  # type: ignore[typeddict-item]


def delete(table: str, key: Mapping[str, str], refused: Refused, condition: str, **values: Any) -> Write:
    """Delete an item on a condition."""
    return Write({"Delete": {"TableName": table, "Key": marshal(key), **_condition(condition, values)}}, refused)  # type: ignore[typeddict-item]


def check(table: str, key: Mapping[str, str], refused: Refused, condition: str, **values: Any) -> Write:
    """Only check a condition on an item that the transaction does not write."""
    operation = {"TableName": table, "Key": marshal(key), **_condition(condition, values)}
    return Write({"ConditionCheck": operation}, refused)  # type: ignore[typeddict-item]


def transact(*writes: Write) -> None:
    """Write all or nothing; raises the error of the first write whose condition failed, or BusyError.

    Cancellation reasons stand in the order of the writes:
    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
    """
    operations = [write.operation for write in writes]
    for attempt in range(_ATTEMPTS):
        try:
            client().transact_write_items(TransactItems=operations)
        except client().exceptions.TransactionCanceledException as cancelled:
            reasons = cancelled.response["CancellationReasons"]
            for write, reason in zip(writes, reasons, strict=True):
                if reason.get("Code") == "ConditionalCheckFailed":
                    item = reason.get("Item")
                    raise write.refused(unmarshal(item) if item else None) from None
            if any(reason.get("Code") == "ValidationError" for reason in reasons):
                raise
        except client().exceptions.TransactionInProgressException:
            pass
        else:
            return
        # Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
        time.sleep(random.uniform(0, min(_LONGEST_PAUSE_S, 0.01 * 2**attempt)))  # noqa: S311
    raise BusyError


def get(table: str, pk: str, sk: str) -> Item | None:
    """One item, read consistently; None when there is none."""
    found = client().get_item(TableName=table, Key=marshal({"pk": pk, "sk": sk}), ConsistentRead=True)
    return unmarshal(found["Item"]) if "Item" in found else None


def partition(table: str, pk: str, prefix: str = "") -> Iterator[Item]:
    """All items of a partition whose sort key begins with `prefix`, in its order, read consistently."""
    condition, values = "pk = :pk", {":pk": pk}
    if prefix:
        condition, values = "pk = :pk AND begins_with(sk, :prefix)", {":pk": pk, ":prefix": prefix}
    for page in pages(
        TableName=table,
        KeyConditionExpression=condition,
        ExpressionAttributeValues=marshal(values),
        ConsistentRead=True,
    ):
        yield from map(unmarshal, page["Items"])


def pages(**query: Any) -> Iterator["QueryOutputTypeDef"]:
    """All pages of a query.

    botocore has paginators for it, whose import and description take longer than most requests.
    """
    while True:
        page = client().query(**query)
        yield page
        if "LastEvaluatedKey" not in page:
            return
        query["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def add(table: str, pk: str, sk: str, expires_at: int, **amounts: int | frozenset[str]) -> None:
    """Add numbers to numbers and members to sets of one item, which is made if need be; `expires_at` is epoch
    seconds.
    """
    client().update_item(
        TableName=table,
        Key=marshal({"pk": pk, "sk": sk}),
        UpdateExpression=f"SET expiresAt = :expiresAt ADD {', '.join(f'{name} :{name}' for name in amounts)}",
        ExpressionAttributeValues=marshal(
            {":expiresAt": expires_at, **{f":{name}": amount for name, amount in amounts.items()}}
        ),
    )


def batch_get(table: str, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Item]:
    """The items of the (pk, sk) pairs that exist, read consistently."""
    found: dict[tuple[str, str], Item] = {}
    waiting = [marshal({"pk": pk, "sk": sk}) for pk, sk in dict.fromkeys(keys)]
    while waiting:
        answer = client().batch_get_item(RequestItems={table: {"Keys": waiting[:100], "ConsistentRead": True}})
        for item in map(unmarshal, answer["Responses"].get(table, [])):
            found[item["pk"], item["sk"]] = item
        left = answer["UnprocessedKeys"].get(table)
        waiting = [*(left["Keys"] if left else []), *waiting[100:]]
    return found


def _names(expression: str) -> dict[str, str]:
    """Attribute names for the placeholders in an expression: #state is the attribute `state`."""
    return {
        word: word[1:]
        for word in expression.replace("(", " ").replace(")", " ").replace(",", " ").split()
        if word.startswith("#")
    }


def _condition(condition: str, values: Mapping[str, Any], names: Mapping[str, str] | None = None) -> dict[str, Any]:
    made: dict[str, Any] = {"ConditionExpression": condition, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    names = names if names is not None else _names(condition)
    if names:
        made["ExpressionAttributeNames"] = dict(names)
    if values:
        made["ExpressionAttributeValues"] = marshal({f":{name}": value for name, value in values.items()})
    return made


if settings.in_lambda():
    # While the function starts, so that its first request does not wait for it.
    client()
