"""Lamps (RFC 4235) and text messages (RFC 3428) between colleagues."""

from __future__ import annotations

import asyncio
import re
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from media_node.call.lamps import MOST
from media_node.sip.dialog import Dialog
from media_node.sip.grammar import URI, Address, CSeq, Parameters
from media_node.sip.headers import Request, Response
from tests.support.node import DOMAIN
from tests.support.office import CUSTOMER, DeskPhone, Office, desk_phone, talking, until

_SPACE = "{urn:ietf:params:xml:ns:dialog-info}"


def request(phone: DeskPhone, method: str, to: str, **headers: str) -> Request:
    made = Request(method, URI("sip", DOMAIN, user=to))
    made.headers.set("Max-Forwards", "70")
    made.from_address = Address(URI("sip", DOMAIN, user=phone.username), parameters=Parameters(tag="5"))
    made.to_address = Address(made.uri)
    made.headers.set("Call-ID", f"{method}-{to}-{id(made)}")
    made.cseq = CSeq(1, method)
    made.contact = [phone.contact]
    for name, value in headers.items():
        made.headers.set(name.replace("_", "-"), value)
    return made


async def ask(phone: DeskPhone, made: Request) -> Response:
    return await phone.transactions.ask(phone.connection, made)


def lamps(phone: DeskPhone) -> list[list[str]]:
    """The states each NOTIFY told."""
    told = []
    for seen in phone.seen:
        if seen.method == "NOTIFY":
            document = ElementTree.fromstring(seen.body)
            told.append([state.text or "" for state in document.iter(f"{_SPACE}state")])
    return told


async def test_a_lamp_shows_when_a_colleague_rings_talks_and_is_free_again(office: Office) -> None:
    watcher, watched = await desk_phone(office, "103"), await desk_phone(office, "102", answers=lambda transaction: 180)
    caller = await desk_phone(office, "101")
    assert (await ask(watcher, request(watcher, "SUBSCRIBE", "102", Event="dialog", Expires="600"))).code == 200
    await until(lambda: lamps(watcher) == [[]])
    call = asyncio.ensure_future(caller.call("102"))
    await until(lambda: lamps(watcher)[-1] == ["early"])
    await watched._accept(watched.rang[0])
    ours = await call
    await until(lambda: lamps(watcher)[-1] == ["confirmed"])
    await ours.hang_up()
    await until(lambda: lamps(watcher)[-1] == [])
    versions = [ElementTree.fromstring(each.body).get("version") for each in watcher.seen if each.method == "NOTIFY"]
    assert versions == [str(number) for number in range(len(versions))]
    # Without the calls' random names, which may hold any digits.
    told = [re.sub(rb' id="[0-9a-f]{16}"', b"", each.body) for each in watcher.seen if each.method == "NOTIFY"]
    assert not any(b"101" in each for each in told), "with whom is not told"


