"""An office that is called from outside: three phones of a customer, and the other provider, all of them baresip."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from callvoip.phones import PhoneError
from callvoip.phones.baresip import Baresip, write_tone

NUMBER = "+31855550199"
OUTSIDE = "+31301112233"
"""Who calls, and whereto it is forwarded: both are the other provider's."""
FORWARD_SECONDS = 15
PATIENCE_S = 60.0
_AGAIN_S = 4.0
"""So long a call may take to ring all phones before it is dialled again: a number that is new may reach the node a little later."""
_TALK_SECONDS = 2


@dataclass(frozen=True)
class Forwarded:
    """A call that nobody took: after how many seconds it was at the number outside, and what its INVITE said of its way there."""

    after_seconds: float
    history_info: str
    diversion: str


class CalledOffice:
    """Steps of two calls that come in, each once and in this order."""

    def __init__(self, provider: Baresip, phones: Sequence[Baresip], node: str, number: str, *, third: str) -> None:
        """`node` is the address of who serves the phones, `third` how the last of them is called."""
        self._provider, self._phones, self._node = provider, phones, node
        self._number, self._third = number, third

    def wait_registered(self) -> None:
        """All phones have registered. Raises PhoneError."""
        for phone in self._phones:
            phone.wait_for("REGISTER_OK", timeout=PATIENCE_S)

    def rings(self) -> int:
        """The other provider calls the number, as a trunk does: over the way by which the node keeps asking after it.

        How many phones ring, which is all of them; raises PhoneError when they do not.
        """
        found = self._provider.wait_for_text(rf"UDP {re.escape(self._node)}:\d+ -> ", timeout=PATIENCE_S)
        port = re.findall(rf"UDP {re.escape(self._node)}:(\d+) -> ", found)[-1]
        deadline = time.monotonic() + PATIENCE_S
        while True:
            self._forget()
            self._provider.command("dial", f"sip:{self._number}@{self._node}:{port}")
            if _comes(lambda: all("CALL_INCOMING" in _types(phone) for phone in self._phones), _AGAIN_S):
                return len(self._phones)
            if time.monotonic() > deadline:
                raise PhoneError(f"not all phones ring for {self._number}:\n{self._provider.text()[-3000:]}")
            self._provider.command("hangupall")
            time.sleep(1)

    def is_transferred(self) -> int:
        """The second phone answers, and sends the caller on to the third, who talks with it and hangs up.

        How many of the others heard that the call was answered elsewhere. Raises PhoneError when somebody hears nothing.
        """
        first, second, third = self._phones
        second.command("accept")
        second.wait_for("CALL_ESTABLISHED")
        for other in (first, third):
            other.wait_for("CALL_CLOSED")
        elsewhere = sum("Call completed elsewhere" in other.text() for other in (first, third))
        third.events.clear()
        time.sleep(_TALK_SECONDS)
        second.command("transfer", self._third)
        third.wait_for("CALL_INCOMING")
        third.command("accept")
        third.wait_for("CALL_ESTABLISHED")
        second.wait_for("CALL_CLOSED")
        time.sleep(_TALK_SECONDS)
        third.command("hangup")
        self._provider.wait_for("CALL_CLOSED")
        for phone in (third, self._provider):
            if min(phone.packets()) < 25 * _TALK_SECONDS:
                sent, received = phone.packets()
                raise PhoneError(f"after the transfer {sent} packets went and {received} came")
        return elsewhere

    def is_forwarded(self) -> Forwarded:
        """The next call rings all phones, nobody takes it, and it is forwarded. Raises PhoneError."""
        self.rings()
        began = time.monotonic()
        # The provider answers at once: it then has both ends of the call.
        _until(lambda: _types(self._provider).count("CALL_ESTABLISHED") >= 2, "the call is not forwarded")
        took = time.monotonic() - began
        for phone in self._phones:
            phone.wait_for("CALL_CLOSED")
        time.sleep(1)
        self._provider.command("hangupall")
        invites = [each.text for each in self._provider.messages() if each.text.startswith(f"INVITE sip:{OUTSIDE}")]
        if not invites:
            raise PhoneError("the call that is forwarded is none to the number outside")
        return Forwarded(round(took, 1), _header("History-Info", invites[-1]), _header("Diversion", invites[-1]))

    def _forget(self) -> None:
        for phone in (self._provider, *self._phones):
            phone.hear()
            phone.events.clear()


@contextlib.contextmanager
def called_office(
    accounts: Sequence[Mapping[str, str]],
    server: tuple[str, int],
    directory: Path,
    *,
    domain: str,
    ca_file: Path,
    number: str = NUMBER,
    trunk_port: int = 0,
) -> Iterator[CalledOffice]:
    """Starts the three phones with these accounts (username, password) at `server`, and the other provider, which listens on
    `trunk_port`. Raises PhoneError.
    """
    directory.mkdir(parents=True, exist_ok=True)
    microphone = directory / "silence.wav"
    write_tone(microphone, [0] * 8000 * 120)
    with contextlib.ExitStack() as running:
        provider = running.enter_context(other_provider(directory, microphone, trunk_port))
        phones = [
            running.enter_context(_phone(each, server, domain, directory, microphone, ca_file)) for each in accounts
        ]
        extension = accounts[-1]["username"].rpartition("-")[2]
        yield CalledOffice(provider, phones, server[0], number, third=f"sip:{extension}@{domain}")


def other_provider(directory: Path, microphone: Path, sip_port: int = 0) -> Baresip:
    """Whom the trunk leads to: it takes every call at once."""
    account = f"<sip:{OUTSIDE}@127.0.0.1>;regint=0;audio_codecs=pcma;answermode=auto"
    return Baresip(directory / "provider", account=account, microphone=microphone, sip_port=sip_port)


def _phone(
    account: Mapping[str, str], server: tuple[str, int], domain: str, directory: Path, microphone: Path, ca_file: Path
) -> Baresip:
    line = (
        f"<sip:{account['username']}@{domain};transport=tls>;auth_pass={account['password']};regint=60"
        f';outbound="sip:{server[0]}:{server[1]};transport=tls";mediaenc=srtp-mand;audio_codecs=pcma;answermode=manual'
    )
    return Baresip(directory / account["username"], account=line, microphone=microphone, ca_file=ca_file)


def _types(phone: Baresip) -> list[str]:
    phone.hear()
    return [event["type"] for event in phone.events]


def _header(name: str, message: str) -> str:
    return ", ".join(re.findall(rf"^{name}: (.+?)\r?$", message, re.MULTILINE))


def _comes(seen: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not seen():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _until(seen: Callable[[], bool], otherwise: str) -> None:
    if not _comes(seen, PATIENCE_S):
        raise PhoneError(f"{otherwise} within {PATIENCE_S:.0f} s")
