"""Searches have slots of their own, and a search that breaks ends nothing but itself."""

from __future__ import annotations

import json
import threading
import time

import pytest
import redis
from django.conf import settings
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from assistant.audit import services as audit
from assistant.audit.models import AuditEvent
from assistant.documents import search_desk
from assistant.documents.services import asking
from assistant.errors import AuditUnavailable, Unavailable
from assistant.transport import redis_client

from .conftest import POLICY

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def desk(searcher, monkeypatch):
    monkeypatch.setattr("assistant.documents.search.searcher", lambda: searcher)
    desk = search_desk.Desk(1)
    desk.open()
    yield desk
    desk.close()


def test_a_search_is_answered_while_every_slot_for_answers_is_taken(world, desk):
    """The whole worker as it is deployed, its one slot held by a task that does not end."""
    from celery.contrib.testing.worker import start_worker

    from assistant.celery import app

    begun, done = threading.Event(), threading.Event()

    @app.task(name="tests.long_answer", ignore_result=True)
    def long_answer():
        begun.set()
        done.wait(60)

    world.ready(world.handbook, "policy.md", POLICY)
    try:
        options = {"pool": "threads", "concurrency": 1, "queues": ["answers"], "loglevel": "ERROR"}
        with start_worker(app, perform_ping_check=False, shutdown_timeout=60, **options):
            app.send_task("tests.long_answer", queue="answers")
            assert begun.wait(60)
            try:
                results = asking.search(actor=world.people.employee, query="business class flights")
            finally:
                done.set()
    finally:
        app.tasks.pop("tests.long_answer")
    assert {result.title for result in results} == {"Travel policy"}


def test_a_search_that_breaks_does_not_end_the_thread(world, desk, monkeypatch):
    world.ready(world.handbook, "policy.md", POLICY)
    redis_client().rpush(asking.WAITING, "no message at all")
    assert asking.search(actor=world.people.employee, query="flights")
    assert not redis_client().exists(asking.WAITING)


def test_nobody_there_is_said_and_leaves_nothing_behind(world, monkeypatch):
    monkeypatch.setattr(asking, "WAIT_SECONDS", 1)
    with pytest.raises(Unavailable, match="No search worker answered"):
        asking.search(actor=world.people.employee, query="flights")
    assert not list(redis_client().scan_iter("search:*"))


@pytest.mark.parametrize("how", ["too old", "sealed elsewhere"])
def test_a_question_nobody_waits_for_any_more_is_not_searched(world, monkeypatch, how):
    searched: list[object] = []
    monkeypatch.setattr(search_desk, "answer", lambda payload, **_: searched.append(payload) or {"results": []})
    then = time.time() - asking.KEEP_SECONDS - 5
    with monkeypatch.context() as patch:
        if how == "too old":
            patch.setattr("time.time", lambda: then)
        secret = settings.SECRET_KEY if how == "too old" else "another installation"
        with override_settings(SECRET_KEY=secret):
            gone = asking.message(asking.SEARCH, "long-gone", {"query": "flights"})
    search_desk.serve(gone)
    assert (searched, redis_client().exists(asking.reply_key("long-gone"))) == ([], 0)

    search_desk.serve(asking.message(asking.SEARCH, "long-gone", {"query": "flights"}))
    assert (searched, redis_client().llen(asking.reply_key("long-gone"))) == ([{"query": "flights"}], 1)


def test_a_question_goes_two_ways_to_redis_and_the_second_waits_for_the_reply(world, desk, monkeypatch):
    """The caller's end; the worker's connections are other ones."""
    world.ready(world.handbook, "policy.md", POLICY)
    sent: list[bytes] = []
    usual = redis.connection.AbstractConnection.send_packed_command

    def noted(self, command, *arguments, **options):
        if threading.current_thread() is threading.main_thread():
            sent.append(command if isinstance(command, bytes) else b"".join(command))
        return usual(self, command, *arguments, **options)

    monkeypatch.setattr(redis.connection.AbstractConnection, "send_packed_command", noted)
    assert asking.search(actor=world.people.employee, query="business class flights")
    question, word = [command for command in sent if b"RPUSH" in command or b"BLPOP" in command]
    assert asking.WAITING.encode() in question
    assert b"BLPOP" in word
    assert asking.GO.encode() in word


class Watched:
    """A searcher that notes how far a question has come."""

    def __init__(self, searcher):
        self._searcher = searcher
        self.embedded_, self.searched = threading.Event(), threading.Event()

    def embedded(self, text):
        vector = self._searcher.embedded(text)
        self.embedded_.set()
        return vector

    def search(self, **question):
        self.searched.set()
        return self._searcher.search(**question)


