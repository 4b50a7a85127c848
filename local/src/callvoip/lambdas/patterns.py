"""Event patterns of EventBridge and of Lambda's event filters: which events they let through.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

_ABSENT = object()
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def matches(pattern: Mapping[str, Any], event: Any) -> bool:
    """Whether every field of `pattern` is met by `event`. Raises NotImplementedError for an operator not known here."""
    for name, wanted in pattern.items():
        if name == "$or":
            if not any(matches(alternative, event) for alternative in wanted):
                return False
            continue
        value = event.get(name, _ABSENT) if isinstance(event, Mapping) else _ABSENT
        if isinstance(wanted, Mapping):
            if not matches(wanted, value):
                return False
        elif not any(_meets(rule, value) for rule in wanted):
            return False
    return True


def _meets(rule: Any, value: Any) -> bool:
    """One rule of a field's list against its value; a list as value meets it with any of its items."""
    if isinstance(rule, Mapping) and "exists" in rule:
        # Only leaves exist: an object is not a value.
        return bool(rule["exists"]) == (value is not _ABSENT and not isinstance(value, Mapping))
    if value is _ABSENT or isinstance(value, Mapping):
        return False
    if isinstance(value, list):
        return any(_meets(rule, item) for item in value)
    if not isinstance(rule, Mapping):
        return _same(rule, value)
    [(name, argument)] = rule.items()
    match name:
        case "anything-but":
            if isinstance(argument, Mapping):
                return not _meets(argument, value)
            return not any(_same(item, value) for item in (argument if isinstance(argument, list) else [argument]))
        case "prefix":
            return isinstance(value, str) and value.startswith(argument)
        case "suffix":
            return isinstance(value, str) and value.endswith(argument)
        case "equals-ignore-case":
            return isinstance(value, str) and value.lower() == argument.lower()
        case "numeric":
            if isinstance(value, bool) or not isinstance(value, int | float):
                return False
            pairs = zip(argument[::2], argument[1::2], strict=True)
            return all(bool(_COMPARE[comparison](value, bound)) for comparison, bound in pairs)
    raise NotImplementedError(
        f"the pattern operator {name!r} is not known to local/; add it to callvoip.lambdas.patterns"
    )


def _same(wanted: Any, value: Any) -> bool:
    # In JSON true is not 1.
    return bool(wanted == value) and isinstance(wanted, bool) == isinstance(value, bool)
