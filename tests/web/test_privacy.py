"""The pages about personal data: policy, map, own words, a hidden page and a pseudonym turned back; also in a browser.
Numbers here belong to nobody."""

from __future__ import annotations

import pytest
from django.urls import reverse

from assistant.accounts.roles import Role
from assistant.documents import services, tending
from assistant.documents.models import PersonalDataPolicy
from tests.telling import told

from .browser import CHROMIUM
from .conftest import make_document
from .test_browser import browser, open_as  # noqa: F401  (fixtures)

pytestmark = pytest.mark.django_db(transaction=True)

CARD = "4111 1111 1111 1111"
PAGE = f"Refunds\n\nRefunds go to the card {CARD} within five days. Ask anna@company.example about them."


@pytest.fixture
def refunds(library, people):
    document = make_document(library.handbook, "Refunds", text=PAGE)
    tending.count()
    return document


def choices(treatment: str, **more):
    return {f"role_{role}": "show" for role in Role.values} | {"role_employee": treatment, **more}


def test_a_policy_is_saved_by_form_and_holds_for_the_next_look(refunds, people, as_person):
    boss, who = as_person(people.administrator), as_person(people.employee)
    address = reverse("web:collection-privacy", args=["handbook"])
    page = reverse("web:document-page", args=[refunds.pk, 1])
    assert CARD in who.get(page).content.decode()
    assert boss.post(address, choices("hide")).status_code == 400
    assert boss.post(address, choices("pseudonymise", reveal=["employee"], types=["CARD"])).status_code == 302
    row = PersonalDataPolicy.objects.get()
    assert (row.treatments["employee"], row.reveal, row.types) == ("pseudonymise", ["employee"], ["CARD"])
    body = who.get(page).content.decode()
    assert "1111" not in told(body)
    assert "anna@company.example" in body
    assert "are not offered" in body
    assert reverse("web:document-file", args=[refunds.pk]) not in body
    assert who.get(reverse("web:document-file", args=[refunds.pk])).status_code == 403
    name = body[body.index("⟨CARD-") :][:17]
    reveal = reverse("web:document-reveal", args=[refunds.pk])
    assert CARD not in who.post(reveal, {"pseudonym": name, "reason": ""}).content.decode()
    assert CARD in who.post(reveal, {"pseudonym": name, "reason": "The bank asks for it"}).content.decode()


def test_a_marked_quotation_stays_in_its_place_on_a_masked_page(refunds, people, as_person):
    services.set_personal_data_policy(
        actor=people.administrator,
        collection=refunds.collection,
        treatments=dict.fromkeys(Role.values, "mask"),
    )
    start = PAGE.index("Refunds go")
    end = PAGE.index(" Ask")
    address = reverse("web:document-page", args=[refunds.pk, 1]) + f"?from={start}&to={end}"
    body = as_person(people.employee).get(address).content.decode()
    assert '<mark id="quote">Refunds go to the card ⟨CARD⟩ within five days.</mark>' in body


def test_the_map_is_filtered_and_own_words_are_edited(refunds, people, as_person):
    boss = as_person(people.administrator)
    words = reverse("web:personal-data-dictionary")
    assert boss.post(words, {"terms": "PLACE Lisbon"}).status_code == 400
    assert boss.post(words, {"terms": "PLACE: Refunds\n"}).status_code == 302
    assert "PLACE: Refunds" in boss.get(words).content.decode()
    tending.count()
    body = boss.get(reverse("web:personal-data") + "?class=PLACE").content.decode()
    assert "PLACE: 2" in body
    assert CARD not in body
    export = boss.get(reverse("web:personal-data-export") + "?class=CARD")
    assert export.content.decode().splitlines()[1].endswith(",CARD,1")


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.parametrize("width", [320, 1280])
def test_the_pages_are_sound_in_a_browser(refunds, people, open_as, width):  # noqa: F811
    treatments = dict.fromkeys(Role.values, "show") | {"employee": "pseudonymise"}
    services.set_personal_data_policy(
        actor=people.administrator, collection=refunds.collection, treatments=treatments, reveal=["employee"]
    )
    boss = open_as(people.administrator, width=width)
    seen = [
        (boss, reverse("web:collection-privacy", args=["handbook"]), "privacy-policy"),
        (boss, reverse("web:personal-data"), "privacy-map"),
        (boss, reverse("web:personal-data-dictionary"), "privacy-dictionary"),
        (open_as(people.employee, width=width), reverse("web:document-page", args=[refunds.pk, 1]), "privacy-page"),
    ]
    for window, address, name in seen:
        window.go(address)
        window.picture(f"{name}-{width}")
        assert window.violations() == [], address
        assert window.overflow() <= 0, address
        assert window.complaints == [], address
