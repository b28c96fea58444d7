"""Collections, documents, pages and search over REST: shapes, codes, and one silence for foreign and absent."""

from __future__ import annotations

import dataclasses
import html
import io
import json
import re
import uuid

import pytest
from django.test import Client
from rest_framework.renderers import JSONRenderer
from rest_framework.test import APIClient

from assistant.api.search import ResultsSerializer
from assistant.audit.models import AuditEvent
from assistant.documents import ingestion, services
from assistant.documents.models import Collection, Document, DocumentVersion, Status
from assistant.documents.services import SearchResult
from tests.documents.conftest import (  # noqa: F401  (fixtures)
    POLICY,
    ROADMAP,
    SALARY,
    _clean_disk,
    embedder,
    replica,
    searcher,
    world,
)
from tests.documents.test_reading import pdf

pytestmark = pytest.mark.django_db(transaction=True)

API = "/api/v1/"


@pytest.fixture
def clients(people) -> dict[str, APIClient]:
    made = {}
    for name in ("employee", "curator", "auditor", "administrator", "outsider"):
        made[name] = APIClient()
        made[name].force_login(getattr(people, name))
    made["nobody"] = APIClient()
    return made


def send(client, collection, name="travel.md", content=POLICY, **extra):
    file = io.BytesIO(content)
    file.name = name
    return client.post(f"{API}documents/", {"collection": collection, "file": file, **extra}, format="multipart")


def read(document_id):
    return ingestion.ingest(Document.objects.get(pk=document_id).latest.pk)


def test_a_collection_is_made_named_and_removed(clients, world):  # noqa: F811
    boss = clients["administrator"]
    made = boss.post(f"{API}collections/", {"slug": "legal", "name": "Legal", "description": "Contracts"})
    assert made.status_code == 201
    assert made.json() == {"slug": "legal", "name": "Legal", "description": "Contracts"}
    assert made["Location"] == "/api/v1/collections/legal/"
    assert boss.post(f"{API}collections/", {"slug": "legal"}).status_code == 409
    assert boss.post(f"{API}collections/", {"slug": "Legal!"}).status_code == 400
    changed = boss.patch(f"{API}collections/legal/", {"name": "Law"})
    assert changed.json()["name"] == "Law"
    assert {row["slug"] for row in boss.get(f"{API}collections/").json()["results"]} == {
        "handbook",
        "finance",
        "board",
        "legal",
    }
    assert {row["slug"] for row in clients["employee"].get(f"{API}collections/").json()["results"]} == {
        "handbook",
        "finance",
    }
    assert boss.delete(f"{API}collections/legal/").status_code == 204
    assert boss.get(f"{API}collections/legal/").status_code == 404


def test_upload_is_accepted_then_ready_and_the_same_file_is_the_same_document(clients, world):  # noqa: F811
    boss = clients["administrator"]
    accepted = send(boss, "handbook")
    assert accepted.status_code == 202
    body = accepted.json()
    assert (body["status"], body["version"]) == ("queued", 1)
    where = f"{API}documents/{body['id']}/"
    assert accepted["Location"] == where
    waiting = boss.get(where).json()
    assert (waiting["status"], waiting["progress"], waiting["error"]) == ("queued", 0.0, None)
    assert clients["employee"].get(where).status_code == 404  # nothing to read yet
    again = send(boss, "handbook", name="other.md")
    assert (again.status_code, again.json()["id"]) == (200, body["id"])
    read(body["id"])
    ready = clients["employee"].get(where).json()
    assert (ready["status"], ready["title"], ready["collection"], ready["restricted"]) == (
        "ready",
        "Travel policy",
        "handbook",
        False,
    )
    listed = clients["employee"].get(f"{API}documents/", {"collection": "handbook"}).json()["results"]
    assert [row["id"] for row in listed] == [body["id"]]


