"""A short form in a Chinese question finds what the documents say in full, and learns it from readable ones alone."""

from __future__ import annotations

import json
import re

import pytest

from assistant.accounts.roles import Role
from assistant.audit.models import AuditEvent
from assistant.chat import answering, replay, services, wording
from assistant.chat.models import Outcome
from assistant.demo.company import sources
from assistant.documents import services as documents
from assistant.documents.models import Grant

from .library import asked, collection, write_document

QUESTION = "我每年有多少天年假？"


@pytest.fixture
def handbook(transactional_db, people):
    """The Chinese texts of the demo company's handbook, for everyone."""
    where = collection("handbook", "everyone")
    for source in sources().values():
        if source.meta["collection"] == "handbook" and source.meta["language"] == "zh":
            write_document(where, source.meta["title"], [re.sub(r"^#+ ", "", source.text, flags=re.MULTILINE)])
    return where


def first(person, question: str) -> str:
    answer = asked(person, question)
    assert answer.question == question
    view = services.present(actor=person, answer=services.get_answer(actor=person, answer_id=answer.pk))
    assert view.outcome == Outcome.ANSWERED
    return view.sentences[0].text


def test_days_of_leave_are_found_by_the_short_word_for_it(handbook, people):
    assert "年休假为十天" in first(people.employee, QUESTION)


def test_words_of_unreadable_documents_change_nothing(handbook, people):
    hidden = collection("hr", people.employee)
    before = first(people.outsider, QUESTION)
    write_document(hidden, "年节假", ["年节假制度\n\n员工每年的年节假另行通知。年节假不是年假。"])
    assert first(people.outsider, QUESTION) == before


def test_reader_of_a_recorded_search_gets_the_same_words(handbook, people):
    answer = asked(people.employee, QUESTION)
    assert replay.replay(answer.pk).verdict == "same"


def test_a_misspelt_word_is_searched_and_read_as_documents_write_it(transactional_db, people):
    where = collection("rules", "everyone")
    write_document(where, "Claims", ["Claims\n\nReimbursement takes ten working days after the form has arrived."])
    answer = asked(people.outsider, "How long does reimbursment take?")
    assert answer.question == "How long does reimbursment take?"
    view = services.present(
        actor=people.outsider, answer=services.get_answer(actor=people.outsider, answer_id=answer.pk)
    )
    assert view.outcome == Outcome.ANSWERED
    assert "ten working days" in view.text
    assert replay.replay(answer.pk).verdict == "same"


def test_a_rare_word_that_documents_hold_is_no_misspelling(transactional_db, people):
    """Twelve documents fill the passages with "depreciated"; one that is further away says "deprecated"."""
    where, hidden = collection("rules", "everyone"), collection("hidden", people.employee)
    for number in range(12):
        write_document(where, f"List {number}", [f"The list of depreciated machines, number {number}: all machines."])
    question = "list of deprecated machines"
    search = answering.tools().searcher.search
    how = {"user": people.outsider, "collections": (), "limit": 10, "per_document": 3}
    assert _read(search, question, how) == "list of depreciated machines"
    write_document(hidden, "Secret", ["Something deprecated."])
    assert _read(search, question, how) == "list of depreciated machines"
    notes = "Notes on the interfaces between programs, of which some of the old ones were deprecated in spring. "
    write_document(where, "Notes", [notes + "They are kept for a year, so that everybody can change to the new ones."])
    assert _read(search, question, how) == question
    assert len(wording.searched(search, question, **how).passages) == 10


def _read(search, question, how):
    return wording.in_full_words(question, wording.searched(search, question, **how).passages)


def test_spelling_is_never_learnt_from_unreadable_documents(company, people):
    question = "the rannge of salaries in each band"
    assert wording.in_full_words(question, passages(people.outsider, question)) == question
    mine = wording.in_full_words(question, passages(people.employee, question))
    assert mine == "the range of salaries in each band"


