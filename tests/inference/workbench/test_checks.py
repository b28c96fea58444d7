"""What the data checks and the monitors say, and when they say nothing."""

import json
import random

import pytest

from inference.errors import WorkbenchError
from inference.runs import card, checks, documents, models, monitors, plots
from inference.runs.data import IGNORED, Answers, Item, read, split

from .conftest import sentences

WORDS = [
    a + b for a in ("pump", "val", "rot", "shi", "bol", "mar") for b in ("er", "ing", "ok", "an", "ul", "ed", "ist")
]


def said(training, held_out, tokenizer, **more):
    return {
        item.check: item for item in checks.check(training, held_out, tokenizer, more.pop("context", 200), **more)[0]
    }


def prose(count, seed):
    chance = random.Random(seed)
    return [Item(f"{seed}{n}", " ".join(chance.choice(WORDS) for _ in range(60))) for n in range(count)]


def test_clean_data_is_passed(tokenizer):
    assert said(prose(30, 1), prose(10, 2), tokenizer) == {}


def test_leakage_stops_and_duplicates_are_counted(tokenizer):
    training = prose(30, 1)
    found = said([*training, training[0]], [*prose(6, 2), *training[:4]], tokenizer)
    assert found["leakage"].level == "stop"
    assert "40.0%" in found["leakage"].words
    assert "duplicates" in found
    half = Item("half", training[0].text + " " + prose(1, 9)[0].text[:60])
    assert "leakage" in said(training, [half], tokenizer)


def test_long_items_one_answer_and_another_domain_are_noticed(tokenizer):
    same = [Item(str(n), "yes", prompt=f"{text.text} number {n}?") for n, text in enumerate(prose(40, 1))]
    found = said(same, prose(5, 2), tokenizer, context=50)
    assert found["length"].level == "warn"
    assert "100%" in found["label entropy"].words
    chinese = [Item(str(n), "水泵每两千小时保养一次。差旅补贴为每天三百元。" * 3) for n in range(5)]
    assert "domain match" in said(prose(30, 1), prose(5, 2), tokenizer, domain=chinese)
    assert "domain match" not in said(prose(30, 1), prose(5, 2), tokenizer, domain=prose(20, 3))


def rows(**columns):
    return [
        {"step": n + 1, "loss": 3 - n * 0.1, "norm": 0.5, **{k: v[n] for k, v in columns.items()}} for n in range(12)
    ]


def test_monitors_say_nothing_of_a_good_run_and_name_what_is_wrong():
    good = rows(teacher_entropy=[2.0] * 12, student_entropy=[2.4] * 12, soft=[1 - n * 0.05 for n in range(12)])
    assert monitors.explain(good, clip=1.0, vocabulary=8000) == []

    def words(**columns):
        return " ".join(monitors.explain(rows(**columns), clip=1.0, vocabulary=8000))

    assert "clipped" in words(norm=[5.0] * 12)
    assert "twenty times" in words(norm=[0.5] * 10 + [50.0, 0.5])
    assert "vanished" in words(norm=[1e-7] * 12)
    assert "infinite" in words(norm=[0.5] * 11 + [float("inf")])
    assert "hardly moved" in words(loss=[3.0] * 12)
    assert "not a number" in words(loss=[float("nan")] * 12)
    assert "almost certain" in words(teacher_entropy=[0.01] * 12, student_entropy=[0.02] * 12)
    assert "next to nothing" in words(teacher_entropy=[8.9] * 12, student_entropy=[8.9] * 12)
    assert "surer" in words(teacher_entropy=[2.0] * 12, student_entropy=[0.5] * 12)
    assert "less sure" in words(teacher_entropy=[1.0] * 12, student_entropy=[3.0] * 12)
    assert "has not shrunk" in words(soft=[1.0] * 12, teacher_entropy=[2.0] * 12, student_entropy=[2.0] * 12)
    judged = [{"step": n, "held_out": value} for n, value in enumerate((3.0, 2.0, 2.5, 2.9))]
    assert "best was at step 1" in " ".join(monitors.explain([*rows(), *judged], clip=1.0))


def test_only_answers_are_learned_and_long_prompts_lose_their_beginning(tokenizer):
    items = [Item("a", "ten days [1].", prompt="Question: how long? " * 20), Item("b", "x" * 400, prompt="Why?")]
    found = Answers(items, tokenizer, 40)
    assert (len(found), found.left_out, found.cut) == (1, 1, 1)
    batch = found.batch([0])
    learned = batch["input_ids"][batch["labels"] != IGNORED].tolist()
    assert tokenizer.decode(learned) == "ten days [1]." + tokenizer.eos_token


def test_splits_keep_documents_whole_and_never_change():
    items = [Item(str(n), "t", group=f"doc{n // 5}") for n in range(200)]
    rest, held = split(items, 0.2)
    assert not {item.group for item in rest} & {item.group for item in held}
    assert 10 < len(held) < 80
    assert split(items, 0.2)[1] == held


def test_a_bad_line_is_named(tmp_path):
    path = tmp_path / "q.jsonl"
    path.write_text(json.dumps({"prompt": "p", "answer": "a"}) + "\n" + json.dumps({"question": "?"}) + "\n")
    with pytest.raises(WorkbenchError, match=r"q\.jsonl, line 2"):
        read([path])


def test_scores_by_document_add_up_and_the_interval_knows_noise(tokenizer, teacher, texts):
    items = sentences(12, 30)
    found = documents.scores(teacher, documents.Documents(items, tokenizer, 48), batch=5)
    assert found[:, 2].sum() == sum(
        len(tokenizer(item.text, add_special_tokens=False)["input_ids"])
        - -(-len(tokenizer(item.text, add_special_tokens=False)["input_ids"]) // 48)
        for item in items
    )
    assert abs(documents.loss(found) - models.quality(teacher, texts[2])["loss"]) < 0.4
    better = found.copy()
    better[:, 0] -= 0.1 * found[:, 2]
    told = documents.compared([found], [better], documents.loss)
    assert told.value == pytest.approx(0.1, abs=1e-6)
    assert told.low > 0.09
    nothing = documents.compared([found, better], [better, found], documents.loss)
    assert nothing.low <= 0 <= nothing.high


def test_cards_compare_numbers_not_times():
    first = {"loss": 2.0, "seconds": 3.0, "name": "a", "deep": {"x": 1}}
    assert card.compare(first, {**first, "loss": 2.001, "seconds": 9.0}, tolerance=0.01) == []
    assert card.compare(first, {**first, "loss": 2.1}, tolerance=0.01) == ["loss: 2.0 and 2.1"]
    assert card.compare(first, {"loss": 2.0, "name": "b", "deep": {"x": 1}}, tolerance=0.01) == ["name: 'a' and 'b'"]


def test_drawings_hold_no_style_script_or_foreign_text():
    drawn = plots.lines("a <b> & 'c'", {"<x>": [(0, 1), (1, 2), (2, float("nan"))]}, marks=[1])
    assert "<b>" not in drawn
    assert "<x>" not in drawn
    assert "style=" not in drawn
    assert "nan" not in drawn
    assert "–" in plots.lines("t", {"x": []})
