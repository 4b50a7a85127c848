"""Deploys a cloud assembly into the emulated AWS, and says what came of each resource.

What programs speak with over AWS's API (queues, network, launch templates, ...) moto's CloudFormation makes; tables are
made first, under names that last. The rest (functions, routes, distribution, user pool, ...) is run by local/ itself
from the template; such a resource only needs names, and gets them here.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from callvoip.aws import tables
from callvoip.aws.endpoint import ACCOUNT, Emulated
from callvoip.aws.template import Assembly, Resource, Scope, Stack, UnresolvedError
from callvoip.data import write

if TYPE_CHECKING:
    pass

MADE_BY_MOTO = frozenset(
    {
        "AWS::EC2::LaunchTemplate",
        "AWS::EC2::SecurityGroup",
        "AWS::EC2::Subnet",
        "AWS::EC2::VPC",
        "AWS::IAM::InstanceProfile",
        "AWS::IAM::Role",
        "AWS::Route53::HostedZone",
        "AWS::SNS::Topic",
        "AWS::SQS::Queue",
        "AWS::SSM::Parameter",
    }
)

_DYNAMIC = re.compile(r"\{\{resolve:secretsmanager:(.+?):SecretString:::?\}\}")

_ARNS = {
    "AWS::Lambda::Function": "lambda:{region}:{account}:function:{name}",
    "AWS::CloudFront::Distribution": "cloudfront::{account}:distribution/{name}",
    "AWS::CloudFront::Function": "cloudfront::{account}:function/{name}",
    "AWS::Cognito::UserPool": "cognito-idp:{region}:{account}:userpool/{name}",
    "AWS::DynamoDB::Table": "dynamodb:{region}:{account}:table/{name}",
    "AWS::Events::Rule": "events:{region}:{account}:rule/{name}",
    "AWS::Logs::LogGroup": "logs:{region}:{account}:log-group:{name}:*",
    "AWS::S3::Bucket": "s3:::{name}",
    "AWS::SES::EmailIdentity": "ses:{region}:{account}:identity/{name}",
    "AWS::SecretsManager::Secret": "secretsmanager:{region}:{account}:secret:{name}",
}


@dataclass(frozen=True)
class Deployed:
    """A resource as it stands: `properties` resolved, `name` what Ref gives, `arn` empty for what has none."""

    logical_id: str
    type: str
    name: str
    arn: str
    properties: Mapping[str, Any]
    path: str


@dataclass(frozen=True)
class Deployment:
    """Everything that was deployed."""

    region: str
    resources: tuple[Deployed, ...]
    assembly: Assembly
    secrets: Mapping[str, str] = field(default_factory=dict)
    """Generated values of AWS::SecretsManager::Secret by ARN."""

    def all(self, kind: str) -> Iterator[Deployed]:
        """The resources of one type, in the template's order."""
        return (resource for resource in self.resources if resource.type == kind)

    def the(self, kind: str) -> Deployed:
        """The only resource of a type. Raises LookupError when there is none or more than one."""
        found = list(self.all(kind))
        if len(found) != 1:
            raise LookupError(f"the template has {len(found)} resources of type {kind}, one was expected")
        return found[0]

    def secret(self, text: str) -> str:
        """`text` with its dynamic references to Secrets Manager (`{{resolve:secretsmanager:ARN:SecretString:::}}`)
        replaced.
        """
        return _DYNAMIC.sub(lambda match: self.secrets[match[1]], text)

    def statements(self, role: str) -> tuple[Mapping[str, Any], ...]:
        """What the policies of a role (its name or ARN) say."""
        name = role.rpartition("/")[2]
        documents = [
            policy.properties["PolicyDocument"]
            for policy in self.all("AWS::IAM::Policy")
            if name in policy.properties["Roles"]
        ]
        documents += [
            policy["PolicyDocument"] for policy in self.named("AWS::IAM::Role", name).properties.get("Policies", ())
        ]
        return tuple(statement for document in documents for statement in document["Statement"])

    def named(self, kind: str, name: str) -> Deployed:
        """The resource of a type that Ref calls `name` or that has it as ARN (with or without a version)."""
        for resource in self.all(kind):
            if name == resource.name or (
                resource.arn and (name == resource.arn or name.startswith(f"{resource.arn}:"))
            ):
                return resource
        raise LookupError(f"there is no {kind} {name}")


