// The orders that are selected for approval, each on the version that its row showed; kept for this tab, so that signing in again loses none.

const KEY = "console.selection";
const selected = new Map(JSON.parse(sessionStorage.getItem(KEY) ?? "[]"));

function keep() {
  if (selected.size > 0) sessionStorage.setItem(KEY, JSON.stringify([...selected]));
  else sessionStorage.removeItem(KEY);
}

export const isSelected = (id) => selected.has(id);
export const selection = () => [...selected].map(([id, version]) => ({ id, version }));

export function select({ id, version }) {
  selected.set(id, version);
  keep();
}

/** No longer: these orders, or all. */
export function deselect(ids = [...selected.keys()]) {
  for (const id of ids) selected.delete(id);
  keep();
}
