"""What each role may do, tried: everything that is not in roles.toml is denied, by IAM's rules for its policies in the template.

Every action is tried on every table under every kind of key, and on everything else that the stack has, by every function and by a node.
`WRITE_ROLES=1 .venv/bin/pytest tests/infra/test_roles.py` writes roles.toml anew; its change is read like code.
"""

from __future__ import annotations

import itertools
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from callvoip.aws.permissions import Asked, Principal
from tests.support.infra import Template

GRANTED = Path(__file__).parent / "roles.toml"
REGION, ACCOUNT = "eu-central-1", "123456789012"
PLACE = f"{REGION}:{ACCOUNT}"
OWN = f"arn:aws:ec2:{PLACE}:instance/i-0own"
KEYS = {
    "orders": ("ORDER#", "OPEN#", "COUNTS", "LIMIT#", "x"),
    "catalogue": ("CATALOGUE", "x"),
    "customers": (
        "CUSTOMER#",
        "HISTORY#",
        "LIMIT#",
        "SESSION#",
        "LOGIN#",
        "EMAIL#",
        "PROVISIONING#",
        "ORDER#",
        "NUMBER#",
        "BILLS#",
        "x",
    ),
    "fleet": ("NODES", "PLACEMENTS#", "RECEIPT_KEYS", "own", "another", "x"),
    "cdr": ("CUSTOMER#", "own", "another", "x"),
}
ON_ITEMS = (
    "GetItem",
    "Query",
    "PutItem",
    "UpdateItem",
    "DeleteItem",
    "BatchGetItem",
    "BatchWriteItem",
    "ConditionCheckItem",
)
ON_TABLES = (
    "Scan",
    "DeleteTable",
    "UpdateTable",
    "ExportTableToPointInTime",
    "PartiQLSelect",
    "CreateBackup",
    "UpdateTimeToLive",
)


class Account:
    """The template's resources by ARNs as they may be on AWS."""

    def __init__(self, template: Template) -> None:
        self._resources = template.body["Resources"]
        self.tables = {
            next(table for table in KEYS if f"Tables{table.title()}" in name): f"arn:aws:dynamodb:{PLACE}:table/{name}"
            for name in template.resources("AWS::DynamoDB::Table")
        }
        self.functions = {
            properties["Handler"]: properties["Role"]["Fn::GetAtt"][0]
            for properties in template.resources("AWS::Lambda::Function").values()
            if re.fullmatch(r"(ordering|customers|fleet)\.\w+\.handler", str(properties.get("Handler")))
        }
        [self.node] = [name for name in template.resources("AWS::IAM::Role") if name.startswith("NodesRole")]
        self._statements: dict[str, list[dict[str, Any]]] = {}
        for policy in template.resources("AWS::IAM::Policy").values():
            for role in policy["Roles"]:
                found = [self.text(one) for one in policy["PolicyDocument"]["Statement"]]
                self._statements.setdefault(role["Ref"], []).extend(found)

    def principal(self, role: str) -> Principal:
        """The role, as the policies of the template have it; the node's is the instance i-0own."""
        context = {"ec2:SourceInstanceARN": [OWN]} if role == self.node else {}
        return Principal(role, tuple(self._statements.get(role, [])), context)

    def text(self, value: Any) -> Any:
        """What CloudFormation would put in the place of its functions."""
        match value:
            case {"Ref": str(name)}:
                return {"AWS::Partition": "aws", "AWS::Region": REGION, "AWS::AccountId": ACCOUNT}.get(name, name)
            case {"Fn::GetAtt": [str(name), str(attribute)]}:
                return self._attribute(name, attribute)
            case {"Fn::Join": [str(separator), list(parts)]}:
                return separator.join(str(self.text(part)) for part in parts)
            case {"Fn::Sub": str(text)}:
                return re.sub(r"\$\{(AWS::\w+)\}", lambda match: str(self.text({"Ref": match[1]})), text)
            case dict():
                return {name: self.text(one) for name, one in value.items()}
            case list():
                return [self.text(one) for one in value]
        return value

    def _attribute(self, name: str, attribute: str) -> str:
        service, kind = self._resources[name]["Type"].split("::")[1:]
        if kind == "Table":
            return f"arn:aws:dynamodb:{PLACE}:table/{name}" + ("/stream/1" if attribute == "StreamArn" else "")
        return f"arn:aws:{service.lower()}:{PLACE}:{kind.lower()}/{name}"


