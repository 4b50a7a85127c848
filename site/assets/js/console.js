// The console of sales. What is shown stands in the address (?state=…&order=…), so that it can be kept, shared and gone back to.

import { finishSignIn, signedInJustNow, signIn, signOut, token } from "./console/oidc.js";
import * as sales from "./console/sales.js";
import { byId, element, pageData } from "./dom.js";
import { euro } from "./money.js";
import { when } from "./time.js";

const EVERY_MS = 3000;
const FIRST_STATE = "acknowledged";
const DRAFT = "console.reason";
const states = pageData("order-states");

let shown = null; // the order in the detail, as the API gave it
let listed = ""; // what the list shows, to leave it alone when nothing changed
let cursors = []; // of the further pages that were asked for
let offline = false; // the last thing that went wrong was the connection

const address = () => new URLSearchParams(location.search);
const stateShown = () => (states[address().get("state")] ? address().get("state") : FIRST_STATE);
const orderShown = () => address().get("order");
const nameOf = (state) => states[state]?.sales_name ?? state;

function addressOf(state, order) {
  return `?${new URLSearchParams({ state, ...(order ? { order } : {}) })}`;
}

// --- what goes wrong

function showProblem({ title, detail }) {
  byId("problem-title").textContent = `${title}.`;
  byId("problem-detail").textContent = detail ?? "";
  byId("problem").hidden = false;
}

const clearProblem = () => (byId("problem").hidden = true);

/** Run something that speaks to the API; an expired session signs in again and comes back here with the reason still typed. */
async function attempt(action) {
  try {
    await action();
    if (offline) clearProblem();
    offline = false;
  } catch (error) {
    if (!(error instanceof sales.Refused)) throw error;
    const { problem } = error;
    offline = problem.status === 0;
    // A token that is refused right after it was given would send us round in circles.
    if (problem.status === 401 && !signedInJustNow()) {
      keepDraft();
      await signIn();
    } else if (problem.status === 401) {
      showProblem({ title: "U hebt geen toegang", detail: "Uw account wordt hier niet geaccepteerd. Vraag de beheerder om toegang." });
    } else {
      showProblem(problem);
    }
  }
}

// --- a reason that was being typed

const keepDraft = () => sessionStorage.setItem(DRAFT, JSON.stringify({ id: orderShown(), reason: byId("reason").value }));

function draftOf(id) {
  const draft = JSON.parse(sessionStorage.getItem(DRAFT) ?? "null");
  return draft?.id === id ? draft.reason : "";
}

function showReasonError(message) {
  byId("reason-error").textContent = message;
  byId("reason-error").hidden = !message;
  byId("reason").setAttribute("aria-invalid", String(Boolean(message)));
}

// --- the list

function row(order) {
  const { quantity } = order.productOrderItem[0];
  const link = element("a", { href: addressOf(stateShown(), order.id), class: "code" }, order.id);
  return element(
    "tr",
    { "data-order-id": order.id, "aria-current": order.id === orderShown() ? "true" : null },
    element("th", { scope: "row" }, link),
    element("td", {}, order.relatedParty.company, element("small", {}, ` ${quantity} ${quantity === 1 ? "telefoon" : "telefoons"}`)),
    element("td", {}, element("time", { datetime: order.orderDate }, when(order.orderDate))),
    element("td", { class: "number" }, euro(order.monthlyTotalCents)),
  );
}

