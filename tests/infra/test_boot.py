"""An instance comes up from the launch template's user data: a whole Debian 13, booted; then two phones talk through it."""

from __future__ import annotations

import contextlib
import json
import math
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from callvoip import build
from callvoip.phones.baresip import Baresip, talk, write_tone
from callvoip.process import base_environment, die_with_parent, listening_socket
from tests.support import machine
from tests.support.infra import Template, user_data
from tests.support.node import (
    REGION,
    Aws,
    Certificates,
    accounts,
    assignment,
    metadata_service,
    wait_until,
)

pytestmark = [pytest.mark.needs("baresip", "systemd-nspawn", "ip"), pytest.mark.timeout(600)]

SIP_DOMAIN = "sip.callvoip.example.nl"
INSTANCE, ACCOUNT = "i-0123456789abcdef0", "123456789012"
ARN = f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/{INSTANCE}"

# Stands in for S3, which has the bundle, and for the Internet, which has nothing else.
_AWS = """#!/bin/sh
for last; do :; done
case $last in *.zip) exec cp /mnt/bundle.zip "$last";; esac
exit 1
"""


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle as a deploy makes it, for this machine's processor."""
    if reason := machine.why_not():
        print(f"\nNOT BOOTED: {reason}", file=sys.__stderr__)
        pytest.skip(f"no machine is booted: {reason}")
    given = tmp_path_factory.mktemp("given")
    patch = pytest.MonkeyPatch()
    patch.setattr(build, "PLATFORM", f"{platform.machine()}-manylinux_2_28")
    build._media_node(given / "bundle")
    patch.undo()
    shutil.make_archive(str(given / "bundle"), "zip", given / "bundle")
    return given


@contextlib.contextmanager
def emulated_aws(host: str, log: Path) -> Iterator[Aws]:
    with listening_socket(host) as listening, log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "callvoip.aws.emulator", "--fd", str(listening.fileno())],
            stdout=output,
            stderr=output,
            env=base_environment(),
            pass_fds=[listening.fileno()],
            preexec_fn=die_with_parent,
        )
        port = listening.getsockname()[1]
    try:
        yield Aws(f"http://{host}:{port}")
    finally:
        process.terminate()
        process.wait(10)


def deploy(aws: Aws, certificates: Certificates, config: str) -> Any:
    """What the node's configuration names: two tables and two parameters. Answers the client of the tables."""
    dynamodb, ssm = aws.client("dynamodb"), aws.client("ssm")
    for table in ("FleetTable", "CdrTable"):
        assert table in config
        dynamodb.create_table(
            TableName=table,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        )
    ssm.put_parameter(Name="/callvoip/sip/certificate", Value=certificates.pem, Type="SecureString")
    ssm.put_parameter(Name="/callvoip/sip/trunk", Value="[]", Type="String")
    return dynamodb


def metadata(address: str) -> dict[str, str]:
    """What the instance's metadata service says."""
    credentials = {
        **{"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": "node", "SecretAccessKey": "local", "Token": "local"},
        **{"LastUpdated": "2026-11-26T00:00:00Z", "Expiration": "2099-11-26T00:00:00Z"},
    }
    return {
        "/latest/meta-data/instance-id": INSTANCE,
        "/latest/meta-data/local-ipv4": address,
        "/latest/meta-data/iam/security-credentials/": "node",
        "/latest/meta-data/iam/security-credentials/node": json.dumps(credentials),
        "/latest/dynamic/instance-identity/document": json.dumps(
            {"instanceId": INSTANCE, "accountId": ACCOUNT, "region": REGION}
        ),
    }


@pytest.mark.parametrize("start", ["from an image", "without one, as for a first try"])
def test_a_phone_registers_and_calls_through_an_instance_that_has_just_booted(
    start: str, request: pytest.FixtureRequest, given: Path, tmp_path: Path
) -> None:
    baked = start == "from an image"
    template: Template = request.getfixturevalue("template_with_image" if baked else "template")
    told = user_data(template, {"Region": REGION, "Fleet": "FleetTable", "Cdr": "CdrTable"})
    assert ("runcmd" in yaml.safe_load(told)) is not baked
    domain = template.sip_domain
    certificates = Certificates.make(tmp_path, domain)
    with contextlib.ExitStack() as stack:
        wire = stack.enter_context(machine.wire())
        aws = stack.enter_context(emulated_aws(wire.here, tmp_path / "aws.log"))
        dynamodb = deploy(aws, certificates, told)
        service = stack.enter_context(metadata_service(metadata(wire.there), wire.here))
        seed = "/var/lib/cloud/seed/nocloud"
        files = {
            f"{seed}/user-data": told,
            f"{seed}/meta-data": f"instance-id: {INSTANCE}\n",
            "/usr/local/bin/aws": _AWS,
            # Where AWS is; on EC2 there is nothing to say.
            "/etc/systemd/system/media-node.service.d/here.conf": (
                f"[Service]\nEnvironment=AWS_ENDPOINT_URL={aws.endpoint} AWS_EC2_METADATA_SERVICE_ENDPOINT={service}\n"
            ),
        }
        booted = stack.enter_context(machine.boot(tmp_path / "machine", wire, given=given, files=files, baked=baked))

        def said(text: str) -> bool:
            assert booted.lives, booted.console
            return text in booted.console

        wait_until(lambda: said('"listening"'), 180, lambda: booted.console[-6000:])
        phones = accounts("abc234")
        from media_node.control.aws import to_item

        item = {"pk": ARN, "sk": "ASSIGNMENT#abc234", **assignment("abc234", phones, domain=domain)}
        dynamodb.put_item(TableName="FleetTable", Item=to_item(item))
        wait_until(lambda: said('"assignments loaded"'), 60, lambda: booted.console[-6000:])
        tone = tmp_path / "tone.wav"
        write_tone(tone, [round(8000 * math.sin(2 * math.pi * 440 * n / 8000)) for n in range(8000 * 60)])
        handsets = [
            stack.enter_context(
                Baresip(
                    tmp_path / phone.username,
                    account=(
                        f"<sip:{phone.username}@{domain};transport=tls>;auth_pass={phone.password};regint=60;"
                        f'outbound="sip:{wire.there}:5061;transport=tls";mediaenc=srtp-mand;audio_codecs=pcma;answermode=auto'
                    ),
                    microphone=tone,
                    ca_file=certificates.ca_file,
                    host=wire.here,
                )
            )
            for phone in phones
        ]
        for handset in handsets:
            handset.wait_for("REGISTER_OK", timeout=60)
        handsets[0].command("dial", "102")
        talk(handsets[0], handsets[1])
        for handset in handsets:
            assert all(count > 100 for count in handset.packets()), handset.text()
        # The environment's own proof call went through it, too, and the unit is as hardened as its file says.
        wait_until(lambda: said('"event": "probe"'), 60, lambda: booted.console[-6000:])
