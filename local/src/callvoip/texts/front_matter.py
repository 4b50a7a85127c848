"""The top of a text, between two lines of ---: YAML, read strictly, as site/data/front_matter.toml says.

Hugo takes `draft: yes` for a text, and a text for no: the article would be published. So only true and false say yes
and no here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

import yaml

from callvoip.texts.slip import Slip, meant

BORDER = "---"
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?\s*(Z|[+-]\d{2}:?\d{2})?)?")
_NUMBER = re.compile(r"[-+]?[0-9][0-9_]*(\.[0-9]*)?")
_ADDRESS = re.compile(r"/(?:[a-z0-9._~-]+/)*")
_SLUG = re.compile(r"[a-z0-9._~-]+/?")
_PLACEHOLDER = re.compile(r"\{[^}]*\}")

_KINDS = {
    "text": "een tekst",
    "yes-or-no": "true of false",
    "date": "een datum",
    "list": "een lijst",
    "map": "een groep velden",
    "number": "een getal",
    "empty": "leeg",
}
_HOW = {
    "text": 'Zet de waarde tussen aanhalingstekens: {key}: "…".',
    "yes-or-no": "Schrijf true (ja) of false (nee), zonder aanhalingstekens en zonder hoofdletters.",
    "date": "Schrijf jaar-maand-dag, zoals 2026-11-26.",
    "list": "Schrijf een lijst: {key}: [eerste, tweede].",
    "number": "Schrijf een getal, zoals 0.5.",
    "map": "Zet de velden eronder, elk op een regel met twee spaties ervoor.",
}
# Words that a Dutch editor may take for a key.
_DUTCH = {
    "titel": "title", "datum": "date", "auteur": "author", "concept": "draft", "omschrijving": "description",
    "beschrijving": "description", "inleiding": "lead", "categorie": "categories", "afbeelding": "images",
    "adres": "url", "soort": "type", "gewijzigd": "lastmod",
}  # fmt: skip


@dataclass(frozen=True)
class Value:
    """A value with the line that it stands on."""

    kind: str
    value: Any
    line: int


@dataclass(frozen=True)
class FrontMatter:
    """The keys of a text, in lower case as Hugo takes them, and the line on which its body begins."""

    values: dict[str, Value] = field(default_factory=dict)
    body_line: int = 1

    def text(self, key: str) -> str:
        """The text of a key, empty when it is not there."""
        found = self.values.get(key)
        return str(found.value) if found and found.kind == "text" else ""

    def on(self, key: str) -> bool:
        """Whether a key says true."""
        found = self.values.get(key)
        return bool(found and found.value is True)


def _read(node: yaml.Node) -> Value:
    line = node.start_mark.line + 2
    if isinstance(node, yaml.SequenceNode):
        return Value("list", [_read(one) for one in node.value], line)
    if isinstance(node, yaml.MappingNode):
        return Value(
            "map",
            {str(key.value): replace(_read(value), line=key.start_mark.line + 2) for key, value in node.value},
            line,
        )
    written = str(node.value)
    assert isinstance(node, yaml.ScalarNode)  # noqa: S101 (there is no fourth kind)
    if node.style is not None:
        return Value("text", written, line)
    if written.lower() in ("", "null", "~"):
        return Value("empty", None, line)
    if written in ("true", "false"):
        return Value("yes-or-no", written == "true", line)
    kind = "date" if _DATE.fullmatch(written) else "number" if _NUMBER.fullmatch(written) else "text"
    return Value(kind, written, line)


def read(file: str, text: str) -> tuple[FrontMatter, list[Slip]]:
    """The front matter of a text; without one that can be read, the slips that say why not."""
    lines = text.splitlines()
    if not lines or lines[0].rstrip() != BORDER:
        return FrontMatter(), [_without_top(file, lines)]
    end = next((number for number, line in enumerate(lines[1:], 1) if line.rstrip() == BORDER), None)
    if end is None:
        return FrontMatter(), [
            Slip(file, 1, "het blok bovenaan houdt niet op", "Zet onder het laatste veld een regel met alleen ---.")
        ]
    tabs = [number for number, line in enumerate(lines[1:end], 2) if "\t" in line]
    if tabs:
        return FrontMatter(), [
            Slip(file, line, "er staat een tab in het blok bovenaan", "Gebruik spaties in plaats van tabs.")
            for line in tabs
        ]
    try:
        node = yaml.compose("\n".join(lines[1:end]), Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        return FrontMatter(), [_unreadable(file, (mark.line if mark else 0) + 2, lines)]
    except yaml.YAMLError:
        return FrontMatter(), [
            Slip(file, 2, "het blok bovenaan is niet te lezen", "Schrijf elk veld als naam: waarde, één per regel.")
        ]
    if not isinstance(node, yaml.MappingNode):
        return FrontMatter(), [
            Slip(
                file,
                2,
                "het blok bovenaan heeft geen velden",
                'Schrijf elk veld als naam: waarde, zoals title: "Contact".',
            )
        ]
    values: dict[str, Value] = {}
    slips: list[Slip] = []
    for key, value in node.value:
        name, line = str(key.value).lower(), key.start_mark.line + 2
        if name in values:
            slips.append(
                Slip(
                    file,
                    line,
                    f'"{name}" staat er twee keer',
                    f"Haal een van de twee weg; de eerste staat op regel {values[name].line}.",
                )
            )
            continue
        values[name] = replace(_read(value), line=line)
    return FrontMatter(values, end + 2), slips


def _without_top(file: str, lines: list[str]) -> Slip:
    if lines and lines[0].strip() in ("+++", "{"):
        return Slip(
            file, 1, "het blok bovenaan is geen YAML", "Begin met een regel --- en schrijf elk veld als naam: waarde."
        )
    blank = next((number for number, line in enumerate(lines, 1) if line.strip()), 0)
    if blank and lines[blank - 1].strip() == BORDER:
        return Slip(
            file,
            1,
            "er staat iets boven het blok met titel en beschrijving",
            "Begin het bestand met ---, zonder lege regel of spatie ervoor.",
        )
    return Slip(
        file,
        1,
        "het blok met titel en beschrijving ontbreekt",
        'Begin het bestand met ---, title: "…", description: "…" en weer ---.',
    )


def _unreadable(file: str, line: int, lines: list[str]) -> Slip:
    line = min(line, len(lines))
    for number in (line, line - 1):
        written = lines[number - 1] if 0 < number <= len(lines) else ""
        name, _, value = written.partition(":")
        value = value.strip()
        if re.search(r":(\s|$)|\s#|^[@`&*!|>%\[\]{},]", value) and value[:1] not in "\"'[{":
            return Slip(
                file,
                number,
                f"de waarde van {name.strip()} is niet te lezen",
                f'Zet haar tussen aanhalingstekens: {name.strip()}: "{value}".',
            )
        if (
            value.count('"') % 2
            or (value.startswith('"') and value.count('"') > 2)
            or (value.startswith("'") and value.count("'") % 2)
        ):
            return Slip(
                file,
                number,
                f"een aanhalingsteken van {name.strip()} ontbreekt of staat te veel",
                'Zet er vooraan en achteraan één: "…"; gebruik binnenin ‘…’.',
            )
    return Slip(
        file,
        line,
        "deze regel van het blok bovenaan is niet te lezen",
        "Schrijf elk veld als naam: waarde, één per regel.",
    )


@dataclass(frozen=True)
class Rules:
    """What front matter may hold: `schema` is front_matter.toml; the rest is what values may name."""

    schema: dict[str, Any]
    contact_persons: frozenset[str]
    offerings: frozenset[str]
    layouts: frozenset[str]
    pictures: frozenset[str]
    """Paths of the picture files below content/."""

    def type_of(self, file: str, top: FrontMatter) -> str:
        """page or nieuws: what the text says, or else the folder that it stands in."""
        return top.text("type") or ("nieuws" if file.startswith("content/nieuws/") else "page")


def check(file: str, top: FrontMatter, rules: Rules) -> Iterator[Slip]:
    """What is wrong with front matter that could be read."""
    kind = rules.type_of(file, top)
    types = rules.schema["type"]
    if kind not in types:
        yield Slip(
            file, top.values["type"].line, f'"{kind}" is geen soort tekst', f"Kies {' of '.join(sorted(types))}."
        )
        return
    known = {**rules.schema["common"], **types[kind]}
    for name, value in top.values.items():
        yield from _value(file, name, value, known, rules)
    if file.rpartition("/")[2].startswith("_index."):
        return
    for name in rules.schema["required"][kind]:
        found = top.values.get(name)
        if found is None or found.value in (None, "", []):
            yield Slip(
                file,
                found.line if found else 1,
                f"{name} ontbreekt; een tekst van de soort {kind} moet dat hebben",
                f"Vul bovenaan in: {name}: …",
            )


def _value(file: str, name: str, found: Value, known: dict[str, str], rules: Rules) -> Iterator[Slip]:
    if name not in known:
        do = (
            f"Bedoelt u {_DUTCH[name]}?"
            if _DUTCH.get(name) in known
            else meant(name, known, f"Mogelijk zijn: {', '.join(sorted(known))}.")
        )
        yield Slip(file, found.line, f'onbekend veld "{name}" in het blok bovenaan', do)
        return
    wanted = known[name]
    if found.kind != wanted and not (found.kind == "empty" and wanted in ("text", "list", "map")):
        shown = f' ("{found.value}")' if found.kind in ("text", "number", "date") else ""
        yield Slip(
            file,
            found.line,
            f"{name} moet {_KINDS[wanted]} zijn, niet {_KINDS[found.kind]}{shown}",
            _HOW[wanted].format(key=name),
        )
        return
    yield from _CHECKS.get(name, _nothing)(file, found, rules)
    if wanted == "date":
        yield from _date(file, name, found)
    if wanted == "text" and isinstance(found.value, str):
        wrong = [one for one in _PLACEHOLDER.findall(found.value) if one != "{brand}"]
        if wrong:
            yield Slip(
                file,
                found.line,
                f"{name} bevat {wrong[0]}, dat niets betekent",
                "Alleen {brand} wordt vervangen: door onze naam.",
            )


def _date(file: str, name: str, found: Value) -> Iterator[Slip]:
    written = str(found.value)
    try:
        date.fromisoformat(written[:10])
        if len(written) > 10:
            datetime.fromisoformat(written.replace(" ", "T", 1).replace(" ", "").replace("Z", "+00:00"))
    except ValueError:
        yield Slip(file, found.line, f"{name} is geen bestaande datum ({written})", _HOW["date"])


def _nothing(file: str, found: Value, rules: Rules) -> Iterator[Slip]:
    yield from ()


def _hero(file: str, found: Value, rules: Rules) -> Iterator[Slip]:
    for key, one in (found.value or {}).items():
        if key not in rules.schema["hero"]:
            names = rules.schema["hero"]
            yield Slip(
                file,
                one.line,
                f'onbekend veld "{key}" onder hero',
                meant(key, names, f"Mogelijk zijn: {', '.join(names)}."),
            )
        elif one.value:
            yield from _picture(file, one, rules)


def _images(file: str, found: Value, rules: Rules) -> Iterator[Slip]:
    for one in found.value or ():
        yield from _picture(file, one, rules)


def _picture(file: str, one: Value, rules: Rules) -> Iterator[Slip]:
    if str(one.value).removeprefix("/") not in rules.pictures:
        yield Slip(
            file,
            one.line,
            f"de afbeelding {one.value} bestaat niet",
            "Zet het bestand in content/ en schrijf zijn naam precies zo.",
        )


def _contact_persons(file: str, found: Value, rules: Rules) -> Iterator[Slip]:
    for one in found.value or ():
        if str(one.value) not in rules.contact_persons:
            do = f"Kies uit {', '.join(sorted(rules.contact_persons))}, of vul site/data/contactpersonen.toml aan."
            yield Slip(file, one.line, f"contactpersoon {one.value} bestaat niet", do)


def _offering(file: str, found: Value, rules: Rules) -> Iterator[Slip]:
    if found.value not in rules.offerings:
        yield Slip(
            file, found.line, f'wij verkopen geen "{found.value}"', f"Kies uit {', '.join(sorted(rules.offerings))}."
        )


def _layout(file: str, found: Value, rules: Rules) -> Iterator[Slip]:
    if found.value and found.value not in rules.layouts:
        yield Slip(file, found.line, f'er is geen layout "{found.value}"', "Laat layout leeg, of haal het veld weg.")


def _address(file: str, found: Value, rules: Rules) -> Iterator[Slip]:
    written = str(found.value or "")
    if not _ADDRESS.fullmatch(written):
        do = "Schrijf het pad met een / vooraan en achteraan, in kleine letters en zonder spaties: /naam/."
        yield Slip(file, found.line, f'"{written}" is geen adres op deze website', do)
    elif written.startswith(RESERVED):
        do = f"Kies een adres dat niet begint met {', '.join(RESERVED[:-1])} of {RESERVED[-1]}."
        yield Slip(file, found.line, f'"{written}" is al van ons systeem', do)


def _slug(file: str, found: Value, rules: Rules) -> Iterator[Slip]:
    if found.value and not _SLUG.fullmatch(str(found.value)):
        do = "Gebruik kleine letters, cijfers en streepjes: mijn-artikel."
        yield Slip(file, found.line, f'"{found.value}" kan geen deel van een adres zijn', do)


def _aliases(file: str, found: Value, rules: Rules) -> Iterator[Slip]:
    for one in found.value or ():
        yield from _address(file, one, rules)


def _categories(file: str, found: Value, rules: Rules) -> Iterator[Slip]:
    for one in found.value or ():
        if one.kind != "text" or not one.value.strip():
            yield Slip(
                file,
                one.line,
                f'"{one.value}" is geen naam van een categorie',
                "Schrijf namen: categories: [Achtergrond].",
            )


def _outputs(file: str, found: Value, rules: Rules) -> Iterator[Slip]:
    for one in found.value or ():
        if one.value not in ("html", "markdown"):
            do = "Schrijf outputs: [html], of haal het veld weg."
            yield Slip(file, one.line, f'"{one.value}" is geen vorm waarin wij een tekst uitgeven', do)


# What functions answer, and what holds their pages.
RESERVED = ("/api/", "/bestelling/", "/mijn/", "/instellen/", "/views/")
_CHECKS: dict[str, Callable[[str, Value, Rules], Iterator[Slip]]] = {
    "aliases": _aliases,
    "categories": _categories,
    "contactpersoon": _contact_persons,
    "hero": _hero,
    "images": _images,
    "layout": _layout,
    "offering": _offering,
    "outputs": _outputs,
    "slug": _slug,
    "url": _address,
}
