"""Personal data in search, pages, pictures, titles and originals, under the policies of collections. Numbers here
belong to nobody."""

from __future__ import annotations

import csv
import io

import pytest

from assistant.accounts.roles import Role
from assistant.audit.models import AuditEvent
from assistant.documents import ingestion, personal, policy, services, tending
from assistant.documents.models import Chunk, DocumentVersion
from assistant.documents.search import Searcher
from assistant.errors import Invalid, PermissionRefused
from assistant.guardrails import masking
from tests.telling import told

pytestmark = pytest.mark.django_db(transaction=True)

CARD, MAIL = "4111 1111 1111 1111", "anna.schmidt@company.example"
FILE = (
    f"# Refunds\n\nRefunds of the Lisbon office go to the card {CARD} within five days.\n\n"
    f"# Contact\n\nQuestions about invoices are answered by {MAIL} every Monday.\n\n"
    "# Parking\n\nVisitors park behind the second building and sign in at the gate.\n"
).encode()


def treat(world, treatment: str, *, others: str = "show", where=None, **more):
    """The employee's treatment; the other roles' is `others`."""
    treatments = dict.fromkeys(Role.values, others) | {"employee": treatment}
    return services.set_personal_data_policy(
        actor=world.people.administrator, collection=where or world.handbook, treatments=treatments, **more
    )


@pytest.fixture
def refunds(world):
    return world.ready(world.handbook, "refunds.md", FILE)


def texts(searcher: Searcher, user, query: str) -> list[str]:
    return [item.passage.shown.text for item in searcher.search(user=user, text=query).passages]


def test_without_a_policy_everything_stays_as_it_is(world, refunds, searcher):
    assert any(CARD in text for text in texts(searcher, world.people.employee, CARD))
    assert services.page(actor=world.people.employee, document=refunds, number=1).withheld == ""
    assert not Chunk.objects.filter(veiled=True).exists()


@pytest.mark.parametrize(("treatment", "there"), [("mask", "⟨CARD⟩"), ("pseudonymise", "⟨CARD-")])
def test_search_results_and_pages_hide_values_from_the_role_and_show_them_to_the_others(
    world, refunds, searcher, treatment, there
):
    treat(world, treatment)
    hidden = " ".join(texts(searcher, world.people.employee, "refunds of the Lisbon office"))
    assert there in hidden
    assert "1111" not in told(hidden)
    assert MAIL not in hidden
    page = services.page(actor=world.people.employee, document=refunds, number=1)
    assert there in page.text
    assert CARD not in page.text
    assert any(CARD in text for text in texts(searcher, world.people.curator, "refunds of the Lisbon office"))
    assert CARD in services.page(actor=world.people.curator, document=refunds, number=1).text


def test_refused_passages_are_not_found_and_pages_with_them_not_shown(world, refunds, searcher):
    treat(world, "refuse")
    found = texts(searcher, world.people.employee, "refunds of the Lisbon office, parking of visitors")
    assert any("Visitors park" in text for text in found)
    assert not any("Refunds" in text or "invoices" in text for text in found)
    page = services.page(actor=world.people.employee, document=refunds, number=1)
    assert (page.text, page.withheld) == ("", "text")


def test_a_hidden_value_cannot_be_confirmed_by_searching_for_it(world, searcher):
    """Two documents that differ in nothing but their values: no search for a part of the value tells them apart."""
    treat(world, "mask")
    other = "5500 0000 0000 0004"
    world.ready(world.handbook, "a.md", f"# Refunds\n\nThe deposit for the hall goes to {CARD} today.\n".encode())
    world.ready(world.handbook, "b.md", f"# Refunds\n\nThe deposit for the hall goes to {other} today.\n".encode())

    def told(query: str):
        found = searcher.search(user=world.people.employee, text=query).passages
        return {item.chunk.version.filename: (item.score, item.dense, item.lexical) for item in found}

    for query in (CARD, "4111111111111111", "4111", "1111 1111", "deposit 4111 1111", f'"{CARD}"', f"card {other}"):
        scores = told(query)
        assert scores.get("a.md") == scores.get("b.md"), query
    # the same holds for whoever sees the values, except that the whole value finds its passage
    found = searcher.search(user=world.people.curator, text="which deposit went to 4111-1111-1111-1111").passages
    assert found[0].chunk.version.filename == "a.md"
    assert CARD in found[0].passage.shown.text


