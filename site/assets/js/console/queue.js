// The queue: filters, search, order, pages, the rows that are selected, and what is done with them at once.

import { byId, element } from "../dom.js";
import { euro } from "../money.js";
import { briefly } from "../time.js";
import { addressWith, asked, filter } from "./address.js";
import { confirmed } from "./confirm.js";
import { draftOf, keepDraft } from "./drafts.js";
import * as sales from "./sales.js";
import { deselect, isSelected, select, selection } from "./selection.js";
import { arrange, steadily } from "./steady.js";
import { attempt, showProblem } from "./trouble.js";
import { kindOf, nameOf, phonesOf, SUSPICIOUS, toneOf } from "./words.js";

const AT_ONCE = 50; // as many orders the API approves in one request

const PAGES = "console.pages";
let drawn = []; // what the list shows, to leave it alone when nothing changed
let cursors; // of the further pages that were asked for
let items = [];
const drawnRows = new Map(); // id -> [what it shows, row]

// --- the rows

function row(order) {
  const link = element("a", { href: addressWith({ order: order.id }), class: "code" }, order.id);
  const box =
    order.state === "acknowledged"
      ? element("input", { type: "checkbox", class: "select", "aria-label": `Selecteer ${order.id}, ${order.relatedParty.company}` })
      : "";
  const time = () => element("time", { datetime: order.orderDate }, briefly(order.orderDate));
  const about = [kindOf(order.category), phonesOf(order)].filter(Boolean).join(" · ");
  const score = order.spam?.score ?? 0;
  return element(
    "tr",
    { "data-order-id": order.id, "aria-current": order.id === asked().order ? "true" : null },
    element("td", { class: "select-cell" }, box),
    element("th", { scope: "row" }, link, asked().state === "all" ? element("small", {}, element("span", { class: `badge badge--${toneOf(order.state)}` }, nameOf(order.state))) : ""),
    element("td", {}, order.relatedParty.company, element("small", {}, about), element("small", { class: "narrow" }, time(), ` · ${euro(order.monthlyTotalCents)}`), score >= SUSPICIOUS ? element("span", { class: "badge badge--bad" }, `Spamscore ${score}`) : ""),
    element("td", { class: "wide" }, time()),
    element("td", { class: "wide number" }, euro(order.monthlyTotalCents)),
  );
}

/** The row of an order; the one that stands there, if it shows the same. */
function rowOf(order) {
  const shows = JSON.stringify([location.search, order]);
  const [before, made] = drawnRows.get(order.id) ?? [];
  if (shows === before) return made;
  const fresh = row(order);
  drawnRows.set(order.id, [shows, fresh]);
  return fresh;
}

