"""Personal data over REST and the OpenAI address: policies, pages, files, search, answers, the map. Numbers here
belong to nobody."""

from __future__ import annotations

import json

import pytest
from rest_framework.test import APIClient

from assistant.accounts.roles import Role
from tests.chat import library
from tests.chat.live import server, worker  # noqa: F401

API = "/api/v1/"
CARD = "4111 1111 1111 1111"
QUESTION = "Within how many days are refunds of the Lisbon office paid?"


@pytest.fixture
def refunds(transactional_db, people):
    text = f"Refunds\n\nRefunds of the Lisbon office are paid to the card {CARD} within five days."
    return library.write_document(library.collection("refunds", "everyone"), "Refunds", [text])


def client(person) -> APIClient:
    made = APIClient()
    made.force_login(person)
    return made


def put(people, treatment: str, **more):
    treatments = dict.fromkeys(Role.values, "show") | {"employee": treatment}
    return client(people.administrator).put(
        f"{API}collections/refunds/personal-data/", {"treatments": treatments, **more}, format="json"
    )


def test_a_policy_is_read_and_changed_and_wrong_ones_are_told(refunds, people):
    boss = client(people.administrator)
    assert set(boss.get(f"{API}collections/refunds/personal-data/").json()["treatments"].values()) == {"show"}
    changed = put(people, "mask", types=["CARD"], disguise=True, reveal=["auditor"])
    assert changed.status_code == 200, changed.content
    assert changed.json() == boss.get(f"{API}collections/refunds/personal-data/").json()
    assert changed.json()["treatments"]["employee"] == "mask"
    assert put(people, "hide").status_code == 400
    assert put(people, "mask", types=["NOTHING"]).json()["fields"] == {"types": ["Unknown class: NOTHING."]}
    assert boss.get(f"{API}collections/absent/personal-data/").status_code == 404
    assert client(people.employee).get(f"{API}collections/refunds/personal-data/").status_code == 403


def test_search_pages_files_and_answers_are_masked_for_the_role_alone(refunds, people, worker):  # noqa: F811
    assert put(people, "mask").status_code == 200
    for person, sees in ((people.employee, False), (people.curator, True)):
        who = client(person)
        found = who.post(f"{API}search/", {"query": "refunds of the Lisbon office"}, format="json").json()
        page = who.get(f"{API}documents/{refunds.pk}/pages/1/").json()
        answer = who.post(f"{API}answers/?wait=30", {"question": QUESTION}, format="json").json()
        spoken = who.post(
            "/v1/chat/completions",
            {"model": "assistant", "messages": [{"role": "user", "content": QUESTION}]},
            format="json",
        ).json()
        assert answer["outcome"] == "answered"
        for told in (found, page, answer, spoken):
            assert (CARD in json.dumps(told)) == sees, told
            assert ("1111" in json.dumps(told)) == sees
        assert (page["withheld"] == "") == sees
        if not sees:
            refused = who.get(f"{API}documents/{refunds.pk}/file/")
            assert (refused.status_code, refused.json()["code"]) == (403, "personal_data")


def test_a_pseudonym_is_turned_back_over_rest(refunds, people):
    assert put(people, "pseudonymise", reveal=["employee"]).status_code == 200
    who = client(people.employee)
    text = who.get(f"{API}documents/{refunds.pk}/pages/1/").json()["text"]
    name = text[text.index("⟨") : text.index("⟩") + 1]
    address = f"{API}documents/{refunds.pk}/reveal/"
    assert who.post(address, {"pseudonym": name, "reason": "x"}, format="json").status_code == 400
    told = who.post(address, {"pseudonym": name, "reason": "The bank asks for it"}, format="json")
    assert told.json() == {"value": CARD}
    assert (
        client(people.curator).post(address, {"pseudonym": name, "reason": "The bank asks"}, format="json").status_code
        == 403
    )


def test_dictionary_and_map(refunds, people):
    boss = client(people.administrator)
    terms = {"terms": {"PLACE": ["Lisbon"]}}
    assert boss.put(f"{API}personal-data/dictionary/", terms, format="json").json() == terms
    assert boss.get(f"{API}personal-data/dictionary/").json() == terms
    assert boss.put(f"{API}personal-data/dictionary/", {"terms": {"a": ["b"]}}, format="json").status_code == 400
    from assistant.documents import tending

    tending.count()
    found = client(people.auditor).get(f"{API}personal-data/").json()
    assert found["counts"] == {"CARD": 1, "PLACE": 1}
    assert found["documents"][0]["document"] == str(refunds.pk)
    narrowed = client(people.auditor).get(f"{API}personal-data/?class=CARD&collection=refunds").json()
    assert (narrowed["counts"], narrowed["total"]) == ({"CARD": 1}, 1)
    export = client(people.auditor).get(f"{API}personal-data/export/")
    assert export["Content-Type"].startswith("text/csv")
    assert CARD not in export.content.decode()
