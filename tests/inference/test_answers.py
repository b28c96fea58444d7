"""Measures of answers, by hand-counted examples."""

import pytest

from inference.evaluation.answers import Marks, bleu, groundedness, judge, mean


@pytest.mark.parametrize(
    ("said", "expected", "marks"),
    [
        ("The 28 euros [1].", ["28 euros"], (1, 1, 1)),
        ("28 euros per day", ["28 euros"], (0, 4 / 6, 4 / 6)),
        ("euros 28", ["28 euros"], (0, 1, 0.5)),
        ("nothing of it", ["28 euros", "Nothing"], (0, 0.5, 0.5)),
        ("每天三百元", ["三百元"], (0, 6 / 8, 6 / 8)),
        ("", [], (1, 1, 1)),
        ("ten", [], (0, 0, 0)),
        ("", ["ten"], (0, 0, 0)),
    ],
)
def test_marks(said, expected, marks):
    found = judge(said, expected)
    assert (found.exact, found.f1, found.rouge_l) == pytest.approx(marks)


def test_means_and_groundedness():
    assert mean([Marks(1, 1, 1), Marks(0, 0.5, 0)]) == Marks(0.5, 0.75, 0.5)
    with pytest.raises(ValueError, match="no answers"):
        mean([])
    assert groundedness("Trips need approval [1].", ["All trips need the approval of a manager."]) == 1.0
    assert groundedness("Trips need luck", ["All trips need approval."]) == pytest.approx(2 / 3)
    assert groundedness("no no no", ["no"]) == pytest.approx(1 / 3)
    assert groundedness("", []) == 1.0


def test_bleu_is_one_for_the_expected_words_and_knows_chinese():
    assert bleu("The meal allowance is 28 euros [1].", ["The meal allowance is 28 euros ."]) == pytest.approx(1.0)
    assert bleu("每天的餐费是三百元。", ["每天的餐费是三百元。"]) == pytest.approx(1.0)
    assert 0 < bleu("每天三百元。", ["每天的餐费是三百元。"]) < 1
    # by hand: unigrams 3/5, bigrams 1/4; of three and four in a row none stands, which is smoothed to 1/(2^k n)
    assert bleu("a b x y c", ["a b c d e"]) == pytest.approx((3 / 5 * 1 / 4 * 1 / 6 * 1 / 8) ** 0.25)
    assert bleu("", ["ten"]) == 0.0
    with pytest.raises(ValueError, match="expected"):
        bleu("ten", [])
