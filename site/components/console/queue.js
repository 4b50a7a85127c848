// The queue: filters, search, order, pages, the rows that are selected, and what is done with them at once.

import { around, byId, element, partOf } from "../shared/dom.js";
import { euro } from "../shared/money.js";
import { briefly } from "../shared/time.js";
import { addressWith, asked, filter } from "./address.js";
import { confirmed } from "./confirm.js";
import { draftOf, keepDraft } from "./drafts.js";
import * as sales from "./sales.js";
import { deselect, isSelected, select, selection } from "./selection.js";
import { arrange, steadily } from "./steady.js";
import { attempt, showProblem } from "./trouble.js";
import { kindOf, nameOf, phonesOf, SUSPICIOUS, toneOf, words } from "./words.js";

const AT_ONCE = 50; // as many orders the API approves in one request

const PAGES = "console.pages";
let drawn = ""; // what the list shows, to leave it alone when nothing changed
/** @type {string[]} */
let cursors; // of the further pages that were asked for
/** @type {any} */
let loaded = null; // {of: the filter, items, counts, next, until}: the list as it was asked for whole, and kept up to date since
let items = [];
const drawnRows = new Map(); // id -> [what it shows, row]

// --- the rows

function row(order) {
  const link = element("a", { href: addressWith({ order: order.id }), class: "code" }, order.id);
  const name = order.relatedParty.company;
  const box =
    order.state === "acknowledged"
      ? element("input", { type: "checkbox", class: "select", "aria-label": `Selecteer ${order.id}, ${name}` })
      : "";
  const time = () => element("time", { datetime: order.orderDate }, briefly(order.orderDate));
  const about = [kindOf(order.category), phonesOf(order)].filter(Boolean).join(" · ");
  const score = order.spam?.score ?? 0;
  const waits = order.attention && words.attention[order.attention];
  return element(
    "tr",
    { "data-order-id": order.id },
    element("td", { class: "select-cell" }, box),
    element(
      "th",
      { scope: "row" },
      link,
      asked().state === "all"
        ? element("small", {}, element("span", { class: `badge badge--${toneOf(order.state)}` }, nameOf(order.state)))
        : "",
    ),
    element(
      "td",
      { class: "company" },
      name,
      waits ? element("small", {}, element("span", { class: "badge badge--warn" }, waits)) : "",
      element("small", {}, about),
      element("small", { class: "narrow" }, time(), ` · ${euro(order.monthlyTotalCents)}`),
      score >= SUSPICIOUS ? element("span", { class: "badge badge--bad" }, `Spamscore ${score}`) : "",
    ),
    element("td", { class: "wide" }, time()),
    element("td", { class: "wide number" }, euro(order.monthlyTotalCents)),
  );
}

/** The row of an order that cannot be read: its id, so that somebody can look into it; the others are not held up. */
const unreadable = ({ id, orderDate = undefined }) =>
  element(
    "tr",
    { "data-unreadable": id },
    element("td", { class: "select-cell" }),
    element("th", { scope: "row" }, element("span", { class: "code" }, id)),
    element(
      "td",
      { class: "company" },
      element("span", { class: "badge badge--bad" }, "Onleesbaar"),
      element("small", {}, "Geef dit nummer door aan de beheerder."),
    ),
    element("td", { class: "wide" }, orderDate ? element("time", { datetime: orderDate }, briefly(orderDate)) : "–"),
    element("td", { class: "wide number" }, "–"),
  );

function anyRow(order) {
  try {
    return order.unreadable ? unreadable(order) : row(order);
  } catch {
    return unreadable({ id: order.id });
  }
}

/** The row of an order; the one that stands there, if it shows the same. */
function rowOf(order) {
  const shows = JSON.stringify([addressWith({ order: "" }), order]);
  const [before, made] = drawnRows.get(order.id) ?? [];
  if (shows === before) return made;
  const fresh = anyRow(order);
  drawnRows.set(order.id, [shows, fresh]);
  return fresh;
}

/** Mark the row of the order that is open. */
function showCurrent() {
  for (const row of rows()) {
    if (row.dataset.orderId === asked().order) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
  }
}

