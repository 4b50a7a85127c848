"""The ways out: connections to the providers that reach all other numbers, kept open, asked whether they live, and
tried in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import ssl
from collections.abc import Collection, Iterable
from typing import Final

from media_node.call.identity import ANONYMOUS, wants_privacy
from media_node.call.trunk_settings import TrunkAccount, TrunkSettings
from media_node.log import Event, Log, silent
from media_node.sip import transport
from media_node.sip.dialog import MAX_FORWARDS
from media_node.sip.digest import answer
from media_node.sip.grammar import URI, Address, CSeq, Parameters
from media_node.sip.headers import Request, Response
from media_node.sip.transaction_layer import TransactionLayer
from media_node.sip.transport import Connection

CONNECT_TIMEOUT: Final = 2.0
ANSWER_TIMEOUT: Final = 4.0
"""Seconds a trunk may take to answer an OPTIONS."""
CHECK_INTERVAL: Final = 15.0
"""Seconds between two OPTIONS to a trunk, off the path of any call."""
_CHALLENGE: Final = {401: ("WWW-Authenticate", "Authorization"), 407: ("Proxy-Authenticate", "Proxy-Authorization")}
_FAILURES: Final = frozenset({408, 503})
"""What a silent or broken connection counts as (section 8.1.3.1); every other answer shows that somebody is there."""


class Trunk:
    """Keeps the connection to one trunk."""

    def __init__(
        self,
        settings: TrunkSettings,
        transactions: TransactionLayer,
        *,
        local_host: str,
        announced_host: str | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.settings = settings
        self.up = True
        """Whether it answered when it was last asked; believed until then."""
        self._transactions = transactions
        self._local_host = local_host
        self._announced_host = announced_host
        self._context = context
        self._connection: Connection | None = None
        self._connecting = asyncio.Lock()

    async def connection(self) -> Connection:
        """The open connection, made anew when there is none. Raises OSError or TimeoutError when the trunk cannot be
        reached.
        """
        async with self._connecting:
            if self._connection is None or self._connection.closed:
                async with asyncio.timeout(CONNECT_TIMEOUT):
                    self._connection = await transport.connect(
                        self._transactions,
                        self.settings.transport,
                        host=self.settings.host,
                        port=self.settings.port,
                        context=self._context,
                        local_host=self._local_host,
                        local_port=self.settings.local_port,
                        announced_host=self._announced_host,
                    )
            return self._connection

    def uri(self, number: str) -> URI:
        """The Request-URI for a number."""
        settings = self.settings
        if settings.domain:
            return URI("sip", settings.domain, user=number)
        return URI(
            "sip",
            settings.host,
            user=number,
            port=settings.port,
            parameters=Parameters(transport=settings.transport.parameter),
        )

    def owns(self, connection: Connection) -> bool:
        """Whether the trunk is at the other end: of the connection that was made to it, whose name TLS has checked, or of one
        that it made itself, from an address of its own or with its account.
        """
        calls_in = self.settings.calls_in
        return (
            connection is self._connection
            or (bool(calls_in.username) and calls_in.username in connection.accounts)
            or calls_in.holds(connection.peer.host)
        )

    async def answers(self, domain: str) -> bool:
        """Whether it answers an OPTIONS; any answer will do."""
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                connection = await self.connection()
                response = await self._transactions.ask(connection, self._options(connection, domain))
        except (OSError, TimeoutError):
            return False
        return response.code not in _FAILURES

    def _options(self, connection: Connection, domain: str) -> Request:
        request = Request(
            "OPTIONS", URI("sip", self.settings.host, port=self.settings.port, parameters=self.uri("").parameters)
        )
        request.headers.set("Max-Forwards", str(MAX_FORWARDS))
        request.from_address = Address(URI("sip", domain), "", Parameters(tag=secrets.token_hex(8)))
        request.to_address = Address(request.uri)
        request.headers.set("Call-ID", secrets.token_hex(16))
        request.cseq = CSeq(1, "OPTIONS")
        request.contact = [self._transactions.contact(connection)]
        return request

    def close(self) -> None:
        """Closes the connection; the next call makes a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Trunks:
    """All trunks, in the operator's order."""

    def __init__(self, trunks: Iterable[Trunk], domain: str, log: Log = silent) -> None:
        self.all = tuple(trunks)
        self._domain = domain
        self._log = log
        self._accounts = {
            each.username: each.account(domain)
            for each in (trunk.settings.calls_in for trunk in self.all)
            if each.username
        }

    @property
    def settings(self) -> tuple[TrunkSettings, ...]:
        """As the operator wrote them down."""
        return tuple(trunk.settings for trunk in self.all)

    def __bool__(self) -> bool:
        return bool(self.all)

    @property
    def home(self) -> Trunk | None:
        """The one that is the provider's own exchange."""
        return next((trunk for trunk in self.all if trunk.settings.home), None)

    def choose(self, *, emergency: bool, home: bool = False, tried: Collection[str] = ()) -> Trunk | None:
        """The next trunk for a call: one that answers before one that did not, for 112 those meant for it first, and the
        exchange only when all others are out.
        """
        left = [
            trunk
            for trunk in self.all
            if trunk.settings.name not in tried and (emergency or trunk.settings.home is home)
        ]
        return min(left, key=lambda trunk: _rank(trunk, emergency), default=None)

    def of(self, connection: Connection) -> Trunk | None:
        """The trunk at the other end of a connection."""
        return next((trunk for trunk in self.all if trunk.owns(connection)), None)

    def account(self, username: str) -> TrunkAccount | None:
        """The account of this name that a trunk logs in with."""
        return self._accounts.get(username)

    def named(self, name: str) -> Trunk | None:
        """The trunk of this name."""
        return next((trunk for trunk in self.all if trunk.settings.name == name), None)

    async def check(self) -> None:
        """Asks every trunk whether it is there."""
        found = await asyncio.gather(*(trunk.answers(self._domain) for trunk in self.all))
        for trunk, up in zip(self.all, found, strict=True):
            self.mark(trunk, up)

    def mark(self, trunk: Trunk, up: bool) -> None:
        """What was just learnt of a trunk."""
        if up is not trunk.up:
            self._log(Event.TRUNK_REACHABLE if up else Event.TRUNK_UNREACHABLE, trunk=trunk.settings.name)
        trunk.up = up

    def close(self) -> None:
        """Closes all connections."""
        for trunk in self.all:
            trunk.close()


