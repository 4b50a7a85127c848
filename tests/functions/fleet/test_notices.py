"""What a primary noticed reaches customers once for each kind and day; a standby's word is not asked."""

from datetime import UTC, datetime

from fleet import plan
from fleet.actions import Alarm, TellNotices
from fleet.items import from_placement, to_placement, to_proof
from fleet.observed import Observed, Proof
from fleet.placement import Assignment, Placement, Role

NOW = datetime(2026, 11, 26, 9, tzinfo=UTC)
TODAY = {"limitMinutesPerDay": "2026-11-26", "emergencyRoute": "2026-11-26"}


def told(noticed: dict[str, str], said: dict[str, str], role: Role = Role.PRIMARY) -> list[object]:
    one = Assignment("n1", "arn", role, 1, 10, 1, NOW)
    placement = Placement("enva23", assignments=(one,), noticed=noticed)
    observed = Observed((), {}, {"arn": {"enva23": Proof(1, 1, 1, notices=said)}})
    return list(plan._notices(placement, observed))


def test_each_kind_and_day_is_told_once() -> None:
    notices, alarm = told({}, TODAY)
    assert isinstance(notices, TellNotices) and notices.notices == TODAY
    assert alarm == Alarm("EmergencyCheckFailed", "enva23")
    assert told(TODAY, TODAY) == told({}, {}) == told({}, TODAY, Role.STANDBY) == []
    (again,) = told({**TODAY, "limitMinutesPerDay": "2026-11-25"}, TODAY)
    assert isinstance(again, TellNotices) and again.notices == {"limitMinutesPerDay": "2026-11-26"}


def test_what_was_told_is_written_down_and_a_nodes_words_are_bounded() -> None:
    placement = Placement("enva23", noticed=TODAY)
    assert to_placement(from_placement(placement)) == placement
    many = {f"{number:03}" + "x" * 1000: "2026-11-26" for number in range(1000)}
    read = to_proof({"version": 1, "phones": 1, "notices": many}).notices
    assert len(read) == 20 and all(len(kind) == 40 for kind in read)
