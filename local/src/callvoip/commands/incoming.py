"""A company is called: a call from outside rings its phones, is transferred, forwarded when nobody takes it. For `./dev demo --life`."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import boto3

from callvoip.aws.endpoint import OPERATOR_KEY, SECRET_KEY
from callvoip.phones import PhoneError
from callvoip.phones.baresip import Baresip, write_tone
from callvoip.portal import Portal
from callvoip.system import LocalSystem

NUMBER = "+31855550199"
OUTSIDE = "+31301112233"
"""Who calls, and whereto it is forwarded: both are the other provider's."""
FORWARD_SECONDS = 15
REGION = "eu-central-1"
PATIENCE_S = 60.0
Phone = Mapping[str, str]


class IncomingError(Exception):
    """A call did not go as it should; the text says how."""


def assign(system: LocalSystem, customer_id: str, number: str = NUMBER) -> None:
    """The operator brings a number into service. Raises IncomingError."""
    client: Any = boto3.client(
        "dynamodb",
        endpoint_url=system.aws_endpoint,
        region_name=REGION,
        aws_access_key_id=OPERATOR_KEY,
        aws_secret_access_key=SECRET_KEY,
    )
    names: list[str] = client.list_tables()["TableNames"]
    tables = {
        f"{kind.upper()}_TABLE": next(name for name in names if kind in name.lower())
        for kind in ("orders", "customers")
    }
    environment = os.environ | {
        **tables,
        "AWS_ENDPOINT_URL": system.aws_endpoint,
        "AWS_ACCESS_KEY_ID": OPERATOR_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "NODE_CAPACITY_CALLS": "500",
        "POWERTOOLS_SERVICE_NAME": "operator",
        "POWERTOOLS_METRICS_NAMESPACE": "callvoip",
    }
    command = [sys.executable, "-m", "customers.number_desk", number, customer_id]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise IncomingError(f"{number} is not in service: {done.stderr or done.stdout}")


def forward(portal: Portal, number: str = NUMBER) -> None:
    """The customer has calls that nobody takes forwarded, in Mijn omgeving."""
    path = f"/mijn/nummers/{number}"
    portal.send(portal.get(path), path, noAnswer=OUTSIDE, noAnswerSeconds=str(FORWARD_SECONDS))


class Office:
    """Three phones of a customer, and the other provider, all of them baresip."""

    def __init__(
        self, provider: Baresip, phones: Sequence[Baresip], node: str, number: str = NUMBER, *, third: str
    ) -> None:
        """`node` is the address of who serves the phones, `third` how the last of them is called."""
        self._provider, self._phones, self._node = provider, phones, node
        self._number, self._third = number, third

    def calls_in(self) -> None:
        """The other provider calls the number, as a trunk does: over the way by which the node keeps asking after it."""
        found = self._provider.wait_for_text(rf"UDP {re.escape(self._node)}:\d+ -> ", timeout=PATIENCE_S)
        ports = re.findall(rf"UDP {re.escape(self._node)}:(\d+) -> ", found)
        for phone in (self._provider, *self._phones):
            phone.hear()
            phone.events.clear()
        self._provider.command("dial", f"sip:{self._number}@{self._node}:{ports[-1]}")

    def rings(self) -> None:
        """All three ring."""
        for phone in self._phones:
            phone.wait_for("CALL_INCOMING")

    def is_transferred(self) -> None:
        """The second phone answers, and sends the caller on to the third, who talks with it and hangs up."""
        first, second, third = self._phones
        second.command("accept")
        second.wait_for("CALL_ESTABLISHED")
        for other in (first, third):
            other.wait_for("CALL_CLOSED")
            other.events.clear()
        time.sleep(1)
        second.command("transfer", self._third)
        third.wait_for("CALL_INCOMING")
        third.command("accept")
        third.wait_for("CALL_ESTABLISHED")
        second.wait_for("CALL_CLOSED")
        time.sleep(2)
        third.command("hangup")
        self._provider.wait_for("CALL_CLOSED")
        sent, received = third.packets()
        if not sent or not received:
            raise IncomingError(f"after the transfer {sent} packets went and {received} came")

    def is_forwarded(self) -> float:
        """Nobody takes the next call: after how many seconds it is at the number outside."""
        began = time.monotonic()
        self.calls_in()
        self.rings()
        # The provider answers at once: it then has both ends of the call.
        _until(lambda: self._established() >= 2, "the call is not forwarded")
        took = time.monotonic() - began
        for phone in self._phones:
            phone.wait_for("CALL_CLOSED")
        time.sleep(1)
        self._provider.command("hangupall")
        return round(took, 1)

    def _established(self) -> int:
        self._provider.hear()
        return [event["type"] for event in self._provider.events].count("CALL_ESTABLISHED")


@contextlib.contextmanager
def office(
    system: LocalSystem,
    sip: Mapping[str, Any],
    phones: Sequence[Phone],
    trunk_port: int,
    directory: Path,
    number: str = NUMBER,
) -> Iterator[Office]:
    """Starts them; `sip` is where the order says that its phones register. Raises PhoneError."""
    directory.mkdir(parents=True, exist_ok=True)
    microphone = directory / "silence.wav"
    write_tone(microphone, [0] * 8000 * 120)
    server = system.locate(sip["host"])[0]
    account = f"<sip:{OUTSIDE}@127.0.0.1>;regint=0;audio_codecs=pcma;answermode=auto"
    with contextlib.ExitStack() as running:
        provider = running.enter_context(
            Baresip(directory / "provider", account=account, microphone=microphone, sip_port=trunk_port)
        )
        handsets = []
        for phone in phones[:3]:
            line = (
                f"<sip:{phone['username']}@{sip['domain']};transport=tls>;auth_pass={phone['password']};regint=60"
                f';outbound="sip:{server.host}:{server.port};transport=tls";mediaenc=srtp-mand;audio_codecs=pcma;answermode=manual'
            )
            handset = Baresip(
                directory / phone["username"], account=line, microphone=microphone, ca_file=system.ca_file
            )
            handsets.append(running.enter_context(handset))
        for handset in handsets:
            handset.wait_for("REGISTER_OK", timeout=PATIENCE_S)
        extension = phones[2]["username"].rpartition("-")[2]
        yield Office(provider, handsets, server.host, number, third=f"sip:{extension}@{sip['domain']}")


def _until(seen: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not seen():
        if time.monotonic() > deadline:
            raise PhoneError(f"{otherwise} within {PATIENCE_S:.0f} s")
        time.sleep(0.2)
