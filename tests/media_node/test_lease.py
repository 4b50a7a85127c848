"""control.lease and what a node that may not serve as primary says: never two primaries of one environment."""

from dataclasses import replace

import pytest

from media_node.call.directory import Directory, Environment, Phone, Role
from media_node.control.lease import LEASE, Lease


def environment(role: Role) -> Environment:
    phone = Phone(username="abc234-201", extension="201", customer_id="abc234", encrypted=True)
    return Environment(
        environment_id="abc234", customer_id="abc234", encrypted=True, calls=4, version=1, phones=(phone,), role=role
    )


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_lease_needs_both_what_is_read_and_what_is_heard() -> None:
    clock = Clock()
    lease = Lease(clock)
    assert not lease.fresh
    lease.read(lease.now())
    assert not lease.fresh
    lease.heard(lease.now())
    assert lease.fresh


@pytest.mark.parametrize("renewed", ["read", "heard"])
def test_one_of_the_two_alone_keeps_no_lease(renewed: str) -> None:
    clock = Clock()
    lease = Lease(clock)
    lease.read(clock.now)
    lease.heard(clock.now)
    clock.now += LEASE - 1
    getattr(lease, renewed)(clock.now)
    assert lease.fresh
    clock.now += 2
    assert not lease.fresh


def test_a_request_counts_from_when_it_began_and_not_from_when_it_was_answered() -> None:
    clock = Clock()
    lease = Lease(clock)
    began = lease.now()
    clock.now += LEASE
    lease.read(began)
    lease.heard(began)
    assert not lease.fresh


def test_the_lease_is_shorter_than_the_reconciler_waits() -> None:
    from fleet.observed import LEASE as WAITED
    from fleet.observed import LEASE_MARGIN

    assert WAITED.total_seconds() == LEASE
    assert LEASE_MARGIN.total_seconds() > 0


def test_a_standby_serves_the_probe_and_no_phone_of_the_customer() -> None:
    standby = environment(Role.STANDBY)
    [phone] = standby.phones
    guest = replace(phone, username="abc234-probe1", extension="probe1")
    directory = Directory((standby,), (guest,))
    assert not directory.serves(phone)
    assert directory.serves(guest)
    assert Directory((environment(Role.PRIMARY),)).serves(phone)
