"""The text below the front matter: Markdown and shortcodes, held against what a page may hold; and its links.

It is read as CommonMark, as Goldmark does; a shortcode is left out of that, its inner text is not.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token

from callvoip.texts.slip import Slip, meant

MORE = "<!--more-->"
_SHORTCODE = re.compile(r"\{\{([<%])\s*(/?)\s*([\w-]*)((?:(?!\{\{)[^\"]|\"[^\"]*\")*?)(/?)\s*([>%])\}\}", re.DOTALL)
_HALF_A_SHORTCODE = re.compile(r"\{\{\s*[<%]|[>%]\s*\}\}|\{\{|\}\}")
_CURLY_QUOTES = re.compile("[“”„‘’]")
_TAG = re.compile(r"</?\s*([a-zA-Z][\w-]*)")
_BARE_ADDRESS = re.compile(r"(?<![\w@./])www\.[\w-]+\.\w+\S*")
_HALF_A_LINK = re.compile(r"\]\s?\(|\]\[")
_DOMAIN = re.compile(r"(?:[\w-]+\.)+[a-z]{2,}(?:/.*)?", re.IGNORECASE)
_MAIL = re.compile(r"[^@\s/]+@[\w.-]+\.\w+")
_BULLET = re.compile(r"^\s*[•·▪‣◦–—]\s")
_HEADING = re.compile(r"^#{1,6}[^#\s]")
# Words that a Dutch editor may take for the name of a shortcode.
_DUTCH = {
    "prijs": "price", "merk": "brand", "naam": "brand", "vraag": "question", "belofte": "promise", "tekening": "drawing",
    "plannen": "plans", "formulier": "order-form", "bewaartermijn": "retention",
}  # fmt: skip
_PICTURES = (".avif", ".gif", ".jpeg", ".jpg", ".png", ".webp")
_IN_MARKDOWN = {
    "a": "Schrijf een link als [tekst](https://…) of [tekst](/pad/).",
    "b": "Schrijf **vet**.", "strong": "Schrijf **vet**.", "i": "Schrijf *cursief*.", "em": "Schrijf *cursief*.",
    "img": "Schrijf een afbeelding als ![wat er te zien is](foto.jpg).", "br": "Begin een nieuwe alinea met een lege regel.",
    "ul": "Schrijf een lijst met * aan het begin van elke regel.", "table": "Schrijf de tabel in Markdown, met | tussen de kolommen.",
    "iframe": "Van andere websites wordt hier niets geladen; schrijf een link.",
    "script": "Een tekst bevat geen programma’s; vraag de ontwikkelaars.",
}  # fmt: skip


@dataclass(frozen=True)
class Link:
    """A link of our own that can only be judged when all pages are known: a path, or # and an anchor."""

    file: str
    line: int
    target: str


@dataclass(frozen=True)
class Surroundings:
    """What a body may name: shortcodes (with whether they have an inner text), pictures below content/, and our own domain."""

    shortcodes: Mapping[str, bool]
    pictures: frozenset[str]
    domain: str