def test_a_policy_takes_effect_on_what_is_indexed_already_and_vectors_are_made_anew(world, refunds, searcher):
    before = {item.chunk.pk: item.dense for item in searcher.search(user=world.people.employee, text=CARD).passages}
    assert any(before.values())
    treat(world, "mask")
    report = searcher.search(user=world.people.employee, text=CARD)
    holding = [item for item in report.passages if "⟨CARD⟩" in item.passage.shown.text]
    assert all(item.lexical == 0 and item.dense == 0 for item in holding)
    assert tending.veil() == 2
    assert tending.veil() == 0
    found = searcher.search(user=world.people.employee, text="where does a refund for Lisbon go").passages
    assert found[0].dense > 0.3
    assert "⟨CARD⟩" in found[0].passage.shown.text


def test_what_is_read_into_a_guarded_collection_is_embedded_without_values(world, searcher):
    treat(world, "mask")
    world.ready(world.handbook, "refunds.md", FILE)
    assert not Chunk.objects.filter(veiled=False).exists()
    assert tending.veil() == 0


def test_originals_and_pictures_are_not_offered_where_values_are_hidden(world, refunds):
    treat(world, "mask")
    with pytest.raises(PermissionRefused) as refused:
        services.open_original(actor=world.people.employee, document=refunds)
    assert refused.value.code == "personal_data"
    with pytest.raises(PermissionRefused):
        services.page_picture(actor=world.people.employee, document=refunds, number=1)
    assert services.state(actor=world.people.employee, document=refunds).withheld
    services.open_original(actor=world.people.curator, document=refunds).file.close()


def test_titles_and_file_names_are_hidden_and_titles_are_not_found_by_what_is_hidden(world):
    document = world.ready(world.handbook, f"Letter to {MAIL}.md", b"# x\n\nA letter about nothing in particular.\n")
    services.update_document(actor=world.people.administrator, document=document, title=f"Letter to {MAIL}")
    treat(world, "mask")
    row = policy.get_visible_document(world.people.employee, document.pk)
    state = services.state(actor=world.people.employee, document=row)
    assert MAIL not in f"{row.title} {state.filename}"
    assert row.title == "Letter to ⟨EMAIL⟩"
    library = services.documents(actor=world.people.employee)
    assert services.arranged(actor=world.people.employee, rows=library, words="anna") == []
    assert services.arranged(actor=world.people.curator, rows=library, words="anna") == [document.pk]
    document.refresh_from_db()
    assert document.title == f"Letter to {MAIL}"


def test_only_the_named_classes_are_concerned(world, refunds):
    treat(world, "mask", types=["CARD"])
    page = services.page(actor=world.people.employee, document=refunds, number=1)
    assert CARD not in page.text
    assert MAIL in page.text


def test_the_customers_own_words_count_and_are_kept_sealed(world, refunds, searcher):
    treat(world, "mask")
    boss = world.people.administrator
    services.set_personal_data_dictionary(actor=boss, terms={"PROJECT": ["Lisbon"]})
    assert "⟨PROJECT⟩ office" in services.page(actor=world.people.employee, document=refunds, number=1).text
    assert not any("Lisbon" in text for text in texts(searcher, world.people.employee, "Lisbon"))
    assert services.personal_data_dictionary(actor=boss) == {"PROJECT": ["Lisbon"]}
    for wrong in ({"project": ["Lisbon"]}, {"PROJECT": ["x"]}):
        with pytest.raises(Invalid):
            services.set_personal_data_dictionary(actor=boss, terms=wrong)
    record = AuditEvent.objects.get(action="personal_data.dictionary_changed")
    assert record.detail == {"terms": {"PROJECT": 1}}


def test_pseudonyms_are_the_same_within_a_collection_and_differ_between_two(world):
    for where in (world.handbook, world.finance):
        treat(world, "pseudonymise", where=where)
    one = world.ready(world.handbook, "1.md", f"# A\n\nPay to {CARD} soon.\n".encode())
    two = world.ready(world.handbook, "2.md", b"# B\n\nPay to 4111-1111-1111-1111 soon, somebody else said.\n")
    three = world.ready(world.finance, "3.md", f"# C\n\nPay to {CARD} soon, they said.\n".encode())
    names = [
        masking.PLACEHOLDER.search(services.page(actor=world.people.employee, document=each, number=1).text)[0]
        for each in (one, two, three)
    ]
    assert names[0] == names[1] != names[2]


def test_a_permitted_role_turns_a_pseudonym_back_with_a_reason_on_record(world, refunds):
    treat(world, "pseudonymise", reveal=["employee"])
    who = world.people.employee
    name = masking.PLACEHOLDER.search(services.page(actor=who, document=refunds, number=1).text)[0]
    with pytest.raises(Invalid):
        services.reveal_pseudonym(actor=who, document=refunds, pseudonym=name, reason="why")
    reason = "A refund came back and must be sent again"
    assert services.reveal_pseudonym(actor=who, document=refunds, pseudonym=name, reason=reason) == CARD
    events = AuditEvent.objects.filter(action="personal_data.revealed").order_by("seq")
    assert [event.outcome for event in events] == ["intent", "success"]
    assert events[0].commitment
    assert CARD not in str([event.detail for event in events])
    treat(world, "pseudonymise")  # nobody may any more
    with pytest.raises(PermissionRefused):
        services.reveal_pseudonym(actor=who, document=refunds, pseudonym=name, reason=reason)


