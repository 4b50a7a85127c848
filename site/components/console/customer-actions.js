// What sales can do for a customer: the words, and what is filled in.

export const phoneName = ({ extension, label }) => [extension, label].filter(Boolean).join(" ");
export const siteName = ({ street, houseNumber, city }) => `${street} ${houseNumber}, ${city}`;

const ORDERS = { together: "tegelijk", inOrder: "na elkaar" };
const DESTINATIONS = {
  national: "binnenland",
  mobile: "mobiel",
  freephone: "gratis nummers",
  europe: "Europa",
  world: "de hele wereld",
  premium: "betaalnummers",
};
const SITE = [
  { name: "street", label: "Straat" },
  { name: "houseNumber", label: "Huisnummer" },
  { name: "postcode", label: "Postcode" },
  { name: "city", label: "Plaats" },
];

// What sales can do (functions/src/customers/sales_changes.py): how it is called, of what one must be chosen, and what is filled in. A field
// says how it stands now (`is`), which values it can have (`options`), and whether it is a number (`whole`).
export const ACTIONS = {
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
  giveNumber: {
    label: "Nummer in dienst stellen bij een belplan",
    fields: [{ name: "number", label: "Nummer, zoals +31 85 555 01 00" }],
  },
  changeNumber: {
    label: "Nummer: wie er overgaat, en doorschakelen",
    of: "numbers",
    fields: [
      {
        name: "rings",
        label: "Toestellen die overgaan",
        options: (customer) => customer.phones.map((one) => [one.username, phoneName(one)]),
        is: (one) => one.phones.filter(({ rings }) => rings).map(({ username }) => username),
        many: true,
      },
      { name: "order", label: "Volgorde", options: () => Object.entries(ORDERS) },
      { name: "ringSeconds", label: "Seconden per toestel (5 tot 120)", whole: true },
      { name: "always", label: "Altijd doorschakelen naar" },
      { name: "busy", label: "Bij bezet doorschakelen naar" },
      { name: "noAnswer", label: "Zonder antwoord doorschakelen naar" },
      { name: "noAnswerSeconds", label: "Doorschakelen na zoveel seconden (5 tot 120)", whole: true },
    ],
  },
  addSite: { label: "Adres van toestellen toevoegen, voor 112", action: "putSite", fields: SITE },
  changeSite: { label: "Adres van toestellen wijzigen, voor 112", action: "putSite", of: "sites", fields: SITE },
  removeSite: { label: "Adres van toestellen verwijderen", of: "sites", bad: true },
  limit: {
    label: "Eigen grenzen geven",
    fields: [
      { name: "concurrentCalls", label: "Gesprekken tegelijk", whole: true },
      { name: "forwardedCalls", label: "Waarvan doorgeschakeld", whole: true },
      { name: "callsPerMinute", label: "Gesprekken per minuut", whole: true },
      { name: "minutesPerDay", label: "Minuten per dag", whole: true },
      { name: "destinations", label: "Waarheen", options: () => Object.entries(DESTINATIONS), many: true },
    ],
    now: (customer) => customer.limits,
  },
  unlimit: { label: "Weer de grenzen van de producten" },
  keepCalls: {
    label: "Bewaartermijn van gesprekken wijzigen",
    fields: [{ name: "days", label: "Dagen (0 tot 365)", whole: true }],
    now: (customer) => ({ days: customer.callHistoryDays }),
  },
  join: {
    label: "Samenvoegen: alles van een andere klant gaat naar deze",
    fields: [{ name: "other", label: "Klantnummer van de andere klant" }],
    now: (customer) => ({ other: customer.lookAlikes[0] ?? "" }),
    same: true,
    bad: true,
  },
  notTheSame: {
    label: "Vastleggen dat een andere klant iemand anders is",
    fields: [{ name: "other", label: "Klantnummer van de andere klant" }],
    now: (customer) => ({ other: customer.lookAlikes[0] ?? "" }),
    same: false,
  },
  removeContact: { label: "Contactpersoon verwijderen", of: "contacts", bad: true },
};
export const CHOICES = {
  phones: { field: "username", of: (one) => [one.username, phoneName(one)] },
  products: { field: "product", of: (one) => [one.id, one.name] },
  contacts: { field: "contact", of: (one) => [one.id, one.email] },
  numbers: { field: "number", of: (one) => [one.number, one.number] },
  sites: { field: "site", of: (one) => [one.id, siteName(one)] },
};
