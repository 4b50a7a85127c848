// What the order that is being filled in costs, as ordering/pricing.py computes it. Pure.

import { line } from "../shared/text.js";
import { integer } from "./check.js";

/** Net cents {monthly, once}, or null while too little is filled in. `definition` carries `prices` (components/form/prices.html). */
export function price(definition, values) {
  const { offerings } = definition.prices;
  if (definition.quantity_field) {
    const { min, max } = definition.field.find(({ name }) => name === definition.quantity_field);
    const quantity = integer(String(values[definition.quantity_field] ?? ""));
    if (quantity === null || quantity < min || quantity > max) return null;
    return { monthly: quantity * offerings[definition.offering].cents, once: 0 };
  }
  const chosen = offerings[line(String(values[definition.offering_field] ?? ""))];
  return chosen ? { monthly: chosen.cents, once: offerings.connection.cents } : null;
}
