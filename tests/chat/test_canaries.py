"""Twenty canaries: planted wherever words of a document or a person can lie, sealed while they live, gone when erased.

Every file of the data directory is searched (database, write-ahead log, originals, pictures, snapshot, logs), the
database server's own files, what Redis would write to its disk, the terms of the index in memory, and the file of an
export. Names and addresses of people are not sealed (they are signed in with): they are found before, so that the
search is known to find what is there, and not after.
"""

import base64
import csv
import io
import shutil
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.conf import settings
from django.db import connection

from assistant import observability
from assistant.accounts import services as accounts
from assistant.accounts.models import User
from assistant.audit.reading import verify_log
from assistant.chat import persons, services, tasks
from assistant.chat.answering import Tools
from assistant.chat.models import Answer, Conversation
from assistant.documents import ingestion, storage
from assistant.documents import replica as replicas
from assistant.documents import services as documents
from assistant.documents.search import Searcher
from assistant.engines import embedder
from assistant.transport import redis_client
from assistant.vault import remains
from inference.engines.base import Delta
from retrieval.indexes.lexical import term_hash
from tests import files

from . import library
from .engines import ScriptedModel

pytestmark = pytest.mark.django_db(transaction=True)

PLACES = (
    *("text", "docxbody", "docxtitle", "docxhidden", "docxtable", "docxheader", "docxname", "pdfbody", "pdfname"),
    *("csvcell", "sheetname", "source", "title"),
    *("question", "followup", "context", "conversation", "thinking", "answer", "feedback"),
)
CANARIES = {place: f"kanarie{place}xq7" for place in PLACES}
PERSON = {"name": "Kanarienamexq7", "email": "kanarieadressexq7"}


def test_there_are_twenty():
    assert len(CANARIES) == 20


def docx() -> bytes:
    import docx as writer

    file = writer.Document()
    file.core_properties.title = f"Report {CANARIES['docxtitle']}"
    file.sections[0].header.paragraphs[0].text = f"Header {CANARIES['docxheader']}"
    file.add_paragraph(f"The parking fee of {CANARIES['docxbody']} is 12 euros per day.")
    file.add_paragraph("").add_run(f"secret {CANARIES['docxhidden']}").font.hidden = True
    table = file.add_table(rows=2, cols=2)
    table.cell(0, 0).text, table.cell(1, 0).text = "Name", CANARIES["docxtable"]
    out = io.BytesIO()
    file.save(out)
    return out.getvalue()


def pdf() -> bytes:
    from reportlab.pdfgen import canvas

    out = io.BytesIO()
    page = canvas.Canvas(out)
    page.drawString(72, 720, f"The bicycle allowance of {CANARIES['pdfbody']} is 40 euros per month.")
    page.save()
    return out.getvalue()


def xlsx() -> bytes:
    import xlsxwriter

    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
        sheet = book.add_worksheet(CANARIES["sheetname"])
        sheet.write_row(0, 0, ["Key", "Value"])
        sheet.write_row(1, 0, ["pump", 3])
    return out.getvalue()


def table() -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows([["Part", "Name"], ["1", CANARIES["csvcell"]]])
    return out.getvalue().encode()


@pytest.fixture
def planted(people, tmp_path):
    for folder in (settings.UPLOADS_DIR, settings.CACHE_DIR):
        shutil.rmtree(folder, ignore_errors=True)
    boss = people.administrator
    person = accounts.create_user(actor=boss, email=f"{PERSON['email']}@company.example", name=PERSON["name"])
    here = documents.create_collection(actor=boss, slug="canaries")
    documents.grant_collection(actor=boss, collection=here, principal="everyone", access="reader")
    rows = []
    for name, content, title, source in (
        ("plain.txt", f"The gate code is {CANARIES['text']} until further notice.\n".encode(), CANARIES["title"], ""),
        (f"{CANARIES['docxname']}.docx", docx(), "", ""),
        (f"{CANARIES['pdfname']}.pdf", pdf(), "", ""),
        ("table.csv", table(), "", f"folder/{CANARIES['source']}/table.csv"),
        ("book.xlsx", xlsx(), "", ""),
    ):
        row, _ = documents.upload(
            actor=boss, collection=here, file=io.BytesIO(content), filename=name, title=title, source=source
        )
        assert isinstance(ingestion.ingest(row.latest.pk), ingestion.Ready), name
        rows.append(row)
    documents.page_picture(actor=boss, document=rows[2], number=1, quotes=["bicycle allowance"])
    replica = replicas.DocumentReplica(
        dimension=embedder().dimension, model_id=embedder().model_id, folder=storage.index_folder()
    )
    model = ScriptedModel(
        [Delta("thinking", f"I think {CANARIES['thinking']}."), f"The fee is 12 euros {CANARIES['answer']} [1]."]
    )
    usual = tasks.answering.tools()
    tools = Tools(
        **{
            **{name: getattr(usual, name) for name in usual.__dataclass_fields__},
            "searcher": Searcher(embedder=embedder(), replica=replica),
            "engine": model,
        }
    )
    with observability.context(actor=f"user:{person.pk}", role=person.role):
        first = library.asked(person, f"What is the parking fee of {CANARIES['question']}?", tools=tools)
        services.rename(actor=person, conversation_id=first.conversation_id, title=CANARIES["conversation"])
        library.asked(
            person,
            f"And the bicycle allowance of {CANARIES['followup']}?",
            tools=tools,
            conversation_id=first.conversation_id,
            context=[("user", f"Earlier {CANARIES['context']}")],
        )
        services.give_feedback(actor=person, answer_id=first.pk, good=False, reason=f"bad {CANARIES['feedback']}")
    assert replica.save()
    return boss, person, rows, replica, first


