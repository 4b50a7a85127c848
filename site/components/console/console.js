// The console of sales: the queue with one order beside it, the month, and the fleet. What is shown stands in the address.

import { around, byId } from "../shared/dom.js";
import { addressWith, asked } from "./address.js";
import { showCustomers, startCustomers } from "./customers.js";
import { showDetail, startDetail } from "./detail.js";
import { showFleet } from "./fleet.js";
import { startKeys } from "./keys.js";
import { asking, startLive } from "./live.js";
import { finishSignIn, signIn, signOut, token } from "./oidc.js";
import { showOverview, startOverview } from "./overview.js";
import { forgetPages, rows, showQueue, startQueue, toggleRow } from "./queue.js";
import { attempt, clearProblem, showProblem } from "./trouble.js";

const VIEWS = {
  queue: (options) => Promise.all([showQueue(), showDetail(options)]),
  customers: showCustomers,
  overview: showOverview,
  fleet: showFleet,
};

const viewShown = () => (VIEWS[asked().view] ? asked().view : "queue");

async function show(options) {
  for (const view of Object.keys(VIEWS)) byId(`${view}-view`).hidden = view !== viewShown();
  for (const link of byId("views").querySelectorAll("a")) {
    if (link.dataset.view === viewShown()) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const answered = asking();
  answered(await attempt(() => VIEWS[viewShown()](options), { anew: true }));
}

function goTo(href, options) {
  history.pushState(null, "", href);
  forgetPages();
  clearProblem();
  return show(options);
}

/** Open the order that stands `step` rows further than the one that is open or has the focus. */
function move(step) {
  const all = rows();
  const here = all.findIndex((row) => row.dataset.orderId === asked().order || row.contains(document.activeElement));
  const next = all[here < 0 ? 0 : Math.max(0, Math.min(all.length - 1, here + step))];
  next?.querySelector("a")?.focus();
  if (asked().order && next) goTo(addressWith({ order: next.dataset.orderId }));
}

/** The order that a key is about: the one whose row has the focus, or the one that is open. */
const current = () => document.activeElement?.closest("[data-order-id]")?.dataset.orderId ?? asked().order;

function focusIfShown(id) {
  if (!byId("detail").hidden && !byId(id).hidden) byId(id).focus();
}

byId("views").addEventListener("click", (click) => {
  const link = around(click, "a");
  if (!link || click.metaKey || click.ctrlKey) return;
  click.preventDefault();
  goTo(link.getAttribute("href"));
});
startQueue(goTo);
startDetail(goTo, show);
startOverview(goTo);
startCustomers(goTo);
startKeys({
  search: () => byId("q").focus(),
  next: () => move(1),
  previous: () => move(-1),
  select: () => current() && toggleRow(current()),
  approve: () => focusIfShown("approve"),
  text: () => focusIfShown("reason"),
  note: () => focusIfShown("note"),
  back: () => asked().order && byId("back").click(),
  help: () => byId("keys").showModal(),
});
byId("sign-in").addEventListener("click", start);
byId("sign-out").addEventListener("click", signOut);
addEventListener("popstate", () => {
  forgetPages();
  show({ focus: Boolean(asked().order) });
});

async function start() {
  try {
    await finishSignIn();
    if (!token()) {
      await signIn();
      return;
    }
  } catch {
    showProblem({
      title: "Inloggen is niet gelukt",
      detail: "Probeer het nog eens. Blijft het misgaan? Vraag de beheerder.",
    });
    byId("signed-out").hidden = false;
    return;
  }
  byId("signed-out").hidden = true;
  byId("workplace").hidden = false;
  byId("sign-out").hidden = false;
  byId("keys-open").hidden = false;
  startLive(show);
  await show();
}

start();
