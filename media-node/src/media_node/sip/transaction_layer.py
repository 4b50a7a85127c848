"""Joins connections and transactions: matches messages, runs the timers, and hands requests to the transaction user.

The state machines of transaction.py stay pure; this is where their actions happen and where the clock is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import Final, Protocol, TypeVar

from media_node.sip.grammar import URI, Address, Parameters, Via
from media_node.sip.headers import Request, Response
from media_node.sip.message import reply, tag, token
from media_node.sip.trace import Trace
from media_node.sip.transaction import (
    T1,
    T2,
    Abandoned,
    Action,
    Cause,
    Event,
    InviteClient,
    InviteServer,
    Key,
    Machine,
    NonInviteClient,
    NonInviteServer,
    Pass,
    Respond,
    Send,
    TransactionState,
    TransportFailed,
    cancel,
    client_key,
    server_key,
)
from media_node.sip.transport import Connection, Transport

_FAILURE: Final = {Cause.TIMEOUT: 408, Cause.TRANSPORT: 503}
"""What a transaction without an answer counts as (section 8.1.3.1)."""


MAX_OF_A_STRANGER: Final = 20
MAX_OF_STRANGERS: Final = 5000
"""Transactions that are kept for peers who have shown no password: of one, and of all."""


_K = TypeVar("_K")


class TransactionUser(Protocol):
    """The transaction user. All methods are called in the event loop and must not block."""

    def requested(self, request: ServerTransaction) -> None:
        """A new request that is neither an ACK nor a CANCEL."""

    def acknowledged(self, connection: Connection, ack: Request) -> None:
        """An ACK to a 2xx."""

    def lost(self, connection: Connection) -> None:
        """A connection is gone."""


@dataclass(eq=False)
class ServerTransaction:
    """A server transaction as its user sees it."""

    request: Request
    connection: Connection
    _layer: TransactionLayer
    _key: Key
    _run: _Runner | None = None
    """None while nothing need be kept: see TransactionLayer."""
    tag: str = field(default_factory=token)
    """Our tag in the responses to a request outside a dialog."""
    on_cancel: Callable[[Request], None] | None = None
    answered: bool = False
    cancelled: bool = False
    _unconfirmed: asyncio.TimerHandle | None = None

    def respond(self, status: int, phrase: str = "", **headers: str) -> Response:
        """Sends a response; `headers` are named with _ for -, as in Retry_After="5"."""
        response = reply(self.request, status, phrase, to_tag=self.tag if status > 100 else "")
        for name, value in headers.items():
            response.headers.set(name.replace("_", "-"), value)
        self.send(response)
        return response

    def send(self, response: Response) -> None:
        """Sends a response that was made by `reply`. After a final one nothing more is sent."""
        if self.answered:
            return
        self.answered = response.code >= 200
        if self.answered:
            self.on_cancel = None
        self._step(response)

    def _step(self, response: Response) -> None:
        if self._run is None and response.code >= 200:
            self._layer.send_response(self.connection, response)
            return
        self._run = self._run or self._layer.keep(self)
        self._run.step(Respond(response))

    def retransmit(self, response: Response, on_give_up: Callable[[], None]) -> None:
        """Repeats a 2xx to an INVITE until `confirm`, and gives up after 64*T1 (section 13.3.1.4)."""
        self._repeat(response, on_give_up, asyncio.get_running_loop().time() + 64 * T1, T1)

    def _repeat(self, response: Response, on_give_up: Callable[[], None], deadline: float, interval: float) -> None:
        """The next time is in `interval` seconds."""
        following = min(2 * interval, T2)
        self._unconfirmed = asyncio.get_running_loop().call_later(
            interval, self._again, response, on_give_up, deadline, following
        )

    def _again(self, response: Response, on_give_up: Callable[[], None], deadline: float, interval: float) -> None:
        self._unconfirmed = None
        if asyncio.get_running_loop().time() >= deadline:
            on_give_up()
            return
        self._step(response)
        self._repeat(response, on_give_up, deadline, interval)

    def confirm(self) -> None:
        """The ACK has come, or is no longer waited for."""
        if self._unconfirmed is not None:
            self._unconfirmed.cancel()
            self._unconfirmed = None


@dataclass(eq=False)
class ClientTransaction:
    """A client transaction as its user sees it."""

    request: Request
    connection: Connection
    _layer: TransactionLayer
    _on_response: Callable[[Response], None]
    _run: _Runner | None = None
    _provisional: bool = False
    _final: bool = False
    _cancel: bool = False
    _reason: str = ""

    def cancel(self, reason: str = "") -> None:
        """Cancels a pending INVITE, as soon as the peer has been heard (section 9.1), with a Reason (RFC 3326)."""
        if self._final or self._cancel:
            return
        self._cancel, self._reason = True, reason
        if self._provisional:
            self._send_cancel()

    def heard(self, response: Response) -> None:
        """For the endpoint: passes a response on. After the final one only a 2xx that is repeated, and not what became of an ACK."""
        if self._final and not 200 <= response.code < 300:
            return
        self._final = self._final or response.code >= 200
        if response.code < 200 and not self._provisional:
            self._provisional = True
            if self._cancel:
                self._send_cancel()
        self._on_response(response)

    def let_go(self) -> None:
        """For the endpoint: nothing more will be heard, and whoever listened is not held any longer."""
        self._on_response = _nothing
        self._run = None

    def _send_cancel(self) -> None:
        request = cancel(self.request)
        if self._reason:
            request.headers.set("Reason", self._reason)
        self._layer.send_cancel(self.connection, request)
        if self._run is not None:
            asyncio.get_running_loop().call_later(64 * T1, self._run.step, Abandoned())


def _nothing(*_: object) -> None:
    """Nobody is told any more."""


class _Runner:
    """One machine at work: performs its actions and wakes it."""

    __slots__ = ("_on_end", "_send", "_timer", "connection", "machine", "on_fail", "on_over", "on_pass")

    def __init__(
        self,
        machine: Machine,
        connection: Connection,
        *,
        send: Callable[[Connection, Request | Response], bool],
        on_pass: Callable[[Request | Response], None],
        on_end: Callable[[], object],
    ) -> None:
        self._send = send
        self.machine = machine
        self.connection = connection
        self.on_pass = on_pass
        self.on_fail: Callable[[Cause], None] = _nothing
        self.on_over: Callable[[], None] = _nothing
        """Called when nothing more will be passed on."""
        self._on_end = on_end
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        if isinstance(self.machine, InviteClient | NonInviteClient):
            self._perform(self.machine.start(self._now()))

    def step(self, event: Event) -> None:
        self._perform(self.machine.step(event, self._now()))

    def _fire(self) -> None:
        self._timer = None
        self._perform(self.machine.fire(self._now()))

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _perform(self, actions: list[Action]) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        on_pass, on_fail = self.on_pass, self.on_fail
        ended = self.machine.state is TransactionState.TERMINATED
        if ended:
            self._on_end()
        elif (wake := self.machine.wake) is not None:
            self._timer = asyncio.get_running_loop().call_at(wake, self._fire)
        failed = False
        for action in actions:
            if isinstance(action, Send):
                failed = not self._send(self.connection, action.message) or failed
            elif isinstance(action, Pass):
                on_pass(action.message)
            else:
                on_fail(action.cause)
        if failed:  # after what the peer did say has been passed on
            self.step(TransportFailed())
        if ended:
            self._let_go()

    def forget(self) -> None:
        """Nothing more comes of it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._on_end()
        self._let_go()

    def _let_go(self) -> None:
        """Whoever was told holds this too, and a cycle would wait for the collector."""
        self.on_over()
        self.on_pass = self.on_fail = self.on_over = self._on_end = _nothing


