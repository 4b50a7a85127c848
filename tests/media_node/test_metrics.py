"""What a node measures: one table, and the three ways out of it."""

from __future__ import annotations

import json
import os
import tomllib
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from callvoip.paths import ROOT
from callvoip.phones.baresip import free_port
from media_node.call.record import CallRecord, Kind, kind
from media_node.control.telemetry import Telemetry, expose, resident_bytes
from media_node.log import Event
from media_node.metrics import OTHER, Meter, Metric, embedded, page, sample
from media_node.worker_link.protocol import LegStats

BEGAN = datetime(2026, 11, 26, 12, tzinfo=UTC)


def record(*legs: LegStats, answered: bool = True) -> CallRecord:
    return CallRecord(
        call_id="1",
        customer_id="abc234",
        caller="***",
        called="***",
        started_at=BEGAN,
        answered_at=BEGAN + timedelta(seconds=4) if answered else None,
        ended_at=BEGAN + timedelta(seconds=60),
        reason="completed",
        legs=legs,
    )


def test_every_number_has_words_in_the_console_and_a_row_in_the_docs():
    words = tomllib.loads((ROOT / "site/data/node_metrics.toml").read_text())["metric"]
    assert {each["name"] for each in words} == {metric.title for metric in Metric}
    assert (ROOT / "docs/metrics.md").read_text() == page(), "python -m media_node.metrics docs/metrics.md"


def test_the_reasons_that_are_counted_are_those_of_the_runbook():
    runbook = (ROOT / "docs/runbook.md").read_text()
    for reason in Metric.CONNECTIONS_REFUSED.value.values:
        assert reason == OTHER or f"`{reason}`" in runbook, reason


@pytest.mark.parametrize(
    ("from_phone", "outside", "emergency", "wanted"),
    [
        (True, False, False, Kind.INTERNAL),
        (True, True, False, Kind.OUTGOING),
        (False, False, False, Kind.INCOMING),
        (False, True, False, Kind.INCOMING),  # forwarded to outside
        (True, True, True, Kind.EMERGENCY),
    ],
)
def test_the_kind_of_a_call(from_phone: bool, outside: bool, emergency: bool, wanted: Kind) -> None:
    assert kind(from_phone=from_phone, outside=outside, emergency=emergency) is wanted


def test_a_call_is_counted_with_its_loss_and_quality_and_a_probe_only_as_a_probe() -> None:
    meter = Meter()
    legs = LegStats(suite="s", received=90, lost=10, mos=3.5), LegStats(suite="s", received=100, lost=-2, mos=4.5)
    meter.ended(record(*legs), Kind.OUTGOING)
    meter.ended(record(*legs), Kind.PROBE)
    meter.ended(record(answered=False), Kind.INTERNAL)
    found = sample({}, meter.reading())
    assert found["calls_ended"] == 3
    assert (found["call_setup_seconds"], found["mos"], found["packet_loss_percent"]) == (4, 4, 5)
    assert (found["packets_received"], found["packets_lost"]) == (190, 10)


@given(st.lists(st.tuples(st.text(), st.integers(0, 999), st.integers(0, 50)), max_size=30))
def test_whatever_strangers_send_the_series_stay_those_of_the_table(sent: list[tuple[str, int, int]]) -> None:
    meter, lines = Meter(), list[Any]()

    def keep(event: Event, /, **fields: Any) -> None:
        lines.append(event)

    log = meter.counting(keep)
    for reason, status, left_out in sent:
        log(Event.CONNECTION_REFUSED, reason=reason, left_out=left_out)
        log(Event.CALL_REFUSED, status=status)
    assert len(lines) == 2 * len(sent), "the log has them all the same"
    for metric, label in meter.series:
        assert label in metric.value.values
    refused = sum(one.total for (metric, _), one in meter.series.items() if metric is Metric.CONNECTIONS_REFUSED)
    assert refused == sum(1 + left_out for _, _, left_out in sent)


