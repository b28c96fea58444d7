"""Dates, part numbers, names and exact phrases find their own passage first: among passages that differ in a word,
among passages of the very same words in another order, and in whichever form they are written."""

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


SAME_WORDS = [
    ("net thirty days after delivery", "Thirty days net: after delivery.", "Delivery after thirty net days."),
    ("the buyer pays the seller", "The seller pays the buyer.", "Pays the seller, the buyer?"),
    ("Ilse Brandt Kern", "Brandt, Ilse Kern", "Kern Ilse Brandt"),
    ("年假结转截止日期", "截止日期：结转年假", "日期截止，年假结转"),
    ("经理批准员工", "员工批准经理", "批准：经理，员工"),
]


def test_the_same_words_in_another_order_come_after(world, searcher):
    for number, text in enumerate(text for phrases in SAME_WORDS for text in phrases):
        world.ready(world.handbook, f"order{number}.txt", f"{text}\n".encode())
    for phrase in (phrase.rstrip(".?") for phrases in SAME_WORDS for phrase in phrases[:2]):
        for asked in (phrase, f'"{phrase}"', f"\u201c{phrase}\u201d", f'Who wrote "{phrase}"?'):
            found = searcher.search(user=world.people.employee, text=asked).passages
            assert phrase in found[0].chunk.text, asked
            scores = [item.score for item in found]
            assert scores == sorted(scores, reverse=True)


def test_a_quotation_within_a_question_is_found_among_many_that_speak_of_the_same(world, searcher):
    claim = "Warranty claims of the pump: a claim on the warranty of a pump is made in writing"
    for number in range(12):
        text = "\n\n".join(f"# Chapter {number}.{part}\n\n{claim} to office {number}." for part in range(3))
        world.ready(world.handbook, f"claims{number}.md", text.encode())
    world.ready(world.handbook, "odd.txt", b"Bolts are oiled. The pump of a claim in warranty is kept. Nuts are dry.")
    found = searcher.search(
        user=world.people.employee, text='Which rule says "the pump of a claim in warranty", and when is a claim made?'
    ).passages
    assert "Bolts are oiled" in found[0].chunk.text
    assert len({item.chunk.pk for item in found}) == len(found) == 10


def test_a_quotation_names_at_most_a_few_passages_of_one_document(world, searcher):
    long = "\n\n".join(f"# Part {number}\n\nThe red valve is closed by hand in part {number}." for number in range(12))
    world.ready(world.handbook, "long.md", long.encode())
    world.ready(world.handbook, "short.md", b"# Other\n\nSomebody said that the red valve is closed.")
    found = searcher.search(user=world.people.employee, text='"the red valve is closed"').passages
    assert ["in part" in item.chunk.text for item in found].count(True) == 3
    assert any("Somebody" in item.chunk.text for item in found)


FORMS = [  # as it is written, the same kind of thing beside it, and how it is asked for
    ("11 May 2024", ["12 May 2024", "5 November 2023"], ["2024-05-11", "May 11, 2024", "11.05.2024", "2024年5月11日"]),
    ("2023-08-21", ["2023-08-22", "2023-02-18"], ["21 August 2023", "on the 21st of August 2023", "21/08/2023"]),
    ("2022年3月7日", ["2022年3月8日", "2022年7月3日"], ["2022-03-07", "二〇二二年三月七日", "7 March 2022"]),
    ("AB-1234", ["AB-1243", "BA-1234"], ["AB 1234", "ab1234", "AB\u20111234"]),
    ("KX 5678", ["KX 5687", "XK 5678"], ["KX-5678", "kx5678"]),
    ("QR9012", ["QR9021", "RQ9012"], ["QR-9012", "QR 9012"]),
]


def test_another_written_form_finds_the_same(world, searcher):
    for number, text in enumerate(text for written, others, _ in FORMS for text in (*others, written)):
        world.ready(world.handbook, f"form{number}.txt", f"Entry {text}: the seal was exchanged and tested.".encode())
    for written, _, asked in FORMS:
        for question in (*asked, *(f"What happened to the seal, {form}?" for form in asked)):
            found = searcher.search(user=world.people.employee, text=question).passages
            assert written in found[0].chunk.text, question
