"""A synthesised template and what tests ask of it."""

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Template:
    """A synthesised template and what tests ask of it."""

    body: dict[str, Any]
    directory: Path

    def resources(self, kind: str) -> dict[str, dict[str, Any]]:
        """Properties of all resources of a type, by logical id."""
        return {
            name: entry.get("Properties", {}) for name, entry in self.body["Resources"].items() if entry["Type"] == kind
        }

    def statements(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """(logical id, statement) of every identity policy."""
        for name, policy in self.resources("AWS::IAM::Policy").items():
            for statement in policy["PolicyDocument"]["Statement"]:
                yield name, statement


def listed(value: Any) -> list[Any]:
    """IAM writes a list of one without brackets."""
    return value if isinstance(value, list) else [value]


Synthesise = Callable[..., subprocess.CompletedProcess[str]]
