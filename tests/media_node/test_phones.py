"""baresip, a phone we did not write, through a real node: the page's two examples."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.media_node.baresip import Baresip, write_tone
from tests.media_node.conftest import DOMAIN, NodeFactory, NodeUnderTest, TestAccount, accounts, wait_until

pytestmark = pytest.mark.needs("baresip")
Handset = Callable[..., Baresip]


@pytest.fixture(scope="session")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("audio") / "tone.wav"
    write_tone(path, [round(8000 * math.sin(2 * math.pi * 440 * n / 8000)) for n in range(8000 * 60)])
    return path


@pytest.fixture
def handset(microphone: Path, tmp_path: Path) -> Iterator[Handset]:
    """Makes desk phones: a baresip with an account on the node, encrypted or as `media` says."""
    phones: list[Baresip] = []

    def make(node: NodeUnderTest, account: TestAccount, media: str = "mediaenc=srtp-mand;", password: str | None = None) -> Baresip:
        line = (
            f"<sip:{account.username}@{DOMAIN};transport=tls>;auth_user={account.username};auth_pass={password or account.password};"
            f'outbound="sip:{node.address}:5061;transport=tls";regint=60;{media}audio_codecs=pcma,pcmu;answermode=auto'
        )
        phone = Baresip(tmp_path / f"baresip{len(phones)}", account=line, microphone=microphone, ca_file=node.certificates.ca_file)
        phones.append(phone)
        return phone

    yield make
    for phone in phones:
        phone.__exit__(None, None, None)


def talk(caller: Baresip, other: Baresip, seconds: float = 3) -> None:
    """Lets an established call run and ends it from the caller's side."""
    caller.wait_for("CALL_ESTABLISHED")
    other.wait_for("CALL_ESTABLISHED")
    time.sleep(seconds)
    caller.command("hangup")
    other.wait_for("CALL_CLOSED")


def test_colleague_to_colleague_both_legs_are_encrypted(new_node: NodeFactory, handset: Handset) -> None:
    node = new_node()
    phones = accounts("abc234")
    node.assign("abc234", phones)
    caller, callee = handset(node, phones[0]), handset(node, phones[1])
    caller.wait_for("REGISTER_OK")
    callee.wait_for("REGISTER_OK")
    caller.command("dial", "102")
    talk(caller, callee)
    for phone in (caller, callee):
        assert all(count > 100 for count in phone.packets()), phone.text()
    record = wait_until(lambda: node.records("abc234"))[0]
    assert [leg["suite"] for leg in record["legs"]] == ["AES_CM_128_HMAC_SHA1_80"] * 2
    assert record["from"] == "***"
    assert record["to"] == "***"
    assert record["reason"] == "completed"


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_phone_to_another_provider_is_encrypted_as_far_as_the_exchange(
    new_node: NodeFactory, handset: Handset, microphone: Path, tmp_path: Path, transport: str
) -> None:
    number = "+31201234567"
    account = f"<sip:{number}@127.0.0.1;transport={transport}>;regint=0;audio_codecs=pcma;answermode=auto"
    with Baresip(tmp_path / "trunk", account=account, microphone=microphone) as trunk:
        node = new_node(trunk={"host": "127.0.0.1", "port": trunk.sip_port, "transport": transport})
        phones = accounts("abc234", 1)
        node.assign("abc234", phones)
        caller = handset(node, phones[0])
        caller.wait_for("REGISTER_OK")
        caller.command("dial", number)
        talk(caller, trunk)
        for phone in (caller, trunk):
            assert all(count > 100 for count in phone.packets()), phone.text()
        record = wait_until(lambda: node.records("abc234"))[0]
        assert [leg["suite"] for leg in record["legs"]] == ["AES_CM_128_HMAC_SHA1_80", "none"]
        assert record["to"] == "+31201234***"
