"""Every address of the pages, and who gets what from it. An address without a row fails."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from django.test import Client
from django.urls import reverse

from assistant.documents.models import Grant, Scope
from assistant.web.urls import urlpatterns

pytestmark = pytest.mark.django_db

# From the least right to the most: what a later one may do is not used up by an earlier one that may not.
ORDER = ("anonymous", "outsider", "auditor", "employee", "curator", "administrator")
EVERYBODY = "outsider auditor employee curator administrator"
READERS = EVERYBODY  # of the handbook, which everyone reads
CURATORS = "curator administrator"
ADMINISTRATOR = "administrator"
OWNER = "employee"


@dataclass(frozen=True)
class Row:
    """`allowed` get `status`, the others `refused`; nobody gets in without signing in."""

    allowed: str
    refused: int = 404
    method: str = "get"
    args: tuple[str, ...] = ()
    status: int = 200


MATRIX: dict[str, Row] = {
    "ask": Row(EVERYBODY),
    "conversations": Row(EVERYBODY),
    "conversation": Row(OWNER, args=("conversation",)),
    "conversation-rename": Row(EVERYBODY, method="post", args=("conversation",), status=302),  # an empty title: told
    "conversation-delete": Row(OWNER, method="post", args=("conversation",), status=302),
    "conversation-restore": Row("", method="post", args=("conversation",)),  # nothing was deleted
    "answer-stop": Row(OWNER, method="post", args=("answer",), status=302),
    "answer-again": Row(OWNER, method="post", args=("answer",), status=302),
    "answer-feedback": Row(OWNER, method="post", args=("answer",), status=302),
    "library": Row(EVERYBODY),
    "search": Row(EVERYBODY),
    "collection-new": Row(ADMINISTRATOR, refused=403),
    "collection": Row(READERS, args=("slug",)),
    "collection-upload": Row(CURATORS, method="post", args=("slug",), status=302),
    "collection-bulk": Row(CURATORS, method="post", args=("slug",), status=302),
    "collection-settings": Row(CURATORS, args=("slug",)),
    "collection-delete": Row(ADMINISTRATOR, method="post", args=("empty",), status=302),
    "collection-access": Row(CURATORS, args=("slug",)),
    "collection-revoke": Row("curator", method="post", args=("slug", "grant"), status=302),  # once
    "document": Row(READERS, args=("document",)),
    "document-page": Row(READERS, args=("document", "number")),
    "document-picture": Row("", args=("document", "number")),  # a text has no picture
    "document-file": Row(READERS, args=("document",)),
    "document-reveal": Row(READERS, method="post", args=("document",), status=400),  # nothing was typed: told
    "collection-privacy": Row(ADMINISTRATOR, refused=403, args=("slug",)),
    "personal-data": Row("auditor administrator", refused=403),
    "personal-data-export": Row("auditor administrator", refused=403),
    "personal-data-dictionary": Row(ADMINISTRATOR, refused=403),
    "document-details": Row(CURATORS, args=("document",)),
    "document-version": Row(CURATORS, args=("document",)),
    "document-move": Row("", method="post", args=("document",)),  # to nowhere
    "document-retry": Row(CURATORS, method="post", args=("document",), status=302),
    "document-cancel": Row(CURATORS, method="post", args=("document",), status=302),
    "document-release": Row(CURATORS, method="post", args=("document",), status=302),
    "document-delete": Row(CURATORS, args=("document",)),
    "document-access": Row(CURATORS, args=("document",)),
    "document-unrestrict": Row(CURATORS, method="post", args=("document",), status=302),
    "document-revoke": Row("", method="post", args=("document", "grant")),  # it is not restricted
    "people": Row(ADMINISTRATOR, refused=403),
    "person-new": Row(ADMINISTRATOR, refused=403),
    "person": Row(ADMINISTRATOR, refused=403, args=("person",)),
    "person-password": Row(ADMINISTRATOR, refused=403, method="post", args=("person",)),
    "person-erase": Row(ADMINISTRATOR, refused=403, args=("person",)),
    "person-disable": Row(ADMINISTRATOR, refused=403, method="post", args=("person",), status=302),
    "person-enable": Row(ADMINISTRATOR, refused=403, method="post", args=("person",), status=302),
    "team-new": Row(ADMINISTRATOR, refused=403),
    "team": Row(ADMINISTRATOR, refused=403, args=("team",)),
    "team-add": Row(ADMINISTRATOR, refused=403, method="post", args=("team",), status=400),
    "team-remove": Row(ADMINISTRATOR, refused=403, method="post", args=("team", "person"), status=302),
    "account": Row(EVERYBODY),
    "account-export": Row(EVERYBODY, method="post"),
    "tokens": Row(EVERYBODY),
    "token-revoke": Row("", method="post", args=("number",)),  # nobody has this token
    "preferences": Row(EVERYBODY, method="post", status=302),
    "models": Row(ADMINISTRATOR, refused=403),
    "models-activate": Row(ADMINISTRATOR, refused=403, method="post", status=404),  # nothing is installed
    "models-quotations": Row(ADMINISTRATOR, refused=403, method="post", status=302),
    "models-import": Row(ADMINISTRATOR, refused=403, method="post", status=404),  # nothing lies in the drop folder
    "models-evaluate": Row(ADMINISTRATOR, refused=403, method="post", status=404),  # nothing is installed
    "models-benchmark": Row(ADMINISTRATOR, refused=403, method="post", status=302),  # refused: for how many people?
    "models-quantize": Row(ADMINISTRATOR, refused=403, method="post", status=302),  # refused: there is no such recipe
    "models-job-stop": Row(
        ADMINISTRATOR, refused=403, method="post", args=("number",), status=404
    ),  # no job has been asked for
    "models-remove": Row(ADMINISTRATOR, refused=403, method="post", status=404),  # nothing is installed
    "models-verify": Row(ADMINISTRATOR, refused=403, method="post", status=404),  # nothing is installed
    "quality": Row(ADMINISTRATOR, refused=403),
    "quality-questions": Row(ADMINISTRATOR, refused=403),
    "quality-start": Row(ADMINISTRATOR, refused=403, method="post", status=302),
    "quality-schedule": Row(ADMINISTRATOR, refused=403, method="post", status=302),
    "quality-run": Row(ADMINISTRATOR, refused=403, args=("number",), status=404),  # nothing was run
    "quality-reference": Row(ADMINISTRATOR, refused=403, method="post", args=("number",), status=404),
    "health": Row(ADMINISTRATOR, refused=403),
    "audit": Row("auditor administrator", refused=403),
    "audit-verify": Row("auditor administrator", refused=403, method="post"),
    "audit-export": Row("auditor administrator", refused=403),
    "audit-event": Row("auditor administrator", refused=403, args=("number",)),
    "audit-open-ask": Row("auditor administrator", refused=403, method="post", args=("number",), status=302),
    "audit-sights": Row("auditor administrator", refused=403),
    "audit-digest": Row("auditor administrator", refused=403),
    "audit-permits": Row("auditor administrator", refused=403),
    "audit-permit-decide": Row(
        "auditor administrator", refused=403, method="post", args=("number",), status=404
    ),  # there is none
    "audit-permit-open": Row("auditor administrator", refused=403, method="post", args=("number",), status=404),
    "audit-permit-prune": Row("auditor administrator", refused=403, method="post", args=("number",), status=404),
    "audit-queries": Row("auditor administrator", refused=403),
    "audit-query-remove": Row("auditor administrator", refused=403, method="post", args=("number",), status=404),
    "audit-pruning": Row("auditor administrator", refused=403),
    "audit-replay": Row("auditor administrator", refused=403, args=("answer",), status=404),  # nothing on record
    "openings": Row(EVERYBODY),
    "holds": Row("auditor administrator", refused=403),
    "hold-ask": Row(ADMINISTRATOR, refused=403, method="post", args=("number",), status=302),  # it says why not
    "hold-lift": Row(
        "auditor administrator", refused=403, method="post", args=("number",), status=404
    ),  # there is none
}


def test_every_address_has_a_row():
    assert {pattern.name for pattern in urlpatterns} == set(MATRIX)


@pytest.mark.parametrize("name", MATRIX)
def test_who_gets_what(name, people, library, answered, as_person):
    row = MATRIX[name]
    empty = library.board.__class__.objects.create(slug="empty", name="Empty")
    Scope.objects.create(collection=empty, key="")
    values: dict[str, object] = {
        "conversation": answered.conversation_id,
        "answer": answered.pk,
        "slug": "handbook",
        "empty": "empty",
        "grant": Grant.objects.get(everyone=True).reference,
        "document": library.policy.pk,
        "number": 1,
        "person": people.employee.pk,
        "team": "finance",
    }
    path = reverse(f"web:{name}", args=[values[argument] for argument in row.args])
    found = {}
    for persona in ORDER:
        client = Client() if persona == "anonymous" else as_person(getattr(people, persona))
        response = getattr(client, row.method)(path)
        if response.streaming:
            b"".join(response.streaming_content)  # to its end, so that the file is closed
        found[persona] = response
    wanted = {persona: row.status if persona in row.allowed.split() else row.refused for persona in ORDER[1:]}
    assert {persona: response.status_code for persona, response in found.items() if persona != "anonymous"} == wanted
    door = found["anonymous"]
    assert door.status_code == 302
    assert name == "preferences" or door["Location"].startswith("/accounts/login/")
