"""Adapters learn questions, nf4 bases too; training with rounding costs less when rounded; the guard refuses."""

import json

import pytest
import torch

from inference.errors import QuantizationRefused
from inference.finetuning import guard, rounding
from inference.finetuning.recipe import main
from inference.runs import models

COLOURS = ("red", "green", "blue", "white")


@pytest.fixture(scope="module")
def questions(tmp_path_factory):
    path = tmp_path_factory.mktemp("questions") / "questions.jsonl"
    rows = [
        {"id": f"{copy}-{pump}", "prompt": f"Which team keeps pump {pump}? ", "answer": f"The {COLOURS[pump % 4]} one."}
        for copy in range(8)
        for pump in range(12)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def asked(teacher_folder, questions, out, *more):
    return [
        "--model", str(teacher_folder), "--data", str(questions), "--held-out", str(questions), "--context", "48",
        "--steps", "60", "--batch", "8", "--rate", "0.01", "--precision", "fp32", "--warmup", "5",
        "--evaluate-every", "30",
        "--device", "cpu", "--out", str(out), *more,
    ]  # fmt: skip


def test_data_that_leaks_is_refused(teacher_folder, questions, tmp_path, capsys):
    assert main(asked(teacher_folder, questions, tmp_path / "run")) == 2
    assert "training data" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning")  # peft, by a former name
@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_an_adapter_learns_the_answers_and_can_be_merged(method, teacher_folder, questions, tmp_path, capsys):
    other = tmp_path / "held.jsonl"
    other.write_text(json.dumps({"prompt": "Say which team keeps pump 5. ", "answer": "The green one."}) + "\n")
    command = asked(teacher_folder, questions, tmp_path / "run", "--method", method, "--merge", "--rank", "8")
    command[command.index("--held-out") + 1] = str(other)
    assert main(command) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["after"]["loss"] < found["before"]["loss"] - 1.0
    assert found["trained_parameters"] < 0.5 * models.parameters(models.load(teacher_folder))
    assert not list((tmp_path / "run").rglob("*.bin"))
    assert models.parameters(models.load(tmp_path / "run" / "model")) == models.parameters(models.load(teacher_folder))


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning")  # peft, by a former name
def test_adapters_learn_the_same_with_activations_computed_again(teacher_folder, questions, tmp_path, capsys):
    held = tmp_path / "held.jsonl"
    held.write_text(json.dumps({"prompt": "Say which team keeps pump 5. ", "answer": "The green one."}) + "\n")
    found = []
    for name, more in (("kept", []), ("again", ["--checkpointing"])):
        command = asked(teacher_folder, questions, tmp_path / name, "--rank", "4", "--dropout", "0", *more)
        command[command.index("--held-out") + 1] = str(held)
        command[command.index("--steps") + 1] = "12"
        assert main(command) == 0
        found.append(json.loads(capsys.readouterr().out.splitlines()[-1]))
    kept, again = found
    assert again["after"]["loss"] == pytest.approx(kept["after"]["loss"], abs=1e-4)
    assert again["after"]["loss"] < again["before"]["loss"]


@pytest.mark.parametrize("grid", ["int8", "nf4"])
def test_rounded_weights_lie_on_the_grid_and_gradients_pass(grid):
    weight = torch.randn(8, 96)
    kept = rounding.rounded(weight, grid)
    assert float((kept - weight).abs().max()) < (0.03 if grid == "int8" else 0.5)
    assert torch.allclose(rounding.rounded(kept, grid), kept, atol=1e-4)
    if grid == "nf4":
        scales = weight.flatten().view(-1, 64).abs().amax(1, keepdim=True)
        assert len((kept.flatten().view(-1, 64) / scales).round(decimals=3).unique()) <= 16
    layer = torch.nn.Sequential(torch.nn.Linear(96, 8))
    rounding.begin(layer, grid)
    layer(torch.randn(2, 96)).sum().backward()
    assert layer[0].parametrizations["weight"].original.grad.abs().sum() > 0
    rounding.end(layer)
    assert isinstance(layer[0].weight, torch.nn.Parameter)


def test_training_with_rounding_makes_rounding_cheaper(teacher, texts, tmp_path):
    from inference.distillation.objective import Supervised
    from inference.runs.folder import RunFolder
    from inference.runs.training import fit

    from .conftest import options

    def coarse(model):
        with torch.no_grad():
            for name, value in model.named_parameters():
                if name.endswith("_proj.weight"):
                    value.copy_(rounding.rounded(value, "nf4"))
        return models.quality(model, texts[2])["loss"]

    plain = models.new(teacher.config, seed=1)
    plain.load_state_dict(teacher.state_dict())
    before = coarse(plain)
    rounding.begin(teacher, "nf4")
    run = RunFolder(tmp_path, tool="t", settings={})
    fit(Supervised(teacher), texts[0], texts[2], options(40, rate=5e-4), run, say=len)
    rounding.end(teacher)
    assert coarse(teacher) < before


def test_the_guard_refuses_warns_and_passes():
    def judged(after):
        return guard.Judged("nf4", {"perplexity": 10.0}, {"perplexity": after}, 100, 30)

    assert guard.guard(judged(10.1), limit=0.05) == []
    assert "allowed" in guard.guard(judged(10.4), limit=0.05)[0]
    with pytest.raises(QuantizationRefused, match="more than the 5"):
        guard.guard(judged(10.6), limit=0.05)


def test_the_smallest_recipe_within_the_limit_is_chosen(teacher_folder, texts):
    chosen, told = guard.choose(teacher_folder, ["nf4"], texts[2], limit=10.0, device="cpu")
    assert chosen is not None
    assert chosen.bytes_after < chosen.bytes_before
    none, told = guard.choose(teacher_folder, ["nf4"], texts[2], limit=-0.9, device="cpu")
    assert none is None
    assert "refused" in told["nf4"]
