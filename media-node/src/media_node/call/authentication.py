"""Who sends a request: digest authentication (RFC 3261 section 22, RFC 7616, RFC 8760) against the directory's accounts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from media_node.call.directory import Directory, Phone
from media_node.log import Event, Log, mask_address
from media_node.sip.digest import Algorithm, Authenticator, Credentials, Verdict
from media_node.sip.grammar import URI
from media_node.sip.headers import Request
from media_node.sip.message import reply, warning
from media_node.sip.transaction_layer import ServerTransaction
from media_node.sip.transport import Connection

MAX_FAILURES: Final = 5
"""Wrong passwords on one connection before it is closed."""


@dataclass(frozen=True)
class Challenge:
    """How a request without valid credentials is answered, and where its credentials stand."""

    status: int
    header: str
    credentials: str


REGISTRAR: Final = Challenge(401, "WWW-Authenticate", "Authorization")
PROXY: Final = Challenge(407, "Proxy-Authenticate", "Proxy-Authorization")


@dataclass(eq=False)
class RequestAuthenticator:
    """Judges the credentials of requests; `directory` is asked for the present one at each."""

    domain: str
    directory: Callable[[], Directory]
    log: Log
    _failures: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._authenticator = Authenticator(self.domain)

    def authenticate(self, transaction: ServerTransaction, challenge: Challenge) -> Phone | None:
        """The phone whose credentials the request bears; None when it was answered with a challenge or a refusal."""
        request, now = transaction.request, asyncio.get_running_loop().time()
        credentials = self._credentials(request, challenge.credentials)
        if isinstance(credentials, ValueError):
            transaction.respond(400, Warning=warning(str(credentials)))
            return None
        stale = False
        if credentials is not None:
            phone = self.directory().phone(credentials.username)
            verdict = self._authenticator.judge(
                credentials,
                method=request.method,
                uri=credentials.uri,
                ha1=phone.ha1 if phone else None,
                now=now,
            )
            if verdict is Verdict.VALID and _same_uri(credentials.uri, request.uri):
                transaction.connection.trust()
                self.log(Event.AUTHENTICATED, algorithm=credentials.algorithm.value, method=request.method)
                return phone
            if verdict is not Verdict.STALE:
                self._failed(transaction, verdict)
                return None
            stale = True
        response = reply(request, challenge.status, to_tag=transaction.tag)
        agent = request.headers.get("User-Agent") or ""
        response.headers.setlist(challenge.header, self._authenticator.challenges(now, stale=stale, agent=agent))
        transaction.send(response)
        return None

    def lacks_credentials(self, request: Request) -> bool:
        """Whether the request names a phone of ours that has no password here yet: one may be on its way."""
        credentials = self._credentials(request, REGISTRAR.credentials)
        phone = self.directory().phone(credentials.username) if isinstance(credentials, Credentials) else None
        return phone is not None and not phone.ha1

    def forget(self, connection: Connection) -> None:
        """The connection is gone."""
        self._failures.pop(connection.number, None)

    def _credentials(self, request: Request, header: str) -> Credentials | ValueError | None:
        """The credentials for our realm in the strongest algorithm, None without any, or what is wrong with them."""
        ours: list[Credentials] = []
        for value in request.headers.getlist(header):
            try:
                credentials = Credentials.parse(value)
            except ValueError as error:
                return error
            if credentials.realm == self.domain:
                ours.append(credentials)
        return min(ours, key=lambda credentials: list(Algorithm).index(credentials.algorithm), default=None)

    def _failed(self, transaction: ServerTransaction, verdict: Verdict) -> None:
        """The same answer for a wrong password and an unknown user; who keeps trying is disconnected."""
        connection = transaction.connection
        self.log(Event.AUTHENTICATION_FAILED, verdict=verdict.value, source=mask_address(connection.peer.host))
        self._failures[connection.number] = self._failures.get(connection.number, 0) + 1
        transaction.respond(403)
        if self._failures[connection.number] >= MAX_FAILURES:
            asyncio.get_running_loop().call_soon(connection.close)


def _same_uri(text: str, uri: URI) -> bool:
    """Whether the uri of credentials is the Request-URI (RFC 7616 section 3.4.6); phones may write it a little
    differently.
    """
    try:
        return URI.parse(text) == uri
    except ValueError:
        return False
