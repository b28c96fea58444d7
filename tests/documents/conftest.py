"""A small company for this room's tests: real files, real parser, real embedding model, real index, real SQLite."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from django.conf import settings

from assistant import engines
from assistant.accounts.models import Membership, Team, User
from assistant.documents import ingestion, services, storage
from assistant.documents import replica as replicas
from assistant.documents.models import Collection, Document
from assistant.documents.search import Searcher
from tests.conftest import People

POLICY = b"# Travel policy\n\nEmployees may book business class on flights longer than six hours.\n"
SALARY = b"# Salary bands\n\nEngineers in band four earn between 70,000 and 90,000 euros a year.\n"
ROADMAP = b"# Roadmap\n\nThe Falcon turbine ships to customers in the third quarter.\n"


@pytest.fixture(scope="session")
def embedder():
    return engines.embedder()


@pytest.fixture(autouse=True)
def _clean_disk() -> Iterator[None]:
    """Each test of this room begins and ends with an empty disk, whatever other rooms left."""
    _empty_disk()
    yield
    _empty_disk()


def _empty_disk() -> None:
    for folder in (settings.UPLOADS_DIR, settings.CACHE_DIR / "pages", settings.CACHE_DIR / "index"):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def replica(embedder, tmp_path) -> replicas.DocumentReplica:
    return replicas.DocumentReplica(dimension=embedder.dimension, model_id=embedder.model_id, folder=tmp_path / "index")


@pytest.fixture
def searcher(embedder, replica) -> Searcher:
    return Searcher(embedder=embedder, replica=replica)


@dataclass(frozen=True)
class World:
    """Handbook is for everyone, Finance for the finance team (the employee is in it), Board for nobody."""

    people: People
    team: Team
    handbook: Collection
    finance: Collection
    board: Collection

    def upload(self, collection: Collection, name: str, content: bytes, *, actor: User | None = None) -> Document:
        who = actor or self.people.administrator
        assert isinstance(who, User)
        document, _ = services.upload(actor=who, collection=collection, file=io.BytesIO(content), filename=name)
        return document

    def ready(self, collection: Collection, name: str, content: bytes, *, actor: User | None = None) -> Document:
        """Uploaded and read."""
        document = self.upload(collection, name, content, actor=actor)
        outcome = ingestion.ingest(document.latest.pk)
        assert isinstance(outcome, ingestion.Ready), outcome
        document.refresh_from_db()
        return document


@pytest.fixture
def world(people) -> World:
    boss = people.administrator
    team = Team.objects.create(slug="finance", name="Finance")
    Membership.objects.create(team=team, user=people.employee)
    handbook, finance, board = (
        services.create_collection(actor=boss, slug=slug, name=slug.title())
        for slug in ("handbook", "finance", "board")
    )
    services.grant_collection(actor=boss, collection=handbook, principal="everyone", access="reader")
    services.grant_collection(actor=boss, collection=finance, principal="team:finance", access="reader")
    services.grant_collection(
        actor=boss, collection=handbook, principal=f"user:{people.curator.email}", access="curator"
    )
    return World(people, team, handbook, finance, board)


@pytest.fixture
def library(world) -> dict[str, Document]:
    """One document in each collection, read."""
    return {
        "policy": world.ready(world.handbook, "policy.md", POLICY),
        "salary": world.ready(world.finance, "salary.md", SALARY),
        "roadmap": world.ready(world.board, "roadmap.md", ROADMAP),
    }


def files_on_disk() -> list[str]:
    root = storage.path_of("")
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
