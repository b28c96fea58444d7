"""Headings and questions in a text are not quoted: what is said below them is."""

import numpy as np
import pytest

from inference import evidence
from inference.engines.base import Passage
from inference.evidence import EvidenceScorer
from inference.reading.features import candidates
from inference.reading.leading import handed_down, leading
from retrieval.text import sentences


def cut(text):
    return Passage("1", text, sentences=tuple(sentences(text)))


def led(text):
    passages = [cut(text)]
    found = candidates(passages)
    return [item.text for item, leads in zip(found, leading(passages, found), strict=True) if leads]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("6.1 Sick notes\nHand in the note on the third day. It may be a picture.", ["6.1 Sick notes"]),
        ("6 Absence\n6.1 Sick notes\nHand in the note on the third day.", ["6 Absence\n6.1 Sick notes"]),
        ("4.2 Lifts\nLifts are closed at night.\n4.3 Stairs\nStairs are lit.", ["4.2 Lifts", "4.3 Stairs"]),
        ("Bicycle shed\nThe shed is behind hall 4.", ["Bicycle shed"]),
        ("Section 3 Notice periods\nNotice is one month.", ["Section 3 Notice periods"]),
        ("第二章 考勤\n迟到三次扣半天工资。", ["第二章 考勤"]),
        ("三、班车\n班车每天早上七点从地铁站出发。", ["三、班车"]),
        ("Lockers\nWho gives me a key?\nThe caretaker gives you one.", ["Lockers", "Who gives me a key?"]),
        ("Is there a gym?\nYes, below the canteen.", ["Is there a gym?"]),
    ],
)
def test_a_line_above_what_is_said_leads_to_it(text, lines):
    assert led(text) == lines


@pytest.mark.parametrize(
    "text",
    [
        "Price: 30 EUR\nThe price holds for a year.",
        "Late shift | 10 %\nNight shift | 30 %\nPaid with the salary.",
        "• helmet\n• gloves\nThey are lent at the gate.",
        "1. Open the portal\n2. Choose the form\n3. Send it.",
        "Bring:\nyour passport\nThen go to the gate.",
        "30 days of rest\nThey are paid.",
        "Open until 22:00\nThe guard closes the door.",
        "The office is in Lyon. It has two floors.",
        "Who was he? He was the founder.",
        "Opening hours",
        "Opening hours\nWhere is the key?",
        "1.5 hours a day\nThe rest is free.",
    ],
)
def test_what_says_something_itself_is_no_heading(text):
    assert led(text) == []


def test_a_line_leads_only_within_its_passage():
    passages = [cut("Bicycle shed"), cut("The shed is behind hall 4.")]
    assert leading(passages, candidates(passages)) == [False, False]


def test_the_chance_of_all_lines_above_goes_down_to_the_sentence_and_none_is_lost():
    passages = [cut("Lockers\nWho gives me a key?\nThe caretaker gives you one. Bring it back.")]
    found = candidates(passages)
    logits = np.log(np.asarray([0.3, 0.4, 0.1, 0.2]))
    chances = np.exp(handed_down(passages, found, logits))
    assert chances[:2].max() < 1e-4
    assert chances[2:].tolist() == pytest.approx([0.8, 0.2])
    assert logits[0] == np.log(0.3)


def test_nothing_moves_where_nothing_leads():
    passages = [cut("The office is in Lyon. It has two floors.")]
    logits = np.asarray([1.0, -1.0])
    assert handed_down(passages, candidates(passages), logits).tolist() == [1.0, -1.0]


@pytest.mark.parametrize("question", ["bicycle repairs", "Can I have my bicycle repaired?", "自行车维修"])
@pytest.mark.parametrize("trained", [True, False])
def test_the_sentence_below_a_heading_is_quoted(embed, encoder_path, question, trained):
    passages = [
        cut("3.4 Bicycle repairs\nA mechanic comes to hall 4 on the first Monday. Tyres are changed while you wait."),
        cut("四、自行车维修\n每月第一个周一有师傅到四号楼。补胎当场完成。"),
        cut("3.5 Lockers\nKeys are given out by the caretaker."),
    ]
    scorer = EvidenceScorer(embed, encoder=encoder_path if trained else None)
    quoted = [
        passages[item.passage].text[item.char_start : item.char_end]
        for item in scorer.assess(question, passages).evidence
    ]
    first = (
        "每月第一个周一有师傅到四号楼。"
        if question == "自行车维修"
        else "A mechanic comes to hall 4 on the first Monday."
    )
    assert quoted[0] == first
    assert not {"3.4 Bicycle repairs", "四、自行车维修", "3.5 Lockers"} & set(quoted)


@pytest.mark.parametrize("question", ["Can I have my bicycle repaired?", "自行车维修", "What does the chairman earn?"])
def test_whether_there_is_an_answer_is_told_without_it(embed, encoder_path, question, monkeypatch):
    passages = [
        cut("3.4 Bicycle repairs\nA mechanic comes to hall 4 on the first Monday. Tyres are changed while you wait."),
        cut("四、自行车维修\n每月第一个周一有师傅到四号楼。补胎当场完成。"),
    ]
    scorer = EvidenceScorer(embed, encoder=encoder_path)
    chance = scorer.assess(question, passages).answerable
    monkeypatch.setattr(evidence, "handed_down", lambda passages, sentences, logits: logits)
    assert scorer.assess(question, passages).answerable == chance
