"""Calls that run are told in the node's own partition, and taken back only when their record is written."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_node.control.aws import Unavailable, from_item
from media_node.control.begun_calls import BegunCalls, key

ARN = "arn:aws:ec2:eu-central-1:123456789012:instance/i-0001"


def record(name: str) -> dict[str, Any]:
    return {"pk": "CUSTOMER#abc234", "sk": f"2026-11-26T12:00:00.000Z#{name}", "callId": name}


class Table:
    """BatchWriteItem as DynamoDB has it: at most 25, no key twice, some of it left undone."""

    def __init__(self) -> None:
        self.items: set[str] = set()
        self.answers = True
        self.leaves = 0

    def batch_write_item(self, RequestItems: dict[str, list[Any]]) -> dict[str, Any]:
        if not self.answers:
            raise Unavailable[0]()
        [(table, writes)] = RequestItems.items()
        left, done = writes[: self.leaves], writes[self.leaves :]
        self.leaves = 0
        assert 0 < len(writes) <= 25
        keys = [from_item(write.get("PutRequest", {}).get("Item") or write["DeleteRequest"]["Key"]) for write in writes]
        assert len({one["sk"] for one in keys}) == len(keys)
        assert all(one["pk"] == ARN for one in keys)
        for write in done:
            if "PutRequest" in write:
                self.items.add(write["PutRequest"]["Item"]["sk"]["S"])
            else:
                self.items.discard(write["DeleteRequest"]["Key"]["sk"]["S"])
        return {"UnprocessedItems": {table: left} if left else {}}


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["begin", "end", "tell", "away", "back", "leaves"]),
            st.sampled_from([f"c{n}" for n in range(40)]),
        ),
        max_size=80,
    )
)
def test_in_the_end_exactly_the_calls_that_run_are_told(history: list[tuple[str, str]]) -> None:
    calls, table, running, done = BegunCalls(), Table(), set[str](), set[str]()

    def tell() -> None:
        calls.tell(table, "cdr", ARN, calls.over())  # type: ignore[arg-type]

    for what, name in history:
        match what:
            case "begin" if name not in running | done:
                calls.begin(name, record(name))
                running.add(name)
            case "end" if name in running:
                calls.end(name, record(name))
                running.discard(name)
                done.add(name)
            case "tell" if table.answers:
                tell()
            case "tell":
                with pytest.raises(Unavailable):
                    calls.begin("last", record("last"))
                    running.add("last")
                    tell()
            case "away" | "back":
                table.answers = what == "back"
            case "leaves":
                table.leaves = 3
    table.answers, table.leaves = True, 0
    tell()
    tell()
    assert table.items == {key(ARN, record(name))["sk"] for name in running}


def test_what_a_process_before_this_one_told_is_taken_back() -> None:
    calls, table = BegunCalls(), Table()
    table.items.add(key(ARN, record("c1"))["sk"])
    calls.end("c1", record("c1"), told=True)
    calls.tell(table, "cdr", ARN, calls.over())  # type: ignore[arg-type]
    assert table.items == set()


def test_a_call_that_ends_while_its_record_waits_stays_told() -> None:
    calls, table = BegunCalls(), Table()
    calls.begin("c1", record("c1"))
    calls.tell(table, "cdr", ARN, calls.over())  # type: ignore[arg-type]
    over = calls.over()
    calls.end("c1", record("c1"))  # after the records were looked at
    calls.tell(table, "cdr", ARN, over)  # type: ignore[arg-type]
    assert table.items
