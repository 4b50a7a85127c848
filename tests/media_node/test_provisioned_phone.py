"""linphone sets itself up from what a provisioning address gives, and calls a colleague: encrypted, over TLS with the name checked."""

from __future__ import annotations

import http.server
import math
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from callvoip.phones.baresip import Baresip, write_tone
from callvoip.phones.linphone import Linphone
from customers.phone_templates import PhoneSettings, render
from customers.provisioning import Make
from tests.support.node import DOMAIN, NodeFactory, accounts, wait_until

pytestmark = [pytest.mark.needs("baresip"), pytest.mark.needs("linphone-daemon")]


@contextmanager
def served(content: str) -> Iterator[tuple[str, list[str]]]:
    """The address of a file, and the paths that were asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = content.encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/xml; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/instellen/abc234-101/secret/linphone.xml?code=12345678", asked
    finally:
        server.shutdown()


@pytest.mark.feature("call", clients=("linphone",))
def test_linphone_sets_itself_up_and_its_call_is_encrypted(new_node: NodeFactory, tmp_path: Path) -> None:
    microphone = tmp_path / "tone.wav"
    write_tone(microphone, [round(8000 * math.sin(2 * math.pi * 440 * n / 8000)) for n in range(8000 * 60)])
    node = new_node()
    caller, callee = accounts("abc234")
    node.assign("abc234", [caller, callee])
    settings = PhoneSettings(
        extension=int(caller.extension),
        username=caller.username,
        password=caller.password,
        domain=DOMAIN,
        server=DOMAIN,  # the name that the node's certificate holds
        label="Balie",
        encrypted=True,
    )
    line = (
        f"<sip:{callee.username}@{DOMAIN};transport=tls>;auth_user={callee.username};auth_pass={callee.password};"
        f'outbound="sip:{node.address}:5061;transport=tls";regint=60;mediaenc=srtp-mand;audio_codecs=pcma,pcmu;answermode=auto'
    )
    ca_file = node.certificates.ca_file
    with (
        served(render(Make.LINPHONE, settings).content) as (address, asked),
        Baresip(tmp_path / "baresip", account=line, microphone=microphone, ca_file=ca_file) as colleague,
        Linphone(tmp_path / "linphone", provisioning=address, ca_file=ca_file, hosts={DOMAIN: node.address}) as phone,
    ):
        colleague.wait_for("REGISTER_OK")
        # The daemon's own commands know only accounts that they made themselves: the log tells.
        wait_until(lambda: "to [LinphoneRegistrationOk]" in phone.text(), 40, phone.text)
        assert asked and asked[0].endswith("linphone.xml?code=12345678")
        phone.command(f"call sip:{callee.extension}@{DOMAIN}")
        wait_until(lambda: "LinphoneCallStreamsRunning" in phone.command("call-status"), 30, phone.text)
        phone.command(f"incall-player-start {microphone}")
        wait_until(lambda: len(re.findall(r"audio=[1-9][0-9]*/[1-9]", colleague.text())) > 30, 20, phone.text)
        phone.command("terminate")
        assert all(count > 50 for count in colleague.packets()), phone.text()
    record = wait_until(lambda: node.records("abc234"), 20)[0]
    assert [leg["plaintextPackets"] for leg in record["legs"]] == [0, 0]
    assert all(leg["suite"] and leg["packets"] > 50 for leg in record["legs"])
