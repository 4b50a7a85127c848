"""What a stranger's octets go through in the node, as one function for fuzzers, and mutations of messages for where no
coverage-guided one runs.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from media_node.sip.digest import Authenticator, Credentials
from media_node.sip.framing import Framer, FramingError
from media_node.sip.grammar import URI
from media_node.sip.headers import Request, Response
from media_node.sip.message import Malformed, datagram, parse, reply, reply_to_malformed, serialise, unframed
from media_node.sip.registrar import MAX_BINDINGS, Registrar, Rejected
from media_node.sip.screening import refusal
from media_node.sip.sdp import OtherBody, Session, attached
from media_node.sip.transaction import client_key, server_key

HERE: Final = Path(__file__).parent
CORPUS: Final = HERE / "corpus"
TORTURE: Final = HERE / "torture"
MESSAGES: Final = HERE / "messages"
"""What phones, trunks and exchanges say, a message of each kind."""
DICTIONARY: Final = HERE / "corpus.dict"
DOMAIN: Final = "sip.example.nl"


@dataclass
class Edge:
    """The stranger's way through the node: framing, parsing, screening, credentials, registrar, SDP, and the answers."""

    registrar: Registrar = field(default_factory=Registrar)
    authenticator: Authenticator = field(default_factory=lambda: Authenticator(DOMAIN))
    taken: int = 0
    """Messages that were let through."""
    _now: float = 0.0

    def stream(self, data: bytes) -> None:
        """Octets as they come over a connection, in two pieces. Any other exception than the node's own refusals is a
        fault; so is an answer that cannot be read.
        """
        self._now += 0.01
        framer = Framer()
        half = len(data) // 2
        try:
            for piece in (data[:half], data[half:]):
                for frame in framer.feed(piece):
                    if isinstance(frame, bytes):
                        self.frame(frame)
        except FramingError as error:
            self._answered(reply_to_malformed(unframed(error)))

    def packet(self, data: bytes) -> None:
        """Octets as they come in one datagram."""
        try:
            self.frame(datagram(data))
        except Malformed as error:
            self._answered(reply_to_malformed(error))

    def frame(self, frame: bytes) -> None:
        """One message."""
        try:
            message = parse(frame)
        except Malformed as error:
            self._answered(reply_to_malformed(error))
            return
        self.taken += 1
        again = parse(serialise(message))
        assert type(again) is type(message)
        if isinstance(message, Response):
            client_key(message)
            return
        server_key(message)
        assert isinstance(again, Request)
        assert again.uri == message.uri == URI.parse(str(message.uri))
        self._answered(reply(message, 200, to_tag="ours"))
        refusal(message, ())
        self._judge(message)
        if message.method == "REGISTER":
            self._register(message)
        try:
            session = attached(message)
        except (OtherBody, ValueError):
            return
        if session is not None:
            Session.parse(str(session))

    def _judge(self, message: Request) -> None:
        for name in ("Authorization", "Proxy-Authorization"):
            for value in message.headers.getlist(name):
                try:
                    credentials = Credentials.parse(value)
                except ValueError:
                    continue
                self.authenticator.judge(
                    credentials, method=message.method, uri=credentials.uri, ha1=None, now=self._now
                )

    def _register(self, message: Request) -> None:
        try:
            done = self.registrar.register(message, username="one", connection=1, now=self._now)
        except Rejected:
            return
        assert len(done.bindings) <= MAX_BINDINGS
        assert len(self.registrar) <= MAX_BINDINGS

    @staticmethod
    def _answered(response: Response | None) -> None:
        """An answer has the lines we wrote and no others."""
        if response is None:
            return
        head = serialise(response).partition(b"\r\n\r\n")[0]
        assert head.count(b"\r") == head.count(b"\n") == head.count(b"\r\n")
        assert head.startswith(b"SIP/2.0 ")
        names = response.headers.keys()
        assert head.count(b"\r\n") == sum(len(response.headers.getlist(name)) for name in names)


def seeds(*folders: Path) -> list[bytes]:
    """The messages of RFC 4475, one of each kind, and the corpus that was found by coverage; or what is in `folders`."""
    return [
        path.read_bytes()
        for folder in folders or (TORTURE, MESSAGES, CORPUS)
        for path in sorted(folder.iterdir())
        if path.suffix != ".md"
    ]


def words() -> list[bytes]:
    """Pieces of SIP, as the dictionary has them."""
    lines = (line.strip() for line in DICTIONARY.read_text().splitlines())
    quoted = (line[1:-1] for line in lines if line.startswith('"'))
    return [line.encode().decode("unicode_escape").encode("latin-1") for line in quoted]


def mutations(seed: int, number: int, *folders: Path, most: int = 6) -> Iterator[bytes]:
    """Messages with up to `most` changes each, the same ones for the same seed."""
    chance = random.Random(seed)
    sources, pieces = seeds(*folders), words()
    for _ in range(number):
        data = bytearray(chance.choice(sources))
        for _ in range(chance.randint(1, most)):
            at = chance.randrange(len(data) + 1)
            match chance.randrange(8):
                case 0:
                    data[at:at] = chance.choice(pieces)
                case 1:
                    data[at : at + chance.randint(1, 30)] = b""
                case 2:
                    data[at : at + 1] = bytes([chance.randrange(256)])
                case 3:
                    other = chance.choice(sources)
                    start = chance.randrange(len(other) + 1)
                    data[at:at] = other[start : start + chance.randint(1, 200)]
                case 4:
                    data[at:at] = chance.choice(pieces) * chance.randint(2, 400)
                case 5:
                    end = at + chance.randint(1, 60)
                    data[at:at] = data[at:end]
                case 6:
                    data[at : at + 1] = chance.choice(
                        (b"\r\n ", b"\t", b"\r\n", b"\\", b'"', b"%", b";", b",", b"<", b">")
                    )
                case _:
                    lines = bytes(data).split(b"\r\n")
                    chance.shuffle(lines)
                    data = bytearray(b"\r\n".join(lines))
        yield bytes(data[:80_000])