class Body:
    """One text below its front matter; `first_line` is the line of the file on which it begins."""

    def __init__(self, file: str, text: str, first_line: int, known: Surroundings) -> None:
        self._file = file
        self._text = text
        self._first = first_line
        self._known = known
        self._markdown = MarkdownIt("commonmark").enable(["table", "strikethrough"])
        self._markdown.normalizeLink = lambda url: url  # type: ignore[method-assign]
        self._markdown.validateLink = lambda url: True  # type: ignore[method-assign]
        self.links: list[Link] = []

    def check(self) -> Iterator[Slip]:
        """What is wrong; fills `links` on the way."""
        masked = yield from self._shortcodes()
        self._masked = masked
        self._lines = masked.split("\n")
        yield from self._written_lines()
        level = 1
        for token in self._markdown.parse(masked):
            where = token.map[0] if token.map else 0
            if token.type == "html_block":
                yield from self._html(token.content, where)
            elif token.type == "code_block":
                yield self._slip(
                    where,
                    "deze regel springt in en wordt daardoor als programmacode getoond",
                    "Haal de tab of spaties vooraan weg.",
                )
            elif token.type == "heading_open":
                yield from self._heading(int(token.tag[1]), level, where)
                level = int(token.tag[1])
            elif token.type == "inline":
                yield from self._inline(token, where)

    def _slip(self, index: int, wrong: str, do: str) -> Slip:
        return Slip(self._file, self._first + index, wrong, do)

    def _line_at(self, offset: int, text: str | None = None) -> int:
        return (self._text if text is None else text).count("\n", 0, offset)

    # --- shortcodes

    def _shortcodes(self) -> Generator[Slip, None, str]:
        """Check them, and answer the text with each replaced by as many letters, or by spaces when it has its lines for itself."""
        open_: list[tuple[str, int]] = []
        pieces: list[str] = []
        end = 0
        for found in _SHORTCODE.finditer(self._text):
            pieces.append(self._text[end : found.start()])
            end = found.end()
            alone = not self._text[self._text.rfind("\n", 0, found.start()) + 1 : found.start()].strip()
            pieces.append(
                re.sub(r"[^\n]", " " if alone and self._text[end : end + 1] in ("\n", "") else "x", found.group())
            )
            yield from self._shortcode(found, open_)
        pieces.append(self._text[end:])
        masked = "".join(pieces)
        for name, line in open_:
            yield self._slip(
                line, f'"{name}" begint hier, maar houdt niet op', f"Zet onder de tekst: {{{{< /{name} >}}}}."
            )
        for found in _HALF_A_SHORTCODE.finditer(masked):
            line = self._line_at(found.start(), masked)
            yield self._slip(
                line,
                f"{found.group().strip()} hoort bij een half geschreven opdracht",
                'Schrijf haar heel, zoals {{< price "srtp" >}}.',
            )
            break
        return masked

    def _shortcode(self, found: re.Match[str], open_: list[tuple[str, int]]) -> Iterator[Slip]:
        start, closing, name, arguments, itself, ending = found.groups()
        line = self._line_at(found.start())
        if arguments.startswith("/*"):
            return
        if (start, ending) not in (("<", ">"), ("%", "%")):
            yield self._slip(
                line, f"{found.group()} begint met {start} en eindigt met {ending}", f"Schrijf {{{{< {name} >}}}}."
            )
        if name not in self._known.shortcodes:
            known = ", ".join(sorted(self._known.shortcodes))
            yield self._slip(
                line,
                f'er is geen opdracht "{name}"',
                meant(_DUTCH.get(name, name), self._known.shortcodes, f"Mogelijk zijn: {known}."),
            )
            return
        if _CURLY_QUOTES.search(arguments.partition('"')[0]):
            yield self._slip(line, "hier staan gekrulde aanhalingstekens", 'Gebruik rechte: ".')
        if not self._known.shortcodes[name]:
            if closing:
                yield self._slip(line, f'"{name}" heeft geen einde nodig', "Haal deze regel weg.")
        elif closing:
            if open_ and open_[-1][0] == name:
                open_.pop()
            else:
                yield self._slip(
                    line, f'"{name}" houdt hier op, maar begint nergens', f"Zet boven de tekst: {{{{< {name} … >}}}}."
                )
                open_[:] = [one for one in open_ if one[0] != name]
        elif not itself:
            open_.append((name, line))

    # --- lines

    def _written_lines(self) -> Iterator[Slip]:
        fenced = False
        for number, line in enumerate(self._lines):
            if line.lstrip().startswith(("```", "~~~")):
                fenced = not fenced
            if fenced:
                continue
            if _BULLET.match(line):
                yield self._slip(
                    number,
                    f"een lijst met “{line.strip()[0]}” wordt als gewone tekst getoond",
                    "Begin elke regel van een lijst met * en een spatie.",
                )
            if _HEADING.match(line):
                yield self._slip(
                    number,
                    "een kop zonder spatie achter # wordt als gewone tekst getoond",
                    "Zet een spatie achter de #-tekens.",
                )

    def _html(self, html: str, first: int) -> Iterator[Slip]:
        for number, line in enumerate(html.rstrip("\n").split("\n")):
            if line.strip() == MORE:
                continue
            comment = re.match(r"\s*<!--\s*(.*)", line)
            if comment:
                do = f"Schrijf precies {MORE}." if comment[1].lower().startswith("more") else "Haal de opmerking weg."
                yield self._slip(first + number, "een opmerking in HTML hoort niet in een tekst", do)
                return
            tags = [tag.lower() for tag in _TAG.findall(line)]
            if tags:
                do = next(
                    (_IN_MARKDOWN[tag] for tag in tags if tag in _IN_MARKDOWN),
                    "Schrijf het in Markdown, of haal het weg.",
                )
                yield self._slip(first + number, f"HTML (<{tags[0]}>) wordt niet gepubliceerd", do)
                return

    def _heading(self, level: int, before: int, line: int) -> Iterator[Slip]:
        if level == 1:
            yield self._slip(line, "een kop met één # is de titel, en die staat al bovenaan", "Begin koppen bij ##.")
        elif level > before + 1:
            yield self._slip(
                line, f"een kop met {'#' * level} komt na een met {'#' * before}", f"Gebruik hier {'#' * (before + 1)}."
            )

    # --- what stands in a line

    def _inline(self, block: Token, first: int) -> Iterator[Slip]:
        last = block.map[1] if block.map else first + 1
        line = first
        inside = 0  # a link's own text may say www.
        for number, token in enumerate(block.children or ()):
            if token.type in ("softbreak", "hardbreak"):
                line = min(line + 1, last - 1)
            elif token.type == "html_inline":
                if token.content != MORE:
                    yield from self._html(token.content, line)
            elif token.type == "image":
                yield from self._image(str(token.attrs.get("src", "")), token.content, line)
            elif token.type == "link_open":
                inside += 1
                empty = (block.children or [])[number + 1].type == "link_close"
                if token.info != "auto":
                    yield from self._link(str(token.attrs.get("href", "")), line, empty=empty)
            elif token.type == "link_close":
                inside -= 1
            elif token.type == "text":
                yield from self._plain(token.content, line, linked=bool(inside))

    def _plain(self, text: str, line: int, *, linked: bool) -> Iterator[Slip]:
        if _HALF_A_LINK.search(text):
            yield self._slip(
                line,
                "deze link is niet af of bevat een spatie",
                "Schrijf [tekst](/pad/), zonder spatie tussen ] en ( en zonder spaties in het adres.",
            )
        if linked:
            return
        for found in _BARE_ADDRESS.findall(text):
            yield self._slip(line, f"{found} is geen link", f"Schrijf [tekst](https://{found.rstrip('.,;:)')}).")
        if f"//{self._known.domain}" in text or f"//www.{self._known.domain}" in text:
            yield self._slip(
                line,
                "dit is een volledig adres van onze eigen website",
                "Schrijf een link met alleen het pad: [tekst](/pad/).",
            )

    def _image(self, source: str, alt: str, line: int) -> Iterator[Slip]:
        if not alt.strip():
            yield self._slip(
                line,
                f"de afbeelding {source} heeft geen beschrijving",
                f"Schrijf tussen [ en ] wat er te zien is: ![een telefoon]({source}).",
            )
        if urlsplit(source).scheme or source.startswith("//"):
            yield self._slip(
                line,
                f"de afbeelding {source} staat op een andere website",
                "Zet het bestand in content/ en schrijf alleen zijn naam.",
            )
        elif picture(self._file, source) not in self._known.pictures:
            do = "Zet het bestand in content/, naast de tekst, en schrijf zijn naam precies zo."
            if not source.lower().endswith(_PICTURES):
                do = f"Een afbeelding is een bestand met {', '.join(_PICTURES)}. {do}"
            yield self._slip(line, f"de afbeelding {source} bestaat niet", do)

    def _link(self, target: str, line: int, *, empty: bool) -> Iterator[Slip]:
        if empty:
            yield self._slip(
                line, "deze link heeft geen tekst", f"Schrijf tussen [ en ] waar hij heen gaat: [tekst]({target})."
            )
        wrong = _wrong_link(target, self._known.domain)
        if wrong:
            yield self._slip(line, *wrong)
        elif target.startswith(("/", "#")):
            self.links.append(Link(self._file, self._first + line, target))


