"""A synthesised template and what tests ask of it."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from callvoip.paths import ROOT


@dataclass(frozen=True)
class Template:
    """A synthesised template and what tests ask of it."""

    body: dict[str, Any]
    directory: Path
    root: Path

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


def write_routes(path: Path) -> None:
    """Write what the build writes of the handlers' routes."""
    subprocess.run([sys.executable, "-m", "shared.routes", str(path)], cwd=ROOT / "functions/src", check=True)


Synthesise = Callable[..., subprocess.CompletedProcess[str]]
