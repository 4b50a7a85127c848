"""DynamoDB streams as Lambda reads them: filtered, in batches, in order; a batch that fails is retried, halved, and in
the end given up.

https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError

from callvoip.aws.deployment import Deployed, Deployment
from callvoip.aws.endpoint import Emulated, send
from callvoip.data import write
from callvoip.lambdas.patterns import matches
from callvoip.lambdas.runtime import FunctionError, Runtime

_log = logging.getLogger(__name__)

RETRY_SECONDS = 0.5
RETRY_SECONDS_MOST = 10.0
_PAGE = 1000

Record = Mapping[str, Any]
Handle = Callable[[Sequence[Record]], Awaitable[Any]]
"""Invokes the function with records and returns its result; raises FunctionError."""
GiveUp = Callable[[Sequence[Record], str], Awaitable[None]]


@dataclass(frozen=True)
class Source:
    """An event source mapping. `retries` None is without end."""

    stream: str
    function: str
    batch: int
    filters: tuple[Mapping[str, Any], ...] = ()
    partial: bool = False
    bisect: bool = False
    retries: int | None = None
    dead_letters: str | None = None
    from_start: bool = True

    def wants(self, record: Record) -> bool:
        """Whether a record passes one of the filters, or there are none."""
        return not self.filters or any(matches(pattern, record) for pattern in self.filters)


def sources(deployment: Deployment) -> list[Source]:
    """The template's event source mappings."""
    return [_source(resource) for resource in deployment.all("AWS::Lambda::EventSourceMapping")]


def _source(resource: Deployed) -> Source:
    properties = resource.properties
    retries = int(properties.get("MaximumRetryAttempts", -1))
    return Source(
        stream=properties["EventSourceArn"],
        function=properties["FunctionName"],
        batch=int(properties.get("BatchSize", 100)),
        filters=tuple(
            json.loads(entry["Pattern"]) for entry in properties.get("FilterCriteria", {}).get("Filters", [])
        ),
        partial="ReportBatchItemFailures" in properties.get("FunctionResponseTypes", []),
        bisect=bool(properties.get("BisectBatchOnFunctionError")),
        retries=None if retries < 0 else retries,
        dead_letters=properties.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination"),
        from_start=properties["StartingPosition"] == "TRIM_HORIZON",
    )


async def process(
    source: Source,
    records: Sequence[Record],
    handle: Handle,
    give_up: GiveUp,
    *,
    attempt: int = 0,
    pause: float = RETRY_SECONDS,
) -> None:
    """Get one batch done, whatever it takes: the records before the first failed one are done, the rest is tried again.

    A batch that raises is halved when the source says so; one that still fails after the source's retries is given up.
    """
    while records:
        try:
            result = await handle(records)
            failed = _first_failed(records, result) if source.partial else None
            if failed is None:
                return
            reason = "batchItemFailures"
            # Progress: what is left is a new batch, with all its retries before it.
            attempt, records = (0, records[failed:]) if failed else (attempt, records)
        except FunctionError as error:
            reason = str(error)
            if source.bisect and len(records) > 1:
                middle = len(records) // 2
                await asyncio.sleep(pause)
                await process(source, records[:middle], handle, give_up, attempt=attempt, pause=pause)
                records = records[middle:]
                continue
        attempt += 1
        if source.retries is not None and attempt > source.retries:
            await give_up(records, reason)
            return
        await asyncio.sleep(min(pause * 2 ** (attempt - 1), RETRY_SECONDS_MOST))


def _first_failed(records: Sequence[Record], result: Any) -> int | None:
    """Index of the first record that the result names as failed; all failed when it names one that is not in the
    batch.
    """
    failures = (result or {}).get("batchItemFailures") or []
    if not failures:
        return None
    numbers = [record["dynamodb"]["SequenceNumber"] for record in records]
    named = [failure.get("itemIdentifier") for failure in failures]
    return min((numbers.index(number) if number in numbers else 0) for number in named)


async def follow(source: Source, emulated: Emulated, runtime: Runtime, positions: Positions) -> None:
    """Read the stream for ever and hand what the filters let through to the function; a read that fails is made
    again.
    """
    while True:
        try:
            await _follow(source, emulated, runtime, positions)
        except (BotoCoreError, ClientError, aiohttp.ClientError) as error:
            _log.warning("a stream could not be read, once more: %s", error)
            await asyncio.sleep(RETRY_SECONDS)