@pytest.fixture
def watched(searcher, monkeypatch):
    watched = Watched(searcher)
    monkeypatch.setattr("assistant.documents.search.searcher", lambda: watched)
    desk = search_desk.Desk(1)
    desk.open()
    yield watched
    desk.close()


def test_a_question_is_embedded_while_it_is_put_on_record_and_searched_only_afterwards(world, watched, monkeypatch):
    world.ready(world.handbook, "policy.md", POLICY)
    usual, seen = audit.intent, []

    def slow(**event):
        seen.append(watched.embedded_.wait(60))
        with CaptureQueriesContext(connection) as asked:  # the record's own statements, and nobody else's
            made = usual(**event)
        seen.append((watched.searched.is_set(), bool(asked.captured_queries)))
        return made

    monkeypatch.setattr(audit, "intent", slow)
    assert asking.search(actor=world.people.employee, query="business class flights")
    assert seen == [True, (False, True)]
    assert watched.searched.is_set()
    assert [event.action for event in AuditEvent.objects.order_by("-seq")[:2]] == ["search.shown", "search.asked"]


def test_a_question_that_cannot_be_put_on_record_is_taken_back_from_the_worker(world, monkeypatch):
    """The slot is free for the next one at once, not when the worker has lost its patience."""
    taken: list[str] = []

    def refused(**event):
        taken.append(redis_client().lpop(asking.WAITING))  # a worker takes it
        raise AuditUnavailable(retry_after=5)

    monkeypatch.setattr(audit, "intent", refused)
    with pytest.raises(AuditUnavailable):
        asking.search(actor=world.people.employee, query="flights")
    _, request_id, _ = json.loads(taken[0])
    assert redis_client().lrange(asking.word_key(request_id), 0, -1) == [asking.LEAVE]


def test_a_worker_that_is_told_to_leave_a_question_searches_nothing(world, watched):
    redis_client().rpush(asking.word_key("left"), asking.LEAVE)
    payload = {"user": world.people.employee.pk, "query": "flights", "collections": [], "limit": 5}
    search_desk.serve(asking.message(asking.SEARCH, "left", payload))
    assert not watched.searched.is_set()
    assert not list(redis_client().scan_iter("search:left:*"))


def test_a_question_that_no_worker_has_taken_is_taken_back_from_the_list(world, monkeypatch):
    def refused(**event):
        raise AuditUnavailable(retry_after=5)

    monkeypatch.setattr(audit, "intent", refused)
    with pytest.raises(AuditUnavailable):
        asking.search(actor=world.people.employee, query="flights")
    assert not redis_client().exists(asking.WAITING)
    assert not list(redis_client().scan_iter("search:*"))


def test_without_a_word_nothing_is_searched_and_nothing_is_replied(world, watched, monkeypatch):
    monkeypatch.setattr(search_desk, "WORD_SECONDS", 0.05)
    payload = {"user": world.people.employee.pk, "query": "flights", "collections": [], "limit": 5}
    search_desk.serve(asking.message(asking.SEARCH, "silent", payload))
    assert watched.embedded_.is_set()
    assert not watched.searched.is_set()
    assert not list(redis_client().scan_iter("search:silent:*"))


def test_a_question_is_on_record_though_redis_takes_none(world, monkeypatch):
    def away(*_):
        raise redis.ConnectionError("away")

    monkeypatch.setattr(asking, "_send", away)
    with pytest.raises(Unavailable, match="not available"):
        asking.search(actor=world.people.employee, query="flights")
    assert AuditEvent.objects.latest("seq").action == "search.asked"


@override_settings(SEARCH_SLOTS=3)
def test_as_many_threads_as_the_settings_say_and_all_of_them_end():
    before = {thread.ident for thread in threading.enumerate()}
    desk = search_desk.Desk()
    desk.open()
    own = [t for t in threading.enumerate() if t.ident not in before and t.name.startswith("search-")]
    assert len(own) == 3
    desk.close()
    for thread in own:
        thread.join(60)
        assert not thread.is_alive()


def test_a_search_asks_the_database_as_often_for_many_passages_as_for_one(
    world, searcher, monkeypatch, django_assert_num_queries
):
    """The person, the index's events, rights, policies, rows: one question each, whatever is made of the rows."""
    monkeypatch.setattr("assistant.documents.search.searcher", lambda: searcher)
    question = {"user": world.people.employee.pk, "query": "business class flights", "collections": []}
    for number in range(6):
        world.ready(world.handbook, f"policy{number}.md", POLICY + f"\n\nEdition {number} concerns flights.".encode())
    search_desk.answer(question | {"limit": 10})  # keys and the index are loaded
    for limit in (1, 6):
        with django_assert_num_queries(5):
            reply = search_desk.answer(question | {"limit": limit})
        assert len(reply["results"]) == limit
