// The order form: shows the price while the visitor types, checks before sending, sends once, and keeps everything typed when it fails.
// Without this script the form is sent as it is and the server does all of it.

import { check, integer } from "./check.js";
import { byId, element, pageData } from "./dom.js";
import { euro, includingVat } from "./money.js";
import { noConnection, problemOf } from "./problem.js";

const form = byId("order-form");
const definition = pageData("form-definition");
const quantityField = definition.field.find((field) => field.name === definition.quantity_field);
const output = byId("monthly-total");
const unpriced = [...output.childNodes]; // shown again when no number is filled in
const plainTitle = document.title.replace(/^Fout: /, "");
const vatPercent = Number(form.dataset.vatPercent);
let unitCents = Number(form.dataset.unitCents);
let attempt = { body: "", key: "" };
let sending = false;

const values = () => Object.fromEntries(definition.field.map(({ name }) => [name, form.elements[name].value]));

/** The monthly total in cents that the visitor sees, or null when no valid number of phones is filled in. */
function total() {
  const quantity = integer(form.elements[quantityField.name].value);
  return quantity !== null && quantity >= quantityField.min && quantity <= quantityField.max ? quantity * unitCents : null;
}

function showTotal() {
  const cents = total();
  if (cents === null) {
    output.replaceChildren(...unpriced);
    return;
  }
  const gross = element("span", { class: "total__gross" }, `(${euro(includingVat(cents, vatPercent))} incl. ${vatPercent}% btw)`);
  output.replaceChildren(element("strong", {}, euro(cents)), " per maand, excl. btw ", gross);
}

function showFieldErrors(errors) {
  const messages = Object.fromEntries(errors.map((error) => [error.field, error.message]));
  for (const { name } of definition.field) {
    const message = messages[name];
    const place = byId(`${name}-error`);
    place.textContent = message ?? "";
    place.hidden = !message;
    place.parentElement.classList.toggle("field--wrong", Boolean(message));
    form.elements[name].setAttribute("aria-invalid", String(Boolean(message)));
  }
}

/** Show what is wrong at the top and at the fields, and take the visitor there. */
function showErrors(title, detail, errors) {
  showFieldErrors(errors);
  byId("error-summary-title").textContent = title;
  byId("error-summary-text").textContent = detail;
  byId("error-summary-text").hidden = !detail;
  byId("error-summary-list").replaceChildren(
    ...errors.map((error) => element("li", {}, element("a", { href: `#${error.field}` }, error.message))),
  );
  document.title = `Fout: ${plainTitle}`;
  byId("error-summary").hidden = false;
  byId("error-summary").focus();
}

function clearErrors() {
  showFieldErrors([]);
  byId("error-summary").hidden = true;
  document.title = plainTitle;
}

/** A repeated order of the same content carries the same key, so that the server takes it once. */
function keyFor(body) {
  if (attempt.body !== body) attempt = { body, key: crypto.randomUUID() };
  return attempt.key;
}

async function send() {
  const body = JSON.stringify({ ...values(), monthlyTotalCents: total() });
  const response = await fetch(form.action, {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json", "Idempotency-Key": keyFor(body) },
    body,
  });
  if (!response.ok) return { problem: await problemOf(response) };
  return { order: await response.json() };
}

/** The price changed since this page was made: show the server's. */
async function refreshPrice() {
  const { offerings } = await (await fetch("/api/prices")).json();
  const offering = offerings.find(({ id }) => id === form.dataset.offering);
  unitCents = offering.promotion?.unitPriceCents ?? offering.unitPriceCents;
  showTotal();
}

async function submit() {
  const errors = check(definition, values());
  if (errors.length > 0) {
    showErrors("Er klopt iets nog niet", "", errors);
    return;
  }
  sending = true; // until an error: after success the browser is leaving, and a second click must not send again
  clearErrors();
  byId("form-status").textContent = "Uw bestelling wordt verstuurd …";
  try {
    const { order, problem } = await send();
    if (order) {
      location.assign(order.href);
      return;
    }
    if (problem.status === 409) await refreshPrice();
    showErrors(problem.title, problem.errors.length > 0 ? "" : problem.detail, problem.errors);
  } catch {
    showErrors(noConnection.title, `${noConnection.detail} Alles wat u hebt ingevuld, staat er nog.`, []);
  }
  byId("form-status").textContent = "";
  sending = false;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!sending) submit();
});

byId("error-summary").addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (!link) return;
  event.preventDefault();
  form.elements[link.hash.slice(1)]?.focus();
});

form.elements[quantityField.name].addEventListener("input", showTotal);
// Back from the order's page: the browser may show the page as it was, mid-flight.
window.addEventListener("pageshow", () => {
  sending = false;
  byId("form-status").textContent = "";
  showTotal();
});
