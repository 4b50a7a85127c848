// The order's own page keeps itself up to date. The server renders; this script only asks whether there is something new,
// and then takes the new parts over. Without it, the visitor reloads and the buttons work as plain forms.

import words from "@params";
import { around, byId, fill, partOf, urlEncoded } from "../shared/dom.js";

const EVERY_MS = 2000;
const AT_MOST_MS = 30_000;
const page = byId("order");
const id = page.dataset.orderId;
const token =
  new URLSearchParams(location.search).get("token") ??
  page.querySelector("input[name=token]")?.getAttribute("value") ??
  "";
const language = document.documentElement.lang.split("-")[0];
const authorization = { Authorization: `Bearer ${token}` };

const say = (text) => (byId("order-live").textContent = text);

/** Carry over to a newer part what the visitor is doing in the old one: what was opened and what was typed. */
function keepWork(part, fresh) {
  for (const details of part.querySelectorAll("details[open]")) {
    const same = fresh.querySelector(`#${CSS.escape(details.id)}`);
    if (same) same.open = true;
  }
  for (const field of part.querySelectorAll("textarea")) {
    const same = fresh.querySelector(`#${CSS.escape(field.id)}`);
    if (same) same.value = field.value;
  }
}

/** Take over the parts of a newer rendering of this page that differ, but never what the visitor is reading out: credentials stay. */
function takeOver(html) {
  const newer = new DOMParser().parseFromString(html, "text/html");
  for (const part of page.querySelectorAll("[data-live]")) {
    const fresh = newer.querySelector(`[data-live="${part.dataset.live}"]`);
    if (!fresh || part.querySelector("#credentials")) continue;
    keepWork(part, fresh);
    if (!part.isEqualNode(fresh)) part.replaceWith(document.adoptNode(fresh));
  }
  Object.assign(page.dataset, partOf(newer, "#order").dataset);
  offerCopies();
}

async function htmlOf(response) {
  if (!response.ok) throw new Error(`the page of the order answered ${response.status}`);
  return response.text();
}

async function refresh() {
  const response = await fetch(`/api/orders/${id}`, { headers: { ...authorization, Accept: "application/json" } });
  if (!response.ok) throw new Error(`the order answered ${response.status}`);
  const order = await response.json();
  if (String(order.version) === page.dataset.version) return;
  takeOver(
    await htmlOf(
      await fetch(`/bestelling/${id}?token=${encodeURIComponent(token)}&language=${language}`, {
        headers: { Accept: "text/html" },
      }),
    ),
  );
  say(fill(words.order_updated, { state: byId("order-state").textContent }));
}

async function follow(wait = EVERY_MS) {
  if (page.dataset.final === "true") return;
  let next = EVERY_MS;
  if (!document.hidden) {
    try {
      await refresh();
    } catch {
      next = Math.min(wait * 2, AT_MOST_MS);
      say(words.order_not_updated);
    }
  }
  setTimeout(follow, next, next);
}

/** Send a form of this page without leaving it, so that its address stays one that can be kept. */
async function send(form) {
  const button = form.querySelector("button");
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  try {
    const response = await fetch(form.action, {
      method: "POST",
      headers: { Accept: "text/html" },
      body: urlEncoded(form),
    });
    const html = await response.text();
    if (!new DOMParser().parseFromString(html, "text/html").getElementById("order"))
      throw new Error(`the form answered ${response.status}`);
    takeOver(html); // on 409 and 422 the page itself says what is wrong
    (page.querySelector("[data-live=problem]:has(.notice)") ?? byId(form.dataset.send)).focus();
  } catch {
    say(words.order_failed);
  }
  button.removeAttribute("aria-disabled");
}

/** Buttons that copy are there when the browser can. */
function offerCopies() {
  if (!navigator.clipboard) return;
  for (const button of page.querySelectorAll("[data-copy][hidden]")) button.hidden = false;
}

page.addEventListener("click", async (event) => {
  const button = around(event, "[data-copy]");
  if (!button) return;
  try {
    await navigator.clipboard.writeText(button.dataset.copy ?? "");
    say(`${words.order_copied}: ${button.getAttribute("aria-label")}`);
    button.dataset.copied = "";
  } catch {
    getSelection()?.selectAllChildren(button.previousElementSibling ?? button); // copying is not allowed here: it is selected
  }
});

page.addEventListener("submit", (event) => {
  const form = around(event, "[data-send]");
  if (!form) return;
  event.preventDefault();
  send(form);
});

offerCopies();
follow();
