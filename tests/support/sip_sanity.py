"""A second reading of what was said on the wire, by rules of RFC 3261 and its companions on which tshark is silent.

It shares no code with the node. Only what the node said is judged; what others said is what it is judged by.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

_COMPACT: Final = {
    "a": "accept-contact", "b": "referred-by", "c": "content-type", "e": "content-encoding", "f": "from", "i": "call-id",
    "k": "supported", "l": "content-length", "m": "contact", "o": "event", "r": "refer-to", "s": "subject", "t": "to",
    "u": "allow-events", "v": "via", "x": "session-expires",
}  # fmt: skip
_START: Final = re.compile(r"(?:(?P<method>[A-Z]+) (?P<uri>\S+) SIP/2\.0|SIP/2\.0 (?P<code>[1-6]\d\d) .*)")
_TOKEN: Final = re.compile(r"[-A-Za-z0-9.!%*_+`'~]+")
_TAG: Final = re.compile(r";\s*tag=([^;>\s]+)(?![^<]*>)")
_NEEDS_CONTACT: Final = frozenset({"INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY", "REFER"})
"""Requests that carry a Contact, as does a 2xx to them (RFC 3261 section 8.1.1.8, RFC 3311, 3515, 6665)."""
_ALWAYS: Final = ("via", "from", "to", "call-id", "cseq")


@dataclass(frozen=True)
class Said:
    """One SIP message as it stood on the wire; `link` names the connection that it went over."""

    raw: bytes
    by_node: bool
    link: str = ""
    start: str = field(init=False)
    fields: tuple[tuple[str, str], ...] = field(init=False)
    body: bytes = field(init=False)

    def __post_init__(self) -> None:
        head, _, body = self.raw.partition(b"\r\n\r\n")
        lines = re.sub(r"\r\n[ \t]+", " ", head.decode("utf-8", "replace")).split("\r\n")
        pairs = [line.partition(":")[::2] for line in lines[1:]]
        names = [(_COMPACT.get(name.strip().lower(), name.strip().lower()), value.strip()) for name, value in pairs]
        object.__setattr__(self, "start", lines[0])
        object.__setattr__(self, "fields", tuple(names))
        object.__setattr__(self, "body", body)

    def all(self, name: str) -> list[str]:
        """The values of a header field."""
        return [value for known, value in self.fields if known == name]

    def one(self, name: str) -> str:
        """The first of them, empty without any."""
        return next(iter(self.all(name)), "")

    @property
    def code(self) -> int:
        """Of a response; 0 for a request."""
        found = _START.fullmatch(self.start)
        return int(found["code"] or 0) if found else 0

    @property
    def method(self) -> str:
        """Of the request, or of that which is answered."""
        return self.one("cseq").rpartition(" ")[2]

    @property
    def sequence(self) -> int:
        """Of the CSeq."""
        number = self.one("cseq").partition(" ")[0]
        return int(number) if number.isdigit() else -1

    @property
    def branch(self) -> str:
        """Of the topmost Via."""
        found = re.search(r";\s*branch=([^;,\s]+)", self.one("via"))
        return found[1] if found else ""

    def tag(self, name: str) -> str:
        """Of a From or To."""
        found = _TAG.search(self.one(name))
        return found[1] if found else ""

    def options(self, name: str) -> set[str]:
        """The tokens of a list of option tags."""
        return {each.strip().lower() for value in self.all(name) for each in value.split(",") if each.strip()}

    def __str__(self) -> str:
        return f"{self.start} ({self.one('cseq')}, {self.one('call-id')[:12]})"


def split(stream: bytes) -> Iterator[bytes]:
    """The messages in what one side said over TCP or TLS, keep-alives (RFC 5626 section 3.5.1) left out."""
    while stream := stream.lstrip(b"\r\n"):
        head, found, rest = stream.partition(b"\r\n\r\n")
        length = re.search(rb"(?im)^(?:content-length|l)[ \t]*:[ \t]*(\d+)[ \t]*\r?$", head)
        if not found or length is None:
            yield stream
            return
        size = int(length[1])
        yield head + found + rest[:size]
        stream = rest[size:]


def faults(said: Sequence[Said]) -> list[str]:
    """What the node said wrongly, in messages that are in the order in which they were seen."""
    found: list[str] = []
    for number, message in enumerate(said):
        if message.by_node:
            found += [f"{message}: {fault}" for fault in _alone(message)]
            if message.code:
                found += [f"{message}: {fault}" for fault in _as_an_answer(message, said[:number])]
    for rule in _ABOUT_ALL:
        found += rule(said)
    return found


# One message by itself.


def _alone(message: Said) -> Iterator[str]:
    start = _START.fullmatch(message.start)
    if start is None:
        yield "no start line (section 7)"
        return
    for name, _ in message.fields:
        if not _TOKEN.fullmatch(name):
            yield f"a header field without a name: {name!r} (section 7.3.1)"
    for name in _ALWAYS:
        if len(message.all(name)) != 1 and not (name == "via" and message.all(name)):
            yield f"{len(message.all(name))} times {name} (section 8.1.1)"
    if start["method"] and start["method"] != message.method:
        yield "the CSeq names another method (section 8.1.1.5)"
    if not message.branch.startswith("z9hG4bK"):
        yield "a Via without a branch (section 8.1.1.7)"
    if not message.tag("from"):
        yield "a From without a tag (section 8.1.1.3)"
    if message.one("content-length") != str(len(message.body)):
        yield f"Content-Length {message.one('content-length')!r} and {len(message.body)} octets (section 20.14)"
    if message.body and not message.one("content-type"):
        yield "a body without a type (section 20.15)"
    if start["method"]:
        yield from _request(message, start["method"])
    else:
        yield from _response(message)


def _request(message: Said, method: str) -> Iterator[str]:
    hops = message.one("max-forwards")
    if not hops.isdigit() or not 0 < int(hops) <= 70:
        yield f"Max-Forwards {hops!r} (section 8.1.1.6)"
    if method in _NEEDS_CONTACT and not message.all("contact"):
        yield "no Contact (section 8.1.1.8)"
    if method in ("ACK", "BYE", "PRACK", "UPDATE", "INFO") and not message.tag("to"):
        yield "within a dialog without its tag (section 12.2.1.1)"
    if method == "PRACK" and not re.fullmatch(r"\d+ \d+ INVITE", message.one("rack")):
        yield "no RAck (RFC 3262 section 7.2)"
    if method == "NOTIFY" and not (message.one("event") and message.one("subscription-state")):
        yield "no Event or Subscription-State (RFC 6665 section 8.2.1)"
    if method == "REFER" and len(message.all("refer-to")) != 1:
        yield "not one Refer-To (RFC 3515 section 2.4.1)"
    if message.one("session-expires") and "timer" not in message.options("supported") | message.options("require"):
        yield "Session-Expires without Supported: timer (RFC 4028 section 7.1)"


def _response(message: Said) -> Iterator[str]:
    if message.code > 100 and not message.tag("to"):
        yield "no tag in the To (section 8.2.6.2)"
    if (
        message.method in ("INVITE", "SUBSCRIBE", "UPDATE", "REFER")
        and 200 <= message.code < 300
        and not message.all("contact")
    ):
        yield "no Contact (section 12.1.1)"
    if message.method == "INVITE" and 100 < message.code < 200 and not message.all("contact"):
        yield "an early dialog without a Contact (section 12.1.1)"
    needed = {401: "www-authenticate", 407: "proxy-authenticate", 405: "allow", 420: "unsupported", 423: "min-expires",
              489: "allow-events", 422: "min-se"}.get(message.code)  # fmt: skip
    if needed and not message.all(needed):
        yield f"no {needed} (section 21.4)"
    if "100rel" in message.options("require") and not message.one("rseq").isdigit():
        yield "reliable without an RSeq (RFC 3262 section 3)"
    expires = message.one("session-expires")
    if expires and message.code // 100 == 2 and not re.search(r";\s*refresher=(uac|uas)", expires):
        yield "Session-Expires without its refresher (RFC 4028 section 9)"


# A response and what it answers.


def _as_an_answer(message: Said, before: Iterable[Said]) -> Iterator[str]:
    asked = next(
        (
            each
            for each in before
            if not each.code
            and not each.by_node
            and each.link == message.link
            and (each.branch, each.one("call-id"), each.one("cseq"))
            == (message.branch, message.one("call-id"), message.one("cseq"))
        ),
        None,
    )
    if asked is None:
        yield "answers nothing that was asked (section 8.2.6)"
        return
    if message.tag("from") != asked.tag("from"):
        yield "another From than was asked with (section 8.2.6.2)"
    if asked.tag("to") and asked.tag("to") != message.tag("to") and message.code > 100:
        yield "another tag than the dialog's (section 8.2.6.2)"
    if len(message.all("via")) != len(asked.all("via")):
        yield "not the Vias of the request (section 8.2.6.2)"
    routed = message.method in ("INVITE", "SUBSCRIBE") and not asked.tag("to") and 100 < message.code < 300
    if routed and message.all("record-route") != asked.all("record-route"):
        yield "not the Record-Routes of the request (section 12.1.1)"
    able = asked.options("supported") | asked.options("require")
    if unknown := message.options("require") - able:
        yield f"requires {', '.join(sorted(unknown))}, which was not offered (section 8.2.4)"
    timer = message.one("session-expires") if message.code // 100 == 2 and "timer" not in able else ""
    if timer and "refresher=uas" not in timer:
        yield "the caller shall refresh and knows no session timers (RFC 4028 section 9)"


# All together.


def _transactions(said: Sequence[Said]) -> list[str]:
    """A branch is one transaction's (section 8.1.1.7); an ACK to a failure and a CANCEL share that of their INVITE."""
    known: dict[str, tuple[str, str]] = {}
    wrong = []
    for message in said:
        if not message.by_node or message.code or message.method in ("ACK", "CANCEL"):
            continue
        identity = (message.one("call-id"), message.one("cseq"))
        if known.setdefault(message.branch, identity) != identity:
            wrong.append(f"{message}: a branch that was used before (section 8.1.1.7)")
    return wrong


