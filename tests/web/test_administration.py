"""People, teams, tokens, preferences, models, health, audit: who reaches them, and what they do."""

from __future__ import annotations

import re

import pytest
from django.test import AsyncClient

from assistant import collation
from assistant.accounts.models import ApiToken, Team, User
from assistant.audit.catalogue import ACTIONS
from assistant.audit.models import AuditEvent
from assistant.documents import services
from assistant.documents.models import Grant
from assistant.web import phrases

pytestmark = pytest.mark.django_db

PLACES = {
    "/people/": {"administrator"},
    "/people/new/": {"administrator"},
    "/people/teams/new/": {"administrator"},
    "/models/": {"administrator"},
    "/health/": {"administrator"},
    "/audit/": {"administrator", "auditor"},
    "/audit/export/": {"administrator", "auditor"},
    "/audit/1/": {"administrator", "auditor"},
    "/account/": {"employee", "curator", "auditor", "administrator"},
    "/account/tokens/": {"employee", "curator", "auditor", "administrator"},
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("persona", ["employee", "curator", "auditor", "administrator"])
def test_each_page_opens_for_exactly_the_roles_it_is_for(as_person, people, place, persona):
    client = as_person(getattr(people, persona))
    assert client.get(place).status_code == (200 if persona in PLACES[place] else 403)


def test_navigation_shows_only_what_the_role_includes(as_person, people):
    body = as_person(people.auditor).get("/conversations/").content.decode()
    assert 'href="/audit/"' in body
    assert 'href="/people/"' not in body


def test_new_person_gets_a_password_that_works_and_is_shown_once(as_person, people, client):
    data = {"email": "new@company.example", "name": "New", "role": "employee"}
    response = as_person(people.administrator).post("/people/new/", data)
    password = response.content.decode().split('translate="no">')[1].split("<")[0]
    assert "no-store" in response["Cache-Control"]
    assert client.login(email="new@company.example", password=password)


def test_taken_address_is_told_at_the_form(as_person, people):
    data = {"email": people.employee.email, "name": "", "role": "employee"}
    response = as_person(people.administrator).post("/people/new/", data)
    assert response.status_code == 400
    assert "exists already" in response.content.decode()


def test_person_is_changed_disabled_and_enabled(as_person, people):
    client, place = as_person(people.administrator), f"/people/{people.employee.pk}/"
    client.post(place, {"name": "Emil", "role": "curator"})
    assert User.objects.get(pk=people.employee.pk).role == "curator"
    client.post(f"{place}disable/")
    assert not User.objects.get(pk=people.employee.pk).is_active
    client.post(f"{place}enable/")
    assert User.objects.get(pk=people.employee.pk).is_active


def test_last_administrator_cannot_be_disabled(as_person, people):
    place = f"/people/{people.administrator.pk}/disable/"
    body = as_person(people.administrator).post(place, follow=True).content.decode()
    assert "last administrator" in body


def test_new_password_is_shown_once_to_who_manages_people(as_person, people):
    place = f"/people/{people.employee.pk}/password/"
    assert as_person(people.curator).post(place).status_code == 403
    assert "shown here once" in as_person(people.administrator).post(place).content.decode()


def test_people_are_filtered_by_the_address(as_person, people):
    client = as_person(people.administrator)
    assert "Nobody fits this." in client.get("/people/?q=zebra").content.decode()
    assert people.auditor.email in client.get("/people/?role=auditor&state=active").content.decode()


def test_team_is_made_filled_renamed_and_emptied(as_person, people):
    client = as_person(people.administrator)
    assert client.post("/people/teams/new/", {"name": "Sales", "slug": "sales"})["Location"] == "/people/teams/sales/"
    client.post("/people/teams/sales/members/add/", {"email": people.employee.email})
    client.post("/people/teams/sales/", {"name": "Sales and service"})
    team = Team.objects.get(slug="sales")
    assert (team.name, list(team.members.all())) == ("Sales and service", [people.employee])
    client.post(f"/people/teams/sales/members/{people.employee.pk}/remove/")
    assert not team.members.exists()


def test_unknown_member_is_told_at_the_field(as_person, people):
    Team.objects.create(slug="sales", name="Sales")
    response = as_person(people.administrator).post("/people/teams/sales/members/add/", {"email": "x@y.example"})
    assert response.status_code == 400
    assert "Nobody here has this address." in response.content.decode()


def test_token_is_shown_once_and_revoked(as_person, people):
    client = as_person(people.employee)
    body = client.post("/account/tokens/", {"name": "Script", "scopes": ["ask"], "days": "90"}).content.decode()
    token = ApiToken.objects.get()
    assert f">{token.prefix}" in body
    assert "is shown here once" in body
    assert "is shown here once" not in client.get("/account/tokens/").content.decode()
    client.post(f"/account/tokens/{token.pk}/revoke/")
    assert "None yet." in client.get("/account/tokens/").content.decode()


def test_language_is_kept_with_the_person_and_in_the_browser(as_person, people):
    client = as_person(people.employee)
    response = client.post("/preferences/", {"language": "zh-hans", "next": "/account/"})
    assert response["Location"] == "/account/"
    assert User.objects.get(pk=people.employee.pk).language == "zh-hans"
    assert 'lang="zh-hans"' in client.get("/account/").content.decode()


def test_new_browser_speaks_the_persons_language(as_person, people):
    User.objects.filter(pk=people.employee.pk).update(language="zh-hans")
    response = as_person(User.objects.get(pk=people.employee.pk)).get("/library/", headers={"accept-language": "en"})
    assert "资料库" in response.content.decode()
    assert response["Content-Language"] == "zh-hans"


def test_theme_is_in_the_page_before_any_script(client):
    client.post("/preferences/", {"theme": "dark"})
    assert 'data-theme="dark"' in client.get("/accounts/login/").content.decode()
    client.post("/preferences/", {"theme": ""})
    assert "data-theme" not in client.get("/accounts/login/").content.decode()


@pytest.mark.parametrize("target", ["https://elsewhere.example/", "//elsewhere.example/", "javascript:alert(1)"])
def test_preferences_never_lead_to_another_site(client, target):
    assert client.post("/preferences/", {"theme": "dark", "next": target})["Location"] == "/"


def test_health_names_each_part_in_words(as_person, people):
    body = as_person(people.administrator).get("/health/").content.decode()
    assert "No worker is alive. Start one; waiting work is not lost." in body
    assert "Database" in body


def test_audit_timeline_reads_in_words_and_filters_by_the_address(as_person, people, library):
    as_person(people.employee).get(f"/documents/{library.policy.pk}/pages/1/")
    client = as_person(people.auditor)
    body = client.get("/audit/", {"person": people.employee.email}).content.decode()
    assert "Page of a document viewed" in body
    assert people.employee.email in body
    assert "No event fits this" in client.get("/audit/?action=team.deleted").content.decode()
    assert "Page of a document viewed" in client.get(f"/audit/?target={library.policy.pk}").content.decode()
    assert client.get("/audit/?since=nonsense").status_code == 400


def test_documents_are_named_in_the_log_to_those_who_may_see_their_titles(as_person, people, library):
    as_person(people.auditor).get(f"/documents/{library.minutes.pk}/pages/1/")
    as_person(people.employee).get(f"/documents/{library.policy.pk}/pages/1/")
    Grant.objects.filter(everyone=True).delete()
    log = "/audit/?action=document.page_viewed"
    seen = as_person(people.auditor).get(log).content.decode()
    assert ("Secret minutes" in seen, "Travel policy" in seen, str(library.policy.pk) in seen) == (True, False, True)
    numbers = AuditEvent.objects.filter(action="document.page_viewed").order_by("seq").values_list("seq", flat=True)
    pages = [as_person(people.auditor).get(f"/audit/{seq}/").content.decode() for seq in numbers]
    assert ["Secret minutes" in page or "Travel policy" in page for page in pages] == [True, False]
    services.delete(actor=people.administrator, document=library.minutes)
    assert "Secret minutes" not in as_person(people.auditor).get(log).content.decode()


def test_address_of_a_button_leads_back_to_its_page(as_person, people, library):
    client = as_person(people.administrator)
    for address, place in (
        ("/audit/verify/", "/audit/"),
        ("/models/activate/", "/models/"),
        (f"/people/{people.employee.pk}/disable/", f"/people/{people.employee.pk}/"),
        (f"/documents/{library.policy.pk}/access/lift/", f"/documents/{library.policy.pk}/access/"),
        ("/audit/permits/1/decide/", "/audit/permits/"),
        ("/preferences/", "/"),
    ):
        response = client.get(address)
        assert (response.status_code, response["Location"]) == (302, place)
    people.employee.refresh_from_db()
    assert people.employee.is_active


def test_team_needs_a_name_only(as_person, people, library):
    client = as_person(people.administrator)
    assert client.post("/people/teams/new/", {"name": "Löhne & Gehälter"})["Location"] == (
        "/people/teams/loehne-and-gehaelter/"
    )
    assert client.post("/people/teams/new/", {"name": "财务"})["Location"] == "/people/teams/finance-2/"
    assert client.post("/people/teams/new/", {"name": "New", "slug": "new"}).status_code == 400


def test_one_event_shows_its_links_in_the_chain(as_person, people, library):
    client = as_person(people.auditor)
    for _ in range(2):
        client.get("/audit/")
    body = client.get("/audit/1/").content.decode()
    assert AuditEvent.objects.get(seq=1).digest in body
    assert "the link holds" in body
    assert client.get("/audit/99999999/").status_code == 404


def test_verification_walks_the_log_now(as_person, people):
    body = as_person(people.auditor).post("/audit/verify/").content.decode()
    assert "The log holds" in body


@pytest.mark.parametrize("kind", ["jsonl", "csv", "cef"])
def test_export_is_a_download(as_person, people, kind):
    client = as_person(people.auditor)
    client.get("/audit/")
    response = client.get("/audit/export/", {"format": kind})
    assert response["Content-Disposition"].startswith("attachment")
    assert b"audit" in b"".join(response.streaming_content)


@pytest.mark.django_db(transaction=True)
async def test_downloads_stream_without_blocking_an_asynchronous_server(people, library):
    client = AsyncClient()
    await client.aforce_login(people.employee)
    response = await client.get(f"/documents/{library.policy.pk}/file/")
    assert response.is_async
    assert b"Travel policy" in b"".join([chunk async for chunk in response.streaming_content])


def test_every_action_of_the_catalogue_has_words_for_translators():
    assert {action.words for action in ACTIONS.values()} == set(phrases.AUDIT_CATALOGUE)


def test_a_person_is_erased_after_the_address_was_typed(as_person, people):
    client, key = as_person(people.administrator), people.outsider.pk
    page = client.get(f"/people/{key}/erase/").content.decode()
    assert "Erase this person?" in page
    wrong = client.post(f"/people/{key}/erase/", {"confirm": "somebody@company.example"})
    assert "not the address" in wrong.content.decode()
    assert User.objects.filter(pk=key).exists()
    done = client.post(f"/people/{key}/erase/", {"confirm": people.outsider.email.upper()}, follow=True)
    assert "The person is erased" in done.content.decode()
    assert not User.objects.filter(pk=key).exists()


def test_nobody_erases_themselves(as_person, people):
    boss = people.administrator
    answer = as_person(boss).post(f"/people/{boss.pk}/erase/", {"confirm": boss.email})
    assert "Another administrator has to erase your account" in answer.content.decode()
    assert User.objects.filter(pk=boss.pk).exists()


def test_everybody_downloads_what_is_kept_about_them(as_person, people):
    answer = as_person(people.employee).post("/account/export/")
    assert answer["Content-Disposition"].startswith("attachment")
    assert answer.json()["account"]["email"] == people.employee.email


def test_people_stand_by_the_name_they_are_shown_with(as_person, people):
    for email, name in (("a@x.example", "zoe"), ("z@x.example", "Ábel"), ("m@x.example", "")):
        User.objects.create_user(email, "correct horse battery", name=name, role="employee")
    body = as_person(people.administrator).get("/people/?role=employee").content.decode()
    named = re.findall(r'<a href="/people/\d+/" dir="auto">([^<]*)</a>', body)
    assert named == collation.ordered(named)
    assert [name for name in named if name in {"zoe", "Ábel", "m@x.example"}] == ["Ábel", "m@x.example", "zoe"]


def test_one_tick_box_stands_before_its_words(as_person, people, library):
    body = as_person(people.administrator).get("/library/handbook/personal-data/").content.decode()
    assert re.search(r'<label class="check"><input type="checkbox" name="disguise"[^>]*><span>Language models', body)