def tried(account: Account) -> Iterator[tuple[str, Asked]]:
    """Everything that is tried, each with how roles.toml calls it."""
    for table, arn in account.tables.items():
        for key, action in itertools.product(KEYS[table], ON_ITEMS):
            value = {"own": OWN, "another": f"{OWN}2"}.get(key, f"{key}1" if key.endswith("#") else key)
            yield f"{action} {table} {key}", Asked(f"dynamodb:{action}", arn, {"dynamodb:LeadingKeys": [value]})
        for action in ON_TABLES:
            yield f"{action} {table}", Asked(f"dynamodb:{action}", arn, {"dynamodb:LeadingKeys": []})
        for action in ("GetRecords", "GetShardIterator"):
            yield f"{action} {table}", Asked(f"dynamodb:{action}", f"{arn}/stream/1")
        yield f"Query {table} by index", Asked("dynamodb:Query", f"{arn}/index/by")
        yield f"Query {table} of another account", Asked("dynamodb:Query", arn.replace(ACCOUNT, "999999999999"))
    for action, resource, context in ELSEWHERE:
        yield f"{action} {resource}", Asked(action, f"arn:aws:{resource}", context)


INSTANCE = f"ec2:{PLACE}:instance"
PARAMETERS = [
    f"ssm:{PLACE}:parameter{name}"
    for name in ("/callvoip/sip/certificate", "/callvoip/sip/trunk", "/callvoip/acme/account", "/other")
]
RECORD_TYPES = "route53:ChangeResourceRecordSetsRecordTypes"
ELSEWHERE: list[tuple[str, str, Mapping[str, list[str]]]] = [
    *(
        ("ec2:TerminateInstances", f"{INSTANCE}/i-{whose}", {"aws:ResourceTag/callvoip:fleet": [whose]})
        for whose in ("Callvoip", "other")
    ),
    ("ec2:RunInstances", f"{INSTANCE}/*", {"ec2:LaunchTemplate": [f"arn:aws:ec2:{PLACE}:launch-template/other"]}),
    ("ec2:RunInstances", f"{INSTANCE}/*", {}),
    ("ec2:CreateTags", f"{INSTANCE}/i-1", {}),
    ("ec2:CreateTags", f"{INSTANCE}/i-1", {"ec2:CreateAction": ["RunInstances"]}),
    *((f"ec2:{action}", f"{INSTANCE}/i-1", {}) for action in ("StopInstances", "ModifyInstanceAttribute")),
    ("ec2:DescribeInstances", "*", {}),
    *(("ssm:GetParameters", parameter, {}) for parameter in PARAMETERS),
    *(("ssm:PutParameter", parameter, {}) for parameter in PARAMETERS),
    ("ssm:SendCommand", f"{INSTANCE}/i-1", {}),
    *(
        ("route53:ChangeResourceRecordSets", "route53:::hostedzone/other", {RECORD_TYPES: [kind]})
        for kind in ("A", "SRV", "TXT", "NS")
    ),
    ("route53:ListResourceRecordSets", "route53:::hostedzone/other", {}),
    ("route53:GetChange", "route53:::change/C1", {}),
    ("secretsmanager:GetSecretValue", f"secretsmanager:{PLACE}:secret:other", {}),
    ("ses:SendEmail", f"ses:{PLACE}:identity/other.example", {}),
    ("s3:GetObject", "s3:::other/key", {}),
    ("s3:ListBucket", "s3:::other", {}),
    ("sqs:SendMessage", f"sqs:{PLACE}:other", {}),
    ("lambda:InvokeFunction", f"lambda:{PLACE}:function/other", {}),
    ("lambda:UpdateFunctionCode", f"lambda:{PLACE}:function/other", {}),
    ("iam:PassRole", f"iam::{ACCOUNT}:role/other", {}),
    ("iam:CreateAccessKey", f"iam::{ACCOUNT}:user/other", {}),
    ("sts:AssumeRole", f"iam::{ACCOUNT}:role/other", {}),
    ("kms:Decrypt", f"kms:{PLACE}:key/other", {}),
    ("logs:GetLogEvents", f"logs:{PLACE}:log-group:other", {}),
    ("cognito-idp:AdminCreateUser", f"cognito-idp:{PLACE}:userpool/other", {}),
]


