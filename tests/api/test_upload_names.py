"""Names that uploads carry: whatever a client claims, the name shown and offered is plain, and no path follows it."""

from __future__ import annotations

import unicodedata

import pytest
from django.conf import settings
from django.test.client import BOUNDARY, MULTIPART_CONTENT
from rest_framework.test import APIClient

from assistant.documents import services
from assistant.documents.models import DocumentVersion
from assistant.guardrails import sanitize

pytestmark = pytest.mark.django_db

NAMES = {
    "../../../../etc/cron.d/evil.txt": "evil.txt",
    "/etc/passwd": "passwd",
    "..\\..\\Windows\\System32\\drivers.txt": "drivers.txt",
    "C:\\fakepath\\plan.txt": "plan.txt",
    "....//....//x.txt": "x.txt",
    "%2e%2e%2fx.txt": "%2e%2e%2fx.txt",
    "a\x00.exe.txt": "a.exe.txt",
    "invoice\u202etxt.exe": "invoicetxt.exe",
    "zero\u200bwidth\u2066.txt": "zerowidth.txt",
    "cafe\u0301.txt": "caf\u00e9.txt",  # normalised: two spellings of one name are one name
    "NUL": "_NUL",
    "con.txt": "_con.txt",
    "LPT1.txt": "_LPT1.txt",
    ".bashrc": "bashrc",
    "..": "document",
    "trailing. . .": "trailing",
    "line\r\nX-Evil: 1.txt": "lineX-Evil_ 1.txt",
    'quote".txt': "quote_.txt",
    "报告😀.txt": "报告😀.txt",
}


@pytest.fixture
def curator(people):
    client = APIClient()
    client.force_login(people.administrator)
    services.create_collection(actor=people.administrator, slug="papers", name="Papers")
    return client


def send(client, name, content, *, raw=False):
    """Percent-encoded (RFC 5987), so that every character arrives; or `raw`, as browsers do."""
    quoted = "".join(f"%{byte:02X}" for byte in name.encode("utf-8", "surrogatepass"))
    named = f'filename="{name}"' if raw else f"filename*=UTF-8''{quoted}"
    lines = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="collection"\r\n\r\npapers\r\n',
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; {named}\r\n',
        f"Content-Type: text/plain\r\n\r\n{content}\r\n--{BOUNDARY}--\r\n",
    ]
    return client.generic("POST", "/api/v1/documents/", "".join(lines).encode(), MULTIPART_CONTENT)


def kept(answer):
    version = DocumentVersion.objects.get(document=answer.json()["id"])
    path = settings.UPLOADS_DIR / version.stored
    assert path.resolve().is_relative_to(settings.UPLOADS_DIR.resolve())
    assert path.is_file()
    return version


@pytest.mark.parametrize("name", list(NAMES))
def test_names_arrive_plain_and_decide_no_path(curator, name):
    """The name is cut down to what may be shown; the file lies where ours lie."""
    answer = send(curator, name, f"Text under the name {len(name)}.")
    if answer.status_code == 400:  # the parser itself found no name in it
        assert "file" in answer.json()["fields"]
        assert not DocumentVersion.objects.exists()
        assert sanitize.filename(name) == NAMES[name]
        return
    assert answer.status_code == 202, answer.content
    version = kept(answer)
    assert version.filename in {NAMES[name], sanitize.filename(NAMES[name])}
    assert not set(version.stored) & set("\\\0\r\n\u202e")
    assert ".." not in version.stored
    download = curator.get(f"/api/v1/documents/{answer.json()['id']}/file/")
    header = download["Content-Disposition"]
    assert header.startswith("attachment")
    assert not set(header) & set("\0\r\n\u202e")
    assert download["X-Content-Type-Options"] == "nosniff"
    download.close()


@pytest.mark.parametrize("name", ["x" * 252 + ".txt", "x" * 900 + ".txt", "报" * 290 + ".txt", "😀" * 200 + ".pdf"])
def test_names_longer_than_a_file_system_takes_are_shortened_and_keep_their_kind(curator, name):
    version = kept(send(curator, name, "A long name.", raw=True))
    assert len(version.filename.encode()) <= sanitize.FILENAME_BYTES <= 255
    assert version.filename.endswith(name[-4:])


def test_a_name_that_no_header_holds_is_refused_and_stores_nothing(curator):
    assert send(curator, "x" * 4000 + ".txt", "A longer name.", raw=True).status_code == 400
    assert not DocumentVersion.objects.exists()


def test_two_spellings_of_a_name_are_one(curator):
    first = kept(send(curator, unicodedata.normalize("NFD", "Übersicht für März.txt"), "One"))
    second = kept(send(curator, unicodedata.normalize("NFC", "Übersicht für März.txt"), "Two"))
    assert first.filename == second.filename


def test_names_of_folder_imports_and_of_new_versions_are_cut_down_too(curator, people):
    first = send(curator, "plan.txt", "One")
    again = "/api/v1/documents/{}/versions/".format(first.json()["id"])
    body = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="../../\u202eevil.txt"\r\n'
        f"Content-Type: text/plain\r\n\r\nAnother text\r\n--{BOUNDARY}--\r\n"
    )
    assert curator.generic("POST", again, body.encode(), MULTIPART_CONTENT).status_code in {200, 202}
    assert DocumentVersion.objects.get(number=2).filename == "evil.txt"
