// What is known of an order, as the parts of the page that show it.

import { element } from "../shared/dom.js";
import { euro } from "../shared/money.js";
import { when } from "../shared/time.js";
import { addressWith } from "./address.js";
import { kindOf, nameOf, SUSPICIOUS, toneOf, words } from "./words.js";

export const fact = (name, ...value) => element("div", {}, element("dt", {}, name), element("dd", {}, ...value));
const line = (name, about, cents, total = false) =>
  element(
    "div",
    { class: total ? "bill__total" : null },
    element("dt", {}, name, about ? element("small", {}, ` ${about}`) : ""),
    element("dd", {}, euro(cents)),
  );

export function customer(order) {
  const { relatedParty: party, details = [], note, customerId, knownCustomer } = order;
  const { category, language, addressProvenAt } = order;
  return [
    fact("Soort", kindOf(category)),
    fact("Bedrijf", party.company),
    party.kvk && fact(party.country === "BE" ? "Ondernemingsnummer" : "KvK-nummer", party.kvk),
    fact("Naam", party.name),
    fact(
      "E-mail",
      element("a", { href: `mailto:${party.email}` }, party.email),
      addressProvenAt ? ", bevestigd" : element("strong", { id: "address-unproven" }, ", adres nog niet bevestigd"),
    ),
    party.telephone && fact("Telefoon", element("a", { href: `tel:${party.telephone}` }, party.telephone)),
    language && language !== "nl" && fact("Taal", language === "en" ? "Engels" : language),
    ...details.map(({ label, text }) => fact(label, text)),
    note && fact("Opmerking", note),
    customerId &&
      fact("Klantomgeving", element("code", {}, customerId), knownCustomer ? ", al klant: deze krijgt het" : ""),
  ].filter(Boolean);
}

export function bill(order) {
  if (order.productOrderItem.length === 0) return [];
  const item = ({ quantity, productOffering, unitPriceCents, totalCents, promotion }) => {
    const price = promotion
      ? `${euro(promotion.unitPriceCents)} (${promotion.discountPercent}% korting op ${euro(unitPriceCents)})`
      : euro(unitPriceCents);
    return line(
      productOffering.name,
      `${quantity} × ${price}${productOffering.period === "once" ? ", eenmalig" : ""}`,
      totalCents,
    );
  };
  return [
    ...order.productOrderItem.map(item),
    line("Per maand, excl. btw", "", order.monthlyTotalCents, true),
    line(`Per maand, incl. ${order.vatRatePercent}% btw`, "", order.monthlyTotalInclVatCents),
    ...(order.oneTimeTotalCents
      ? [
          line("Eenmalig, excl. btw", "", order.oneTimeTotalCents, true),
          line(`Eenmalig, incl. ${order.vatRatePercent}% btw`, "", order.oneTimeTotalInclVatCents),
        ]
      : []),
  ];
}

export function spam({ score, reasons }) {
  const verdict =
    score >= SUSPICIOUS
      ? "Bel deze klant voordat u goedkeurt."
      : score > 0
        ? "Weinig opvallends."
        : "Niets opvallends.";
  return [
    element(
      "p",
      {},
      element(
        "span",
        { class: `badge ${score >= SUSPICIOUS ? "badge--bad" : "badge--good"}`, id: "spam-score" },
        `${score} van 100`,
      ),
      ` ${verdict}`,
    ),
    element("ul", {}, ...reasons.map(({ text, points }) => element("li", {}, `${text} (${points} punten)`))),
  ];
}

export function node({ id, state, address, probe }) {
  const suites = (probe?.suites ?? []).join(" en ");
  return [
    fact("Server", element("code", {}, id), state ? ` ${words.node_state[state] ?? state}` : ""),
    address && fact("Adres", element("code", {}, address)),
    probe &&
      fact(
        "Testgesprek",
        probe.ok ? "Gelukt" : "Niet gelukt",
        probe.at ? ` (${when(typeof probe.at === "number" ? new Date(probe.at).toISOString() : probe.at)})` : "",
      ),
    probe && !probe.ok && probe.error && fact("Melding van de server", element("span", { lang: "en" }, probe.error)),
    suites && fact("Versleuteling", suites),
    probe?.packets !== undefined &&
      fact("Pakketten", `${probe.packets}, waarvan ${probe.plaintextPackets ?? 0} onversleuteld`),
  ].filter(Boolean);
}

/** What an event of an order is called. */
export function happened({ from, to, kind }) {
  if (kind && kind !== "change") return words.event[kind] ?? words.event.other;
  if (from === "pending" && to === "acknowledged") return words.event.answered;
  if (from === null && to === "acknowledged") return words.event.received;
  return nameOf(to);
}

const INTERNAL = ["note", "correction", "mail"];
const labelOf = (field) => words.correctable.find(({ name }) => name === field)?.label ?? field;

export function event(one) {
  const { at, who, why, note, kind, changes = [] } = one;
  return element(
    "li",
    { class: INTERNAL.includes(kind) ? "timeline__note" : null },
    element("p", { class: "meta" }, element("time", { datetime: at }, when(at)), who ? ` · ${who}` : ""),
    element("p", { class: "timeline__name" }, happened(one)),
    ...(why ? [element("p", { class: "typed" }, why)] : []),
    ...(note ? [element("p", { class: "typed timeline__internal" }, element("strong", {}, "Intern: "), note)] : []),
    ...changes.map(({ field, before, after }) =>
      element("p", { class: "typed" }, `${labelOf(field)}: ${before || "(leeg)"} → ${after || "(leeg)"}`),
    ),
  );
}

/** Another order of the same customer, as an item of a list. */
export function related(order) {
  if (order.unreadable) return element("li", {}, element("span", { class: "code" }, order.id), " (onleesbaar)");
  return element(
    "li",
    {},
    element("a", { href: addressWith({ order: order.id }), "data-order-id": order.id, class: "code" }, order.id),
    ` ${kindOf(order.category)} `,
    element("span", { class: `badge badge--${toneOf(order.state)}` }, nameOf(order.state)),
  );
}
