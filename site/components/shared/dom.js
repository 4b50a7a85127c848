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

/**
 * An element that the page has; site/types.d.ts knows which are fields, links or dialogs.
 * @template {string} Id
 * @param {Id} id
 * @returns {Id extends keyof PageElements ? PageElements[Id] : HTMLElement}
 */
export const byId = (id) => /** @type {any} */ (document.getElementById(id));

/**
 * What an element is known to have inside. Raises Error without it.
 * @param {ParentNode} element
 * @param {string} selector
 * @returns {HTMLElement}
 */
export function partOf(element, selector) {
  const part = element.querySelector(selector);
  if (!part) throw new Error(`there is no ${selector}`);
  return part;
}

/**
 * What an event happened in: the closest element around its target that a selector names, or null.
 * @template {string} Selector
 * @param {Event} event
 * @param {Selector} selector
 * @returns {Selector extends keyof HTMLElementTagNameMap ? HTMLElementTagNameMap[Selector] | null : HTMLElement | null}
 */
export const around = (event, selector) =>
  /** @type {any} */ (event.target instanceof Element ? event.target.closest(selector) : null);

/** The filled-in fields of a form as a browser sends them without a script; none of our forms has files. */
export const urlEncoded = (form) => new URLSearchParams(/** @type {any} */ (new FormData(form)));

/** The data that the page carries in a <script type="application/json">. */
export const pageData = (id) => JSON.parse(byId(id).textContent);
