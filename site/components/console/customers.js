// Customers beside orders: found by a word, shown whole, and helped in their own name; each step has a reason that only sales reads.

import { around, byId, element } from "../shared/dom.js";
import { euro } from "../shared/money.js";
import { when } from "../shared/time.js";
import { addressWith, asked } from "./address.js";
import { confirmed } from "./confirm.js";
import { ACTIONS, CHOICES, siteName } from "./customer-actions.js";
import * as sales from "./sales.js";
import { attempt } from "./trouble.js";

const STATES = {
  served: "In dienst",
  waiting: "Wordt klaargezet",
  held: "Wacht",
  suspended: "Uitgaand geblokkeerd",
  ended: "Niet in dienst",
};
const PRODUCT = {
  created: "wordt klaargezet",
  active: "in dienst",
  suspended: "geblokkeerd",
  pendingTerminate: "opgezegd",
  terminated: "beëindigd",
};
const ROLES = { owner: "eigenaar", technical: "techniek", billing: "administratie" };

/** @type {any} */
let shown = null; // the answer that stands in the page: the same object again means that nothing changed
let listed = null;
let goTo;

function row({ id, company, phones, monthlyCents, createdAt }) {
  const link = element("a", { href: addressWith({ view: "customers", customer: id }) }, company || id);
  return element(
    "tr",
    { "data-customer-id": id, "aria-current": id === asked().customer ? "true" : null },
    element("th", { scope: "row" }, link, element("small", {}, id)),
    element("td", { class: "number" }, String(phones)),
    element("td", { class: "number" }, euro(monthlyCents)),
    element("td", { class: "wide" }, element("time", { datetime: createdAt }, when(createdAt))),
  );
}

const fact = (name, ...values) => element("div", {}, element("dt", {}, name), element("dd", {}, ...values));

function facts(customer) {
  const { environment, cost, contacts, products, numbers, lookAlikes } = customer;
  return [
    fact(
      "Klant",
      element("span", { class: "code" }, customer.id),
      customer.enterpriseNumber ? `, KvK of KBO ${customer.enterpriseNumber}` : "",
    ),
    fact("Omgeving", STATES[environment.state] ?? environment.state, environment.held ? `: ${environment.held}` : ""),
    fact("Per maand", `${euro(cost.nowCents)}; vanaf ${cost.next} ${euro(cost.nextCents)}`),
    ...products.map((one) =>
      fact(one.name, `${one.quantity} × ${euro(one.unitCents)}, ${PRODUCT[one.state] ?? one.state}`),
    ),
    ...contacts.map((one) =>
      fact(one.name || "Contact", `${one.email} (${one.roles.map((role) => ROLES[role] ?? role).join(", ")})`),
    ),
    ...numbers.map((one) => fact("Nummer", one.number)),
    ...customer.sites.map((one) => fact("Adres voor 112", siteName(one))),
    fact(
      "Grenzen",
      `${customer.limits.concurrentCalls} gesprekken tegelijk, ${customer.limits.minutesPerDay} minuten per dag`,
      customer.limits.own ? " (eigen)" : "",
    ),
    fact("Gesprekken bewaren", `${customer.callHistoryDays} dagen`),
    fact(
      "Telefoons",
      customer.phones.map((one) => [one.extension, one.label].filter(Boolean).join(" ")).join(", ") || "geen",
    ),
    ...(customer.joinedInto ? [fact("Samengevoegd met", customer.joinedInto)] : []),
    ...(lookAlikes.length > 0 ? [fact("Lijkt op", ...lookAlikes.flatMap(judge))] : []),
  ];
}

/** Somebody who looks the same, with what a person can make of it. */
function judge(other) {
  const button = (action, words) =>
    element(
      "button",
      { type: "button", class: "button button--small", "data-judge": action, "data-other": other },
      words,
    );
  return [
    element("a", { href: addressWith({ view: "customers", customer: other }) }, other),
    " ",
    button("join", "Samenvoegen"),
    " ",
    button("notTheSame", "Is iemand anders"),
    " ",
  ];
}

function choose(action, other) {
  byId("customer-action").value = action;
  fillChoice();
  byId("customer-field-other").value = other;
  byId("customer-reason").focus();
}

function event({ at, kind, who, why }) {
  return element(
    "li",
    {},
    element("p", { class: "meta" }, element("time", { datetime: at }, when(at)), ` · ${who.name || who.role}`),
    element("p", { class: "timeline__name" }, kind),
    ...(why ? [element("p", { class: "typed" }, why)] : []),
  );
}

function fillChoice() {
  const { of, typed } = ACTIONS[byId("customer-action").value];
  const choice = of && CHOICES[of];
  byId("customer-choice").replaceChildren(
    ...(choice ? shown[of].map((one) => element("option", { value: choice.of(one)[0] }, choice.of(one)[1])) : []),
  );
  byId("customer-choice-field").hidden = !choice;
  byId("customer-labels-field").hidden = !typed;
  fillFields();
}

