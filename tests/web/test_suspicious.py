"""A passage that reads like an instruction to the assistant says so wherever it is shown, on pages and over REST."""

from __future__ import annotations

import pytest

from assistant.chat.models import Citation
from assistant.documents.models import Chunk
from assistant.guardrails import levels

PAGE = "It was not followed; check it before you rely on it."
SOURCE = "reads like an instruction to the assistant"
ANSWER = "One of the sources holds text that reads like an instruction to the assistant."


@pytest.fixture
def passage(answered) -> Chunk:
    """The one that the answer quotes."""
    citation = Citation.objects.get(answer=answered)
    chunk, _ = Chunk.objects.get_or_create(
        document=citation.document,
        version=citation.version,
        page=citation.page,
        defaults={"ordinal": 0, "char_start": 0, "char_end": 10, "text": "A passage.", "embedding": b"\0\0"},
    )
    Citation.objects.filter(answer=answered).update(chunk=chunk)
    return chunk


@pytest.mark.parametrize(
    ("score", "told"),
    [(0.0, False), (levels.THRESHOLD_BANNER - 0.01, False), (levels.THRESHOLD_BANNER, True), (0.95, True)],
)
def test_a_flagged_passage_carries_its_banner_everywhere(as_person, people, answered, passage, score, told):
    Chunk.objects.filter(pk=passage.pk).update(suspicion=score)
    client = as_person(people.employee)
    citation = Citation.objects.get(answer=answered)
    page = f"/documents/{citation.document_id}/pages/{citation.page}/"
    assert (PAGE in client.get(page).content.decode()) is told
    shown = client.get(f"/conversations/{answered.conversation_id}/").content.decode()
    assert ((ANSWER in shown), (SOURCE in shown.replace(ANSWER, ""))) == (told, told)
    answer = client.get(f"/api/v1/answers/{answered.pk}/").json()
    assert [item["suspicious"] for item in answer["citations"]] == [told]
    assert client.get(f"/api/v1{page}").json()["suspicious"] is told


def test_a_banner_is_of_its_own_page_only(as_person, people, answered, passage):
    Chunk.objects.filter(pk=passage.pk).update(suspicion=0.95, page=passage.page + 1)
    client = as_person(people.employee)
    citation = Citation.objects.get(answer=answered)
    assert PAGE not in client.get(f"/documents/{citation.document_id}/pages/{citation.page}/").content.decode()
