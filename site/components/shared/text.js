// What people type or paste, cleaned as functions/src/shared/text.py does; tests/vectors/text.json holds both. Pure.

const INVISIBLE =
  // biome-ignore lint/suspicious/noMisleadingCharacterClass: each is meant by itself
  /[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\u{1bca0}-\u{1bca3}\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}]/gu;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is cleaned away
const SPACE = /[\u0000-\u0020\u007f-\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u2800\u3000]+/gu;
const DASH =
  /[\u002d\u058a\u05be\u1400\u1806\u2010-\u2015\u2043\u2212\u2e17\u2e1a\u2e3a\u2e3b\u2e40\u2e5d\u301c\u3030\u30a0\ufe31\ufe32\ufe58\ufe63\uff0d\u{10ead}]/gu;

/** One line: composed (NFC), without what is invisible, each run of spaces and control characters one space. */
export const line = (text) =>
  text
    .replace(INVISIBLE, "")
    .normalize("NFC")
    .replace(SPACE, " ")
    .replace(/^ +| +$/g, "");

/** Several lines, each cleaned, without empty ones at the ends. */
export const lines = (text) =>
  text
    .replace(/\r\n?/g, "\n")
    .split("\n")
    .map(line)
    .join("\n")
    .replace(/^\n+|\n+$/g, "");

/** What is a number of some sort: as a line, with plain digits (NFKC) and every dash a hyphen-minus. */
export const number = (text) => line(line(text).normalize("NFKC").replace(DASH, "-"));