def test_uploads_that_cannot_be_taken_say_why(clients, world, settings):  # noqa: F811
    boss = clients["administrator"]
    assert send(boss, "nowhere").status_code == 404
    assert send(clients["employee"], "handbook").status_code == 404
    assert send(clients["nobody"], "handbook").status_code == 401
    assert send(boss, "handbook", content=b"").json()["code"] == "empty_file"
    assert boss.post(f"{API}documents/", {"collection": "handbook"}, format="multipart").status_code == 400
    assert boss.post(f"{API}documents/", {"collection": "handbook"}, format="json").status_code == 415
    settings.MAX_UPLOAD_BYTES = 1024 * 1024
    too_large = send(boss, "handbook", content=b"x" * (2**20 + 1))
    assert (too_large.status_code, too_large.json()["code"]) == (413, "too_large")
    assert too_large["Content-Type"] == "application/problem+json"
    assert not Document.objects.exists()


def test_a_failed_document_tells_its_error_and_can_be_retried_or_deleted(clients, world):  # noqa: F811
    boss = clients["administrator"]
    key = send(boss, "handbook", name="broken.pdf", content=b"%PDF-1.7 broken").json()["id"]
    where = f"{API}documents/{key}/"
    assert boss.post(f"{where}retry/").status_code == 409
    read(key)
    shown = boss.get(where).json()
    assert (shown["status"], shown["error"]["code"]) == ("failed", "corrupt_document")
    assert shown["error"]["detail"]
    assert boss.post(f"{where}retry/").status_code == 202
    assert boss.post(f"{where}cancel/").status_code == 200
    assert boss.get(where).json()["error"]["code"] == "cancelled"
    assert boss.post(f"{where}cancel/").status_code == 409
    assert boss.post(f"{where}release/").status_code == 409
    receipt = boss.delete(where)
    assert receipt.status_code == 200
    assert receipt.json()["erased"]["files"] == 1
    assert boss.get(where).status_code == 404
    assert boss.delete(where).status_code == 404


def test_a_new_version_replaces_the_content(clients, world):  # noqa: F811
    curator = clients["curator"]
    key = send(curator, "handbook").json()["id"]
    read(key)
    file = io.BytesIO(ROADMAP)
    file.name = "travel-2.md"
    replaced = curator.post(f"{API}documents/{key}/versions/", {"file": file}, format="multipart")
    assert (replaced.status_code, replaced.json()["version"]) == (202, 2)
    assert "six hours" in clients["outsider"].get(f"{API}documents/{key}/pages/1/").json()["text"]
    read(key)
    page = clients["outsider"].get(f"{API}documents/{key}/pages/1/").json()
    assert "Falcon" in page["text"]
    assert page["version"] == 2
    old = clients["outsider"].get(f"{API}documents/{key}/pages/1/", {"version": 1}).json()
    assert ("six hours" in old["text"], old["current"]) == (True, False)


def test_pages_pictures_rectangles_and_the_original(clients, world):  # noqa: F811
    content = pdf("Travel policy", "Business class on long flights.")
    key = send(clients["curator"], "handbook", name="Reise 规定.pdf", content=content).json()["id"]
    read(key)
    reader = clients["outsider"]
    page = reader.get(f"{API}documents/{key}/pages/1/").json()
    assert (page["page"], page["pages"]) == (1, 1)
    assert "Business class" in page["text"]
    picture = reader.get(page["picture"])
    assert AuditEvent.objects.filter(action="document.page_viewed").count() == 1  # one look
    assert picture["Content-Type"] == "image/png"
    assert picture.content.startswith(b"\x89PNG")
    places = reader.get(
        f"{API}documents/{key}/pages/1/rectangles/", {"quote": ["Business class on long flights.", "absent"]}
    ).json()
    assert len(places["quotes"][0]) == 1
    assert places["quotes"][1] == []
    file = reader.get(f"{API}documents/{key}/file/")
    assert b"".join(file.streaming_content) == content
    assert file["Content-Disposition"].startswith("attachment")
    assert file["X-Content-Type-Options"] == "nosniff"
    for wrong in ("pages/2/", "pages/2/picture/", "pages/1/?version=9", "file/?version=2"):
        assert reader.get(f"{API}documents/{key}/{wrong}").status_code == 404, wrong
    for wrong in ("pages/1/?version=x", "pages/1/picture/?width=7"):
        assert reader.get(f"{API}documents/{key}/{wrong}").status_code == 400, wrong


