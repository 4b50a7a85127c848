"""A visitor who has a keyboard and nothing else: each stop must be seen, whole, and without scrolling sideways."""

from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Page, expect

MOST_STOPS = 60

# What is wrong with the element that has the focus, in words. Points inside its edges must belong to it, so that
# nothing lies over it.
_FAULTS = """() => {
  const at = document.activeElement, style = getComputedStyle(at), faults = [];
  if (at === document.body) return ["nothing has the focus"];
  if (!at.matches(":focus-visible")) faults.push("the focus is not shown");
  if (style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 2 || style.outlineColor.endsWith(", 0)")) faults.push("no outline");
  const wide = document.documentElement.clientWidth, high = innerHeight;
  if (document.documentElement.scrollWidth > wide || scrollX !== 0) faults.push("the page scrolls sideways");
  for (const box of at.getClientRects()) {
    if (box.width < 1 || box.height < 1) continue;
    if (box.left < 0 || box.right > wide + 0.5) faults.push(`reaches from ${box.left} to ${box.right} of ${wide}`);
    // A browser brings the line of the caret into view, not all lines of a textarea.
    const bottom = at.localName === "textarea" ? box.top + 24 : box.bottom;
    if (box.height <= high && (box.top < -0.5 || bottom > high + 0.5)) faults.push(`cut off: ${box.top} to ${bottom} of ${high}`);
    for (const x of [box.left + 2, (box.left + box.right) / 2, box.right - 2]) {
      for (const y of [box.top + 2, (box.top + box.bottom) / 2, box.bottom - 2]) {
        if (y < 0 || y >= high) continue;
        const over = document.elementFromPoint(x, y);
        if (over && !at.contains(over) && !over.contains(at)) faults.push(`<${over.localName} class="${over.className}"> lies over it`);
      }
    }
  }
  return faults;
}"""
_NAME = "() => { const at = document.activeElement; return at.id ? `#${at.id}` : `${at.localName} ${at.textContent.trim().slice(0, 60)}`; }"


@dataclass
class Walk:
    """A walk over one page; every stop is looked at."""

    page: Page

    def here(self) -> str:
        """The element that has the focus, by its id or its words."""
        return str(self.page.evaluate(_NAME))

    def press(self, key: str) -> None:
        """Press a key, and look where that leads."""
        self.page.keyboard.press(key)
        self.look()

    def look(self) -> None:
        """Fail when the focus cannot be seen, or what has it."""
        faults: list[Any] = self.page.evaluate(_FAULTS)
        assert faults == [], (self.page.url, self.here(), sorted(set(faults)))

    def go(self, selector: str, key: str = "Tab") -> None:
        """Go on stop by stop until the first element of this selector has the focus."""
        wanted = self.page.locator(selector).first
        stops = []
        for _ in range(MOST_STOPS):
            self.press(key)
            if wanted.evaluate("(element) => element === document.activeElement"):
                return
            stops.append(self.here())
        raise AssertionError(f"{key} does not lead to {selector}: {stops}")

    def type(self, selector: str, text: str) -> None:
        """Go to a field and fill it in, in the place of what it held."""
        self.go(selector)
        self.write(text)

    def write(self, text: str) -> None:
        """Fill in the field that has the focus, in the place of what it held."""
        self.page.keyboard.press("Control+a")
        self.page.keyboard.press("Delete")
        self.page.keyboard.type(text)

    def arrives(self, selector: str) -> None:
        """What was done before leads the focus here."""
        expect(self.page.locator(selector)).to_be_focused()
