"""A customer gets a number and is called by it, with the receipts of those calls: for `./dev demo --life`."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import requests

from callvoip.aws.endpoint import OPERATOR_KEY, SECRET_KEY
from callvoip.client import Client, RequestRefusedError
from callvoip.phones.called_office import FORWARD_SECONDS, NUMBER, OUTSIDE
from callvoip.portal import Portal
from callvoip.system import LocalSystem

REGION = "eu-central-1"
PATIENCE_S = 90.0
TIMEOUT_S = 30.0
PLAN = "unlimited-nl"


class IncomingError(Exception):
    """Something did not go as it should; the text says what."""


def order_plan(system: LocalSystem, who: Mapping[str, Any]) -> tuple[str, str]:
    """A customer orders a calling plan, and proves by the link in the mail that it is that customer; the order's id and token.

    `who` are the fields of the order before. Raises IncomingError when no mail comes.
    """
    wanted = {"category": "plan", "offering": PLAN, "country": "nl", "porting": "no", "areaCode": "085"}
    asked = {**{name: value for name, value in who.items() if name != "phones"}, **wanted}
    placed = Client(system.api).post("/orders", {**asked, "monthlyTotalCents": plan_cents(system)})
    link = until(lambda: _link(system, placed["id"]), "no mail with the order's link came")
    page = Portal(system.site).get(link)
    proof = parse_qs(urlsplit(link).query)["proof"][0]
    Portal(system.site).send(page, f"/bestelling/{placed['id']}/address", proof=proof)
    return placed["id"], placed["token"]


def plan_cents(system: LocalSystem) -> int:
    """What the plan costs a month."""
    offerings = Client(system.api).get("/prices")["offerings"]
    return next(int(each["unitPriceCents"]) for each in offerings if each["id"] == PLAN)


def _link(system: LocalSystem, order_id: str) -> str:
    mails = requests.get(f"{system.site}/_local/mail.json", timeout=TIMEOUT_S).json()
    found = [
        re.search(rf"{re.escape(system.site)}(/bestelling/{order_id}\?\S*proof=\S+)", each["text"]) for each in mails
    ]
    return next((each[1] for each in found if each), "")


def deliver(system: LocalSystem, sales: Client, order: tuple[str, str], customer_id: str, number: str = NUMBER) -> None:
    """Sales approves the plan, the operator brings its number into service, and the order is complete.

    Raises IncomingError when it goes to another customer, or nowhere.
    """
    order_id, token = order
    reviewed = sales.get(f"/sales/orders/{order_id}")
    if not reviewed["knownCustomer"] or reviewed["customerId"] != customer_id:
        raise IncomingError(f"the plan is not for customer {customer_id} but for {reviewed['customerId']}")
    sales.post(f"/sales/orders/{order_id}/approve")

    def products() -> list[str]:
        found: list[dict[str, Any]] = sales.get(f"/sales/customers/{customer_id}")["products"]
        return [each["offeringId"] for each in found]

    until(lambda: PLAN in products(), "the plan is not delivered")
    bring_into_service(system, customer_id, number)
    customer = Client(system.api, token)
    until(lambda: customer.get(f"/orders/{order_id}")["state"] == "completed", "the plan's order is not complete")


def bring_into_service(system: LocalSystem, customer_id: str, number: str) -> None:
    """As the operator does, by the desk for numbers. Raises IncomingError."""
    names: list[str] = operator(system, "dynamodb").list_tables()["TableNames"]
    tables = {
        f"{kind.upper()}_TABLE": next(each for each in names if kind in each.lower())
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
    """The customer has calls that nobody takes forwarded outside, in Mijn omgeving."""
    path = f"/mijn/nummers/{number}"
    portal.send(portal.get(path), path, noAnswer=OUTSIDE, noAnswerSeconds=str(FORWARD_SECONDS))


def records(system: LocalSystem, customer_id: str) -> list[dict[str, Any]]:
    """The customer's call records, in the order in which they began."""
    client = operator(system, "dynamodb")
    answer = client.query(
        TableName=next(each for each in client.list_tables()["TableNames"] if "Cdr" in each),
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": f"CUSTOMER#{customer_id}"}},
        ConsistentRead=True,
    )
    return [_plain({"M": item}) for item in answer["Items"]]


