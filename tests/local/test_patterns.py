"""Event patterns; moto's own matcher, written by others from the same documentation, is the judge where it can be."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moto.events.models import EventPattern

from callvoip.lambdas.patterns import matches

NEWS = {"dynamodb": {"Keys": {"sk": {"S": [{"anything-but": ["HEARTBEAT"]}]}}}}


def record(sk: str) -> dict[str, Any]:
    return {"eventName": "MODIFY", "dynamodb": {"Keys": {"pk": {"S": "x"}, "sk": {"S": sk}}}}


def test_a_heartbeat_is_no_news_and_a_report_is():
    assert not matches(NEWS, record("HEARTBEAT"))
    assert matches(NEWS, record("REPORT"))
    assert matches(NEWS, record("HEARTBEAT2"))


@pytest.mark.parametrize(
    ("pattern", "event", "expected"),
    [
        ({"source": ["aws.ec2"], "detail-type": ["A"]}, {"source": "aws.ec2", "detail-type": "A", "detail": {}}, True),
        ({"source": ["aws.ec2"], "detail-type": ["A"]}, {"source": "aws.ec2", "detail-type": "B"}, False),
        ({"detail": {"state": ["running", "terminated"]}}, {"detail": {"state": "terminated"}}, True),
        ({"detail": {"state": ["running"]}}, {"detail": "running"}, False),
        ({"a": [{"prefix": "x"}]}, {"a": "xy"}, True),
        ({"a": [{"suffix": "y"}]}, {"a": "xy"}, True),
        ({"a": [{"exists": False}]}, {}, True),
        ({"a": [{"exists": True}]}, {"a": {"b": 1}}, False),
        ({"a": [{"exists": True}]}, {"a": None}, True),
        ({"a": [{"numeric": [">", 1, "<=", 5]}]}, {"a": 5}, True),
        ({"a": [{"numeric": [">", 1, "<=", 5]}]}, {"a": 1}, False),
        ({"a": [{"anything-but": {"prefix": "x"}}]}, {"a": "xy"}, False),
        ({"a": [{"anything-but": ["x"]}]}, {}, False),
        ({"a": [{"equals-ignore-case": "ABC"}]}, {"a": "aBc"}, True),
        ({"a": [None]}, {"a": None}, True),
        ({"a": [1]}, {"a": True}, False),
        ({"a": ["x"]}, {"a": ["y", "x"]}, True),
        ({"$or": [{"a": [1]}, {"b": [2]}]}, {"b": 2}, True),
    ],
)
def test_an_operator_means_what_the_documentation_says(pattern, event, expected):
    assert matches(pattern, event) is expected


def test_an_unknown_operator_is_refused_rather_than_ignored():
    with pytest.raises(NotImplementedError, match="cidr"):
        matches({"a": [{"cidr": "10.0.0.0/8"}]}, {"a": "10.1.1.1"})


names = st.sampled_from(["a", "b", "c"])
words = st.sampled_from(["x", "y", "xy", ""])
rules = (
    words
    | st.integers(0, 3)
    | st.builds(lambda prefix: {"prefix": prefix}, st.sampled_from(["x", "y"]))
    | st.builds(lambda items: {"anything-but": items}, st.lists(words, min_size=1, max_size=2))
)
some_rules = st.lists(rules, min_size=1, max_size=2)
patterns = st.dictionaries(
    names, some_rules | st.dictionaries(names, some_rules, min_size=1, max_size=2), min_size=1, max_size=2
)
# Not empty: to moto an empty object is a value, and Amazon does not say.
nested = st.dictionaries(names, st.sampled_from(["x", "y", 2]), min_size=1, max_size=2)
events = st.dictionaries(names, st.sampled_from(["x", "xy", 1]) | nested, max_size=3)


@settings(deadline=None)
@given(patterns, events)
def test_moto_agrees(pattern, event):
    assert matches(pattern, event) == EventPattern(None, pattern).matches_event(event)