def test_cloudwatch_gets_what_happened_in_the_minute_by_label_and_never_the_node_as_a_dimension() -> None:
    meter = Meter()
    meter.set(Metric.REGISTRATIONS, 7)
    meter.add(Metric.CALLS_ENDED, label=Kind.INTERNAL)
    before = meter.reading()
    meter.add(Metric.CALLS_ENDED, label=Kind.INTERNAL)
    meter.add(Metric.CALLS_ENDED, label=Kind.EMERGENCY)
    lines = embedded(before, meter.reading(), node="i-1", at_ms=1)
    by_dimension = {line.get("kind", ""): line for line in lines}
    assert by_dimension[""]["registrations"] == 7
    assert by_dimension["internal"]["calls_ended"] == by_dimension["emergency"]["calls_ended"] == 1
    for line in lines:
        [directive] = line["_aws"]["CloudWatchMetrics"]
        [dimensions] = directive["Dimensions"]
        assert "node" not in dimensions and line["node"] == "i-1"
        assert all(name in line for name in (*dimensions, *(metric["Name"] for metric in directive["Metrics"])))


def test_prometheus_reads_it_on_loopback() -> None:
    meter = Meter()
    meter.set(Metric.REGISTRATIONS, 7)
    meter.add(Metric.CALLS_REFUSED, label="486")
    meter.add(Metric.MOS, 4.0)
    meter.add(Metric.MOS, 3.0)
    port = free_port()
    expose(meter, port)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        families = {one.name: one for one in text_string_to_metric_families(answer.read().decode())}
    assert {f"media_node_{metric.title}" for metric in Metric} == families.keys()
    assert [one.value for one in families["media_node_registrations"].samples] == [7]
    [refused] = families["media_node_calls_refused"].samples
    assert (refused.labels, refused.value) == ({"status": "486"}, 1)
    assert {one.name: one.value for one in families["media_node_mos"].samples} == {
        "media_node_mos_count": 2,
        "media_node_mos_sum": 7,
    }
    assert all(families[f"media_node_{metric.title}"].type == metric.value.shape for metric in Metric)


class Aws:
    """What Telemetry asks of DynamoDB and CloudWatch Logs; fails as often as `failing` says."""

    class exceptions:
        class ResourceAlreadyExistsException(Exception): ...

    def __init__(self) -> None:
        self.items: dict[str, Any] = {}
        self.lines: list[Any] = []
        self.streams: set[str] = set()
        self.failing = 0

    def put_item(self, *, TableName: str, Item: Any) -> None:
        self.items[Item["sk"]["S"]] = Item

    def create_log_stream(self, *, logGroupName: str, logStreamName: str) -> None:
        if logStreamName in self.streams:
            raise self.exceptions.ResourceAlreadyExistsException
        self.streams.add(logStreamName)

    def put_log_events(self, *, logGroupName: str, logStreamName: str, logEvents: list[Any]) -> None:
        if self.failing:
            self.failing -= 1
            raise OSError("away")
        self.lines += [json.loads(event["message"]) for event in logEvents]


def telemetry(meter: Meter, aws: Any) -> Telemetry:
    return Telemetry(meter, dynamodb=aws, logs=aws, table="fleet", arn="arn", node="i-1", group="group")


def test_what_cloudwatch_did_not_take_is_in_the_next_line_and_the_console_has_its_sample_all_the_same() -> None:
    meter, aws = Meter(), Aws()
    sending = telemetry(meter, aws)
    meter.add(Metric.RECORDS_LOST)
    aws.failing = 1
    with pytest.raises(OSError):
        sending.send()
    [(name, item)] = aws.items.items()
    assert name.startswith("METRICS#") and item["values"]["M"]["records_lost"]["N"] == "1.0"
    meter.add(Metric.RECORDS_LOST)
    sending.send()
    assert [line["records_lost"] for line in aws.lines] == [2]
    telemetry(meter, aws).send()  # the process began anew: its stream is there already
    assert len(aws.streams) == 1


def test_memory_is_that_of_all_processes_and_one_that_ended_counts_nothing() -> None:
    assert resident_bytes([os.getpid(), 2**22 + 1]) > 5_000_000
