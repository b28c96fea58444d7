"""The probability parts what is there, in other words, from what is not; the command that fits it works and resumes."""

import json
import shutil
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from inference.errors import ModelNotFound
from inference.evaluation.evidence import auc
from inference.evidence import EvidenceScorer
from inference.reading.calibration import Calibration
from inference.reading.network import FAR
from inference.reading.reader import Reader
from inference.training.pools import Reads, join
from inference.training.weighing import figures, fit, interval, main, measure, shares, weighed

HANDBOOK = (
    "Gifts. Keep relations with business partners clean. You may take a gift worth up to 60 crowns, once a year from "
    "each of them. Anything above goes back with a polite letter.",
    "Travel. Keep the tickets. Hand in what you paid for within four weeks of coming back. The money arrives with the "
    "next salary.",
    "Illness. Tell your manager before the shift begins. From the fourth day on a medical certificate is needed. The "
    "works doctor is in building 3.",
    "Recommending people. Whoever recommends somebody receives 900 crowns when the new colleague has passed the trial "
    "months.",
    "Leave. Up to three additional days a year can be bought. The price is a day's wage. Leave that is not used by the "
    "end of March is lost.",
    "Equipment. Notebooks are exchanged after four years. A lost phone is reported to the service desk within a day.",
)
HELD = (
    "What may a present from a supplier be worth?",
    "Until when do I have to submit my travel expenses?",
    "When must I bring a doctor's note?",
    "How much do I get for recommending a friend who is hired?",
    "How many extra holidays can I purchase?",
    "How old is a laptop when I get a new one?",
    "Whom do I tell that my phone is gone?",
    "Where do I find the company doctor?",
)
ABSENT = (
    "How many parking spaces does the site have?",
    "Which bank pays the pension?",
    "May I bring my dog?",
    "What does lunch cost in the canteen?",
    "When does the chief executive retire?",
    "Who cleans the windows?",
    "What is the password of the guest network?",
    "Which languages does the works council speak?",
)


@pytest.fixture(scope="module")
def passages(passage):
    return [passage(text, name=str(number)) for number, text in enumerate(HANDBOOK)]


def _parted(scorer, passages):
    held, absent = ([scorer.assess(question, passages).answerable for question in each] for each in (HELD, ABSENT))
    return auc(held, absent)


def test_questions_in_other_words_are_told_from_questions_about_what_is_not_there(embed, encoder_path, passages):
    assert _parted(EvidenceScorer(embed, encoder=encoder_path), passages) >= 0.85


def test_a_calibration_without_its_weights_tells_nothing_apart(embed, encoder_path, passages, tmp_path):
    package = _package(tmp_path)
    record = json.loads((package / "reader.json").read_text("utf-8"))
    record["calibration"]["weights"] = [0.0] * len(record["calibration"]["weights"])
    (package / "reader.json").write_text(json.dumps(record), "utf-8")
    scorer = EvidenceScorer(embed, reader=Reader.load(encoder_path, package=package))
    assert _parted(scorer, passages) == 0.5


def _package(folder: Path) -> Path:
    for name in ("reader.safetensors", "reader.json"):
        shutil.copy(str(files("inference.reading").joinpath(name)), folder / name)
    return folder


