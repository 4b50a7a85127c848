"""The node's configuration: a TOML file written by the instance's user data. It names parameters and never holds a
secret.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from media_node.log import Level
from media_node.suites import Suite


@dataclass(frozen=True, kw_only=True)
class Config:
    """/etc/media-node/node.toml.

    Ports are UDP but for `port`, the TLS port; times are in seconds, `cdr_days` in days.
    """

    fleet_table: str
    cdr_table: str
    region: str
    cdr_days: int
    domain: str
    port: int
    certificate_parameter: str
    workers: int
    suites: tuple[Suite, ...]
    """SRTP suites that may be used, the preferred first."""
    srtp_port: int
    rtp_ports: tuple[int, int]
    timeout: float
    trunk_parameter: str
    directory: Path
    drain: float
    emergency_drain: float
    metrics_group: str = ""
    """The log group that takes the node's numbers to CloudWatch; empty for none."""
    metrics_port: int = 0
    """Where they can be read on 127.0.0.1; 0 for nowhere."""
    log_level: Level = Level.DEBUG
    """Events below it are not logged."""
    trace: Path | None = None
    """A pcapng file for all SIP messages, masked (sip/trace.py); None for none."""

    @classmethod
    def load(cls, path: Path) -> Config:
        """Reads the file. Raises OSError when it cannot, ValueError naming what is missing or wrong."""
        return cls.parse(tomllib.loads(path.read_text()))

    @classmethod
    def parse(cls, data: dict[str, Any]) -> Config:
        """From the parsed TOML. Raises ValueError."""
        try:
            fleet, sip, media, state = data["fleet"], data["sip"], data["media"], data["state"]
            logging, metrics = data.get("log", {}), data.get("metrics", {})
            low, high = media.get("rtp_ports", (21000, 22999))
            return cls(
                fleet_table=str(fleet["table"]),
                cdr_table=str(fleet["cdr_table"]),
                region=str(fleet["region"]),
                cdr_days=int(fleet.get("cdr_days", 90)),
                domain=str(sip["domain"]),
                port=int(sip.get("port", 5061)),
                certificate_parameter=str(sip["certificate_parameter"]),
                workers=int(media.get("workers", 1)),
                suites=tuple(Suite(name) for name in media.get("suites", Suite)),
                srtp_port=int(media.get("srtp_port", 20000)),
                rtp_ports=(int(low), int(high)),
                timeout=float(media.get("timeout_s", 60)),
                trunk_parameter=str(data.get("trunk", {}).get("parameter", "")),
                directory=Path(state["directory"]),
                drain=float(state.get("drain_s", 5)),
                emergency_drain=float(state.get("emergency_drain_s", 600)),
                metrics_group=str(metrics.get("log_group", "")),
                metrics_port=int(metrics.get("port", 0)),
                log_level=Level[str(logging.get("level", "debug")).upper()],
                trace=Path(logging["trace"]) if logging.get("trace") else None,
            )
        except KeyError as error:
            raise ValueError(f"node.toml lacks {error.args[0]}") from error
        except (TypeError, AttributeError) as error:
            raise ValueError(f"node.toml: {error}") from error
