// An order's form: shows the price while the visitor types, checks before asking the server for the step in which the answers are
// checked (views/check.j2), shows that in the place of the form, sends the order once, and keeps everything typed when it fails.
// Without this script the form and the check step are plain forms and the server does all of it.

import words from "@params";
import { around, byId, element, fill, pageData, partOf, urlEncoded } from "../shared/dom.js";
import { euro, includingVat } from "../shared/money.js";
import { noConnection, problemOf } from "../shared/problem.js";
import { solve, within } from "./challenge.js";
import { check, isAsked } from "./check.js";
import { price } from "./form-price.js";

const CHECKING = "#controleren";
const PROOF_MS = 3000; // longer than this nobody waits for the proof of work

const form = byId("order-form");
const place = /** @type {HTMLElement} */ (form.parentElement); // its children are the form's step; the check step takes their place
const definition = pageData("form-definition");
const output = byId("monthly-total");
const unpriced = output ? [...output.childNodes] : []; // shown again when too little is filled in
const errorTitle = `${words.form_error_word}: `;
const plainTitle = document.title.startsWith(errorTitle) ? document.title.slice(errorTitle.length) : document.title;
/** @type {Promise<string> | null} */
let proof = null;
let busy = false;

/** @returns {any} A field, or the radio buttons of one name. */
const controlOf = (name) => form.elements.namedItem(name);
const typed = (control) => (control.type === "checkbox" ? (control.checked ? control.value : "") : control.value);
const values = () => Object.fromEntries(definition.field.map(({ name }) => [name, typed(controlOf(name))]));
const startProof = () => (proof ??= solve(form.dataset.worker));

function showTotal() {
  if (!output) return;
  const cents = price(definition, values());
  if (cents === null) {
    output.replaceChildren(...unpriced);
    return;
  }
  const percent = definition.prices.vatRatePercent;
  const gross = element(
    "span",
    { class: "total__gross" },
    fill(words.form_total_gross, { gross: euro(includingVat(cents.monthly, percent)), percent }),
  );
  output.replaceChildren(element("strong", {}, euro(cents.monthly)), ` ${words.form_total_month} `, gross);
}

/** All of a field: its label, hint, error and control. */
const fieldOf = (name) => /** @type {HTMLElement} */ (byId(`${name}-error`).closest(".field"));
/** The elements of the step that `place` holds. */
const steps = () => /** @type {Iterable<HTMLElement>} */ (place.children);

/** A field that the other answers leave nothing to ask about is not there. */
function showAsked() {
  const filledIn = values();
  for (const field of definition.field) fieldOf(field.name).hidden = !isAsked(field, filledIn);
}

function showFieldErrors(errors) {
  const messages = Object.fromEntries(errors.map((error) => [error.field, error.message]));
  for (const { name, type } of definition.field) {
    const message = messages[name];
    const place = byId(`${name}-error`);
    place.textContent = message ?? "";
    place.hidden = !message;
    fieldOf(name).classList.toggle("field--wrong", Boolean(message));
    byId(type === "choice" ? `${name}-group` : name).setAttribute("aria-invalid", String(Boolean(message)));
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
  document.title = errorTitle + plainTitle;
  byId("error-summary").hidden = false;
  byId("error-summary").focus();
}

function clearErrors() {
  showFieldErrors([]);
  byId("error-summary").hidden = true;
  document.title = plainTitle;
}

// --- the step in which the answers are checked

/** The key of an order goes with the form from the first check on: however often it is sent, it is one order. */
function keepKey(key) {
  form.querySelector("[name=idempotencyKey]")?.remove();
  if (key) form.append(element("input", { type: "hidden", name: "idempotencyKey", value: key }));
}

/** Show the check step in the place of the form; `html` is the page that the server makes of it. */
function showCheck(html) {
  const page = new DOMParser().parseFromString(html, "text/html");
  const step = document.adoptNode(partOf(page, "#check"));
  const key = step.querySelector("[name=idempotencyKey]")?.getAttribute("value");
  keepKey(key);
  byId("check")?.remove();
  for (const child of steps()) child.hidden = true;
  place.append(step);
  partOf(step, "form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (event.submitter?.id === "change-order") history.back();
    else order(event.target);
  });
  // What was filled in goes with the step, in the browser's own history: a reload finds it again.
  const kept = { values: values(), key };
  if (location.hash === CHECKING) history.replaceState(kept, "");
  else history.pushState(kept, "", CHECKING);
  document.title = page.title;
  byId("check-title").focus();
  place.scrollIntoView();
}

function showForm() {
  if (!byId("check")) return;
  byId("check").remove();
  document.title = plainTitle;
  for (const child of steps()) child.hidden = child.id === "error-summary";
  byId(definition.field[0].name).focus();
}

