"""Asking, limits, idempotency, the record, and what happens to answers afterwards."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from assistant import errors
from assistant.audit import services as audit
from assistant.audit.models import AuditEvent
from assistant.chat import services, tasks
from assistant.chat.models import Answer, Citation, Conversation, Feedback, Outcome
from assistant.documents import services as documents
from assistant.documents.models import Grant

from .library import asked

GERMANY = "What is the meal allowance in Germany?"


def view_of(person, answer):
    return services.present(actor=person, answer=services.get_answer(actor=person, answer_id=answer.pk))


def test_question_that_cannot_be_put_on_record_is_not_stored(company, people, monkeypatch):
    def broken(**_):
        raise errors.AuditUnavailable

    monkeypatch.setattr(audit, "intent", broken)
    with pytest.raises(errors.AuditUnavailable):
        services.ask(actor=people.employee, question=GERMANY)
    assert not Answer.objects.exists()
    assert not Conversation.objects.exists()


def test_question_is_cleaned_before_it_is_kept(company, people):
    answer, _ = services.ask(actor=people.employee, question="  What is\u200b the limit?\u202e ")
    assert answer.question == "What is the limit?"


def test_conversation_of_somebody_else_cannot_be_continued(company, people):
    mine, _ = services.ask(actor=people.employee, question=GERMANY)
    for conversation in (mine.conversation_id, "nonsense"):
        with pytest.raises(errors.NotFound):
            services.ask(actor=people.outsider, question="And in France?", conversation_id=conversation)


def _in_parallel(number, call):
    barrier = threading.Barrier(number)

    def one(_):
        try:
            barrier.wait(60)
            return call()
        except errors.AssistantError as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(one, range(number)))


def test_same_key_in_parallel_gives_one_answer(company, people):
    results = _in_parallel(8, lambda: services.ask(actor=people.employee, question=GERMANY, idempotency_key="same"))
    assert len({answer.pk for answer, _ in results}) == 1
    assert sum(new for _, new in results) == 1
    assert Answer.objects.count() == 1
    intents = AuditEvent.objects.filter(action="answer.asked", outcome="intent").count()
    assert intents == 1 + AuditEvent.objects.filter(action="answer.refused").count()


def test_key_of_another_person_is_another_key(company, people):
    first, _ = services.ask(actor=people.employee, question=GERMANY, idempotency_key="same")
    second, new = services.ask(actor=people.outsider, question=GERMANY, idempotency_key="same")
    assert new
    assert first.pk != second.pk


@pytest.mark.parametrize("key", ["x" * 101, "line\nbreak", "nul\x00"])
def test_impossible_keys_are_refused(company, people, key):
    with pytest.raises(errors.Invalid):
        services.ask(actor=people.employee, question=GERMANY, idempotency_key=key)


def test_limits_are_exact_under_parallel_calls(company, people, settings):
    settings.ANSWER_QUEUE_LIMIT = 6
    mine = _in_parallel(8, lambda: services.ask(actor=people.employee, question=GERMANY))
    assert sum(isinstance(result, tuple) for result in mine) == 3
    refused = [result for result in mine if isinstance(result, errors.TooMany)]
    assert {error.code for error in refused} == {"too_many_questions"}
    others = _in_parallel(4, lambda: services.ask(actor=people.outsider, question=GERMANY))
    assert sum(isinstance(result, tuple) for result in others) == 3
    with pytest.raises(errors.TooMany) as full:
        services.ask(actor=people.curator, question=GERMANY)
    assert full.value.code == "queue_full"
    assert full.value.retry_after
    assert Answer.objects.count() == 6


def test_place_in_the_queue_counts_those_before(company, people):
    answers = [services.ask(actor=people.employee, question=GERMANY)[0] for _ in range(3)]
    assert [view_of(people.employee, answer).queue_position for answer in answers] == [1, 2, 3]
    tasks.work(answers[0].pk)
    assert [view_of(people.employee, answer).queue_position for answer in answers] == [None, 1, 2]


def test_deleted_document_takes_every_answer_that_rests_on_it_along(company, people):
    answer = asked(people.employee, GERMANY)
    other = asked(people.employee, "What is the salary range for band E4?")
    receipt = documents.delete(actor=people.administrator, document=company.travel)
    assert receipt["answers_withheld"] == 1
    answer.refresh_from_db()
    assert (answer.text, answer.sentences, answer.citations.count()) == ("", [], 0)
    view = view_of(people.employee, answer)
    assert (view.withheld, view.reason, view.text, view.sentences) == (True, "deleted", "", ())
    assert not view_of(people.employee, other).withheld


def test_answer_whose_sources_vanished_unseen_is_withheld(company, people):
    """Even a deletion that bypassed the services leaves no text behind."""
    answer = asked(people.employee, GERMANY)
    Answer.rests_on.through.objects.filter(answer=answer).delete()
    assert view_of(people.employee, answer).withheld


def test_revoked_grant_hides_answer_and_returns_it_with_the_grant(company, people):
    answer = asked(people.employee, "What is the salary range for band E4?")
    grant = Grant.objects.get(scope__collection=company.hr)
    grant.delete()
    view = view_of(people.employee, answer)
    assert (view.withheld, view.text, view.citations, view.sentences) == (True, "", (), ())
    assert "hr" not in {item["slug"] for item in view.evidence["collections"]}
    grant.save()
    assert "62,000" in view_of(people.employee, answer).text


def test_restricted_document_hides_answer(company, people):
    answer = asked(people.employee, GERMANY)
    documents.grant_document(
        actor=people.administrator, document=company.travel, principal="user:curator@company.example", access="reader"
    )
    assert view_of(people.employee, answer).withheld


def test_deleted_conversation_is_hidden_at_once_and_erased_after_the_undo_window(company, people):
    answer = asked(people.employee, GERMANY)
    services.give_feedback(actor=people.employee, answer_id=answer.pk, good=True)
    services.delete_conversation(actor=people.employee, conversation_id=answer.conversation_id)
    assert list(services.conversations(people.employee)) == []
    tasks.sweep()
    assert Answer.objects.exists()
    Conversation.objects.update(deleted_at=timezone.now() - timedelta(seconds=services.UNDO_SECONDS + 1))
    with pytest.raises(errors.NotFound):
        services.restore_conversation(actor=people.employee, conversation_id=answer.conversation_id)
    tasks.sweep()
    for model in (Conversation, Answer, Citation, Feedback):
        assert not model.objects.exists(), model
    last = AuditEvent.objects.order_by("seq").last()
    assert (last.action, last.outcome, last.actor) == ("conversation.erased", "success", "system")


def test_finished_answer_stays_when_cancelled(company, people):
    answer = asked(people.employee, GERMANY)
    assert services.cancel(actor=people.employee, answer_id=answer.pk).outcome == Outcome.ANSWERED


def test_unfinished_answer_cannot_be_judged(company, people):
    answer, _ = services.ask(actor=people.employee, question=GERMANY)
    with pytest.raises(errors.Conflict):
        services.give_feedback(actor=people.employee, answer_id=answer.pk, good=True)


def test_answer_read_again_later_is_on_record(company, people):
    answer = asked(people.employee, GERMANY)
    view_of(people.employee, answer)
    assert not AuditEvent.objects.filter(action="answer.viewed").exists()
    Answer.objects.update(finished_at=timezone.now() - timedelta(hours=1))
    view_of(people.employee, answer)
    event = AuditEvent.objects.get(action="answer.viewed")
    assert event.detail == {"answers": [str(answer.pk)]}


def test_view_is_for_the_owner_only(company, people):
    answer = asked(people.employee, GERMANY)
    with pytest.raises(ValueError):
        services.present(actor=people.administrator, answer=answer)