def granted(template: Template) -> dict[str, dict[str, str]]:
    """What of all that is tried each role may do, by the handler of the function, or `node`: actions by what they are on."""
    account = Account(template)
    everything = list(tried(account))
    return {
        name: _by_target([called for called, asked in everything if principal.may(asked)])
        for name, principal in sorted(
            (name.removesuffix(".handler"), account.principal(role))
            for name, role in {**account.functions, "node": account.node}.items()
        )
    }


def _by_target(may: list[str]) -> dict[str, str]:
    """Actions by table and kind of key; `TABLE *` where every kind of key is the same."""
    found: dict[str, list[str]] = {}
    for called in may:
        action, _, target = called.partition(" ")
        found.setdefault(target, []).append(action)
    for table, keys in KEYS.items():
        each = [found.get(f"{table} {key}", []) for key in keys]
        everywhere = [action for action in each[0] if all(action in actions for actions in each)]
        if everywhere:
            found[f"{table} *"] = everywhere
        for key in keys:
            left = [action for action in found.pop(f"{table} {key}", []) if action not in everywhere]
            if left:
                found[f"{table} {key}"] = left
    return {target: " ".join(actions) for target, actions in sorted(found.items())}


def test_nobody_may_do_more_than_is_written_down(template: Template) -> None:
    if os.environ.get("WRITE_ROLES"):
        GRANTED.write_text(written(granted(template)), encoding="utf-8")
    told = tomllib.loads(GRANTED.read_text(encoding="utf-8"))
    found = granted(template)
    assert found.keys() == told.keys()
    for name, may in found.items():
        assert may == told[name], name


def test_nobody_may_read_a_table_whole_or_change_it(template: Template) -> None:
    for name, may in granted(template).items():
        assert not [one for one in may if "another account" in one], name
        assert not set(" ".join(may.values()).split(" ")) & {
            *ON_TABLES,
            "iam:PassRole",
            "sts:AssumeRole",
            "kms:Decrypt",
        }, name


def test_a_node_touches_nothing_of_another_and_of_customers_nothing_but_their_call_records(template: Template) -> None:
    may = granted(template)["node"]
    tables = {target: actions for target, actions in may.items() if target.split(" ")[0] in KEYS}
    assert tables == {
        "fleet own": "Query PutItem",
        "cdr own": "PutItem BatchWriteItem",
        "cdr CUSTOMER#": "PutItem BatchWriteItem",
    }


@pytest.mark.parametrize("more", ["dynamodb:DeleteItem", "dynamodb:Scan"])
def test_one_permission_more_is_noticed(template: Template, more: str) -> None:
    account = Account(template)
    role = account.functions["ordering.prices_api.handler"]
    before = account.principal(role)
    statement = {"Effect": "Allow", "Action": more, "Resource": list(account.tables.values())}
    after = Principal(role, (*before.statements, statement), before.context)
    assert [called for called, asked in tried(account) if after.may(asked) and not before.may(asked)]


def written(found: Mapping[str, Mapping[str, str]]) -> str:
    """The text of roles.toml."""
    lines = [
        "# What each function's role and a node's may do of all that test_roles.py tries: by table and kind of key, or by resource."
    ]
    for name, may in found.items():
        lines += ["", f'["{name}"]', *(f'"{target}" = "{actions}"' for target, actions in may.items())]
    return "\n".join(lines) + "\n"
