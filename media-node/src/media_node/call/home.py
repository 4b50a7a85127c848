"""The provider's own exchange: where a trunk is marked `home`, it is the phones' home registrar and home proxy (RFC 3327
section 4), and this node their edge.

Every phone that is registered here is registered there too, with a Path that leads back over its connection. So the
exchange keeps its menus, queues and voicemail, while each phone's leg is encrypted.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from media_node.call.directory import Directory, Phone
from media_node.call.trunk import ANSWER_TIMEOUT, Trunk, Trunks, answer_challenge
from media_node.log import Event, Log
from media_node.sip.dialog import MAX_FORWARDS
from media_node.sip.grammar import URI, Address, CSeq, Parameters
from media_node.sip.headers import Request, Response
from media_node.sip.message import reply
from media_node.sip.registrar import Binding, Registrar
from media_node.sip.transaction_layer import TransactionLayer
from media_node.sip.transport import Connection

EXPIRES: Final = 300
"""Seconds asked for; asked again at half of what was granted."""
LEAST_EXPIRES: Final = 30
RETRIES: Final = (2.0, 5.0, 15.0, 60.0)
"""Seconds until a registration that failed is tried again; the last goes on."""
AT_A_TIME: Final = 20
"""REGISTER requests that wait for the exchange's answer at once."""
SOON: Final = 0.2
"""Seconds in which phones that come and go are told together."""
INTERVAL: Final = 5.0
"""Seconds between looks at what is due."""
LOOK_BACK: Final = 4.0
"""Seconds, at least, between looks at whether the exchange still knows what it was told."""
WITNESSES: Final = 3
"""So many devices are asked after before all are told anew: one alone may have been removed by hand."""

Flow = tuple[str, int, str]
"""A phone's account, the number of its connection, and its Contact."""


@dataclass(eq=False)
class Upstream:
    """One device's registration at the exchange. `token` is what its Path and Contact are told by, and means nothing to
    anybody else.
    """

    username: str
    flow: int
    token: str = field(default_factory=lambda: secrets.token_hex(12))
    call_id: str = field(default_factory=lambda: secrets.token_hex(16))
    sequence: int = 0
    over: Connection | None = None
    """What it was registered over; another one leaves its Path behind."""
    due_at: float = 0.0
    failures: int = 0
    wanted: bool = True

    def due(self, connection: Connection, now: float) -> bool:
        """Whether the exchange has to hear of it."""
        if not self.wanted:
            return True
        return now >= self.due_at or (self.over is not None and self.over is not connection)

    def answered(self, response: Response, connection: Connection, now: float) -> None:
        """What the exchange said."""
        if 200 <= response.code < 300:
            self.over, self.failures = connection, 0
            self.due_at = now + max(LEAST_EXPIRES, granted(response, self.token)) / 2
        else:
            self.due_at = now + RETRIES[min(self.failures, len(RETRIES) - 1)]
            self.failures += 1


def granted(response: Response, token: str) -> int:
    """Seconds until the exchange forgets the Contact with this token (RFC 3261 section 10.2.4)."""
    try:
        contacts = response.contact
        ours = next((each for each in contacts if each.uri.user == token), None)
        value = ours.parameters.get("expires") if ours is not None else None
        if value is not None and value.isascii() and value.isdigit():
            return min(int(value), EXPIRES)
        return min(response.expires or EXPIRES, EXPIRES)
    except ValueError:
        return EXPIRES


