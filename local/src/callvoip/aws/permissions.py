"""IAM's decision: whether the policies of a role allow a request. Identity policies only; nothing else gives rights
here.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Context = Mapping[str, Sequence[str]]
Statement = Mapping[str, Any]


@dataclass(frozen=True)
class Asked:
    """One thing that a request wants to do. `context` holds its condition keys, each with its values."""

    action: str
    resource: str
    context: Context = field(default_factory=dict)


@dataclass(frozen=True)
class Principal:
    """Who asks: the statements of its role, and the condition keys that come with its credentials."""

    name: str
    statements: tuple[Statement, ...]
    context: Context = field(default_factory=dict)

    def may(self, asked: Asked) -> bool:
        """Whether some statement allows it and none denies it."""
        context = {**self.context, **asked.context}
        effects = {statement["Effect"] for statement in self.statements if _applies(statement, asked, context)}
        return effects == {"Allow"}


def _applies(statement: Statement, asked: Asked, context: Context) -> bool:
    return (
        any(_like(asked.action.lower(), pattern.lower()) for pattern in _listed(statement["Action"]))
        and any(_like(asked.resource, _filled(pattern, context)) for pattern in _listed(statement["Resource"]))
        and all(
            _holds(operator, [_filled(str(value), context) for value in _listed(values)], context.get(key))
            for operator, conditions in statement.get("Condition", {}).items()
            for key, values in conditions.items()
        )
    )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _like(value: str, pattern: str) -> bool:
    """IAM's wildcards are * and ? only."""
    return fnmatch.fnmatchcase(value, pattern.replace("[", "[[]"))


def _filled(text: str, context: Context) -> str:
    """Policy variables (`${ec2:SourceInstanceARN}`) with their values; one without a value matches nothing."""
    return re.sub(r"\$\{([^}]+)\}", lambda match: (context.get(match[1]) or ("\0",))[0], text)


_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda value, wanted: value == wanted,
    "StringLike": _like,
    "ArnEquals": _like,
    "ArnLike": _like,
    "Bool": lambda value, wanted: value.lower() == wanted.lower(),
}


def _holds(operator: str, wanted: Sequence[str], values: Sequence[str] | None) -> bool:
    """One condition. A key that the request has not: `IfExists` and `ForAllValues` hold, all others do not."""
    quantifier, _, name = operator.rpartition(":")
    optional = name.endswith("IfExists")
    name = name.removesuffix("IfExists")
    if name not in _OPERATORS:
        raise NotImplementedError(
            f"the condition operator {operator!r} is not known to local/; add it to callvoip.aws.permissions"
        )
    if not values:
        return optional or quantifier == "ForAllValues"
    met = [any(_OPERATORS[name](value, one) for one in wanted) for value in values]
    return any(met) if quantifier == "ForAnyValue" else all(met)