class TransactionLayer:
    """All transactions of this side. It is the receiver of its connections.

    Over a reliable transport a request that is no INVITE comes once, and its transaction ends with the response (timer J is 0): one
    that is answered at once is never kept.
    """

    def __init__(self, user: TransactionUser, agent: str) -> None:
        self._user = user
        self._agent = agent
        self._clients: dict[Key, _Runner] = {}
        self._servers: dict[tuple[int, Key], _Runner] = {}
        self._invites: dict[tuple[int, Key], ServerTransaction] = {}
        self._runs: dict[int, set[_Runner]] = {}
        """What runs over each connection."""
        self._strangers: dict[_Runner, None] = {}
        """Transactions that strangers began, the oldest first."""
        self.trace: Trace | None = None
        """Where all messages are written too, masked."""

    def contact(self, connection: Connection, user: str | None = None) -> Address:
        """Our Contact on a connection."""
        here = connection.contact
        return _contact(here.host, here.port, connection.transport, user)

    def send(
        self, connection: Connection, request: Request, on_response: Callable[[Response], None]
    ) -> ClientTransaction:
        """Starts a client transaction.

        `on_response` hears every response; silence and failure come as a 408 or 503 of our own.
        """
        here = connection.contact
        branch = f"z9hG4bK{token()}"
        parameters = Parameters(branch=branch, rport=None)
        request.via = [Via(connection.transport.value, here.host, here.port, parameters)]
        request.headers.set("User-Agent", self._agent)
        return self._start(connection, request, on_response)

    def send_cancel(self, connection: Connection, request: Request) -> ClientTransaction:
        """Starts a client transaction for a request that has its Via already, as a CANCEL does."""
        return self._start(connection, request, lambda response: None)

    def acknowledge(self, connection: Connection, ack: Request) -> None:
        """Sends the ACK to a 2xx, which is no transaction (section 13.2.2.4)."""
        here = connection.contact
        ack.via = [
            Via(
                connection.transport.value,
                here.host,
                here.port,
                Parameters(branch=f"z9hG4bK{token()}", rport=None),
            )
        ]
        self._send(connection, ack)

    async def ask(self, connection: Connection, request: Request) -> Response:
        """Sends a request that is not an INVITE and waits for its final response."""
        answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

        def heard(response: Response) -> None:
            if response.code >= 200 and not answer.done():
                answer.set_result(response)

        self.send(connection, request, heard)
        return await answer

    def received(self, connection: Connection, message: Request | Response) -> None:
        """See transport.Receiver."""
        if self.trace is not None:
            self.trace.received(connection, message)
        if isinstance(message, Response):
            run = self._clients.get(client_key(message))
            if run is not None and run.connection is connection:
                run.step(message)
        elif message.method == "CANCEL":
            self._cancelled(connection, message)
        else:
            self._request(connection, message)

    def lost(self, connection: Connection) -> None:
        """See transport.Receiver: every transaction over the connection has failed."""
        for run in list(self._runs.get(connection.number, ())):
            run.step(TransportFailed())
        self._user.lost(connection)

    def _has_room(self, connection: Connection) -> bool:
        """Whether another transaction may be kept: a stranger has few that wait for an ACK."""
        if connection.known:
            return True
        if len(self._runs.get(connection.number, ())) >= MAX_OF_A_STRANGER:
            return False
        return len(self._strangers) < MAX_OF_STRANGERS or self._make_room()

    def _make_room(self) -> bool:
        """The oldest stranger's transaction that only waits for an ACK is forgotten, so that a newcomer is always heard: he may be a
        phone that lost its connection, or calls 112. The ACK, should it come, is then nobody's.
        """
        for run in islice(self._strangers, MAX_OF_A_STRANGER):
            if run.machine.state is TransactionState.COMPLETED:
                run.forget()
                return True
        return False

    def _began(self, run: _Runner) -> None:
        self._runs.setdefault(run.connection.number, set()).add(run)
        if not run.connection.known:
            self._strangers[run] = None

    def _ended(self, run: _Runner) -> None:
        runs = self._runs.get(run.connection.number, set())
        if run not in runs:
            return
        runs.discard(run)
        if not runs:
            self._runs.pop(run.connection.number, None)
        self._strangers.pop(run, None)

    def _over(self, runs: dict[_K, _Runner], key: _K, run: _Runner) -> None:
        """A transaction is over: it, and none that has come in its place."""
        if runs.get(key) is run:
            del runs[key]
        self._ended(run)

    def _send(self, connection: Connection, message: Request | Response) -> bool:
        if self.trace is not None:
            self.trace.sent(connection, message)
        return connection.send(message)

    def _start(
        self, connection: Connection, request: Request, on_response: Callable[[Response], None]
    ) -> ClientTransaction:
        client = ClientTransaction(request, connection, self, on_response)
        kind = InviteClient if request.method == "INVITE" else NonInviteClient
        key = client_key(request)

        def on_pass(message: Request | Response) -> None:
            if isinstance(message, Response):
                client.heard(message)

        def on_fail(cause: Cause) -> None:
            client.heard(reply(request, _FAILURE[cause]))

        run = _Runner(
            kind(request, connection.transport.reliable),
            connection,
            send=self._send,
            on_pass=on_pass,
            on_end=lambda: self._over(self._clients, key, run),
        )
        run.on_fail = on_fail
        run.on_over = client.let_go
        client._run = self._clients[key] = run
        self._began(run)
        # The caller gets its handle before the first response can come, a failure to send included.
        asyncio.get_running_loop().call_soon(run.start)
        return client

    def _request(self, connection: Connection, request: Request) -> None:
        key = (connection.number, server_key(request))
        run = self._servers.get(key)
        if run is not None:
            run.step(request)
            return
        if request.method == "ACK":
            self._user.acknowledged(connection, request)
            return
        if not self._has_room(connection):
            self._send(connection, reply(request, 503, to_tag=token()))
            return
        _note_source(request, connection)  # after `key`, which the Via of an old peer is part of
        transaction = ServerTransaction(request, connection, self, key[1])
        if request.method == "INVITE":
            self.keep(transaction)
            transaction.respond(100)
        elif not connection.transport.reliable:
            self.keep(transaction)
        self._user.requested(transaction)
        if transaction._run is None and not transaction.answered and not connection.closed:
            self.keep(transaction)

    def keep(self, transaction: ServerTransaction) -> _Runner:
        """For the transaction: begins to keep it, until it has ended."""
        connection, request = transaction.connection, transaction.request
        key = (connection.number, transaction._key)
        if request.method == "INVITE":
            self._invites[key] = transaction
        run = transaction._run = self._serve(connection, request, key)
        return run

    def send_response(self, connection: Connection, response: Response) -> None:
        """For a transaction that is not kept."""
        self._send(connection, response)

    def resume(self, transaction: ServerTransaction, connection: Connection) -> None:
        """An INVITE whose connection was lost goes on over another one of its sender (RFC 5626): its last response goes there
        once more, and its CANCEL is understood from there.
        """
        last = transaction._run.machine.last if transaction._run is not None else None
        if transaction.connection is connection or last is None or last.code >= 300:
            return
        transaction.connection = connection
        self.keep(transaction).step(Respond(last))

    def _serve(self, connection: Connection, request: Request, key: tuple[int, Key]) -> _Runner:
        """Begins a server transaction."""
        kind = InviteServer if request.method == "INVITE" else NonInviteServer

        def on_pass(message: Request | Response) -> None:
            if isinstance(message, Request):
                self._user.acknowledged(connection, message)

        def on_end() -> None:
            if self._servers.get(key) is run:
                self._invites.pop(key, None)
            self._over(self._servers, key, run)

        run = _Runner(
            kind(request, connection.transport.reliable), connection, send=self._send, on_pass=on_pass, on_end=on_end
        )
        self._servers[key] = run
        self._began(run)
        return run

    def _cancelled(self, connection: Connection, request: Request) -> None:
        """Section 9.2: the CANCEL is answered by itself, the INVITE it names by whoever has it."""
        key = (connection.number, server_key(request))
        if key in self._servers:
            self._servers[key].step(request)
            return
        run = _Runner(
            NonInviteServer(request, connection.transport.reliable),
            connection,
            send=self._send,
            on_pass=lambda message: None,
            on_end=lambda: self._over(self._servers, key, run),
        )
        self._servers[key] = run
        self._began(run)
        invite = self._invites.get((connection.number, server_key(request, "INVITE")))
        run.step(Respond(reply(request, 200 if invite else 481, to_tag=invite.tag if invite else token())))
        if invite is not None and not invite.answered:
            invite.cancelled = True
            if invite.on_cancel is not None:
                invite.on_cancel(request)


@lru_cache(maxsize=1024)
def _contact(host: str, port: int, transport: Transport, user: str | None) -> Address:
    return Address(URI("sip", host, user=user, port=port, parameters=Parameters(transport=transport.parameter)))


def _note_source(request: Request, connection: Connection) -> None:
    """Writes where the request came from into its top Via (RFC 3261 section 18.2.1, RFC 3581), for the response to
    carry.
    """
    (top, *others), peer = request.via, connection.peer
    written = request.headers.getlist("Via")
    if len(written) == 1 and not others and written[0].endswith(";rport") and "received" not in top.parameters:
        # As nearly all phones write it.
        request.headers.set("Via", f"{written[0]}={peer.port};received={peer.host}")
        return
    changes: dict[str, str | None] = {}
    if "rport" in top.parameters:
        changes = {"rport": str(peer.port), "received": peer.host}
    elif top.host != peer.host:
        changes = {"received": peer.host}
    if changes:
        request.via = [Via(top.transport, top.host, top.port, top.parameters.replace(**changes)), *others]


def to_tag(request: Request) -> str:
    """Our tag in a request within a dialog, empty in one outside."""
    return tag(request.to_address)
