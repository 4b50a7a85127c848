"""Checks all texts of a checkout and has Hugo build the site; whatever is wrong is a list of slips."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from callvoip.texts import addresses, hugo
from callvoip.texts.body import Body, Link, Surroundings
from callvoip.texts.front_matter import FrontMatter, Rules, check, read
from callvoip.texts.slip import Slip

PICTURES = frozenset({".avif", ".gif", ".jpeg", ".jpg", ".png", ".webp"})


class SlipsError(Exception):
    """The texts cannot be published as they are."""

    def __init__(self, slips: list[Slip]) -> None:
        self.slips = slips
        count = "1 fout" if len(slips) == 1 else f"{len(slips)} fouten"
        super().__init__("\n".join([f"De teksten kunnen zo niet gepubliceerd worden: {count}.", *map(str, slips)]))


@dataclass
class Texts:
    """What was read of content/."""

    tops: dict[str, FrontMatter] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)
    slips: list[Slip] = field(default_factory=list)


def _toml(file: Path) -> dict[str, Any]:
    return tomllib.loads(file.read_text(encoding="utf-8"))


def texts(root: Path) -> Texts:
    """Read and check every file below content/, without Hugo."""
    site, content = root / "site", root / "content"
    files = sorted(path for path in content.rglob("*") if path.is_file() and not path.name.startswith("."))
    pictures = frozenset(path.relative_to(content).as_posix() for path in files if path.suffix.lower() in PICTURES)
    brand = _toml(site / "data/brand.toml")
    rules = Rules(
        schema=_toml(site / "data/front_matter.toml"),
        contact_persons=frozenset(_toml(site / "data/contactpersonen.toml")),
        offerings=frozenset(offering["id"] for offering in _toml(site / "data/catalogue.toml")["offering"]),
        layouts=frozenset(path.stem for path in (site / "layouts").glob("*.html")),
        pictures=pictures,
    )
    shortcodes = {
        path.stem: ".Inner" in path.read_text(encoding="utf-8")
        for path in (site / "layouts/_shortcodes").glob("*.html")
    }
    known = Surroundings(shortcodes, pictures, brand["domain"])
    found = Texts()
    for path in files:
        file = path.relative_to(root).as_posix()
        if path.suffix == ".md":
            found.slips += _text(path, file, rules, known, found)
        elif path.suffix.lower() not in PICTURES:
            found.slips.append(
                Slip(
                    file,
                    0,
                    "dit bestand hoort hier niet",
                    f"In content/ staan teksten (.md) en afbeeldingen ({', '.join(sorted(PICTURES))}).",
                )
            )
    found.slips += _provider(root, found, brand)
    found.slips += _one_name(found)
    found.slips.sort()
    return found


def _text(path: Path, file: str, rules: Rules, known: Surroundings, found: Texts) -> Iterator[Slip]:
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        start = raw.rfind(b"\n", 0, error.start) + 1
        shown = raw[start : error.end].decode("cp1252", "replace").strip()[-40:]
        yield Slip(
            file,
            line,
            f"dit bestand is niet in UTF-8 opgeslagen (bij “{shown}”)",
            "Sla het opnieuw op met de codering UTF-8.",
        )
        return
    control = re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069\ufffd]", text)
    if control:
        line = text.count("\n", 0, control.start()) + 1
        yield Slip(
            file,
            line,
            f"hier staat een onzichtbaar teken (U+{ord(control[0]):04X})",
            "Typ deze regel opnieuw in plaats van haar te plakken.",
        )
        return
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    top, slips = read(file, text)
    yield from slips
    if not top.values:
        return
    found.tops[file] = top
    yield from check(file, top, rules)
    body = Body(file, "\n".join(text.split("\n")[top.body_line - 1 :]), top.body_line, known)
    yield from body.check()
    found.links += body.links
    if rules.type_of(file, top) == "page":
        yield from _typed_prices(file, text)


def _one_name(found: Texts) -> Iterator[Slip]:
    """Two files of which Hugo would take one: name.md and name/index.md, or names that differ in capitals."""
    seen: dict[str, str] = {}
    for file in sorted(found.tops):
        name = file.removesuffix(".md").removesuffix("/index").lower()
        if name in seen:
            yield Slip(file, 0, f"{seen[name]} heeft dezelfde naam", "Geef een van de twee bestanden een andere naam.")
        seen.setdefault(name, file)


def _typed_prices(file: str, text: str) -> Iterator[Slip]:
    for number, line in enumerate(text.split("\n"), 1):
        if re.search(r"€\s?\d", line):
            yield Slip(
                file,
                number,
                "hier staat een bedrag dat met de hand getypt is",
                'Schrijf {{< price "srtp" >}}; dan klopt het ook na een prijswijziging.',
            )


def _provider(root: Path, found: Texts, brand: dict[str, Any]) -> Iterator[Slip]:
    """The provider's name typed by hand; an address (url, slug, a link) may hold it, as links to it are out in the world."""
    names = re.compile(rf"(?<![\w/.-])({'|'.join(re.escape(brand[key]) for key in ('name', 'short_name'))})(?![\w/-])")
    for file in found.tops:
        for number, line in enumerate((root / file).read_text(encoding="utf-8-sig").splitlines(), 1):
            if names.search(line) and not re.match(r"(url|slug|aliases)\s*:", line):
                yield Slip(
                    file,
                    number,
                    "hier staat onze naam met de hand getypt",
                    "Schrijf {{< brand >}}, of {brand} in het blok bovenaan.",
                )


def build(root: Path, destination: Path, *options: str) -> None:
    """Check the texts, build the site into `destination`, and check where links lead. Raises SlipsError."""
    found = texts(root)
    if found.slips:
        raise SlipsError(found.slips)
    pages = hugo.listed(root)
    slips = sorted(addresses.doubles(pages, found.tops, _taken(root)))
    if slips:
        raise SlipsError(slips)
    built = hugo.run("--source", str(root / "site"), "--destination", str(destination), *hugo.STRICT, *options)
    if built.returncode or "uplicate target paths" in built.stdout + built.stderr:
        raise SlipsError(hugo.told(root, built.stdout + built.stderr))
    slips = sorted(addresses.broken(found.links, pages, addresses.Rendered(destination)))
    if slips:
        raise SlipsError(slips)


def _taken(root: Path) -> dict[str, str]:
    """The addresses of pages that are no text of an editor's."""
    found = {}
    for path in sorted((root / "site/pages").glob("*.md")):
        top, _ = read(path.name, path.read_text(encoding="utf-8"))
        found[(top.text("url") or f"/{path.stem}/").rstrip("/")] = path.relative_to(root).as_posix()
    return found
