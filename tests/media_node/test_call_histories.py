"""Calls that fork and calls that are transferred, with phones that do what phones do and wires that lose, double and delay
what they say: one winner, every loser ended and told why, no transfer without a final NOTIFY, no call without an end, no
leg without keys.
"""

from __future__ import annotations

from collections import deque

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from media_node.sip.transport import Transport
from tests.support.node import DOMAIN
from tests.support.simulated_office import SimulatedOffice
from tests.support.simulated_phone import SimulatedPhone, Talk
from tests.support.simulation import Fate, histories

MOODS = ("answers", "rings", "rings", "rings", "busy", "declines", "redirects", "silent")
SETTLED = 45.0
"""Seconds after which all that was said has been heard, answered or given up (64*T1 and what was late)."""


class Office(RuleBasedStateMachine):
    """What histories of calls have in common."""

    office: SimulatedOffice
    phones: list[SimulatedPhone]

    @initialize(transport=st.sampled_from([Transport.TLS, Transport.UDP]))
    def begin(self, transport: Transport) -> None:
        self.office = SimulatedOffice(transport)
        self.phones = self.make_phones()
        self.was_cut_off: set[SimulatedPhone] = set()

    def make_phones(self) -> list[SimulatedPhone]:
        """The phones, registered."""
        raise NotImplementedError

    def teardown(self) -> None:
        if not hasattr(self, "phones"):
            return
        try:
            self.all_comes_to_an_end()
        finally:
            self.office.close()

    def talks(self) -> list[Talk]:
        return [talk for phone in self.phones for talk in phone.talks]

    def ringing(self) -> list[Talk]:
        return [each for each in self.talks() if each.server is not None and not each.server.answered]

    def standing(self) -> list[Talk]:
        return [each for each in self.talks() if each.stands]

    def calling(self) -> list[Talk]:
        return [each for each in self.talks() if each.client is not None and not each.code]

    @rule(which=st.integers(0, 9))
    def somebody_takes_text_or_not_any_more(self, which: int) -> None:
        phone = self.phones[which % len(self.phones)]
        phone.types = not phone.types

    @rule(fates=st.lists(st.sampled_from(Fate), min_size=1, max_size=6))
    def weather_changes(self, fates: list[Fate]) -> None:
        self.office.weather.forecast(fates)

    @rule(which=st.integers(0, 3), mood=st.sampled_from(MOODS))
    def a_phone_changes_its_mood(self, which: int, mood: str) -> None:
        self.phones[which].mood = mood

    @rule(seconds=st.sampled_from([0.01, 0.03, 0.5, 1, 5, 40]))
    def time_passes(self, seconds: float) -> None:
        self.office.loop.wait(seconds)

    @precondition(lambda self: self.ringing())
    @rule(which=st.integers(0, 9))
    def somebody_answers(self, which: int) -> None:
        talk = self.ringing()[which % len(self.ringing())]
        self.office.loop.do(lambda: talk.phone.answer(talk))

    @precondition(lambda self: self.standing())
    @rule(which=st.integers(0, 9))
    def somebody_hangs_up(self, which: int) -> None:
        self.office.loop.do(self.standing()[which % len(self.standing())].hang_up)

    @precondition(lambda self: self.calling())
    @rule(which=st.integers(0, 9))
    def a_caller_gives_up(self, which: int) -> None:
        talk = self.calling()[which % len(self.calling())]
        self.office.loop.do(lambda: talk.phone.cancel(talk))

    @rule(which=st.integers(0, 7), comes_back=st.sampled_from([True, True, False]))
    def a_connection_is_lost(self, which: int, comes_back: bool) -> None:
        if which >= len(self.phones) or self.phones[which].end.closed:
            return
        phone = self.phones[which]
        self.was_cut_off.add(phone)
        self.office.loop.do(phone.end.close)
        if comes_back:
            self.comes_back(phone)

    def comes_back(self, phone: SimulatedPhone) -> None:
        self.office.connect(phone)
        assert self.office.loop.complete(phone.register()).code == 200

    @rule(seldom=st.integers(0, 3))
    def nothing_is_heard_any_more(self, seldom: int) -> None:
        """The office's router dies for a while, and nobody is told."""
        if seldom or not self.talks():
            return
        self.office.weather.blackout = True
        self.office.loop.wait(70)
        self.office.weather.blackout = False
        self.was_cut_off.update(self.phones)
        for phone in self.phones:
            if not phone.end.closed:
                self.office.loop.do(phone.end.close)
            self.comes_back(phone)

    @rule(questions=st.integers(1, 3), seldom=st.integers(0, 2))
    def the_media_worker_refuses(self, questions: int, seldom: int) -> None:
        if not seldom:
            self.office.media.refusals = questions

    def all_comes_to_an_end(self) -> None:
        """Those that can still hang up do so; the node finds out about the others by itself."""
        self.office.loop.wait(SETTLED)
        for talk in self.talks():
            self.office.loop.do(talk.hang_up)
            self.office.loop.do(lambda talk=talk: talk.phone.cancel(talk))  # type: ignore[misc]
        self.office.everything_ends()
        for talk in self.talks():
            if talk.phone not in self.was_cut_off:
                assert not talk.stands


