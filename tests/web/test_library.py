"""The library: exact lists, managing, uploads, access; nothing shows what a person may not read."""

from __future__ import annotations

import re
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from assistant.accounts.models import Membership, Team
from assistant.documents.models import Document, Grant, Scope

from .conftest import QUOTE, TEXT, make_collection

pytestmark = pytest.mark.django_db


def test_library_lists_exactly_the_readable_collections_and_counts(as_person, people, library):
    body = as_person(people.employee).get("/library/").content.decode()
    assert "Handbook" in body
    assert "Board" not in body
    assert '<td class="number" data-label="Documents">1</td>' in body  # the failed file is its curator's business


def test_curator_sees_every_state_of_their_collection(as_person, people, library):
    body = as_person(people.curator).get("/library/handbook/").content.decode()
    assert "Locked file" in body
    assert "Could not be read" in body


def test_reader_sees_ready_documents_and_no_controls(as_person, people, library):
    body = as_person(people.employee).get("/library/handbook/").content.decode()
    assert "Travel policy" in body
    assert "Locked file" not in body
    assert "Add documents" not in body


@pytest.mark.parametrize("path", ["/library/board/", "/library/board/access/", "/library/board/settings/"])
def test_foreign_and_absent_collections_look_the_same(as_person, people, library, path):
    client = as_person(people.employee)
    foreign, absent = client.get(path), client.get(path.replace("board", "nothing"))
    assert foreign.status_code == absent.status_code == 404


def test_documents_are_filtered_and_sorted_by_the_address(as_person, people, library):
    client = as_person(people.curator)
    assert "Travel policy" not in client.get("/library/handbook/?state=failed").content.decode()
    assert "No document fits this" in client.get("/library/handbook/?q=zebra").content.decode()
    for sort in ("title", "-title", "updated", "-updated", "type", "nonsense"):
        assert client.get(f"/library/handbook/?sort={sort}").status_code == 200


def test_several_files_are_uploaded_at_once(as_person, people, library):
    files = [SimpleUploadedFile(f"note-{n}.txt", f"Note {n}.".encode()) for n in range(2)]
    client = as_person(people.curator)
    body = client.post("/library/handbook/upload/", {"file": files}, follow=True).content.decode()
    assert "2 files were received" in body
    assert sum(row.title.startswith("note") for row in Document.objects.all()) == 2


def test_reader_cannot_upload(as_person, people, library):
    file = SimpleUploadedFile("note.txt", b"Note.")
    assert as_person(people.employee).post("/library/handbook/upload/", {"file": file}).status_code == 404


def test_upload_without_a_file_says_so(as_person, people, library):
    body = as_person(people.curator).post("/library/handbook/upload/", {}, follow=True).content.decode()
    assert "Choose at least one file" in body


def test_bulk_delete_asks_first_and_then_erases(as_person, people, library):
    client = as_person(people.curator)
    chosen = {"document": [str(library.policy.pk)], "action": "delete"}
    assert "cannot be undone" in client.post("/library/handbook/bulk/", chosen).content.decode()
    assert Document.objects.filter(pk=library.policy.pk).exists()
    client.post("/library/handbook/bulk/", {**chosen, "sure": "yes"})
    assert not Document.objects.filter(pk=library.policy.pk).exists()


def test_bulk_actions_touch_only_managed_documents_of_that_collection(as_person, people, library):
    chosen = {"document": [str(library.minutes.pk)], "action": "delete", "sure": "yes"}
    as_person(people.curator).post("/library/handbook/bulk/", chosen)
    assert Document.objects.filter(pk=library.minutes.pk).exists()


def test_bulk_retry_reads_failed_documents_again(as_person, people, library):
    chosen = {"document": [str(library.failed.pk), str(library.policy.pk)], "action": "retry"}
    body = as_person(people.curator).post("/library/handbook/bulk/", chosen, follow=True).content.decode()
    assert "1 document is read again" in body


def test_administrator_makes_and_removes_a_collection(as_person, people, library):
    client = as_person(people.administrator)
    response = client.post("/library/new/", {"name": "Plans", "slug": "plans", "description": ""})
    assert response["Location"] == "/library/plans/access/"
    assert "Plans" in client.post("/library/plans/delete/", follow=True).content.decode()


def test_collection_needs_a_name_only(as_person, people, library):
    client = as_person(people.administrator)
    places = ("规章制度 2026", "Café–Menü", "New", "Board", "猫猫", "HR 人事制度")
    made = [client.post("/library/new/", {"name": name})["Location"].split("/")[2] for name in places]
    assert made == ["policies-2026", "cafe-menue", "new-2", "board-2", "collection", "hr-policies"]
    assert client.get("/library/new-2/").status_code == 200


