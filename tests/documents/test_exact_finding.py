"""Dates, part numbers, names and exact phrases find their own passage first among near-duplicates, with no reranker.

They differ in a word. Passages of the very same words in another order are not told apart by words and one vector.
"""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.django_db(transaction=True)

DATES = [f"The boiler was inspected on 2024-05-{day} and passed without a finding." for day in (11, 12, 13, 21)]
PARTS = [f"Gasket {part} seals the flange of the feed pump." for part in ("AB-1234", "AB-1243", "AB-1235", "BA-1234")]
NAMES = [
    f"{name} approves travel of the sales team." for name in ("Ilse Brandt", "Ilse Brandl", "Ulf Brandt", "Ilse Kern")
]
PHRASES = [
    "Payment is due net thirty days after delivery.",
    "Payment is due net thirty days after acceptance.",
    "Payment is due net sixty days after delivery.",
    "Payment is due ten days before delivery.",
]


@pytest.mark.parametrize(
    ("passages", "questions"),
    [
        (DATES, ["What was inspected on 2024-05-11?", "boiler inspection 2024-05-12", "2024-05-13", "2024-05-21"]),
        (PARTS, ["What does gasket AB-1234 seal?", "gasket AB-1243", "AB-1235", "Where is BA-1234 used?"]),
        (
            NAMES,
            ["What does Ilse Brandt approve?", "Ilse Brandl travel", "Ulf Brandt", "Does Ilse Kern approve travel?"],
        ),
    ],
    ids=["dates", "part numbers", "names"],
)
def test_what_is_named_exactly_comes_first(world, searcher, passages, questions):
    for number, text in enumerate(passages):
        world.ready(world.handbook, f"note{number}.txt", text.encode())
    for question, passage in zip(questions, passages, strict=True):
        found = searcher.search(user=world.people.employee, text=question).passages
        assert found[0].chunk.text == passage, question


def test_an_exact_phrase_comes_first(world, searcher):
    for number, text in enumerate(PHRASES):
        world.ready(world.handbook, f"term{number}.txt", text.encode())
    for phrase in (
        "net thirty days after delivery",
        "net thirty days after acceptance",
        "net sixty days after delivery",
        "ten days before delivery",
    ):
        found = searcher.search(user=world.people.employee, text=phrase).passages
        assert phrase in found[0].chunk.text, phrase
