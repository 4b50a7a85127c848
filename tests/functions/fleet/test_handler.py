"""The reconciler's handler: what becomes of a stream's batch when a look at the fleet fails."""

from typing import Any

import pytest

from fleet import reconciler
from tests.functions.fleet.simulated_cloud import Cloud

UNREADABLE = {"dynamodb": {"SequenceNumber": "111", "NewImage": {"sk": {"M": {"no": {"XX": "key"}}}}}}
READABLE = {"dynamodb": {"SequenceNumber": "222"}}


def blind() -> Cloud:
    """A cloud whose EC2 does not answer."""

    def instances() -> Any:
        raise TimeoutError

    cloud = Cloud()
    cloud.ec2.instances = instances  # type: ignore[method-assign]
    return cloud


@pytest.fixture
def fleet_of(monkeypatch: pytest.MonkeyPatch) -> Any:
    def use(cloud: Cloud) -> None:
        monkeypatch.setattr(reconciler, "reconciler", lambda: cloud.reconciler)

    return use


def test_a_record_that_cannot_be_read_holds_up_nothing(fleet_of: Any, context: Any) -> None:
    fleet_of(Cloud())
    answer = reconciler.handler({"Records": [UNREADABLE, READABLE]}, context)
    assert answer["batchItemFailures"] == []


def test_when_a_look_fails_the_whole_batch_comes_again_in_one_piece(fleet_of: Any, context: Any) -> None:
    fleet_of(blind())
    answer = reconciler.handler({"Records": [UNREADABLE, READABLE]}, context)
    assert answer["batchItemFailures"] == [{"itemIdentifier": "111"}]


def test_who_wakes_it_each_minute_hears_of_a_look_that_fails(fleet_of: Any, context: Any) -> None:
    fleet_of(blind())
    with pytest.raises(TimeoutError):
        reconciler.handler({"source": "aws.events"}, context)