/** The fields of the action that is chosen, as they stand now. */
function fillFields() {
  const { of, fields = [], now } = ACTIONS[byId("customer-action").value];
  const chosen = of && shown[of].find((one) => CHOICES[of].of(one)[0] === byId("customer-choice").value);
  const before = now?.(shown) ?? chosen ?? {};
  byId("customer-fields").replaceChildren(...fields.map((field) => made(field, before)));
}

function made({ name, label, options, is, many, whole }, before) {
  const id = `customer-field-${name}`;
  const value = is && before.phones ? is(before) : (before[name] ?? (many ? [] : ""));
  const control = options
    ? element(
        "select",
        { id, name, multiple: many ? "" : null },
        ...options(shown).map(([each, words]) =>
          element(
            "option",
            { value: each, selected: (many ? value.includes(each) : value === each) ? "" : null },
            words,
          ),
        ),
      )
    : element("input", { id, name, value: String(value), inputmode: whole ? "numeric" : null });
  return element("div", { class: "field" }, element("label", { for: id }, label), control);
}

/** What was filled in, as the action wants it. */
function filledIn(fields) {
  return Object.fromEntries(
    fields.map(({ name, many, whole }) => {
      const control = byId(`customer-field-${name}`);
      if (many) return [name, [...control.selectedOptions].map((option) => option.value)];
      const text = control.value.trim();
      return [name, whole && /^[0-9]+$/.test(text) ? Number(text) : text];
    }),
  );
}

function showOne(customer) {
  byId("customer").hidden = !customer;
  if (!customer || customer === shown) return;
  const other = customer.id !== shown?.id;
  shown = customer;
  byId("customer-name").textContent = customer.company || customer.id;
  byId("customer-facts").replaceChildren(...facts(customer));
  byId("customer-events").replaceChildren(...customer.events.map(event));
  if (!other) return;
  byId("customer-reason").value = byId("customer-labels").value = "";
  fillChoice();
  byId("customer-name").focus();
}

export async function showCustomers() {
  const { customer, cq } = asked();
  if (document.activeElement !== byId("customer-q")) byId("customer-q").value = cq;
  const page = await sales.customers(cq);
  if (page !== listed) {
    listed = page;
    byId("customers").replaceChildren(...page.items.map(row));
    byId("customers-empty").hidden = page.items.length > 0;
    byId("customers-total").textContent =
      `${page.customers}${page.complete ? "" : " of meer"} klanten, ${page.phones} telefoons, ${euro(page.monthlyCents)} per maand excl. btw.`;
  }
  showOne(customer ? await sales.customer(customer) : null);
}

async function send(submit) {
  submit.preventDefault();
  const action = byId("customer-action").value;
  const { label, of, typed, bad, fields = [], same, action: name = action } = ACTIONS[action];
  const judged = same !== undefined;
  /** @type {Record<string, any>} */
  const body = {
    reason: byId("customer-reason").value,
    ...filledIn(fields),
    ...(judged ? { same } : { action: name }),
  };
  if (of) body[CHOICES[of].field] = byId("customer-choice").value;
  let detail = "De klant krijgt hiervan een e-mail. De reden staat daar niet in.";
  if (typed) {
    body.labels = byId("customer-labels")
      .value.split("\n")
      .map((line) => line.trim())
      .filter(Boolean);
    const srtp = shown.products.find((one) => one.offeringId === "srtp" && one.state !== "terminated");
    body.monthlyTotalCents = shown.cost.nowCents + body.labels.length * (srtp?.unitCents ?? 0);
    detail = `De klant betaalt daarna ${euro(body.monthlyTotalCents)} per maand excl. btw; noem dat bedrag eerst. ${detail}`;
  }
  if (!(await confirmed({ title: `${label}?`, detail, quote: body.reason, yes: "Ja, doe dit", bad: Boolean(bad) })))
    return;
  const problem = await attempt(async () => {
    const after = await (judged ? sales.joinCustomer : sales.changeCustomer)(shown, body);
    byId("customer-reason").value = byId("customer-labels").value = "";
    showOne(after);
    fillChoice();
    byId("live").textContent = `${label}: gedaan.`;
  });
  if (problem?.status === 412) showOne(await sales.customer(shown.id));
}

export function startCustomers(navigate) {
  goTo = navigate;
  byId("customer-action").replaceChildren(
    ...Object.entries(ACTIONS).map(([name, { label }]) => element("option", { value: name }, label)),
  );
  byId("customer-action").addEventListener("change", fillChoice);
  byId("customer-choice").addEventListener("change", fillFields);
  byId("customer-facts").addEventListener("click", (click) => {
    const { judge: action, other } = around(click, "[data-judge]")?.dataset ?? {};
    if (action) choose(action, other);
  });
  byId("customer-form").addEventListener("submit", send);
  byId("customer-search").addEventListener("submit", (submit) => {
    submit.preventDefault();
    goTo(addressWith({ view: "customers", cq: byId("customer-q").value, customer: "" }));
  });
  byId("customers").addEventListener("click", (click) => {
    const link = around(click, "a");
    if (!link || click.metaKey || click.ctrlKey) return;
    click.preventDefault();
    goTo(link.getAttribute("href"));
  });
}
