// Words that mean the same (data/synonyms.toml), so that who asks for a "pbx" finds the page that says "telefooncentrale".

const ENDING = 3;
const SHORTEST_PART = 4;

/** A word without what differs between its forms and ways of typing it: capitals, accents, and the double vowel of bewaard and bewaren. */
const plain = (word) =>
  word
    .toLowerCase()
    .normalize("NFD")
    .replace(/[^\p{L}\p{N} -]/gu, "")
    .replace(/([aeou])\1/g, "$1");

/** Whether two words are forms of one, like prijs and prijzen: they begin alike, and only the ending differs. */
export function alike(one, other) {
  const [a, b] = [plain(one), plain(other)];
  if (Math.abs(a.length - b.length) > ENDING) return false;
  let same = 0;
  while (same < a.length && a[same] === b[same]) same += 1;
  return same === a.length || same >= Math.max(4, b.length - 2);
}

/** Whether a word is a part of a compound, at its beginning or its end: toestel in telefoontoestel, factuur in factuuradres. */
export function within(part, compound) {
  const [a, b] = [plain(part), plain(compound)];
  return a.length >= SHORTEST_PART && b.length > a.length && (b.startsWith(a) || alikeEnd(a, b));
}

/** Whether a word ends in another, in one of its forms: gesprekken in telefoongesprekken. */
function alikeEnd(part, word) {
  const at = word.indexOf(part);
  return at > 0 && word.length - at - part.length <= ENDING;
}

/** The words that mean the same as a word. */
export const synonyms = (word, groups) => [
  ...new Set(
    groups
      .filter((group) => group.some((one) => alike(word, one)))
      .flatMap((group) => group.filter((one) => !alike(word, one))),
  ),
];

/** Whether a word of a page is one of a term, in one of its forms or as the beginning of a compound. */
export const says = (found, term) =>
  term.split(/\s+/).some((word) => alike(word, found) || plain(found).startsWith(plain(word)));
