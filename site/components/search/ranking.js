// Which page answers a question best: what its headings are about counts for more than what its text happens to say.

import { alike, synonyms, within } from "./synonyms.js";

const MOST_WORDS = 8;
const IN_OTHER_WORDS = 0.3; // a synonym of a word, beside the word itself
const TOGETHER = 2; // words that one heading says together are what it is about; apart in a text they may be chance
const SUBJECT = 1.5; // a page's title against a heading of one of its parts
const SHOWN_FROM = 0.2; // of what the best page has

const split = (text) => text.toLowerCase().match(/[\p{L}\p{N}][\p{L}\p{N}.-]*/gu) ?? [];

/**
 * What a question is about: its words, each with the terms that it may be looked for by and what finding one is worth. Words that every
 * question has (`small`) are left out, unless there are no others; words that are one term of a group ("werkt niet") stay together.
 * @returns {{word: string, terms: {text: string, worth: number}[]}[]}
 */
export function topics(query, { groups, small }) {
  let rest = ` ${split(query).join(" ")} `;
  const found = [];
  const longest = groups
    .flat()
    .filter((term) => term.includes(" "))
    .sort((one, other) => other.length - one.length);
  for (const term of longest) {
    if (!rest.includes(` ${term} `)) continue;
    rest = rest.replace(` ${term} `, " ");
    found.push(term);
  }
  const words = split(rest);
  const telling = words.filter((word) => !small.includes(word));
  found.push(...(telling.length + found.length > 0 ? telling : words));
  return [...new Set(found)].slice(0, MOST_WORDS).map((word) => ({
    word,
    terms: [
      { text: word, worth: 1 },
      ...synonyms(word, groups).map((text) => ({ text, worth: within(word, text) ? 1 : IN_OTHER_WORDS })),
    ],
  }));
}

const saysTerm = (words, term) =>
  split(term).every((part) => words.some((word) => alike(part, word) || within(part, word)));

/** How well a text says a topic, from 0 to 1. */
const worth = (words, { terms }) => Math.max(0, ...terms.map((term) => (saysTerm(words, term.text) ? term.worth : 0)));

/** What a heading says of a question: more when it says several of its words, and when it says little else. */
function told(heading, asked, small) {
  const words = split(heading);
  const each = asked.map((topic) => topic.weight * worth(words, topic));
  const said = each.filter((one) => one > 0).length;
  if (said === 0) return 0;
  const telling = words.filter((word) => !small.includes(word)).length;
  const alone = 0.5 + 0.5 * Math.min(1, said / telling);
  return each.reduce((sum, one) => sum + one, 0) * alone * (said > 1 ? TOGETHER : 1);
}

/**
 * Pages in the order in which they answer, best first. `hits`: for each topic what was found of each of its terms, as
 * `{worth, pages}` with pages of `{url, score, title, headings, weight}`; `count`: how many pages there are.
 */
export function ranked(asked, hits, { small, count }) {
  const pages = new Map();
  const topicsWeighed = asked.map((topic, at) => {
    const saying = new Set(hits[at].flatMap(({ pages }) => pages.map(({ url }) => url))).size;
    return { ...topic, weight: 0.2 + Math.log((count + 1) / (saying + 1)) / Math.log(count + 1) };
  });
  hits.forEach((terms, at) => {
    for (const { worth, pages: found } of terms)
      for (const page of found) {
        const known = pages.get(page.url) ?? { page, text: new Map(), best: 0, score: 0 };
        known.text.set(at, Math.max(known.text.get(at) ?? 0, worth));
        if (worth * page.score > known.best) Object.assign(known, { page, best: worth * page.score });
        known.score += worth * page.score;
        pages.set(page.url, known);
      }
  });
  const highest = Math.max(...[...pages.values()].map(({ score }) => score));
  const all = [...pages.values()].map((one) => {
    const text = topicsWeighed.reduce((sum, topic, at) => sum + topic.weight * (one.text.get(at) ?? 0), 0);
    const parts = one.page.headings.map((heading) => ({ ...heading, told: told(heading.text, topicsWeighed, small) }));
    const title = SUBJECT * told(one.page.title, topicsWeighed, small);
    const heading = Math.max(title, 0, ...parts.map((part) => part.told));
    const answering = parts.filter((part) => part.told > 0).sort((a, b) => b.told - a.told);
    return { ...one.page, answering, total: text + heading * one.page.weight + (0.1 * one.score) / highest };
  });
  all.sort((one, other) => other.total - one.total);
  return all.filter(({ total }) => total >= SHOWN_FROM * all[0].total);
}
