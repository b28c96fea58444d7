"""After an upgrade brought another embedding model: searches go on, and every document changes over as a whole."""

from __future__ import annotations

import io
import threading

import pytest
from django.db import connection

from assistant.documents import ingestion, services, tasks, tending
from assistant.documents.models import Chunk, DocumentVersion, IndexEvent
from tests.documents.hashing import HashingEmbedder, new_searcher
from tests.documents.test_personal import CARD, FILE, treat

pytestmark = pytest.mark.django_db(transaction=True)

QUERY = "employees engineers customers"


@pytest.fixture
def newer(library, monkeypatch) -> HashingEmbedder:
    """The embedding model from now on; what the library holds was embedded by the one before."""
    embedder = HashingEmbedder(2)
    monkeypatch.setattr("assistant.engines.embedder", lambda: embedder)
    return embedder


def told(searcher, user, query: str = QUERY) -> dict[str, bool]:
    """What is found, and whether by its vector too."""
    return {item.chunk.document.title: item.dense > 0 for item in searcher.search(user=user, text=query).passages}


def test_words_find_what_waits_and_vectors_when_it_was_embedded_anew(world, library, newer, tmp_path):
    employee, searcher = world.people.employee, new_searcher(tmp_path, newer)
    assert told(searcher, employee) == {"Travel policy": False, "Salary bands": False}
    before = {chunk.pk: bytes(chunk.embedding) for chunk in Chunk.objects.all()}
    tasks.tend()
    assert told(searcher, employee) == {"Travel policy": True, "Salary bands": True}
    assert all(len(bytes(chunk.embedding)) == 2 * newer.dimension for chunk in Chunk.objects.filter(pk__in=before))
    assert set(DocumentVersion.objects.values_list("embedding_model", flat=True)) == {newer.model_id}
    events = IndexEvent.objects.count()
    assert tending.renew() == 0
    assert IndexEvent.objects.count() == events  # nothing is done twice


def test_a_worker_that_still_has_the_older_model_finds_by_words_what_was_embedded_anew(world, library, newer, searcher):
    employee = world.people.employee
    assert told(searcher, employee) == {"Travel policy": True, "Salary bands": True}
    tending.renew()
    assert told(searcher, employee) == {"Travel policy": False, "Salary bands": False}


def test_searches_meanwhile_miss_nothing(world, newer, tmp_path, monkeypatch):
    monkeypatch.setattr(tending, "RENEWED_AT_ONCE", 1)
    for number in range(6):
        world.ready(world.handbook, f"notice-{number}.txt", f"Notice {number} for employees and customers.".encode())
    DocumentVersion.objects.update(embedding_model="other@1")
    searcher = new_searcher(tmp_path, newer)
    expected = set(told(searcher, world.people.employee))
    assert len(expected) == 8
    failed: list[BaseException] = []

    def renew() -> None:
        try:
            while tending.renew():
                pass
        except BaseException as error:
            failed.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=renew)
    thread.start()
    while thread.is_alive():
        assert set(told(searcher, world.people.employee)) == expected
    thread.join(60)
    assert not failed
    assert told(searcher, world.people.employee) == dict.fromkeys(expected, True)


@pytest.mark.parametrize("change", ["replaced", "deleted"])
def test_vectors_of_what_was_replaced_or_deleted_meanwhile_are_dropped(world, library, newer, monkeypatch, change):
    policy, boss = library["policy"], world.people.administrator
    embed = newer.embed

    def meanwhile(texts):
        vectors = embed(texts)
        monkeypatch.setattr(newer, "embed", embed)
        if change == "deleted":
            services.delete(actor=boss, document=policy)
        else:
            file = io.BytesIO(b"# Travel policy\n\nEmployees may book nothing at all.\n")
            version, _ = services.replace(actor=boss, document=policy, file=file, filename="new.md")
            assert isinstance(ingestion.ingest(version.pk), ingestion.Ready)
        return vectors

    monkeypatch.setattr(newer, "embed", meanwhile)
    assert tending._renewed(policy.pk) == 0
    texts = [chunk.text for chunk in Chunk.objects.filter(document=policy)]
    assert not any("six hours" in text for text in texts)
    assert bool(texts) is (change == "replaced")


def test_values_of_a_guarded_collection_are_in_no_index_meanwhile(world, newer, tmp_path):
    world.ready(world.handbook, "refunds.md", FILE)
    treat(world, "mask")
    DocumentVersion.objects.update(embedding_model="other@1")
    searcher, employee = new_searcher(tmp_path, newer), world.people.employee

    def moved() -> list[tuple[float, float]]:
        found = searcher.search(user=employee, text=CARD).passages
        return [(item.dense, item.lexical) for item in found if "⟨CARD⟩" in item.passage.shown.text]

    assert all(score == (0, 0) for score in moved())
    tending.renew()
    assert all(score == (0, 0) for score in moved())  # embedded with its values: not taken
    tending.veil()
    found = searcher.search(user=employee, text="refunds of the Lisbon office").passages
    assert found[0].dense > 0
    assert "⟨CARD⟩" in found[0].passage.shown.text
