"""Search with a cross-encoder from disk: a real one, tiny, which likes one word; and what stays as it was."""

from __future__ import annotations

import pytest

from assistant import engines
from assistant.documents.models import Chunk
from assistant.documents.search import Searcher
from retrieval.cross_encoding import CrossEncoderReranker
from tests.retrieval.cross_encoder import build

pytestmark = pytest.mark.django_db(transaction=True)

PLAIN = "Warranty of the pump: the pump warranty lasts two years."
RATIFIED = "The board has ratified other rules on repairs of a pump."
SECRET = "The warranty of the secret pump was ratified."
QUESTION = "pump warranty"


@pytest.fixture(scope="module")
def reranker(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny-rater"
    return CrossEncoderReranker.load(build(folder, [PLAIN, RATIFIED, SECRET], likes="ratified"))


@pytest.fixture
def library(world):
    for collection, name, text in (
        (world.handbook, "plain.txt", PLAIN),
        (world.handbook, "ratified.txt", RATIFIED),
        (world.board, "secret.txt", SECRET),
    ):
        world.ready(collection, name, text.encode())


@pytest.fixture
def better(embedder, replica, reranker):
    return Searcher(embedder=embedder, replica=replica, reranker=reranker)


def texts(report) -> list[str]:
    return [item.chunk.text for item in report.passages]


def test_its_preference_decides_the_order_and_the_report_names_it(world, library, searcher, better, reranker):
    person = world.people.outsider
    before = searcher.search(user=person, text=QUESTION)
    after = better.search(user=person, text=QUESTION)
    assert texts(before) == [PLAIN, RATIFIED]
    assert texts(after) == [RATIFIED, PLAIN]
    assert [item.score for item in after.passages] == [item.score for item in before.passages]
    assert (before.reranker, after.reranker) == ("", reranker.model_id)
    assert "rerank" in after.timings
    assert "rerank" not in before.timings


def test_one_result_is_chosen_from_all_candidates(world, library, better):
    assert texts(better.search(user=world.people.outsider, text=QUESTION, limit=1)) == [RATIFIED]


def test_it_reads_only_what_the_person_may_read(world, library, embedder, replica, reranker):
    class Watched:
        model_id = reranker.model_id
        read: list[str] = []  # noqa: RUF012

        def scores(self, question, passages):
            self.read.extend(passages)
            return reranker.scores(question, passages)

    found = Searcher(embedder=embedder, replica=replica, reranker=Watched()).search(
        user=world.people.outsider, text=QUESTION
    )
    assert SECRET not in texts(found)
    assert len(Watched.read) == 2
    assert not any(SECRET in passage for passage in Watched.read)


def test_a_suspicious_passage_still_goes_down(world, library, better):
    person = world.people.outsider
    first = better.search(user=person, text=QUESTION).passages[0].chunk
    assert first.text == RATIFIED
    Chunk.objects.filter(pk=first.pk).update(suspicion=0.8)
    assert texts(better.search(user=person, text=QUESTION)) == [PLAIN, RATIFIED]


def test_few_passages_of_one_document_and_ties_in_their_order(world, better):
    text = "\n\n".join(f"# Part {n}\n\nThe pump has a warranty." for n in range(1, 30))
    world.ready(world.handbook, "long.md", text.encode())
    runs = [better.search(user=world.people.outsider, text=QUESTION, per_document=3) for _ in range(2)]
    assert len(runs[0].passages) == 3
    assert [item.chunk.pk for item in runs[0].passages] == [item.chunk.pk for item in runs[1].passages]


def test_the_setting_opens_it_and_a_wrong_folder_leaves_search_as_it_was(settings, tmp_path, caplog):
    assert engines.reranker() is None
    try:
        settings.RERANKER = str(build(tmp_path / "named", [PLAIN], likes="ratified"))
        opened = engines.reranker()
        assert opened is not None
        assert opened.model_id.startswith("named@")
        settings.RERANKER = str(tmp_path)
        assert engines.reranker() is None
        assert "has no config.json" in caplog.text
        assert "Bring a folder" in caplog.text
    finally:
        engines._load_reranker.cache_clear()
