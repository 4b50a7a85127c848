"""What a request to AWS wants to do, in IAM's words: actions, resources and condition keys.

https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from email.utils import parseaddr
from typing import Any
from urllib.parse import parse_qs

from callvoip.aws.permissions import Asked

Tags = Callable[[str], Mapping[str, str]]
"""The tags of an instance, by its id."""

_EQUALITY = re.compile(r"([\w#]+)\s*=\s*(:\w+)")
_TRANSACTION = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
    "Get": "GetItem",
}


def asked(service: str, action: str, body: bytes, *, region: str, account: str, tags: Tags) -> list[Asked]:
    """Everything that must be allowed for one request. Of a service not known here every action is on `*`."""
    place = f"{region}:{account}"
    match service:
        case "dynamodb" if action not in (
            "DescribeStream",
            "GetRecords",
            "GetShardIterator",
            "ListStreams",
            "ListTables",
        ):
            return list(_dynamodb(action, json.loads(body), f"arn:aws:dynamodb:{place}:table/"))
        case "ec2":
            return list(
                _ec2(
                    action,
                    {name: values[0] for name, values in parse_qs(body.decode()).items()},
                    f"arn:aws:ec2:{place}:",
                    tags,
                )
            )
        case "ssm" if action in ("GetParameter", "GetParameters", "PutParameter"):
            request = json.loads(body)
            names = request.get("Names") or [request["Name"]]
            return [Asked(f"ssm:{action}", f"arn:aws:ssm:{place}:parameter/{name.removeprefix('/')}") for name in names]
        case "logs" if action in ("CreateLogStream", "PutLogEvents"):
            return [Asked(f"logs:{action}", f"arn:aws:logs:{place}:log-group:{json.loads(body)['logGroupName']}:*")]
        case "secretsmanager" if action == "GetSecretValue":
            secret = json.loads(body)["SecretId"]
            return [Asked(f"secretsmanager:{action}", f"arn:aws:secretsmanager:{place}:secret:{secret}")]
        case "route53":
            return [_route53(action, body)]
        case "ses" if action == "SendEmail":
            return list(_ses(json.loads(body), f"arn:aws:ses:{place}:"))
    return [Asked(f"{service}:{action}", "*")]


def _route53(action: str, body: bytes) -> Asked:
    """The zone is in the path, which a request of two parts is told here as `action path`."""
    name, _, path = action.partition(" ")
    zone = re.search(r"/hostedzone/([^/?]+)", path)
    change = re.search(r"/change/([^/?]+)", path)
    text = body.decode()
    said = {
        "route53:ChangeResourceRecordSetsRecordTypes": re.findall(r"<Type>(\w+)</Type>", text),
        "route53:ChangeResourceRecordSetsNormalizedRecordNames": [
            found.lower().removesuffix(".") for found in re.findall(r"<Name>(.+?)</Name>", text)
        ],
    }
    resource = f"arn:aws:route53:::hostedzone/{zone[1]}" if zone else "*"
    if change:
        resource = f"arn:aws:route53:::change/{change[1]}"
    return Asked(f"route53:{name}", resource, said if name == "ChangeResourceRecordSets" else {})


def _ses(request: Mapping[str, Any], prefix: str) -> Iterator[Asked]:
    """The identity is the sender's domain, and the configuration set is asked for too."""
    _, sender = parseaddr(request.get("FromEmailAddress", ""))
    context = {
        "ses:FromAddress": [sender],
        "ses:Recipients": [one for many in request.get("Destination", {}).values() for one in many],
    }
    yield Asked("ses:SendEmail", f"{prefix}identity/{sender.rpartition('@')[2]}", context)
    if "ConfigurationSetName" in request:
        yield Asked("ses:SendEmail", f"{prefix}configuration-set/{request['ConfigurationSetName']}", context)


def _dynamodb(action: str, request: Mapping[str, Any], tables: str) -> Iterator[Asked]:
    for entry in request.get("TransactItems", ()):
        [(kind, operation)] = entry.items()
        yield _item_action(_TRANSACTION[kind], operation, tables)
    for table, operation in request.get("RequestItems", {}).items():
        keys = (
            operation["Keys"] if isinstance(operation, Mapping) else [next(iter(write.values())) for write in operation]
        )
        items = [key.get("Item") or key.get("Key") or key for key in keys]
        yield Asked(
            f"dynamodb:{action}", tables + table, {"dynamodb:LeadingKeys": [_text(item["pk"]) for item in items]}
        )
    if "TableName" in request:
        yield _item_action(action, request, tables)


def _item_action(action: str, operation: Mapping[str, Any], tables: str) -> Asked:
    resource = tables + operation["TableName"].rpartition("/")[2]
    if "IndexName" in operation:
        resource += f"/index/{operation['IndexName']}"
    item = operation.get("Item") or operation.get("Key") or {}
    names = operation.get("ExpressionAttributeNames", {})
    context: dict[str, list[str]] = {}
    if item:
        context["dynamodb:LeadingKeys"] = [_text(item["pk"])]
        context["dynamodb:Attributes"] = sorted({*item, *names.values()})
    elif condition := _EQUALITY.search(operation.get("KeyConditionExpression", "")):
        context["dynamodb:LeadingKeys"] = [_text(operation["ExpressionAttributeValues"][condition[2]])]
    if "ReturnValues" in operation:
        context["dynamodb:ReturnValues"] = [operation["ReturnValues"]]
    return Asked(f"dynamodb:{action}", resource, context)


def _text(value: Mapping[str, Any]) -> str:
    return str(next(iter(value.values())))


def _ec2(action: str, form: Mapping[str, str], prefix: str, tags: Tags) -> Iterator[Asked]:
    if action == "RunInstances":
        template = f"{prefix}launch-template/{form.get('LaunchTemplate.LaunchTemplateId', 'none')}"
        # Both keys come with every resource of the request; what the request names itself is not the template's.
        context = {"ec2:LaunchTemplate": [template], "ec2:IsLaunchTemplateResource": ["true"]}
        for resource in ("instance/*", "volume/*", "network-interface/*"):
            yield Asked("ec2:RunInstances", prefix + resource, context)
        yield Asked("ec2:RunInstances", template, context)
        named = {**context, "ec2:IsLaunchTemplateResource": [str("SubnetId" not in form).lower()]}
        yield Asked("ec2:RunInstances", f"{prefix}subnet/{form.get('SubnetId', 'default')}", named)
        for name, kind in form.items():
            if re.fullmatch(r"TagSpecification\.\d+\.ResourceType", name):
                yield Asked("ec2:CreateTags", f"{prefix}{kind}/*", {"ec2:CreateAction": ["RunInstances"]})
    elif instances := [
        value
        for name, value in form.items()
        if re.fullmatch(r"InstanceId\.\d+", name) and not action.startswith("Describe")
    ]:
        for instance in instances:
            context = {f"aws:ResourceTag/{name}": [value] for name, value in tags(instance).items()}
            yield Asked(f"ec2:{action}", f"{prefix}instance/{instance}", context)
    else:
        yield Asked(f"ec2:{action}", "*")
