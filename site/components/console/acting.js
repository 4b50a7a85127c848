// What can be done with the order that is shown: decisions, notes, corrections, and what helps a customer who lost something.

import { byId } from "../shared/dom.js";
import { confirmed } from "./confirm.js";
import { keepDraft } from "./drafts.js";
import * as sales from "./sales.js";
import { attempt, clearProblem } from "./trouble.js";
import { actions, words } from "./words.js";

let busy = false;

/** Whether an action is there for an order. */
export const available = (action, order) =>
  (!action.states || action.states.includes(order.state)) &&
  (!action.categories || action.categories.includes(order.category)) &&
  (!action.by_hand || order.category !== "srtp");

export function showFault(field, message) {
  byId(`${field}-error`).textContent = message;
  byId(`${field}-error`).hidden = !message;
  byId(field).setAttribute("aria-invalid", String(Boolean(message)));
}

/** @typedef {"reason" | "note" | `correct-${string}`} Field */

/** @param {Field} field */
const typed = (field) => byId(field).value.trim();

/**
 * @param {{id: string}} order
 * @param {Field} field
 */
function empty(order, field) {
  byId(field).value = "";
  keepDraft(`${order.id} ${field}`, "");
}

/** Run something that changes an order, once at a time; say what came of it, and show the order as it is now. */
async function change(order, refresh, said, action) {
  busy = true;
  byId("review").setAttribute("aria-busy", "true");
  clearProblem();
  byId("changes").hidden = true;
  const problem = await attempt(async () => {
    await action();
    byId("live").textContent = `Bestelling ${order.id} is ${said}.`;
    byId("detail-title").focus({ preventScroll: true });
  });
  byId("review").removeAttribute("aria-busy");
  busy = false;
  if (problem) byId("problem").scrollIntoView({ block: "nearest" });
  await refresh({ own: !problem });
  return problem;
}

/** Ask whether to do it, with the mail that the customer would get. False when not, or when the order has changed. */
async function sure(action, order, text, refresh) {
  if (!action.confirm) return true;
  let mail = null;
  if (action.mail) {
    clearProblem();
    const problem = await attempt(async () => (mail = await sales.preview(order, action.path ?? action.id, text)));
    if (problem) {
      byId("problem").scrollIntoView({ block: "nearest" });
      await refresh();
      return false;
    }
  }
  const detail = `${order.id}, ${order.relatedParty.company}. ${action.confirm}`;
  return confirmed({
    title: `${action.label}?`,
    detail,
    mail,
    quote: action.text ? text : "",
    yes: action.label,
    bad: action.bad,
  });
}

/** Decide about the order that was seen: while the question stands it may change, and what was seen is what counts. */
export async function act(action, order, refresh) {
  if (busy || !order) return;
  const text = typed("reason");
  if (action.text && !text) {
    showFault("reason", action.missing);
    byId("reason").focus();
    return;
  }
  showFault("reason", "");
  showFault("note", "");
  if (!(await sure(action, order, text, refresh))) return;
  const note = action.more ? "" : typed("note");
  await change(order, refresh, action.done, async () => {
    await sales.act(order, action, text, note);
    if (action.text) empty(order, "reason");
    if (note) empty(order, "note");
  });
}

/** Keep a note for colleagues. */
export async function keepNote(order, refresh) {
  if (busy || !order) return;
  const text = typed("note");
  showFault("note", text ? "" : "Vul de notitie in");
  if (!text) {
    byId("note").focus();
    return;
  }
  await change(order, refresh, "van een notitie voorzien", async () => {
    await sales.note(order, text);
    empty(order, "note");
  });
}

/** Correct what was changed in the form; the API checks it by the rules of the order's own form. */
export async function correct(order, refresh) {
  if (busy || !order) return;
  const names = words.correctable.map(({ name }) => name);
  const changed = Object.fromEntries(
    names
      .map((name) => [name, typed(`correct-${name}`)])
      .filter(([name, value]) => value !== (order.relatedParty[name] ?? "")),
  );
  for (const name of names) showFault(`correct-${name}`, "");
  if (Object.keys(changed).length === 0) return;
  const problem = await change(order, refresh, "verbeterd", () => sales.correct(order, changed));
  const faults = problem?.errors ?? [];
  for (const { field, message } of faults) if (names.includes(field)) showFault(`correct-${field}`, message);
  if (faults.length > 0) byId(`correct-${faults[0].field}`)?.focus();
}

/** Show what there is for an order. */
export function showActions(order) {
  for (const action of actions) byId(action.id).hidden = !available(action, order);
}

/** Fill the form of corrections, unless somebody is typing in it. */
export function showCorrectable(order, { another }) {
  if (!another && byId("correct").contains(document.activeElement)) return;
  for (const { name } of words.correctable) {
    byId(`correct-${name}`).value = order.relatedParty[name] ?? "";
    if (another) showFault(`correct-${name}`, "");
  }
  if (another) byId("more-actions").open = false;
}