def test_collection_grants_open_and_close(clients, world, people):  # noqa: F811
    boss, outsider = clients["administrator"], clients["outsider"]
    key = send(boss, "board", content=ROADMAP).json()["id"]
    read(key)
    assert outsider.get(f"{API}documents/{key}/").status_code == 404
    body = {"principal": f"user:{people.outsider.email}", "access": "reader"}
    made = boss.post(f"{API}collections/board/grants/", body)
    assert made.status_code == 201
    assert made.json()["principal"] == body["principal"]
    assert boss.post(f"{API}collections/board/grants/", body).status_code == 200
    assert outsider.get(f"{API}documents/{key}/").status_code == 200
    listed = boss.get(f"{API}collections/board/grants/").json()["results"]
    assert [row["id"] for row in listed] == [made.json()["id"]]
    assert outsider.get(f"{API}collections/board/grants/").status_code == 404
    report = boss.get(f"{API}collections/board/access/").json()["results"]
    assert {row["person"] for row in report if row["reads"]} == {people.outsider.email}
    assert boss.delete(f"{API}collections/board/grants/{made.json()['id']}/").status_code == 204
    assert boss.delete(f"{API}collections/board/grants/{made.json()['id']}/").status_code == 404
    assert outsider.get(f"{API}documents/{key}/").status_code == 404


def test_document_grants_restrict_with_ids_that_stay(clients, world, people):  # noqa: F811
    boss = clients["administrator"]
    key = send(boss, "handbook").json()["id"]
    read(key)
    where = f"{API}documents/{key}/grants/"
    assert boss.get(where).json() == {"restricted": False, "results": []}
    first = boss.post(where, {"principal": "team:finance", "access": "reader"}).json()["id"]
    second = boss.post(where, {"principal": f"user:{people.auditor.email}", "access": "reader"}).json()["id"]
    readers = [name for name in ("employee", "curator", "auditor", "outsider") if sees(clients[name], key)]
    assert readers == ["employee", "curator", "auditor"]  # the curator manages the collection
    assert boss.delete(f"{where}{first}/").status_code == 204
    assert not sees(clients["employee"], key)
    assert boss.delete(f"{where}{second}/").status_code == 204
    assert boss.get(where).json() == {"restricted": True, "results": []}
    assert not sees(clients["auditor"], key)
    assert boss.delete(where).status_code == 204
    assert sees(clients["outsider"], key)


def sees(client, key) -> bool:
    return bool(client.get(f"{API}documents/{key}/").status_code == 200)


def test_patch_renames_dates_and_moves(clients, world):  # noqa: F811
    boss = clients["administrator"]
    key = send(boss, "handbook").json()["id"]
    where = f"{API}documents/{key}/"
    changed = boss.patch(where, {"title": "Flying", "valid_until": "2030-12-31", "collection": "board"}).json()
    assert (changed["title"], changed["valid_until"], changed["collection"]) == ("Flying", "2030-12-31", "board")
    assert boss.patch(where, {"valid_from": "2031-01-01"}).status_code == 409
    assert boss.patch(where, {"valid_until": None}).json()["valid_until"] is None
    assert boss.patch(where, {"collection": "nowhere"}).status_code == 404


def test_search_answers_with_what_may_be_read(clients, world, searcher, answers_worker):  # noqa: F811
    for collection, content in (("handbook", POLICY), ("finance", SALARY), ("board", ROADMAP)):
        read(send(clients["administrator"], collection, content=content).json()["id"])
    body = {"query": "salary of engineers"}
    found = clients["employee"].post(f"{API}search/", body)
    assert found.status_code == 200
    first = found.json()["results"][0]
    assert (first["title"], first["collection"], first["page"]) == ("Salary bands", "finance", 1)
    assert "90,000" in first["text"]
    titles = {row["title"] for row in clients["outsider"].post(f"{API}search/", body).json()["results"]}
    assert titles == {"Travel policy"}
    narrowed = clients["employee"].post(f"{API}search/", {**body, "collections": ["handbook"], "limit": 1})
    assert [row["title"] for row in narrowed.json()["results"]] == ["Travel policy"]
    assert clients["employee"].post(f"{API}search/", {"query": " "}).status_code == 400
    assert clients["employee"].post(f"{API}search/", {"query": "x", "limit": 0}).status_code == 400
    assert clients["nobody"].post(f"{API}search/", body).status_code == 401