def picture(file: str, source: str) -> str:
    """Where below content/ a picture stands that the text of `file` names: beside the text, or from the top when it begins with /."""
    if source.startswith("/"):
        return source[1:]
    return f"{file.removeprefix('content/').rpartition('/')[0]}/{source}".removeprefix("/")


def _wrong_link(target: str, domain: str) -> tuple[str, str] | None:
    """What is wrong with a link's target, and what to write; None for one that may be right."""
    try:
        parts = urlsplit(target)
    except ValueError:
        return f"de link {target} is niet te lezen", "Schrijf [tekst](https://…) of [tekst](/pad/)."
    scheme = parts.scheme.lower()
    if not target.strip():
        return "deze link gaat nergens heen", "Schrijf tussen ( en ) het adres: /pad/ of https://…"
    if scheme in ("http", "https") or target.startswith("//"):
        host = (parts.hostname or "").lower()
        if not host or "." not in host:
            return f"de link {target} is geen volledig adres", "Schrijf https://, de naam van de website en het pad."
        if host in (domain, f"www.{domain}"):
            path = parts.path or "/"
            return (
                "dit is een volledig adres van onze eigen website",
                f"Schrijf alleen het pad: {path}{'#' + parts.fragment if parts.fragment else ''}.",
            )
        return ("deze link heeft geen https:", f"Schrijf https:{target}.") if not scheme else None
    if scheme == "mailto":
        return (
            None
            if _MAIL.fullmatch(parts.path)
            else (f"{target} is geen e-mailadres", "Schrijf [tekst](mailto:naam@example.nl).")
        )
    if scheme == "tel":
        return (
            None
            if re.fullmatch(r"\+?[0-9]{3,15}", parts.path)
            else (f"{target} is geen telefoonnummer", "Schrijf [tekst](tel:+31855550100).")
        )
    if "\\" in target:
        return f"de link {target} bevat een \\", "Gebruik / : [tekst](/pad/)."
    if target.startswith(("/", "#")):
        return None
    if _MAIL.fullmatch(target):
        return f"{target} is een e-mailadres zonder mailto:", f"Schrijf [tekst](mailto:{target})."
    if target.startswith("www.") or (_DOMAIN.fullmatch(target) and not target.endswith((".md", ".html"))):
        return f"de link {target} mist https://", f"Schrijf [tekst](https://{target})."
    if scheme:
        return f"een link met {scheme}: kan niet", "Gebruik https://, mailto:, tel: of een pad van deze website: /pad/."
    name = re.sub(r"(^(\.{1,2}/)+)|((/?(_?index)?\.(md|html))?/?$)", "", target)
    return f"de link {target} begint niet met /", f"Schrijf het hele pad van de pagina: /{name}/."