function showFilters(counts) {
  const { state, category, q } = asked();
  for (const link of byId("filters").querySelectorAll("a")) {
    const number =
      link.dataset.state === "all"
        ? Object.values(counts).reduce((sum, one) => sum + one, 0)
        : (counts[link.dataset.state ?? ""] ?? 0);
    partOf(link, "[data-count]").textContent = String(number);
    link.classList.toggle("filter--none", number === 0);
    link.href = addressWith({ state: link.dataset.state, order: "" });
    if (link.dataset.state === state) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  const chips = [
    ...(state === "all" ? [] : [{ change: { state: "all" }, label: `Stand: ${nameOf(state)}` }]),
    ...(category ? [{ change: { category: "" }, label: `Soort: ${kindOf(category)}` }] : []),
    ...(q ? [{ change: { q: "" }, label: `Zoekterm: ${q}` }] : []),
  ];
  const chip = ({ change, label }) =>
    element(
      "li",
      {},
      element(
        "a",
        { class: "chip", href: addressWith({ ...change, order: "" }), "aria-label": `Filter weghalen: ${label}` },
        label,
        element("span", { "aria-hidden": "true" }, " ×"),
      ),
    );
  byId("chips").replaceChildren(...chips.map(chip));
  showWaiting(counts);
}

/** What waits for somebody, whatever the filter shows. */
function showWaiting(counts) {
  const some = words.waiting.filter(({ state }) => counts[state] > 0);
  const link = ({ state, label }) =>
    element(
      "li",
      {},
      element(
        "a",
        { href: addressWith({ state, category: "", q: "", order: "" }) },
        `${label}: `,
        element("strong", {}, String(counts[state])),
      ),
    );
  byId("waiting").replaceChildren(...some.map(link));
  byId("waiting").hidden = some.length === 0;
}

/** Fill the search form from the address, but not what is being typed in it. */
function showSearch() {
  const { q, category, sort, direction } = asked();
  if (document.activeElement !== byId("q")) byId("q").value = draftOf("search") || q;
  byId("category").value = category;
  byId("sort").value = `${sort} ${direction}`;
}

function showSelection() {
  deselect(
    selection()
      .map(({ id }) => id)
      .filter((id) => !items.some((order) => order.id === id && order.state === "acknowledged")),
  );
  const number = selection().length;
  byId("bulk").hidden = number === 0;
  byId("bulk-count").textContent = `${number} ${number === 1 ? "bestelling" : "bestellingen"} geselecteerd`;
  const boxes = [...byId("orders").querySelectorAll("input")].filter((input) => input.matches(".select"));
  for (const box of boxes) box.checked = isSelected(box.closest("tr")?.dataset.orderId);
  byId("select-all").disabled = boxes.length === 0;
  byId("select-all").checked = boxes.length > 0 && boxes.every((box) => box.checked);
  byId("select-all").indeterminate = number > 0 && !byId("select-all").checked;
}

/** Ask for the whole list: the first page and those that were asked for after it. */
async function load(wanted) {
  cursors ??= keptPages();
  const { until } = await sales.changes(); // from here on; what changes while we ask comes again
  const pages = [await sales.orders(filter())];
  for (const cursor of cursors) pages.push(await sales.orders(filter(), cursor));
  const all = new Map(pages.flatMap((page) => page.items).map((order) => [order.id, order]));
  return {
    of: wanted,
    items: [...all.values()],
    counts: pages[0].counts ?? {},
    next: pages.at(-1).next,
    complete: pages[0].complete ?? true,
    until,
  };
}

/** Bring the list up to date: one question, and the first page when something changed, however long the list is. */
async function update(list) {
  const found = await sales.changes(list.until);
  if (found.items.length === 0 && !found.more) return { ...list, counts: found.counts, until: found.until };
  const first = await sales.orders(filter());
  const changed = new Map([...found.items, ...first.items].map((order) => [order.id, order]));
  const onFirst = new Set(first.items.map(({ id }) => id));
  const { state } = asked();
  const after = list.items
    .filter(({ id }) => !onFirst.has(id))
    .map((order) => changed.get(order.id) ?? order)
    .filter((order) => state === "all" || order.unreadable || order.state === state);
  return {
    ...list,
    items: [...first.items, ...after],
    counts: found.counts,
    next: after.length > 0 ? list.next : first.next,
    until: found.until,
  };
}

/** Show the queue as the address filters it. */
export async function showQueue() {
  const wanted = String(filter());
  const list = loaded?.of === wanted ? await update(loaded) : await load(wanted);
  if (wanted !== String(filter())) return; // the visitor went on while we asked
  loaded = list;
  items = list.items;
  showSearch();
  byId("list-title").textContent = asked().state === "all" ? "Alle bestellingen" : nameOf(asked().state);
  byId("empty").hidden = items.length > 0;
  const filtered = asked().q || asked().category;
  byId("empty-filtered").hidden = !filtered;
  byId("empty-review").hidden = Boolean(filtered) || asked().state !== "acknowledged";
  byId("incomplete").hidden = list.complete;
  byId("more").hidden = !list.next;
  byId("more").dataset.cursor = list.next ?? "";
  const now = JSON.stringify([location.search, items, list.counts]);
  if (now === drawn) return;
  drawn = now;
  const focused = document.activeElement?.closest("[data-order-id]")?.dataset.orderId;
  const onBox = document.activeElement?.matches(".select");
  showFilters(list.counts);
  steadily(byId("list"), () => {
    arrange(byId("orders"), items.map(rowOf));
    showCurrent();
    for (const id of drawnRows.keys()) if (!items.some((order) => order.id === id)) drawnRows.delete(id);
    showSelection();
  });
  if (focused && !document.activeElement?.closest("[data-order-id]"))
    byId("orders")
      .querySelector(`[data-order-id="${CSS.escape(focused)}"] ${onBox ? ".select" : "a"}`)
      ?.focus();
}

/** Add the page that follows to the list. */
async function more() {
  const list = loaded;
  const page = await sales.orders(filter(), list.next);
  if (loaded?.of !== list.of) return;
  keepPages([...cursors, list.next]);
  const known = new Set(loaded.items.map(({ id }) => id));
  loaded = { ...loaded, items: [...loaded.items, ...page.items.filter(({ id }) => !known.has(id))], next: page.next };
  await showQueue();
}

function keepPages(further) {
  cursors = further;
  sessionStorage.setItem(PAGES, JSON.stringify({ of: String(filter()), further }));
}

/** The further pages of this very list, also when the page was loaded anew, as after signing in again; another filter has other pages. */
function keptPages() {
  const { of, further } = JSON.parse(sessionStorage.getItem(PAGES) ?? "{}");
  return of === String(filter()) ? further : [];
}

/** The address is another one. */
export function forgetPages() {
  cursors = keptPages();
  if (loaded?.of !== String(filter())) loaded = null;
}

/** The rows that are shown, in their order. */
export const rows = () => [...byId("orders").querySelectorAll("[data-order-id]")];

// --- what can be done with the queue

function toggle(id, on) {
  const order = items.find((one) => one.id === id);
  if (on && order?.state === "acknowledged") select(order);
  else deselect([id]);
  showSelection();
}

/** Select a row, or no longer. */
export const toggleRow = (id) => toggle(id, !isSelected(id));

async function approveSelected() {
  const chosen = selection().slice(0, AT_ONCE);
  const few = chosen.length < selection().length ? ` Meer dan ${AT_ONCE} tegelijk kan niet.` : "";
  const names = chosen
    .map(({ id }) => `${id}  ${items.find((order) => order.id === id)?.relatedParty.company ?? ""}`)
    .join("\n");
  const title = `${chosen.length} ${chosen.length === 1 ? "bestelling" : "bestellingen"} goedkeuren?`;
  if (
    !(await confirmed({
      title,
      detail: `Alleen deze worden goedgekeurd; alle klanten krijgen bericht.${few}`,
      quote: names,
      yes: "Goedkeuren",
    }))
  )
    return;
  await attempt(async () => {
    const results = await sales.approveAll(chosen);
    const refused = results.filter(({ problem }) => problem);
    deselect(results.filter(({ problem }) => !problem).map(({ id }) => id));
    byId("live").textContent = `${results.length - refused.length} van ${results.length} bestellingen goedgekeurd.`;
    if (refused.length > 0) {
      const reasons = refused.map(({ id, problem }) => `${id}: ${problem.detail ?? problem.title}`).join(" ");
      showProblem({
        title: `${refused.length} van ${results.length} bestellingen zijn niet goedgekeurd`,
        detail: reasons,
      });
    }
  });
  await attempt(showQueue);
}

async function download() {
  await attempt(async () => {
    const url = URL.createObjectURL(await sales.csv(filter()));
    element("a", { href: url, download: `bestellingen-${new Date().toISOString().slice(0, 10)}.csv` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
    byId("live").textContent = "De bestellingen van dit filter zijn gedownload.";
  });
}

/** Make the queue work; `goTo` shows another address. */
export function startQueue(goTo) {
  const go = (changes) => goTo(addressWith({ order: "", ...changes }));
  byId("q").addEventListener("input", () => keepDraft("search", byId("q").value));
  byId("search-form").addEventListener("submit", (submit) => {
    submit.preventDefault();
    keepDraft("search", "");
    go({ q: byId("q").value.trim(), category: byId("category").value });
  });
  byId("category").addEventListener("change", () => {
    keepDraft("search", "");
    go({ category: byId("category").value, q: byId("q").value.trim() });
  });
  byId("sort").addEventListener("change", () => {
    const [sort, direction] = byId("sort").value.split(" ");
    go({ sort, direction });
  });
  for (const list of ["filters", "chips", "waiting"]) {
    byId(list).addEventListener("click", (click) => {
      const link = around(click, "a");
      if (!link || click.metaKey || click.ctrlKey) return;
      click.preventDefault();
      goTo(link.getAttribute("href"));
      if (list === "chips") byId("list-title").focus();
    });
  }
  byId("orders").addEventListener("click", (click) => {
    const id = around(click, "[data-order-id]")?.dataset.orderId;
    if (!id || click.metaKey || click.ctrlKey || around(click, ".select-cell")) return;
    click.preventDefault();
    goTo(addressWith({ order: id }), { focus: true });
  });
  byId("orders").addEventListener("change", (change) =>
    toggle(around(change, "tr")?.dataset.orderId, around(change, "input")?.checked),
  );
  byId("select-all").addEventListener("change", () => {
    const on = byId("select-all").checked; // showing the selection sets it
    for (const order of items.filter(({ state }) => state === "acknowledged")) {
      if (on) select(order);
      else deselect([order.id]);
    }
    showSelection();
  });
  byId("bulk-approve").addEventListener("click", approveSelected);
  byId("bulk-clear").addEventListener("click", () => {
    deselect();
    showSelection();
    byId("list-title").focus();
  });
  byId("export").addEventListener("click", download);
  byId("more").addEventListener("click", () => {
    attempt(more);
  });
}
