"""Who sends a request: digest authentication (RFC 3261 section 22, RFC 7616, RFC 8760) against the directory's accounts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from weakref import ref

from media_node.call.directory import Directory, Phone
from media_node.call.trunk_settings import TrunkAccount
from media_node.log import Event, Log, mask_address
from media_node.sip.digest import Algorithm, Authenticator, Credentials, Verdict
from media_node.sip.gate import source_of
from media_node.sip.grammar import URI
from media_node.sip.headers import Request
from media_node.sip.lockout import Lockout, Wait
from media_node.sip.message import reply, warning
from media_node.sip.rates import Throttle
from media_node.sip.transaction_layer import ServerTransaction
from media_node.sip.transport import Connection

MAX_KNOWN: Final = 32
"""Connections of one account that are not a stranger's: with a stolen password nobody takes all places."""
_ORDER: Final = {algorithm: number for number, algorithm in enumerate(Algorithm)}


@dataclass(frozen=True)
class Challenge:
    """How a request without valid credentials is answered, and where its credentials stand."""

    status: int
    header: str
    credentials: str


class Refused:
    """Credentials that are worth nothing: of a wrong password, of nobody, or of a phone that has no password yet."""


REFUSED: Final = Refused()
REGISTRAR: Final = Challenge(401, "WWW-Authenticate", "Authorization")
PROXY: Final = Challenge(407, "Proxy-Authenticate", "Proxy-Authorization")


