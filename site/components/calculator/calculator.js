// The price rule as a calculator: what a number of telephones costs a month. The page holds the rule as a sentence without this.

import words from "@params";
import { integer } from "../form/check.js";
import { byId, fill, partOf } from "../shared/dom.js";
import { euro, includingVat } from "../shared/money.js";

const calculator = byId("calculator");
const field = byId("calculator-count");
const output = byId("calculator-sum");
const order = partOf(calculator, ".calculator__order");
const { unitCents, vatPercent } = calculator.dataset;
const example = output.textContent;

function show() {
  const count = integer(field.value);
  if (count === null || count <= 0) {
    output.textContent = example;
    return;
  }
  const net = count * Number(unitCents);
  const gross = includingVat(net, Number(vatPercent));
  output.textContent = fill(words.calculator_sum, { count, unit: euro(unitCents), net: euro(net), gross: euro(gross) });
}

/** The number goes along to the order form. */
order.addEventListener("click", () => {
  const quantity = byId("phones");
  if (!quantity || integer(field.value) === null) return;
  quantity.value = field.value.trim();
  quantity.dispatchEvent(new Event("input", { bubbles: true }));
});

field.addEventListener("input", show);
partOf(calculator, ".calculator__ask").hidden = false;
order.hidden = false;
show();