def operator(system: LocalSystem, service: str) -> Any:
    """A boto3 client of the emulated AWS, as the operator."""
    return boto3.client(
        service,  # type: ignore[call-overload]
        endpoint_url=system.aws_endpoint,
        region_name=REGION,
        aws_access_key_id=OPERATOR_KEY,
        aws_secret_access_key=SECRET_KEY,
    )


def _plain(value: Mapping[str, Any]) -> Any:
    ((kind, found),) = value.items()
    match kind:
        case "M":
            return {name: _plain(each) for name, each in found.items()}
        case "L":
            return [_plain(each) for each in found]
        case "N":
            return float(found) if "." in found else int(found)
    return found


def of_number(found: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
    """The record of the call that was transferred and of the one that was forwarded; None while they are not both there."""
    came_in = [each for each in found if "legs" in each and each["from"] == masked(OUTSIDE) and "receipt" in each]
    return (came_in[0], came_in[-1]) if len(came_in) > 1 else None


def masked(number: str) -> str:
    """As the table of what is kept says: without the last three digits."""
    return f"{number[:-3]}***"


def judged(system: LocalSystem, receipts: Sequence[str], directory: Path) -> dict[str, Any]:
    """What `./dev verify-receipt` says of all of them, by the published keys and no network, and of all but one in the middle.

    Raises IncomingError when one is not genuine, the chain is broken, or the one left out is not noticed.
    """
    directory.mkdir(parents=True, exist_ok=True)
    keys = directory / "call-receipt-keys.json"
    keys.write_bytes(requests.get(f"{system.site}/.well-known/call-receipt-keys.json", timeout=TIMEOUT_S).content)

    def verify(chosen: Sequence[str]) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "callvoip", "verify-receipt", "--keys", str(keys), "-"]
        return subprocess.run(command, input="\n".join(chosen), capture_output=True, text=True, check=False)

    chain = in_order(receipts)
    if len(chain) < 3:
        raise IncomingError(f"{len(chain)} receipts have none in the middle")
    whole, without = verify(chain), verify([*chain[:1], *chain[2:]])
    expected = f"{len(receipts)} genuine, 0 not, 0 gaps"
    if whole.returncode or expected not in whole.stdout:
        raise IncomingError(f"the receipts are not {expected}: {whole.stdout[-2000:]}{whole.stderr}")
    if without.returncode != 1 or "is missing" not in without.stdout:
        raise IncomingError(f"a receipt that is left out is not noticed: {without.stdout[-2000:]}{without.stderr}")
    return {"receipts_verified": len(receipts), "left_out_noticed": True}


def in_order(receipts: Sequence[str]) -> list[str]:
    """As they follow each other in the chain of their environment."""

    def number(receipt: str) -> int:
        payload = receipt.split(".")[1]
        return int(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["number"])

    return sorted(receipts, key=number)


def until(seen: Callable[[], Any], otherwise: str, *, seconds: float = PATIENCE_S) -> Any:
    """What is seen at last. Raises IncomingError when nothing is."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if found := seen():
                return found
        except RequestRefusedError as error:
            # A busy machine's store may not answer in time; then nothing has changed.
            if not str(error).startswith("503"):
                raise
        if time.monotonic() > deadline:
            raise IncomingError(f"{otherwise} within {seconds:.0f} s")
        time.sleep(0.2)


def told(found: Mapping[str, Any]) -> dict[str, Any]:
    """What a record says: who called whom, and how each leg was secured."""
    names = ("keying", "suite", "packets", "plaintextPackets")
    legs = [{name: leg[name] for name in names if name in leg} for leg in found["legs"]]
    return {"from": found["from"], "to": found["to"], "beyond": found.get("beyond", ""), "legs": legs}