@dataclass(eq=False)
class RequestAuthenticator:
    """Judges the credentials of requests; `directory` and `trunk_account` are asked for what they are at each."""

    domain: str
    directory: Callable[[], Directory]
    log: Log
    trunk_account: Callable[[str], TrunkAccount | None] = lambda username: None
    lockout: Lockout = field(default_factory=Lockout)
    _known: dict[str, list[ref[Connection]]] = field(default_factory=dict)
    """The connections on which each account has shown its password, the oldest first."""
    _lines: Throttle = field(default_factory=Throttle)
    _rotated: dict[str, str] = field(default_factory=dict)
    """The new H(A1) of each phone that has used it: its previous password is worth nothing any more."""

    def __post_init__(self) -> None:
        self._authenticator = Authenticator(self.domain)

    def authenticate(
        self, transaction: ServerTransaction, challenge: Challenge, *, emergency: bool = False
    ) -> Phone | TrunkAccount | None:
        """The phone or trunk whose credentials the request bears; None when it was answered with a challenge or a refusal.

        A call to an emergency number is judged at once, whatever failed before.
        """
        found = self.judge(transaction, challenge, emergency=emergency)
        if isinstance(found, Refused):
            transaction.respond(403)
            return None
        return found

    def judge(
        self,
        transaction: ServerTransaction,
        challenge: Challenge,
        *,
        emergency: bool = False,
        again: bool = False,
        former: Callable[[str], Phone | None] = lambda _: None,
    ) -> Phone | TrunkAccount | Refused | None:
        """As `authenticate`, but a refusal is left to who asks. What is judged `again` was counted already; `former` are phones
        that are not in the directory any more, and whose passwords still tell who they are.
        """
        request, now = transaction.request, asyncio.get_running_loop().time()
        credentials = self._credentials(request, challenge.credentials)
        if isinstance(credentials, ValueError):
            transaction.respond(400, Warning=warning(str(credentials)))
            return None
        stale = False
        if credentials is not None:
            name = credentials.username
            wait = None if emergency or again else self._wait(transaction.connection, name, now)
            if wait is not None and not wait.proven:
                self._make_wait(transaction, wait, now)
                return None
            account = self.directory().phone(name) or self.trunk_account(name) or former(name)
            verdict = self._judge(credentials, request, account, now)
            if verdict is Verdict.VALID and account is not None:
                self._succeeded(transaction, credentials, now)
                return account
            if wait is not None and verdict is not Verdict.STALE:
                self._make_wait(transaction, wait, now)
                return None
            if verdict is Verdict.MALFORMED:
                transaction.respond(400, Warning=warning("the credentials are for another request"))
                return None
            if verdict is not Verdict.STALE:
                if not again:
                    self._failed(transaction, credentials.username, verdict, now)
                return REFUSED
            stale = True
        response = reply(request, challenge.status, to_tag=transaction.tag)
        agent = request.headers.get("User-Agent") or ""
        response.headers.setlist(challenge.header, self._authenticator.challenges(now, stale=stale, agent=agent))
        transaction.send(response)
        return None

    def _judge(
        self, credentials: Credentials, request: Request, phone: Phone | TrunkAccount | None, now: float
    ) -> Verdict:
        def judge(ha1: Mapping[str, str] | None) -> Verdict:
            return self._authenticator.judge(credentials, method=request.method, uri=credentials.uri, ha1=ha1, now=now)

        if not _same_resource(credentials.uri, request):
            return Verdict.MALFORMED
        verdict = judge(phone.ha1 if phone else None)
        if verdict is Verdict.VALID and phone is not None and phone.previous_ha1:
            self._rotated[phone.username] = _fingerprint(phone.ha1)
        if verdict is Verdict.WRONG:
            # Without a previous password too: by its time nobody shall tell an account whose password has just changed.
            return judge(phone.previous_ha1 if phone is not None and self._may_use_previous(phone) else None)
        return verdict

    def _may_use_previous(self, phone: Phone | TrunkAccount) -> bool:
        """Whether the password before the present one still holds: for a time, and until the new one was used."""
        in_time = phone.previous_until is not None and datetime.now(UTC) < phone.previous_until
        return bool(phone.previous_ha1) and in_time and self._rotated.get(phone.username) != _fingerprint(phone.ha1)

    def _wait(self, connection: Connection, username: str, now: float) -> Wait | None:
        """How long to wait after too many wrong passwords; a phone on a connection where it has shown the right one waits
        for nobody.
        """
        if username in connection.accounts:
            return None
        return self.lockout.wait(username, source_of(connection.peer.host), now)

    def _make_wait(self, transaction: ServerTransaction, wait: Wait, now: float) -> None:
        host = transaction.connection.peer.host
        self._warn(Event.LOCKED_OUT, host, now, reason=wait.reason.value, seconds=round(wait.seconds))
        transaction.respond(503, Retry_After=str(max(1, round(wait.seconds))))

    def _trust(self, connection: Connection, account: str) -> None:
        """The connection is a known phone's from now on; of an account's many connections only the newest are."""
        newest = self._known.get(account)
        if newest and newest[-1]() is connection and connection.known:
            return
        known = [
            held
            for held in self._known.get(account, ())
            if (each := held()) is not None and not each.closed and each is not connection
        ]
        while len(known) >= MAX_KNOWN:
            if (oldest := known.pop(0)()) is not None:
                oldest.distrust()
        self._known[account] = [*known, ref(connection)]
        connection.trust(account)

    def _warn(self, event: Event, host: str, now: float, **fields: object) -> None:
        """A line about a source; one that fails often gets a line now and then, which fail2ban counts as well."""
        left_out = self._lines.allow(source_of(host), now)
        if left_out is not None:
            more = {"left_out": left_out} if left_out else {}
            self.log(event, source=mask_address(host), **fields, **more)

    def _succeeded(self, transaction: ServerTransaction, credentials: Credentials, now: float) -> None:
        connection = transaction.connection
        self._trust(connection, credentials.username)
        self.lockout.succeeded(credentials.username, source_of(connection.peer.host), now)
        if transaction.request.method != "REGISTER":  # whose own line says the same
            self.log(Event.AUTHENTICATED, algorithm=credentials.algorithm.value, method=transaction.request.method)

    def algorithm(self, request: Request) -> str:
        """The algorithm of the credentials that a request was let in with."""
        credentials = self._credentials(request, REGISTRAR.credentials)
        return credentials.algorithm.value if isinstance(credentials, Credentials) else ""

    def _credentials(self, request: Request, header: str) -> Credentials | ValueError | None:
        """The credentials for our realm in the strongest algorithm, None without any, or what is wrong with them."""
        return request.once(header.lower(), self._read_credentials)

    def _read_credentials(self, values: list[str]) -> Credentials | ValueError | None:
        ours: list[Credentials] = []
        for value in values:
            if value.partition(" ")[0].lower() != "digest":
                continue  # a scheme that was not asked for says nothing (RFC 4475 section 3.3.7)
            try:
                credentials = Credentials.parse(value)
            except ValueError as error:
                return error
            if credentials.realm == self.domain:
                ours.append(credentials)
        return min(ours, key=lambda credentials: _ORDER[credentials.algorithm], default=None)

    def _failed(self, transaction: ServerTransaction, username: str, verdict: Verdict, now: float) -> None:
        """The same for a wrong password and an unknown user."""
        host = transaction.connection.peer.host
        self._warn(Event.AUTHENTICATION_FAILED, host, now, verdict=verdict.value)
        self.lockout.failed(username, source_of(host), now)


def _fingerprint(ha1: Mapping[str, str]) -> str:
    return "".join(ha1[name] for name in sorted(ha1))


def _same_resource(text: str, request: Request) -> bool:
    """Whether the uri of credentials is the Request-URI (RFC 7616 section 3.4.6); phones may write it a little
    differently, and a registrar by whichever of its names.
    """
    try:
        uri = URI.parse(text)
    except ValueError:
        return False
    return uri == request.uri or (request.method == "REGISTER" and uri.user is None)