def test_a_search_result_is_what_the_schema_says_of_it(clients, monkeypatch):
    """The view writes rows itself: a field more, less or of another kind would leave the documented shape."""
    kinds = {"document": str(uuid.uuid4()), "page": 2, "version": 3, "chunk": 4, "char_start": 5, "char_end": 90}
    kinds |= {"score": 0.25, "headings": ("Trips", "Flights"), "suspicious": True}
    names = [field.name for field in dataclasses.fields(SearchResult)]
    result = SearchResult(**{name: kinds.get(name, f"a-{name}") for name in names})
    monkeypatch.setattr("assistant.documents.services.search", lambda **asked: [result, result])
    found = clients["employee"].post(f"{API}search/", {"query": "flights"})
    expected = json.loads(JSONRenderer().render(ResultsSerializer({"results": [result, result]}).data))
    assert found.json() == expected
    assert [list(row) for row in found.json()["results"]] == [list(row) for row in expected["results"]]


def test_what_one_search_asks_for_is_not_in_the_next(clients, monkeypatch):
    """The form is made once, and every request is read with it."""
    asked: list[dict[str, object]] = []
    monkeypatch.setattr("assistant.documents.services.search", lambda *, actor, **given: asked.append(given) or [])
    employee = clients["employee"]
    bodies = (
        {"query": "flights", "collections": ["handbook"], "limit": 3},
        {"query": 5, "collections": ["no slug!"], "limit": 0},
        {"query": "salary"},
    )
    said = [employee.post(f"{API}search/", body) for body in bodies]
    assert [answer.status_code for answer in said] == [200, 400, 200]
    assert set(said[1].json()["fields"]) == {"query", "collections.0", "limit"}
    assert asked == [bodies[0], {"query": "salary", "limit": 10}]


def test_search_without_a_worker_is_a_503_that_says_when_to_try_again(clients, world, monkeypatch):  # noqa: F811
    monkeypatch.setattr("assistant.documents.services.asking.WAIT_SECONDS", 1)
    answer = clients["employee"].post(f"{API}search/", {"query": "anything"})
    assert (answer.status_code, answer.json()["code"]) == (503, "search_worker_away")
    assert int(answer["Retry-After"]) > 0


@pytest.fixture
def answers_worker(searcher, monkeypatch):  # noqa: F811
    """Answers searches in this process, as a worker does."""
    from assistant.documents.search_desk import Desk

    monkeypatch.setattr("assistant.documents.search.searcher", lambda: searcher)
    desk = Desk(1)
    desk.open()
    yield
    desk.close()


# method, path below documents/{id}/ or collections/{slug}/, body; a row for every address of these modules
OBJECT_CALLS = [
    ("get", "documents/{d}/", None),
    ("patch", "documents/{d}/", {"title": "x"}),
    ("delete", "documents/{d}/", None),
    ("post", "documents/{d}/versions/", None),
    ("post", "documents/{d}/retry/", None),
    ("post", "documents/{d}/cancel/", None),
    ("post", "documents/{d}/release/", None),
    ("get", "documents/{d}/access/", None),
    ("get", "documents/{d}/grants/", None),
    ("post", "documents/{d}/grants/", {"principal": "everyone"}),
    ("delete", "documents/{d}/grants/", None),
    ("delete", "documents/{d}/grants/everyone/", None),
    ("get", "documents/{d}/file/", None),
    ("get", "documents/{d}/pages/1/", None),
    ("get", "documents/{d}/pages/1/picture/", None),
    ("get", "documents/{d}/pages/1/rectangles/", None),
    ("get", "collections/{c}/", None),
    ("patch", "collections/{c}/", {"name": "x"}),
    ("delete", "collections/{c}/", None),
    ("get", "collections/{c}/access/", None),
    ("get", "collections/{c}/grants/", None),
    ("post", "collections/{c}/grants/", {"principal": "everyone"}),
    ("delete", "collections/{c}/grants/everyone/", None),
    ("get", "documents/?collection={c}", None),
]