def deploy(assembly: Assembly, emulated: Emulated, kept_secrets: Path | None = None) -> Deployment:
    """Make every stack of the assembly, in order. Generated secrets stay what they are in `kept_secrets`.

    Raises RuntimeError when moto refuses a stack, or a kept table has other keys than the template says.
    """
    exports: dict[str, Any] = {}
    resources: list[Deployed] = []
    for stack in assembly.stacks:
        scope = _scope(stack, exports)
        _make_tables(stack, scope, emulated)
        _make(stack, scope, emulated)
        _verify_senders(stack, scope, emulated)
        _make_log_groups(stack, scope, emulated)
        for output in stack.template.get("Outputs", {}).values():
            if "Export" in output:
                exports[scope.resolve(output["Export"]["Name"])] = scope.resolve(output["Value"])
        resources += [_deployed(scope, resource) for resource in stack.resources.values() if scope.exists(resource)]
    names = [resource.name for resource in resources if resource.type == "AWS::SecretsManager::Secret"]
    values = _secrets(names, kept_secrets)
    for resource in resources:
        if resource.type == "AWS::SecretsManager::Secret" and "Name" in resource.properties:
            # What a function reads by itself when it starts.
            emulated.client("secretsmanager").create_secret(
                Name=resource.properties["Name"], SecretString=values[resource.name]
            )
    return Deployment(region=assembly.stacks[0].region, resources=tuple(resources), assembly=assembly, secrets=values)


def _secrets(names: Sequence[str], path: Path | None) -> dict[str, str]:
    """Random values: new ones, except for names that the file has one for."""
    kept = json.loads(path.read_text(encoding="utf-8")) if path and path.exists() else {}
    values = {name: kept.get(name) or secrets.token_urlsafe(48) for name in names}
    if path:
        write(path, json.dumps(values, indent=1))
    return values


def _deployed(scope: Scope, resource: Resource) -> Deployed:
    try:
        arn = str(scope.attribute(resource.logical_id, "Arn"))
    except UnresolvedError:
        arn = ""
    return Deployed(
        logical_id=resource.logical_id,
        type=resource.type,
        name=str(scope.reference(resource.logical_id)),
        arn=arn,
        properties=scope.resolve(resource.properties),
        path=resource.path,
    )


def _scope(stack: Stack, exports: Mapping[str, Any]) -> Scope:
    pseudo = {
        "AWS::AccountId": ACCOUNT,
        "AWS::Region": stack.region,
        "AWS::Partition": "aws",
        "AWS::URLSuffix": "amazonaws.com",
        "AWS::StackName": stack.name,
        "AWS::StackId": f"arn:aws:cloudformation:{stack.region}:{ACCOUNT}:stack/{stack.name}/local",
        "AWS::NotificationARNs": [],
    }
    scope = Scope(stack, pseudo, _parameters(stack), exports)
    resources = stack.resources

    def invent(logical_id: str, attribute: str | None) -> Any:
        resource = resources[logical_id]
        if resource.type in MADE_BY_MOTO:
            raise UnresolvedError(f"{logical_id} is not made yet")
        return _name(scope, resource) if attribute is None else _attribute(scope, resource, attribute)

    scope.invent = invent
    return scope


def _parameters(stack: Stack) -> dict[str, Any]:
    """Defaults; a parameter that names a public SSM parameter (an image's id) gets an id that moto takes."""
    values = {}
    for name, parameter in stack.template.get("Parameters", {}).items():
        image = parameter["Type"].startswith("AWS::SSM::Parameter::Value<AWS::EC2::Image")
        values[name] = "ami-0123456789abcdef0" if image else parameter.get("Default", "")
    return values


def _digest(stack: Stack, logical_id: str, length: int) -> str:
    return hashlib.sha256(f"{stack.name}/{logical_id}".encode()).hexdigest()[:length]


def _name(scope: Scope, resource: Resource) -> str:
    """What Ref gives for a resource that only local/ knows, in the shape it has on AWS."""
    digest = _digest(scope.stack, resource.logical_id, 26)
    match resource.type:
        case "AWS::Cognito::UserPool":
            return f"{scope.stack.region}_{digest[:9]}"
        case "AWS::Cognito::UserPoolDomain":
            return str(scope.resolve(resource.properties["Domain"]))
        case "AWS::Cognito::UserPoolGroup":
            return str(scope.resolve(resource.properties["GroupName"]))
        case "AWS::Cognito::UserPoolClient":
            return digest
        case "AWS::ApiGatewayV2::Api":
            return digest[:10]
        case "AWS::CloudFront::Distribution":
            return f"E{digest[:13].upper()}"
        case "AWS::SecretsManager::Secret":
            return _arn(scope, resource, str(scope.resolve(resource.properties.get("Name", resource.logical_id))))
        case "AWS::SES::EmailIdentity":
            return str(scope.resolve(resource.properties["EmailIdentity"]))
        case "AWS::Lambda::Version":
            function = scope.resolve(resource.properties["FunctionName"])
            return f"arn:aws:lambda:{scope.stack.region}:{ACCOUNT}:function:{function}:1"
        case "AWS::S3::Bucket":
            return f"{scope.stack.name}-{resource.logical_id}".lower()
    return f"{scope.stack.name}-{resource.logical_id}"


