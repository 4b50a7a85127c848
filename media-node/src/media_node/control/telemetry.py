"""Where a node's numbers go: CloudWatch by a log group, the console by the node's own partition, Prometheus on loopback."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from prometheus_client import start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry

from media_node.control.aws import to_item
from media_node.metrics import Meter, Metric, Shape, embedded, sample

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from prometheus_client import Metric as Family

INTERVAL: Final = 60.0
"""Seconds between lines for CloudWatch."""
SAMPLE_SECONDS: Final = 300
"""Between samples for the console."""
KEPT_SECONDS: Final = 25 * 3600


class Telemetry:
    """Sends what a meter has read. Its methods block and raise aws.Unavailable; what did not go is in what goes next."""

    def __init__(
        self,
        meter: Meter,
        *,
        dynamodb: DynamoDBClient,
        logs: CloudWatchLogsClient,
        table: str,
        arn: str,
        node: str,
        group: str,
    ) -> None:
        self._meter = meter
        self._dynamodb = dynamodb
        self._logs = logs
        self._table = table
        self._arn = arn
        self._node = node
        self._group = group
        self._stream_made = False
        self._sent = meter.reading()
        self._sampled = meter.reading()
        self._sampled_at = 0

    def send(self) -> None:
        """A minute's lines for CloudWatch, where there is a log group for them, and the console's sample when it is due."""
        try:
            self._sample(int(time.time()))
        finally:  # one way that fails does not close the other
            if self._group:
                self._embed()

    def _embed(self) -> None:
        reading, at = self._meter.reading(), time.time_ns() // 1_000_000
        lines = embedded(self._sent, reading, node=self._node, at_ms=at)
        if not self._stream_made:
            with contextlib.suppress(self._logs.exceptions.ResourceAlreadyExistsException):
                self._logs.create_log_stream(logGroupName=self._group, logStreamName=self._node)
            self._stream_made = True
        self._logs.put_log_events(
            logGroupName=self._group,
            logStreamName=self._node,
            logEvents=[{"timestamp": at, "message": json.dumps(line)} for line in lines],
        )
        self._sent = reading

    def _sample(self, now: int) -> None:
        slot = now - now % SAMPLE_SECONDS
        if slot == self._sampled_at:
            return
        reading = self._meter.reading()
        item = {
            "pk": self._arn,
            "sk": f"METRICS#{time.strftime('%Y-%m-%dT%H:%MZ', time.gmtime(slot))}",
            "at": slot * 1000,
            "values": sample(self._sampled, reading),
            "expiresAt": slot + KEPT_SECONDS,
        }
        self._dynamodb.put_item(TableName=self._table, Item=to_item(item))
        self._sampled, self._sampled_at = reading, slot


class _Exposed(Collector):
    """A meter as Prometheus reads it (https://prometheus.io/docs/instrumenting/exposition_formats/)."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def collect(self) -> Iterator[Family]:
        reading = self._meter.reading()
        for metric in Metric:
            described, name = metric.value, f"media_node_{metric.title}"
            labels = [described.label] if described.label else []
            of_it = [(label, series) for (found, label), series in reading.items() if found is metric]
            family: GaugeMetricFamily | CounterMetricFamily | SummaryMetricFamily
            match described.shape:
                case Shape.GAUGE:
                    family = GaugeMetricFamily(name, described.meaning, labels=labels)
                case Shape.COUNTER:
                    family = CounterMetricFamily(name, described.meaning, labels=labels)
                case Shape.SUMMARY:
                    family = SummaryMetricFamily(name, described.meaning, labels=labels)
            for label, series in of_it:
                values = [label] if labels else []
                if isinstance(family, SummaryMetricFamily):
                    family.add_metric(values, count_value=series.count, sum_value=series.total)
                else:
                    family.add_metric(values, series.total)
            yield family


def expose(meter: Meter, port: int) -> None:
    """Serves it on loopback, in a thread that ends with the process. Raises OSError when the port is taken."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Exposed(meter))
    start_http_server(port, addr="127.0.0.1", registry=registry)


def resident_bytes(pids: list[int]) -> int:
    """Resident memory of these processes together (proc(5)); one that has ended counts nothing."""
    pages = 0
    for pid in pids:
        with contextlib.suppress(OSError, ValueError, IndexError):
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096
