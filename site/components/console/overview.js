// What a month came to: numbers, a small chart, and the same as tables.

import { byId, element } from "../shared/dom.js";
import { euro } from "../shared/money.js";
import { addressWith, asked } from "./address.js";
import * as sales from "./sales.js";
import { nameOf, states } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const title = new Intl.DateTimeFormat("nl-NL", { month: "long", year: "numeric", timeZone: "UTC" });
const WIDTH = 640;
const HEIGHT = 160;

const thisMonth = () =>
  new Intl.DateTimeFormat("sv-SE", { year: "numeric", month: "2-digit", timeZone: "Europe/Amsterdam" }).format(
    new Date(),
  );
const month = () => (/^\d{4}-\d{2}$/.test(asked().month) ? asked().month : thisMonth());

/** The month that lies `steps` further: ("2026-12", 1) -> "2027-01". */
export function monthAfter(name, steps) {
  const [year, number] = name.split("-").map(Number);
  return new Date(Date.UTC(year, number - 1 + steps, 1)).toISOString().slice(0, 7);
}

function shape(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** A bar for each day of the month; the table beside it says the same to who does not see it. */
function bars(name, byDay) {
  const [year, number] = name.split("-").map(Number);
  const days = new Date(Date.UTC(year, number, 0)).getUTCDate();
  const orders = Object.fromEntries(byDay.map(({ day, orders }) => [Number(day.slice(8)), orders]));
  const most = Math.max(1, ...Object.values(orders));
  const step = WIDTH / days;
  const drawn = [];
  for (let day = 1; day <= days; day++) {
    const height = ((orders[day] ?? 0) / most) * (HEIGHT - 44);
    const x = (day - 1) * step;
    if (height > 0) {
      drawn.push(
        shape("rect", {
          class: "chart__bar",
          x: x + step * 0.15,
          y: HEIGHT - 22 - height,
          width: step * 0.7,
          height,
          rx: 2,
        }),
      );
      drawn.push(
        shape("text", { class: "chart__number", x: x + step / 2, y: HEIGHT - 28 - height }, String(orders[day])),
      );
    }
    if (day === 1 || day % 5 === 0)
      drawn.push(shape("text", { class: "chart__day", x: x + step / 2, y: HEIGHT - 5 }, String(day)));
  }
  drawn.push(shape("path", { class: "chart__ground", d: `M0 ${HEIGHT - 21.5}H${WIDTH}` }));
  return drawn;
}

const number = (name, value) => element("div", {}, element("dt", {}, name), element("dd", {}, value));

export async function showOverview() {
  const name = month();
  const found = await sales.overview(name);
  if (asked().view !== "overview" || name !== month()) return;
  byId("month-title").textContent = title.format(new Date(`${name}-01T00:00:00Z`));
  byId("month-before").href = addressWith({ month: monthAfter(name, -1) });
  byId("month-after").href = addressWith({ month: monthAfter(name, 1) });
  byId("month-numbers").replaceChildren(
    number("Bestellingen", String(found.orders)),
    number("Actief: telefoons", String(found.active.phones)),
    number("Actief: omzet per maand, excl. btw", euro(found.active.monthlyRevenueCents)),
    number("Verwacht: telefoons", String(found.expected.phones)),
    number("Verwacht: omzet per maand, excl. btw", euro(found.expected.monthlyRevenueCents)),
  );
  byId("month-chart").replaceChildren(...bars(name, found.byDay));
  byId("month-days").replaceChildren(
    ...found.byDay.map(({ day, orders }) =>
      element(
        "tr",
        {},
        element("th", { scope: "row" }, `${Number(day.slice(8))} ${title.format(new Date(`${name}-01T00:00:00Z`))}`),
        element("td", { class: "number" }, String(orders)),
      ),
    ),
  );
  byId("month-states").replaceChildren(
    ...Object.keys(states)
      .filter((state) => found.byState[state])
      .map((state) =>
        element(
          "tr",
          {},
          element("th", { scope: "row" }, nameOf(state)),
          element("td", { class: "number" }, String(found.byState[state])),
        ),
      ),
  );
  byId("month-empty").hidden = found.orders > 0;
  byId("month-figures").hidden = found.orders === 0;
}

/** Make the overview work; `goTo` shows another address. */
export function startOverview(goTo) {
  for (const id of ["month-before", "month-after"]) {
    byId(id).addEventListener("click", (click) => {
      click.preventDefault();
      goTo(byId(id).getAttribute("href"));
    });
  }
}
