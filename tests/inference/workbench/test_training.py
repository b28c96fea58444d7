"""The loop: killed and continued is the same, pieces and processes are the same, odd requests are refused."""

import json
import os
import subprocess
import sys

import pytest
import torch

from inference.distillation.objective import Supervised
from inference.errors import WorkbenchError
from inference.runs import models
from inference.runs.folder import RunFolder
from inference.runs.training import TrainingOptions, fit, rate_at, rows_of

from . import joined
from .conftest import configuration, options


class Killed(Exception):
    pass


def trained(tokenizer, texts, folder, chosen, *, kill_at=None):
    model = models.new(configuration(tokenizer, num_hidden_layers=1), seed=1)

    def say(words):
        if kill_at and words.startswith(f"step {kill_at}/"):
            raise Killed

    fit(Supervised(model), texts[1], texts[2], chosen, RunFolder(folder, tool="t", settings={}), say=say)
    return model.state_dict()


def test_a_killed_run_ends_as_if_nothing_had_happened(tokenizer, texts, tmp_path):
    whole = trained(tokenizer, texts, tmp_path / "a", options(30, save_every=10, evaluate_every=10))
    with pytest.raises(Killed):
        trained(tokenizer, texts, tmp_path / "b", options(30, save_every=10, evaluate_every=10), kill_at=25)
    again = trained(tokenizer, texts, tmp_path / "b", options(30, save_every=10, evaluate_every=10))
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    logs = [
        [row for row in RunFolder(tmp_path / name, tool="t", settings={}).rows() if "loss" in row]
        for name in ("a", "b")
    ]
    assert [(row["step"], row["loss"]) for row in logs[0]] == [(row["step"], row["loss"]) for row in logs[1]]


def test_pieces_of_a_batch_give_the_gradient_of_the_whole(tokenizer, texts, tmp_path):
    whole = trained(tokenizer, texts, tmp_path / "a", options(6, evaluate_every=6))
    pieces = trained(tokenizer, texts, tmp_path / "b", options(6, accumulation=4, evaluate_every=6))
    again = trained(tokenizer, texts, tmp_path / "c", options(6, checkpointing=True, evaluate_every=6))
    for other in (pieces, again):
        assert all(torch.allclose(whole[name], other[name], atol=1e-4) for name in whole)


def test_early_stopping_keeps_the_best_state(tokenizer, texts, tmp_path):
    model = models.new(configuration(tokenizer, num_hidden_layers=1), seed=1)
    chosen = options(200, evaluate_every=5, patience=2, rate=0.03, warmup=1)
    found = fit(Supervised(model), texts[1], texts[2], chosen, RunFolder(tmp_path, tool="t", settings={}), say=len)
    assert found.steps < 200
    assert models.quality(model, texts[2])["loss"] == pytest.approx(found.best, abs=1e-3)
    assert (tmp_path / "plots" / "loss.svg").read_text().startswith("<svg")


def test_a_folder_belongs_to_one_run(tmp_path):
    RunFolder(tmp_path / "a", tool="t", settings={"rate": 1})
    with pytest.raises(WorkbenchError, match="other settings"):
        RunFolder(tmp_path / "a", tool="t", settings={"rate": 2})
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "letter.txt").write_text("mine")
    with pytest.raises(WorkbenchError, match="not empty"):
        RunFolder(tmp_path / "b", tool="t", settings={})


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"batch": 5, "accumulation": 2}, {"rate": -1.0}, {"precision": "fp8"}, {"floor": 2.0}]
)
def test_options_that_cannot_be_are_refused(wrong):
    with pytest.raises(WorkbenchError):
        TrainingOptions(**{"steps": 10, **wrong})


def test_rate_rises_and_falls_and_every_epoch_holds_every_row():
    chosen = TrainingOptions(steps=100, warmup=10, rate=1.0, floor=0.1)
    rates = [rate_at(step, chosen) for step in range(100)]
    assert rates[9] == 1.0
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(0.1, abs=0.01)
    rows = [row for step in range(4) for row in rows_of(step, TrainingOptions(steps=9, batch=5), 10)]
    assert sorted(rows[:10]) == sorted(rows[10:]) == list(range(10))
    assert rows[:10] != rows[10:]


def _two(*arguments):
    """Two processes over gloo, joined by accelerate; on a port that is free, over the loopback alone."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize(("accumulation", "features", "within"), [(2, 0.0, 1e-4), (1, 0.5, 1e-2)])
def test_two_processes_have_the_gradient_of_one_with_twice_the_batch(tmp_path, accumulation, features, within):
    """Adam's first moment after one step is the gradient, times 0.1. Every process sees half of the batch. Inner states
    are measured in units of a piece's own variance, so that their part agrees less closely.
    """
    assert joined.step(tmp_path / "one", accumulation, features) == 1
    _two("tests.inference.workbench.joined", str(tmp_path / "two"), str(accumulation), str(features))
    gradients = []
    for name in ("one", "two"):
        found = RunFolder(tmp_path / name, tool="t", settings={"features": features}).load_state("optimizer")
        assert found is not None
        moments = found[0]["optimizer"]
        gradients.append({key: value for key, value in moments.items() if key.endswith(".exp_avg")})
    one, two = gradients
    assert one.keys() == two.keys()
    assert any("projections" in key for key in one) == bool(features)
    whole = float(torch.stack([value.norm() for value in one.values()]).norm())
    assert whole > 0.01
    for key, gradient in one.items():
        assert float((gradient - two[key]).norm()) <= within * max(float(gradient.norm()), whole / 1000), key


@pytest.mark.long  # pytest tests/inference/workbench/test_training.py -m long
def test_two_processes_come_to_what_one_does(teacher_folder, data_file, tmp_path):
    asked = [
        "inference.distillation", "--teacher", str(teacher_folder), "--data", str(data_file), "--context", "48",
        "--steps", "4", "--batch", "4", "--precision", "fp32", "--warmup", "2", "--log-every", "1",
        "--evaluate-every", "4",
        "--layers", "1", "--device", "cpu",
    ]  # fmt: skip
    alone = [sys.executable, "-m", *asked, "--out", str(tmp_path / "one")]
    subprocess.run(alone, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=600, check=True, capture_output=True)
    _two(*asked, "--out", str(tmp_path / "two"))
    one, two = (json.loads((tmp_path / name / "card.json").read_text())["results"] for name in ("one", "two"))
    assert one["training"]["best"] == pytest.approx(two["training"]["best"], abs=1e-4)
    assert one["training"]["tokens"] == two["training"]["tokens"]
    logs = [(tmp_path / name / "log.jsonl").read_text().splitlines() for name in ("one", "two")]
    for first, second in zip(*(map(json.loads, log) for log in logs), strict=True):
        assert first.get("loss", 0) == pytest.approx(second.get("loss", 0), abs=1e-3)
