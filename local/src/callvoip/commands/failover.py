"""What becomes of customers' calls when the node of their primary is killed without warning: for `./dev demo --kill-node`."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from callvoip.aws.endpoint import OPERATOR_KEY, SECRET_KEY
from callvoip.client import Client, RequestRefusedError
from callvoip.commands.sample import ADDRESS
from callvoip.phones.linphone import Account
from callvoip.phones.offices import BaresipOffice, LinphoneOffice, Network, Office
from callvoip.system import LocalSystem

LONGEST_SECONDS = 180.0
REGION = "eu-central-1"
_MOST_TRIES = 10

ANOTHER_ORDER = {
    "company": "Fietsen Voorbeeld",
    "name": "Sam de Tester",
    "email": "sam@example.nl",
    "telephone": "085 555 01 24",
    "phones": 2,
    **ADDRESS,
}

Served = tuple[dict[str, Any], list[dict[str, str]]]
"""An order that is complete, and its phones."""


class FailoverError(Exception):
    """Nobody served in time, or not as it should be; the text says what was seen."""


@dataclass(frozen=True)
class Customer:
    """One environment and its phones."""

    environment_id: str
    office: Office


def completed(customer: Client, order_id: str, seconds: float) -> dict[str, Any]:
    """The order as soon as its customer is served. Raises FailoverError when it is refused, or not in time."""
    deadline = time.monotonic() + seconds
    while True:
        order: dict[str, Any] = customer.get(f"/orders/{order_id}")
        if order["state"] == "completed":
            return order
        if order["state"] != "inProgress":
            why = order["events"][-1].get("why", "no reason given")
            raise FailoverError(f"the order became {order['state']}: {why}")
        if time.monotonic() > deadline:
            raise FailoverError(f"not completed {seconds:.0f} s after approval")
        time.sleep(0.1)


def another(system: LocalSystem, sales: Client, seconds: float, **changes: Any) -> Served:
    """One more customer with two phones. Raises FailoverError and RequestRefusedError."""
    visitor = Client(system.api)
    asked = {**ANOTHER_ORDER, **changes}
    offerings = {offering["id"]: offering for offering in visitor.get("/prices")["offerings"]}
    total = int(asked["phones"]) * offerings["srtp"]["unitPriceCents"]
    placed = visitor.post("/orders", {**asked, "monthlyTotalCents": total})
    sales.post(f"/sales/orders/{placed['id']}/approve")
    customer = Client(system.api, placed["token"])
    order = completed(customer, placed["id"], seconds)
    return order, _handed_out(customer, placed["id"])


def _handed_out(customer: Client, order_id: str) -> list[dict[str, str]]:
    """The phones' credentials. A busy machine's store may not answer in time; then nothing has changed, as the answer says."""
    for left in reversed(range(_MOST_TRIES)):
        try:
            phones: list[dict[str, str]] = customer.post(f"/orders/{order_id}/credentials")["phones"]
        except RequestRefusedError as error:
            if not left or not str(error).startswith("503"):
                raise
            time.sleep(1)
        else:
            return phones
    raise AssertionError("the last try returns or raises")


@contextmanager
def customers(
    system: LocalSystem, first: Served, second: Served, directory: Path
) -> Iterator[tuple[Customer, Customer]]:
    """Two customers with phones: the first's are of baresip, the second's of linphone."""
    network = Network(system.dns, system.ca_file)
    with (
        BaresipOffice(*_accounts(first), network, directory / "baresip") as one,
        LinphoneOffice(*_accounts(second), network, directory / "linphone") as two,
    ):
        yield Customer(environment_of(first), one), Customer(environment_of(second), two)


def environment_of(served: Served) -> str:
    """The environment's id, with which its name begins."""
    return str(served[0]["sip"]["host"]).partition(".")[0]


def _accounts(served: Served) -> tuple[list[Account], str]:
    order, phones = served
    sip = order["sip"]
    accounts = [Account(phone["username"], phone["password"], sip["domain"], sip["host"]) for phone in phones[:2]]
    return accounts, phones[1]["extension"]


def measure(system: LocalSystem, customers: Sequence[Customer]) -> dict[str, Any]:
    """Kill the node that serves all of them, and its instance; answers the seconds until the loss was written down, until the standbys
    were primary and named first, and until each customer's phones, left to themselves, had an encrypted call again. Raises FailoverError.
    """
    fleet = _Fleet(system)
    primaries = {fleet.primary(customer.environment_id) for customer in customers}
    if len(primaries) != 1:
        raise FailoverError(f"the customers are served by {sorted(primaries)}, and not by one node")
    ((primary, instance_id),) = primaries
    before = {customer.environment_id: fleet.calls(customer.environment_id) for customer in customers}
    broken = customers[0]
    if not broken.office.begins_to_talk():
        raise FailoverError(f"the phones of {broken.office.kind} cannot call")
    _until(
        lambda: fleet.tells_of_calls(instance_id), time.monotonic(), f"{primary} does not tell of the call that runs"
    )
    for pid in _processes(instance_id):
        os.kill(pid, signal.SIGKILL)
    fleet.client("ec2").terminate_instances(InstanceIds=[instance_id])
    began = time.monotonic()
    with ThreadPoolExecutor(len(customers)) as pool:
        broken.office.hang_up()
        again = [pool.submit(_calls_again, customer.office, began) for customer in customers]
        _until(lambda: fleet.state(primary) == "lost", began, f"{primary} is not known to be lost")
        detected = time.monotonic() - began
        successors = [_succeeded(system, fleet, customer.environment_id, primary, began) for customer in customers]
        served = time.monotonic() - began
        call_s = [one.result() for one in again]
    name = broken.environment_id
    _until(lambda: fleet.broken_calls(name) == 1, began, f"not one record of {name} tells of the call that was broken")
    for customer in customers:
        _until(
            lambda known=before[customer.environment_id], name=customer.environment_id: _new(fleet.calls(name), known),  # type: ignore[misc]
            time.monotonic(),
            f"no record of {customer.environment_id} tells of an encrypted call",
        )
    return {
        "from": primary,
        "to": sorted(set(successors)),
        "phones": [customer.office.kind for customer in customers],
        "detected_s": round(detected, 2),
        "served_s": round(served, 2),
        "call_s": call_s,
        "broken_calls_recorded": fleet.broken_calls(name),
    }