def _sequences(said: Sequence[Said]) -> list[str]:
    """Requests of a dialog count up (section 12.2.1.1); an ACK has the number of its INVITE (section 13.2.2.4)."""
    highest: dict[tuple[str, str, str], int] = {}
    invites: set[tuple[str, str, int]] = set()
    sent: set[str] = set()
    wrong = []
    for message in said:
        if not message.by_node or message.code:
            continue
        call, ours = message.one("call-id"), message.tag("from")
        if message.method == "INVITE":
            invites.add((call, ours, message.sequence))
        if message.method in ("ACK", "CANCEL"):
            if (call, ours, message.sequence) not in invites:
                wrong.append(f"{message}: no INVITE has this number (section 13.2.2.4)")
        elif message.branch not in sent:
            key = (call, ours, message.link)
            if message.sequence <= highest.get(key, -1):
                wrong.append(f"{message}: not above {highest[key]} (section 12.2.1.1)")
            highest[key] = message.sequence
        sent.add(message.branch)
    return wrong


def _acknowledged(said: Sequence[Said]) -> list[str]:
    """Each final response to an INVITE of the node is acknowledged, and each reliable one by a PRACK."""
    acks = {(each.one("call-id"), each.sequence, each.tag("to")) for each in said if each.by_node and _is(each, "ACK")}
    racks = {(each.one("call-id"), each.one("rack")) for each in said if each.by_node and _is(each, "PRACK")}
    wrong = []
    for message in said:
        if message.by_node or message.method != "INVITE" or not message.code:
            continue
        call = message.one("call-id")
        if message.code >= 200 and (call, message.sequence, message.tag("to")) not in acks:
            wrong.append(f"{message}: was not acknowledged (section 13.2.2.4, 17.1.1.3)")
        if "100rel" in message.options("require") and message.code < 200:
            rack = f"{message.one('rseq')} {message.sequence} INVITE"
            if (call, rack) not in racks:
                wrong.append(f"{message}: was not acknowledged (RFC 3262 section 4)")
    return wrong


