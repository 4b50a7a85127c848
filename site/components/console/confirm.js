// The step before what cannot be undone: what will happen, with the words that will be sent.

import { byId } from "../shared/dom.js";

/**
 * Ask; resolves to whether it was confirmed. The browser's own dialog keeps the focus in and gives it back.
 * @param {{title: string, detail: string, quote?: string, mail?: {to: string, subject: string, text: string | null} | null, yes: string, bad?: boolean}} question
 * @returns {Promise<boolean>}
 */
export function confirmed({ title, detail, quote = "", mail = null, yes, bad = false }) {
  const dialog = byId("confirm");
  const text = mail?.text ?? quote;
  byId("confirm-title").textContent = title;
  byId("confirm-detail").textContent = detail;
  byId("confirm-mail").textContent = mail?.text ? `E-mail aan ${mail.to}: ${mail.subject}` : "";
  byId("confirm-mail").hidden = !mail?.text;
  byId("confirm-quote").textContent = text;
  byId("confirm-quote").hidden = !text;
  byId("confirm-yes").textContent = yes;
  byId("confirm-yes").classList.toggle("button--bad", bad);
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) =>
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }),
  );
}