async def test_a_lamp_stays_lit_while_the_relay_takes_its_time_at_the_answer(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen with baresip and a real media worker: between the answer and the worker's word the lamp went out, for good."""
    prompt = office.media.set

    async def slow(*arguments: Any) -> None:
        await asyncio.sleep(0.05)
        await prompt(*arguments)

    monkeypatch.setattr(office.media, "set", slow)
    watcher, watched = await desk_phone(office, "103"), await desk_phone(office, "102", answers=lambda transaction: 180)
    caller = await desk_phone(office, "101")
    await ask(watcher, request(watcher, "SUBSCRIBE", "102", Event="dialog", Expires="600"))
    await until(lambda: lamps(watcher) == [[]])
    call = asyncio.ensure_future(caller.call("102"))
    await until(lambda: lamps(watcher)[-1] == ["early"])
    await watched._accept(watched.rang[0])
    ours = await call
    await until(lambda: lamps(watcher)[-1] == ["confirmed"])
    await asyncio.sleep(0.1)
    await ours.hang_up()
    await until(lambda: lamps(watcher)[-1] == [])
    assert lamps(watcher) == [[], ["early"], ["confirmed"], []]


async def test_a_subscription_is_refreshed_and_ends(office: Office) -> None:
    watcher, _ = await desk_phone(office, "103"), await desk_phone(office, "102")
    first = request(watcher, "SUBSCRIBE", "102", Event="dialog", Expires="600")
    response = await ask(watcher, first)
    dialog = Dialog.as_client(first, response)
    for expires in ("600", "0"):
        again = dialog.request("SUBSCRIBE", watcher.contact)
        again.headers.set("Event", "dialog")
        again.headers.set("Expires", expires)
        assert (await ask(watcher, again)).headers["Expires"] == expires
    await until(lambda: watcher.seen[-1].headers["Subscription-State"].startswith("terminated"))
    again = dialog.request("SUBSCRIBE", watcher.contact)
    assert (await ask(watcher, again)).code == 481


@pytest.mark.parametrize(
    ("to", "headers", "code"),
    [
        ("102", {"Event": "presence"}, 489),
        ("102", {}, 489),
        ("999", {"Event": "dialog"}, 404),
        ("zz9999-102", {"Event": "dialog"}, 404),
        ("102", {"Event": "dialog", "Expires": "5"}, 423),
    ],
)
async def test_what_cannot_be_watched_is_refused(office: Office, to: str, headers: dict[str, str], code: int) -> None:
    watcher = await desk_phone(office, "103")
    assert (await ask(watcher, request(watcher, "SUBSCRIBE", to, **headers))).code == code


async def test_a_phone_has_so_many_lamps(office: Office) -> None:
    watcher = await desk_phone(office, "103")
    codes = [(await ask(watcher, request(watcher, "SUBSCRIBE", "102", Event="dialog"))).code for _ in range(MOST + 1)]
    assert codes == [200] * MOST + [403]
    watcher.connection.close()
    await until(lambda: not office.exchange._lamps._subscriptions)


async def test_a_subscription_that_is_not_refreshed_ends_and_says_so(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("media_node.call.lamps.SHORTEST", 1)
    watcher = await desk_phone(office, "101")
    await ask(watcher, request(watcher, "SUBSCRIBE", "102", Event="dialog", Expires="1"))
    await until(lambda: any("terminated" in (each.headers.get("Subscription-State") or "") for each in watcher.seen))
    left = office.exchange._lamps
    assert not (left._subscriptions or left._of_watched or left._of_watcher)


async def test_only_the_lamps_of_who_calls_are_told(office: Office) -> None:
    watcher = await desk_phone(office, "104")
    for extension in ("101", "102", "103"):
        await ask(watcher, request(watcher, "SUBSCRIBE", extension, Event="dialog"))
    await until(lambda: len(watcher.seen) == 3)
    ours, _ = await talking(office)
    await until(lambda: sum(b"confirmed" in each.body for each in watcher.seen) == 2)
    await ours.hang_up()
    await until(lambda: not office.exchange.calls and b"<dialog " not in watcher.seen[-1].body)
    assert not any(b"sip:103@" in each.body for each in watcher.seen[3:])


async def test_a_message_reaches_all_devices_of_a_colleague(office: Office) -> None:
    devices = [await desk_phone(office, "102") for _ in range(2)]
    sender = await desk_phone(office, "101")
    made = request(sender, "MESSAGE", "102", Content_Type="text/plain")
    made.body = b"Koffie?"
    assert (await ask(sender, made)).code == 200
    await until(lambda: all(any(each.method == "MESSAGE" for each in device.seen) for device in devices))
    got = next(each for each in devices[0].seen if each.method == "MESSAGE")
    assert got.body == b"Koffie?" and got.from_address.uri.user == "101"


@pytest.mark.parametrize(("to", "size", "code"), [("104", 5, 480), ("999", 5, 404), ("102", 5000, 413)])
async def test_a_message_that_cannot_be_delivered_says_why(office: Office, to: str, size: int, code: int) -> None:
    await desk_phone(office, "102")
    sender = await desk_phone(office, "101")
    made = request(sender, "MESSAGE", to, Content_Type="text/plain")
    made.body = b"x" * size
    assert (await ask(sender, made)).code == code


async def test_strangers_neither_watch_nor_write(office: Office) -> None:
    stranger = DeskPhone(f"{CUSTOMER}-103", "ander", DOMAIN)
    office.handsets.append(stranger)
    await stranger.connect("127.0.0.1", office.port, office.certificates.client_context())
    for method in ("SUBSCRIBE", "MESSAGE"):
        assert (await ask(stranger, request(stranger, method, "102", Event="dialog"))).code == 407