function showFilters(counts) {
  const { state, category, q } = asked();
  for (const link of byId("filters").querySelectorAll("a")) {
    const number = link.dataset.state === "all" ? Object.values(counts).reduce((sum, one) => sum + one, 0) : (counts[link.dataset.state] ?? 0);
    link.querySelector("[data-count]").textContent = number;
    link.classList.toggle("filter--none", number === 0);
    link.href = addressWith({ state: link.dataset.state, order: "" });
    if (link.dataset.state === state) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  const chips = [
    state === "all" ? null : [{ state: "all" }, `Stand: ${nameOf(state)}`],
    category && [{ category: "" }, `Soort: ${kindOf(category)}`],
    q && [{ q: "" }, `Zoekterm: ${q}`],
  ].filter(Boolean);
  const chip = ([change, label]) =>
    element("li", {}, element("a", { class: "chip", href: addressWith({ ...change, order: "" }), "aria-label": `Filter weghalen: ${label}` }, label, element("span", { "aria-hidden": "true" }, " ×")));
  byId("chips").replaceChildren(...chips.map(chip));
}

/** Fill the search form from the address, but not what is being typed in it. */
function showSearch() {
  const { q, category, sort, direction } = asked();
  if (document.activeElement !== byId("q")) byId("q").value = draftOf("search") || q;
  byId("category").value = category;
  byId("sort").value = `${sort} ${direction}`;
}

function showSelection() {
  deselect(selection().map(({ id }) => id).filter((id) => !items.some((order) => order.id === id && order.state === "acknowledged")));
  const number = selection().length;
  byId("bulk").hidden = number === 0;
  byId("bulk-count").textContent = `${number} ${number === 1 ? "bestelling" : "bestellingen"} geselecteerd`;
  const boxes = [...byId("orders").querySelectorAll(".select")];
  for (const box of boxes) box.checked = isSelected(box.closest("tr").dataset.orderId);
  byId("select-all").disabled = boxes.length === 0;
  byId("select-all").checked = boxes.length > 0 && boxes.every((box) => box.checked);
  byId("select-all").indeterminate = number > 0 && !byId("select-all").checked;
}

/** Ask for the queue as the address filters it, and show it. */
export async function showQueue() {
  const wanted = String(filter());
  cursors ??= keptPages();
  const pages = [await sales.orders(filter())];
  for (const cursor of cursors) pages.push(await sales.orders(filter(), cursor));
  if (wanted !== String(filter())) return; // the visitor went on while we asked
  items = [...new Map(pages.flatMap((page) => page.items).map((order) => [order.id, order])).values()];
  showSearch();
  byId("list-title").textContent = asked().state === "all" ? "Alle bestellingen" : nameOf(asked().state);
  byId("empty").hidden = items.length > 0;
  const filtered = asked().q || asked().category;
  byId("empty-filtered").hidden = !filtered;
  byId("empty-review").hidden = filtered || asked().state !== "acknowledged";
  byId("more").hidden = !pages.at(-1).next;
  byId("more").dataset.cursor = pages.at(-1).next ?? "";
  const now = [location.search, ...pages];
  if (now.length === drawn.length && now.every((one, index) => one === drawn[index])) return;
  drawn = now;
  const focused = document.activeElement?.closest("[data-order-id]")?.dataset.orderId;
  const onBox = document.activeElement?.matches(".select");
  showFilters(pages[0].counts ?? {});
  steadily(byId("list"), () => {
    arrange(byId("orders"), items.map(rowOf));
    for (const id of drawnRows.keys()) if (!items.some((order) => order.id === id)) drawnRows.delete(id);
    showSelection();
  });
  if (focused && !document.activeElement.closest("[data-order-id]")) byId("orders").querySelector(`[data-order-id="${CSS.escape(focused)}"] ${onBox ? ".select" : "a"}`)?.focus();
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
  const few = chosen.length < selection().length ? ` De API neemt er ${AT_ONCE} tegelijk.` : "";
  const names = chosen.map(({ id }) => `${id}  ${items.find((order) => order.id === id)?.relatedParty.company ?? ""}`).join("\n");
  const title = `${chosen.length} ${chosen.length === 1 ? "bestelling" : "bestellingen"} goedkeuren?`;
  if (!(await confirmed({ title, detail: `Alleen deze worden goedgekeurd; alle klanten krijgen bericht.${few}`, quote: names, yes: "Goedkeuren" }))) return;
  await attempt(async () => {
    const results = await sales.approveAll(chosen);
    const refused = results.filter(({ problem }) => problem);
    deselect(results.filter(({ problem }) => !problem).map(({ id }) => id));
    byId("live").textContent = `${results.length - refused.length} van ${results.length} bestellingen goedgekeurd.`;
    if (refused.length > 0) {
      const reasons = refused.map(({ id, problem }) => `${id}: ${problem.detail ?? problem.title}`).join(" ");
      showProblem({ title: `${refused.length} van ${results.length} bestellingen zijn niet goedgekeurd`, detail: reasons });
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
  for (const list of ["filters", "chips"]) {
    byId(list).addEventListener("click", (click) => {
      const link = click.target.closest("a");
      if (!link || click.metaKey || click.ctrlKey) return;
      click.preventDefault();
      goTo(link.getAttribute("href"));
      if (list === "chips") byId("list-title").focus();
    });
  }
  byId("orders").addEventListener("click", (click) => {
    const id = click.target.closest("[data-order-id]")?.dataset.orderId;
    if (!id || click.metaKey || click.ctrlKey || click.target.closest(".select-cell")) return;
    click.preventDefault();
    goTo(addressWith({ order: id }), { focus: true });
  });
  byId("orders").addEventListener("change", (change) => toggle(change.target.closest("tr").dataset.orderId, change.target.checked));
  byId("select-all").addEventListener("change", () => {
    for (const one of items) toggle(one.id, byId("select-all").checked);
  });
  byId("bulk-approve").addEventListener("click", approveSelected);
  byId("bulk-clear").addEventListener("click", () => {
    deselect();
    showSelection();
    byId("list-title").focus();
  });
  byId("export").addEventListener("click", download);
  byId("more").addEventListener("click", () => {
    keepPages([...cursors, byId("more").dataset.cursor]);
    attempt(showQueue);
  });
}
