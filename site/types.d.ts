// What tsc cannot see of the page that a script runs in. Only for the check; nothing of it reaches a browser.

/** What Hugo hands to a bundle (layouts/_partials/script.html): the words of the page's language. */
declare module "@params" {
  const words: Record<string, string>;
  export default words;
  /** Of consent.js only: what data/brand.toml says of the analytics. */
  export const cookies: { name: string }[];
  export const script: { src: string; integrity: string };
}

/** Elements that byId finds and that are more than an HTMLElement, by their ids in layouts/ and views/. */
interface PageElements {
  [correction: `correct-${string}`]: HTMLInputElement;
  [filledIn: `customer-field-${string}`]: HTMLInputElement & HTMLSelectElement;
  back: HTMLAnchorElement;
  "calculator-count": HTMLInputElement;
  category: HTMLSelectElement;
  confirm: HTMLDialogElement;
  "customer-action": HTMLSelectElement;
  "customer-choice": HTMLSelectElement;
  "customer-labels": HTMLTextAreaElement;
  "customer-q": HTMLInputElement;
  "customer-reason": HTMLTextAreaElement;
  keys: HTMLDialogElement;
  "keys-enabled": HTMLInputElement;
  "month-after": HTMLAnchorElement;
  "month-before": HTMLAnchorElement;
  "more-actions": HTMLDetailsElement;
  note: HTMLTextAreaElement;
  "order-form": HTMLFormElement;
  phones: HTMLInputElement;
  q: HTMLInputElement;
  reason: HTMLTextAreaElement;
  "receipt-text": HTMLTextAreaElement;
  "search-query": HTMLInputElement;
  "search-result": HTMLTemplateElement;
  "select-all": HTMLInputElement;
  sort: HTMLSelectElement;
}

// Our pages are HTML: what a script looks up is never an SVG element.
interface ParentNode {
  querySelector<Name extends keyof HTMLElementTagNameMap>(selectors: Name): HTMLElementTagNameMap[Name] | null;
  querySelector(selectors: string): HTMLElement | null;
  querySelectorAll<Name extends keyof HTMLElementTagNameMap>(selectors: Name): NodeListOf<HTMLElementTagNameMap[Name]>;
  querySelectorAll(selectors: string): NodeListOf<HTMLElement>;
}

interface Element {
  closest<Name extends keyof HTMLElementTagNameMap>(selectors: Name): HTMLElementTagNameMap[Name] | null;
  closest(selectors: string): HTMLElement | null;
}
