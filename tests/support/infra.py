"""A synthesised template and what tests ask of it."""

import json
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from callvoip.paths import ROOT

AMI = "ami-0123456789abcdef0"
"""The image that a stage of the tests names."""


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

    @property
    def sip_domain(self) -> str:
        """Of the provider that it was made for."""
        brand = tomllib.loads((self.root / "site" / "data" / "brand.toml").read_text(encoding="utf-8"))
        return str(brand["sip_domain"])


def user_data(template: Template, names: Mapping[str, str]) -> str:
    """The nodes' user data as an instance gets it; what only CloudFormation knows is called as `names` says, by a part
    of its logical id, or else `x`.
    """
    [launch_template] = template.resources("AWS::EC2::LaunchTemplate").values()
    encoded = launch_template["LaunchTemplateData"]["UserData"]["Fn::Base64"]
    parts = [encoded] if isinstance(encoded, str) else encoded["Fn::Join"][1]
    return "".join(
        part if isinstance(part, str) else next((name for of, name in names.items() if of in json.dumps(part)), "x")
        for part in parts
    )


def listed(value: Any) -> list[Any]:
    """IAM writes a list of one without brackets."""
    return value if isinstance(value, list) else [value]


def write_routes(path: Path) -> None:
    """Write what the build writes of the handlers' routes."""
    subprocess.run([sys.executable, "-m", "shared.routes", str(path)], cwd=ROOT / "functions/src", check=True)


Synthesise = Callable[..., subprocess.CompletedProcess[str]]
