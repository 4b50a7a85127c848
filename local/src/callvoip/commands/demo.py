"""`./dev demo`: the main job from order to encrypted call, without a browser, on a fresh local system."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from callvoip.client import Client, RequestRefusedError
from callvoip.commands import failover
from callvoip.commands.failover import FailoverError
from callvoip.commands.incoming import IncomingError
from callvoip.commands.life import Life, LifeError
from callvoip.commands.sample import ADDRESS
from callvoip.phones import PhoneError
from callvoip.phones.baresip import free_port
from callvoip.portal import PortalError
from callvoip.system import LocalSystem, StartError

PHONES = 5
TALK_SECONDS = 5
READY_SECONDS = 120.0
"""How long a node may take from approval to the order's completion."""

ORDER = {
    "company": "Bakkerij Voorbeeld",
    "name": "Jo de Tester",
    "email": "jo@example.nl",
    "telephone": "085 555 01 23",
    "phones": PHONES,
    **ADDRESS,
}


class StepFailedError(Exception):
    """A step did not hold; the text says what was seen."""


class Story:
    """Prints one line a step with its time, and remembers which step is being told."""

    def __init__(self, *, quiet: bool) -> None:
        self.step = ""
        self.quiet = quiet
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the story began."""
        return time.monotonic() - self._started

    @contextmanager
    def told(self, step: str) -> Iterator[Callable[[str], None]]:
        """One step; call what is yielded with what was seen."""
        self.step = step
        started = time.monotonic()
        seen: list[str] = []
        yield seen.append
        if not self.quiet:
            print(
                f"{self.seconds:6.1f} s  {step} ({time.monotonic() - started:.1f} s){''.join(f': {text}' for text in seen)}",
                flush=True,
            )


def main(arguments: list[str]) -> int:
    """Tell the story; exit status 0 only when every step held."""
    parser = argparse.ArgumentParser(prog="./dev demo", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    parser.add_argument(
        "--kill-node",
        action="store_true",
        help="let another customer come, give one phones of baresip and the other of linphone, kill their node, and measure how"
        " soon each can call again",
    )
    parser.add_argument(
        "--life",
        action="store_true",
        help="go on in Mijn omgeving: a number that is called, transferred and forwarded, one phone more, a new password,"
        " receipts, notice, and the end a month later",
    )
    options = parser.parse_args(arguments)
    logs = Path(tempfile.mkdtemp(prefix="callvoip-demo-"))
    story = Story(quiet=options.json)
    try:
        proof = tell(story, logs, kill_node=options.kill_node, life=options.life)
    except (
        StepFailedError,
        FailoverError,
        IncomingError,
        LifeError,
        PhoneError,
        PortalError,
        StartError,
        RequestRefusedError,
        requests.RequestException,
    ) as error:
        print(f"./dev demo: the step '{story.step}' failed: {error}\nLogs: {logs}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        shutil.rmtree(logs)
        return 130
    shutil.rmtree(logs)
    print(json.dumps(proof) if options.json else _for_people(proof))
    return 0


def tell(story: Story, logs: Path, *, kill_node: bool = False, life: bool = False) -> dict[str, Any]:
    """Every step on a system of its own; returns the proof. Raises StepFailedError and what the client and the system
    raise.
    """
    with story.told("start the local system") as seen:
        trunk_port = free_port()
        trunk = f"127.0.0.1:{trunk_port}" if life else None
        system = LocalSystem.start(logs=logs, trunk=trunk, quiet=story.quiet)
        seen(system.site)
    with system:
        visitor = Client(system.api)
        with story.told("read the price") as seen:
            offerings = {offering["id"]: offering for offering in visitor.get("/prices")["offerings"]}
            expected = PHONES * offerings["srtp"]["unitPriceCents"]
            seen(f"{_euro(offerings['srtp']['unitPriceCents'])} per phone per month")
        with story.told("order SRTP") as seen:
            placed = visitor.post("/orders", {**ORDER, "monthlyTotalCents": expected})
            ordered = story.seconds
            _hold(
                placed["monthlyTotalCents"] == expected,
                f"the order costs {placed['monthlyTotalCents']} cents instead of {expected}",
            )
            seen(f"order {placed['id']}, {PHONES} phones, {_euro(expected)} per month excl. VAT")
        customer = Client(system.api, placed["token"])
        with story.told("approve as sales") as seen:
            sales = Client.signed_in(system.site, system.api, system.sales_user, system.sales_password)
            queue = [order["id"] for order in sales.get("/sales/orders?state=acknowledged")["items"]]
            _hold(queue == [placed["id"]], f"the queue holds {queue}")
            approved_order = sales.post(f"/sales/orders/{placed['id']}/approve")
            approved = story.seconds
            _hold(approved_order["state"] == "inProgress", f"the order is {approved_order['state']}")
            seen(approved_order["state"])
        with story.told("media node boots, loads the phones and passes its probe call") as seen:
            order = failover.completed(customer, placed["id"], READY_SECONDS)
            ready = story.seconds
            node = sales.get(f"/sales/orders/{placed['id']}")["node"]
            _hold(node["state"] == "ready", f"node {node['id']} is {node['state']}")
            seen(f"node {node['id']} at {order['sip']['host']}:{order['sip']['port']}, order {order['state']}")
        with story.told("hand out the phones' credentials, once") as seen:
            phones = customer.post(f"/orders/{placed['id']}/credentials")["phones"]
            _hold(len(phones) == PHONES, f"credentials for {len(phones)} phones")
            seen(f"extensions {phones[0]['extension']} to {phones[-1]['extension']}")
        with story.told(f"call {phones[1]['extension']} from {phones[0]['extension']} for {TALK_SECONDS} s") as seen:
            call = _call(system, order["sip"], phones[:2])
            _hold(_is_encrypted(call), json.dumps(call))
            seen(", ".join(f"{leg['packets']} packets {leg['suite']}" for leg in call["legs"]))
        gone_over = _gone_over(story, system, sales, (order, phones), logs / "phones") if kill_node else None
        mine = Life(system, order, phones, str(ORDER["email"]), _try_call)
        lived = _life(story, mine, sales, trunk_port, logs) if life else None
    return {
        "order": {"id": order["id"], "state": order["state"], "monthly_total_cents": order["monthlyTotalCents"]},
        "node": {"id": node["id"], "state": node["state"]},
        "call": call,
        "seconds": {
            "total": round(story.seconds, 2),
            "order_to_approved": round(approved - ordered, 2),
            "approved_to_ready": round(ready - approved, 2),
        },
        **({"failover": gone_over} if gone_over else {}),
        **({"life": lived} if lived else {}),
    }


def _gone_over(
    story: Story, system: LocalSystem, sales: Client, first: failover.Served, directory: Path
) -> dict[str, Any]:
    """Two customers with phones of two makers, and the end of the node that serves both."""
    with story.told("another customer orders and is served") as seen:
        second = failover.another(system, sales, READY_SECONDS)
        seen(str(second[0]["sip"]["host"]))
    with failover.customers(system, first, second, directory) as both:
        with story.told("their phones, of baresip and of linphone, find their server by name, register and call"):
            for customer in both:
                customer.office.wait_registered()
                _hold(customer.office.calls(), f"the phones of {customer.office.kind} cannot call")
        with story.told("kill the node without warning; the standby takes over, and the phones by themselves") as seen:
            measured = failover.measure(system, both)
            seen(json.dumps(measured))
    return measured


def _life(story: Story, life: Life, sales: Client, trunk_port: int, logs: Path) -> dict[str, Any]:
    """One customer's life after the first call, told step by step."""
    with story.told("sign in to Mijn omgeving by the link in a mail") as seen:
        seen(life.sign_in())
    with story.told("order a calling plan, and prove the mail address: it goes to the customer that there is") as seen:
        seen(f"order {life.order_plan(ORDER)}")
    with ThreadPoolExecutor(1) as meanwhile, life.office(trunk_port, logs / "office") as office:
        with story.told("approve it; its number comes into service, and is forwarded where nobody answers") as seen:
            number = life.get_number(sales)
            seen(number)
        with story.told("a call to it from outside rings three phones of baresip") as seen:
            office.wait_registered()
            rang = office.rings()
            seen(str(rang))
        with story.told("one answers and transfers it to a colleague, who hears the caller") as seen:
            elsewhere = office.is_transferred()
            seen(f"{elsewhere} others heard that it was answered elsewhere")
        # The next call rings for a quarter of a minute; the customer does not wait for it.
        forwarding = meanwhile.submit(office.is_forwarded)
        with story.told("while the next call rings: add a phone") as seen:
            monthly_cents = life.add_a_phone()
            seen(f"{_euro(monthly_cents[0])} a month becomes {_euro(monthly_cents[1])}")
        with story.told("make a new password for a phone, and call with it") as seen:
            rotated = life.rotate()
            _hold(life.calls(_is_encrypted), f"{rotated} cannot call with its new password")
            seen(rotated)
        with story.told("nobody took the call that rang, and it went to a number outside") as seen:
            forwarded = forwarding.result()
            seen(f"after {forwarded.after_seconds} s, Diversion {forwarded.diversion}")
    with story.told("the records of both calls; ./dev verify-receipt on the receipts of all") as seen:
        attested = life.receipts(logs / "receipts")
        seen(f"{attested['receipts_verified']} genuine, and one that is left out is noticed")
    with story.told("give notice; a month later") as seen:
        ended_state = life.end()
        seen(ended_state)
    with story.told("register after the end") as seen:
        registration_after = life.registration()
        seen(str(registration_after))
    return {
        "monthly_cents": monthly_cents,
        "rotated": rotated,
        "incoming": {
            "number": number,
            "rang": rang,
            "answered": True,
            "answered_elsewhere_told": elsewhere,
            "transferred": True,
            "forwarded_after_seconds": forwarded.after_seconds,
            "diversion": forwarded.diversion,
            "history_info": forwarded.history_info,
            **attested,
        },
        "receipts": attested["receipts_verified"],
        "ended_state": ended_state,
        "registration_after": registration_after,
    }


