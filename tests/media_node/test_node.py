"""The whole node as a process: real TLS, real media workers, an emulated AWS, and phones of our own."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.media_node.conftest import DOMAIN, NodeFactory, accounts


def test_two_phones_call_each_other_with_srtp_on_both_legs(new_node: NodeFactory) -> None:
    node = new_node()
    caller, callee = phones = accounts("abc234")
    node.assign("abc234", phones, probed=True)
    command = [sys.executable, "-m", "media_node.probe", "--host", node.address, "--domain", DOMAIN, "--json"]
    command += ["--ca-file", str(node.certificates.ca_file), "--caller", str(caller), "--callee", str(callee), "--seconds", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr + node.log.read_text()
    result = json.loads(done.stdout)
    assert [leg["suite"] for leg in result["legs"]] == ["AES_CM_128_HMAC_SHA1_80"] * 2
    assert all(leg["packets"] > 80 for leg in result["legs"])
    assert result["plaintext_packets"] == 0
    assert result["audio_ok"] is True
