"""The quick ways of the features say what their definitions say, and the benchmark of reading tells its sides apart."""

import itertools
import random
import time

import numpy as np

from assistant.chat.answering import PASSAGES
from inference.reading.features import Query, _run, candidates
from inference.reading.window import AT_ONCE, load_tokenizer, pack
from inference.training.pools import FOUND
from tests.benchmarks.reading import spread, timed


def _longest_shared(one, other):
    """The definition: the longest slice of one that stands in the other."""
    slices = [tuple(one[a:b]) for a, b in itertools.combinations(range(len(one) + 1), 2)]
    held = {tuple(other[a:b]) for a, b in itertools.combinations(range(len(other) + 1), 2)}
    return max((len(part) for part in slices if part in held), default=0)


def test_the_longest_run_of_shared_words_is_found():
    chance = random.Random(4)
    for _ in range(200):
        one, other = ([chance.choice("abc") for _ in range(chance.randrange(8))] for _ in range(2))
        assert _run(one, other) == _longest_shared(one, other), (one, other)


def test_a_word_counts_in_part_for_one_that_begins_alike_and_not_for_one_that_holds_it():
    query = Query.of("Where is the harbour?")
    (term, _), *_ = query.terms
    assert query.soft_coverage({term}) == 1.0
    assert query.soft_coverage({f"{term}master"}) == 0.7
    assert query.soft_coverage({f"old{term}", "quay"}) == 0.0
    assert query.soft_coverage(frozenset()) == 0.0


def test_a_number_of_the_question_does_not_count_for_a_longer_number():
    query = Query.of("1931?")
    assert query.soft_coverage({"19310"}) == 0.0
    assert query.soft_coverage({"1931"}) == 1.0


def test_the_benchmark_times_both_sides_of_every_question_and_their_difference():
    asked = []
    sides = {
        "with": lambda number: (asked.append(("with", number)), time.sleep(0.02)),
        "without": lambda number: asked.append(("without", number)),
    }
    found = timed(sides, questions=3, rounds=2)
    assert sorted(asked) == sorted([(side, number) for side in sides for number in range(3)] * 3)
    assert [len(found[side]) for side in ("with", "without", "added")] == [6, 6, 6]
    assert found["added"] == [a - b for a, b in zip(found["with"], found["without"], strict=True)]
    assert {side for side, _ in asked[::2]} == {"with", "without"}  # each begins in its turn


def test_half_of_the_times_lie_below_the_first_number_and_most_below_the_second():
    assert spread([float(value) for value in range(101)]) == {"p50": 50.0, "p95": 95.0}


def test_the_benchmark_reads_as_many_passages_as_the_product():
    assert FOUND == PASSAGES


def test_many_short_sentences_are_read_as_long_as_there_is_room(encoder_path, passage):
    tokenizer = load_tokenizer((encoder_path / "tokenizer.json").read_text("utf-8"))
    passages = [passage(" ".join(f"Berth {number} is free." for number in range(50)))]
    query, sentences = Query.of("Which berth is free?"), candidates(passages)
    assert len(sentences) == 50
    scores = np.arange(50.0)
    assert pack(query, passages, sentences, scores, tokenizer, 500).sentences == list(range(50))
    few = pack(query, passages, sentences, scores, tokenizer, 200).sentences
    assert few == list(range(50 - len(few), 50))
    assert AT_ONCE < len(few) < 50
