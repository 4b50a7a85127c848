"""Every page has an address of its own, and every link of ours leads to one, with the anchor that it names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

from callvoip.texts.body import Link
from callvoip.texts.front_matter import RESERVED, FrontMatter
from callvoip.texts.hugo import Listed
from callvoip.texts.slip import Slip, meant


def doubles(pages: Iterable[Listed], tops: Mapping[str, FrontMatter], taken: Mapping[str, str]) -> Iterator[Slip]:
    """Two files that want one address, by `url`, `slug`, `aliases` or their names.

    `taken` are addresses of no text, with what stands there.
    """
    owners = {address: (what, 0) for address, what in taken.items()}
    wanted = [(page.address, page.file, _line(tops.get(page.file), "url", "slug")) for page in pages]
    wanted += [
        (str(alias.value), file, alias.line)
        for file, top in tops.items()
        for alias in (
            top.values["aliases"].value or ()
            if "aliases" in top.values and top.values["aliases"].kind == "list"
            else ()
        )
    ]
    for address, file, line in wanted:
        key = unquote(address).rstrip("/").lower()
        if key in owners:
            other, at = owners[key]
            where = f"{other}:{at}" if at else other
            yield Slip(
                file,
                line,
                f"het adres {address} heeft ook {where}",
                "Geef een van de twee een ander adres (url, slug of aliases).",
            )
        else:
            owners[key] = (file, line)


def _line(top: FrontMatter | None, *keys: str) -> int:
    return next((top.values[key].line for key in keys if top and key in top.values and top.values[key].value), 1)


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids.update(value for name, value in attrs if name == "id" and value)


class Rendered:
    """The built site, as far as links need it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._anchors: dict[str, set[str]] = {}
        self.addresses = {
            f"/{file.parent.relative_to(directory).as_posix()}/".replace("/./", "/")
            for file in directory.rglob("index.html")
        }

    def anchors(self, address: str) -> set[str]:
        """The anchors of a page."""
        if address not in self._anchors:
            parser = _Anchors()
            parser.feed((self._directory / address.strip("/") / "index.html").read_text(encoding="utf-8"))
            self._anchors[address] = parser.ids
        return self._anchors[address]

    def is_file(self, path: str) -> bool:
        """Whether a path is a file of the site, like /favicon.svg."""
        return (self._directory / path.strip("/")).is_file()


def broken(links: Iterable[Link], pages: Iterable[Listed], site: Rendered) -> Iterator[Slip]:
    """Links that lead nowhere."""
    by_file = {page.file: page for page in pages}
    hidden = {page.address: page.file for page in by_file.values() if not page.published}
    for link in links:
        own = by_file.get(link.file)
        if own is None or not own.published:
            continue  # a draft is not built; its links are judged when it is
        path, _, anchor = link.target.partition("#")
        path = unquote(path.partition("?")[0]) or own.address
        if path.startswith(RESERVED) or (not path.endswith("/") and site.is_file(path)):
            continue
        if path not in site.addresses:
            yield Slip(link.file, link.line, *_nowhere(path, hidden, site))
        elif anchor and unquote(anchor) not in site.anchors(path):
            known = site.anchors(path)
            do = meant(
                anchor,
                known,
                "Kijk op de pagina welke koppen zij heeft; een kop “Uw rechten” heeft het anker #uw-rechten.",
            )
            yield Slip(link.file, link.line, f"de pagina {path} heeft geen anker #{anchor}", do)


def _nowhere(path: str, hidden: Mapping[str, str], site: Rendered) -> tuple[str, str]:
    slashed = f"/{path.strip('/')}/".replace("//", "/")
    if slashed in hidden:
        return (
            f"de link {path} leidt naar {hidden[slashed]}, dat nog niet gepubliceerd wordt",
            "Publiceer die tekst ook, of haal de link weg.",
        )
    if slashed in site.addresses:
        return f"de link {path} is niet het hele adres", f"Schrijf {slashed}."
    return f"de link {path} leidt naar geen enkele pagina", meant(
        path, site.addresses, "Controleer het adres; /stijl/ en /console/ horen er ook niet bij."
    )
