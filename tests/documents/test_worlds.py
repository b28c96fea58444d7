"""Random worlds against an independent oracle, and pairs of worlds that differ only in what a person may not read.

The oracle keeps its own plain sets and knows none of the product's queries. Texts are embedded by a stand-in that
hashes words, so that thousands of steps take seconds; index, database, rights, services and the commit of an ingestion
are the real ones.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from dataclasses import dataclass, field
from unittest import mock
from uuid import UUID

import numpy as np
import pytest
from django.db import transaction
from django.test import override_settings
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from rest_framework.test import APIClient

from assistant import leases
from assistant.accounts.models import Membership, Team, User
from assistant.accounts.roles import Role
from assistant.chat import answering
from assistant.chat import services as chat
from assistant.chat.models import Answer, AnswerStatus
from assistant.chat.watch import Ticket
from assistant.documents import index_events, ingestion, search_desk, services
from assistant.documents import replica as replicas
from assistant.documents.models import Chunk, Collection, Document, DocumentVersion, Grant, IndexEvent, Scope, Status
from assistant.documents.search import Searcher
from assistant.documents.services import asking
from inference.engines.extractive import ExtractiveEngine
from inference.evidence import EvidenceScorer
from retrieval.schema import Chunk as Passage
from retrieval.schema import ParsedDocument, ParsedPage

pytestmark = pytest.mark.django_db(transaction=False)

DIMENSION = 32
WORDS = ("turbine", "salary", "travel", "contract", "warranty", "budget")


class HashingEmbedder:
    """Bag of hashed words: the same text gives the same vector, texts with words in common are near."""

    model_id = "hashing@1"
    dimension = DIMENSION
    max_tokens = 200

    def embed(self, texts):
        rows = np.zeros((len(texts), DIMENSION), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in text.lower().split():
                row[hashlib.sha256(word.encode()).digest()[0] % DIMENSION] += 1.0
            row += 0.01
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def count_tokens(self, texts):
        return [len(text.split()) for text in texts]


EMBEDDER = HashingEmbedder()


def finish(version: DocumentVersion, text: str, title: str) -> None:
    """What a worker does once a file is parsed: the real claim and the real commit."""
    job = leases.claim(DocumentVersion.objects.filter(status=Status.QUEUED), version.pk, seconds=20)
    assert job is not None
    page = ParsedPage(1, text)
    passages = [Passage(0, 1, (), 0, len(text), text)]
    vectors = [row.astype("<f2").tobytes() for row in EMBEDDER.embed([text])]
    parsed = ParsedDocument("text/plain", title, (page,))
    read = ingestion._Read(parsed, title, passages, [0.0], vectors, EMBEDDER.model_id, veiled=False, personal_data={})
    ingestion._commit(job, read)


def new_searcher(folder) -> Searcher:
    return Searcher(
        embedder=EMBEDDER,
        replica=replicas.DocumentReplica(dimension=DIMENSION, model_id=EMBEDDER.model_id, folder=folder),
    )


# ---- an oracle ------------------------------------------------------------------------------------------------------


@dataclass
class Held:
    """What the oracle knows of one document."""

    key: UUID
    collection: str
    text: str
    restricted: set[str] | None = None  # principals, or None: the collection's


@dataclass
class Oracle:
    teams: dict[str, set[str]] = field(default_factory=dict)
    grants: dict[str, set[str]] = field(default_factory=dict)  # collection -> principals
    documents: dict[int, Held] = field(default_factory=dict)
    active: dict[str, bool] = field(default_factory=dict)

    def reads(self, person: str, held: Held) -> bool:
        if not self.active[person]:
            return False
        named = self.grants[held.collection] if held.restricted is None else held.restricted
        mine = {"everyone", f"user:{person}"} | {f"team:{t}" for t, members in self.teams.items() if person in members}
        return bool(named & mine)

    def readable(self, person: str) -> set[UUID]:
        return {held.key for held in self.documents.values() if self.reads(person, held)}


PEOPLE = ("ann@c.example", "bob@c.example", "cai@c.example")
TEAMS = ("north", "south")
COLLECTIONS = ("open", "closed", "other")
PRINCIPALS = (*(f"user:{person}" for person in PEOPLE), *(f"team:{team}" for team in TEAMS), "everyone")

people = st.sampled_from(PEOPLE)
collections = st.sampled_from(COLLECTIONS)
principals = st.sampled_from(PRINCIPALS)
anything = st.integers(min_value=0, max_value=10**6)


class Company(RuleBasedStateMachine):
    """Every change a company makes, in any order; after each the searcher is asked for everybody."""

    def __init__(self) -> None:
        super().__init__()
        import tempfile
        from pathlib import Path

        self.folder = tempfile.TemporaryDirectory()
        self.block = transaction.atomic()
        self.block._from_testcase = True  # type: ignore[attr-defined]  # an audit intent commits alone, which a test case may contain
        self.block.__enter__()
        self.oracle = Oracle(
            teams={team: set() for team in TEAMS},
            grants={slug: set() for slug in COLLECTIONS},
            active=dict.fromkeys(PEOPLE, True),
        )
        self.users = {email: User.objects.create_user(email) for email in PEOPLE}
        self.boss = User.objects.create_user("boss@c.example", role=Role.ADMINISTRATOR)
        self.teams = {slug: Team.objects.create(slug=slug, name=slug) for slug in TEAMS}
        self.shelves = {slug: services.create_collection(actor=self.boss, slug=slug) for slug in COLLECTIONS}
        self.path = Path(self.folder.name)
        self.searcher = new_searcher(self.path)
        self.number = 0

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.block.__exit__(None, None, None)
        self.folder.cleanup()

    def pick(self, choice: int) -> tuple[int, Held, Document]:
        number = sorted(self.oracle.documents)[choice % len(self.oracle.documents)]
        held = self.oracle.documents[number]
        return number, held, Document.objects.get(pk=held.key)

    def text(self, choice: int) -> str:
        self.number += 1
        return f"{WORDS[choice % len(WORDS)]} notice number{self.number} for everybody concerned"

    @rule(collection=collections, choice=anything)
    def upload(self, collection, choice):
        text = self.text(choice)
        document, _ = services.upload(
            actor=self.boss,
            collection=self.shelves[collection],
            file=io.BytesIO(text.encode()),
            filename=f"{self.number}.txt",
        )
        finish(document.latest, text, document.title)
        self.oracle.documents[self.number] = Held(document.pk, collection, text)

    @precondition(lambda self: self.oracle.documents)
    @rule(choice=anything)
    def replace(self, choice):
        _, held, document = self.pick(choice)
        held.text = self.text(choice)
        version, _ = services.replace(
            actor=self.boss, document=document, file=io.BytesIO(held.text.encode()), filename="new.txt"
        )
        finish(version, held.text, document.title)

    @precondition(lambda self: self.oracle.documents)
    @rule(choice=anything)
    def delete(self, choice):
        number, _, document = self.pick(choice)
        services.delete(actor=self.boss, document=document)
        del self.oracle.documents[number]

    @precondition(lambda self: self.oracle.documents)
    @rule(choice=anything, collection=collections)
    def move(self, choice, collection):
        _, held, document = self.pick(choice)
        services.move(actor=self.boss, document=document, collection=self.shelves[collection])
        held.collection = collection

    @rule(collection=collections, principal=principals)
    def grant(self, collection, principal):
        services.grant_collection(
            actor=self.boss, collection=self.shelves[collection], principal=principal, access="reader"
        )
        self.oracle.grants[collection].add(principal)

    @rule(collection=collections, choice=anything)
    def revoke(self, collection, choice):
        grants = services.collection_grants(actor=self.boss, collection=self.shelves[collection])
        if grants:
            grant = grants[choice % len(grants)]
            self.oracle.grants[collection].discard(grant.principal)
            services.revoke_collection(actor=self.boss, collection=self.shelves[collection], grant_id=grant.reference)

    @precondition(lambda self: self.oracle.documents)
    @rule(choice=anything, principal=principals)
    def restrict(self, choice, principal):
        _, held, document = self.pick(choice)
        services.grant_document(actor=self.boss, document=document, principal=principal, access="reader")
        held.restricted = (held.restricted or set()) | {principal}

    @precondition(lambda self: any(held.restricted for held in self.oracle.documents.values()))
    @rule(choice=anything)
    def narrow(self, choice):
        named = sorted(number for number, held in self.oracle.documents.items() if held.restricted)
        held = self.oracle.documents[named[choice % len(named)]]
        document = Document.objects.get(pk=held.key)
        grants = services.document_grants(actor=self.boss, document=document)
        grant = grants[choice % len(grants)]
        services.revoke_document(actor=self.boss, document=document, grant_id=grant.reference)
        held.restricted = held.restricted - {grant.principal}

    @precondition(lambda self: self.oracle.documents)
    @rule(choice=anything)
    def unrestrict(self, choice):
        _, held, document = self.pick(choice)
        services.unrestrict_document(actor=self.boss, document=document)
        held.restricted = None

    @rule(person=people, team=st.sampled_from(TEAMS))
    def join_or_leave(self, person, team):
        if person in self.oracle.teams[team]:
            Membership.objects.filter(team=self.teams[team], user=self.users[person]).delete()
            self.oracle.teams[team].discard(person)
        else:
            Membership.objects.create(team=self.teams[team], user=self.users[person])
            self.oracle.teams[team].add(person)

    @rule(person=people)
    def disable_or_enable(self, person):
        self.oracle.active[person] = not self.oracle.active[person]
        User.objects.filter(pk=self.users[person].pk).update(is_active=self.oracle.active[person])
        self.users[person].refresh_from_db()

    @rule(choice=anything)
    def worker_restarts(self, choice):
        """Without a snapshot, with the last one saved, or with a damaged one."""
        if choice % 3 == 1:
            self.searcher._replica.catch_up()
            self.searcher._replica.save()
        elif choice % 3 == 2 and self.searcher._replica._snapshot_path.exists():
            with self.searcher._replica._snapshot_path.open("r+b") as file:
                file.truncate(100)
        self.searcher = new_searcher(self.path)

    @invariant()
    def everybody_finds_exactly_what_they_may_read(self):
        for email, user in self.users.items():
            expected = self.oracle.readable(email)
            report = self.searcher.search(user=user, text="notice for everybody", limit=100, per_document=3)
            found = {item.chunk.document_id for item in report.passages}
            assert found == expected, (email, found ^ expected)
            texts = {held.text for held in self.oracle.documents.values() if held.key in expected}
            assert {item.chunk.text for item in report.passages} == texts
            assert report.searched_chunks == len(expected)

    @invariant()
    def the_house_is_in_order(self):
        seqs = list(IndexEvent.objects.values_list("seq", flat=True))
        assert seqs == list(range(1, len(seqs) + 1))
        assert not Scope.objects.exclude(key="").filter(documents__isnull=True).exists()
        assert Chunk.objects.count() == len(self.oracle.documents)


def run(steps: int, examples: int) -> None:
    run_state_machine_as_test(
        Company,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.generate],
            database=None,
            derandomize=True,
        ),
    )


def test_random_companies_agree_with_the_oracle():
    run(steps=25, examples=4)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_ten_thousand_steps_agree_with_the_oracle():
    run(steps=100, examples=int(os.environ.get("WORLD_EXAMPLES", "100")))


# ---- non-interference -----------------------------------------------------------------------------------------------

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
