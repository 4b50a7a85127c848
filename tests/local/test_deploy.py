"""What `./dev deploy` says before it touches anything."""

import pytest

from callvoip.commands import deploy


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
