"""Phones that know real-time text (RFC 4103) beside audio, in tests: what they say of it, and its packets."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any

from media_node.probe.phone import SUITES, Conversation
from media_node.probe.phone import Phone as Handset
from media_node.probe.stream import Stream as Voice
from media_node.sip.sdp import Attribute, CryptoAttribute, Direction, Media, Session
from media_node.sip.transport import Connection
from media_node.suites import Suite
from media_node.worker_link.protocol import LocalTransport
from tests.support.media.phone import Phone as MediaPhone
from tests.support.media.phone import Rtp, session
from tests.support.media.text import RED, T140, Reader, Typist
from tests.support.node import DOMAIN
from tests.support.office import CUSTOMER, PASSWORD, DeskPhone, Office, Provider

CM80 = Suite.AES_CM_128_HMAC_SHA1_80


class TextConversation(Conversation):
    """A call whose phone offers and takes text while it `types`, and keeps the rules of RFC 3264 of its lines."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        encrypted = self.phone.suites and not getattr(self.phone, "types_in_clear", False)
        self.text = MediaPhone(CM80 if encrypted else None)
        self.typist, self.reader = Typist(self.text), Reader()
        self.text_direction = Direction.SENDRECV
        self.text_line: Media | None = None
        """The other side's text line; None when there is none, or it is refused."""
        self.heard: Session | None = None
        """What the other side described last."""
        self._offered: Session | None = None
        self._lines: list[str] = ["audio"]

    @property
    def types(self) -> bool:
        return bool(getattr(self.phone, "types", False))

    def description(self, suites: tuple[str, ...], answered: Any = None) -> Session:
        one = super().description(suites, answered)
        if answered is None:
            if self.types and "text" not in self._lines:
                self._lines.append("text")
            lines = [self._line(kind, None, one.media[0]) for kind in self._lines]
        else:
            assert self.heard is not None
            lines = [self._line(offered.kind, offered, one.media[0]) for offered in self.heard.media]
            self._lines = [line.kind for line in lines]
        described = Session(one.origin, one.connection, (), tuple(lines))
        self._offered = described if answered is None else None
        return described

    def _line(self, kind: str, offered: Media | None, audio: Media) -> Media:
        if kind == "audio":
            return audio
        refused = Media(kind, 0, audio.protocol, offered.formats if offered else (str(T140),))
        if kind != "text" or not self.types or (offered is not None and not offered.port):
            return refused
        crypto: tuple[Attribute, ...] = ()
        if self.text.suite is not None:
            taken = next((each for each in offered.cryptos if each.suite == CM80), None) if offered else None
            if offered is not None and taken is None:
                return refused
            line = CryptoAttribute(taken.tag if taken else 1, CM80, b64encode(self.text.send_key).decode())
            crypto = (Attribute("crypto", str(line)),)
        attributes = (
            Attribute("rtpmap", f"{T140} t140/1000"),
            Attribute("fmtp", f"{T140} cps=30"),
            Attribute("rtpmap", f"{RED} red/1000"),
            Attribute("fmtp", f"{RED} {T140}/{T140}/{T140}"),
            *crypto,
            Attribute(self.text_direction.value),
        )
        port = self.text.rtp.getsockname()[1]
        protocol = audio.protocol if self.text.suite is not None else "RTP/AVP"
        return Media("text", port, protocol, (str(RED), str(T140)), None, attributes)

    def agree(self, remote: Session, taken: CryptoAttribute | None = None) -> None:
        if self._offered is not None:
            told, got = ([media.kind for media in each.media] for each in (self._offered, remote))
            assert told == got, "an answer has the lines of the offer, in their order"
            for ours, theirs in zip(self._offered.media, remote.media, strict=True):
                assert ours.port or not theirs.port, "what was not offered is not answered"
        else:
            kinds = [media.kind for media in remote.media]
            assert kinds[: len(self._lines)] == self._lines, "a later offer keeps the lines of those before"
        self._offered, self.heard = None, remote
        super().agree(remote, taken)
        line = next((media for media in remote.media if media.kind == "text"), None)
        self.text_line = line if line is not None and line.port else None
        if self.text_line is not None and self.text.suite is not None:
            (crypto,) = [each for each in self.text_line.cryptos if each.suite == CM80]
            self.text.inbound = session(CM80, b64decode(crypto.key), outbound=False)

    @property
    def text_at(self) -> LocalTransport:
        """Where text is to be sent."""
        assert self.heard is not None and self.text_line is not None
        line = self.text_line
        return LocalTransport(address=self.heard.address(line), rtp_port=line.port, rtcp_port=line.rtcp_port)

    def type(self, text: str) -> Rtp:
        """Types something."""
        return self.text.send(self.text_at, self.typist.type(text))

    def read(self, timeout: float = 0.3) -> str:
        """All that has been typed on the other side."""
        while (packet := self.text.receive(timeout)) is not None:
            self.reader.read(packet)
        return self.reader.text

    def close(self, reason: str) -> None:
        super().close(reason)
        self.text.close()


class Types:
    """A phone, or a trunk, that knows text while it `types`."""

    types = True
    types_in_clear = False
    """Whether its text has no keys though its speech has."""
    patient = False
    """Whether it keeps its calls when it loses its connection."""

    async def _conversation(self: Handset, voice: int) -> Conversation:  # type: ignore[misc]
        stream = Voice(voice)
        conversation = TextConversation(self, self.connection, stream, await stream.open(self.connection.local.host))
        self.conversations.append(conversation)
        return conversation


class TextPhone(Types, DeskPhone):
    """A desk phone with text."""

    def lost(self, connection: Connection) -> None:
        if not self.patient:
            super().lost(connection)


class TextProvider(Types, Provider):
    """A trunk with text."""


async def text_phone(
    office: Office, extension: str, *, types: bool = True, suites: tuple[str, ...] = SUITES, **options: Any
) -> TextPhone:
    """A registered phone that knows text unless it does not type."""
    phone = TextPhone(f"{CUSTOMER}-{extension}", PASSWORD, DOMAIN, suites, **options)
    phone.types = types
    office.handsets.append(phone)
    await phone.connect("127.0.0.1", office.port, office.certificates.client_context())
    await phone.register()
    return phone


async def connected(
    office: Office, *, caller: bool = True, called: bool = True
) -> tuple[TextPhone, TextPhone, TextConversation, TextConversation]:
    """A call from 101 to 102, of phones that know text or not."""
    second, first = await text_phone(office, "102", types=called), await text_phone(office, "101", types=caller)
    ours = await first.call("102")
    theirs = await second.answered()
    assert isinstance(ours, TextConversation) and isinstance(theirs, TextConversation)
    return first, second, ours, theirs
