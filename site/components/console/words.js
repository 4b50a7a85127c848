// The names of things, as the page carries them from data/*.toml.

import { pageData } from "../shared/dom.js";

export const states = pageData("order-states");
export const kinds = pageData("order-kinds");
export const actions = pageData("console-actions");
/** The further words of data/console.toml: attention, event, node_state, waiting, correctable. */
export const words = pageData("console-words");
export const nameOf = (state) => states[state]?.sales_name ?? state;
export const kindOf = (category) => kinds[category]?.sales_name ?? category;
const WAITING = ["pending", "held", "assessingCancellation"];
/** The tone of a state's badge; what waits for somebody stands out. */
export const toneOf = (state) => (WAITING.includes(state) ? "warn" : (states[state]?.tone ?? "busy"));
/** "5 telefoons", or nothing for an order that is not for telephones. */
export const phonesOf = (order) => {
  const item = order.productOrderItem.find(({ productOffering }) => productOffering.unit === "phone");
  return item ? `${item.quantity} ${item.quantity === 1 ? "telefoon" : "telefoons"}` : "";
};
/** From here on an order deserves a telephone call (ordering/spam.py). */
export const SUSPICIOUS = 50;
