// The servers (media nodes): how they are, how full, and how many calls there are now.

import { byId, element } from "../dom.js";
import { when } from "../time.js";
import * as sales from "./sales.js";
import { words } from "./words.js";

const told = (value) => String(value ?? "–");

function row({ id, state, address, capacity, allocated, calls, registrations, heartbeatAt }) {
  const used = capacity > 0 ? Math.round((100 * allocated) / capacity) : 0;
  return element(
    "tr",
    { "data-node-id": id },
    element(
      "th",
      { scope: "row" },
      element("span", { class: "code" }, id),
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

export async function showFleet() {
  const nodes = await sales.fleet();
  byId("nodes").replaceChildren(...nodes.map(row));
  byId("nodes-empty").hidden = nodes.length > 0;
  const sum = (name) => nodes.reduce((total, one) => total + (one[name] ?? 0), 0);
  byId("fleet-total").textContent =
    `${nodes.length} ${nodes.length === 1 ? "server" : "servers"}, ${sum("calls")} gesprekken nu, ${sum("allocated")} van ${sum("capacity")} gesprekken toegewezen.`;
}