def _arn(scope: Scope, resource: Resource, name: str) -> str:
    return "arn:aws:" + _ARNS[resource.type].format(region=scope.stack.region, account=ACCOUNT, name=name)


def _attribute(scope: Scope, resource: Resource, attribute: str) -> str:
    name = _name(scope, resource)
    match resource.type, attribute:
        case _, "Arn" | "FunctionARN":
            if resource.type not in _ARNS:
                raise UnresolvedError(f"{resource.type} has no ARN")
            return _arn(scope, resource, name)
        case "AWS::Cognito::UserPool", "ProviderURL":
            return f"https://cognito-idp.{scope.stack.region}.amazonaws.com/{name}"
        case "AWS::CloudFront::Distribution", "DomainName":
            return f"{name.lower()}.cloudfront.net"
        case "AWS::S3::Bucket", "RegionalDomainName":
            return f"{name}.s3.{scope.stack.region}.amazonaws.com"
    return f"{name}-{attribute}"


def _make_tables(stack: Stack, scope: Scope, emulated: Emulated) -> None:
    dynamodb = emulated.client("dynamodb")
    for resource in stack.resources.values():
        if resource.type == "AWS::DynamoDB::Table" and scope.exists(resource):
            name = str(scope.reference(resource.logical_id))
            scope.attributes[resource.logical_id, "StreamArn"] = tables.make(
                dynamodb, name, scope.resolve(resource.properties)
            )


def _verify_senders(stack: Stack, scope: Scope, emulated: Emulated) -> None:
    """From these SES sends; on AWS the domain's DNS proves that it is ours."""
    for resource in stack.resources.values():
        if resource.type == "AWS::SES::EmailIdentity" and scope.exists(resource):
            emulated.client("sesv2").create_email_identity(
                EmailIdentity=scope.resolve(resource.properties["EmailIdentity"])
            )


def _make_log_groups(stack: Stack, scope: Scope, emulated: Emulated) -> None:
    """Functions write to files here; nodes ask CloudWatch themselves."""
    for resource in stack.resources.values():
        if resource.type == "AWS::Logs::LogGroup" and scope.exists(resource):
            emulated.client("logs").create_log_group(logGroupName=str(scope.reference(resource.logical_id)))


def _make(stack: Stack, scope: Scope, emulated: Emulated) -> None:
    """Let moto make its part, and learn from it what the others refer to."""
    mine = {
        name: resource
        for name, resource in stack.resources.items()
        if resource.type in MADE_BY_MOTO and scope.exists(resource)
    }
    if not mine:
        return
    outputs = {
        _output(name, attribute): {"Value": {"Fn::GetAtt": [name, attribute]}}
        for name, attribute in sorted(_attributes_used(stack.template))
        if name in mine
    }
    body = {
        "Resources": {
            name: {"Type": resource.type, "Properties": scope.resolve(resource.properties, partial=True)}
            for name, resource in mine.items()
        },
        "Outputs": outputs,
    }
    formation = emulated.client("cloudformation")
    formation.create_stack(StackName=stack.name, TemplateBody=json.dumps(body))
    made = formation.describe_stacks(StackName=stack.name)["Stacks"][0]
    if made["StackStatus"] != "CREATE_COMPLETE":
        raise RuntimeError(
            f"moto says {made['StackStatus']} of {stack.name}: {made.get('StackStatusReason', 'no reason')}"
        )
    for resource in formation.describe_stack_resources(StackName=stack.name)["StackResources"]:
        scope.refs[resource["LogicalResourceId"]] = resource["PhysicalResourceId"]
    values = {output["OutputKey"]: output["OutputValue"] for output in made.get("Outputs", [])}
    for name, attribute in _attributes_used(stack.template):
        if name in mine:
            scope.attributes[name, attribute] = values[_output(name, attribute)]


def _output(name: str, attribute: str) -> str:
    return hashlib.sha256(f"{name}.{attribute}".encode()).hexdigest()[:32]


def _attributes_used(value: Any) -> set[tuple[str, str]]:
    """All (resource, attribute) pairs that Fn::GetAtt names anywhere in a template."""
    if isinstance(value, list):
        return {pair for item in value for pair in _attributes_used(item)}
    if not isinstance(value, dict):
        return set()
    found = {pair for item in value.values() for pair in _attributes_used(item)}
    argument = value.get("Fn::GetAtt")
    if isinstance(argument, list) and all(isinstance(part, str) for part in argument):
        found.add((argument[0], argument[1]))
    return found