def passages(person, text):
    return answering.tools().searcher.search(user=person, text=text, collections=(), limit=10, per_document=3).passages


def test_the_person_is_told_what_else_was_searched_for_and_only_while_they_may_read_it(transactional_db, people):
    where, mine = collection("rules", "everyone"), collection("mine", people.employee)
    write_document(where, "Form", ["Form\n\nThe form is on the board. It takes a day to be read."])
    write_document(mine, "Claims", ["Claims\n\nReimbursement takes ten working days after the form arrived."])
    answer = asked(people.employee, "How long does reimbursment take?")
    assert also(people.employee, answer) == ("Reimbursement",)
    assert "eimbursement" not in json.dumps([answer.evidence, closed(answer)])  # places are kept, no words
    assert closed(answer)["also"] == answer.evidence["also"] != []
    assert also(people.outsider, asked(people.outsider, "How long does reimbursment take?")) == ()
    Grant.objects.filter(user=people.employee).delete()
    assert also(people.employee, answer) == ()


def test_a_word_beside_hidden_personal_data_is_not_told(transactional_db, people):
    where = collection("rules", "everyone")
    text = "Claims\n\nReimbursement to the card 4111 1111 1111 1111 takes ten working days after the form arrived."
    write_document(where, "Claims", [text])
    answer = asked(people.employee, "How long does reimbursment take?")
    assert also(people.employee, answer) == ("Reimbursement",)
    documents.set_personal_data_policy(
        actor=people.administrator, collection=where, treatments=dict.fromkeys(Role.values, "mask")
    )
    assert also(people.employee, answer) == ()


def test_without_other_words_nothing_is_told(handbook, people):
    answer = asked(people.employee, "加班每月最多多少小时？")
    assert (also(people.employee, answer), "also" in answer.evidence, "also" in closed(answer)) == ((), False, False)


def also(person, answer):
    return services.present(actor=person, answer=answer).also


def closed(answer):
    return AuditEvent.objects.filter(target_id=str(answer.pk)).order_by("seq").last().detail


def test_other_words_for_the_same_are_searched_read_and_told(transactional_db, people):
    where = collection("rules", "everyone")
    write_document(
        where, "Printing", ["Printing\n\nAll printers hold the job until the badge is shown at the machine."]
    )
    write_document(where, "Claims", ["Claims\n\nTravel is claimed in the portal within three months of the journey."])
    answer = asked(people.outsider, "打印机")
    assert answer.outcome == Outcome.ANSWERED
    assert answer.text.startswith("All printers hold the job")
    assert also(people.outsider, answer) == ("printer",)
    assert replay.replay(answer.pk).verdict == "same"


def test_a_misspelt_word_that_no_document_holds_is_known_by_its_other_words(transactional_db, people):
    where = collection("rules", "everyone")
    write_document(where, "Leave", ["Full-time employees have 30 working days of paid holiday in a year."])
    answer = asked(people.outsider, "How many days of vaction do I have in a year?")
    assert answer.outcome == Outcome.ANSWERED
    assert "30 working days" in answer.text
    assert also(people.outsider, answer) == ("holiday",)


def test_other_words_in_unreadable_documents_change_nothing(transactional_db, people):
    where, hidden = collection("rules", "everyone"), collection("hidden", people.employee)
    write_document(where, "Claims", ["Claims\n\nTravel is claimed in the portal within three months of the journey."])
    before = asked(people.outsider, "打印机")
    write_document(hidden, "Printing", ["Printing\n\nAll printers hold the job until the badge is shown."])
    after = asked(people.outsider, "打印机")
    assert (before.outcome, before.text, also(people.outsider, before)) == (Outcome.NOT_FOUND, "", ())
    assert (after.outcome, after.text, also(people.outsider, after)) == (before.outcome, before.text, ())
    seen = [
        {key: value for key, value in closed(row)["retrieved"][0].items() if key != "chunk"} for row in (before, after)
    ]
    assert seen[0] == seen[1]
