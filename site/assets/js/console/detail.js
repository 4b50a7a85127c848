// One order: all that is known of it, its timeline, and what can be done with it.

import { byId, element } from "../dom.js";
import { euro } from "../money.js";
import { when } from "../time.js";
import { addressWith, asked } from "./address.js";
import { confirmed } from "./confirm.js";
import { draftOf, keepDraft } from "./drafts.js";
import * as sales from "./sales.js";
import { steadily } from "./steady.js";
import { attempt, clearProblem } from "./trouble.js";
import { actions, kindOf, nameOf, SUSPICIOUS, toneOf } from "./words.js";

let shown = null; // the order as the API gave it last
let acting = false;

const fact = (name, ...value) => element("div", {}, element("dt", {}, name), element("dd", {}, ...value));
const line = (name, about, cents, total = false) =>
  element("div", { class: total ? "bill__total" : null }, element("dt", {}, name, about ? element("small", {}, ` ${about}`) : ""), element("dd", {}, euro(cents)));

// --- what is known

function customer({ relatedParty: party, details = [], note, customerId, category }) {
  return [
    fact("Soort", kindOf(category)),
    fact("Bedrijf", party.company),
    party.kvk && fact("KvK-nummer", party.kvk),
    fact("Naam", party.name),
    fact("E-mail", element("a", { href: `mailto:${party.email}` }, party.email)),
    party.telephone && fact("Telefoon", element("a", { href: `tel:${party.telephone}` }, party.telephone)),
    ...details.map(({ label, text }) => fact(label, text)),
    note && fact("Opmerking", note),
    customerId && fact("Klantomgeving", element("code", {}, customerId)),
  ].filter(Boolean);
}

function bill(order) {
  if (order.productOrderItem.length === 0) return [];
  const item = ({ quantity, productOffering, unitPriceCents, totalCents, promotion }) => {
    const price = promotion ? `${euro(promotion.unitPriceCents)} (${promotion.discountPercent}% korting op ${euro(unitPriceCents)})` : euro(unitPriceCents);
    return line(productOffering.name, `${quantity} × ${price}${productOffering.period === "once" ? ", eenmalig" : ""}`, totalCents);
  };
  return [
    ...order.productOrderItem.map(item),
    line("Per maand, excl. btw", "", order.monthlyTotalCents, true),
    line(`Per maand, incl. ${order.vatRatePercent}% btw`, "", order.monthlyTotalInclVatCents),
    ...(order.oneTimeTotalCents
      ? [line("Eenmalig, excl. btw", "", order.oneTimeTotalCents, true), line(`Eenmalig, incl. ${order.vatRatePercent}% btw`, "", order.oneTimeTotalInclVatCents)]
      : []),
  ];
}

function spam({ score, reasons }) {
  const verdict = score >= SUSPICIOUS ? "Bel deze klant voordat u goedkeurt." : score > 0 ? "Weinig opvallends." : "Niets opvallends.";
  return [
    element("p", {}, element("span", { class: `badge ${score >= SUSPICIOUS ? "badge--bad" : "badge--good"}`, id: "spam-score" }, `${score} van 100`), ` ${verdict}`),
    element("ul", {}, ...reasons.map(({ text, points }) => element("li", {}, `${text} (${points} punten)`))),
  ];
}

function node({ id, state, address, probe }) {
  const suites = (probe?.suites ?? []).join(" en ");
  return [
    fact("Media-node", element("code", {}, id), ` ${state ?? ""}`),
    address && fact("Adres", element("code", {}, address)),
    probe && fact("Proefgesprek", probe.ok ? "Gelukt" : `Niet gelukt${probe.error ? `: ${probe.error}` : ""}`, probe.at ? ` (${when(typeof probe.at === "number" ? new Date(probe.at).toISOString() : probe.at)})` : ""),
    suites && fact("Versleuteling", suites),
    probe?.packets !== undefined && fact("Pakketten", `${probe.packets}, waarvan ${probe.plaintextPackets ?? 0} onversleuteld`),
  ].filter(Boolean);
}

