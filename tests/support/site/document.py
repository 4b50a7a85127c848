"""A built page, read with the standard library's parser: its elements, its text, its anchors."""

import html.parser
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
_SILENT = {"script", "style"}


@dataclass
class Element:
    """One element with its attributes, in document order."""

    tag: str
    attributes: dict[str, str]


@dataclass
class Document:
    """All elements of a page, and its text with white space folded."""

    elements: list[Element] = field(default_factory=list)
    text: str = ""
    faults: list[str] = field(default_factory=list)

    def all(self, tag: str) -> list[Element]:
        """The elements of this name."""
        return [element for element in self.elements if element.tag == tag]

    @property
    def ids(self) -> list[str]:
        """Every id, duplicates included."""
        return [element.attributes["id"] for element in self.elements if "id" in element.attributes]


class _Reader(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.document = Document()
        self.open: list[str] = []
        self.pieces: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.document.elements.append(Element(tag, {name: value or "" for name, value in attrs}))
        if tag not in _VOID:
            self.open.append(tag)
        self.pieces.append(" " if tag not in {"strong", "em", "a", "code", "span"} else "")

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.document.elements.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open[-1] != tag:
            self.document.faults.append(f"</{tag}> closes {self.open[-1:]} at {self.getpos()}")
        if tag in self.open:
            while self.open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in _SILENT:
            self.pieces.append(data)


def read(text: str) -> Document:
    """Read a page."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    if reader.open:
        reader.document.faults.append(f"never closed: {reader.open}")
    reader.document.text = re.sub(r"\s+", " ", "".join(reader.pieces)).strip()
    return reader.document


def pages(site: Path) -> dict[str, Document]:
    """Every page of the built site by its address; the views are not pages."""
    found = {}
    for file in sorted(site.rglob("*.html")):
        address = "/" + file.relative_to(site).as_posix()
        found[address.removesuffix("index.html")] = read(file.read_text())
    return found


def broken_links(documents: Mapping[str, Document], exists: Callable[[str], bool]) -> list[str]:
    """Links, scripts, styles, pictures and fragments of our own that lead nowhere; `exists` answers for what is no
    page.
    """
    faults = []
    for address, document in documents.items():
        for element in document.elements:
            for name in ("href", "src"):
                wanted = element.attributes.get(name)
                link = urlsplit(urljoin(f"http://site{address}", wanted or ""))
                if (
                    wanted is None
                    or (link.scheme, link.netloc) != ("http", "site")
                    or link.path.startswith(("/api/", "/mijn/"))
                ):
                    continue
                if link.path not in documents and not exists(link.path):
                    faults.append(f"{address}: <{element.tag}> leads to {wanted}, which is not there")
                elif link.fragment and link.path in documents and link.fragment not in documents[link.path].ids:
                    faults.append(f"{address}: {wanted} has no such anchor")
    return faults