async function showList() {
  const state = stateShown();
  const pages = [await sales.orders(state)];
  for (const cursor of cursors) pages.push(await sales.orders(state, cursor));
  if (state !== stateShown()) return; // the visitor went on while we asked
  const items = pages.flatMap((page) => page.items);
  for (const link of byId("filters").querySelectorAll("a")) {
    link.querySelector("[data-count]").textContent = pages[0].counts?.[link.dataset.state] ?? 0;
    if (link.dataset.state === state) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  byId("list-title").textContent = nameOf(state);
  byId("empty").hidden = items.length > 0;
  byId("more").hidden = !pages.at(-1).next;
  byId("more").dataset.cursor = pages.at(-1).next ?? "";
  const now = JSON.stringify([state, orderShown(), items]);
  if (now === listed) return;
  listed = now;
  const focused = document.activeElement?.closest("[data-order-id]")?.dataset.orderId;
  byId("orders").replaceChildren(...items.map(row));
  if (focused) byId("orders").querySelector(`[data-order-id="${CSS.escape(focused)}"] a`)?.focus();
}

// --- one order

function fact(name, ...value) {
  return element("div", {}, element("dt", {}, name), element("dd", {}, ...value));
}

function facts(order) {
  const party = order.relatedParty;
  return [
    fact("Bedrijf", party.company),
    party.kvk ? fact("KvK-nummer", party.kvk) : null,
    fact("Naam", party.name),
    fact("E-mail", element("a", { href: `mailto:${party.email}` }, party.email)),
    fact("Telefoon", element("a", { href: `tel:${party.telephone}` }, party.telephone)),
    ...order.productOrderItem.map((item) => fact(item.productOffering.name, `${item.quantity} × ${euro(item.unitPriceCents)} = ${euro(item.totalCents)}`)),
    fact("Per maand", `${euro(order.monthlyTotalCents)} excl. btw, ${euro(order.monthlyTotalInclVatCents)} incl. ${order.vatRatePercent}% btw`),
    order.note ? fact("Opmerking", order.note) : null,
    order.customerId ? fact("Klantomgeving", element("code", {}, order.customerId)) : null,
    order.node ? fact("Media-node", element("code", {}, order.node.id), ` ${order.node.state ?? ""} ${order.node.address ?? ""}`) : null,
  ].filter(Boolean);
}

function event({ at, from, to, who, why }) {
  return element(
    "li",
    {},
    element("p", { class: "meta" }, element("time", { datetime: at }, when(at)), who ? ` · ${who}` : ""),
    element("p", { class: "timeline__name" }, from === to ? "Inloggegevens opgehaald" : nameOf(to)),
    ...(why ? [element("p", {}, why)] : []),
  );
}

function fillDetail(order) {
  const changed = JSON.stringify(order) !== JSON.stringify(shown);
  const another = shown?.id !== order.id;
  if (!changed) return;
  shown = order;
  byId("order-id").textContent = order.id;
  const state = byId("order-state");
  state.dataset.state = order.state;
  state.className = `badge badge--${states[order.state]?.tone ?? "busy"}`;
  state.textContent = nameOf(order.state);
  byId("facts").replaceChildren(...facts(order));
  byId("timeline").replaceChildren(...[...order.events].reverse().map(event));
  byId("review").hidden = order.state !== "acknowledged" && order.state !== "pending";
  byId("approve").hidden = order.state !== "acknowledged";
  byId("back").href = addressOf(stateShown());
  if (another) {
    byId("reason").value = draftOf(order.id);
    showReasonError("");
  }
  byId("detail").hidden = false;
}

async function showDetail({ focus = false } = {}) {
  const id = orderShown();
  if (!id) {
    shown = null;
    byId("detail").hidden = true;
    return;
  }
  const order = await sales.order(id);
  if (id !== orderShown()) return;
  fillDetail(order);
  if (focus) byId("detail-title").focus();
}

/** Do something to the order that is shown; say what came of it, and show the order as it is now. */
async function act(action, done) {
  if (byId("review").getAttribute("aria-busy") === "true") return;
  byId("review").setAttribute("aria-busy", "true");
  clearProblem();
  const id = shown.id;
  await attempt(async () => {
    await action();
    sessionStorage.removeItem(DRAFT);
    byId("reason").value = "";
    showReasonError("");
    byId("live").textContent = `Bestelling ${id} is ${done}.`;
    byId("detail-title").focus();
  });
  byId("review").removeAttribute("aria-busy");
  await attempt(async () => {
    await showDetail();
    await showList();
  });
}

// --- the whole

async function show(options) {
  await attempt(() => Promise.all([showList(), showDetail(options)]));
}

function goTo(href, options) {
  history.pushState(null, "", href);
  listed = "";
  cursors = [];
  clearProblem();
  return show(options);
}

async function poll() {
  if (!document.hidden) await show();
  setTimeout(poll, EVERY_MS);
}

byId("filters").addEventListener("click", (click) => {
  const link = click.target.closest("a");
  if (!link || click.metaKey || click.ctrlKey) return;
  click.preventDefault();
  goTo(link.getAttribute("href"));
});
byId("orders").addEventListener("click", (click) => {
  const id = click.target.closest("[data-order-id]")?.dataset.orderId;
  if (!id || click.metaKey || click.ctrlKey) return;
  click.preventDefault();
  goTo(addressOf(stateShown(), id), { focus: true });
});
byId("back").addEventListener("click", (click) => {
  click.preventDefault();
  const id = shown?.id;
  goTo(addressOf(stateShown())).then(() => (byId("orders").querySelector(`[data-order-id="${CSS.escape(id ?? "")}"] a`) ?? byId("list-title")).focus());
});
byId("more").addEventListener("click", () => {
  cursors.push(byId("more").dataset.cursor);
  attempt(showList);
});
byId("approve").addEventListener("click", () => act(() => sales.approve(shown), "goedgekeurd"));
byId("reject-form").addEventListener("submit", (submit) => {
  submit.preventDefault();
  const reason = byId("reason").value.trim();
  if (!reason) {
    showReasonError("Vul in waarom u de bestelling afwijst");
    byId("reason").focus();
    return;
  }
  showReasonError("");
  act(() => sales.reject(shown, reason), "afgewezen");
});
byId("reason").addEventListener("input", keepDraft);
byId("sign-in").addEventListener("click", start);
byId("sign-out").addEventListener("click", signOut);
addEventListener("popstate", () => {
  listed = "";
  show({ focus: Boolean(orderShown()) });
});

async function start() {
  try {
    await finishSignIn();
    if (!token()) {
      await signIn();
      return;
    }
  } catch {
    showProblem({ title: "Inloggen is niet gelukt", detail: "Probeer het nog eens. Blijft het misgaan? Vraag de beheerder." });
    byId("signed-out").hidden = false;
    return;
  }
  byId("signed-out").hidden = true;
  byId("workplace").hidden = false;
  byId("sign-out").hidden = false;
  await show();
  setTimeout(poll, EVERY_MS);
}

start();
