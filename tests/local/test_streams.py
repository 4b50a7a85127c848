"""Batches of a stream that fail: retried, cut in two, and in the end given up, in order."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from callvoip.lambdas.runtime import FunctionError
from callvoip.lambdas.streams import Source, process


def records(count: int) -> list[dict[str, Any]]:
    return [{"dynamodb": {"SequenceNumber": str(number)}} for number in range(count)]


def numbers(batch) -> list[int]:
    return [int(record["dynamodb"]["SequenceNumber"]) for record in batch]


class Function:
    """Fails on some records: by an exception, or by naming the first of them."""

    def __init__(self, bad: set[int], *, partial: bool = False) -> None:
        self.bad, self.partial = bad, partial
        self.calls: list[list[int]] = []
        self.done: list[int] = []
        self.given_up: list[int] = []

    async def handle(self, batch):
        asked = numbers(batch)
        self.calls.append(asked)
        failing = [number for number in asked if number in self.bad]
        if failing and not self.partial:
            raise FunctionError("ValueError: no")
        self.done += [number for number in asked if not failing or number < failing[0]]
        return {"batchItemFailures": [{"itemIdentifier": str(number)} for number in failing]}

    async def give_up(self, batch, reason):
        self.given_up += numbers(batch)

    async def run(self, source: Source, count: int) -> None:
        await process(source, records(count), self.handle, self.give_up, pause=0)


def source(**changes) -> Source:
    return Source(**{"stream": "s", "function": "f", "batch": 100, "retries": 2, **changes})


async def test_a_good_batch_is_handed_over_once():
    function = Function(set())
    await function.run(source(), 3)
    assert function.calls == [[0, 1, 2]]


async def test_a_bad_batch_is_tried_again_and_then_given_up():
    function = Function({1})
    await function.run(source(), 3)
    assert function.calls == [[0, 1, 2]] * 3
    assert function.given_up == [0, 1, 2]


async def test_bisecting_leaves_only_the_bad_record_behind():
    function = Function({2})
    await function.run(source(bisect=True), 4)
    assert function.done == [0, 1, 3]
    assert function.given_up == [2]


async def test_a_partial_failure_is_not_done_twice():
    function = Function({2}, partial=True)
    await function.run(source(partial=True), 4)
    assert function.calls[:2] == [[0, 1, 2, 3], [2, 3]]
    assert function.done == [0, 1]
    assert function.given_up == [2, 3]


async def test_an_unknown_failure_means_the_whole_batch():
    calls = []

    async def handle(batch):
        calls.append(numbers(batch))
        return {"batchItemFailures": [{"itemIdentifier": "x"}]} if len(calls) == 1 else {}

    async def give_up(batch, reason):
        raise AssertionError

    await process(source(partial=True), records(2), handle, give_up, pause=0)
    assert calls == [[0, 1], [0, 1]]


@settings(deadline=None)
@given(st.integers(1, 20), st.sets(st.integers(0, 19)))
async def test_bisecting_always_does_every_good_record_once_and_in_order(count, bad):
    function = Function(bad)
    await function.run(source(bisect=True, retries=0), count)
    assert function.done == [number for number in range(count) if number not in bad]
    assert function.given_up == [number for number in range(count) if number in bad]


def test_a_filter_decides_what_is_wanted():
    wanted = source(filters=({"dynamodb": {"Keys": {"sk": {"S": [{"anything-but": ["HEARTBEAT"]}]}}}},))
    assert not wanted.wants({"dynamodb": {"Keys": {"sk": {"S": "HEARTBEAT"}}}})
    assert wanted.wants({"dynamodb": {"Keys": {"sk": {"S": "REPORT"}}}})
    assert source().wants({"dynamodb": {"Keys": {"sk": {"S": "HEARTBEAT"}}}})
