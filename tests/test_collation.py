"""Names in the order in which people look for them, whatever the database."""

from __future__ import annotations

import pytest

from assistant import collation


@pytest.mark.parametrize(
    "names",
    [
        ["Handbook", "HR", "hr archive", "IT"],
        ["Olbrich", "Öllager", "Olymp", "Zebra"],
        ["Part 2", "Part 10", "Part 10b", "Part 011"],
        ["Annex", "Board", "董事会", "人事", "手册", "研发"],  # by pinyin: dǒng, rén, shǒu, yán
        ["", "2", "10", "A", "a"],
        ["Ⅳ", "x" * 400],
        ["9" * 5000, "1" + "0" * 5000],
    ],
)
def test_names_stand_where_people_look_for_them(names):
    assert collation.ordered(reversed(names)) == names


def test_what_is_alike_keeps_one_order_and_names_are_taken_from_things():
    assert collation.ordered(["Émile", "Emile", "emile"]) == collation.ordered(["emile", "Émile", "Emile"])
    assert collation.ordered([(1, "b"), (2, "A")], lambda pair: pair[1]) == [(2, "A"), (1, "b")]
    assert collation.ordered([3, None]) == [3, None]  # whatever has no name is called by what it prints
