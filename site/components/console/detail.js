// One order beside the queue: all that is known of it, its timeline, and what happened while it was open.

import { around, byId, element } from "../shared/dom.js";
import { when } from "../shared/time.js";
import { act, correct, keepNote, showActions, showCorrectable, showFault } from "./acting.js";
import { addressWith, asked } from "./address.js";
import { draftOf, keepDraft } from "./drafts.js";
import { bill, customer, event, happened, node, related, spam } from "./facts.js";
import * as sales from "./sales.js";
import { steadily } from "./steady.js";
import { actions, nameOf, toneOf } from "./words.js";

/** @type {("reason" | "note")[]} */
const TYPED = ["reason", "note"];
/** @type {any} */
let shown = null; // the order as the API gave it last

/** What happened since the order was last shown, told where the colleague is looking; what is being typed stays. */
function tellChanges(before, order) {
  const news = order.events.slice(before.events.length);
  if (news.length === 0) return;
  byId("changes-list").replaceChildren(
    ...news.map((one) =>
      element(
        "li",
        {},
        `${happened(one)} (${when(one.at)}${one.who ? `, ${one.who}` : ""})${one.why || one.note ? `: ${one.why || one.note}` : ""}`,
      ),
    ),
  );
  byId("changes").hidden = false;
}

function fill(order, { own = false } = {}) {
  const before = shown;
  if (order === before) return;
  const another = before?.id !== order.id;
  shown = order;
  if (another) byId("changes").hidden = true;
  else if (!own) tellChanges(before, order);
  byId("order-id").textContent = order.id;
  const state = byId("order-state");
  state.dataset.state = order.state;
  state.className = `badge badge--${toneOf(order.state)}`;
  state.textContent = nameOf(order.state);
  byId("facts").replaceChildren(...customer(order));
  byId("bill").replaceChildren(...bill(order));
  byId("bill-part").hidden = order.productOrderItem.length === 0;
  byId("spam").replaceChildren(...(order.spam ? spam(order.spam) : []));
  byId("spam-part").hidden = !order.spam;
  byId("node").replaceChildren(...(order.node ? node(order.node) : []));
  byId("node-part").hidden = !order.node;
  const events = (another ? order.events : order.events.slice(before.events.length)).map(event).reverse();
  if (another) byId("timeline").replaceChildren(...events);
  else byId("timeline").prepend(...events);
  showActions(order);
  showCorrectable(order, { another });
  if (another) {
    for (const field of TYPED) {
      byId(field).value = draftOf(`${order.id} ${field}`);
      showFault(field, "");
    }
  }
  byId("detail").hidden = false;
}

/** The other orders of who ordered this one; asked once for an order, and nothing without them. */
async function showRelated(id) {
  byId("related-part").hidden = true;
  let items;
  try {
    ({ items } = await sales.related(id));
  } catch {
    return; // the order itself is what was asked for
  }
  if (shown?.id !== id || items.length === 0) return;
  byId("related").replaceChildren(...items.map(related));
  byId("related-part").hidden = false;
}

/** Show the order that the address asks for, or none. `focus`: a person opened it; the detail comes to where the reader is. */
export async function showDetail({ focus = false, own = false } = {}) {
  const id = asked().order;
  byId("back").href = addressWith({ order: "" });
  if (!id) {
    shown = null;
    byId("detail").hidden = true;
    return;
  }
  const order = await sales.order(id);
  if (id !== asked().order) return;
  const another = shown?.id !== id;
  if (another) {
    steadily(byId("list"), () => fill(order, { own })); // the list becomes narrower; the row that was clicked stays where it is
    byId("detail").scrollTop = 0;
    showRelated(id);
  } else {
    steadily(byId("detail"), () => fill(order, { own }));
  }
  if (!focus) return;
  byId("detail-title").focus({ preventScroll: true });
  if (byId("list").checkVisibility()) return; // beside the list the detail follows the reader by itself
  byId("detail").scrollIntoView({ block: "start", behavior: "instant" });
}

/** Make the detail work; `goTo` shows another address, `refresh` shows what is shown anew. */
export function startDetail(goTo, refresh) {
  for (const action of actions) byId(action.id).addEventListener("click", () => act(action, shown, refresh));
  byId("notes").addEventListener("click", () => keepNote(shown, refresh));
  byId("correct").addEventListener("submit", (submit) => {
    submit.preventDefault();
    correct(shown, refresh);
  });
  for (const field of TYPED)
    byId(field).addEventListener("input", () => shown && keepDraft(`${shown.id} ${field}`, byId(field).value));
  byId("changes-seen").addEventListener("click", () => {
    byId("changes").hidden = true;
    byId("detail-title").focus({ preventScroll: true });
  });
  byId("related").addEventListener("click", (click) => {
    const link = around(click, "a");
    if (!link || click.metaKey || click.ctrlKey) return;
    click.preventDefault();
    goTo(link.getAttribute("href"), { focus: true });
  });
  byId("back").addEventListener("click", (click) => {
    click.preventDefault();
    const id = shown?.id;
    goTo(addressWith({ order: "" })).then(() =>
      (byId("orders").querySelector(`[data-order-id="${CSS.escape(id ?? "")}"] a`) ?? byId("list-title")).focus(),
    );
  });
}