def test_wrong_short_name_is_told_at_its_field(as_person, people):
    response = as_person(people.administrator).post("/library/new/", {"name": "Plans", "slug": "Not Good"})
    assert response.status_code == 400
    assert 'id="id_slug_error"' in response.content.decode()


def test_collection_with_documents_is_not_deleted(as_person, people, library):
    body = as_person(people.administrator).post("/library/handbook/delete/", follow=True).content.decode()
    assert "Delete or move the documents of this collection first." in body


def test_access_is_given_and_taken(as_person, people, library):
    client = as_person(people.administrator)
    client.post("/library/board/access/", {"kind": "team", "who": "finance", "access": "reader"})
    grant = Grant.objects.get(team__slug="finance")
    assert "Finance" in client.get("/library/board/access/").content.decode()
    client.post(f"/library/board/access/{grant.reference}/revoke/")
    assert not Grant.objects.filter(pk=grant.pk).exists()


def test_a_name_beside_everyone_is_no_grant_to_everyone(as_person, people, library):
    data = {"kind": "everyone", "who": "finance", "access": "reader"}
    response = as_person(people.administrator).post("/library/board/access/", data)
    assert response.status_code == 400
    assert "choose a team or a person" in response.content.decode()
    assert not Grant.objects.filter(scope__collection__slug="board", everyone=True).exists()


def test_grant_to_somebody_unknown_is_told_at_the_form(as_person, people, library):
    data = {"kind": "user", "who": "nobody@company.example", "access": "reader"}
    response = as_person(people.administrator).post("/library/board/access/", data)
    assert response.status_code == 400


def test_document_says_why_it_could_not_be_read_and_what_to_do(as_person, people, library):
    body = as_person(people.curator).get(f"/documents/{library.failed.pk}/").content.decode()
    assert "Remove the protection and upload it again" in body


def test_list_says_why_a_file_could_not_be_read_to_those_who_can_mend_it(as_person, people, library):
    body = as_person(people.curator).get("/library/handbook/").content.decode()
    reason = "The file is protected by a password. Remove the protection and upload it again."
    assert body.count(f'<p class="hint why">{reason}</p>') == 1
    assert "Remove the protection" not in as_person(people.employee).get("/library/handbook/").content.decode()


def test_document_page_marks_the_quotation_by_its_place(as_person, people, library):
    start = TEXT.index(QUOTE)
    path = f"/documents/{library.policy.pk}/pages/1/?from={start}&to={start + len(QUOTE)}"
    body = as_person(people.employee).get(path).content.decode()
    assert f'<mark id="quote">{QUOTE}</mark>' in body


def test_document_page_marks_several_quotations_apart_and_stands_at_the_first(as_person, people, library):
    second = "Ask the travel desk."
    spans = [(TEXT.index(words), TEXT.index(words) + len(words)) for words in (second, QUOTE)]
    spans.append((spans[1][0] + 4, spans[1][1] + 4))  # begins within another: left out
    query = "&".join(f"from={start}&to={end}" for start, end in spans)
    body = as_person(people.employee).get(f"/documents/{library.policy.pk}/pages/1/?{query}").content.decode()
    assert body.count("<mark") == 2
    assert body.index(f'<mark id="quote">{QUOTE}</mark>') < body.index(f"<mark>{second}</mark>")


@pytest.mark.parametrize(
    "query",
    ["?from=5&to=2", "?from=x&to=y", "?from=0&to=99999999", "?version=zz", "?from=5", "?" + "from=1&to=2&" * 99],
)
def test_nonsense_places_are_no_fault(as_person, people, library, query):
    assert as_person(people.employee).get(f"/documents/{library.policy.pk}/pages/1/{query}").status_code == 200


@pytest.mark.parametrize(
    "tail", ["", "pages/1/", "pages/1/picture/", "file/", "details/", "version/", "delete/", "access/"]
)
def test_unreadable_and_absent_documents_look_the_same(as_person, people, library, tail):
    client = as_person(people.employee)
    foreign = client.get(f"/documents/{library.minutes.pk}/{tail}")
    absent = client.get(f"/documents/{uuid4()}/{tail}")
    assert foreign.status_code == absent.status_code == 404
    assert "Secret minutes" not in foreign.content.decode()


@pytest.mark.parametrize("tail", ["details/", "version/", "delete/", "access/"])
def test_reader_does_not_reach_the_curators_pages(as_person, people, library, tail):
    assert as_person(people.employee).get(f"/documents/{library.policy.pk}/{tail}").status_code == 404
    assert as_person(people.curator).get(f"/documents/{library.policy.pk}/{tail}").status_code == 200


