"""Two transaction layers, a wire that loses, doubles and delays, and users who do what they like: no transaction outlives
its timers, and each user is told once how it ended.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from media_node.sip.grammar import URI, Address, CSeq, Parameters
from media_node.sip.headers import Request, Response
from media_node.sip.transaction import T1, T4, InviteClient, InviteServer, NonInviteServer, TransactionState
from media_node.sip.transaction_layer import ClientTransaction, ServerTransaction, TransactionLayer
from media_node.sip.transport import Connection, Transport
from tests.support.simulation import Fate, SimulatedLoop, Weather, histories, wire

LONGEST = 64 * T1 + T4
"""Seconds from its final response, or from its request where none comes, after which nothing of a transaction is left."""


@dataclass(eq=False)
class Asked:
    """A request as its sender remembers it."""

    client: ClientTransaction | None = None
    heard: list[Response] = field(default_factory=list)

    @property
    def finals(self) -> list[int]:
        return [response.code for response in self.heard if response.code >= 200]


class Answerer:
    """The server's transaction user: keeps what it hears until it is told to answer."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self.loop = loop
        self.heard: list[tuple[float, ServerTransaction]] = []
        self.acknowledged_calls: list[str] = []
        self.unacknowledged = 0

    def requested(self, request: ServerTransaction) -> None:
        self.heard.append((self.loop.now, request))

    def acknowledged(self, connection: Connection, ack: Request) -> None:
        self.acknowledged_calls.append(ack.call_id)
        for _, transaction in self.heard:
            if transaction.request.call_id == ack.call_id:
                transaction.confirm()

    def lost(self, connection: Connection) -> None:
        """Its transactions know it already."""

    def open(self) -> list[ServerTransaction]:
        return [transaction for _, transaction in self.heard if not transaction.answered]

    def answer(self, transaction: ServerTransaction, code: int) -> None:
        response = transaction.respond(code)
        if transaction.request.method == "INVITE" and 200 <= code < 300:
            transaction.retransmit(response, self._no_ack)

    def _no_ack(self) -> None:
        self.unacknowledged += 1