class Forks(Office):
    """One caller, and three devices of one colleague."""

    def make_phones(self) -> list[SimulatedPhone]:
        devices = [self.office.phone("102", f"203.0.113.{number}") for number in range(3)]
        for phone in devices:
            assert self.office.loop.complete(phone.register()).code == 200
            phone.mood = "rings"
        return [*self.office.registered("101"), *devices]

    @precondition(lambda self: all(talk.ended or talk.code >= 300 for talk in self.talks()))
    @rule()
    def the_caller_calls(self) -> None:
        caller = self.phones[0]
        if caller.end.closed:
            self.comes_back(caller)
        weather, self.office.weather.fates = self.office.weather.fates, deque()
        self.office.loop.wait(SETTLED)  # what is late of the call before is not this one's
        for phone in self.phones:
            phone.talks.clear()
            if not phone.end.closed:
                assert self.office.loop.complete(phone.register()).code == 200
        self.office.weather.fates = weather
        self.office.loop.do(lambda: caller.call("102"))
        self.was_cut_off.clear()

    @precondition(lambda self: len(self.ringing()) > 1)
    @rule(first=st.integers(0, 2), second=st.integers(0, 2), apart=st.sampled_from([0, 0.01, 0.03, 0.3]))
    def two_answer(self, first: int, second: int, apart: float) -> None:
        self.somebody_answers(first)
        self.office.loop.wait(apart)
        if self.ringing():
            self.somebody_answers(second)
        self.the_dust_settles()

    @precondition(lambda self: all(talk.ended or talk.code >= 300 for talk in self.talks()))
    @rule(
        order=st.permutations(range(3)),
        number=st.integers(1, 3),
        first=st.sampled_from([0.3, 1, 20]),
        apart=st.sampled_from([0, 0.005, 0.01, 0.015, 0.03, 0.3]),
    )
    def a_fork_as_it_goes(self, order: list[int], number: int, first: float, apart: float) -> None:
        """All devices ring, and one or more answer, all but together: one call stands until somebody hangs up."""
        caller, *devices = self.phones
        for phone in devices:
            if phone.end.closed:
                self.comes_back(phone)
            phone.mood = "rings"
        self.office.media.refusals = 0
        self.the_caller_calls()
        self.office.loop.wait(first)
        answered = False
        for device in order[:number]:
            for talk in devices[device].talks[-1:]:
                answered = answered or (talk.server is not None and not talk.server.answered)
                self.office.loop.do(lambda talk=talk: talk.phone.answer(talk))  # type: ignore[misc]
            self.office.loop.wait(apart)
        self.the_dust_settles()
        assert not answered or caller.talks[-1].stands, "who was answered is in a call"
        for phone in devices:
            for talk in phone.talks:
                gave_up = talk.code == 200 and talk._leaves
                assert not gave_up, "who answers too late hears an ACK and a BYE, and need not give up"

    @rule()
    def the_dust_settles(self) -> None:
        caller, *devices = self.phones
        self.office.loop.wait(SETTLED)
        if self.was_cut_off or not caller.talks:
            return
        call = caller.talks[-1]
        won = [talk for phone in devices for talk in phone.talks if talk.stands]
        if call.stands:
            assert len(won) == 1, "exactly one winner"
            (answered, *_) = [each for each in self.office.exchange.calls.values() if each.answered_at]
            assert {leg for at, leg in self.office.media.legs if at == answered.id} == {"a", "b"}
        elif call.code >= 300 or call.ended:
            assert not won, "nobody is left in a call that is over"
        for phone in devices:
            for talk in phone.talks:
                if talk.stands or not call.stands:
                    continue
                cancelled = talk.cancelled_because is not None
                assert cancelled or talk.code >= 300 or talk.ended, "every loser is ended"
                if cancelled and not talk.ended:
                    assert "cause=200" in str(talk.cancelled_because), "its phone lists no missed call"


