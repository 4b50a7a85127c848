"""What an editor may get wrong: told in Dutch with file, line and what to do; and nothing of it is published."""

import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callvoip.texts import hugo
from callvoip.texts.check import SlipsError, build, texts
from tests.support.site.build import checkout as make_checkout

TOP = """---
type: nieuws
title: "Een artikel"
description: "Waar het over gaat."
date: 2026-01-02
author: Redactie
categories: [Achtergrond]
draft: false
---
"""
FIRST = TOP.count("\n") + 1  # the line on which the body begins
FILE = "content/nieuws/proef.md"


def png(width: int, height: int) -> bytes:
    """A picture of one colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = (b"\0" + b"\x10\x80\x80" * width) * height
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


NEIGHBOURS = ("_index.md", "prijzen.md", "nieuws/_index.md")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site with a few of its texts, as each is read again for every test, and a picture."""
    root = make_checkout(tmp_path_factory.mktemp("checkout"))
    for path in (root / "content").rglob("*.md"):
        if path.relative_to(root / "content").as_posix() not in NEIGHBOURS:
            path.unlink()
    (root / "content/nieuws/foto.png").write_bytes(png(1400, 700))
    return root


@pytest.fixture(scope="module")
def whole(processes: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site with all its texts, which Hugo builds, and a picture."""
    root = make_checkout(tmp_path_factory.mktemp("whole"))
    (root / "content/nieuws/foto.png").write_bytes(png(1400, 700))
    return root


@pytest.fixture
def article(request: pytest.FixtureRequest):
    """Writes the article of a test, into the whole site where Hugo is asked; it is gone afterwards."""
    root: Path = request.getfixturevalue("whole" if "processes" in request.fixturenames else "checkout")
    written: list[Path] = []

    def write(text: str | bytes, file: str = FILE) -> Path:
        path = root / file
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        written.append(path)
        return root

    yield write
    for path in written:
        path.unlink(missing_ok=True)


def told(root: Path, *, by_hugo: bool = False) -> list[str]:
    """What an editor reads, one line a slip."""
    if not by_hugo:
        return [str(slip) for slip in texts(root).slips]
    with pytest.raises(SlipsError) as error:
        build(root, root / "out")
    return [str(slip) for slip in error.value.slips]


def top(old: str, new: str) -> str:
    assert old in TOP
    return TOP.replace(old, new) + "Tekst.\n"


def test_the_texts_as_they_are_may_be_published(checkout: Path, tmp_path: Path) -> None:
    assert told(checkout) == []
    assert told(make_checkout(tmp_path)) == []


# --- the block on top

NOT_YES_OR_NO = [
    "yes", "no", "ja", '"ja"', "nee", "waar", "True", "TRUE", "False", "on", "off", "1", "0", "y", '"true"', "'false'", "", "null",
    "concept", "[true]", "true false", "2026-01-01", "~", "‘true’",
]  # fmt: skip


@pytest.mark.parametrize("value", NOT_YES_OR_NO)
@pytest.mark.parametrize("key", ["draft", "hideinsearch", "hideingoogle"])
def test_only_true_and_false_say_yes_and_no(article, key: str, value: str) -> None:
    text = TOP.replace("draft: false\n", f"{key}: {value}\n")
    [slip] = told(article(text))
    assert slip.startswith(f"{FILE}:8: {key} moet true of false zijn") and "Schrijf true (ja) of false (nee)" in slip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12))
@pytest.mark.usefixtures("takes_long")
def test_nothing_else_says_it_either(article, value: str) -> None:
    if value.strip() in ("true", "false") or value.strip().partition(" #")[0].strip() in ("true", "false"):
        return
    assert told(article(TOP.replace("draft: false", f"draft: {value}"))) != []


@pytest.mark.parametrize(
    ("old", "new", "line", "wrong", "do"),
    [
        ("author:", "auteur: Redactie\nauthor:", 6, 'onbekend veld "auteur"', "Bedoelt u author?"),
        ("author:", "autor: Redactie\nauthor:", 6, 'onbekend veld "autor"', "Bedoelt u author?"),
        ("author: Redactie\n", "", 1, "author ontbreekt", "author: …"),
        ('description: "Waar het over gaat."', "description:", 4, "description ontbreekt", "description: …"),
        ("date: 2026-01-02", "date: 02-01-2026", 5, "date moet een datum zijn", "jaar-maand-dag"),
        ("date: 2026-01-02", "date: 2026-02-30", 5, "geen bestaande datum", "jaar-maand-dag"),
        ("date: 2026-01-02", "date: gisteren", 5, "date moet een datum zijn", "jaar-maand-dag"),
        ("date: 2026-01-02", 'date: "2026-01-02"', 5, "date moet een datum zijn", "jaar-maand-dag"),
        ('title: "Een artikel"', "title: 2026", 3, "title moet een tekst zijn", "aanhalingstekens"),
        ('title: "Een artikel"', "title: true", 3, "title moet een tekst zijn", "aanhalingstekens"),
        ('title: "Een artikel"', "title: AVG: wat nu", 3, "is niet te lezen", 'title: "AVG: wat nu"'),
        ('title: "Een artikel"', "title: *belangrijk*", 3, "is niet te lezen", "aanhalingstekens"),
        ('title: "Een artikel"', 'title: "Een "mooi" artikel"', 3, "aanhalingsteken", "binnenin ‘…’"),
        ('title: "Een artikel"', 'title: "Een artikel', 3, "aanhalingsteken", "Zet er vooraan en achteraan één"),
        ('title: "Een artikel"', 'title: "Een artikel"\ntitle: "Nog een"', 4, "twee keer", "regel 3"),
        ('title: "Een artikel"', 'Title: "Een artikel"\ntitle: "Nog een"', 4, "twee keer", "regel 3"),
        ('title: "Een artikel"', 'title: "Een {merk}"', 3, "{merk}", "{brand}"),
        ("categories: [Achtergrond]", "categories: Achtergrond", 7, "moet een lijst zijn", "categories: [eerste, tweede]"),
        ("categories: [Achtergrond]", "categories: []", 7, "categories ontbreekt", "categories: …"),
        ("categories: [Achtergrond]", "\tcategories: [Achtergrond]", 7, "tab", "spaties"),
        ("draft: false", "contactpersoon:\n- 1991\n- 2991", 10, "contactpersoon 2991 bestaat niet", "1991"),
        ("draft: false", "images: [weg.png]", 8, "de afbeelding weg.png bestaat niet", "content/"),
        ("draft: false", "hero:\n  img: foto.png", 9, 'onbekend veld "img" onder hero', "image"),
        ("draft: false", "hero: {image: weg.jpg}", 8, "de afbeelding weg.jpg bestaat niet", "content/"),
        ("draft: false", "url: prijzen", 8, "geen adres", "/naam/"),
        ("draft: false", "url: https://www.example.nl/x/", 8, "geen adres", "/naam/"),
        ("draft: false", "url: /bestelling/actie/", 8, "van ons systeem", "/api/"),
        ("draft: false", 'slug: "Mijn Artikel"', 8, "geen deel van een adres", "mijn-artikel"),
        ("draft: false", "aliases: [oud]", 8, "geen adres", "/naam/"),
        ("draft: false", "layout: mooi", 8, 'er is geen layout "mooi"', "leeg"),
        ("draft: false", "outputs: [pdf]", 8, "geen vorm", "outputs: [html]"),
        ("type: nieuws", "type: news", 2, '"news" is geen soort tekst', "nieuws of page"),
        ("draft: false\n---\n", "draft: false\n", 1, "houdt niet op", "---"),
        ("---\ntype", "\n---\ntype", 1, "er staat iets boven", "Begin het bestand met ---"),
        ("---\ntype", "+++\ntype", 1, "geen YAML", "---"),
        (TOP, "## Kop\n\n", 1, "ontbreekt", "Begin het bestand met ---"),
        (TOP, "", 1, "ontbreekt", "Begin het bestand met ---"),
        (TOP, "---\n---\n", 2, "geen velden", "naam: waarde"),
        (TOP, "---\nzomaar tekst\n---\n", 2, "geen velden", "naam: waarde"),
    ],
)  # fmt: skip
def test_a_slip_on_top_is_told_with_its_line(article, old: str, new: str, line: int, wrong: str, do: str) -> None:
    slips = told(article(top(old, new)))
    assert any(slip.startswith(f"{FILE}:{line}: ") and wrong in slip and do in slip for slip in slips), slips


# --- the text itself

BODIES = [
    ("[link](prijzen)", "begint niet met /", "/prijzen/"),
    ("[link](prijzen/)", "begint niet met /", "/prijzen/"),
    ("[link](../prijzen.md)", "begint niet met /", "/prijzen/"),
    ("[link](./prijzen/)", "begint niet met /", "/prijzen/"),
    ("[link](www.example.org)", "mist https://", "https://www.example.org"),
    ("[link](example.org/pad)", "mist https://", "https://example.org/pad"),
    ("[link](info@example.org)", "zonder mailto:", "mailto:info@example.org"),
    ("[link](mailto:info)", "geen e-mailadres", "mailto:"),
    ("[link](tel:bel-ons)", "geen telefoonnummer", "tel:+"),
    ("[link](htps://example.org)", "htps: kan niet", "https://"),
    ("[link](https:/example.org)", "geen volledig adres", "https://"),
    ("[link](https//example.org)", "begint niet met /", ""),
    ("[link](//example.org/x)", "geen https:", "https://example.org/x"),
    ("[link](javascript:alert)", "javascript: kan niet", "https://"),
    ("[link](data:text/html,x)", "data: kan niet", "https://"),
    ("[link](file:///c/x)", "file: kan niet", "https://"),
    ("[link](\\\\server\\x)", "bevat een \\", "/pad/"),
    ("[link]()", "gaat nergens heen", "/pad/"),
    ("[](/prijzen/)", "geen tekst", "[tekst](/prijzen/)"),
    ("[link] (/prijzen/)", "niet af", "zonder spatie"),
    ("[link](/mijn prijzen/)", "niet af", "zonder spatie"),
    ("[link][prijzen]", "niet af", "[tekst](/pad/)"),
    ("Zie www.example.org voor meer.", "www.example.org is geen link", "[tekst](https://www.example.org)"),
    ("[link](https://callvoiptelefonie.example.nl/prijzen/#plans)", "van onze eigen website", "/prijzen/#plans"),
    ("[link](http://www.callvoiptelefonie.example.nl)", "van onze eigen website", "het pad: /"),
    ("Zie https://callvoiptelefonie.example.nl/prijzen/", "van onze eigen website", "/pad/"),
    ('<a href="/prijzen/">prijzen</a>', "HTML (<a>)", "[tekst]("),
    ('Zie <a href="/prijzen/">prijzen</a>.', "HTML (<a>)", "[tekst]("),
    ("<b>vet</b> en zo", "HTML (<b>)", "**vet**"),
    ("regel<br>regel", "HTML (<br>)", "lege regel"),
    ('<img src="foto.png">', "HTML (<img>)", "!["),
    ("<script>alert(1)</script>", "HTML (<script>)", "programma’s"),
    ('<iframe src="https://example.org"></iframe>', "HTML (<iframe>)", "niets geladen"),
    ("<!-- nog doen -->", "opmerking", "Haal"),
    ("<!-- more -->", "opmerking", "<!--more-->"),
    ("![](foto.png)", "geen beschrijving", "wat er te zien is"),
    ("![ ](foto.png)", "geen beschrijving", "wat er te zien is"),
    ("![een foto](weg.png)", "weg.png bestaat niet", "content/"),
    ("![een foto](Foto.png)", "Foto.png bestaat niet", "precies zo"),
    ("![een foto](/foto.png)", "/foto.png bestaat niet", "content/"),
    ("![een foto](https://example.org/foto.png)", "andere website", "content/"),
    ("![een foto](foto.docx)", "bestaat niet", ".jpg"),
    ("# Kop", "de titel", "##"),
    ("Kop\n===", "de titel", "##"),
    ("#### Kop", "#### komt na", "Gebruik hier ##"),
    ("##Kop", "zonder spatie", "spatie"),
    ("• een\n• twee", "lijst met “•”", "Begin elke regel"),
    ("– een\n– twee", "lijst met “–”", "Begin elke regel"),
    ("Eerst.\n\n\ttab", "springt in", "tab"),
    ("Eerst.\n\n    vier spaties", "springt in", "spaties"),
    ('{{< prijs "srtp" >}}', 'geen opdracht "prijs"', "Bedoelt u price?"),
    ('{{< pricee "srtp" >}}', 'geen opdracht "pricee"', "Bedoelt u price?"),
    ("{{< price “srtp” >}}", "gekrulde aanhalingstekens", "rechte"),
    ('{{< price "srtp" }}', "half geschreven", "price"),
    ('{ {< price "srtp" >}}', "half geschreven", "price"),
    ('{{< price "srtp" %}}', "begint met < en eindigt met %", "{{< price >}}"),
    ('{{< question id="x" title="X?" >}}\nAntwoord', '"question" begint hier, maar houdt niet op', "{{< /question >}}"),
    ("Antwoord\n{{< /question >}}", "begint nergens", "{{< question"),
    ("{{< /brand >}}", "geen einde nodig", "Haal"),
    ("Zero\u202ewidth", "onzichtbaar teken (U+202E)", "Typ"),
    ("Bel\x07letje", "onzichtbaar teken (U+0007)", "Typ"),
    ("Wij van CallvoipTelefonie", "met de hand getypt", "{{< brand >}}"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "wrong", "do"), BODIES)
def test_a_slip_in_the_text_is_told_with_its_line(article, body: str, wrong: str, do: str) -> None:
    slips = told(article(f"{TOP}Eerste regel.\n\n{body}\n"))
    lines = range(FIRST + 2, FIRST + 2 + body.count("\n") + 1)
    assert any(
        slip.startswith(tuple(f"{FILE}:{line}: " for line in lines)) and wrong in slip and do in slip for slip in slips
    ), slips


@pytest.mark.parametrize(
    "body", [body for body, _, _ in BODIES if "\n" not in body and not body.startswith(("#", "•", "–"))]
)
def test_nor_is_it_missed_inside_a_question(article, body: str) -> None:
    inside = f'{{{{< question id="x" title="X?" >}}}}\n* een\n* {body}\n{{{{< /question >}}}}\n'
    assert any(slip.startswith(f"{FILE}:{FIRST + 2}: ") for slip in told(article(TOP + inside)))


@pytest.mark.parametrize(
    "body",
    [
        "[link](https://www.example.org/x?y=1#z)",
        "<https://www.example.org>", "[link](mailto:info@example.org)", "[bel](tel:+31855550100)",
        "![een foto](foto.png)", "Tekst\n<!--more-->\nmeer", "`<a href>` en `[x](y)`", "```\n<b>\n\tx\n# y\n```", "Kosten < 5 en > 3.",
        "| a | b |\n| --- | --- |\n| 1 | 2 |", "Een boete van € 20.000 in een artikel", "* lijst\n    * erin", "1. een\n\n    vervolg",
        "[link](/prijzen/ 'titel')", "Een *schuine* en **vette** tekst [tussen haken] (en zo).".replace("] (", "], ("),
    ],
)  # fmt: skip
def test_what_is_right_is_left_alone(article, body: str) -> None:
    assert told(article(f"{TOP}{body}\n")) == []


@pytest.mark.parametrize(
    ("raw", "line", "wrong"),
    [
        ((TOP + "Één café\n").encode("latin-1"), FIRST, "niet in UTF-8"),
        ((TOP + "goed\n“krul”\n").encode("cp1252"), FIRST + 1, "niet in UTF-8"),
        ((TOP + "x\n").encode("utf-16"), 1, "niet in UTF-8"),
        (TOP.encode() + b"half \xe2\x82", FIRST, "niet in UTF-8"),
        (TOP.encode() + "dubbel \ufffd".encode(), FIRST, "U+FFFD"),
    ],
)
def test_a_file_in_another_encoding_is_told(article, raw: bytes, line: int, wrong: str) -> None:
    [slip] = told(article(raw))
    assert slip.startswith(f"{FILE}:{line}: ") and wrong in slip


@pytest.mark.parametrize(
    "raw", [("\ufeff" + TOP + "x\n").encode(), (TOP + "x\n").replace("\n", "\r\n").encode(), TOP.encode()[:-1]]
)
def test_what_editors_of_other_systems_write_is_right(article, raw: bytes) -> None:
    assert told(article(raw)) == []


def test_a_file_that_is_no_text_is_told(article) -> None:
    [slip] = told(article("x", "content/nieuws/proef.docx"))
    assert "hoort hier niet" in slip


def test_one_slip_does_not_hide_another(article) -> None:
    slips = told(article(f"{top('draft: false', 'draft: ja')}[a](b)\n\n[c](www.d.nl)\n\n<br>\n"))
    assert len(slips) == 4


# --- what can be judged only when all pages are known


@pytest.mark.parametrize(
    ("body", "line", "wrong", "do"),
    [
        ("[a](/prijs/)", 0, "/prijs/ leidt naar geen enkele pagina", "/prijzen/"),
        ("x\n\n[a](/prijzen)", 2, "/prijzen is niet het hele adres", "/prijzen/"),
        ("[a](/prijzen/#bestaat-niet)", 0, "geen anker #bestaat-niet", ""),
        ("[a](#nergens)", 0, "geen anker #nergens", ""),
        ("## Mijn kop\n\n[a](#mijn-kopp)", 2, "geen anker #mijn-kopp", "Bedoelt u mijn-kop?"),
        ('{{< price "srtq" >}}', 0, 'wij verkopen geen "srtq"', "srtp"),
        ('{{< price "srtp" "netto" >}}', 0, 'geen soort prijs "netto"', "gross"),
        ('{{< brand "adres" >}}', 0, 'geen "adres"', "Kies"),
        ('{{< retention "logs.jaren" >}}', 0, 'geen "logs.jaren"', "Kijk"),
        ('{{< order-form "x" >}}', 0, "geen formulier x", "srtp"),
        ('{{< drawing "x" >}}a{{< /drawing >}}', 0, 'geen tekening "x"', "colleagues"),
        ('{{< question id="x" >}}a{{< /question >}}', 0, "een id en een titel", "title="),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("processes")
def test_what_hugo_or_a_link_says_is_told_in_dutch(article, body: str, line: int, wrong: str, do: str) -> None:
    slips = told(article(f"{TOP}{body}\n"), by_hugo=True)
    assert any(slip.startswith(f"{FILE}:{FIRST + line}: ") and wrong in slip and do in slip for slip in slips), slips


@pytest.mark.usefixtures("processes")
def test_a_link_to_a_draft_is_told(article) -> None:
    article(TOP.replace("draft: false", "draft: true"), "content/nieuws/later.md")
    [slip] = told(article(f"{TOP}[a](/nieuws/later/)\n"), by_hugo=True)
    assert (
        slip.startswith(f"{FILE}:{FIRST}: ") and "content/nieuws/later.md" in slip and "nog niet gepubliceerd" in slip
    )


@pytest.mark.parametrize(
    ("line", "other"),
    [
        ("url: /prijzen/", "content/prijzen.md"),
        ("url: /Prijzen/".lower(), "content/prijzen.md"),
        ("url: /prijzen", None),
        ("url: /avg-callvoiptelefonie/", "content/nieuws/avg-callvoiptelefonie.md:10"),
        ("slug: regels-rond-voip-in-belgie-volgens-bipt", "content/nieuws/regels-rond-voip-in-belgie-volgens-bipt.md"),
        ("aliases: [/prijzen/]", "content/prijzen.md"),
        ("url: /console/", "site/pages/console.md"),
        ("aliases: [/stijl/]", "site/pages/stijl.md"),
        ("url: /", "content/_index.md"),
        ("url: /en/encrypted-calls-with-srtp/", "content/versleutelde-telefoongesprekken.en.md"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("processes")
def test_two_texts_at_one_address_are_told_with_both_files(article, line: str, other: str | None) -> None:
    root = article(TOP.replace("draft: false", line))
    slips = told(root) or told(root, by_hugo=True)
    assert any(FILE in slip and (other is None or other.partition(":")[0] in slip) for slip in slips), slips


@pytest.mark.usefixtures("processes")
def test_two_texts_with_one_alias_are_told(article) -> None:
    article(TOP.replace("draft: false", "aliases: [/oud/]"), "content/nieuws/ander.md")
    [slip] = told(article(TOP.replace("draft: false", "aliases: [/oud/]")), by_hugo=True)
    assert "content/nieuws/ander.md:8" in slip and f"{FILE}:8" in slip


@pytest.mark.parametrize("other", ["content/nieuws/proef/index.md", "content/nieuws/Proef.md"])
def test_two_files_of_one_name_are_told(article, checkout: Path, other: str) -> None:
    (checkout / other).parent.mkdir(exist_ok=True)
    article(TOP, other)
    slips = told(article(TOP))
    assert any(FILE in slip and other in slip for slip in slips), slips


def test_what_nobody_foresaw_keeps_hugos_words_with_file_and_line() -> None:
    output = 'Start\nERROR error building site: process: "/x/content/nieuws/proef.md:12:3": something new\n'
    [slip] = hugo.told(Path("/x"), output)
    assert (slip.file, slip.line) == (FILE, 12) and "something new" in slip.wrong and slip.do


@pytest.mark.usefixtures("processes")
def test_a_picture_is_published_in_two_widths(article, tmp_path: Path) -> None:
    build(article(f"{TOP}![een groene wand](foto.png)\n"), tmp_path)
    page = (tmp_path / "nieuws/proef/index.html").read_text()
    assert 'alt="een groene wand"' in page and 'width="1280" height="640"' in page and page.count(".webp") >= 3


@pytest.mark.usefixtures("processes")
def test_a_builder_that_does_not_end_is_told(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = tmp_path / "hugo"
    stuck.write_text("#!/bin/sh\necho Start building sites\nexec sleep 60\n")
    stuck.chmod(0o755)
    monkeypatch.setattr(hugo, "HUGO", stuck)
    monkeypatch.setattr(hugo, "LONGEST_S", 0.3)
    monkeypatch.setattr(hugo, "listed", lambda root: [])
    assert "did not end" in "\n".join(told(checkout, by_hugo=True))