def _hold(holds: bool, otherwise: str) -> None:
    if not holds:
        raise StepFailedError(otherwise)


def _is_encrypted(call: dict[str, Any]) -> bool:
    legs = call.get("legs", [])
    return bool(
        call.get("audio_ok") and call["plaintext_packets"] == 0 and all(leg["suite"] and leg["packets"] for leg in legs)
    )


def _try_call(system: LocalSystem, sip: dict[str, Any], phones: list[dict[str, str]]) -> dict[str, Any]:
    """A call, or an empty result while none goes through."""
    try:
        return _call(system, sip, phones)
    except StepFailedError:
        return {}


def _call(system: LocalSystem, sip: dict[str, Any], phones: list[dict[str, str]]) -> dict[str, Any]:
    """A call between two phones by the node's own probe program, which says what arrived."""
    server = system.locate(sip["host"])[0]
    caller, callee = (f"{phone['username']}:{phone['password']}" for phone in phones)
    command = [
        *(
            sys.executable,
            "-m",
            "media_node.probe",
            "--json",
            "--seconds",
            str(TALK_SECONDS),
            "--ca-file",
            str(system.ca_file),
        ),
        *(
            "--host",
            server.host,
            "--port",
            str(server.port),
            "--domain",
            sip["domain"],
            "--caller",
            caller,
            "--callee",
            callee,
        ),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    _hold(bool(done.stdout), f"the probe ended with status {done.returncode}: {done.stderr.strip()}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _euro(cents: int) -> str:
    return f"EUR {cents // 100}.{cents % 100:02}"


def _for_people(proof: dict[str, Any]) -> str:
    order, node, call, seconds = proof["order"], proof["node"], proof["call"], proof["seconds"]
    legs = "\n".join(
        f"  leg {name}: {leg['suite']}, {leg['packets']} packets" for name, leg in zip("ab", call["legs"], strict=True)
    )
    return (
        f"\nProof\n  order {order['id']} is {order['state']} at {_euro(order['monthly_total_cents'])} per month\n"
        f"  node {node['id']} is {node['state']}\n{legs}\n  plaintext packets: {call['plaintext_packets']}\n"
        f"  audio as it was sent, both ways: {'yes' if call['audio_ok'] else 'no'}\n"
        f"  from approval to service: {seconds['approved_to_ready']} s; all in {seconds['total']} s"
    )