class Transactions(RuleBasedStateMachine):
    """A client that asks and a server that answers, or does not."""

    @initialize(transport=st.sampled_from(Transport))
    def begin(self, transport: Transport) -> None:
        self.loop = SimulatedLoop()
        self.weather = Weather()
        self.answerer, self.silent = Answerer(self.loop), Answerer(self.loop)
        self.client, self.server = TransactionLayer(self.silent, "a"), TransactionLayer(self.answerer, "b")
        self.near, self.far = wire(self.client, self.server, transport=transport, weather=self.weather)
        self.asked: list[Asked] = []
        self.seen: dict[object, tuple[TransactionState, float]] = {}

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        try:
            self.all_comes_to_an_end()
        finally:
            self.loop.close()

    @rule(fates=st.lists(st.sampled_from(Fate), min_size=1, max_size=8))
    def weather_changes(self, fates: list[Fate]) -> None:
        self.weather.forecast(fates)

    @rule(method=st.sampled_from(["INVITE", "INVITE", "OPTIONS", "BYE"]), acknowledges=st.booleans())
    def ask(self, method: str, acknowledges: bool) -> None:
        request = Request(method, URI("sip", "example.nl"))
        request.headers.set("Max-Forwards", "70")
        request.headers.set("Call-ID", f"call{len(self.asked)}")
        request.from_address = Address(URI("sip", "example.nl", user="a"), parameters=Parameters(tag="a"))
        request.to_address = Address(URI("sip", "example.nl", user="b"))
        request.cseq = CSeq(1, method)
        request.contact = [Address(URI("sip", "192.0.2.1"))]
        asked = Asked()

        def heard(response: Response) -> None:
            asked.heard.append(response)
            if acknowledges and method == "INVITE" and 200 <= response.code < 300:
                ack = Request("ACK", request.uri)
                for name in ("Max-Forwards", "From", "Call-ID"):
                    ack.headers.set(name, request.headers[name])
                ack.headers.set("To", response.headers["To"])
                ack.cseq = CSeq(1, "ACK")
                self.client.acknowledge(self.near, ack)

        self.asked.append(asked)
        asked.client = self.loop.do(lambda: self.client.send(self.near, request, heard))

    @precondition(lambda self: self.asked)
    @rule(which=st.integers(0, 20))
    def cancel(self, which: int) -> None:
        client = self.asked[which % len(self.asked)].client
        assert client is not None
        if client.request.method == "INVITE":
            self.loop.do(client.cancel)

    @precondition(lambda self: self.answerer.open())
    @rule(which=st.integers(0, 20), code=st.sampled_from([180, 200, 200, 202, 404, 486, 603]))
    def answer(self, which: int, code: int) -> None:
        transactions = self.answerer.open()
        self.loop.do(lambda: self.answerer.answer(transactions[which % len(transactions)], code))

    @precondition(lambda self: not self.near.closed)
    @rule(
        method=st.sampled_from(["INVITE", "INVITE", "OPTIONS"]),
        code=st.sampled_from([200, 200, 486]),
        lost=st.integers(0, 4),
    )
    def what_is_answered_is_heard_whatever_is_lost(self, method: str, code: int, lost: int) -> None:
        self.weather.fates.clear()
        self.ask(method, acknowledges=True)
        self.loop.wait(2)
        ours = f"call{len(self.asked) - 1}"
        (transaction,) = [each for _, each in self.answerer.heard if each.request.call_id == ours]
        self.weather.forecast([Fate.LOST] * lost)
        self.loop.do(lambda: self.answerer.answer(transaction, code))
        self.loop.wait(25)
        assert set(self.asked[-1].finals) == {code}, "the answer itself, and no timeout"
        if method == "INVITE" and code == 200:
            assert transaction._unconfirmed is None and ours in self.answerer.acknowledged_calls

    @rule(seconds=st.sampled_from([0.01, 0.05, 0.5, 1, 4, 5, 31.9, 32.1]))
    def time_passes(self, seconds: float) -> None:
        self.loop.wait(seconds)

    @precondition(lambda self: len(self.asked) > 3)
    @rule()
    def the_connection_is_lost(self) -> None:
        self.loop.do(self.near.close)

    @invariant()
    def nothing_outlives_its_timers(self) -> None:
        if not hasattr(self, "loop"):
            return
        for layer in (self.client, self.server):
            for run in (*layer._clients.values(), *layer._servers.values()):
                machine = run.machine
                state, since = self.seen.get(run, (None, 0.0))
                if state is not machine.state:
                    self.seen[run] = (machine.state, since := self.loop.now)
                assert machine.state is not TransactionState.TERMINATED, "what has ended is forgotten"
                assert machine.wake is None or machine.wake > self.loop.now, "no timer is overdue"
                if machine.wake is None:
                    assert (machine.state is TransactionState.PROCEEDING and isinstance(machine, InviteClient)) or (
                        isinstance(machine, InviteServer | NonInviteServer)
                        and machine.state in (TransactionState.TRYING, TransactionState.PROCEEDING)
                    ), "without a timer it waits for its user, or for a phone that rings"
                else:
                    assert self.loop.now - since <= LONGEST

    @invariant()
    def users_are_told_once(self) -> None:
        if not hasattr(self, "loop"):
            return
        for asked in self.asked:
            assert len([code for code in asked.finals if code >= 300]) <= 1
            assert asked.client is not None
            if asked.client.request.method != "INVITE":
                assert len(asked.finals) <= 1
            elif asked.finals:
                assert all(code < 300 for code in asked.finals) or len(asked.finals) == 1
        began: dict[str, float] = {}
        for at, transaction in self.answerer.heard:
            before = began.setdefault(transaction.request.call_id, at)
            assert at == before or at - before >= 64 * T1, "a request that comes twice is heard once"
        assert not self.loop.failures

    def all_comes_to_an_end(self) -> None:
        """Everybody answers or gives up; after that nothing is left, and whoever asked knows."""
        for _ in range(3):
            for transaction in self.answerer.open():
                self.loop.do(lambda transaction=transaction: self.answerer.answer(transaction, 486))  # type: ignore[misc]
            for asked in self.asked:
                if asked.client is not None and asked.client.request.method == "INVITE":
                    self.loop.do(asked.client.cancel)
            self.loop.wait(2 * LONGEST)
            self.nothing_outlives_its_timers()
            self.users_are_told_once()
        for layer in (self.client, self.server):
            assert not layer._clients and not layer._servers and not layer._invites and not layer._runs
            assert not layer._strangers
        assert all(asked.finals for asked in self.asked), "whoever asked is told, be it that nothing came"
        assert not [handle for handle in self.loop._scheduled if not handle.cancelled()]  # type: ignore[attr-defined]


TestTransactions = histories(Transactions)
