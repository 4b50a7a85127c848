// The few helpers for the page that every script here needs.

/** A new element: element("td", { class: "number" }, "€ 2,00"). Text is always text, never markup. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

/** A text with its {names} filled in. */
export const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

export const byId = (id) => document.getElementById(id);

/** The data that the page carries in a <script type="application/json">. */
export const pageData = (id) => JSON.parse(byId(id).textContent);
