"""The articles carry over every fact, figure, heading and question of the documents they were written from."""

import tomllib
from pathlib import Path

import pytest

from tests.support.site.build import ROOT
from tests.support.site.document import pages

SRTP = "/versleutelde-telefoongesprekken/"
AVG = "/avg-callvoiptelefonie/"
BIPT = "/nieuws/regels-rond-voip-in-belgie-volgens-bipt/"

FACTS = {
    SRTP: [
        "Versleutelde telefoongesprekken met SRTP", "Als eerste provider in Nederland", "hoog in het vaandel", "privacy gewaarborgd",
        "twee lagen", "HTTPS-certificaat", "Wat is TLS?", "Transport Layer Security", "slotje", "uniek in Nederland",
        "een van de veiligste providers", "TLS is standaard inbegrepen en gratis voor alle klanten",
        "Wat is SRTP?", "Secure Real-time Transport Protocol", "meeluisteren", "extra functie", "meerprijs", "€ 2,00",
        "per telefoon per maand", "alle toestellen in uw klantomgeving", "alle gesprekken van al uw telefoontoestellen",
        "Wanneer zijn de gesprekken versleuteld?", "of de ontvanger ook SRTP heeft",
        "Voorbeeld 1: collega’s bellen onderling", "Voorbeeld 2: een telefoongesprek naar een andere provider",
        "mogelijk niet beveiligd", "Heeft de ontvangende kant ook SRTP, dan is het gesprek wel beveiligd",
        "Bestelling met betalingsverplichting",
    ],
    AVG: [
        "Algemene Voorwaarden", "Privacyverklaring", "Algemene verordening gegevensbescherming (AVG)", "25 mei",
        "Meest gestelde vragen", "Welke (persoons)gegevens verzamelen wij en waarom?", "telefoonnummer", "e-mailadres", "IP-adres",
        "(pas)foto’s", "NAW-gegevens", "voicemailberichten", "faxberichten", "Call Detail Records", "Call Recording",
        "signalisatie en audio", "klanten", "werknemers en medewerkers van klanten", "gebelde en bellende partijen",
        "cloudcommunicatiedienst", "Aan wie verstrekken wij uw persoonsgegevens?", "politie", "vermoeden van een misdrijf",
        "Waar worden de persoonsgegevens opgeslagen en voor hoe lang?", "3 maanden nadat u onze diensten hebt opgezegd", "0-365 dagen",
        "gespreksgeschiedenis", "gespreksopname", "bewaren wij 3 maanden", "2 weken", "geanonimiseerd",
        "Wat zijn uw rechten?", "inzage", "privacy@example.nl",
        "Ik maak gebruik van Click-to-Dial. Waar worden die gegevens bewaard?", "extensie van Google Chrome", "niet het geval", "90 dagen",
        "Cookies en Google Analytics", "bewerkersovereenkomst", "andere Google-diensten", "IP-adressen werden geanonimiseerd",
        "Waarom krijgt u e-mails van ons?", "belroute", "feestdagen", "uitschrijflink onderaan de mailing",
        "Wijzigingen op het platform", "18 mei 2018", "waarom u Call Recording gebruikt", "laatste drie cijfers", "bugs",
        "Verwerkersovereenkomst", "Hebt u een vraag over uw (persoons)gegevens?", "Team privacy", "17 mei 2018", "Nieuwsbrieven",
        # True of this system, where the document no longer was:
        "Frankfurt", "eu-central-1", "Amsterdam en Rotterdam", "geen cookies",
    ],
    BIPT: [
        "Belgisch Instituut voor Postdiensten en Telecommunicatie", "toelatingen", "nummerbeheer", "noodoproepen", "portabiliteit",
        "inschrijven bij het BIPT", "reputatie", "continuïteit", "Wat is VoIP volgens het BIPT?", "Europese regels", "telecomoperatoren",
        "Welke types VoIP-diensten erkent het BIPT?", "Nummergebaseerde VoIP", "Niet-nummergebaseerde VoIP", "Proximus", "Telenet",
        "hosted PBX", "SIP-trunking", "3CX", "Cisco", "WhatsApp", "Discord", "TeamSpeak",
        "Belangrijke registratieregels en BIPT-procedures voor VoIP", "Registratie bij het BIPT", "onlineformulier",
        "nationaal of internationaal", "Jaarlijkse aangifte en heffingen", "administratieve bijdrage", "Rapportage van statistieken",
        "belminuten", "veiligheidsincidenten", "Veiligheid, privacy en noodoproepen: wat zegt het BIPT?", "GDPR", "112",
        "universele dienst", "locatie", "laptops", "robocalls", "hacking", "Meldplicht datalekken", "Gegevensbeschermingsautoriteit",
        "Nummergebruik: Belgische regels rond nummers en portabiliteit", "doorschakelen", "Nummerportabiliteit",
        "buiten de EU", "nummerweergave", "ongewenste oproepen", "Bereikbaarheid", "nomadiciteit", "Documentatieplicht", "audits",
        "Processen en compliance: zo voldoet u aan de Belgische VoIP-regels", "circulaires", "Technische Mededelingen", "ENUM", "IPv6",
        "codecs", "QoS", "Contracten en klantvoorwaarden", "Monitoring en audits", "onafhankelijke audits",
        "Praktijktips en veelgemaakte fouten bij VoIP in België", "Onvoldoende registratie", "Noodoproepen niet ingeschakeld",
        "rapportageverplichtingen", "transactiedocumentatie", "gratis offerte", "Meest gestelde vragen",
        "1. Moet u als VoIP-provider in België een vergunning aanvragen bij het BIPT?", "Radboud Universiteit", "interoperabiliteit",
        "03-nummer", "Antwerpen", "2. Welke technische regels en veiligheidsstandaarden gelden voor VoIP in België?", "E.164", "Avaya",
        "Geolocatie", "016-nummer", "Leuven", "3. Wat zijn de verplichtingen rond privacy en dataretentie bij VoIP in België?",
        "Belgische politie", "VUB", "dataretentie", "WhatsApp Business en VoIP combineren",
        "Hulp nodig bij het aanvragen van een telefoonnummer?", "chatten", "Andere artikelen",
    ],
    "/prijzen/": [
        "Onbeperkt bellen Nederland", "€ 21,00", "Onbeperkt bellen Europa", "€ 28,00", "per maand", "3 toestellen instellen",
        "3 apparaten", "Onbeperkt = onbeperkt", "100% installatiehulp", "WhatsApp Business", "Gespreksopnames",
        "Gratis doorschakelen naar 06", "Keuzemenu", "Welkomstbericht", "Sluitingstijd", "Wachtrijfunctie", "Maandelijks opzegbaar",
        "Smartphone-app", "iOS", "Android", "Telefonische support", "Alle modules inbegrepen", "Eigen nummer aanvragen", "€ 50,00",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("address", "fact"), [(address, fact) for address, facts in FACTS.items() for fact in facts])
def test_the_fact_is_told(site: Path, address: str, fact: str) -> None:
    text = _texts(site)[address]
    assert fact.lower() in text.lower()


_read: dict[Path, dict[str, str]] = {}


def _texts(site: Path) -> dict[str, str]:
    if site not in _read:
        _read[site] = {address: document.text for address, document in pages(site).items()}
    return _read[site]


def test_each_of_the_six_questions_can_be_linked_to(site: Path) -> None:
    document = pages(site)[AVG]
    links = [a.attributes["href"][1:] for a in document.all("a") if a.attributes["href"].startswith("#")]
    questions = [id for id in links if id != "inhoud" and id in document.ids]
    assert len(document.all("details")) == 6
    assert {
        "welke-gegevens",
        "aan-wie",
        "waar-en-hoe-lang",
        "uw-rechten",
        "click-to-dial",
        "cookies-en-analytics",
    } <= set(questions)


def test_each_drawing_has_a_title_and_a_description(site: Path) -> None:
    document = pages(site)[SRTP]
    drawings = [svg for svg in document.all("svg") if svg.attributes.get("role") == "img"]
    assert len(drawings) == 2
    for drawing in drawings:
        assert len(drawing.attributes["aria-labelledby"].split()) == 2


def test_the_provider_can_be_identified_on_every_page(site: Path) -> None:
    for address, text in _texts(site).items():
        if address == "/console/":  # for staff, in a frame of its own
            continue
        english = address.startswith("/en/")
        assert ("(KvK) 00000000" if english else "KvK 00000000") in text, address
        assert ("VAT number NL000000000B00" if english else "Btw-id NL000000000B00") in text, address


def test_no_article_names_a_person(site: Path) -> None:
    names = ("Jacobs", "De Hert", "Littooy")
    for address, text in _texts(site).items():
        assert not any(name in text for name in names), address


def test_visitors_are_addressed_as_u(site: Path) -> None:
    for address, text in _texts(site).items():
        words = set(text.lower().replace(",", " ").replace(".", " ").split())
        assert not words & {"je", "jij", "jouw", "jullie"}, address


@pytest.mark.promise("frankfurt")
def test_the_pages_name_the_region_that_is_deployed_to() -> None:
    hosting = tomllib.loads((ROOT / "site/data/hosting.toml").read_text())
    assert f'REGION = "{hosting["region"]}"' in (ROOT / "infra/src/infra/app.py").read_text()
