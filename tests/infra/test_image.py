"""The image that nodes boot from: what it is baked from is pinned, and a stage that names one boots from it alone."""

import tomllib
from pathlib import Path
from typing import Any

import hcl2
import pytest

from callvoip import build
from callvoip.commands import image
from callvoip.paths import ROOT
from tests.support.infra import AMI, Template, listed, user_data

IMAGE = {"base": "ami-0aaaaaaaaaaaaaaaa", "day": "20261126T000000Z", "ssm_agent": "3.3.808.0", "ami": "", "bundle": ""}


@pytest.fixture(scope="module")
def definition() -> Any:
    with (image.DEFINITION / "media-node.pkr.hcl").open() as file:
        return hcl2.load(file)


def _unquoted(value: Any) -> Any:
    """The parser leaves quotation marks as they are written."""
    match value:
        case str():
            return value.strip('"')
        case dict():
            return {_unquoted(key): _unquoted(inner) for key, inner in value.items()}
        case list():
            return [_unquoted(inner) for inner in value]
    return value


def test_it_is_baked_from_named_inputs_only(definition):
    [source] = _unquoted(definition["source"])
    settings = source["amazon-ebs"]["media-node"]
    assert settings["source_ami"] == "${var.base}"
    assert "source_ami_filter" not in settings, "nothing is looked up"
    [packer] = _unquoted(definition["packer"])
    [plugins] = packer["required_plugins"]
    assert plugins["amazon"]["version"].startswith("= ")
    assert settings["encrypt_boot"] is True
    assert settings["imds_support"] == "v2.0"


def test_the_node_is_put_on_it_by_the_script_that_installs_it_without_an_image(definition):
    [built] = _unquoted(definition["build"])
    steps = [provisioner["shell"] for provisioner in built["provisioner"] if "shell" in provisioner]
    assert any("boot/bake.sh $DAY" in line for line in steps[0]["inline"])
    assert "install.sh" in (ROOT / "media-node/boot/bake.sh").read_text()


def test_it_is_given_every_value_that_it_asks_for(definition):
    asked = {name for variable in _unquoted(definition["variable"]) for name in variable}
    given = image.variables(
        IMAGE, region="eu-central-1", release="0" * 64, bundle=Path("bundle.tar"), manifest=Path("image.json")
    )
    assert given.keys() == asked


def test_what_is_baked_is_written_into_the_stage_and_nothing_else_changes():
    before = image.STAGE.read_text()
    after = image.changed(before, {"ami": AMI, "day": "20261126T000000Z"})
    assert tomllib.loads(after)["image"] == tomllib.loads(before)["image"] | {"ami": AMI, "day": "20261126T000000Z"}
    assert [line for line in after.splitlines() if not line.startswith(("ami", "day"))] == [
        line for line in before.splitlines() if not line.startswith(("ami", "day"))
    ]
    with pytest.raises(ValueError, match="kernel"):
        image.changed(before, {"kernel": "6.12"})


@pytest.mark.parametrize("missing", ["base", "day", "ssm_agent"])
def test_nothing_is_baked_from_what_is_not_pinned(missing, monkeypatch, capsys):
    monkeypatch.setattr(image, "settings", lambda: IMAGE | {missing: ""})
    assert image.main(["bake"]) == 1
    assert f"{missing} under [image]" in capsys.readouterr().err


def test_whoever_deploys_with_an_image_of_another_bundle_is_told(monkeypatch):
    [node] = [step for step in build.deploy_steps() if step.name == "media-node"]
    monkeypatch.setattr(image, "settings", lambda: IMAGE | {"ami": AMI, "bundle": node.digest()})
    assert image.stale() == ""
    monkeypatch.setattr(image, "settings", lambda: IMAGE | {"ami": AMI, "bundle": "another"})
    assert AMI in image.stale()
    monkeypatch.setattr(image, "settings", lambda: IMAGE)
    assert image.stale() == "", "without an image every boot takes the bundle"


def test_a_stage_that_names_an_image_boots_from_it_and_reads_no_bundle(template, template_with_image):
    [with_image] = template_with_image.resources("AWS::EC2::LaunchTemplate").values()
    assert with_image["LaunchTemplateData"]["ImageId"] == AMI
    assert "runcmd" not in user_data(template_with_image, {})

    def reads_bundle(of: Template) -> bool:
        return any(
            "s3:GetObject" in listed(statement["Action"])
            for name, statement in of.statements()
            if name.startswith("NodesRole")
        )

    assert reads_bundle(template)
    assert not reads_bundle(template_with_image)

    def release(of: Template) -> str:
        [reconciler] = [
            function
            for function in of.resources("AWS::Lambda::Function").values()
            if function["Handler"] == "fleet.reconciler.handler"
        ]
        return str(reconciler["Environment"]["Variables"]["NODE_RELEASE"])

    assert release(template) != release(template_with_image), "another image is another release: the fleet rolls to it"


def test_a_large_fleet_is_looked_at_by_a_run_for_each_part(template, template_with_image):
    def told(of: Template, event: str) -> list[str]:
        rules = [rule for rule in of.resources("AWS::Events::Rule").values() if event in str(rule)]
        return sorted(target.get("Input", "") for rule in rules for target in rule["Targets"])

    for event in ("rate(1 minute)", "EC2 Instance State-change Notification"):
        assert told(template, event) == [""]
        assert told(template_with_image, event) == [f'{{"part":{number},"of":8}}' for number in range(8)]
