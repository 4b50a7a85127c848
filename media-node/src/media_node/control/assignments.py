"""What this node has to serve: the assignments in its own partition of the fleet table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from media_node.call.directory import Environment, Limits, Number, Phone, Role, Site
from media_node.control.aws import from_item

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PREFIX = "ASSIGNMENT#"
T = TypeVar("T")


@dataclass(frozen=True)
class Assigned:
    """The environments to serve, and what is wrong with items that are none: one bad item does not take the others
    away.
    """

    environments: tuple[Environment, ...]
    errors: tuple[str, ...] = ()


@dataclass(frozen=True)
class Parsed:
    """One environment, and what in its item was left out."""

    environment: Environment
    errors: tuple[str, ...] = ()


def read(client: DynamoDBClient, table: str, arn: str) -> Assigned:
    """All assignments, read consistently; blocks. Raises aws.Unavailable."""
    pages = client.get_paginator("query").paginate(
        TableName=table,
        ConsistentRead=True,
        KeyConditionExpression="pk = :node AND begins_with(sk, :prefix)",
        ExpressionAttributeValues={":node": {"S": arn}, ":prefix": {"S": PREFIX}},
    )
    environments, errors = list[Environment](), list[str]()
    for item in (from_item(item) for page in pages for item in page["Items"]):
        try:
            parsed = parse(item)
            environments.append(parsed.environment)
            errors += [f"{item['sk']}: {error}" for error in parsed.errors]
        except ValueError as error:
            errors.append(f"{item['sk']}: {error}")
    return Assigned(tuple(environments), tuple(errors))


def parse(item: Mapping[str, Any]) -> Parsed:
    """One ASSIGNMENT item: the environment, and what in it is odd and was left out. Fields that are not known are
    ignored. Raises ValueError for an item without which nothing can be served.
    """
    try:
        customer, encrypted = str(item["customerId"]), bool(item["encrypted"])
        # Until the fleet speaks of environments it names its assignments by order.
        environment_id = str(item.get("environmentId") or item["orderId"])
        version = int(item["version"])
        described = list(item["phones"])
    except (KeyError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise ValueError(f"not an assignment: {error!r}") from error
    errors: list[str] = []

    def each(name: str, values: Any, read: Callable[[Mapping[str, Any]], T]) -> tuple[T, ...]:
        good: list[T] = []
        for place, value in enumerate(values if isinstance(values, list | tuple) else ()):
            try:
                good.append(read(value))
            except (KeyError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
                errors.append(f"{name}[{place}]: {error!r}")
        return tuple(good)

    def one(name: str, read: Callable[[], T], default: T) -> T:
        try:
            return read()
        except (KeyError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
            errors.append(f"{name}: {error!r}")
            return default

    environment = Environment(
        environment_id=environment_id,
        customer_id=customer,
        encrypted=encrypted,
        calls=one("calls", lambda: int(item.get("calls") or 0), 0),
        version=version,
        phones=each("phones", described, lambda value: _phone(value, customer, encrypted)),
        sites=each("sites", item.get("sites"), _site),
        numbers=each("numbers", item.get("numbers"), _number),
        limits=one("limits", lambda: _limits(item.get("limits") or {}), Limits()),
        role=one("role", lambda: Role(item.get("role") or Role.PRIMARY), Role.PRIMARY),
        epoch=one("epoch", lambda: int(item.get("epoch") or 0), 0),
        served=bool(item.get("served", True)),
        suspended=bool(item.get("suspended", False)),
        country=str(item.get("country") or "NL"),
        call_history_days=one("callHistoryDays", lambda: _optional(int, item.get("callHistoryDays")), None),
    )
    return Parsed(environment, tuple(errors))


def _phone(value: Mapping[str, Any], customer: str, encrypted: bool) -> Phone:
    return Phone(
        username=str(value["username"]),
        extension=str(value["extension"]),
        customer_id=customer,
        encrypted=encrypted,
        ha1=dict(value.get("ha1") or {}),
        previous_ha1=dict(value.get("previousHa1") or {}),
        previous_until=_moment(value.get("previousUntil")),
        label=str(value.get("label") or ""),
        site=str(value.get("site") or ""),
        number=str(value.get("number") or ""),
    )


def _site(value: Mapping[str, Any]) -> Site:
    return Site(
        id=str(value["id"]),
        street=str(value.get("street") or ""),
        house_number=str(value.get("houseNumber") or ""),
        postcode=str(value.get("postcode") or ""),
        city=str(value.get("city") or ""),
        country=str(value.get("country") or "NL"),
    )


def _number(value: Mapping[str, Any]) -> Number:
    forward = value.get("forward") or {}
    return Number(
        number=str(value["number"]),
        rings=tuple(str(each) for each in value.get("rings") or ()),
        together=value.get("order", "together") != "inOrder",
        ring_seconds=_seconds(value.get("ringSeconds"), 20.0),
        no_answer_seconds=_seconds(value.get("noAnswerSeconds"), 60.0),
        forward_always=str(forward.get("always") or ""),
        forward_busy=str(forward.get("busy") or ""),
        forward_no_answer=str(forward.get("noAnswer") or ""),
    )


def _limits(value: Mapping[str, Any]) -> Limits:
    return Limits(
        concurrent_calls=int(value.get("concurrentCalls") or 0),
        forwarded_calls=int(value.get("forwardedCalls") or 0),
        calls_per_minute=int(value.get("callsPerMinute") or 0),
        minutes_per_day=int(value.get("minutesPerDay") or 0),
        destinations=frozenset(str(each) for each in value.get("destinations") or ()),
    )


def _moment(text: str | None) -> datetime | None:
    """An ISO 8601 moment, in UTC where it names no zone. Raises ValueError."""
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _seconds(value: Any, default: float) -> float:
    """Between one second and ten minutes."""
    return min(600.0, max(1.0, float(value))) if value else default


def _optional(kind: Callable[[Any], T], value: Any) -> T | None:
    return None if value is None else kind(value)
