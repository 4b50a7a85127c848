"""Whatever phones do, in whatever order: every call ends, every leg is let go, and no call fails by a defect."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from media_node.call import returning, supervision, transfer
from media_node.call.directory import Directory
from media_node.call.exchange import Exchange
from media_node.call.record import CallRecord
from media_node.log import Event
from media_node.probe.phone import Conversation, RequestRefused
from media_node.probe.phone import Phone as Handset
from media_node.sip.listener import listen_tls, server_context
from media_node.sip.sdp import Direction
from media_node.sip.transaction_layer import ServerTransaction
from tests.support.node import DOMAIN, Certificates
from tests.support.office import CUSTOMER, PASSWORD, Office, environment
from tests.support.ruleful_media import RulefulMedia

EXTENSIONS = ("101", "102", "103", "104")
LOST = (OSError, TimeoutError, RequestRefused, RuntimeError, ValueError)


class Phone(Handset):
    """Answers as it is told to, and takes part in transfers."""

    mood: int = 200

    def requested(self, transaction: ServerTransaction) -> None:
        if transaction.request.method in ("NOTIFY", "UPDATE"):
            transaction.respond(200)
        else:
            super().requested(transaction)

    def lost(self, connection: object) -> None:
        pass


@dataclass
class World:
    """An office in which things happen."""

    office: Office
    phones: list[Phone] = field(default_factory=list)
    waiting: set[asyncio.Task[Any]] = field(default_factory=set)

    def conversations(self) -> list[Conversation]:
        return [
            each for phone in self.phones for each in phone.conversations if each.dialog and not each.ended.is_set()
        ]

    async def attempt(self, work: Any) -> None:
        """Something that may be refused, or get no answer, but not for long."""
        with contextlib.suppress(*LOST):
            async with asyncio.timeout(2):
                await work

    def later(self, work: Any) -> None:
        task = asyncio.ensure_future(self.attempt(work))
        self.waiting.add(task)
        task.add_done_callback(self.waiting.discard)

    async def do(self, what: str, a: int, b: int) -> None:
        phone, other = self.phones[a % len(self.phones)], self.phones[b % len(self.phones)]
        talks = self.conversations()
        conversation = talks[a % len(talks)] if talks else None
        match what:
            case "call":
                self.later(phone.call(EXTENSIONS[b % 4]))
            case "pick up":
                self.later(phone.call("*8"))
            case "answers" | "rings" | "busy" | "declines" | "redirects":
                phone.mood = {"answers": 200, "rings": 180, "busy": 486, "declines": 603, "redirects": 302}[what]
            case "answer":
                for transaction in [each for each in phone.rang if not each.answered and not each.cancelled][:1]:
                    self.later(phone._accept(transaction))
            case "hang up" if conversation:
                await self.attempt(conversation.hang_up())
            case "hold" | "resume" if conversation:
                direction = Direction.SENDONLY if what == "hold" else Direction.SENDRECV
                self.later(conversation.change(direction))
            case "transfer" if conversation and conversation.dialog:
                request = conversation.dialog.request("REFER", conversation.phone.contact)
                request.headers.set("Refer-To", f"<sip:{EXTENSIONS[b % 4]}@{DOMAIN}>")
                self.later(conversation.phone.transactions.ask(conversation.connection, request))
            case "join" if conversation and conversation.dialog and len(talks) > 1:
                second = talks[b % len(talks)]
                assert second.dialog is not None
                request = conversation.dialog.request("REFER", conversation.phone.contact)
                ids = second.dialog.id
                replaces = f"{ids.call_id}%3Bto-tag%3D{ids.remote_tag}%3Bfrom-tag%3D{ids.local_tag}"
                request.headers.set("Refer-To", f"<sip:{EXTENSIONS[b % 4]}@{DOMAIN}?Replaces={replaces}>")
                self.later(conversation.phone.transactions.ask(conversation.connection, request))
            case "lose connection" if a == b:
                phone.connection.close()
            case "come back" if phone.connection.closed:
                await self.attempt(self.comes_back(phone))
            case "silence":
                for call in list(self.office.exchange.calls)[:1]:
                    self.office.exchange.media_event({"event": "timeout", "call": call, "leg": "ab"[b % 2]})
            case "wait":
                await asyncio.sleep(0.05)
        await asyncio.sleep(0)
        del other

    async def comes_back(self, phone: Phone) -> None:
        await phone.connect("127.0.0.1", self.office.port, self.office.certificates.client_context())
        await phone.register()
        for conversation in phone.conversations:
            conversation.connection = phone.connection

    async def everybody_leaves(self) -> None:
        for phone in self.phones:
            with contextlib.suppress(RuntimeError):
                phone.connection.close()
        for task in list(self.waiting):
            task.cancel()


DEEDS = (
    "call", "call", "call", "pick up", "answers", "answers", "rings", "rings", "busy", "declines", "redirects",
    "answer", "answer", "hang up",
    "hold", "resume", "transfer", "transfer", "join", "lose connection", "come back", "silence", "wait", "wait",
)  # fmt: skip


@pytest.mark.usefixtures("processes")  # for the time it takes: not for the fast loop
@given(st.lists(st.tuples(st.sampled_from(DEEDS), st.integers(0, 7), st.integers(0, 7)), min_size=4, max_size=25))
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_every_call_ends_and_lets_go_of_all_it_had(
    certificates: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deeds: list[tuple[str, int, int]]
) -> None:
    monkeypatch.setattr(supervision, "FLOW_TIMEOUT", 0.3)
    monkeypatch.setattr(supervision, "EARLY_FLOW_TIMEOUT", 0.3)
    monkeypatch.setattr(returning, "EARLY_FLOW_TIMEOUT", 0.3)
    monkeypatch.setattr(transfer, "SURRENDER_TIMEOUT", 0.5)
    asyncio.run(history(certificates, tmp_path, deeds))


async def history(certificates: Certificates, tmp_path: Path, deeds: list[tuple[str, int, int]]) -> None:
    media, records, logged = RulefulMedia(), list[CallRecord](), list[tuple[Event, dict[str, Any]]]()

    def log(event: Event, /, **fields: Any) -> None:
        logged.append((event, fields))

    exchange = Exchange(
        domain=DOMAIN,
        media=lambda: media,
        records=records.append,
        directory=Directory((environment(),)),
        log=log,
    )
    context = server_context()
    pem = tmp_path / "server.pem"
    pem.write_text(certificates.pem)
    context.load_cert_chain(pem)
    listener = await listen_tls(exchange.transactions, host="127.0.0.1", port=0, context=context)
    world = World(Office(exchange, media, records, listener.local.port, certificates))
    try:
        for extension in EXTENSIONS:
            phone = Phone(f"{CUSTOMER}-{extension}", PASSWORD, DOMAIN)
            phone.answers = mood(phone)
            world.phones.append(phone)
            await world.comes_back(phone)
        for what, a, b in deeds:
            await world.do(what, a, b)
        await world.everybody_leaves()
        async with asyncio.timeout(10):
            while exchange.calls:  # noqa: ASYNC110 - the exchange's own tasks
                await asyncio.sleep(0.02)
        assert [fields for event, fields in logged if event is Event.CALL_FAILED] == []
        assert len(records) == sum(event is Event.CALL_BEGINS for event, _ in logged) and not media.secure
        assert not exchange._running.dialogs, "no dialog outlives its call"
        assert all(record.ended_at is not None and record.reason for record in records)
    finally:
        await exchange.drain(0, 0)
        await listener.close()


def mood(phone: Phone) -> Callable[[ServerTransaction], int]:
    def answers(transaction: ServerTransaction) -> int:
        if phone.mood == 302:
            loop = asyncio.get_running_loop()
            loop.call_soon(lambda: transaction.respond(302, Contact=f"<sip:104@{DOMAIN}>"))
            return 180
        return phone.mood

    return answers
