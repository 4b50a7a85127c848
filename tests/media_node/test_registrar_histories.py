"""Phones that come, refresh, restart, lose their connections and leave, and strangers who guess: no binding outlives its
expiry or its connection, each phone that has its password gets in, and no stranger does.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from media_node.sip.headers import Request
from media_node.sip.registrar import MAX_BINDINGS, MAX_EXPIRES, Binding, Registrar, Rejected
from tests.media_node.test_registrar import register
from tests.support.simulated_office import SimulatedOffice
from tests.support.simulation import Fate, histories

USERS = ("abc234-201", "abc234-202")


@dataclass(eq=False)
class Device:
    """A phone as its owner knows it. `flow` is its reg-id, of one that holds two connections (RFC 5626 section 4.2)."""

    username: str
    number: int
    instance: bool
    flow: int = 0
    restarts: int = 0
    sequence: int = 0
    connection: int = 0
    until: float = 0.0
    """When what it was granted ends; 0 while it is not registered."""

    @property
    def call_id(self) -> str:
        return f"{self.number}/{self.restarts}"

    def asks(self, expires: int) -> Request:
        self.sequence += 1
        contact = f"<sip:x@192.0.2.{self.number}:{5000 + self.restarts}>;expires={expires}"
        if self.instance:
            contact += f';+sip.instance="<urn:uuid:{self.number - bool(self.flow) * self.flow}>"'
            contact += f";reg-id={self.flow}" if self.flow else ""
        return register(f"Contact: {contact}", sequence=self.sequence, call_id=self.call_id)


class Bindings(RuleBasedStateMachine):
    """The registrar by itself, beside what each phone may expect of it."""

    @initialize()
    def begin(self) -> None:
        self.now, self.connections = 1000.0, 0
        self.registrar = Registrar()
        self.devices = [
            Device(USERS[0], 10, instance=False),
            Device(USERS[0], 11, instance=True),
            Device(USERS[0], 31, instance=True, flow=1),
            Device(USERS[0], 32, instance=True, flow=2),
            Device(USERS[1], 40, instance=False),
            Device(USERS[1], 41, instance=True),
        ]
        self.last: tuple[Device, Request] | None = None
        self.given: dict[int, float] = {}
        """Until when each connection has been granted anything."""

    def _register(self, device: Device, request: Request) -> tuple[Binding, ...]:
        done = self.registrar.register(
            request, username=device.username, connection=device.connection, now=self.now, source="203.0.113.1"
        )
        assert all(each.username == device.username for each in done.bindings)
        assert device.connection not in done.replaced + done.released, "nobody loses what he registered over just now"
        assert not [each for each in self.registrar if each.connection in done.replaced + done.released]
        return done.bindings

    @rule(which=st.integers(0, 5), restarts=st.booleans())
    def connects(self, which: int, restarts: bool) -> None:
        """Over a new connection, the old one still open: the registrar has not heard that it is dead."""
        device = self.devices[which]
        self.connections += 1
        device.connection = self.connections
        if restarts:
            device.restarts += 1
            device.sequence = 0
        self.refreshes(which, 300)

    @precondition(lambda self: any(each.connection for each in self.devices))
    @rule(which=st.integers(0, 5), expires=st.sampled_from([60, 90, 300, 3600, 4294967295]))
    def refreshes(self, which: int, expires: int) -> None:
        device = self.devices[which]
        if not device.connection:
            return
        request = device.asks(expires)
        device.until = self.now + min(expires, MAX_EXPIRES)
        self.given[device.connection] = max(self.given.get(device.connection, 0.0), device.until)
        bindings = self._register(device, request)
        assert [each for each in bindings if (each.connection, each.call_id) == (device.connection, device.call_id)]
        assert len(bindings) <= MAX_BINDINGS
        same = [each for each in bindings if each.instance == bindings[-1].instance and each.instance]
        assert len(same or [each for each in bindings if each.call_id == device.call_id]) == 1, (
            "a phone replaces itself"
        )
        self.last = device, request

    @precondition(lambda self: self.last is not None)
    @rule()
    def the_last_register_comes_again(self) -> None:
        assert self.last is not None
        device, request = self.last
        before = list(self.registrar)
        known = any(
            each.call_id == device.call_id and each.connection >= device.connection
            for each in self.registrar.lookup(device.username, self.now)
        )
        if not known:
            return  # what it made is gone: it makes it anew, as a refresh would
        with pytest.raises(Rejected):
            self._register(device, request)
        assert list(self.registrar) == before

    @rule(which=st.integers(0, 5))
    def leaves(self, which: int) -> None:
        device = self.devices[which]
        if device.connection:
            bindings = self._register(device, device.asks(0))
            assert not [each for each in bindings if each.connection == device.connection]
            device.until, self.last = 0.0, None

    @rule(connection=st.integers(1, 30))
    def a_connection_is_lost(self, connection: int) -> None:
        self.registrar.drop_connection(connection)
        self.given.pop(connection, None)
        for device in self.devices:
            if device.connection == connection:
                device.connection, device.until = 0, 0.0
        assert self.registrar.users(connection, self.now) == []

    @rule(seconds=st.sampled_from([1, 59, 61, 150, 299, 301]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @rule()
    def what_has_expired_is_forgotten(self) -> None:
        self.registrar.expire(self.now)
        assert all(each.expires_at > self.now for each in self.registrar)

    @invariant()
    def no_binding_outlives_what_was_granted(self) -> None:
        for username in USERS:
            found = self.registrar.lookup(username, self.now)
            assert len(found) <= MAX_BINDINGS
            for each in found:
                assert self.now < each.expires_at <= self.now + MAX_EXPIRES
                assert each.connection in self.given, "none outlives its connection"
                assert each.expires_at <= self.given[each.connection]
                assert username in self.registrar.users(each.connection, self.now)

    @invariant()
    def each_phone_that_may_be_called_can_be(self) -> None:
        for device in self.devices:
            bindings = [
                each
                for each in self.registrar.lookup(device.username, self.now)
                if (each.connection, each.call_id) == (device.connection, device.call_id)
            ]
            if device.until > self.now:
                assert [each.expires_at for each in bindings] == [device.until]
            else:
                assert not bindings


TestBindings = histories(Bindings, examples=60)


class Strangers(RuleBasedStateMachine):
    """The whole way of a REGISTER, with passwords: an office, a worker at home, and strangers anywhere."""

    SOURCES = ("203.0.113.1", "198.51.100.20", "192.0.2.66")
    """The office, a home, and elsewhere; strangers are at all of them."""

    @initialize()
    def begin(self) -> None:
        self.office = SimulatedOffice()
        self.phones = {source: self.office.phone(f"10{1 + place}", source) for place, source in enumerate(self.SOURCES)}
        self.came_in: set[str] = set()
        self.granted: dict[str, float] = {}

    def teardown(self) -> None:
        if hasattr(self, "office"):
            self.office.close()

    @rule(source=st.sampled_from(SOURCES), anew=st.booleans(), fates=st.lists(st.sampled_from(Fate), max_size=4))
    def a_phone_registers(self, source: str, anew: bool, fates: list[Fate]) -> None:
        phone = self.phones[source]
        if anew:
            self.office.loop.do(phone.end.close)
        if phone.end.closed:
            self.office.connect(phone)
        self.office.weather.forecast(fates)
        answer = self.office.loop.complete(phone.register())
        if source in self.came_in:
            assert answer.code == 200, "whoever has shown his password here is never shut out"
        if answer.code == 503:
            # Never for ever: after so long it comes in, if nobody guesses on.
            wait = int(answer.headers["Retry-After"])
            assert 0 < wait <= 600
            self.office.loop.wait(wait + 1)
            answer = self.office.loop.complete(phone.register())
        assert answer.code == 200
        self.came_in.add(source)
        self.granted[phone.username] = self.office.loop.now + MAX_EXPIRES

    @rule(
        source=st.sampled_from(SOURCES),
        account=st.sampled_from(["abc234-101", "abc234-102", "abc234-103", "abc234-999", ""]),
        times=st.sampled_from([1, 6, 25, 55]),
    )
    def a_stranger_guesses(self, source: str, account: str, times: int) -> None:
        """Passwords of one account, or one of each of many."""
        for number in range(times):
            name = account or f"guess-{number}"
            if not number or not account:
                stranger = self.office.phone("", source, password="1234", username=name)
            answer = self.office.loop.complete(stranger.register())
            assert answer.code in (403, 503)
            assert self.office.bindings(name) <= self.bound(name)
        self.office.loop.do(stranger.end.close)

    def bound(self, account: str) -> set[int]:
        return {
            phone.end.other.number
            for phone in self.phones.values()
            if phone.username == account and phone.end.other is not None
        }

    @rule(source=st.sampled_from(SOURCES))
    def a_phone_loses_its_connection(self, source: str) -> None:
        self.office.loop.do(self.phones[source].end.close)

    @rule(seconds=st.sampled_from([1, 60, 301, 700]))
    def time_passes(self, seconds: int) -> None:
        self.office.loop.wait(seconds)

    @invariant()
    def bindings_are_those_that_were_granted(self) -> None:
        if not hasattr(self, "office"):
            return
        for phone in self.phones.values():
            bindings = self.office.exchange.registrar.lookup(phone.username, self.office.loop.now)
            assert all(each.expires_at <= self.granted.get(phone.username, 0.0) for each in bindings)
            if phone.end.closed:
                assert not bindings
        assert not self.office.loop.failures


TestStrangers = histories(Strangers, examples=15, steps=15)