def test_a_policy_is_the_administrators_and_is_on_record_with_what_was_before(world):
    everybody = dict.fromkeys(Role.values, "show")
    with pytest.raises(PermissionRefused):
        services.set_personal_data_policy(actor=world.people.curator, collection=world.handbook, treatments=everybody)
    for wrong in (
        {"treatments": {"employee": "mask"}},
        {"treatments": everybody | {"employee": "hide"}},
        {"treatments": everybody, "types": ["NOTHING"]},
        {"treatments": everybody, "reveal": ["boss"]},
    ):
        with pytest.raises(Invalid):
            services.set_personal_data_policy(actor=world.people.administrator, collection=world.handbook, **wrong)
    treat(world, "mask")
    treat(world, "refuse")
    last = AuditEvent.objects.filter(action="personal_data.policy_changed").last()
    assert last.detail["before"]["treatments"]["employee"] == "mask"
    assert last.detail["after"]["treatments"]["employee"] == "refuse"


def test_the_map_counts_what_answers_and_follows_deletion_version_and_move(world, refunds):
    boss = world.people.administrator

    def counts(**narrowed):
        found = services.personal_data_map(actor=boss, **narrowed)
        return found.counts, {each.slug: each.total for each in found.collections}

    assert counts() == ({"CARD": 1, "EMAIL": 1}, {"handbook": 2})
    assert counts(kind="CARD") == ({"CARD": 1}, {"handbook": 1})
    services.move(actor=boss, document=refunds, collection=world.finance)
    assert counts()[1] == {"finance": 2}
    version, _ = services.replace(
        actor=boss, document=refunds, file=io.BytesIO(b"# New\n\nOnly 13812345678 is left here.\n"), filename="n.md"
    )
    assert counts()[0] == {"CARD": 1, "EMAIL": 1}  # the old version still answers
    ingestion.ingest(version.pk)
    assert counts()[0] == {"CN_MOBILE": 1}
    services.delete(actor=boss, document=refunds)
    assert counts() == ({}, {})


def test_what_was_read_before_is_counted_in_the_background(world, refunds):
    boss = world.people.administrator
    DocumentVersion.objects.update(personal_data=None)
    found = services.personal_data_map(actor=boss)
    assert (found.total, found.uncounted) == (0, 1)
    assert tending.count() == 1
    assert services.personal_data_map(actor=boss).counts == {"CARD": 1, "EMAIL": 1}


def test_the_map_is_for_reviewers_tells_titles_of_what_one_may_see_and_exports_no_formula(world):
    document = world.ready(world.board, "x.md", f"# X\n\nMail {MAIL} about it.\n".encode())
    services.update_document(actor=world.people.administrator, document=document, title="=cmd|' /C calc'!A0")
    with pytest.raises(PermissionRefused):
        services.personal_data_map(actor=world.people.employee)
    auditor = services.personal_data_map(actor=world.people.auditor)
    assert [(each.document, each.title) for each in auditor.documents] == [(document.pk, "")]
    text = services.export_personal_data_map(actor=world.people.administrator)
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[1] == ["board", str(document.pk), "'=cmd|' /C calc'!A0", "EMAIL", "1"]
    assert MAIL not in text
    assert AuditEvent.objects.filter(action="personal_data.map_exported").exists()


@pytest.mark.parametrize("place", range(0, 60, 7))
def test_places_are_translated_to_and_fro_around_hidden_values(place):
    before, after = "a" * 19 + " ", " " + "b" * 19
    text = before + MAIL + after
    shown = personal.treated(text, personal.Rule(personal.Treatment.MASK))
    assert shown.text == f"{before}⟨EMAIL⟩{after}"
    here, end = shown.here(place), shown.here(place, end=True)
    assert shown.there(here) <= place <= shown.there(end, end=True)
    if not 20 < place < 20 + len(MAIL):
        assert shown.there(here) == place


def test_a_value_at_the_edge_of_a_passage_is_recognised_with_the_words_before_it():
    page = "护照号码：E12345678 交给前台"
    rule = personal.Rule(personal.Treatment.MASK)
    start = page.index("E")
    found = personal.within(page[start:], page, start, len(page), rule, None)
    assert [(span.type, page[start:][span.start : span.end]) for span in found] == [("PASSPORT", "E12345678")]
