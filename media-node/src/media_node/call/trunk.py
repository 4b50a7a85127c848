"""The ways out: connections to the providers that reach all other numbers, kept open, asked whether they live, and
tried in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import ssl
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import phonenumbers

from media_node.call.identity import ANONYMOUS, wants_privacy
from media_node.log import Event, Log, silent
from media_node.sip import transport
from media_node.sip.dialog import MAX_FORWARDS
from media_node.sip.digest import answer
from media_node.sip.grammar import URI, Address, CSeq, Parameters
from media_node.sip.headers import Request, Response
from media_node.sip.transaction_layer import TransactionLayer
from media_node.sip.transport import Connection, Transport

CONNECT_TIMEOUT: Final = 2.0
ANSWER_TIMEOUT: Final = 4.0
"""Seconds a trunk may take to answer an OPTIONS."""
CHECK_INTERVAL: Final = 15.0
"""Seconds between two OPTIONS to a trunk, off the path of any call."""
_CHALLENGE: Final = {401: ("WWW-Authenticate", "Authorization"), 407: ("Proxy-Authenticate", "Proxy-Authorization")}
_FAILURES: Final = frozenset({408, 503})
"""What a silent or broken connection counts as (section 8.1.3.1); every other answer shows that somebody is there."""


@dataclass(frozen=True, kw_only=True)
class TrunkSettings:
    """One trunk as the operator wrote it down: where it is, with which account, and what it can.

    `srtp` tells that it takes SRTP; `emergency` that it is tried first for 112; `local_port` is the UDP port that calls
    from it come in by (0: any). `home` tells that it is the provider's own exchange (call/home.py), with `domain` in its
    addresses where that is not the node's. `country` is the one in whose way it writes numbers that have no + (ISO 3166).
    """

    name: str
    host: str
    port: int
    transport: Transport
    username: str = ""
    password: str = field(default="", repr=False)
    srtp: bool = False
    emergency: bool = False
    local_port: int = 0
    home: bool = False
    domain: str = ""
    country: str = "NL"


def parse_trunks(value: Any) -> tuple[TrunkSettings, ...]:
    """From the trunk parameter's JSON: one trunk or a list of them, in the order in which they are tried; `{}` or `[]`
    for none. Raises ValueError that names the trunk and what is wrong with it.
    """
    entries = value if isinstance(value, list) else [value] if value else []
    trunks = tuple(_parse(number, entry) for number, entry in enumerate(entries, 1))
    names = [trunk.name for trunk in trunks]
    if len(set(names)) < len(names):
        raise ValueError(f"two trunks have the same name: {', '.join(names)}")
    homes = [trunk.name for trunk in trunks if trunk.home]
    if len(homes) > 1:
        raise ValueError(f"more than one trunk is the home exchange: {', '.join(homes)}")
    return trunks


def _parse(number: int, value: Any) -> TrunkSettings:
    if not isinstance(value, dict):
        raise ValueError(f"trunk {number} is not an object")
    try:
        return TrunkSettings(
            name=str(value.get("name") or f"trunk-{number}"),
            host=str(value["host"]),
            port=int(value["port"]),
            transport=Transport(str(value.get("transport", "tls")).upper()),
            username=str(value.get("username", "")),
            password=str(value.get("password", "")),
            srtp=bool(value.get("srtp", False)),
            emergency=bool(value.get("emergency", False)),
            local_port=int(value.get("local_port", 0)),
            home=bool(value.get("home", False)),
            domain=str(value.get("domain", "")),
            country=_country(str(value.get("country", "NL"))),
        )
    except KeyError as error:
        raise ValueError(f"trunk {number} lacks {error.args[0]}") from error
    except (TypeError, ValueError) as error:
        raise ValueError(f"trunk {number}: {error}") from error


def _country(value: str) -> str:
    if value not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError(f"{value} is no country, such as NL or BE")
    return value


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
        """Whether this is the trunk's connection."""
        return connection is self._connection

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
