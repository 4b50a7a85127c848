"""Hugo as a program: it builds, lists pages, and its complaints are said in Dutch with file and line."""

from __future__ import annotations

import csv
import re
import subprocess
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

from callvoip.texts.slip import Slip

# The program itself: its wrapper prints a banner.
HUGO = Path(str(distribution("hugo").locate_file("hugo/binaries/hugo")))
LONGEST_S = 180
"""A build takes one to three seconds; a machine with much else to do makes it ten times that."""
STRICT = ("--panicOnWarning", "--printPathWarnings", "--noBuildLock", "--cleanDestinationDir")

_PLACE = re.compile(r'"?(?P<file>[^\s":]*?(?P<short>(?:content|site)/[^\s":]+))(?::(?P<line>\d+))?(?::\d+)?"?:?\s*')
# What Hugo says of a text, and what that means for who wrote it.
_MEANING = (
    (
        r'template for shortcode "([^"]+)" not found',
        'er is geen opdracht "{0}"',
        "Kijk in de lijst van docs/editors-guide.md hoe zij heet.",
    ),
    (r'shortcode "([^"]+)" must be closed', '"{0}" houdt niet op', "Zet onder de tekst: {{{{< /{0} >}}}}."),
    (
        r'closing tag for shortcode "([^"]+)" does not match|unclosed shortcode',
        "een opdracht houdt niet op waar dat moet",
        "Controleer begin en einde: {{{{< naam >}}}} … {{{{< /naam >}}}}.",
    ),
    (
        r"unterminated quoted string|unrecognized character in shortcode",
        "een opdracht is niet goed geschreven",
        'Gebruik rechte aanhalingstekens: {{{{< price "srtp" >}}}}.',
    ),
    (
        r"failed to unmarshal|failed to parse front ?matter|EOF looking for end",
        "het blok bovenaan of dit gegevensbestand is niet te lezen",
        "Controleer de aanhalingstekens, dubbele punten en spaties op deze regel.",
    ),
    (r"[Rr]aw HTML omitted", "HTML wordt niet gepubliceerd", "Schrijf het in Markdown."),
    (
        r"unsupported or unknown image format|failed to load image config|failed to decode",
        "een afbeelding is niet te lezen",
        "Bewaar haar opnieuw als .jpg, .png of .webp.",
    ),
    (
        r"date front matter field is not a parsable date",
        "een datum is niet te lezen",
        "Schrijf jaar-maand-dag, zoals 2026-11-26.",
    ),
)


@dataclass(frozen=True)
class Listed:
    """A page as Hugo sees it: the file that it comes from, below the checkout, and its address."""

    file: str
    address: str
    published: bool


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Hugo; what it prints is kept.

    Where a template asks for what is not there, Hugo may stop without ending: after `LONGEST_S` it has failed.
    """
    command = [str(HUGO), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, errors="replace", timeout=LONGEST_S)
    except subprocess.TimeoutExpired as error:
        said = (error.stdout or b"") + (error.stderr or b"")
        text = said.decode(errors="replace") if isinstance(said, bytes) else said
        return subprocess.CompletedProcess(command, 1, text, f"ERROR Hugo did not end within {LONGEST_S} s\n")


def listed(root: Path) -> list[Listed]:
    """Every page of content/, also those that are not published, by file. Empty when Hugo cannot read them."""
    every = run("list", "all", "--source", str(root / "site"), "--noBuildLock")
    out = run("list", "published", "--source", str(root / "site"), "--noBuildLock")
    published = {row["path"] for row in csv.DictReader(out.stdout.splitlines())}
    found = []
    for row in csv.DictReader(every.stdout.splitlines()):
        file = Path(row["path"])
        if file.is_relative_to(root / "content"):
            found.append(Listed(file.relative_to(root).as_posix(), row["permalink"], row["path"] in published))
        elif (site_file := root / "site" / file).is_file():  # some versions name files from the source directory on
            found.append(
                Listed(site_file.resolve().relative_to(root).as_posix(), row["permalink"], row["path"] in published)
            )
    return sorted(found, key=lambda page: page.file)


def told(root: Path, output: str) -> list[Slip]:
    """Hugo's complaints in Dutch; what nobody foresaw keeps Hugo's own words behind ours."""
    complaints = [line for line in output.splitlines() if re.match(r"(ERROR|WARN|Error|panic)\b", line)]
    found = [
        _slip(root, re.sub(r"^(ERROR|WARN|Error:|panic:)\s*", "", line))
        for line in complaints or output.splitlines()[:3]
    ]
    # One fault comes back in what Hugo says of the whole build: where it has a place of its own, that is enough.
    found = [slip for slip in found if "error building site: logged" not in slip.wrong] or found
    placed = [slip for slip in found if slip.line or slip.file.startswith("content/")]
    return sorted(set(placed or found))


def _slip(root: Path, complaint: str) -> Slip:
    places = [
        place
        for place in _PLACE.finditer(complaint)
        if place["short"] and not place["short"].startswith("site/layouts/")
    ]
    place = next((one for one in places if one["short"].startswith("content/")), places[0] if places else None)
    file, line = (place["short"], int(place["line"] or 0)) if place else ("content", 0)
    for pattern, wrong, do in _MEANING:
        found = re.search(pattern, complaint)
        if found:
            return Slip(file, line, wrong.format(*found.groups()), do.format(*found.groups()))
    rest = complaint[place.end() :] or complaint if place else complaint
    ours = re.match(r"(?P<wrong>[^|]+) \| (?P<do>.+)", rest)  # our own templates say both, with a bar between
    if ours:
        return Slip(file, line, ours["wrong"].strip(), ours["do"].strip())
    return Slip(
        file,
        line,
        f"de website kan hiermee niet gemaakt worden (Hugo: {rest.replace(str(root) + '/', '')[:300]})",
        "Maak uw laatste wijziging ongedaan, of vraag de ontwikkelaars.",
    )
