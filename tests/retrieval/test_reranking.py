"""The reranker lifts the passage with the answering sentence, and only reorders."""

import numpy as np
import pytest

from retrieval.reranking import CachingEmbedder, Candidate, Reranker

QUESTION = "How many days of parental leave may an employee take?"
FILLER = "The cafeteria opens at eight. Bicycles are parked behind the gate. The lift is inspected yearly."
ANSWER = "An employee may take 40 days of parental leave in one year."


class Counting:
    """An embedder that counts the texts it computes; vectors are made from the text alone."""

    model_id, dimension, max_tokens = "counting", 4, 254

    def __init__(self):
        self.computed = []

    def embed(self, texts):
        self.computed.extend(texts)
        return np.array([[len(text), 1.0, 0.0, 0.0] for text in texts], dtype=np.float32).reshape(-1, 4)

    def count_tokens(self, texts):
        return [len(text.split()) for text in texts]


def test_a_passage_with_the_answering_sentence_rises(embedder):
    candidates = [
        Candidate("Leave of absence. Leave is leave, and parental matters are matters of parents.", 0.5),
        Candidate(f"{FILLER} {ANSWER} {FILLER}", 0.49),
        Candidate(FILLER, 0.2),
    ]
    vector = embedder.embed([QUESTION])[0]
    assert Reranker(embedder).order(QUESTION, vector, candidates)[0] == 1


def test_an_exact_name_rises_in_chinese_where_the_model_cannot_read(embedder):
    question = "年假结转截止日期是哪天？"
    candidates = [
        Candidate("差旅费用须在返回后十日内报销。", 0.51),
        Candidate("未休年假可以结转。年假结转截止日期为次年三月三十一日。", 0.5),
        Candidate("办公室在三楼。", 0.1),
    ]
    vector = embedder.embed([question])[0]
    assert Reranker(embedder).order(question, vector, candidates)[0] == 1


def test_what_lies_behind_the_depth_stays_there():
    candidates = [Candidate(f"passage {i}", 1.0 / (i + 1)) for i in range(6)]
    order = Reranker(Counting(), depth=3).order("passage 5", np.ones(4), candidates)
    assert sorted(order[:3]) == [0, 1, 2]
    assert order[3:] == [3, 4, 5]


def test_no_candidates_and_empty_passages_are_no_fault():
    reranker = Reranker(Counting())
    assert reranker.order("anything", np.ones(4), []) == []
    assert sorted(reranker.order("", np.ones(4), [Candidate("", 0.0), Candidate("", 0.0)])) == [0, 1]


def test_a_sentence_is_embedded_once_until_forgotten():
    inner = Counting()
    cached = CachingEmbedder(inner, size=3)
    first = cached.embed(["a", "bb", "a"])
    assert inner.computed == ["a", "bb"]
    np.testing.assert_array_equal(cached.embed(["a", "bb", "a"]), first)
    assert inner.computed == ["a", "bb"]
    cached.embed(["c", "d"])  # pushes out the one used longest ago
    cached.embed(["bb"])
    assert inner.computed == ["a", "bb", "c", "d", "bb"]
    cached.clear()
    cached.embed(["d"])
    assert inner.computed[-1] == "d"
    assert cached.embed([]).shape == (0, 4)
    assert (cached.model_id, cached.dimension, cached.max_tokens) == ("counting", 4, 254)
    assert cached.count_tokens(["one two"]) == [2]


def test_the_order_of_equal_scores_is_the_order_given():
    same = [Candidate("the same passage", 0.5)] * 4
    assert Reranker(Counting()).order("same", np.ones(4), same) == [0, 1, 2, 3]
    assert Reranker(Counting()).scores("same", np.ones(4), same) == pytest.approx([0.0] * 4)
