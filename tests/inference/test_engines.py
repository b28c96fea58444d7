import pytest

from inference.config import GenerationOptions
from inference.engines.base import (
    Assessment,
    Delta,
    Engine,
    Evidence,
    Finish,
    GenerationRequest,
    Passage,
    collect,
)
from inference.engines.extractive import ExtractiveEngine

LEAVE = Passage("a", "Heading\nStaff get 28 days of\nleave. Ask HR.", sentences=((0, 7), (8, 35), (36, 43)))
OTHER = Passage("b", "每年有十天病假。其他情况请联系人事部。", sentences=((0, 8), (8, 19)))


def never() -> bool:
    return False


def test_quotes_word_for_word_with_markers_counted_from_one():
    request = GenerationRequest(
        "How much leave?", (LEAVE, OTHER), evidence=(Evidence(1, 0, 8, 0.8), Evidence(0, 8, 35, 0.1))
    )
    text, thinking, finish = collect(ExtractiveEngine().stream(request, cancelled=never))
    assert text == "每年有十天病假。 [2] Staff get 28 days of\nleave. [1]"
    assert thinking == ""
    assert finish == Finish("stop", completion_tokens=2)


def test_three_quotations_at_most():
    evidence = tuple(Evidence(0, 8, 35, 0.2) for _ in range(5))
    deltas = list(ExtractiveEngine().stream(GenerationRequest("q", (LEAVE,), evidence=evidence), cancelled=never))
    assert sum(isinstance(item, Delta) for item in deltas) == 3


def test_asks_its_scorer_when_a_request_brings_no_evidence():
    class First:
        def assess(self, question, passages):
            return Assessment(0.9, (Evidence(0, 36, 43, 0.9),))

    request = GenerationRequest("Who helps?", (LEAVE,))
    assert collect(ExtractiveEngine(First()).stream(request, cancelled=never))[0] == "Ask HR. [1]"
    assert collect(ExtractiveEngine().stream(request, cancelled=never))[0] == ""


def test_stops_between_quotations_when_cancelled():
    answers = iter([False, True])
    request = GenerationRequest("q", (LEAVE,), evidence=(Evidence(0, 8, 35, 0.9), Evidence(0, 36, 43, 0.5)))
    text, _, finish = collect(ExtractiveEngine().stream(request, cancelled=lambda: next(answers)))
    assert (text, finish.reason) == ("Staff get 28 days of\nleave. [1]", "cancelled")


def test_a_passed_deadline_ends_the_answer():
    request = GenerationRequest(
        "q", (LEAVE,), evidence=(Evidence(0, 8, 35, 0.9),), options=GenerationOptions(deadline_s=1e-9)
    )
    assert list(ExtractiveEngine().stream(request, cancelled=never)) == [Finish("deadline")]


def test_it_is_an_engine_and_closing_twice_is_harmless():
    engine = ExtractiveEngine()
    assert isinstance(engine, Engine)
    engine.close()
    engine.close()


@pytest.mark.parametrize("bad", [Evidence(1, 0, 3, 0.5), Evidence(0, 5, 5, 0.5), Evidence(0, 0, 999, 0.5)])
def test_evidence_outside_the_passages_is_refused(bad):
    with pytest.raises(ValueError, match="evidence"):
        GenerationRequest("q", (LEAVE,), evidence=(bad,))


def test_sentences_outside_a_passage_are_refused():
    with pytest.raises(ValueError, match="outside"):
        Passage("x", "short", sentences=((0, 9),))
