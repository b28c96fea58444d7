"""What was asked of the reader stands in its card beside what is reached, misses included."""

import re
from importlib.resources import files

from inference.training.bars import BARS, section

NUMBERS = (
    "passage_questions", "passage_first", "passage_two", "passage_wrong_at_80",
    "search_questions", "search_first", "search_two", "search_wrong_at_80", "auc_near", "auc_adversarial",
)  # fmt: skip


def test_the_card_holds_the_section_of_its_own_numbers():
    card = files("inference.reading").joinpath("CARD.md").read_text("utf-8")
    results = {}
    for line in card.partition("## What was asked")[0].splitlines():
        name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        if len(cells) == len(NUMBERS) and re.fullmatch(r"\d+", cells[0]):
            pairs = zip(NUMBERS, cells, strict=True)
            results[name] = {key: float(value) for key, value in pairs if value != "–"}
    assert len(results) == 7
    assert "\n".join(section(results)) in card


def test_a_number_meets_its_bar_to_the_digit_and_chinese_has_its_own():
    first, _, wrong, auc = BARS
    assert first.met("squad2_devhalf", 0.90)
    assert not first.met("squad2_devhalf", 0.899)
    assert first.met("drcd_dev", 0.899)
    assert wrong.met("squad2_devhalf", 0.10)
    assert not wrong.met("squad2_devhalf", 0.101)
    assert auc.met("drcd_dev", 0.1)  # no bar was set


def test_misses_are_bold_counted_and_named():
    english = {"passage_first": 0.95, "search_first": 0.5, "auc_near": 0.86}
    lines = section({"one": english, "two": {**english, "passage_first": 0.7}, "drcd_dev": {"passage_first": 0.81}})
    assert "| one | 0.95 | **0.5** | – | – | – | – | 0.86 | – |" in lines
    assert "| answer in the first quotation, passage | 1 of 2; not two | 1 of 1 |" in lines
    assert "| answer in the first quotation, search | 0 of 2 | – |" in lines
