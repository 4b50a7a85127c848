"""Whole systems from the real template: side by side, and gone without a trace."""

import gzip
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from callvoip.system import LocalSystem, StartError

pytestmark = pytest.mark.usefixtures("processes")


@pytest.fixture(scope="module")
def system(processes: None) -> Iterator[LocalSystem]:
    with LocalSystem.start() as running:
        yield running


def get(url: str, **headers: str):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def processes_mentioning(text: str) -> list[str]:
    """Command lines and environments of all processes that mention `text`."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            told = (directory / "cmdline").read_bytes() + (directory / "environ").read_bytes()
        except OSError:
            continue
        if text.encode() in told:
            found.append(told.replace(b"\0", b" ").decode(errors="replace")[:200])
    return found


def test_the_site_has_the_templates_headers(system):
    status, headers, body = get(f"{system.site}/")
    assert status == 200 and b"<!doctype html>" in body
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "public, max-age=0, must-revalidate"
    assert headers["server"] is None


def test_files_are_compressed_for_who_asks_and_answers_of_functions_are_not(system):
    status, headers, body = get(f"{system.site}/", **{"Accept-Encoding": "gzip, br"})
    assert status == 200 and headers["content-encoding"] == "gzip"
    assert gzip.decompress(body) == get(f"{system.site}/")[2]
    assert get(f"{system.api}/prices", **{"Accept-Encoding": "gzip"})[1]["content-encoding"] is None


def test_prices_come_from_the_catalogue_that_the_deploy_loaded(system):
    status, _, body = get(f"{system.api}/prices")
    assert status == 200
    assert {offering["id"]: offering["unitPriceCents"] for offering in json.loads(body)["offerings"]}["srtp"] == 200


def test_a_page_that_is_not_there_is_the_sites_404_and_an_api_path_the_apis(system):
    status, headers, body = get(f"{system.site}/nergens/", Accept="text/html")
    assert (status, headers["content-type"]) == (404, "text/html")
    assert b"<html" in body
    status, headers, body = get(f"{system.api}/nergens", Accept="application/json")
    assert status == 404
    assert headers["content-type"].startswith("application/problem+json")


def test_sales_without_a_token_is_refused_by_the_authorizer(system):
    status, headers, body = get(f"{system.api}/sales/orders")
    assert (status, json.loads(body)) == (401, {"message": "Unauthorized"})
    assert headers["www-authenticate"].startswith("Bearer")


def test_an_unchanged_page_is_not_sent_again(system):
    _, headers, _ = get(f"{system.site}/")
    status, _, body = get(f"{system.site}/", **{"If-None-Match": headers["etag"]})
    assert (status, body) == (304, b"")


def test_a_directory_without_its_slash_leads_to_it(system):
    with socket.create_connection(("127.0.0.1", int(system.site.rsplit(":", 1)[1]))) as connection:
        connection.sendall(b"GET /console HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 301")
    assert b"location: /console/" in answer.lower()


def test_the_console_is_told_where_to_sign_in(system):
    status, _, body = get(f"{system.console}config.json")
    assert status == 200
    told = json.loads(body)
    assert told["authorize"].startswith("http://127.0.0.1:")
    assert "amazonaws.com" in told["authority"]
    _, headers, _ = get(system.console)
    assert told["token"].removesuffix("/oauth2/token") in headers["content-security-policy"]


def test_mail_is_read_on_the_sites_own_port(system):
    status, _, body = get(system.mail)
    assert (status, system.mail) == (200, f"{system.site}/_local/mail/")
    assert "Er is nog geen e-mail verzonden." in body.decode()


def test_two_systems_run_side_by_side(system):
    with LocalSystem.start() as other:
        assert len({system.site, other.site}) == len({system.sip_host, other.sip_host}) == 2
        assert get(f"{other.api}/prices")[0] == get(f"{system.api}/prices")[0] == 200
        assert system.sales_password != other.sales_password
    assert get(f"{system.site}/")[0] == 200


def test_stopping_leaves_no_process_port_or_file(tmp_path):
    before = set(Path(tempfile.gettempdir()).glob("callvoip-*"))
    ready_file = tmp_path / "ready.json"
    system = LocalSystem.start(logs=tmp_path / "logs")
    get(f"{system.api}/prices")
    started = time.monotonic()
    pid, endpoint = system.process.pid, system.aws_endpoint.rsplit(":", 1)[1]
    assert processes_mentioning(endpoint), "functions run"
    system.stop()
    assert time.monotonic() - started < 10
    assert system.process.returncode == 0
    assert not ready_file.exists()
    assert not processes_mentioning(endpoint)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    for url in (system.site, system.aws_endpoint):
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])), 1).close()
    assert (
        not {path for path in Path(tempfile.gettempdir()).glob("callvoip-*") if str(path) == str(system.ca_file.parent)}
        - before
    )
    assert (tmp_path / "logs" / "functions" / "prices.log").exists(), "logs stay where they were asked for"


def test_a_system_that_is_killed_takes_its_processes_along():
    system = LocalSystem.start()
    get(f"{system.api}/prices")
    endpoint = system.aws_endpoint.rsplit(":", 1)[1]
    system.process.kill()
    system.process.wait()
    deadline = time.monotonic() + 5
    while processes_mentioning(endpoint) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not processes_mentioning(endpoint)
    subprocess.run(["rm", "-r", str(system.ca_file.parent)], check=True)


@pytest.mark.parametrize("seconds", [0.5, 1.5, 3.0])
def test_stopping_in_the_middle_of_a_start_leaves_nothing_either(tmp_path, seconds):
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "callvoip", "up", "--port", "0", "--logs", str(tmp_path / "logs")]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert "Traceback" not in said
    assert not processes_mentioning(str(tmp_path))
    assert not list(tmp_path.glob("callvoip-*"))


@pytest.mark.timeout(400)  # a first start builds
def test_verbose_shows_what_happens_and_a_part_that_is_gone_for_good_ends_it_with_a_word(tmp_path):
    ready, said = tmp_path / "ready.json", tmp_path / "said"
    command = [sys.executable, "-m", "callvoip", "up", "--port", "0", "--verbose", "--ready-file", str(ready)]
    with said.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        wait_for(lambda: ready.exists() or process.poll() is not None)
        system = json.loads(ready.read_text())
        assert get(f"{system['api']}/prices")[0] == 200
        wait_for(lambda: "GET /api/prices: 200" in said.read_text())
        assert re.search(r"^local: .*prices.* done in \d+ ms$", said.read_text(), re.IGNORECASE | re.MULTILINE)
        [emulator] = [
            int(path.name)
            for path in Path("/proc").glob("[0-9]*")
            if "\0callvoip.aws.emulator\0" in read(path / "cmdline") and parent(path) == process.pid
        ]
        os.kill(emulator, signal.SIGKILL)
        assert process.wait(30) == 1
    finally:
        process.kill()
    assert "the emulated AWS has ended by itself (status -9); see" in said.read_text()
    assert "Traceback" not in said.read_text()


def read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def parent(process: Path) -> int:
    """The parent of a process of /proc; 0 when it is gone (proc(5), stat)."""
    return int((read(process / "stat").rpartition(")")[2].split() or ["", "0"])[1])


def wait_for(condition: Callable[[], object], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_port_that_is_taken_is_told_with_the_way_out(system):
    with pytest.raises(StartError, match="--port"):
        LocalSystem.start(port=int(system.site.rsplit(":", 1)[1]))
