"""Intrinsic functions, against what AWS's documentation says of them."""

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callvoip.aws.template import Scope, Stack, UnresolvedError, load

PSEUDO = {"AWS::Region": "eu-central-1", "AWS::AccountId": "123456789012", "AWS::Partition": "aws"}


def scope(template=None, **known) -> Scope:
    return Scope(Stack("S", "eu-central-1", {"Resources": {}, **(template or {})}), PSEUDO, **known)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"Ref": "Table"}, "table-1"),
        ({"Ref": "AWS::Region"}, "eu-central-1"),
        ({"Ref": "Size"}, "small"),
        ({"Fn::GetAtt": ["Table", "Arn"]}, "arn:table-1"),
        ({"Fn::GetAtt": "Table.Arn"}, "arn:table-1"),
        ({"Fn::Join": ["-", ["a", {"Ref": "Table"}, "b"]]}, "a-table-1-b"),
        ({"Fn::Split": [",", "a,b"]}, ["a", "b"]),
        ({"Fn::Select": [1, {"Fn::Split": [",", "a,b"]}]}, "b"),
        ({"Fn::Select": ["0", ["x"]]}, "x"),
        ({"Fn::Select": [1, {"Fn::GetAZs": ""}]}, "eu-central-1b"),
        (
            {"Fn::Sub": "${AWS::AccountId}/${Table}/${Table.Arn}/${!Literal}"},
            "123456789012/table-1/arn:table-1/${Literal}",
        ),
        ({"Fn::Sub": ["${Name}-${Table}", {"Name": {"Ref": "Size"}}]}, "small-table-1"),
        ({"Fn::Base64": {"Fn::Join": ["", ["é", "!"]]}}, base64.b64encode("é!".encode()).decode()),
        ({"Fn::FindInMap": ["Sizes", {"Ref": "Size"}, "memory"]}, 512),
        ({"Fn::ImportValue": "Shared"}, "exported"),
        ({"Fn::If": ["IsSmall", "yes", "no"]}, "yes"),
        ({"Fn::If": ["IsLarge", "yes", "no"]}, "no"),
        ({"a": 1, "b": {"Fn::If": ["IsLarge", 1, {"Ref": "AWS::NoValue"}]}}, {"a": 1}),
        ([1, {"Ref": "AWS::NoValue"}], [1]),
        ({"Fn::ToJsonString": {"t": {"Ref": "Table"}}}, '{"t": "table-1"}'),
        ({"Ref": ["not", "an", "intrinsic"], "Other": 1}, {"Ref": ["not", "an", "intrinsic"], "Other": 1}),
    ],
)
def test_an_intrinsic_function_becomes_its_value(value, expected):
    known = scope(
        {
            "Mappings": {"Sizes": {"small": {"memory": 512}}},
            "Conditions": {
                "IsSmall": {"Fn::Equals": [{"Ref": "Size"}, "small"]},
                "IsLarge": {"Fn::And": [{"Fn::Not": [{"Condition": "IsSmall"}]}, {"Fn::Or": [True, False]}]},
            },
        },
        parameters={"Size": "small"},
        exports={"Shared": "exported"},
        refs={"Table": "table-1"},
        attributes={("Table", "Arn"): "arn:table-1"},
    )
    assert known.resolve(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        {"Ref": "Nobody"},
        {"Fn::GetAtt": ["Nobody", "Arn"]},
        {"Fn::Sub": "${Nobody}"},
        {"Fn::ImportValue": "x"},
        {"Fn::If": ["C", 1, 2]},
    ],
)
def test_a_reference_to_nothing_is_an_error_that_names_it(value):
    with pytest.raises(UnresolvedError):
        scope().resolve(value)


def test_what_cannot_be_resolved_yet_stays_when_asked():
    value = {"Name": {"Fn::Join": ["-", [{"Ref": "Later"}, {"Ref": "AWS::Region"}]]}, "Known": {"Ref": "AWS::Region"}}
    assert scope().resolve(value, partial=True) == {
        "Name": {"Fn::Join": ["-", [{"Ref": "Later"}, "eu-central-1"]]},
        "Known": "eu-central-1",
    }


def test_an_unknown_function_is_refused_rather_than_passed_on():
    with pytest.raises(NotImplementedError, match="Fn::Cidr"):
        scope().resolve({"Fn::Cidr": ["10.0.0.0/16", 2, 8]})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=5).filter(lambda name: name not in ("Ref", "Condition") and not name.startswith("Fn::")),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(json_values)
def test_what_holds_no_intrinsics_is_left_as_it_is(value):
    assert scope().resolve(value) == value


@settings(deadline=None)
@given(st.lists(st.text(alphabet="abc", max_size=3), min_size=1), st.sampled_from([",", "|"]))
def test_split_undoes_join(parts, separator):
    assert scope().resolve({"Fn::Split": [separator, {"Fn::Join": [separator, parts]}]}) == parts


def test_stacks_come_in_the_order_they_need_each_other(tmp_path):
    def artifact(name: str, *needs: str) -> dict[str, object]:
        (tmp_path / f"{name}.json").write_text(json.dumps({"Resources": {}}))
        return {
            "type": "aws:cloudformation:stack",
            "environment": "aws://unknown-account/eu-central-1",
            "properties": {"templateFile": f"{name}.json"},
            "dependencies": list(needs),
        }

    artifacts = {
        "App": artifact("App", "Data", "Net"),
        "Net": artifact("Net", "Data"),
        "Data": artifact("Data", "Data.assets"),
    }
    (tmp_path / "manifest.json").write_text(json.dumps({"artifacts": artifacts}))
    assert [stack.name for stack in load(tmp_path).stacks] == ["Data", "Net", "App"]
