"""shared/: settings, time, pages, problems, and transactions on AWS's DynamoDB Local."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import clock, dynamodb, html, settings
from shared.problem import FAULT, Problem, ProblemTable
from shared.settings import MissingSettingError, WrongSettingError

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(min_size=1), inner, max_size=4),
    max_leaves=10,
)


# --- settings


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in (
        "FLEET_NAME",
        "LAUNCH_TEMPLATE_ID",
        "SUBNET_IDS",
        "NODE_CAPACITY_CALLS",
        "MAX_NODES",
        "INSTANCE_TYPES",
        "AWS_REGION",
    ):
        monkeypatch.delenv(name, raising=False)
    settings.required.cache_clear()
    settings.fleet.cache_clear()
    return monkeypatch


def test_a_missing_setting_is_named(bare) -> None:
    with pytest.raises(MissingSettingError, match="FLEET_NAME"):
        settings.fleet()


FLEET = {
    "FLEET_NAME": "test",
    "AWS_REGION": "eu-central-1",
    "LAUNCH_TEMPLATE_ID": "lt-1",
    "SUBNET_IDS": "subnet-a, subnet-b,",
    "NODE_CAPACITY_CALLS": "100",
    "MAX_NODES": "4",
}


def test_the_fleet_reads_its_bounds(bare) -> None:
    for name, value in FLEET.items():
        bare.setenv(name, value)
    fleet = settings.fleet()
    assert (fleet.subnet_ids, fleet.instance_types, fleet.node_capacity_calls) == (("subnet-a", "subnet-b"), (), 100)


@pytest.mark.parametrize("value", ["0", "-1", "four", "4.5", "²"])
def test_a_number_that_is_none_is_refused_with_its_name(bare, value: str) -> None:
    for name, given_value in {**FLEET, "MAX_NODES": value}.items():
        bare.setenv(name, given_value)
    with pytest.raises(WrongSettingError, match="MAX_NODES"):
        settings.fleet()


def test_a_checkout_finds_the_sites_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATA_DIR", raising=False)
    settings.data_directory.cache_clear()
    assert (settings.data_directory() / "catalogue.toml").is_file()


# --- time


@given(st.datetimes(datetime(1980, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))
def test_iso_text_sorts_as_time_does_and_comes_back(moment: datetime) -> None:
    text = clock.to_iso(moment)
    assert text.endswith("Z") and len(text) == 24
    assert timedelta() <= moment - clock.from_iso(text) < timedelta(milliseconds=1)
    assert clock.to_iso(moment + timedelta(milliseconds=1)) > text


@pytest.mark.parametrize(
    ("moment", "day"), [("2026-11-21T22:59:59Z", 21), ("2026-11-21T23:00:00Z", 22), ("2026-06-21T22:00:00Z", 22)]
)
def test_a_day_is_a_day_in_the_netherlands(moment: str, day: int) -> None:
    assert clock.local_day(clock.from_iso(moment)).day == day


# --- pages


@pytest.mark.parametrize(
    ("cents", "text"),
    [
        (0, "€\u00a00,00"),
        (5, "€\u00a00,05"),
        (1000, "€\u00a010,00"),
        (12345678, "€\u00a0123.456,78"),
        (-250, "€\u00a0-2,50"),
    ],
)
def test_euros_are_written_as_in_dutch(cents: int, text: str) -> None:
    assert html.euro(cents) == text


def test_a_moment_is_written_as_in_dutch() -> None:
    assert html.when("2026-11-21T17:05:00.000Z") == "21 november 2026 om 18.05 uur"
    assert html.when(datetime(2026, 6, 1, 6, 5, tzinfo=UTC)) == "1 juni 2026 om 08.05 uur"


def test_what_is_filled_in_is_escaped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "page.j2").write_text("<p>{{ text }} {{ cents | euro }}</p>")
    monkeypatch.setenv("VIEWS_DIR", str(tmp_path))
    settings.views_directory.cache_clear()
    html._environment.cache_clear()
    assert html.render("page", text="<b>&", cents=1) == "<p>&lt;b&gt;&amp; €\u00a00,01</p>"
    settings.views_directory.cache_clear()
    html._environment.cache_clear()


# --- problems


def test_an_error_is_looked_up_by_its_nearest_ancestor() -> None:
    table = ProblemTable()
    table.on(LookupError)(lambda error: Problem(FAULT, f"lookup {error}"))
    table.on(KeyError)(lambda _: Problem(FAULT, "key"))
    found = [table.problem(error) for error in (KeyError("a"), IndexError("b"), ValueError("c"))]
    assert [problem and problem.detail for problem in found] == ["key", "lookup b", None]


# --- DynamoDB


@given(st.dictionaries(st.text(min_size=1), plain, max_size=5))
def test_plain_values_survive_the_way_to_dynamodb_and_back(item: dynamodb.Item) -> None:
    assert dynamodb.unmarshal(dynamodb.marshal(item)) == item


class FirstError(Exception):
    pass


class SecondError(Exception):
    def __init__(self, item: dynamodb.Item | None) -> None:
        self.item = item


@pytest.mark.needs("java")
def test_a_failed_condition_raises_the_error_of_its_own_write_and_nothing_is_written(environment) -> None:
    table = settings.orders_table()
    a, b = {"pk": "A", "sk": "A"}, {"pk": "B", "sk": "B", "n": 1}
    dynamodb.transact(dynamodb.put(table, b, SecondError, "attribute_not_exists(pk)"))
    writes = [
        dynamodb.put(table, a, lambda _: FirstError(), "attribute_not_exists(pk)"),
        dynamodb.put(table, b, SecondError, "attribute_not_exists(pk)"),
    ]
    with pytest.raises(SecondError) as second:
        dynamodb.transact(*writes)
    assert second.value.item == b
    assert dynamodb.get(table, "A", "A") is None
    dynamodb.transact(writes[0])
    with pytest.raises(FirstError):
        dynamodb.transact(*writes)


@pytest.mark.needs("java")
def test_updates_checks_and_deletes_are_conditioned_too(environment) -> None:
    table = settings.fleet_table()
    key = {"pk": "A", "sk": "A"}
    dynamodb.transact(dynamodb.put(table, {**key, "state": "new"}, SecondError, "attribute_not_exists(pk)"))
    dynamodb.transact(
        dynamodb.update(table, key, "SET #state = :to", SecondError, "#state = :from", **{"to": "old", "from": "new"})
    )
    for write in (
        dynamodb.update(table, key, "SET #state = :to", SecondError, "#state = :from", **{"to": "x", "from": "new"}),
        dynamodb.check(table, key, SecondError, "#state = :state", state="new"),
        dynamodb.delete(table, key, SecondError, "#state = :state", state="new"),
    ):
        with pytest.raises(SecondError) as refused:
            dynamodb.transact(write)
        assert refused.value.item == {**key, "state": "old"}
    dynamodb.transact(dynamodb.delete(table, key, SecondError, "#state = :state", state="old"))
    assert dynamodb.get(table, "A", "A") is None


@pytest.mark.needs("java")
def test_more_items_than_one_call_takes_are_read_together(environment) -> None:
    table = settings.fleet_table()
    for number in range(120):
        item = dynamodb.marshal({"pk": f"P{number}", "sk": "S", "number": number})
        dynamodb.client().put_item(TableName=table, Item=item)
    keys = [(f"P{number}", "S") for number in range(130)]
    assert sorted(item["number"] for item in dynamodb.batch_get(table, [*keys, *keys]).values()) == list(range(120))