@dataclass(eq=False)
class Home:
    """Keeps the registrations of this node's phones at the exchange. Level-triggered: `sync` compares and asks for what
    differs, and may be called at any time.
    """

    domain: str
    registrar: Registrar
    transactions: TransactionLayer
    trunks: Callable[[], Trunks]
    directory: Callable[[], Directory]
    log: Log
    _flows: dict[Flow, Upstream] = field(default_factory=dict)
    _tokens: dict[str, Upstream] = field(default_factory=dict)
    _syncing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _soon: bool = False
    _was_up: bool = True
    _looked_back: float = -LOOK_BACK
    _tells: bool = True
    """Whether it answers what it knows: not every exchange does."""

    @property
    def trunk(self) -> Trunk | None:
        """The way to the exchange, None without one."""
        return self.trunks().home

    def reached(self, connection: Connection, request: Request) -> Binding | None:
        """The device that a request of the exchange is for, by the token in its topmost Route or its Request-URI; None
        when it is for none of ours.
        """
        upstream = self._tokens.get(_token(request))
        trunk = self.trunks().of(connection)
        if upstream is None or trunk is None or not trunk.settings.home:
            return None
        bindings = self.registrar.lookup(upstream.username, _now())
        return next((each for each in bindings if each.connection == upstream.flow), None)

    def is_for_a_device(self, request: Request) -> bool:
        """Whether a request of the exchange bears a Route, and so is for a device, here or not."""
        return bool(request.headers.getlist("Route"))

    def changed(self, spawn: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        """A phone came or went: the exchange hears of it in a moment, and of what else happens in it."""
        if self.trunk is None or self._soon:
            return
        self._soon = True

        async def soon() -> None:
            await asyncio.sleep(SOON)
            self._soon = False
            await self.sync()

        spawn(soon())

    async def leave(self) -> None:
        """This node stops: the exchange is told that nobody is reached over it any more, as far as it answers at once."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_TIMEOUT / 2):
                await self.sync(leaving=True)

    async def sync(self, *, leaving: bool = False) -> None:
        """Tells the exchange what it does not know yet."""
        trunk = self.trunk
        if trunk is None:
            self._flows.clear()
            self._tokens.clear()
            return
        async with self._syncing:
            now = _now()
            self._compare(() if leaving else self.registrar, self.directory(), now)
            if not self._flows:
                return
            try:
                connection = await trunk.connection()
            except (OSError, TimeoutError):
                self.trunks().mark(trunk, False)
                return
            if not leaving:
                await self._look_back(trunk, connection, now)
            due = [each for each in self._flows.values() if each.due(connection, now)]
            await self._tell(trunk, connection, due)
            for flow in [flow for flow, each in self._flows.items() if not each.wanted]:
                self._tokens.pop(self._flows.pop(flow).token, None)

    async def _tell(self, trunk: Trunk, connection: Connection, due: Iterable[Upstream]) -> None:
        """Registers these, some at a time, so that an exchange that comes back is not met by all of them at once."""
        room = asyncio.Semaphore(AT_A_TIME)

        async def tell(upstream: Upstream) -> None:
            async with room:
                await self._register(trunk, connection, upstream)

        await asyncio.gather(*map(tell, due))

    async def _look_back(self, trunk: Trunk, connection: Connection, now: float) -> None:
        """Whether the exchange has forgotten what it was told: it restarted, which over UDP no connection tells, or was away."""
        came_back, self._was_up = trunk.up and not self._was_up, trunk.up
        told = [each for each in self._flows.values() if each.wanted and each.over is connection and not each.failures]
        if came_back:
            self._tells = True
            self._forgotten(told)
        if came_back or not told or not self._tells or not trunk.up or now - self._looked_back < LOOK_BACK:
            return
        self._looked_back = now
        lost: list[Upstream] = []
        for witness in random.sample(told, min(WITNESSES, len(told))):
            if not await self._is_forgotten(trunk, connection, witness):
                break
            lost.append(witness)
        else:
            await self._tell(trunk, connection, lost[:1])
            if await self._is_forgotten(trunk, connection, lost[0]):
                self._tells = False  # it says so of what it was told just now
                return
            self.log(Event.HOME_FORGOT, devices=len(told))
            lost = told
        self._forgotten(lost)

    @staticmethod
    def _forgotten(those: Iterable[Upstream]) -> None:
        for each in those:
            each.due_at = 0.0

    async def _is_forgotten(self, trunk: Trunk, connection: Connection, witness: Upstream) -> bool:
        """Whether the exchange says that it does not have this device: a REGISTER without a Contact asks what there is (RFC 3261
        section 10.2.3).
        """
        query = self._request(trunk, connection, witness)
        for name in ("Contact", "Path", "Expires"):
            query.headers.remove(name)
        query.headers.set("Call-ID", secrets.token_hex(16))
        response = await self._ask(connection, query)
        if (again := answer_challenge(trunk.settings, query, response)) is not None:
            response = await self._ask(connection, again)
        if not 200 <= response.code < 300:
            return False
        try:
            return all(each.uri.user != witness.token for each in response.contact)
        except ValueError:
            return False

    def _compare(self, bindings: Iterable[Binding], directory: Directory, now: float) -> None:
        there: set[Flow] = set()
        for binding in bindings:
            phone = directory.phone(binding.username)
            if binding.expires_at <= now or phone is None or phone in directory.guests:
                continue
            flow = (binding.username, binding.connection, str(binding.contact))
            there.add(flow)
            if flow not in self._flows:
                upstream = self._flows[flow] = Upstream(binding.username, binding.connection)
                self._tokens[upstream.token] = upstream
        for flow, upstream in self._flows.items():
            upstream.wanted = flow in there

    async def _register(self, trunk: Trunk, connection: Connection, upstream: Upstream) -> None:
        request = self._request(trunk, connection, upstream)
        response = await self._ask(connection, request)
        if (again := answer_challenge(trunk.settings, request, response)) is not None:
            upstream.sequence = again.cseq.sequence
            response = await self._ask(connection, again)
        upstream.answered(response, connection, _now())
        if response.code >= 300 and upstream.wanted:
            phone = self.directory().phone(upstream.username)
            customer = phone.customer_id if phone is not None else ""
            self.log(Event.HOME_REFUSED, customer=customer, status=response.code, failures=upstream.failures)

    async def _ask(self, connection: Connection, request: Request) -> Response:
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                return await self.transactions.ask(connection, request)
        except TimeoutError:
            return reply(request, 408)

    def _request(self, trunk: Trunk, connection: Connection, upstream: Upstream) -> Request:
        settings = trunk.settings
        host = settings.domain or self.domain
        account = URI("sip", host, user=upstream.username)
        upstream.sequence += 1
        request = Request("REGISTER", URI("sip", host))
        request.headers.set("Max-Forwards", str(MAX_FORWARDS))
        request.from_address = Address(account, "", Parameters(tag=secrets.token_hex(8)))
        request.to_address = Address(account)
        request.headers.set("Call-ID", upstream.call_id)
        request.cseq = CSeq(upstream.sequence, "REGISTER")
        # The token is the Contact's user as well: phones behind two routers may have the same address of their own, and an
        # exchange that knows no Path finds the way all the same.
        here = self.transactions.contact(connection, upstream.token)
        request.contact = [here]
        path = here.uri
        request.headers.set(
            "Path", f"<{URI(path.scheme, path.host, path.user, None, path.port, path.parameters.replace(lr=None))}>"
        )
        request.headers.set("Supported", "path")
        request.headers.set("Expires", str(EXPIRES if upstream.wanted else 0))
        return request

    def shown(self, caller: Address, customer: Phone | None) -> Address:
        """Who calls, as a phone shows it: a colleague by the extension, whatever the exchange calls it."""
        phone = self.directory().phone(caller.uri.user or "")
        if phone is None or customer is None or phone.customer_id != customer.customer_id:
            return caller
        return Address(URI("sip", self.domain, user=phone.extension), caller.name)


def _token(request: Request) -> str:
    try:
        (first, *_) = request.route or [Address(request.uri)]
    except ValueError:
        return ""
    return first.uri.user or ""


def _now() -> float:
    return asyncio.get_running_loop().time()