const happened = ({ from, to, kind }) => {
  if (kind === "note") return "Interne notitie";
  if (from === to) return "Inloggegevens opgehaald";
  if (from === "pending" && to === "acknowledged") return "Vraag beantwoord";
  if (from === null && to === "acknowledged") return "Bestelling ontvangen";
  return nameOf(to);
};

function event(one) {
  const { at, who, why, kind } = one;
  return element(
    "li",
    { class: kind === "note" ? "timeline__note" : null },
    element("p", { class: "meta" }, element("time", { datetime: at }, when(at)), who ? ` · ${who}` : ""),
    element("p", { class: "timeline__name" }, happened(one)),
    ...(why ? [element("p", { class: "typed" }, why)] : []),
  );
}

// --- showing it

/** What happened since the order was last shown, told where the colleague is looking; what is being typed stays. */
function tellChanges(before, order) {
  const news = order.events.slice(before.events.length);
  if (news.length === 0) return;
  byId("changes-list").replaceChildren(...news.map((one) => element("li", {}, `${happened(one)} (${when(one.at)}${one.who ? `, ${one.who}` : ""})${one.why || one.note ? `: ${one.why || one.note}` : ""}`)));
  byId("changes").hidden = false;
}

const available = (action, order) =>
  (!action.states || action.states.includes(order.state)) && (!action.by_hand || order.category !== "srtp");

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
  for (const action of actions) byId(action.id).hidden = !available(action, order);
  if (another) {
    byId("reason").value = draftOf(order.id);
    showReasonError("");
  }
  byId("detail").hidden = false;
}

/** Show the order that the address asks for, or none. */
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
  steadily(byId("detail"), () => fill(order, { own }));
  if (focus) byId("detail-title").focus();
}

// --- doing something with it

function showReasonError(message) {
  byId("reason-error").textContent = message;
  byId("reason-error").hidden = !message;
  byId("reason").setAttribute("aria-invalid", String(Boolean(message)));
}

/** Do something to the order that is shown; say what came of it, and show the order as it is now. */
async function act(action, refresh) {
  const text = byId("reason").value.trim();
  if (acting || !shown) return;
  if (action.text && !text) {
    showReasonError(action.missing);
    byId("reason").focus();
    return;
  }
  showReasonError("");
  const seen = shown; // while the question stands, the order may change: what was seen is what counts
  if (action.confirm && !(await confirmed({ title: `${action.label}?`, detail: `${seen.id}, ${seen.relatedParty.company}. ${action.confirm}`, quote: action.text ? text : "", yes: action.label, bad: action.bad }))) return;
  acting = true;
  byId("review").setAttribute("aria-busy", "true");
  clearProblem();
  byId("changes").hidden = true;
  const problem = await attempt(async () => {
    await sales.act(seen, action.id, text);
    if (action.text) {
      keepDraft(seen.id, "");
      byId("reason").value = "";
    }
    byId("live").textContent = `Bestelling ${seen.id} is ${action.done}.`;
    byId("detail-title").focus();
  });
  byId("review").removeAttribute("aria-busy");
  acting = false;
  if (problem) byId("problem").scrollIntoView({ block: "nearest" });
  await refresh({ own: !problem });
}

/** Make the detail work; `goTo` shows another address, `refresh` shows what is shown anew. */
export function startDetail(goTo, refresh) {
  for (const action of actions) byId(action.id).addEventListener("click", () => act(action, refresh));
  byId("reason").addEventListener("input", () => shown && keepDraft(shown.id, byId("reason").value));
  byId("changes-seen").addEventListener("click", () => {
    byId("changes").hidden = true;
    byId("detail-title").focus();
  });
  byId("back").addEventListener("click", (click) => {
    click.preventDefault();
    const id = shown?.id;
    goTo(addressWith({ order: "" })).then(() => (byId("orders").querySelector(`[data-order-id="${CSS.escape(id ?? "")}"] a`) ?? byId("list-title")).focus());
  });
}
