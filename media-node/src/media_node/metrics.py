"""What a node measures of itself: one table, of which CloudWatch, Prometheus, the console and docs/metrics.md are made.

`python -m media_node.metrics docs/metrics.md` writes the page anew.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any, Final

from media_node.call.record import CallRecord, Kind
from media_node.log import Event, Log


class Shape(StrEnum):
    """How a metric's numbers go together."""

    GAUGE = "gauge"
    """As it is now."""
    COUNTER = "counter"
    """How often, ever more since the process began."""
    SUMMARY = "summary"
    """Measured each time anew: how often, and the sum."""


OTHER: Final = "other"
"""The value of a label for whatever is not in its list: what strangers send makes no series."""


@dataclass(frozen=True)
class Described:
    """A row of the table. `unit` is CloudWatch's word; `values` are all that the label may have.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDatum.html
    """

    shape: Shape
    unit: str
    meaning: str
    label: str = ""
    values: tuple[str, ...] = ()


_STATUSES = ("401", "403", "404", "408", "415", "480", "486", "487", "488", "500", "502", "503", "603", OTHER)
_REASONS = (
    "no TLS",
    "no handshake",
    "handshake failed",
    "not SIP",
    "malformed messages",
    "a message without end",
    "too many messages",
    "silent",
    "too many connections",
    "every place is taken",
    OTHER,
)


class Metric(Enum):
    """Its name, and what it is."""

    REGISTRATIONS = Described(Shape.GAUGE, "Count", "phones registered")
    CALLS = Described(Shape.GAUGE, "Count", "calls running")
    CALLS_ENDED = Described(Shape.COUNTER, "Count", "calls that ended, answered or not", "kind", tuple(Kind))
    CALL_SETUP_SECONDS = Described(Shape.SUMMARY, "Seconds", "from the INVITE to the answer")
    CALLS_REFUSED = Described(Shape.COUNTER, "Count", "calls refused, by SIP status", "status", _STATUSES)
    CONNECTIONS_REFUSED = Described(Shape.COUNTER, "Count", "connections ended by the node", "reason", _REASONS)
    AUTHENTICATIONS_FAILED = Described(Shape.COUNTER, "Count", "wrong passwords")
    CONNECTIONS = Described(Shape.GAUGE, "Count", "open TLS connections (sockets)", "who", ("known", "strangers"))
    PACKETS_RECEIVED = Described(Shape.COUNTER, "Count", "voice packets that authenticated, of calls that ended")
    PACKETS_LOST = Described(Shape.COUNTER, "Count", "voice packets that never came (RFC 3550), of calls that ended")
    PACKET_LOSS_PERCENT = Described(Shape.SUMMARY, "Percent", "loss of each leg of a call that ended")
    MOS = Described(Shape.SUMMARY, "None", "estimated quality of each leg (ITU-T G.107), 1.0 to 4.5")
    MEMORY_BYTES = Described(Shape.GAUGE, "Bytes", "resident memory of the node and its media workers")
    CERTIFICATE_DAYS = Described(Shape.GAUGE, "Count", "days until the certificate expires")
    RECORDS_WAITING = Described(Shape.GAUGE, "Count", "call records in the spool")
    RECORDS_LOST = Described(Shape.COUNTER, "Count", "call records lost, as disk and memory were full")

    @property
    def title(self) -> str:
        """As it is called everywhere: calls_refused."""
        return self.name.lower()


Key = tuple[Metric, str]
"""A metric and the value of its label, empty without one."""


@dataclass
class Series:
    """One number, or for a summary how often and the sum."""

    count: int = 0
    total: float = 0.0


@dataclass
class Meter:
    """The numbers of one node."""

    series: dict[Key, Series] = field(default_factory=dict)

    def set(self, metric: Metric, value: float, label: str = "") -> None:
        """What a gauge is now, or how far a counter that is kept elsewhere has come."""
        self._of(metric, label).total = value

    def add(self, metric: Metric, number: float = 1, label: str = "") -> None:
        """A counter goes on, or a summary measures once more."""
        series = self._of(metric, label)
        series.count += 1
        series.total += number

    def _of(self, metric: Metric, label: str) -> Series:
        described = metric.value
        if described.values and label not in described.values:
            label = OTHER if OTHER in described.values else described.values[-1]
        return self.series.setdefault((metric, label), Series())

    def counting(self, log: Log) -> Log:
        """The same log, of which what belongs here is counted."""

        def counted(event: Event, /, **fields: Any) -> None:
            match event:
                case Event.CALL_REFUSED:
                    self.add(Metric.CALLS_REFUSED, label=str(fields.get("status")))
                case Event.CONNECTION_REFUSED:
                    # Lines are left out when there are many; they tell how many.
                    self.add(Metric.CONNECTIONS_REFUSED, 1 + fields.get("left_out", 0), str(fields.get("reason")))
                case Event.AUTHENTICATION_FAILED:
                    self.add(Metric.AUTHENTICATIONS_FAILED)
            log(event, **fields)

        return counted

    def ended(self, record: CallRecord, kind: Kind) -> None:
        """What a call was like."""
        self.add(Metric.CALLS_ENDED, label=kind)
        if kind is Kind.PROBE:
            return  # it says nothing of how customers fare
        if record.answered_at:
            self.add(Metric.CALL_SETUP_SECONDS, (record.answered_at - record.started_at).total_seconds())
        for leg in record.legs:
            if leg.media != "audio":
                continue  # text comes while somebody types: what it loses says nothing of a line's quality
            self.add(Metric.PACKETS_RECEIVED, leg.received)
            self.add(Metric.PACKETS_LOST, max(0, leg.lost))
            if leg.received:
                self.add(Metric.PACKET_LOSS_PERCENT, 100 * max(0, leg.lost) / (leg.received + max(0, leg.lost)))
            if leg.mos is not None:
                self.add(Metric.MOS, leg.mos)

    def reading(self) -> dict[Key, Series]:
        """The numbers as they are now, to be compared with later ones."""
        return {key: Series(one.count, one.total) for key, one in list(self.series.items())}


