"""The benchmark of the edge measures what it says: strangers get through to the node, and phones live; no figure is judged here."""

from __future__ import annotations

import json

import pytest

from tests.bench import edge

pytestmark = pytest.mark.usefixtures("processes")


def test_strangers_come_and_go_and_phones_stay(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge, "SETTLE", 0)
    assert edge.main(["--phones", "3", "--seconds", "1", "--attacks", "slow", "tabs", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["phones_alive"] == 3
    for kind in ("slow", "tabs"):
        each = figures[kind]
        assert each["made"] > 0
        assert each["during"]["lost"] == 0
        assert each["during"]["p99"] > 0 and each["turn"] > 0
        assert None not in (each["joins"]["same address"], each["joins"]["elsewhere"], each["recovered"])
