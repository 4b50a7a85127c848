"""Two phones of one customer that find their server by name and call each other: of baresip, or of linphone."""

from __future__ import annotations

import math
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from callvoip.phones import PhoneError
from callvoip.phones.baresip import Baresip, write_tone
from callvoip.phones.linphone import Account, Linphone

REGISTERED_SECONDS = 40.0
ATTEMPT_SECONDS = 6.0
"""So long a call may take to come about before it is dialled again."""
_RATE = 8000
_TONE_HZ = 400
_TONE_SECONDS = 600


@dataclass(frozen=True)
class Network:
    """What a phone is connected to: whom it asks for names (HOST:PORT) and trusts over TLS."""

    nameserver: str
    ca_file: Path


class Office(ABC):
    """A caller and a colleague with the extension `colleague`. Leave its `with` block to end both."""

    kind = ""

    def __init__(self, accounts: Sequence[Account], colleague: str, network: Network, directory: Path) -> None:
        directory.mkdir(parents=True)
        self.address = f"sip:{colleague}@{accounts[0].domain}"
        self._phones = ExitStack()
        self._microphone = directory / "tone.wav"
        tone = [round(8000 * math.sin(2 * math.pi * _TONE_HZ * n / _RATE)) for n in range(_RATE)]
        write_tone(self._microphone, tone * _TONE_SECONDS)
        self._start(accounts, network, directory)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._phones.close()

    def calls(self, seconds: float = 1.0) -> bool:
        """Whether a call that is dialled now comes about; it is ended after `seconds`. Raises PhoneError when a phone is gone."""
        running = self.begins_to_talk()
        if running:
            time.sleep(seconds)
        self.hang_up()
        return running

    def begins_to_talk(self) -> bool:
        """Whether a call that is dialled now comes about; it goes on until `hang_up`."""
        self._dial()
        deadline = time.monotonic() + ATTEMPT_SECONDS
        while (running := self._is_running()) is None and time.monotonic() < deadline:
            time.sleep(0.05)
        if running:
            self._speak()
        return bool(running)

    @abstractmethod
    def wait_registered(self) -> None:
        """Both have registered. Raises PhoneError."""

    @abstractmethod
    def _start(self, accounts: Sequence[Account], network: Network, directory: Path) -> None: ...

    @abstractmethod
    def _dial(self) -> None: ...

    @abstractmethod
    def _is_running(self) -> bool | None:
        """Whether the call has come about; None while it is coming."""

    @abstractmethod
    def _speak(self) -> None:
        """Both say something from now on."""

    @abstractmethod
    def hang_up(self) -> None:
        """End the call, if there is one."""


class BaresipOffice(Office):
    """Of baresip: it keeps its connections under watch (RFC 5626) and registers anew as soon as one is gone."""

    kind = "baresip"

    def _start(self, accounts: Sequence[Account], network: Network, directory: Path) -> None:
        self._caller, self._callee = (
            self._phones.enter_context(
                Baresip(
                    directory / account.username,
                    account=f"<sip:{account.username}@{account.domain};transport=tls>;auth_pass={account.password};regint=60"
                    f';sipnat=outbound;outbound="sip:{account.server};transport=tls";mediaenc=srtp-mand'
                    ";audio_codecs=pcma,pcmu;answermode=auto",
                    microphone=self._microphone,
                    ca_file=network.ca_file,
                    nameserver=network.nameserver,
                )
            )
            for account in accounts
        )

    def wait_registered(self) -> None:
        for phone in (self._caller, self._callee):
            phone.wait_for("REGISTER_OK", timeout=REGISTERED_SECONDS)

    def _dial(self) -> None:
        self._caller.hear()
        self._caller.events.clear()
        self._caller.command("dial", self.address)

    def _is_running(self) -> bool | None:
        self._caller.hear()
        types = {event["type"] for event in self._caller.events}
        if "CALL_CLOSED" in types:
            return False
        return True if "CALL_ESTABLISHED" in types else None

    def _speak(self) -> None:
        """Each has a microphone."""

    def hang_up(self) -> None:
        self._caller.command("hangup")


class LinphoneOffice(Office):
    """Of linphone."""

    kind = "linphone"

    def _start(self, accounts: Sequence[Account], network: Network, directory: Path) -> None:
        self._caller, self._callee = (
            self._phones.enter_context(
                Linphone(
                    directory / account.username,
                    account=account,
                    ca_file=network.ca_file,
                    nameserver=network.nameserver,
                )
            )
            for account in accounts
        )

    def wait_registered(self) -> None:
        deadline = time.monotonic() + REGISTERED_SECONDS
        for phone in (self._caller, self._callee):
            while "to [LinphoneRegistrationOk]" not in phone.text():
                if time.monotonic() > deadline:
                    raise PhoneError(f"linphone did not register:\n{phone.text()[-3000:]}")
                time.sleep(0.1)

    def _dial(self) -> None:
        self._caller.command(f"call {self.address}")

    def _is_running(self) -> bool | None:
        said = self._caller.command("call-status")
        if "LinphoneCallStreamsRunning" in said:
            return True
        return None if re.search(r"^State: LinphoneCallOutgoing", said, re.MULTILINE) else False

    def _speak(self) -> None:
        for phone in (self._caller, self._callee):
            phone.command(f"incall-player-start {self._microphone}")

    def hang_up(self) -> None:
        self._caller.command("terminate")
