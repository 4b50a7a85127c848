// The step before what cannot be undone: what will happen, with the words that will be sent.

import { byId } from "../dom.js";

/** Ask; resolves to whether it was confirmed. The browser's own dialog keeps the focus in and gives it back. */
export function confirmed({ title, detail, quote = "", yes, bad = false }) {
  const dialog = byId("confirm");
  byId("confirm-title").textContent = title;
  byId("confirm-detail").textContent = detail;
  byId("confirm-quote").textContent = quote;
  byId("confirm-quote").hidden = !quote;
  byId("confirm-yes").textContent = yes;
  byId("confirm-yes").classList.toggle("button--bad", bad);
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}
