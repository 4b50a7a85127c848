"""The lamps of a phone's keys: subscriptions to whether a colleague's phone rings or is in a call (RFC 6665, RFC 4235).

What is told is the state alone, not with whom.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final
from xml.sax.saxutils import quoteattr

from media_node.call.b2bua import Call
from media_node.call.directory import Phone
from media_node.call.plan import Side
from media_node.call.routing import Hunting
from media_node.sip.dialog import Dialog, OutOfOrder
from media_node.sip.headers import Response
from media_node.sip.message import reply
from media_node.sip.transaction_layer import ServerTransaction, TransactionLayer, to_tag
from media_node.sip.transport import Connection

CONTENT_TYPE: Final = "application/dialog-info+xml"
LONGEST: Final = 3600
SHORTEST: Final = 60
MOST: Final = 100
"""Lamps of one account."""

Lamp = tuple[str, str, str]
"""A call's id, and direction and state of the watched phone in it (RFC 4235 section 4.1.6)."""


@dataclass(eq=False)
class Subscription:
    """One lamp of `watcher`, for the phone `watched`."""

    watcher: Phone
    watched: Phone
    dialog: Dialog
    connection: Connection
    ends_at: float
    ending: asyncio.TimerHandle | None = None
    version: int = 0
    told: tuple[Lamp, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """How requests within its dialog name it."""
        return self.dialog.id.call_id, self.dialog.id.local_tag


@dataclass(eq=False)
class Lamps:
    """Takes SUBSCRIBE requests for the event package `dialog`; `changed` has it look again: at the calls once, and at the
    subscriptions of those phones alone whose lamps are or were lit.
    """

    hunting: Hunting
    transactions: TransactionLayer
    calls: Callable[[], Iterable[Call]]
    _subscriptions: dict[tuple[str, str], Subscription] = field(default_factory=dict)
    _of_watcher: dict[str, dict[tuple[str, str], Subscription]] = field(default_factory=dict)
    _of_watched: dict[str, dict[tuple[str, str], Subscription]] = field(default_factory=dict)
    _lit: dict[str, tuple[Lamp, ...]] = field(default_factory=dict)
    """What each watched phone was doing at the last look; a phone that does nothing is not in it."""
    _looking: bool = False

    def subscribe(self, transaction: ServerTransaction, watcher: Phone, watched: Phone | None) -> None:
        """A new subscription of a phone that is known."""
        request = transaction.request
        if (request.headers.get("Event") or "").partition(";")[0].strip().lower() != "dialog":
            transaction.respond(489, Allow_Events="dialog")
            return
        if watched is None:
            transaction.respond(404)
            return
        if len(self._of_watcher.get(watcher.username, ())) >= MOST:
            transaction.respond(403)
            return
        if (seconds := self._seconds(transaction)) is None:
            return
        try:
            dialog = Dialog.as_server(request, transaction.tag)
        except ValueError:
            transaction.respond(400)
            return
        subscription = Subscription(watcher, watched, dialog, transaction.connection, _now() + seconds)
        self._accept(transaction, seconds)
        if seconds:
            self._subscriptions[subscription.key] = subscription
            self._of_watcher.setdefault(watcher.username, {})[subscription.key] = subscription
            self._of_watched.setdefault(watched.username, {})[subscription.key] = subscription
            self._until(subscription, seconds)
        self._notify(subscription, self._now_lit().get(watched.username, ()), ended=not seconds)

    def refresh(self, transaction: ServerTransaction) -> bool:
        """A SUBSCRIBE within a dialog; False when it is of no subscription here."""
        request = transaction.request
        subscription = self._subscriptions.get((request.call_id, to_tag(request)))
        if subscription is None or subscription.connection is not transaction.connection:
            return False
        try:
            subscription.dialog.receive(request)
        except OutOfOrder:
            transaction.respond(500, Retry_After="1")
            return True
        if (seconds := self._seconds(transaction)) is None:
            return True
        self._accept(transaction, seconds)
        if seconds:
            self._until(subscription, seconds)
        else:
            self._drop(subscription)
        self._notify(subscription, self._now_lit().get(subscription.watched.username, ()), ended=not seconds)
        return True

    def changed(self) -> None:
        """Something about a call changed: looked at once for all that comes together."""
        if self._subscriptions and not self._looking:
            self._looking = True
            asyncio.get_running_loop().call_soon(self._look)

    def lost(self, connection: Connection) -> None:
        """A connection is gone, and its subscriptions with it: a phone subscribes again when it has registered."""
        for username in connection.accounts:
            for subscription in list(self._of_watcher.get(username, {}).values()):
                if subscription.connection is connection:
                    self._drop(subscription)

    def _until(self, subscription: Subscription, seconds: int) -> None:
        """It lasts so long from now."""
        if subscription.ending is not None:
            subscription.ending.cancel()
        subscription.ends_at = _now() + seconds
        subscription.ending = asyncio.get_running_loop().call_later(seconds, self._ended, subscription)

    def _ended(self, subscription: Subscription) -> None:
        self._drop(subscription)
        self._notify(subscription, subscription.told, ended=True)

    def _drop(self, subscription: Subscription) -> None:
        if self._subscriptions.pop(subscription.key, None) is None:
            return
        if subscription.ending is not None:
            subscription.ending.cancel()
        for index, username in (
            (self._of_watcher, subscription.watcher.username),
            (self._of_watched, subscription.watched.username),
        ):
            del index[username][subscription.key]
            if not index[username]:
                del index[username]

    def _look(self) -> None:
        self._looking = False
        before, self._lit = self._lit, self._now_lit()
        for username in before.keys() | self._lit.keys():
            lamps = self._lit.get(username, ())
            for subscription in list(self._of_watched.get(username, {}).values()):
                if lamps != subscription.told:
                    self._notify(subscription, lamps)

    def _now_lit(self) -> dict[str, tuple[Lamp, ...]]:
        """What each phone does that does something."""
        lit: dict[str, dict[str, Lamp]] = {}
        for call in self.calls():
            states: dict[str, Lamp] = {}
            if call.answered_at is None:
                states[call.plan.username] = (call.id, "initiator", "proceeding")
                states |= dict.fromkeys(call.ringing(), (call.id, "recipient", "early"))
            for side, party in call.parties.items():
                # Who has just answered talks from then on, though its caller may hear of it a moment later.
                if call.answered_at is not None or side is Side.B:
                    direction = "initiator" if call.plan.username == party.username else "recipient"
                    states[party.username] = (call.id, direction, "confirmed")
            for username, lamp in states.items():
                lit.setdefault(username, {})[call.id] = lamp
        return {username: tuple(lamps.values()) for username, lamps in lit.items()}

    def _notify(self, subscription: Subscription, lamps: tuple[Lamp, ...], *, ended: bool = False) -> None:
        subscription.told = lamps
        entity = self.hunting.uri(subscription.watched.extension)
        dialogs = "".join(
            f"<dialog id={quoteattr(call)} direction={quoteattr(direction)}><state>{state}</state></dialog>"
            for call, direction, state in lamps
        )
        request = subscription.dialog.request("NOTIFY", self.transactions.contact(subscription.connection))
        request.body = (
            '<?xml version="1.0"?>\n<dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" '
            f'version="{subscription.version}" state="full" entity={quoteattr(str(entity))}>{dialogs}</dialog-info>\n'
        ).encode()
        subscription.version += 1
        left = max(0, round(subscription.ends_at - _now()))
        request.headers.set("Event", "dialog")
        request.headers.set("Subscription-State", "terminated;reason=timeout" if ended else f"active;expires={left}")
        request.headers.set("Content-Type", CONTENT_TYPE)

        def heard(response: Response) -> None:
            if response.code >= 300:  # it does not want to hear of it any more (RFC 6665 section 4.2.2)
                self._drop(subscription)

        self.transactions.send(subscription.connection, request, heard)

    def _seconds(self, transaction: ServerTransaction) -> int | None:
        """How long it is subscribed for; None when it was refused as too short."""
        asked = transaction.request.expires
        seconds = LONGEST if asked is None else min(asked, LONGEST)
        if 0 < seconds < SHORTEST:
            transaction.respond(423, Min_Expires=str(SHORTEST))
            return None
        return seconds

    def _accept(self, transaction: ServerTransaction, seconds: int) -> None:
        response = reply(transaction.request, 200, to_tag=transaction.tag)
        response.contact = [self.transactions.contact(transaction.connection)]
        response.headers.set("Expires", str(seconds))
        transaction.send(response)


def _now() -> float:
    return asyncio.get_running_loop().time()
