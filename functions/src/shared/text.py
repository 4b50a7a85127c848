"""What people type or paste, cleaned in one place; site/components/shared/text.js does the same, and tests/vectors/text.json
holds both. Pure.
"""

import re
import unicodedata

# Unicode's Default_Ignorable_Code_Point (https://www.unicode.org/reports/tr44/), which nobody sees: marks of direction, zero-width
# characters, fillers, variation selectors, tags; and the anchors of interlinear annotation.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# Control characters (Cc), spaces of any width, and the Braille cell without dots, which is as blank as they are.
_SPACE = re.compile("[\u0000-\u0020\u007f-\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u2800\u3000]+")
# All dashes of Unicode's category Pd, the minus sign and the hyphen bullet.
_DASH = re.compile(
    "[\u002d\u058a\u05be\u1400\u1806\u2010-\u2015\u2043\u2212\u2e17\u2e1a\u2e3a\u2e3b\u2e40\u2e5d\u301c\u3030\u30a0"
    "\ufe31\ufe32\ufe58\ufe63\uff0d\U00010ead]"
)


def line(text: str) -> str:
    """One line: composed (NFC), without what is invisible, each run of spaces and control characters one space."""
    return _SPACE.sub(" ", unicodedata.normalize("NFC", _INVISIBLE.sub("", text))).strip(" ")


def lines(text: str) -> str:
    """Several lines, each cleaned, without empty ones at the ends."""
    return "\n".join(map(line, text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))).strip("\n")


def number(text: str) -> str:
    """What is a number of some sort: as a line, with plain digits (NFKC) and every dash a hyphen-minus."""
    return line(_DASH.sub("-", unicodedata.normalize("NFKC", line(text))))
