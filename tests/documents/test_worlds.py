"""Pairs of worlds that differ only in what a person may not read: not a bit of any response differs."""

from __future__ import annotations

import json
import os
from unittest import mock

import pytest
from django.db import transaction
from django.test import override_settings
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from assistant import leases
from assistant.accounts.models import User
from assistant.accounts.roles import Role
from assistant.chat import answering
from assistant.chat import services as chat
from assistant.chat.models import Answer, AnswerStatus
from assistant.chat.watch import Ticket
from assistant.documents import index_events, search_desk, services
from assistant.documents.models import Collection, Document, DocumentVersion, Grant, Scope
from assistant.documents.search import Searcher
from assistant.documents.services import asking
from inference.engines.extractive import ExtractiveEngine
from inference.evidence import EvidenceScorer

from .hashing import EMBEDDER, finish, new_searcher

pytestmark = pytest.mark.django_db(transaction=False)

WORDS = ("turbine", "salary", "travel", "contract", "warranty", "budget")


KEYS = [f"00000000-0000-4000-8000-{n:012d}" for n in range(40)]


VOLATILE = {"id", "conversation", "created_at", "finished_at", "timings", "events_url", "request_id"}
WORD_OVERLAP = EvidenceScorer(EMBEDDER.embed)


def build(readable: list[str], hidden: list[tuple[str, str]], scopes_each: int = 0) -> tuple[User, Searcher]:
    """A world: what Ann may read, and what she may not: (text, how it is hidden). With `scopes_each`, every document
    that she may read lies in a scope of its own, and she and Bob may read as many scopes more."""
    import tempfile
    from pathlib import Path

    boss = User.objects.create_user("boss@c.example", role=Role.ADMINISTRATOR)
    ann = User.objects.create_user("ann@c.example")
    bob = User.objects.create_user("bob@c.example")
    shelves = {slug: services.create_collection(actor=boss, slug=slug) for slug in ("open", "closed")}
    services.grant_collection(actor=boss, collection=shelves["open"], principal=f"user:{ann.email}", access="reader")
    services.grant_collection(actor=boss, collection=shelves["closed"], principal=f"user:{bob.email}", access="reader")
    scopes = {slug: Scope.objects.get(collection=shelf, key="") for slug, shelf in shelves.items()}
    secret = Scope.objects.create(collection=shelves["open"], key="f" * 64)
    Grant.objects.create(scope=secret, user=bob)
    crowd = [Scope(collection=shelves["open"], key=f"{n:064x}") for n in range(2 * scopes_each)]
    Scope.objects.bulk_create(crowd)
    Grant.objects.bulk_create(Grant(scope=each, user=(ann, bob)[n % 2]) for n, each in enumerate(crowd))
    own = iter(crowd[::2])
    # Hidden documents come first and in between: row numbers, event numbers and index order all differ.
    plan = [(text, "readable") for text in readable]
    for position, item in enumerate(hidden):
        plan.insert((position * 2) % (len(plan) + 1), item)
    visible_keys, hidden_keys = iter(KEYS), iter(reversed(KEYS))
    for number, (text, how) in enumerate(plan):
        scope = {"readable": next(own, scopes["open"]), "restricted": secret}.get(how, scopes["closed"])
        document = Document.objects.create(
            pk=next(visible_keys if how == "readable" else hidden_keys),
            collection=scope.collection,
            scope=scope,
            title="Notice",
        )
        version = DocumentVersion.objects.create(
            document=document, number=1, filename="n.txt", size=1, sha256=f"{number:064d}"
        )
        finish(version, text, "Notice")
        if how == "deleted":
            index_events.append([document.pk])
            document.delete()
    return ann, new_searcher(Path(tempfile.gettempdir()) / "never-saved")


def answer(world, query: str, limit: int) -> str:
    """The whole response as bytes on the wire, and the library's own report, without row numbers."""
    ann, searcher = world
    report = searcher.search(user=ann, text=query, limit=limit)
    found = [
        (str(p.chunk.document_id), p.chunk.ordinal, p.chunk.text, p.score.hex(), p.dense.hex(), p.lexical.hex())
        for p in report.passages
    ]
    import assistant.documents.search as room

    before, room._searcher = room._searcher, searcher
    try:
        reply = search_desk.answer({"user": ann.pk, "query": query, "collections": [], "limit": limit})
        narrowed = [
            search_desk.answer({"user": ann.pk, "query": query, "collections": [slug], "limit": limit})["results"]
            for slug in ("closed", "absent")
        ]
    finally:
        room._searcher = before
    wire = [{k: v for k, v in row.items() if k != "chunk"} for row in reply["results"]]
    return json.dumps([found, report.searched_chunks, wire, narrowed, over_rest(world, query, limit)])


def over_rest(world, query: str, limit: int) -> list[object]:
    """Search and answer at their addresses: status, size and body, without numbers and times of the rows."""
    ann, searcher = world
    client = APIClient()
    client.force_login(ann)
    said: list[object] = []
    with mock.patch("assistant.documents.search._searcher", searcher), mock.patch.object(asking, "_call", in_process):
        for collections in ([], ["closed"], ["absent"], ["open", "closed"]):
            body = {"query": query, "limit": limit, "collections": collections}
            reply = client.post("/api/v1/search/", body, format="json")
            said.append([reply.status_code, len(reply.content), reply.content.decode()])
    for collections in (["closed"], ["absent"]):
        reply = client.post("/api/v1/answers/", {"question": query, "collections": collections}, format="json")
        said.append([reply.status_code, len(reply.content), reply.content.decode()])
    tools = answering.Tools(searcher, WORD_OVERLAP, ExtractiveEngine(), 0.2)
    row, _ = chat.ask(actor=ann, question=query)
    claimed = leases.claim(Answer.objects.exclude(status=AnswerStatus.DONE), row.pk, seconds=60)
    answering.run(claimed, tools=tools, ticket=Ticket(claimed))  # without a heartbeat, which sees committed rows only
    shown = client.get(f"/api/v1/answers/{row.pk}/").json()
    for citation in shown["citations"]:
        del citation["version_date"]  # when this run wrote the world
    said.append({name: value for name, value in shown.items() if name not in VOLATILE})
    return said


def in_process(payload, *, meanwhile, **_):
    """The reply of a worker, through the same JSON."""
    meanwhile()
    return json.loads(json.dumps(search_desk.answer(json.loads(json.dumps(payload)))))


sentence = st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(" ".join)
secrets = st.lists(st.tuples(sentence, st.sampled_from(["closed", "restricted", "deleted"])), max_size=8)


@override_settings(API_RATE="1000000/min")  # each world's person has the same number, so one limit would count them all
@settings(
    max_examples=int(os.environ.get("WORLD_PAIRS", "12")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
)
@given(st.lists(sentence, max_size=6), secrets, secrets, sentence, st.integers(1, 8), st.sampled_from([0] * 9 + [1500]))
def test_what_a_person_may_not_read_changes_no_bit_of_the_answer(readable, one, other, query, limit, scopes):
    """Through the library, the worker's reply, and search and answer at their addresses."""
    said = []
    for hidden in (one, other):
        block = transaction.atomic()
        block._from_testcase = True  # type: ignore[attr-defined]  # an audit intent commits alone
        with block:
            said.append(answer(build(readable, hidden, scopes), query, limit))
            transaction.set_rollback(True)
    assert said[0] == said[1]
    assert json.loads(said[0])[1] == len(readable)


def test_the_collection_model_is_untouched_by_worlds():
    """Each world was rolled back."""
    assert not Collection.objects.exists()