def since(before: Mapping[Key, Series], after: Mapping[Key, Series]) -> Iterator[tuple[Metric, str, Series]]:
    """What happened in between: gauges as they are, counters and summaries by how much they went on."""
    for (metric, label), now in after.items():
        if metric.value.shape is Shape.GAUGE:
            yield metric, label, now
            continue
        then = before.get((metric, label), Series())
        if now.count > then.count or now.total != then.total:
            yield metric, label, Series(now.count - then.count, now.total - then.total)


def sample(before: Mapping[Key, Series], after: Mapping[Key, Series]) -> dict[str, float]:
    """One number a metric for the console's charts: labels added up, of summaries the mean."""
    counts: dict[Metric, int] = {}
    totals: dict[Metric, float] = {}
    for metric, _, series in since(before, after):
        counts[metric] = counts.get(metric, 0) + series.count
        totals[metric] = totals.get(metric, 0.0) + series.total
    return {
        metric.title: round(total / counts[metric] if metric.value.shape is Shape.SUMMARY else total, 3)
        for metric, total in totals.items()
        if metric.value.shape is not Shape.SUMMARY or counts[metric]
    }


NAMESPACE: Final = "callvoip"
SERVICE: Final = "media-node"


def embedded(
    before: Mapping[Key, Series], after: Mapping[Key, Series], *, node: str, at_ms: int
) -> list[dict[str, Any]]:
    """The same for CloudWatch, in its embedded metric format: a line for all without a label and one for each label.

    The dimensions are the service and the label: what CloudWatch keeps, and asks money for, does not grow with the
    fleet. Which node it was stands beside, to be searched for.
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """
    lines: dict[tuple[str, str], dict[Metric, Series]] = {}
    for metric, label, series in since(before, after):
        lines.setdefault((metric.value.label, label), {})[metric] = series
    return [
        {
            "_aws": {
                "Timestamp": at_ms,
                "CloudWatchMetrics": [
                    {
                        "Namespace": NAMESPACE,
                        "Dimensions": [["service", *([name] if name else [])]],
                        "Metrics": [{"Name": metric.title, "Unit": metric.value.unit} for metric in found],
                    }
                ],
            },
            "service": SERVICE,
            "node": node,
            **({name: label} if name else {}),
            **{metric.title: _value(metric, series) for metric, series in found.items()},
        }
        for (name, label), found in lines.items()
    ]


def _value(metric: Metric, series: Series) -> float:
    mean = metric.value.shape is Shape.SUMMARY and series.count
    return round(series.total / series.count if mean else series.total, 3)


_PAGE: Final = """\
# What a node measures

Made from the table in `media-node/src/media_node/metrics.py` (`python -m media_node.metrics docs/metrics.md`). A label has the
values that are listed and no others. Each number goes three ways:

- **CloudWatch**, each minute, in its embedded metric format through the node's log group: namespace `callvoip`, dimensions
  `service` (`media-node`) and the label; the node stands in the line as `node`, so the number of series does not grow with the fleet.
- **Prometheus**, text format at `http://127.0.0.1:9464/metrics` on the node (`port` under `[metrics]` in node.toml), with
  `media_node_` before each name.
- **The console**: a sample every five minutes in the node's own partition of the fleet table (`METRICS#time`), kept for a day; the
  words are in `site/data/node_metrics.toml`.

| name | kind | unit | what | label |
| --- | --- | --- | --- | --- |
"""


def page() -> str:
    """docs/metrics.md."""
    rows = []
    for metric in Metric:
        one = metric.value
        label = f"`{one.label}`: {', '.join(one.values)}" if one.label else ""
        rows.append(f"| `{metric.title}` | {one.shape} | {one.unit} | {one.meaning} | {label} |\n")
    return _PAGE + "".join(rows)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