def _rank(trunk: Trunk, emergency: bool) -> tuple[bool, ...]:
    return not trunk.up, trunk.settings.home, emergency and not trunk.settings.emergency


def answer_challenge(settings: TrunkSettings, request: Request, response: Response) -> Request | None:
    """The request once more, with the trunk's account as a 401 or 407 asks for it, once (RFC 3261 section 22.3); None when
    there is nothing to answer it with.
    """
    if response.code not in _CHALLENGE or not settings.username:
        return None
    asked, given = _CHALLENGE[response.code]
    if request.headers.get(given) is not None:
        return None  # it has seen the account and does not want it
    for challenge in response.headers.getlist(asked):
        try:
            credentials = answer(
                challenge,
                username=settings.username,
                password=settings.password,
                method=request.method,
                uri=str(request.uri),
            )
        except ValueError:
            continue  # an algorithm that is not known here: perhaps the next
        again = Request(request.method, request.uri, request.body)
        for name in request.headers.keys():  # noqa: SIM118 - no mapping
            if name.lower() not in ("via", "cseq"):
                again.headers.setlist(name, request.headers.getlist(name))
        again.cseq = CSeq(request.cseq.sequence + 1, request.method)
        again.headers.set(given, str(credentials))
        return again
    return None


def trunk_caller(request: Request) -> Address:
    """Who calls from outside, as far as a phone may see it: what the trunk asserts (RFC 3325), else what the From says, and
    nobody where privacy was asked (RFC 3323).
    """
    if wants_privacy(request.from_address, request.headers.get("Privacy") or ""):
        return ANONYMOUS
    for value in request.headers.getlist("P-Asserted-Identity"):
        with contextlib.suppress(ValueError):
            return Address.parse_many(value)[0]
    return request.from_address