/** Ask the server for the check step; it knows better than this page what is right and what it costs. */
async function askCheck() {
  const body = urlEncoded(form);
  const response = await fetch(form.action, { method: "POST", headers: { Accept: "text/html" }, body });
  const html = await response.text();
  const answered = new DOMParser().parseFromString(html, "text/html");
  if (response.ok && answered.getElementById("check")) return { html };
  const errors = Array.from(answered.getElementById("error-summary-list")?.querySelectorAll("a") ?? [], (link) => ({
    field: link.hash.slice(1),
    message: link.textContent,
  }));
  const title = answered.querySelector("h1")?.textContent ?? words.problem_title;
  const detail = answered.querySelector(".lead")?.textContent ?? words.problem_text;
  return errors.length > 0
    ? { problem: { title: words.form_error_title, detail: "", errors } }
    : { problem: { title, detail, errors } };
}

async function submit() {
  const errors = check(definition, values());
  if (errors.length > 0) {
    showErrors(words.form_error_title, "", errors);
    return;
  }
  busy = true;
  clearErrors();
  startProof();
  byId("form-status").textContent = words.form_wait;
  try {
    const { html, problem } = await askCheck();
    if (problem) showErrors(problem.title, problem.detail, problem.errors);
    else showCheck(html);
  } catch {
    showErrors(noConnection.title, `${noConnection.detail} ${words.form_kept}`, []);
  }
  byId("form-status").textContent = "";
  busy = false;
}

// --- the order

function showCheckProblem({ title, detail }) {
  byId("check-problem-title").textContent = `${title}.`;
  byId("check-problem-detail").textContent = detail ?? "";
  byId("check-problem").hidden = false;
  byId("check-problem").scrollIntoView({ block: "nearest" });
}

/** Place the order; a repeated try carries the check step's own key, so that the server takes it once. */
async function order(step) {
  if (busy) return;
  busy = true; // until a problem: after success the browser is leaving, and a second click must not send again
  byId("check-problem").hidden = true;
  byId("check-status").textContent = words.form_sending;
  /** @type {Record<string, any>} */
  const { idempotencyKey, ...fields } = Object.fromEntries(new FormData(step));
  fields.altcha = await within(startProof(), PROOF_MS);
  for (const amount of ["monthlyTotalCents", "oneTimeTotalCents"])
    if (amount in fields) fields[amount] = Number(fields[amount]);
  try {
    const response = await fetch(step.action, {
      method: "POST",
      headers: {
        "Content-Type": "application/json",
        Accept: "application/json",
        ...(idempotencyKey ? { "Idempotency-Key": idempotencyKey } : {}),
      },
      body: JSON.stringify(fields),
    });
    if (response.ok) {
      proof = null; // it is good for one order
      location.assign((await response.json()).href);
      return;
    }
    const problem = await problemOf(response);
    if (problem.type?.endsWith("idempotency-key-reused")) keepKey(""); // what was ordered before differs: this is another order
    if (
      problem.clientMonthlyTotalCents !== undefined ||
      problem.clientOneTimeTotalCents !== undefined ||
      problem.type?.endsWith("idempotency-key-reused")
    ) {
      const { html } = await askCheck(); // with the price as it is now, or a key of its own
      if (html) showCheck(html);
    }
    showCheckProblem(problem);
  } catch {
    showCheckProblem({ ...noConnection, detail: `${noConnection.detail} ${words.form_kept}` });
  }
  byId("check-status").textContent = "";
  busy = false;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!busy) submit();
});
/** Fill in what a reload of the check step, or coming back to it, left in the browser's history. */
function restore({ values: kept, key }) {
  for (const { name, type } of definition.field) {
    const control = controlOf(name);
    if (type === "checkbox") control.checked = kept[name] === control.value;
    else if (kept[name] !== undefined) control.value = kept[name];
  }
  showAsked();
  keepKey(key);
  submit();
}

if (location.hash === CHECKING && history.state?.values) restore(history.state);
else if (location.hash === CHECKING) history.replaceState(null, "", location.pathname + location.search);

/** What an address asks for is chosen: ?offering=… or ?phones=…; only what the form itself offers, and only where nothing is filled in. */
function prefill() {
  const wanted = new URLSearchParams(location.search);
  for (const { name, type, option } of definition.field) {
    const value = wanted.get(name);
    if (value === null || typed(controlOf(name))) continue;
    const offered =
      type === "choice" ? option.some((one) => one.value === value) : type === "integer" && /^\d{1,4}$/.test(value);
    if (offered) controlOf(name).value = value;
  }
}
prefill();
showAsked();

form.addEventListener("focusin", startProof, { once: true });
form.addEventListener("input", () => {
  showAsked();
  showTotal();
});

byId("error-summary").addEventListener("click", (event) => {
  const link = around(event, "a");
  if (!link) return;
  event.preventDefault();
  byId(link.hash.slice(1))?.focus();
});

// Not popstate: when the form was reached by #bestellen, the browser goes there after it and takes the focus away.
addEventListener("hashchange", () => {
  if (location.hash !== CHECKING) showForm();
});
// Back from the order's page: the browser may show the page as it was, mid-flight.
addEventListener("pageshow", () => {
  busy = false;
  byId("form-status").textContent = "";
  if (byId("check-status")) byId("check-status").textContent = "";
  showTotal();
});