def _processes(instance_id: str) -> list[int]:
    """The node's processes on this machine: they are given the configuration on the instance's own disk."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if any(f"/{instance_id}/".encode() in argument for argument in arguments):
            found.append(int(path.parent.name))
    return found


def _calls_again(office: Office, began: float) -> float:
    while not office.calls():
        if time.monotonic() - began > LONGEST_SECONDS:
            raise FailoverError(f"the phones of {office.kind} do not call again after {LONGEST_SECONDS:.0f} s")
        time.sleep(0.3)
    return round(time.monotonic() - began, 2)


def _succeeded(system: LocalSystem, fleet: _Fleet, environment_id: str, primary: str, began: float) -> str:
    _until(lambda: fleet.primary(environment_id)[0] not in ("", primary), began, f"nobody took over from {primary}")
    successor = fleet.primary(environment_id)[0]
    address, domain = fleet.address(successor), f"{environment_id}.{system.sip_domain}"
    _until(lambda: system.locate(domain)[0].host == address, began, f"{domain} does not lead to {successor}")
    return successor


def _new(records: dict[str, bool], known: dict[str, bool]) -> bool:
    """Whether a call that was not known is recorded, and encrypted on both legs."""
    new = records.keys() - known.keys()
    return any(records[name] for name in new)


def _until(holds: Callable[[], bool], began: float, otherwise: str) -> None:
    while not _tried(holds):
        if time.monotonic() - began > LONGEST_SECONDS:
            raise FailoverError(f"{otherwise} after {LONGEST_SECONDS:.0f} s")
        time.sleep(0.1)


def _tried(holds: Callable[[], bool]) -> bool:
    try:
        return holds()
    except OSError:
        return False


class _Fleet:
    """The tables of a local system, read as its operator."""

    def __init__(self, system: LocalSystem) -> None:
        self._endpoint = system.aws_endpoint
        self._dynamodb = self.client("dynamodb")
        names = self._dynamodb.list_tables()["TableNames"]
        self._table = next(name for name in names if "Fleet" in name)
        self._records = next(name for name in names if "Cdr" in name)

    def client(self, service: str) -> Any:
        """A boto3 client of the emulated AWS, as the operator."""
        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=self._endpoint,
            region_name=REGION,
            aws_access_key_id=OPERATOR_KEY,
            aws_secret_access_key=SECRET_KEY,
        )

    def primary(self, environment_id: str) -> tuple[str, str]:
        """The primary's node and instance; empty while there is none."""
        for shard in range(16):
            item = self._get(f"PLACEMENTS#{shard:02}", environment_id)
            for one in item.get("assignments", {}).get("L", []) if item else []:
                if one["M"]["role"]["S"] == "primary":
                    return one["M"]["nodeId"]["S"], one["M"]["instanceArn"]["S"].rpartition("/")[2]
        return "", ""

    def state(self, node_id: str) -> str:
        """The node's state in the ledger."""
        return str(self._get("NODES", node_id)["state"]["S"])

    def address(self, node_id: str) -> str:
        """Where the node listens."""
        return str(self._get("NODES", node_id)["address"]["S"])

    def calls(self, environment_id: str) -> dict[str, bool]:
        """The environment's call records: whether both legs of each were encrypted, packet by packet."""
        return {
            item["sk"]["S"]: all(
                leg["M"].get("suite", {}).get("S") and leg["M"]["plaintextPackets"]["N"] == "0"
                for leg in item["legs"]["L"]
            )
            for item in self._items(environment_id)
            if item.get("legs", {}).get("L")
        }

    def tells_of_calls(self, instance_id: str) -> bool:
        """Whether a call is told of that runs on this instance."""
        answer = self._dynamodb.scan(TableName=self._records, ConsistentRead=True)
        return any(item["pk"]["S"].endswith(f"/{instance_id}") for item in answer["Items"])

    def broken_calls(self, environment_id: str) -> int:
        """How many records of the environment tell of a call whose node was lost."""
        return sum("the node was lost" in item.get("reason", {}).get("S", "") for item in self._items(environment_id))

    def _items(self, environment_id: str) -> list[dict[str, Any]]:
        answer = self._dynamodb.query(
            TableName=self._records,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": f"CUSTOMER#{environment_id}"}},
            ConsistentRead=True,
        )
        found: list[dict[str, Any]] = answer["Items"]
        return found

    def _get(self, pk: str, sk: str) -> dict[str, Any]:
        found: dict[str, Any] = self._dynamodb.get_item(
            TableName=self._table, Key={"pk": {"S": pk}, "sk": {"S": sk}}, ConsistentRead=True
        ).get("Item", {})
        return found
