"""Random companies against an independent oracle: every change a company and its machines make, in any order.

The oracle keeps its own plain sets and knows none of the product's queries. After each step everybody finds exactly
what they may read: the words of its version, under its title, by the vector of the model at hand or by words alone.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, field
from datetime import date
from unittest import mock
from uuid import UUID

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from assistant.accounts import services as accounts
from assistant.accounts.models import Team, User
from assistant.accounts.roles import Role
from assistant.documents import index_events, services, tending
from assistant.documents.models import Chunk, Document, DocumentVersion, IndexEvent, Scope, Status
from assistant.errors import Conflict

from .hashing import HashingEmbedder, finish, new_searcher

pytestmark = pytest.mark.django_db(transaction=False)

WORDS = ("turbine", "salary", "travel", "contract", "warranty", "budget")
PAST, FUTURE = date(2000, 1, 1), date(2999, 12, 31)


@dataclass
class Held:
    """What the oracle knows of one document."""

    key: UUID
    collection: str
    text: str
    title: str
    model: str  # that embedded it last
    restricted: set[str] | None = None  # principals, or None: the collection's
    speaks: bool = True  # for today
    past: list[str] = field(default_factory=list)  # texts of earlier versions


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

    def readable(self, person: str) -> list[Held]:
        return [held for held in self.documents.values() if self.reads(person, held)]


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
        self.path, self.elsewhere = Path(self.folder.name) / "here", Path(self.folder.name) / "elsewhere"
        self.embedder = HashingEmbedder()
        self.searcher = new_searcher(self.path, self.embedder)
        self.away = new_searcher(self.elsewhere, self.embedder)  # on a second host, looked at now and then
        self.number = self.last_seq = 0

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

    @initialize(choice=anything, principal=principals)
    def begin(self, choice, principal):
        """With something to lose."""
        for collection in COLLECTIONS:
            self.upload(collection, choice)
            self.grant(collection, principal)

    @rule(collection=collections, choice=anything)
    def upload(self, collection, choice):
        text = self.text(choice)
        document, _ = services.upload(
            actor=self.boss,
            collection=self.shelves[collection],
            file=io.BytesIO(text.encode()),
            filename=f"{self.number}.txt",
        )
        finish(document.latest, text, document.title, self.embedder)
        self.oracle.documents[self.number] = Held(document.pk, collection, text, document.title, self.embedder.model_id)

    @precondition(lambda self: self.oracle.documents)
    @rule(choice=anything, kind=st.sampled_from(("new", "earlier", "never read")))
    def replace(self, choice, kind):
        """By new words, by those of a version before, or by a file that no worker has read yet."""
        _, held, document = self.pick(choice)
        text = held.past[choice % len(held.past)] if kind == "earlier" and held.past else self.text(choice)
        version, _ = services.replace(
            actor=self.boss, document=document, file=io.BytesIO(text.encode()), filename="new.txt"
        )
        if kind != "never read" and version.status == Status.QUEUED:
            finish(version, text, document.title, self.embedder)
            held.past.append(held.text)
            held.text, held.model = text, self.embedder.model_id

    @precondition(lambda self: self.oracle.documents)
    @rule(choice=anything)
    def rename(self, choice):
        _, held, document = self.pick(choice)
        self.number += 1
        held.title = f"Renamed {WORDS[choice % len(WORDS)]} {self.number}"
        services.update_document(actor=self.boss, document=document, title=held.title)

    @precondition(lambda self: self.oracle.documents)
    @rule(choice=anything, days=st.sampled_from(((None, None), (PAST, FUTURE), (PAST, PAST), (FUTURE, None))))
    def limit_validity(self, choice, days):
        _, held, document = self.pick(choice)
        services.update_document(actor=self.boss, document=document, valid_from=days[0], valid_until=days[1])
        held.speaks = days in ((None, None), (PAST, FUTURE))

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

    @rule(collection=collections)
    def end_collection_and_make_another_of_that_name(self, collection):
        if any(held.collection == collection for held in self.oracle.documents.values()):
            with pytest.raises(Conflict):
                services.delete_collection(actor=self.boss, collection=self.shelves[collection])
            return
        services.delete_collection(actor=self.boss, collection=self.shelves[collection])
        self.shelves[collection] = services.create_collection(actor=self.boss, slug=collection)
        self.oracle.grants[collection] = set()

    @rule(collection=collections, principal=principals)
    def grant(self, collection, principal):
        services.grant_collection(
            actor=self.boss, collection=self.shelves[collection], principal=principal, access="reader"
        )
        self.oracle.grants[collection].add(principal)

    @precondition(lambda self: any(self.oracle.grants.values()))
    @rule(choice=anything)
    def revoke(self, choice):
        granted = [slug for slug, named in self.oracle.grants.items() if named]
        collection = granted[choice % len(granted)]
        grants = services.collection_grants(actor=self.boss, collection=self.shelves[collection])
        grant = grants[choice % len(grants)]
        self.oracle.grants[collection].remove(grant.principal)
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
        belongs = person in self.oracle.teams[team]
        (accounts.remove_member if belongs else accounts.add_member)(
            actor=self.boss, team=self.teams[team], user=self.users[person]
        )
        (self.oracle.teams[team].discard if belongs else self.oracle.teams[team].add)(person)

    @rule(person=people)
    def disable_or_enable(self, person):
        active = self.oracle.active[person] = not self.oracle.active[person]
        (accounts.enable_user if active else accounts.disable_user)(actor=self.boss, user=self.users[person])
        self.users[person].refresh_from_db()

    @rule(team=st.sampled_from(TEAMS))
    def team_ends_and_another_of_that_name_begins(self, team):
        """No service does this, but rows of teams can be removed; grants go with them."""
        self.teams[team].delete()
        self.teams[team] = Team.objects.create(slug=team, name=team)
        self.oracle.teams[team] = set()
        for principals_ in self.oracle.grants.values():
            principals_.discard(f"team:{team}")
        for held in self.oracle.documents.values():
            if held.restricted is not None:
                held.restricted = held.restricted - {f"team:{team}"}

    @rule(choice=anything)
    def worker_restarts(self, choice):
        """Without a snapshot, with the last one saved, or with one that was cut or has one bit flipped."""
        replica = self.searcher._replica
        if choice % 4 == 1:
            replica.catch_up()
            replica.save()
        elif choice % 4 > 1 and replica._snapshot_path.exists():
            data = bytearray(replica._snapshot_path.read_bytes())
            at = choice % len(data)
            if choice % 4 == 2:
                data = data[:at]
            else:
                data[at] ^= 1 << choice % 8
            replica._snapshot_path.write_bytes(data)
        self.searcher = new_searcher(self.path, self.embedder)

    @precondition(lambda self: self.oracle.documents)
    @rule()
    def another_embedding_model(self):
        """An upgrade: the worker here starts with it, the one elsewhere goes on with what it has."""
        generation = int(self.embedder.model_id.partition("@")[2])
        self.embedder = HashingEmbedder(1 + generation % 3)
        self.searcher = new_searcher(self.path, self.embedder)

    @precondition(lambda self: self.oracle.documents)
    @rule(at_once=st.integers(1, 4))
    def embed_anew(self, at_once):
        """A round of what is done in the background; it goes on in the next one."""
        if all(held.model == self.embedder.model_id for held in self.oracle.documents.values()):
            self.another_embedding_model()
            self.everybody_finds_what_they_may_read(self.searcher)
        model = self.embedder.model_id
        stale = {held.key: held for held in self.oracle.documents.values() if held.model != model}
        with (
            mock.patch("assistant.engines.embedder", return_value=self.embedder),
            mock.patch.object(tending, "RENEWED_AT_ONCE", at_once),
        ):
            assert tending.renew() == min(at_once, len(stale))
        done = DocumentVersion.objects.filter(current_of__in=stale, embedding_model=model)
        for key in done.values_list("document", flat=True):
            stale[key].model = model

    @precondition(lambda self: self.oracle.documents)
    @rule()
    def events_are_pruned(self):
        """All but the last: a worker that has not seen them must notice."""
        with mock.patch.object(index_events, "KEEP", 1):
            index_events.prune()

    @rule(choice=anything)
    def the_worker_elsewhere_searches_or_restarts(self, choice):
        if choice % 3 == 1:
            self.away._replica.catch_up()
            self.away._replica.save()
        if choice % 3:
            self.away = new_searcher(self.elsewhere, self.embedder)
        self.everybody_finds_what_they_may_read(self.away)

    @invariant()
    def everybody_finds_exactly_what_they_may_read(self):
        self.everybody_finds_what_they_may_read(self.searcher)

    def everybody_finds_what_they_may_read(self, searcher):
        for email, user in self.users.items():
            readable = self.oracle.readable(email)
            report = searcher.search(user=user, text="notice for everybody", limit=100, per_document=3)
            found = {
                (item.chunk.document_id, item.chunk.text, item.chunk.document.title, item.dense > 0)
                for item in report.passages
            }
            model = searcher._replica.model_id
            expected = {(h.key, h.text, h.title, h.model == model) for h in readable if h.speaks}
            assert found == expected, (email, found ^ expected)
            assert len(report.passages) == len(expected)
            assert report.searched_chunks == len(readable)

    @invariant()
    def the_house_is_in_order(self):
        seqs = list(IndexEvent.objects.values_list("seq", flat=True))
        assert seqs == list(range(seqs[0], seqs[0] + len(seqs))) if seqs else not self.last_seq
        assert self.last_seq <= index_events.last_seq()
        self.last_seq = index_events.last_seq()
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


@pytest.mark.timeout(900)
def test_random_companies_agree_with_the_oracle():
    run(steps=20, examples=12)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_ten_thousand_steps_agree_with_the_oracle():
    run(steps=100, examples=int(os.environ.get("WORLD_EXAMPLES", "100")))
