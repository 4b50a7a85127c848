// Words that mean the same (data/synonyms.toml), so that who asks for a "pbx" finds the page that says "telefooncentrale".

const ENDING = 3;

/** A word without what differs between its forms and ways of typing it: capitals, accents, and the double vowel of bewaard and bewaren. */
const plain = (word) =>
  word
    .toLowerCase()
    .normalize("NFD")
    .replace(/[^\p{L}\p{N} -]/gu, "")
    .replace(/([aeou])\1/g, "$1");

/** Whether two words are forms of one, like prijs and prijzen: they begin alike, and only the ending differs. */
function alike(one, other) {
  const [a, b] = [plain(one), plain(other)];
  if (Math.abs(a.length - b.length) > ENDING) return false;
  let same = 0;
  while (same < a.length && a[same] === b[same]) same += 1;
  return same === a.length || same >= Math.max(4, b.length - 2);
}

const others = (word, groups) =>
  groups
    .filter((group) => group.some((one) => alike(word, one)))
    .flatMap((group) => group.filter((one) => !alike(word, one)));

/** A query, and then the query in other words: all of it, or one of its words, replaced by a synonym. */
export function phrasings(query, groups) {
  const words = query.toLowerCase().split(/\s+/);
  const replaced = words.flatMap((word, at) => others(word, groups).map((other) => words.with(at, other).join(" ")));
  return [...new Set([query, ...others(words.join(" "), groups), ...replaced])];
}

/** Whether a word of a page is one of a phrasing, in one of its forms or as the beginning of a compound. */
export const says = (found, phrasing) =>
  phrasing.split(/\s+/).some((word) => alike(word, found) || plain(found).startsWith(plain(word)));
