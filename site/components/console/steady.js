// New data must not move what somebody is reading, pointing at or typing in.

const isSeen = (element) => {
  const { top, bottom } = element.getBoundingClientRect();
  return bottom > 0 && top < innerHeight;
};

function ancestors(element) {
  const all = [];
  for (let one = element; one && one !== document.body; one = one.parentElement) all.push(one);
  return all;
}

/** What must stay where it is, innermost first: what has the focus, else what is pointed at, else what is on top of the screen. */
function anchors(part) {
  const focused = document.activeElement;
  if (focused && isSeen(focused) && (part.contains(focused) || focused.matches("input, textarea")))
    return ancestors(focused);
  const pointed = [...part.querySelectorAll(":hover")].reverse();
  if (pointed.length > 0) return pointed;
  const { top, left, width } = part.getBoundingClientRect();
  return top < 0 ? ancestors(document.elementFromPoint(left + width / 2, 1)) : [];
}

/** Change a part of the page, and scroll by as much as that moved what has to stay. */
export function steadily(part, change) {
  const places = anchors(part).map((element) => [element, element.getBoundingClientRect().top]);
  change();
  const [kept, before] = places.find(([element]) => element.isConnected && element.getClientRects().length > 0) ?? [];
  if (!kept) return;
  const moved = () => kept.getBoundingClientRect().top - before;
  const inside = part.contains(kept) && getComputedStyle(part).position === "sticky"; // what stays beside the list scrolls by itself
  (inside ? part : window).scrollBy({ top: moved(), behavior: "instant" });
  if (inside) return;
  const gap = -moved(); // the page cannot be scrolled above its beginning: room is made until the pointer leaves
  if (gap > 0.5) {
    part.style.paddingBlockStart = `${gap + parseFloat(getComputedStyle(part).paddingBlockStart)}px`;
    part.addEventListener("pointerleave", () => (part.style.paddingBlockStart = ""), { once: true });
  }
}

/** Make `parent` hold these children in this order, touching only those that are new, gone or elsewhere. */
export function arrange(parent, children) {
  const wanted = new Set(children);
  for (const one of [...parent.children]) if (!wanted.has(one)) one.remove();
  let here = parent.firstElementChild;
  for (const one of children) {
    if (one === here) here = here.nextElementSibling;
    else parent.insertBefore(one, here);
  }
}
