"""What `./dev deploy` says before it touches anything."""

import io
import subprocess
from types import SimpleNamespace

import pytest

from callvoip.aws import template
from callvoip.commands import deploy, synth


@pytest.fixture(autouse=True)
def nobody_is_signed_in(monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("HOME", str(tmp_path))


def test_without_credentials_it_says_how_to_get_them(capsys):
    assert deploy._account("eu-central-1") is None
    said = capsys.readouterr().err
    assert "no AWS credentials" in said
    assert "AWS_PROFILE=" in said
    assert "Traceback" not in said


def test_with_credentials_that_aws_refuses_it_says_so(capsys, monkeypatch, emulated):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "y")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert deploy._account("eu-central-1") is None
    assert "AWS does not accept the credentials" in capsys.readouterr().err


def test_with_good_credentials_it_knows_the_account(monkeypatch, emulated):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "y")
    monkeypatch.setenv("AWS_ENDPOINT_URL", emulated.endpoint)
    assert deploy._account("eu-central-1") == "123456789012"


@pytest.fixture
def run(monkeypatch):
    """What `./dev deploy` hands to synth and to CDK, with credentials that are good."""
    seen: dict[str, list[str]] = {}
    monkeypatch.setattr(synth, "main", lambda arguments: (seen.setdefault("synth", arguments) and 0) or 0)
    monkeypatch.setattr(deploy, "_account", lambda region: "123456789012")
    monkeypatch.setattr(template, "load", lambda path: SimpleNamespace(stacks=[SimpleNamespace(region="r")]))

    def cdk(command, **_):
        seen["cdk"] = command
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", cdk)
    return seen


def test_an_unattended_deploy_asks_nobody(run):
    assert deploy.main(["--require-approval", "never", "--region", "eu-west-1"]) == 0
    assert run["synth"] == ["--region", "eu-west-1"]
    assert run["cdk"][-2:] == ["--require-approval", "never"]


def test_without_a_terminal_it_says_how_to_deploy_and_does_nothing(run, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert deploy.main([]) == 2
    assert "./dev deploy --require-approval never" in capsys.readouterr().err
    assert run == {}


def test_an_approval_that_cdk_does_not_know_is_refused_at_once(run, capsys):
    with pytest.raises(SystemExit):
        deploy.main(["--require-approval", "sometimes"])
    assert "any-change" in capsys.readouterr().err and run == {}
