"""Desks: phones that others wrote, with accounts on one node, and what tshark saw of all of it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

from callvoip.phones.baresip import Baresip, write_tone
from tests.support.capture import recording
from tests.support.linphone import Linphone
from tests.support.node import DOMAIN, Aws, Certificates, NodeUnderTest, TestAccount
from tests.support.node_factory import node_factory

CUSTOMER = "abc234"
Phone = TypeVar("Phone", bound=contextlib.AbstractContextManager[Any])


def tone(directory: Path, seconds: int = 300) -> Path:
    """A microphone: a sine of 440 Hz that outlasts every call."""
    path = directory / "tone.wav"
    second = [round(8000 * math.sin(2 * math.pi * 440 * n / 8000)) for n in range(8000)]
    write_tone(path, second * seconds)
    return path


@dataclass
class Desks:
    """One node and the phones that were made for it; all of them end with it."""

    node: NodeUnderTest
    directory: Path
    microphone: Path
    capture: Path
    keys: Path
    _phones: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _recording: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def record(self, what: str) -> None:
        """Begins the capture."""
        self._recording.enter_context(recording(what, self.capture))

    def captured(self) -> Path:
        """Ends the capture: its file."""
        self._recording.close()
        return self.capture

    def keep(self, phone: Phone) -> Phone:
        """Ends this one with all others."""
        self._phones.enter_context(phone)
        return phone

    def baresip(
        self,
        account: TestAccount,
        *,
        media: str = "srtp-mand",
        answers: str = "auto",
        more: str = "",
        name: str = "",
        **options: Any,
    ) -> Baresip:
        """A baresip; `media` is its mediaenc, `more` further parameters of its account."""
        line = (
            f"<sip:{account.username}@{DOMAIN};transport=tls>;auth_user={account.username};auth_pass={account.password};"
            f'outbound="sip:{self.node.address}:5061;transport=tls";regint=60;mediaenc={media};audio_codecs=pcma,pcmu;'
            f"answermode={answers}{more}"
        )
        directory, trusted = self.directory / (name or f"baresip-{account.extension}"), self.node.certificates.ca_file
        return self.keep(Baresip(directory, account=line, microphone=self.microphone, ca_file=trusted, **options))

    def linphone(self, account: TestAccount, **options: Any) -> Linphone:
        """A linphone, with the options of its class."""
        directory = self.directory / f"linphone-{account.extension}"
        return self.keep(Linphone(directory, node=self.node, account=account, microphone=self.microphone, **options))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._phones.close()
        self._recording.close()


@contextlib.contextmanager
def desks(aws: Aws, certificates: Certificates, directory: Path, **options: Any) -> Iterator[Desks]:
    """A node, whose TLS keys are kept, in front of a capture of all that is said to and by it."""
    keys, capture = directory / "keys", directory / "wire.pcapng"
    with node_factory(aws, certificates, directory) as make:
        node = make(keylog=keys, **options)
        # Not the audio: tshark would look at each packet of it.
        heard = f"host {node.address} and (tcp or udp and not portrange 20000-21999)"
        with Desks(node, directory, tone(directory), capture, keys) as made:
            made.record(heard)
            yield made
