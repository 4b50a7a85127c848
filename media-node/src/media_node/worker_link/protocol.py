"""What call/ asks of a media worker and what it hears back: the vocabulary of the Unix socket between them.

Messages are JSON objects, one a line. A request carries `id` and `op`; its answer carries the same `id` and either
`result` or `error`. A line without `id` is an event of the worker.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from media_node.suites import Suite


@dataclass(frozen=True, kw_only=True)
class Crypto:
    """Keys of one SRTP leg: `send_key` protects what the node sends, `receive_key` verifies what it receives
    (base64).
    """

    suite: Suite
    send_key: str
    receive_key: str


@dataclass(frozen=True, kw_only=True)
class Dtls:
    """That one SRTP leg gets its keys by a DTLS handshake (RFC 5763): `fingerprint` is the peer's certificate's, as
    "sha-256 AB:CD...".

    `active` tells that the node begins the handshake (its a=setup is active, the peer's passive).
    """

    fingerprint: str
    active: bool = False


@dataclass(frozen=True, kw_only=True)
class LegDescription:
    """One side of a call as negotiated in SDP. Keys come by `crypto` or by `dtls`; both are None on a plain RTP leg (a
    trunk).

    `address`, `port`, `rtcp_port` are what the peer announced; on an SRTP leg they are only a hint until a packet
    verifies. `peer` is the address its signalling comes from, a second hint. `direction` is as the peer announced (RFC
    3264).
    """

    crypto: Crypto | None
    address: str
    port: int
    rtcp_port: int
    peer: str = ""
    rtcp_mux: bool = False
    direction: str = "sendrecv"
    symmetric: bool = False
    """A plain leg behind NAT: accept whatever port of `peer` the media comes from. Never needed on an SRTP leg."""
    dtls: Dtls | None = None

    @property
    def secure(self) -> bool:
        """Whether its media is SRTP."""
        return self.crypto is not None or self.dtls is not None


@dataclass(frozen=True, kw_only=True)
class LocalTransport:
    """Where a leg's media must be sent: the node's own address and ports, to be announced in SDP."""

    address: str
    rtp_port: int
    rtcp_port: int
    fingerprint: str = ""
    """Of the certificate the node shows in a DTLS handshake on this leg; empty on a plain leg."""


@dataclass(frozen=True, kw_only=True)
class LegStats:
    """What one leg saw: packets received and authenticated, sent, and dropped by reason; RFC 3550 figures of the
    receiver.
    """

    suite: str | None
    media: str = "audio"
    """What the leg carried, in SDP's words. The worker does not know; whoever asked it does."""
    keying: str = ""
    """How an SRTP leg got its keys: "SDES" (RFC 4568) or "DTLS-SRTP" (RFC 5764)."""
    first_secured_s: float | None = None
    """How many seconds ago the first packet that verified arrived, on an SRTP leg."""
    last_secured_s: float | None = None
    received: int = 0
    sent: int = 0
    plaintext: int = 0
    """Plain RTP packets that reached the ports of an SRTP leg's call and were dropped."""
    drops: dict[str, int] = field(default_factory=dict)
    lost: int = 0
    jitter_ms: float = 0.0
    round_trip_ms: float | None = None
    mos: float | None = None
    """E-model estimate (ITU-T G.107) of what was received from this leg, 1.0 to 4.5."""
    latch: str = ""
    """Of an SRTP leg: pending, proving, latched or moved."""
    reported_lost: int | None = None
    """What the peer's own receiver reports say it lost of what was sent to it."""
    rtcp_received: int = 0
    rtcp_sent: int = 0


@dataclass(frozen=True, kw_only=True)
class WorkerLoad:
    """What a worker carries: calls, packets, and what it refused without knowing whose it was; `kernel_drops` by the kernel
    for want of room.
    """

    calls: int
    received: int = 0
    sent: int = 0
    kernel_drops: int = 0
    drops: dict[str, int] = field(default_factory=dict)


# Requests: op, arguments -> result.
#   open    {call: str, secure: {"a": bool, "b": bool}, families?: {"a": 4|6, "b": 4|6}, further?: bool}
#                                                           -> {"a": LocalTransport, "b": LocalTransport}   reserves both legs' ports
#                                                           further: another stream beside a call's first, under a name of its own,
#                                                           on other ports; nobody is told of its silence
#   reopen  {call: str, leg: "a"|"b", secure: bool}         -> {"local": LocalTransport, "before": LegStats}
#                                                           another peer takes the leg's place: new keys, new latch
#   move    {call: str, leg: "a"|"b", to: str, to_leg: "a"|"b"} -> LegStats
#                                                           a leg takes the place of another call's leg, which this saw
#   set     {call: str, leg: "a"|"b", remote: LegDescription}          -> {}                          first or changed description
#   stats   {call: str}                                     -> {"a": LegStats, "b": LegStats}
#   close   {call: str}                                     -> {"a": LegStats, "b": LegStats}
#   load    {}                                              -> WorkerLoad
# Events:
#   {"event": "timeout", "call": str, "leg": "a"|"b"}        no packet of a leg authenticated for the media timeout
#   {"event": "gone", "worker": int, "calls": [str]}         by the client: the process ended, its calls with it


def encode(value: object) -> Any:
    """A dataclass of this module as what json.dumps takes."""
    return asdict(value)  # type: ignore[call-overload]


def decode_leg(data: dict[str, Any]) -> LegDescription:
    """The LegDescription in a `set` request. Raises TypeError, KeyError or ValueError for what is not one."""
    crypto, dtls = data.get("crypto"), data.get("dtls")
    return LegDescription(
        **{
            **data,
            "crypto": None
            if crypto is None
            else Crypto(suite=Suite(crypto["suite"]), send_key=crypto["send_key"], receive_key=crypto["receive_key"]),
            "dtls": None if dtls is None else Dtls(**dtls),
        }
    )