def test_foreign_and_absent_give_the_same_answer_at_every_address(clients, world):  # noqa: F811
    hidden = world.ready(world.board, "roadmap.md", ROADMAP)
    absent = {"d": uuid.uuid4(), "c": "bored"}
    foreign = {"d": hidden.pk, "c": "board"}
    for method, path, body in OBJECT_CALLS:
        for name in ("employee", "curator", "outsider", "nobody"):
            answers = [
                getattr(clients[name], method)(API + path.format(**keys), body, format="json")
                for keys in (foreign, absent)
            ]
            said = [(a.status_code, a.content, sorted(h for h in a.headers if h != "X-Request-ID")) for a in answers]
            assert said[0] == said[1], (method, path, name)
            assert said[0][0] == (401 if name == "nobody" else 404), (method, path, name)
    assert Document.objects.filter(pk=hidden.pk).exists()
    assert Collection.objects.filter(slug="board").exists()
    assert services.document_grants(actor=world.people.administrator, document=hidden) == []


def test_what_readers_may_not_change_is_not_found_for_them(clients, world):  # noqa: F811
    document = world.ready(world.handbook, "travel.md", POLICY)
    keys = {"d": document.pk, "c": "handbook"}
    reading = {
        "documents/{d}/": 200,
        "documents/{d}/file/": 200,
        "documents/{d}/pages/1/": 200,
        "collections/{c}/": 200,
        "documents/?collection={c}": 200,
    }
    for method, path, body in OBJECT_CALLS:
        for name in ("employee", "auditor", "outsider"):
            answer = getattr(clients[name], method)(API + path.format(**keys), body, format="json")
            expected = reading.get(path, 404) if method == "get" else 404
            assert answer.status_code == expected, (method, path, name)
            answer.close()
    assert DocumentVersion.objects.get().status == Status.READY


def test_every_address_of_these_modules_is_in_the_table():
    from assistant.api import collections, documents, pages

    listed = {
        path.split("?")[0].replace("{d}", "<uuid:document>").replace("{c}", "<slug:slug>")
        for _, path, _ in OBJECT_CALLS
    }
    listed = {
        path.replace("pages/1/", "pages/<int:number>/").replace("grants/everyone/", "grants/<slug:grant>/")
        for path in listed
    }
    known = {str(url.pattern) for module in (collections, documents, pages) for url in module.urlpatterns}
    assert known == listed | {"collections/"}


def test_pages_of_documents_follow_their_cursor(clients, world):  # noqa: F811
    made = [send(clients["curator"], "handbook", content=POLICY + bytes([65 + n])).json()["id"] for n in range(5)]
    url, seen = f"{API}documents/?page_size=2", []
    while url:
        body = clients["curator"].get(url).json()
        seen += [row["id"] for row in body["results"]]
        url = body["next"]
    assert sorted(seen) == sorted(made)
    assert len(seen) == len(set(seen))
    assert clients["curator"].get(f"{API}documents/?cursor=nonsense").status_code == 404


def test_a_page_in_the_browser_with_its_picture_is_one_look(clients, world):  # noqa: F811
    key = send(clients["curator"], "handbook", name="plan.pdf", content=pdf("Plan", "Nothing much.")).json()["id"]
    read(key)
    client = Client()
    client.force_login(world.people.outsider)
    body = client.get(f"/documents/{key}/pages/1/").content.decode()
    picture = html.unescape(re.search(r'<image href="([^"]+)"', body).group(1))
    assert client.get(picture).content.startswith(b"\x89PNG")
    assert AuditEvent.objects.filter(action="document.page_viewed").count() == 1