def test_original_is_a_download_that_nothing_can_run_from(as_person, people, library):
    response = as_person(people.employee).get(f"/documents/{library.policy.pk}/file/")
    assert b"".join(response.streaming_content) == TEXT.encode()
    assert response["Content-Disposition"].startswith("attachment")
    assert response["Content-Type"] == "application/octet-stream"


def test_document_is_restricted_to_those_named_and_lifted_again(as_person, people, library):
    client = as_person(people.curator)
    data = {"kind": "user", "who": people.auditor.email, "access": "reader"}
    client.post(f"/documents/{library.policy.pk}/access/", data)
    assert as_person(people.employee).get(f"/documents/{library.policy.pk}/").status_code == 404
    assert as_person(people.auditor).get(f"/documents/{library.policy.pk}/").status_code == 200
    client.post(f"/documents/{library.policy.pk}/access/lift/")
    assert as_person(people.employee).get(f"/documents/{library.policy.pk}/").status_code == 200


def test_new_version_waits_while_the_present_one_answers(as_person, people, library):
    file = SimpleUploadedFile("policy-2.txt", b"A newer policy.")
    client = as_person(people.curator)
    body = client.post(f"/documents/{library.policy.pk}/version/", {"file": file}, follow=True).content.decode()
    assert "The present one answers until then." in body
    assert library.policy.versions.count() == 2


def test_deleting_says_what_will_be_erased_and_erases_it(as_person, people, library, answered):
    client = as_person(people.curator)
    body = client.get(f"/documents/{library.policy.pk}/delete/").content.decode()
    assert "the text of 1 answer that rests on it" in body
    client.post(f"/documents/{library.policy.pk}/delete/")
    answer_page = as_person(people.employee).get(f"/conversations/{answered.conversation_id}/").content.decode()
    assert QUOTE not in answer_page
    assert "This answer is no longer shown" in answer_page


def test_details_and_validity_are_changed(as_person, people, library):
    data = {"title": "New title", "valid_from": "2026-02-01", "valid_until": "2026-01-01"}
    client = as_person(people.curator)
    assert client.post(f"/documents/{library.policy.pk}/details/", data).status_code == 400
    data["valid_until"] = "2026-12-31"
    assert client.post(f"/documents/{library.policy.pk}/details/", data).status_code == 302
    library.policy.refresh_from_db()
    assert library.policy.title == "New title"


def test_document_moves_between_managed_collections(as_person, people, library):
    as_person(people.administrator).post(f"/documents/{library.policy.pk}/move/", {"collection": "board"})
    library.policy.refresh_from_db()
    assert library.policy.scope == Scope.objects.get(collection=library.board, key="")


def test_collections_stand_by_name_whatever_their_capitals(as_person, people, library):
    for slug, name in (("hr", "HR"), ("zoo", "archive"), ("rd", "研发")):
        make_collection(slug, name)
    body = as_person(people.administrator).get("/library/").content.decode()
    assert re.findall(r'<a href="/library/(\w+)/" dir="auto">', body) == ["zoo", "board", "handbook", "hr", "rd"]


def test_a_document_is_not_offered_to_everyone_as_if_that_restricted_it(as_person, people, library):
    client, place = as_person(people.curator), f"/documents/{library.policy.pk}/access/"
    assert '<option value="everyone">' not in client.get(place).content.decode()
    response = client.post(place, {"kind": "everyone", "who": "", "access": "reader"})
    assert response.status_code == 400
    library.policy.refresh_from_db()
    assert not library.policy.restricted
    assert '<option value="everyone">' in client.get("/library/handbook/access/").content.decode()


def test_a_team_is_given_access_by_the_name_that_people_read(as_person, people, library):
    client, place = as_person(people.curator), "/library/handbook/access/"
    Team.objects.create(slug="fin-2", name="Finance and Controlling")
    for who in ("Finance and controlling", "fin-2"):
        assert client.post(place, {"kind": "team", "who": who, "access": "reader"}).status_code == 302
    assert Grant.objects.filter(team__slug="fin-2").count() == 1
    Team.objects.create(slug="fin-3", name="Finance and Controlling")  # the name says no longer which
    refused = client.post(place, {"kind": "team", "who": "Finance and Controlling", "access": "reader"})
    assert "There is nobody of that name to give access to." in refused.content.decode()


def test_reasons_name_a_team_as_people_call_it(as_person, people, library):
    team = Team.objects.create(slug="fin-2", name="Finance and Controlling")
    Membership.objects.create(team=team, user=people.employee)
    Grant.objects.create(scope=Scope.objects.get(collection=library.handbook, key=""), team=team)
    body = as_person(people.curator).get("/library/handbook/access/").content.decode()
    assert "reads as a member of Finance and Controlling" in body
