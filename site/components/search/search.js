// The search page: asks Pagefind's index, shows what it finds while the visitor types, and keeps the question in the address.

import words from "@params";
import { byId, element, fill, pageData, partOf } from "../shared/dom.js";
import { ranked, topics } from "./ranking.js";
import { says } from "./synonyms.js";

const INDEX = "/zoeken/pagefind/pagefind.js";
const SHOWN = 10;
const PARTS = 3;

const form = byId("search-form");
const field = byId("search-query");
const status = byId("search-status");
const results = byId("search-results");
const template = byId("search-result");
const language = pageData("search-words");
const count = document.querySelectorAll(".all-pages li").length;

let index; // loaded when it is first needed: it is larger than any of our pages
let asked = 0;
/** @type {Promise<any[] | void>} */
let turn = Promise.resolve();

async function load() {
  const found = await import(INDEX);
  await found.options({ baseUrl: "/", excerptLength: 24, ranking: { metaWeights: { title: 5 } } });
  return found;
}

/** The pages that say a term, with their scores. Of a word that nobody says Pagefind finds the beginning elsewhere: those pages go. */
async function saying(term) {
  index ??= load();
  const { results } = await (await index).search(term.includes(" ") ? `"${term}"` : term);
  const pages = await Promise.all(results.map(async (one) => ({ score: one.score, ...(await one.data()) })));
  return pages.filter(({ excerpt }) => marks(excerpt).some((mark) => says(mark, term))).map(read);
}

const read = ({ url, score, meta, excerpt, anchors }) => ({
  url,
  score,
  excerpt,
  title: meta.title,
  weight: Number(meta.weight ?? 1),
  headings: anchors.filter(({ element, text }) => /^h[2-6]$/.test(element) && text),
});

/** The pages that answer a question, best first. */
async function inOrder(query) {
  const asked = topics(query, language);
  const hits = [];
  for (const { terms } of asked) {
    const found = [];
    for (const { text, worth } of terms) found.push({ worth, pages: await saying(text) }); // one at a time: Pagefind mixes up what runs together
    hits.push(found);
  }
  return ranked(asked, hits, { small: language.small, count });
}

const parsed = (html) => new DOMParser().parseFromString(html, "text/html").body;
const marks = (html) => [...parsed(html).querySelectorAll("mark")].map((mark) => mark.textContent);

/** The text of an excerpt with the words that were found in <mark>: Pagefind's own HTML, of which only that is taken. */
function marked(html) {
  return [...parsed(html).childNodes].map((node) =>
    node.nodeName === "MARK" ? element("mark", {}, node.textContent) : node.textContent,
  );
}

function item({ url, title, excerpt, answering }) {
  const made = document.importNode(template.content, true);
  const link = /** @type {HTMLAnchorElement} */ (partOf(made, "a"));
  link.href = url;
  link.textContent = title;
  partOf(made, ".results__excerpt").append(...marked(excerpt));
  const list = partOf(made, ".results__parts");
  list.append(
    ...answering.slice(0, PARTS).map(({ id, text }) => element("li", {}, element("a", { href: `${url}#${id}` }, text))),
  );
  if (answering.length === 0) list.remove();
  return made;
}

const counted = (count, query) =>
  fill(count === 0 ? words.search_none : count === 1 ? words.search_one : words.search_many, { count, query });

async function search(query) {
  const mine = ++asked;
  if (query === "") {
    results.replaceChildren();
    status.textContent = "";
    return;
  }
  try {
    const searched = turn.catch(() => {}).then(() => (mine === asked ? inOrder(query) : []));
    turn = searched;
    const found = await searched;
    if (mine !== asked) return; // the visitor typed on
    results.replaceChildren(...found.slice(0, SHOWN).map(item));
    status.textContent = counted(found.length, query);
  } catch {
    index = undefined;
    results.replaceChildren();
    status.textContent = words.search_failed;
  }
}

const query = () => field.value.trim();

function ask() {
  const address = new URL(location.href);
  if (query()) address.searchParams.set("q", query());
  else address.searchParams.delete("q");
  history.replaceState(null, "", address);
  search(query());
}

let pause;
field.addEventListener("input", () => {
  clearTimeout(pause);
  pause = setTimeout(ask, 150);
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(pause);
  ask();
});

/** Arrow keys walk through the results and back to the field; Tab works as everywhere. */
function walk(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  const stops = [field, ...results.querySelectorAll(".results__title a")];
  const here = stops.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  const next = here < 0 ? undefined : stops[here + step];
  if (!next) return;
  event.preventDefault();
  next.focus();
}
form.addEventListener("keydown", walk);
results.addEventListener("keydown", walk);

field.value = new URLSearchParams(location.search).get("q") ?? "";
search(query());
