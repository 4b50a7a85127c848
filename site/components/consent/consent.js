// Whether this visitor lets us measure visits, where brand.toml says with what. Nothing is loaded before a yes.
// Not a module: it runs before the first paint, so that the question stands there at once or not at all, and nothing moves.

import { cookies, script } from "@params";

const KEY = "consent-analytics";
const root = document.documentElement;

/** The visitor's answer: yes, no, or none yet. A browser that keeps nothing is not asked, as it would be asked on every page. */
function answer() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return "no";
  }
}

function load() {
  const made = document.createElement("script");
  made.src = script.src;
  made.integrity = script.integrity;
  document.head.append(made);
}

/** consent.css shows what belongs to the answer. */
const show = () => (root.dataset.consent = answer() ?? "open");

function choose(chosen, button) {
  const before = answer();
  localStorage.setItem(KEY, chosen);
  // biome-ignore lint/suspicious/noDocumentCookie: not every browser has the Cookie Store API, which cannot wait for a reload either
  if (chosen === "no") for (const { name } of cookies) document.cookie = `${name}=; Max-Age=0; Path=/`;
  if (before === "yes" && chosen === "no") location.reload(); // the script runs on this page
  if (before !== "yes" && chosen === "yes") load();
  const done = button.closest(".consent")?.querySelector(".consent__done");
  if (done) {
    button.closest(".consent__question").hidden = true;
    done.hidden = false;
    done.focus();
  } else show();
}

show();
if (answer() === "yes") load();
document.addEventListener("click", (event) => {
  const button = event.target instanceof Element ? event.target.closest("[data-consent]") : null;
  if (button) choose(button.dataset.consent, button);
});