async def _follow(source: Source, emulated: Emulated, runtime: Runtime, positions: Positions) -> None:
    reader = _Reader(source, emulated)
    function = runtime.find(source.function)

    async def handle(records: Sequence[Record]) -> Any:
        return await runtime.invoke(function.name, {"Records": records})

    async def give_up(records: Sequence[Record], reason: str) -> None:
        _log.warning("%s gave up %d records: %s", function.label, len(records), reason.partition(":")[0])
        if source.dead_letters:
            await send(emulated, source.dead_letters, _given_up(source, function.arn, records))

    async with emulated.changes("dynamodb") as changes:
        async for _ in changes:
            batches, position = await asyncio.to_thread(reader.read, positions.of(source))
            for batch in batches:
                _log.debug("%s gets %d records of its stream", function.label, len(batch))
                await process(source, batch, handle, give_up)
            if position:
                positions.move(source, position)


def _given_up(source: Source, function: str, records: Sequence[Record]) -> dict[str, Any]:
    """What a failure destination gets: where the records are, not the records."""
    return {
        "version": "1.0",
        "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "requestContext": {"functionArn": function, "condition": "RetryAttemptsExhausted"},
        "DDBStreamBatchInfo": {
            "streamArn": source.stream,
            "startSequenceNumber": records[0]["dynamodb"]["SequenceNumber"],
            "endSequenceNumber": records[-1]["dynamodb"]["SequenceNumber"],
            "batchSize": len(records),
        },
    }


@dataclass(frozen=True)
class Position:
    """The last record that was read: its shard and its number in it."""

    shard: str
    number: str


class Positions:
    """How far each function has read each stream, kept in a file when there is one: after a restart it goes on from
    there.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._known: dict[str, Position] = {}
        if path and path.exists():
            self._known = {
                name: Position(**kept) for name, kept in json.loads(path.read_text(encoding="utf-8")).items()
            }

    def of(self, source: Source) -> Position | None:
        """Where the source's function is; None when it has read nothing yet."""
        return self._known.get(_name(source))

    def move(self, source: Source, position: Position) -> None:
        """Everything up to and with `position` is done."""
        self._known[_name(source)] = position
        if self._path:
            write(self._path, json.dumps({name: asdict(one) for name, one in self._known.items()}, indent=1))


def _name(source: Source) -> str:
    return f"{source.function} {source.stream}"


class _Reader:
    """Reads on from a position.

    An iterator is taken anew each time: moto's die with the copy of the table they were made for.
    """

    def __init__(self, source: Source, emulated: Emulated) -> None:
        self._source = source
        self._region = emulated.region
        self._client = emulated.client("dynamodbstreams")

    def read(self, after: Position | None) -> tuple[list[list[Record]], Position | None]:
        """What is new and wanted, in batches, and the position after it."""
        wanted: list[Record] = []
        for shard in self._shards(after):
            for record in self._records(shard, after.number if after and after.shard == shard else None):
                after = Position(shard, record["dynamodb"]["SequenceNumber"])
                made = _as_event(record, self._source.stream, self._region)
                if self._source.wants(made):
                    wanted.append(made)
        size = self._source.batch
        return [wanted[start : start + size] for start in range(0, len(wanted), size)], after

    def _shards(self, after: Position | None) -> list[str]:
        """From the one that we are in; a table of this size has one after the other, each the parent of the next."""
        shards = [
            shard["ShardId"]
            for shard in self._client.describe_stream(StreamArn=self._source.stream)["StreamDescription"]["Shards"]
        ]
        return shards[shards.index(after.shard) :] if after and after.shard in shards else shards

    def _records(self, shard: str, after: str | None) -> Iterator[Record]:
        position = (
            {"ShardIteratorType": "TRIM_HORIZON" if self._source.from_start else "LATEST"}
            if after is None
            else {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": after}
        )
        iterator = self._client.get_shard_iterator(StreamArn=self._source.stream, ShardId=shard, **position)[
            "ShardIterator"
        ]
        while iterator:
            answer = self._client.get_records(ShardIterator=iterator, Limit=_PAGE)
            yield from answer["Records"]
            iterator = answer.get("NextShardIterator") if answer["Records"] else None


def _as_event(record: Mapping[str, Any], stream: str, region: str) -> Record:
    """A record as Lambda's event has it: times as epoch seconds, bytes in base64."""
    made: dict[str, Any] = _json(record)
    made |= {"eventSourceARN": stream, "awsRegion": region}
    return made


def _json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _json(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_json(item) for item in value]
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value
