"""The infrastructure synthesised once a session, with a stand-in for what the build makes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from callvoip.commands import image
from callvoip.paths import NODE, ROOT
from tests.support.infra import AMI, Synthesise, Template, write_routes


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where infra's app runs in the tests."""
    return tmp_path_factory.mktemp("checkout")


@pytest.fixture(scope="session")
def synthesise(processes: None, checkout: Path) -> Synthesise:
    """Runs infra's app in a checkout of its own: only what the app reads, with next to nothing to upload."""
    root = checkout
    for name in ("functions", "layer", "media-node", "site"):
        directory = root / "build" / name
        directory.mkdir(parents=True)
        (directory / "index.html").write_text(name)
    routes_file = root / "build" / "functions" / "routes.json"
    write_routes(routes_file)
    ours = routes_file.read_text()
    (root / "site" / "data").mkdir(parents=True)
    (root / "site" / "data" / "retention.toml").write_bytes((ROOT / "site/data/retention.toml").read_bytes())
    brand = (ROOT / "site/data/brand.toml").read_text()
    environment = {**os.environ, "CALLVOIP_ROOT": str(root), "PATH": f"{NODE.parent}:{os.environ['PATH']}"}
    for name in [name for name in environment if name.startswith("AWS_")]:
        del environment[name]

    def run(
        output: Path,
        *arguments: str,
        operations: str = "",
        routes: dict[str, Any] | None = None,
        stage: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        routes_file.write_text(ours if routes is None else json.dumps(routes))
        (root / "site" / "data" / "brand.toml").write_text(f"{brand}\n{operations}")
        command = [sys.executable, "-m", "infra.app", str(output), *arguments]
        try:
            wanted = environment | ({"CALLVOIP_STAGE": str(stage)} if stage else {})
            return subprocess.run(command, env=wanted, capture_output=True, text=True, check=False)
        finally:
            routes_file.write_text(ours)

    return run


@pytest.fixture(scope="session")
def template_with_image(synthesise: Synthesise, checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Template:
    """The template of a stage that names an image, and is so large that its fleet is looked at in parts."""
    stage = tmp_path_factory.mktemp("stage") / "stage.toml"
    large = image.STAGE.read_text().replace("look_parts = 1\n", "look_parts = 8\n")
    stage.write_text(image.changed(large, {"ami": AMI}))
    output = tmp_path_factory.mktemp("cdk.out")
    done = synthesise(output, stage=stage)
    assert done.returncode == 0, done.stderr
    return Template(json.loads((output / "Callvoip.template.json").read_text()), output, checkout)


@pytest.fixture(scope="session")
def template(synthesise: Synthesise, checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Template:
    """The template as `./dev synth` makes it; a finding of cdk-nag that nobody acknowledged fails every test here."""
    output = tmp_path_factory.mktemp("cdk.out")
    done = synthesise(output)
    if done.returncode:
        pytest.fail(f"synthesis failed:\n{done.stdout}{done.stderr}", pytrace=False)
    return Template(json.loads((output / "Callvoip.template.json").read_text()), output, checkout)
