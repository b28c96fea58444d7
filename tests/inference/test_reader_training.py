"""One command makes a reader from nothing: it learns, it can be loaded and asked, and nothing is made twice."""

import hashlib
import json
import os
import re
import subprocess
import sys
from importlib.resources import files

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from inference.evidence import EvidenceScorer
from inference.reading.linear import LinearModel
from inference.reading.reader import Reader
from inference.reading.window import load_tokenizer
from inference.training import __main__ as command
from inference.training import qa
from inference.training.evidence import Settings, build, train
from inference.training.finish import packed
from inference.training.items import Maker
from inference.training.tensors import block, loss
from inference.training.weighing import main as weigh

TOWNS = ("Velm", "Tarn", "Osk", "Brid", "Lund", "Holm", "Gard", "Sund")
NAMES = ("Ada", "Jan", "Mia", "Ole", "Eva", "Per", "Ida", "Nils")
TRADES = ("wool", "salt", "glass", "timber", "copper", "amber", "linen", "paper")

ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two sets of four towns, an article and five questions each; two of the five ask what nobody wrote."""
    folder = tmp_path_factory.mktemp("questions")
    for half, name in enumerate(("left", "right")):
        contexts, questions = [], []
        for at in range(4 * half, 4 * half + 4):
            town, founder, trade, year = TOWNS[at], f"{NAMES[at]} {TOWNS[at]}son", TRADES[at], str(1400 + 17 * at)
            text = (
                f"{town} was founded in {year} by {founder}. In those days it lived from {trade}. The harbour of "
                f"{town} was built in {int(year) + 90}. It lies on the river Orra and is quiet today."
            )
            contexts.append({"ctx_id": town, "title": town, "text": text})
            asked = [
                (f"Who founded {town}?", [founder]), (f"When was {town} founded?", [year]),
                (f"What did {town} live from?", [trade]), (f"How deep is the lake of {town}?", []),
                (f"Who rules {town} today?", []),
            ]  # fmt: skip
            questions += [
                {"id": f"{town}{n}", "question": words, "answers": held, "answerable": bool(held), "ctx_id": town}
                for n, (words, held) in enumerate(asked)
            ]
        (folder / f"{name}.contexts.jsonl").write_text("\n".join(map(json.dumps, contexts)), "utf-8")
        (folder / f"{name}.questions.jsonl").write_text("\n".join(map(json.dumps, questions)), "utf-8")
    return folder


def test_training_learns_what_it_is_shown(data, encoder_path):
    examples = qa.load(data, "left")
    tokenizer = load_tokenizer((encoder_path / "tokenizer.json").read_text("utf-8"))
    maker = Maker(examples, tokenizer, LinearModel.packaged(), 96)
    items = [item for example in examples[:4] for item in maker.training(example, 0)]
    shown = block(items)
    rows, wanted = shown.batch(torch.arange(len(shown)))
    settings = Settings(steps=12, batch=len(items), rank=4, rate=1e-2, head_rate=3e-2)
    untaught = build(encoder_path, settings).eval()
    taught = train(encoder_path, shown, None, settings, "cpu", "reader")
    with torch.no_grad():
        before, after = (float(loss(network(rows), wanted)) for network in (untaught, taught))
    assert after < before - 0.3


def test_one_command_trains_packs_weighs_and_goes_on(data, encoder_path, tmp_path, passage):
    out, package = tmp_path / "out", tmp_path / "package"
    package.mkdir()
    asked = [
        "--data", str(data), "--encoder", str(encoder_path), "--out", str(out), "--package", str(package), "--device",
        "cpu", "--workers", "1", "--sets", "left", "right", "--weighed", "left", "right", "--folds", "2", "--steps",
        "2", "--batch", "4", "--rank", "4", "--clozes", "200", "--budget", "96",
    ]  # fmt: skip
    subprocess.run([sys.executable, "-m", "inference.training", *asked], env=ONE_THREAD, check=True, timeout=1800)
    record = json.loads((package / "reader.json").read_text("utf-8"))
    card, weighing = ((package / name).read_text("utf-8") for name in ("CARD.md", "WEIGHING.md"))
    assert re.search(r"^\| left \| \d+ ", card, re.MULTILINE)
    assert re.search(r"^\| right \| \d+ ", weighing, re.MULTILINE)
    assert '"steps": 2,' in card
    reader = Reader.load(encoder_path, package=package)
    scorer = EvidenceScorer(lambda texts: torch.eye(len(texts)).numpy(), reader=reader)
    found = scorer.assess("Who founded Velm?", [passage("Velm was founded in 1400 by Ada. It is quiet.")])
    assert 0 < found.answerable < 1
    assert found.evidence

    made = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    command.main(asked)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} == made
    assert json.loads((package / "reader.json").read_text("utf-8")) == record
    with pytest.raises(FileExistsError, match="another reader, count or splitter"):
        command.main([*asked, "--splitter", "retrieval.text:sentences"])


def test_the_shipped_weights_are_packed_to_the_same_bytes_every_time():
    path, record = (files("inference.reading").joinpath(name) for name in ("reader.safetensors", "reader.json"))
    with safe_open(str(path), "pt") as opened:
        facts = opened.metadata()
    digests = {hashlib.sha256(packed(load_file(str(path)), facts)).hexdigest() for _ in range(8)}
    assert digests == {json.loads(record.read_text("utf-8"))["weights"]}


def test_one_set_cannot_be_weighed_against_others(data, encoder_path, tmp_path, capsys):
    with pytest.raises(SystemExit):
        weigh(["--data", str(data), "--encoder", str(encoder_path), "--out", str(tmp_path), "--sets", "left"])
    assert "at least two sets" in capsys.readouterr().err
