// Single keys for what is done often. They can be switched off (WCAG 2.1.4), and never act while something is being typed.

import { around, byId, pageData } from "../shared/dom.js";

const OFF = "console.keys";
const keys = Object.fromEntries(pageData("console-keys").map(({ key, does }) => [key, does]));
const enabled = () => localStorage.getItem(OFF) !== "off";

/** Make the keys work; `does` holds a function for each of data/console.toml. */
export function startKeys(does) {
  addEventListener("keydown", (event) => {
    const name = keys[event.key];
    if (!name || !enabled() || event.ctrlKey || event.metaKey || event.altKey) return;
    if (around(event, "input:not([type=checkbox]), textarea, select, dialog")) return;
    event.preventDefault();
    does[name]();
  });
  byId("keys-enabled").checked = enabled();
  byId("keys-enabled").addEventListener("change", () => {
    if (byId("keys-enabled").checked) localStorage.removeItem(OFF);
    else localStorage.setItem(OFF, "off");
  });
  byId("keys-open").addEventListener("click", () => byId("keys").showModal());
}