def _answered(said: Sequence[Said]) -> list[str]:
    """Each request to the node got one final response: none twice with another code."""
    codes: dict[tuple[str, str, str], set[int]] = {}
    for message in said:
        key = (message.link, message.branch, message.method)
        if message.by_node and message.code >= 200:
            codes.setdefault(key, set()).add(message.code)
    wrong = [f"{key[2]} {key[1]}: answered with {sorted(found)}" for key, found in codes.items() if len(found) > 1]
    asked = [each for each in said if not each.by_node and not each.code and each.method != "ACK"]
    left = [each for each in asked if (each.link, each.branch, each.method) not in codes]
    return [*wrong, *(f"{each}: was not answered (section 8.2.6)" for each in left)]


def _descriptions(said: Sequence[Said]) -> list[str]:
    """The node's session descriptions in one dialog: the version goes up by one with each change and only then, and no
    m-line ever goes (RFC 3264 section 8).
    """
    last: dict[tuple[str, str], tuple[str, int, str, int]] = {}
    wrong = []
    for message in said:
        if not message.by_node or "application/sdp" not in message.one("content-type"):
            continue
        text = message.body.decode("utf-8", "replace")
        origin = re.search(r"^o=\S+ (\d+) (\d+) IN IP[46] \S+\r?$", text, re.MULTILINE)
        if origin is None:
            wrong.append(f"{message}: no origin line (RFC 8866 section 5.2)")
            continue
        rest = text.replace(origin[0], "")
        ours = message.tag("to" if message.code else "from")
        key, media = (message.one("call-id"), ours), len(re.findall(r"^m=", text, re.MULTILINE))
        before = last.get(key)
        last[key] = (origin[1], int(origin[2]), rest, media)
        if before is None or before[0] != origin[1]:
            continue
        expected = before[1] + (rest != before[2])
        if int(origin[2]) != expected:
            wrong.append(f"{message}: version {origin[2]} where {expected} follows (RFC 3264 section 8)")
        if media < before[3]:
            wrong.append(f"{message}: {media} m-lines after {before[3]} (RFC 3264 section 8)")
    return wrong


def _is(message: Said, method: str) -> bool:
    return not message.code and message.method == method


_ABOUT_ALL: Final[tuple[Callable[[Sequence[Said]], list[str]], ...]] = (
    _transactions,
    _sequences,
    _acknowledged,
    _answered,
    _descriptions,
)
