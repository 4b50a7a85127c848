// What is shown stands in the address, so that it can be kept, shared and gone back to.

const DEFAULTS = {
  view: "queue",
  state: "acknowledged",
  category: "",
  q: "",
  sort: "orderDate",
  direction: "desc",
  month: "",
  order: "",
  customer: "",
  cq: "",
};

/** What the address asks for; state "all" is every state. */
export function asked() {
  const query = new URLSearchParams(location.search);
  return Object.fromEntries(Object.entries(DEFAULTS).map(([name, value]) => [name, query.get(name) ?? value]));
}

/** The address of what is shown now, with changes. */
export function addressWith(changes) {
  const wanted = Object.entries({ ...asked(), ...changes }).filter(
    ([name, value]) => value && value !== DEFAULTS[name],
  );
  return `${location.pathname}${wanted.length > 0 ? `?${new URLSearchParams(wanted)}` : ""}`;
}

/** What the API is asked for: the filter, without what holds for every order. */
export function filter() {
  const { state, category, q, sort, direction } = asked();
  return new URLSearchParams(
    Object.entries({ state: state === "all" ? "" : state, category, q, sort, order: direction }).filter(
      ([, value]) => value,
    ),
  );
}
