"""The nodes' user data: understood by cloud-init and by the node. tests/infra/test_boot.py boots from it."""

import tomllib
from typing import Any

import pytest
import yaml

from media_node.config import Config
from tests.support.infra import user_data


@pytest.fixture
def cloud_config(template) -> dict[str, Any]:
    """The user data as an instance gets it; what only CloudFormation knows is called `x`."""
    text = user_data(template, {})
    assert text.startswith("#cloud-config\n")
    return dict(yaml.safe_load(text))


def test_it_has_keys_of_cloud_init_only(cloud_config):
    # cloud-init's own check lets unknown keys pass without a word.
    assert set(cloud_config) == {"package_update", "packages", "write_files", "runcmd"}


def test_its_configuration_is_one_that_the_node_takes(cloud_config):
    [file] = cloud_config["write_files"]
    config = Config.parse(tomllib.loads(file["content"]))
    assert (config.port, config.srtp_port, config.rtp_ports) == (5061, 20000, (21000, 22999))
    assert (config.region, config.fleet_table, config.cdr_table) == ("x", "x", "x")


def test_with_an_image_it_writes_names_and_nothing_else(template, template_with_image):
    baked = dict(yaml.safe_load(user_data(template_with_image, {})))
    assert set(baked) == {"write_files"}
    assert baked["write_files"] == yaml.safe_load(user_data(template, {}))["write_files"]
