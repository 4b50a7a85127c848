"""An office that is called from outside: three phones and the other provider, all of them baresip."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence

from callvoip.phones import PhoneError
from callvoip.phones.baresip import Baresip

NUMBER = "+31855550199"
OUTSIDE = "+31301112233"
"""Who calls, and whereto it is forwarded: both are the other provider's."""
FORWARD_SECONDS = 15
PATIENCE_S = 60.0


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
            raise PhoneError(f"after the transfer {sent} packets went and {received} came")

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


def _until(seen: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not seen():
        if time.monotonic() > deadline:
            raise PhoneError(f"{otherwise} within {PATIENCE_S:.0f} s")
        time.sleep(0.2)