TOWNS = (
    ("Velm", "1482", "Ada Berg", "wool", "the Orra"),
    ("Tarn", "1520", "Jan Holt", "salt", "the Limm"),
    ("Osk", "1611", "Mia Lund", "glass", "the Sarn"),
)


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for number, name in enumerate(("left", "right")):
        contexts, questions = [], []
        for town, year, founder, trade, river in TOWNS[number : number + 2]:
            text = f"{town} was founded in {year} by {founder}. It lived from {trade}. It lies on {river} and is quiet."
            contexts.append({"ctx_id": town, "title": town, "text": text})
            questions += [
                (f"Who founded {town}?", [founder], town),
                (f"When was {town} founded?", [year], town),
                (f"What did {town} live from?", [trade], town),
                (f"How deep is the lake of {town}?", [], town),
                (f"Who rules {town} today?", [], town),
            ]
        (folder / f"{name}.contexts.jsonl").write_text("\n".join(map(json.dumps, contexts)), "utf-8")
        rows = [
            {"id": f"{name}{at}", "question": asked, "answers": answers, "answerable": bool(answers), "ctx_id": own}
            for at, (asked, answers, own) in enumerate(questions)
        ]
        (folder / f"{name}.questions.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return folder


def test_the_command_fits_the_record_writes_its_card_and_asks_nothing_twice(data, encoder_path, tmp_path):
    package, out = tmp_path / "package", tmp_path / "out"
    package.mkdir()
    _package(package)
    earlier = tmp_path / "earlier.json"
    shutil.copy(package / "reader.json", earlier)
    given = ["--data", str(data), "--out", str(out), "--package", str(package), "--sets", "left", "right"]
    main([*given, "--encoder", str(encoder_path), "--before", str(earlier)])
    record = json.loads((package / "reader.json").read_text("utf-8"))
    known = json.loads(earlier.read_text("utf-8"))
    assert record["weights"] == known["weights"]
    assert record["calibration"]["bias"] != known["calibration"]["bias"]
    Calibration.parse(record["calibration"])
    card = (package / "WEIGHING.md").read_text("utf-8")
    assert "| left | 6 | 1.000 | 1.000 |" in card
    assert "left.questions.jsonl" in card
    assert "paired bootstrap" in card

    main([*given, "--encoder", str(tmp_path / "nowhere")])  # all is there: the encoder is not opened
    assert json.loads((package / "reader.json").read_text("utf-8")) == record
    (out / "left.npz").unlink()
    with pytest.raises(ModelNotFound):
        main([*given, "--encoder", str(tmp_path / "nowhere")])


def _reads(name, answer, overlap, mode="search", cosines=(0.1, 0.9)):
    return Reads(
        np.array([name]), np.array([mode]), np.array([[2.0, 1.0, FAR]]), np.array([[*cosines, 0.0]]),
        np.array([[False, mode == "search", False]]), np.array([answer]), np.array([answer]), np.array([overlap]),
        np.array([False]),
    )  # fmt: skip


def test_a_cosine_moves_a_sentence_up():
    reads = _reads("a", 1.0, 0.5)
    assert not weighed(reads, (0.0, 0.0)).first[0]
    assert weighed(reads, (5.0, 0.0)).first[0]
    assert weighed(reads, (0.0, 0.0)).two[0]


def test_questions_in_other_words_and_small_sets_count_for_more():
    rows = [*(_reads("big", 1.0, 0.9) for _ in range(6)), _reads("big", 1.0, 0.1), _reads("small", 1.0, 0.9)]
    counts = shares(join([*rows, _reads("big", -1.0, 1.0, "near")]))
    assert counts[6] > counts[0]
    assert counts[7] > counts[0]
    assert counts[:8].sum() == pytest.approx(counts[8:].sum())


def test_the_interval_of_a_gain_holds_it_and_no_gain_is_none():
    chance = np.random.default_rng(0)
    rows = [_reads("a", float(value), 0.5) for value in chance.normal(1.0, 1.0, 60)]
    rows += [_reads("a", float(value), 1.0, "near") for value in chance.normal(-1.0, 1.0, 60)]
    reads = join(rows)
    found = measure(reads, fit(reads))
    blind = {**found, "chance": np.full(len(rows), 0.5)}
    mean, low, high = interval(reads, found, blind, resamples=200)["auc_near"]
    assert 0 < low < mean < high
    assert mean == pytest.approx(figures(reads, found)["auc_near"] - 0.5)
    assert interval(reads, found, found, resamples=50)["auc_near"] == (0.0, 0.0, 0.0)
