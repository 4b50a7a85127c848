"""What the emulated SES sends can be read, by whoever was allowed to send it."""

import base64
from datetime import UTC, datetime
from email.message import EmailMessage

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from botocore.exceptions import ClientError

from callvoip.aws import ses
from callvoip.aws.permissions import Principal
from callvoip.aws.ses import SentMail
from callvoip.edge import mail_page
from callvoip.edge.mail_page import MailPage

NOW = datetime(2026, 11, 21, 18, 5, tzinfo=UTC)
MAY_SEND = {
    "Effect": "Allow",
    "Action": "ses:SendEmail",
    "Resource": "arn:aws:ses:eu-central-1:123456789012:identity/example.nl",
}


def request(subject: str = "Uw bestelling", sender: str = "Verkoop <verkoop@example.nl>", **body: str):
    parts = body or {"Text": "Dag", "Html": "<p>Dag</p>"}
    return {
        "FromEmailAddress": sender,
        "Destination": {"ToAddresses": ["jo@example.com"]},
        "Content": {
            "Simple": {"Subject": {"Data": subject}, "Body": {kind: {"Data": text} for kind, text in parts.items()}}
        },
    }


@pytest.fixture
async def sender(emulated):
    """SES as a function reaches it whose role allows mail from one domain."""
    for domain in ("example.nl", "example.com"):
        emulated.client("sesv2").create_email_identity(EmailIdentity=domain)
    await emulated.announce("ASIAMAILER", Principal("Mailer", (MAY_SEND,)))
    return emulated.client("sesv2", "ASIAMAILER")


@pytest.fixture
async def browser(emulated):
    application = web.Application()
    application.add_routes(MailPage(emulated, {"https://site.example.nl": "http://127.0.0.1:8080"}).routes())
    async with TestClient(TestServer(application)) as client:
        yield client


async def test_what_was_sent_stands_on_the_page_newest_first(sender, browser):
    assert "Er is nog geen e-mail verzonden." in await (await browser.get(mail_page.PATH)).text()
    sender.send_email(**request("Eerste"))
    sender.send_email(**request("Tweede", Text="Zie https://site.example.nl/bestelling/X?token=T", Html="<p>x</p>"))
    text = await (await browser.get(mail_page.PATH)).text()
    assert text.index("Tweede") < text.index("Eerste")
    assert "jo@example.com" in text and "Verkoop &lt;verkoop@example.nl&gt;" in text
    assert "http://127.0.0.1:8080/bestelling/X?token=T" in text, "links lead to the local site"
    second, first = await (await browser.get(mail_page.JSON_PATH)).json()
    assert (first["subject"], second["subject"]) == ("Eerste", "Tweede")
    assert first["html"] == "<p>Dag</p>"


async def test_a_message_can_run_nothing_on_the_page(sender, browser):
    sender.send_email(**request("<script>a</script>", Html='"><script>b</script>', Text="</pre><script>c</script>"))
    answer = await browser.get(mail_page.PATH)
    text = await answer.text()
    assert "<script" not in text
    assert "allow-scripts" not in text and "sandbox=" in text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


async def test_a_role_sends_from_its_own_domain_only(sender, browser):
    with pytest.raises(ClientError, match="AccessDenied"):
        sender.send_email(**request(sender="info@example.com"))
    assert await (await browser.get(mail_page.JSON_PATH)).json() == []


async def test_mail_from_a_domain_that_is_not_ours_is_refused_and_not_shown(emulated, browser):
    with pytest.raises(ClientError, match="not verified"):
        emulated.client("sesv2").send_email(**request(sender="info@example.org"))
    assert await (await browser.get(mail_page.JSON_PATH)).json() == []


def test_a_raw_message_is_read_too():
    message = EmailMessage()
    message["Subject"] = "Één bestelling"
    message.set_content("Dag")
    message.add_alternative("<p>Dag</p>", subtype="html")
    raw = {
        "Content": {"Raw": {"Data": base64.b64encode(bytes(message)).decode()}},
        "Destination": {"ToAddresses": ["a@example.nl"]},
    }
    read = ses.read(raw, "1", NOW)
    assert (read.subject, read.text.strip(), read.html.strip()) == ("Één bestelling", "Dag", "<p>Dag</p>")


def test_kept_mail_is_there_after_a_restart(tmp_path):
    path = tmp_path / "mail.jsonl"
    SentMail(path).add(ses.read(request(), "1", NOW))
    again = SentMail(path)
    again.add(ses.read(request("Tweede"), "2", NOW))
    assert SentMail(path).as_json() == again.as_json()
    assert path.stat().st_mode & 0o077 == 0
