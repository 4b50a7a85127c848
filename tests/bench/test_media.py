"""The media benchmark measures what it says: every subject carries every packet, encrypted anew; no figure is judged
here.
"""

from __future__ import annotations

import json

import pytest

from tests.bench import media, media_injection
from tests.bench.media_rtpengine import decode, encode

pytestmark = pytest.mark.needs("rtpengine")


def test_all_subjects_carry_the_same_traffic(capsys: pytest.CaptureFixture[str]) -> None:
    assert media.main(["--calls", "3", "--seconds", "0.5", "--rounds", "1", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    for subject in media.SUBJECTS:
        assert (result[subject]["loss"], result[subject]["invalid"]) == (0, 0)
        assert result[subject]["cpu_us"] > 0 and result[subject]["p50_us"] > 0
    assert set(result["ratio"]) == {"cpu", "p99"}


def test_no_forgery_gets_through_the_node(capsys: pytest.CaptureFixture[str]) -> None:
    assert media_injection.main(["--packets", "200", "--frames", "20", "--subjects", "node", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["node"]
    assert [(row["relayed"], row["diverted"], row["lost"]) for row in rows] == [(0, 0, 0)] * len(
        media_injection.ATTACKS
    )


def test_bencode_survives() -> None:
    value = {"a": [1, -2, b"three"], "b": {}, "c": b""}
    assert decode(encode(value)) == (value, len(encode(value)))
