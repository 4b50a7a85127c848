"""Reads what CDK synthesised, and resolves CloudFormation's intrinsic functions against what was deployed.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_VARIABLE = re.compile(r"\$\{([^}]*)\}")


class UnresolvedError(LookupError):
    """A reference to something that is not (yet) known."""


@dataclass(frozen=True)
class Resource:
    """One resource of a template. `properties` are as written (intrinsics and all) until a `Scope` resolved them."""

    logical_id: str
    type: str
    properties: Mapping[str, Any]
    path: str = ""
    depends_on: tuple[str, ...] = ()
    condition: str | None = None


@dataclass(frozen=True)
class Stack:
    """A synthesised template, where it goes, and the stacks that must be there before it."""

    name: str
    region: str
    template: Mapping[str, Any]
    depends_on: tuple[str, ...] = ()

    @property
    def resources(self) -> dict[str, Resource]:
        """All resources by logical id, conditional ones included."""
        return {
            logical_id: Resource(
                logical_id=logical_id,
                type=body["Type"],
                properties=body.get("Properties", {}),
                path=body.get("Metadata", {}).get("aws:cdk:path", ""),
                depends_on=tuple(_listed(body.get("DependsOn", []))),
                condition=body.get("Condition"),
            )
            for logical_id, body in self.template["Resources"].items()
        }


@dataclass(frozen=True)
class Assembly:
    """A cloud assembly (cdk.out): stacks in the order they deploy in, and the directory or file behind each asset's
    hash.
    """

    stacks: tuple[Stack, ...]
    assets: Mapping[str, Path]

    def asset(self, object_key: str) -> Path:
        """The directory or file that would be uploaded as `object_key` (hash.zip).

        Raises KeyError for an unknown one.
        """
        return self.assets[object_key.partition(".")[0]]


def load(directory: Path) -> Assembly:
    """Read a cloud assembly. Raises OSError, ValueError or KeyError when there is none."""
    manifest = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
    stacks: dict[str, Stack] = {}
    assets: dict[str, Path] = {}
    for name, artifact in manifest["artifacts"].items():
        properties = artifact.get("properties", {})
        if artifact["type"] == "aws:cloudformation:stack":
            stacks[name] = Stack(
                name=properties.get("stackName", name),
                region=artifact["environment"].rsplit("/", 1)[1],
                template=json.loads((directory / properties["templateFile"]).read_text(encoding="utf-8")),
                depends_on=tuple(artifact.get("dependencies", [])),
            )
        elif artifact["type"] == "cdk:asset-manifest":
            listed = json.loads((directory / properties["file"]).read_text(encoding="utf-8"))
            assets |= {digest: directory / entry["source"]["path"] for digest, entry in listed["files"].items()}
    return Assembly(stacks=tuple(_in_order(stacks)), assets=assets)


def _in_order(stacks: dict[str, Stack]) -> list[Stack]:
    ordered: list[Stack] = []

    def visit(stack: Stack) -> None:
        for name in stack.depends_on:
            if name in stacks:
                visit(stacks[name])
        if stack not in ordered:
            ordered.append(stack)

    for stack in stacks.values():
        visit(stack)
    return ordered


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


@dataclass
class Scope:
    """What the references of one stack mean.

    `refs` and `attributes` grow as resources are created; `invent` is asked for what they do not hold and may raise
    UnresolvedError. With `partial` a reference that cannot be resolved stays as it is, and so does what it stands in.
    """

    stack: Stack
    pseudo: Mapping[str, Any]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    exports: Mapping[str, Any] = field(default_factory=dict)
    refs: dict[str, Any] = field(default_factory=dict)
    attributes: dict[tuple[str, str], Any] = field(default_factory=dict)
    invent: Callable[[str, str | None], Any] | None = None

    def resolve(self, value: Any, *, partial: bool = False) -> Any:
        """`value` with every intrinsic function replaced. Raises UnresolvedError unless `partial`."""
        if isinstance(value, list):
            return [item for item in (self.resolve(item, partial=partial) for item in value) if item is not _NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            [(name, argument)] = value.items()
            if name == "Ref" or name.startswith("Fn::") or (name == "Condition" and isinstance(argument, str)):
                try:
                    return self._call(name, argument)
                except UnresolvedError:
                    if not partial:
                        raise
                    return {name: self.resolve(argument, partial=True)}
        resolved = {key: self.resolve(item, partial=partial) for key, item in value.items()}
        return {key: item for key, item in resolved.items() if item is not _NO_VALUE}

    def exists(self, resource: Resource) -> bool:
        """Whether the resource's condition holds, or it has none."""
        return resource.condition is None or self._condition(resource.condition)

    def reference(self, name: str) -> Any:
        """What `Ref` gives for a pseudo parameter, a parameter or a resource."""
        if name == "AWS::NoValue":
            return _NO_VALUE
        for known in (self.pseudo, self.parameters, self.refs):
            if name in known:
                return known[name]
        if name in self.stack.template["Resources"] and self.invent:
            return self.invent(name, None)
        raise UnresolvedError(f"{self.stack.name}: no value for {name}")

    def attribute(self, name: str, attribute: str) -> Any:
        """What `Fn::GetAtt` gives."""
        if (name, attribute) in self.attributes:
            return self.attributes[name, attribute]
        if name in self.stack.template["Resources"] and self.invent:
            return self.invent(name, attribute)
        raise UnresolvedError(f"{self.stack.name}: no value for {name}.{attribute}")

    def _call(self, name: str, argument: Any) -> Any:
        match name:
            case "Ref":
                return self.reference(argument)
            case "Fn::GetAtt":
                resource, attribute = argument.split(".", 1) if isinstance(argument, str) else argument
                return self.attribute(resource, self.resolve(attribute))
            case "Fn::Sub":
                return self._sub(argument)
            case "Fn::If":
                condition, then, otherwise = argument
                return self.resolve(then if self._condition(condition) else otherwise)
            case "Condition":
                return self._condition(argument)
            case "Fn::FindInMap":
                table, first, second = self.resolve(argument)[:3]
                return self._found(self.stack.template.get("Mappings", {}), table, first, second)
            case "Fn::ImportValue":
                return self._found(self.exports, self.resolve(argument))
        return _compute(name, self.resolve(argument), region=str(self.pseudo["AWS::Region"]))

    def _sub(self, argument: Any) -> str:
        text, variables = argument if isinstance(argument, list) else (argument, {})

        def substitute(match: re.Match[str]) -> str:
            name = match[1].strip()
            if name.startswith("!"):
                return "${" + name[1:] + "}"
            if name in variables:
                return str(self.resolve(variables[name]))
            resource, _, attribute = name.partition(".")
            return str(self.attribute(resource, attribute) if attribute else self.reference(name))

        return _VARIABLE.sub(substitute, text)

    def _condition(self, name: str) -> bool:
        conditions = self.stack.template.get("Conditions", {})
        if name not in conditions:
            raise UnresolvedError(f"{self.stack.name}: there is no condition {name}")
        return bool(self.resolve(conditions[name]))

    def _found(self, table: Any, *keys: str) -> Any:
        for key in keys:
            if key not in table:
                raise UnresolvedError(f"{self.stack.name}: nothing under {'/'.join(keys)}")
            table = table[key]
        return table


class _NoValue:
    """AWS::NoValue: the property it stands for is left out."""


_NO_VALUE = _NoValue()


def _compute(name: str, argument: Any, *, region: str) -> Any:
    """The intrinsic functions of resolved arguments only."""
    match name:
        case "Fn::Join":
            separator, parts = argument
            return separator.join(str(part) for part in parts)
        case "Fn::Select":
            index, parts = argument
            return parts[int(index)]
        case "Fn::Split":
            separator, text = argument
            return text.split(separator)
        case "Fn::Base64":
            return base64.b64encode(argument.encode()).decode()
        case "Fn::GetAZs":
            return [f"{argument or region}{zone}" for zone in "abc"]
        case "Fn::Length":
            return len(argument)
        case "Fn::ToJsonString":
            return json.dumps(argument)
        case "Fn::Equals":
            return argument[0] == argument[1]
        case "Fn::Not":
            return not argument[0]
        case "Fn::And":
            return all(argument)
        case "Fn::Or":
            return any(argument)
    raise NotImplementedError(f"{name} is not known to local/; add it to callvoip.aws.template")