TestForks = histories(Forks, examples=25, steps=20)


class Transfers(Office):
    """Four phones that call, hold, transfer and take over."""

    def make_phones(self) -> list[SimulatedPhone]:
        return self.office.registered("101", "102", "103", "104")

    @rule(which=st.integers(0, 3), further=st.integers(1, 3), waits=st.sampled_from([0, 0.2, 0.2, 3]))
    def somebody_calls(self, which: int, further: int, waits: float) -> None:
        phone = self.phones[which]
        if phone.end.closed:
            self.comes_back(phone)
        self.office.loop.do(lambda: phone.call(f"10{(which + further) % 4 + 1}"))
        self.office.loop.wait(waits)

    @precondition(lambda self: self.standing())
    @rule(which=st.integers(0, 9), whom=st.sampled_from(["101", "102", "103", "104", "999", "112"]))
    def somebody_transfers_blind(self, which: int, whom: str) -> None:
        standing = self.standing()
        self.office.loop.do(lambda: standing[which % len(standing)].refer(f"<sip:{whom}@{DOMAIN}>"))

    @rule(
        who=st.permutations(range(4)),
        mood=st.sampled_from(["answers", "rings", "silent", "busy"]),
        leaves=st.sampled_from([None, 0, 1, 2]),
        after=st.sampled_from([0, 0.01, 0.1, 1]),
    )
    def a_transfer_as_it_goes(self, who: list[int], mood: str, leaves: int | None, after: float) -> None:
        """One calls another and transfers it to a third; somebody may hang up at any moment of that."""
        caller, called, target = (self.phones[each] for each in who[:3])
        if any(phone.end.closed for phone in self.phones):
            return
        called.mood, target.mood = "answers", mood
        talk = self.office.loop.do(lambda: caller.call(called.username[-3:]))
        self.office.loop.wait(1)
        self.office.loop.do(lambda: talk.refer(f"<sip:{target.username[-3:]}@{DOMAIN}>"))
        self.office.loop.wait(after)
        if leaves is not None:
            for each in (caller, called, target)[leaves].talks[-1:]:
                self.office.loop.do(each.hang_up)

    @precondition(lambda self: len(self.standing()) > 1)
    @rule(which=st.integers(0, 9), second=st.integers(0, 9))
    def somebody_transfers_attended(self, which: int, second: int) -> None:
        standing = self.standing()
        first = standing[which % len(standing)]
        others = [each for each in standing if each is not first and each.phone is first.phone]
        if not others:
            return
        dialog = others[second % len(others)].dialog
        assert dialog is not None
        ids = f"{dialog.id.call_id}%3Bto-tag%3D{dialog.id.remote_tag}%3Bfrom-tag%3D{dialog.id.local_tag}"
        self.office.loop.do(lambda: first.refer(f"<sip:101@{DOMAIN}?Replaces={ids}>"))

    @precondition(lambda self: self.standing())
    @rule(which=st.integers(0, 9), who=st.integers(0, 3))
    def somebody_takes_over(self, which: int, who: int) -> None:
        """INVITE with Replaces, of a dialog as the node's other side has it."""
        standing = self.standing()
        dialog = standing[which % len(standing)].dialog
        phone = self.phones[who]
        if dialog is None or phone.end.closed:
            return
        ids = f"{dialog.id.call_id};to-tag={dialog.id.remote_tag};from-tag={dialog.id.local_tag}"
        self.office.loop.do(lambda: phone.call("101", ids))

    @precondition(lambda self: self.standing())
    @rule(which=st.integers(0, 9), direction=st.sampled_from(["sendonly", "sendrecv", "inactive"]))
    def somebody_holds(self, which: int, direction: str) -> None:
        standing = self.standing()
        self.office.loop.do(lambda: standing[which % len(standing)].change(direction))

    def all_comes_to_an_end(self) -> None:
        super().all_comes_to_an_end()
        for talk in self.talks():
            if talk.phone not in self.was_cut_off:
                final = [line for state, line in talk.told if state.startswith("terminated")]
                assert len(final) == talk.referred.count(202), "each transfer ends with one final NOTIFY"
                if final:
                    assert not final[-1].startswith("SIP/2.0 1")


TestTransfers = histories(Transfers, examples=25, steps=25)
