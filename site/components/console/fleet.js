// The servers (media nodes): how they are, how full, and how many calls there are now.

import { byId, element } from "../shared/dom.js";
import { when } from "../shared/time.js";
import { charts } from "./charts.js";
import * as sales from "./sales.js";
import { words } from "./words.js";

const told = (value) => String(value ?? "–");
/** The server whose numbers are shown; none is "". */
let shown = "";

function row({ id, state, address, capacity, allocated, calls, registrations, heartbeatAt }) {
  const used = capacity > 0 ? Math.round((100 * allocated) / capacity) : 0;
  return element(
    "tr",
    { "data-node-id": id },
    element(
      "th",
      { scope: "row" },
      element(
        "button",
        {
          type: "button",
          class: "button button--quiet button--small code",
          "aria-expanded": String(id === shown),
          "data-charts": id,
        },
        id,
      ),
      element("small", {}, address ?? "nog geen adres"),
    ),
    element(
      "td",
      {},
      element("span", { class: `badge ${state === "ready" ? "badge--good" : ""}` }, words.node_state[state] ?? state),
    ),
    element(
      "td",
      {},
      element(
        "meter",
        { min: 0, max: Math.max(1, capacity), value: allocated, "aria-label": `Bezet op ${id}` },
        `${used}%`,
      ),
      element("small", {}, `${allocated} van ${capacity} gesprekken (${used}%)`),
    ),
    element("td", { class: "number" }, told(calls)),
    element("td", { class: "number" }, told(registrations)),
    element("td", {}, heartbeatAt ? element("time", { datetime: heartbeatAt }, when(heartbeatAt)) : "–"),
  );
}

async function showCharts() {
  const part = byId("node-metrics-view");
  part.hidden = !shown;
  if (!shown) return;
  const id = shown;
  const { samples } = await sales.metrics(id);
  if (id !== shown) return; // another one was asked for meanwhile
  part.replaceChildren(element("h3", { tabindex: "-1" }, `Server ${id}`), ...charts(samples, Date.now()));
}

byId("nodes").addEventListener("click", async (event) => {
  const button = /** @type {HTMLElement} */ (event.target).closest("[data-charts]");
  if (!(button instanceof HTMLElement)) return;
  shown = button.dataset.charts === shown ? "" : (button.dataset.charts ?? "");
  for (const each of byId("nodes").querySelectorAll("[data-charts]")) {
    each.setAttribute("aria-expanded", String(/** @type {HTMLElement} */ (each).dataset.charts === shown));
  }
  await showCharts();
});

export async function showFleet() {
  const nodes = await sales.fleet();
  if (!nodes.some(({ id }) => id === shown)) shown = "";
  const focused = /** @type {HTMLElement | null} */ (document.activeElement)?.dataset?.charts;
  byId("nodes").replaceChildren(...nodes.map(row));
  if (focused) /** @type {HTMLElement | null} */ (byId("nodes").querySelector(`[data-charts="${focused}"]`))?.focus();
  byId("nodes-empty").hidden = nodes.length > 0;
  const sum = (name) => nodes.reduce((total, one) => total + (one[name] ?? 0), 0);
  byId("fleet-total").textContent =
    `${nodes.length} ${nodes.length === 1 ? "server" : "servers"}, ${sum("calls")} gesprekken nu, ${sum("allocated")} van ${sum("capacity")} gesprekken toegewezen.`;
  await showCharts();
}
