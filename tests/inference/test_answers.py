"""Measures of answers, by hand-counted examples."""

import pytest

from inference.evaluation.answers import Marks, groundedness, judge, mean


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
