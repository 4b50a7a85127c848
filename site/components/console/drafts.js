// What was being typed about an order, or in "search", kept for this tab: another order, an expired session or a reload loses nothing.

const KEY = "console.drafts";
const all = () => JSON.parse(sessionStorage.getItem(KEY) ?? "{}");

export const draftOf = (id) => all()[id] ?? "";

/** Keep what was typed about an order; nothing typed is nothing kept. */
export function keepDraft(id, text) {
  const drafts = { ...all(), [id]: text };
  if (!text) delete drafts[id];
  if (Object.keys(drafts).length > 0) sessionStorage.setItem(KEY, JSON.stringify(drafts));
  else sessionStorage.removeItem(KEY);
}
