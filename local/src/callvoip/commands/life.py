"""What becomes of a customer after the first call: for `./dev demo --life`."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import requests

from callvoip.client import Client
from callvoip.commands import incoming
from callvoip.nodes.names import Server
from callvoip.phones.called_office import NUMBER, CalledOffice, called_office
from callvoip.portal import Portal
from callvoip.system import LocalSystem

LONGEST_SECONDS = 120.0
HANDED_OVER_SECONDS = 30.0
# Notice is a month; a day more, whatever the month.
A_MONTH_LATER_SECONDS = 32 * 86400
TIMEOUT_S = 30.0

Phone = Mapping[str, str]
Call = Callable[[LocalSystem, dict[str, Any], list[dict[str, str]]], dict[str, Any]]
"""Makes a call between two phones; what arrived, empty when it did not come about."""


class LifeError(Exception):
    """Something did not come to pass in time; the text says what."""


class Life:
    """The steps of one customer's life, each to be told by whoever runs them."""

    def __init__(
        self, system: LocalSystem, order: Mapping[str, Any], phones: Sequence[Phone], address: str, call: Call
    ) -> None:
        self._system = system
        self._call = call
        self._sip = order["sip"]
        self._monthly_cents = int(order["monthlyTotalCents"])
        self._environment = order["sip"]["host"].partition(".")[0]
        self._phones = [dict(phone) for phone in phones]
        self._address = address
        self._portal = Portal(system.site)
        self._server: Server | None = None
        self._plan = ("", "")

    @property
    def _spare(self) -> list[dict[str, str]]:
        """The two phones that the number does not ring."""
        return self._phones[-2:]

    def sign_in(self) -> str:
        """By the link in a mail; where that leads."""
        return self._portal.sign_in(self._address, f"{self._system.site}/_local/mail.json").path

    def order_plan(self, who: Mapping[str, Any]) -> str:
        """A plan with a number, by the same form and the same mail address; the order's id."""
        self._plan = incoming.order_plan(self._system, who)
        return self._plan[0]

    def get_number(self, sales: Client) -> str:
        """The number that sales and the operator bring into service, as its calls are forwarded in Mijn omgeving when nobody takes them."""
        incoming.deliver(self._system, sales, self._plan, self._environment)
        incoming.forward(self._portal)
        self._monthly_cents += incoming.plan_cents(self._system)
        return NUMBER

    def office(self, trunk_port: int, directory: Path) -> AbstractContextManager[CalledOffice]:
        """The first three phones as telephones of baresip, and who calls them by the trunk."""
        server = self._system.locate(self._sip["host"])[0]
        return called_office(
            self._phones[:3],
            (server.host, server.port),
            directory,
            domain=self._sip["domain"],
            ca_file=self._system.ca_file,
            trunk_port=trunk_port,
        )

    def receipts(self, directory: Path) -> dict[str, Any]:
        """What the records say of the two calls that came in, and `./dev verify-receipt` of the receipts of all calls."""
        found = incoming.until(
            lambda: incoming.of_number(self._records()), "the calls that came in are not both recorded"
        )
        receipts = [each["receipt"] for each in self._records() if "receipt" in each]
        return {
            "records": [incoming.told(each) for each in found],
            **incoming.judged(self._system, receipts, directory),
        }

    def add_a_phone(self) -> list[int]:
        """What a month costs before and after, in cents, as the pages say it."""
        page = self._portal.get("/mijn/telefoons")
        price = self._portal.send(page, "/mijn/telefoons/toevoegen", labels="Balie", step="check")
        after = int(price.forms["/mijn/telefoons/toevoegen"]["monthlyTotalCents"])
        self._portal.send(price, "/mijn/telefoons/toevoegen")
        page = self._portal.get("/mijn/telefoons")
        again = self._portal.send(page, "/mijn/telefoons/toevoegen", labels="Magazijn", step="check")
        two_more, before = int(again.forms["/mijn/telefoons/toevoegen"]["monthlyTotalCents"]), self._monthly_cents
        if two_more - after != after - before:
            raise LifeError(f"the phone is not on the account: {before}, {after}, and with one more {two_more} cents")
        return [before, after]

    def rotate(self) -> str:
        """A new password for a phone, which it uses from now on; its user name."""
        username = self._spare[0]["username"]
        page = self._portal.get(f"/mijn/telefoons/{username}")
        told = self._portal.send(page, f"/mijn/telefoons/{username}/wachtwoord")
        passwords = dict(zip(told.attributes("data-username"), told.attributes("data-password"), strict=True))
        if passwords.get(username) in (None, self._spare[0]["password"]):
            raise LifeError(f"the page tells no new password for {username}")
        self._spare[0]["password"] = passwords[username]
        return username

    def calls(self, encrypted: Callable[[Any], bool]) -> bool:
        """Whether that phone reaches another with the passwords that hold now; a node may take a moment."""
        return bool(
            self._until(lambda: encrypted(self._call(self._system, self._sip, self._spare)), "no call got through")
        )

    def end(self) -> str:
        """Notice on all products, and the clock of what carries it out a month later; the products' state then."""
        # Its name is gone afterwards; a phone that is on knows where it was.
        self._server = self._system.locate(self._sip["host"])[0]
        page = self._portal.get("/mijn/opzeggen")
        products = {name: "1" for name in page.attributes("name") if name.startswith("product-")}
        check = self._portal.send(page, "/mijn/opzeggen", **products)
        self._portal.send(check, "/mijn/opzeggen")
        moved: dict[str, Any] = {"functions": ["due"], "ahead_s": A_MONTH_LATER_SECONDS}
        requests.post(f"{self._system.site}/_local/clock", json=moved, timeout=TIMEOUT_S).raise_for_status()

        def ended() -> str:
            states = set(self._portal.get("/mijn/producten").attributes("data-state"))
            return states.pop() if len(states) == 1 and "terminated" in states else ""

        return str(self._until(ended, "the products did not end"))

    @staticmethod
    def _until(seen: Callable[[], Any], otherwise: str) -> Any:
        return incoming.until(seen, otherwise, seconds=LONGEST_SECONDS)

    def registration(self) -> int:
        """The SIP status of a phone that registers where it did before the end, as soon as it is refused.

        503 sends a phone elsewhere while a node hands over; it is the answer when no other comes in time.
        """
        deadline, code = time.monotonic() + HANDED_OVER_SECONDS, 0
        while code in (0, 503) and time.monotonic() < deadline:
            code = self._register() or code
            time.sleep(0.5)
        if not code:
            raise LifeError("the phone may still register, or nobody answers it")
        return code

    def _register(self) -> int:
        """The status of a refusal, 0 for none: an attempt without encryption registers first and is refused by 488 then."""
        server = self._server or self._system.locate(self._sip["host"])[0]
        caller, callee = (f"{phone['username']}:{phone['password']}" for phone in self._spare)
        command = [
            *(sys.executable, "-m", "media_node.probe", "--json", "--attempt", "no-crypto"),
            *("--host", server.host, "--port", str(server.port), "--domain", self._sip["domain"]),
            *("--ca-file", str(self._system.ca_file), "--caller", caller, "--callee", callee),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        code = int(json.loads(done.stdout or "{}").get("refused", {}).get("code", 0))
        return 0 if code == 488 else code

    def _records(self) -> list[dict[str, Any]]:
        return incoming.records(self._system, self._environment)
