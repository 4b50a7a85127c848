"""What the tests of the local system share: an emulated AWS, and deployments made by hand."""

import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from callvoip.aws.deployment import Deployed, Deployment
from callvoip.aws.endpoint import Emulated
from callvoip.aws.template import Assembly
from callvoip.process import Child, base_environment, listening_socket

REGION = "eu-central-1"


@pytest.fixture
async def emulated(processes: None, tmp_path: Path) -> AsyncIterator[Emulated]:
    """The emulated AWS as `./dev up` starts it."""
    with listening_socket() as listening:
        port, descriptor = listening.getsockname()[1], listening.fileno()
        command = [sys.executable, "-m", "callvoip.aws.emulator", "--fd", str(descriptor)]
        child = await Child.start(command, log=tmp_path / "aws.log", env=base_environment(), pass_fds=[descriptor])
    yield Emulated(f"http://127.0.0.1:{port}", REGION)
    await child.stop()


@pytest.fixture
def deployment() -> Callable[..., Deployment]:
    """Makes a deployment of (type, name, properties) with functions' code in directories."""

    def make(*resources: tuple[str, str, dict[str, Any]], assets: dict[str, Path] | None = None) -> Deployment:
        made = [
            Deployed(
                name,
                kind,
                name,
                arn=f"arn:aws:x:{REGION}:123456789012:{name}",
                properties=properties,
                path=f"S/{name}/R",
            )
            for kind, name, properties in resources
        ]
        return Deployment(region=REGION, resources=tuple(made), assembly=Assembly((), assets or {}))

    return make
