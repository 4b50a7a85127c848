// Customers beside orders: found by a word, shown whole, and helped in their own name; each step has a reason that only sales reads.

import { around, byId, element } from "../shared/dom.js";
import { euro } from "../shared/money.js";
import { when } from "../shared/time.js";
import { addressWith, asked } from "./address.js";
import { confirmed } from "./confirm.js";
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

// What sales can do (functions/src/customers/sales_changes.py): how it is called, and of what one must be chosen.
const ACTIONS = {
  askForPasswords: { label: "Klant vragen nieuwe wachtwoorden te maken" },
  addPhones: { label: "Telefoons toevoegen (één naam per regel)", typed: true },
  revokePhone: { label: "Telefoon blokkeren, meteen", of: "phones", bad: true },
  removePhone: { label: "Telefoon verwijderen per volgende maand", of: "phones" },
  keepPhone: { label: "Telefoon toch houden", of: "phones" },
  giveNotice: { label: "Alles opzeggen met een maand", bad: true },
  takeNoticeBack: { label: "Opzegging terugdraaien" },
  withdraw: { label: "Herroepen binnen de bedenktijd", of: "products", bad: true },
  suspend: { label: "Uitgaand blokkeren, behalve 112", bad: true },
  resume: { label: "Blokkering opheffen" },
  dedicate: { label: "Eigen servers geven, die niemand anders bedienen" },
  share: { label: "Servers weer delen met anderen" },
  removeContact: { label: "Contactpersoon verwijderen", of: "contacts", bad: true },
};
const CHOICES = {
  phones: { field: "username", of: (one) => [one.username, [one.extension, one.label].filter(Boolean).join(" ")] },
  products: { field: "product", of: (one) => [one.id, one.name] },
  contacts: { field: "contact", of: (one) => [one.id, one.email] },
};

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
    fact(
      "Telefoons",
      customer.phones.map((one) => [one.extension, one.label].filter(Boolean).join(" ")).join(", ") || "geen",
    ),
    ...(lookAlikes.length > 0 ? [fact("Lijkt op", lookAlikes.join(", "))] : []),
  ];
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
  const { label, of, typed, bad } = ACTIONS[action];
  /** @type {Record<string, any>} */
  const body = { action, reason: byId("customer-reason").value };
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
    const after = await sales.changeCustomer(shown, body);
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