def contents(tmp_path: Path):
    """(where, bytes) of everything that outlives a process."""
    connection.close()
    redis_client().save()
    roots = [Path(settings.DATA_DIR), tmp_path]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("CHECKPOINT")
            cursor.execute("SHOW data_directory")
            roots.append(Path(cursor.fetchone()[0]))
    for root in roots:
        for path in sorted(root.rglob("*")):
            if path.is_file():
                yield str(path.relative_to(root)), files.content(path)
    for key in redis_client().scan_iter("*"):
        yield f"redis {key}", str(redis_client().dump(key)).encode()


def found(words, tmp_path: Path) -> set[tuple[str, str]]:
    """(place, file) for every word that stands somewhere, in any of the ways it may be written."""
    ways = {
        place: {
            *(word.encode(code) for code in ("utf-8", "utf-16-le", "utf-16-be")),
            word.upper().encode(),
            word.encode().hex().encode(),
            *(base64.b64encode(b"x" * shift + word.encode())[4:-4] for shift in range(3)),
            term_hash(word).to_bytes(8, "little"),
        }
        for place, word in words.items()
    }
    return {
        (place, where)
        for where, content in contents(tmp_path)
        for place, forms in ways.items()
        if any(form in content for form in forms)
    }


def terms(replica) -> set[int]:
    return {int(term) for segment in replica.index.segments() for term in segment.lexical.terms}


def test_no_byte_of_them_is_readable_while_they_live_and_none_is_left_when_erased(planted, tmp_path):
    boss, person, rows, replica, first = planted
    first.refresh_from_db()
    assert CANARIES["thinking"] in first.thinking
    assert CANARIES["answer"] in first.text
    assert term_hash(CANARIES["text"]) in terms(replica)
    if connection.vendor == "postgresql":  # as its own housekeeping does at times: samples of columns are kept
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
    assert found(CANARIES, tmp_path) == set()
    assert {place for place, _ in found(PERSON, tmp_path)} == set(PERSON)  # the search finds what is there

    for row in rows:
        receipt = documents.delete(actor=boss, document=row)
        assert receipt["keys"] == receipt["files"] == 1
    replica.catch_up()
    replica.purge()
    assert not terms(replica) & {term_hash(word) for word in CANARIES.values()}
    replica.save()
    certificate = persons.erase_person(actor=boss, user=person)
    assert certificate["conversations"] == 1
    assert certificate["answers"] == 2
    assert certificate["audited_texts"] == 2

    assert not Answer.objects.exists()
    assert not Conversation.objects.exists()
    assert not User.objects.filter(pk=person.pk).exists()
    left = found(CANARIES | PERSON, tmp_path)
    if connection.vendor == "postgresql":  # its write-ahead log is recycled later: the boundary in THREAT_MODEL.md
        left = {(place, where) for place, where in left if place not in PERSON or "pg_wal" not in where}
    assert left == set()
    assert verify_log().ok


def test_what_an_older_transaction_still_sees_is_outlasted(people, tmp_path, monkeypatch):
    """PostgreSQL carries such rows over into the rewritten table."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite overwrites at once")
    word = "kanarieleserxq7"
    person = accounts.create_user(actor=people.administrator, email=f"{word}@example.org", role="employee")
    waited = []
    with closing(connection.copy()) as reader:
        reader.set_autocommit(False)
        with reader.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("SELECT 1")

        def sleep(_: float) -> None:
            waited.append(1)
            reader.rollback()

        monkeypatch.setattr(remains, "time", SimpleNamespace(monotonic=time.monotonic, sleep=sleep))
        persons.erase_person(actor=people.administrator, user=person)
    assert waited
    assert {where for _, where in found({"email": word}, tmp_path) if "pg_wal" not in where} == set()
