"""Pruned models are ordinary models, really smaller, of what matters least."""

import json

import pytest
import torch

from inference.errors import WorkbenchError
from inference.pruning import importance, structure
from inference.pruning.recipe import main
from inference.pruning.structure import Shape
from inference.runs import models


@pytest.fixture
def judged(teacher, texts):
    return importance.measure(teacher, [texts[0].batch(range(16))])


def test_the_saved_model_is_smaller_and_loads_with_plain_transformers(teacher, judged, tokenizer, texts, tmp_path):
    from transformers import AutoModelForCausalLM

    small = structure.prune(teacher, Shape(layers=2, heads=2, kv_heads=1, neurons=64), judged)
    size = models.save(small, tokenizer, tmp_path / "small")
    whole = models.save(teacher, tokenizer, tmp_path / "whole")
    assert size < 0.75 * whole
    config = json.loads((tmp_path / "small" / "config.json").read_text())
    assert (config["num_hidden_layers"], config["num_attention_heads"], config["intermediate_size"]) == (2, 2, 64)
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "small", dtype=torch.float32)
    ids = texts[2].batch([0])["input_ids"]
    assert torch.allclose(again(input_ids=ids).logits, small(input_ids=ids).logits, atol=0.1)
    assert again.generate(input_ids=ids[:, :8], max_new_tokens=4, pad_token_id=0).shape[1] == 12


def test_nothing_taken_out_changes_nothing(teacher, judged, texts):
    same = structure.prune(teacher, Shape.of(teacher.config), judged)
    ids = texts[2].batch([0])["input_ids"]
    assert torch.equal(same(input_ids=ids).logits, teacher(input_ids=ids).logits)


def test_taking_the_least_costs_less_than_taking_the_most(teacher, judged, texts):
    wanted = Shape(3, 4, 2, 40)
    upside_down = importance.Importance(judged.layers, judged.heads, -judged.neurons)
    least, most = (
        models.quality(structure.prune(teacher, wanted, scores), texts[2])["loss"] for scores in (judged, upside_down)
    )
    assert least < most - 0.1


def test_neurons_that_do_nothing_are_found_and_cost_nothing(teacher, texts):
    with torch.no_grad():
        for layer in teacher.model.layers:
            layer.mlp.down_proj.weight[:, ::2] = 0
    scores = importance.measure(teacher, [texts[0].batch(range(8))])
    small = structure.prune(teacher, Shape(3, 4, 2, 64), scores)
    ids = texts[2].batch([0])["input_ids"]
    assert torch.allclose(small(input_ids=ids).logits, teacher(input_ids=ids).logits, atol=1e-4)


def test_shapes_that_cannot_be_are_refused(teacher, judged):
    for wrong in (Shape(9, 4, 2, 64), Shape(2, 3, 2, 64), Shape(2, 0, 1, 64)):
        with pytest.raises(WorkbenchError):
            structure.prune(teacher, wrong, judged)


def test_recovery_brings_back_most_of_what_was_lost(teacher_folder, data_file, tmp_path, capsys):
    asked = [
        "--model", str(teacher_folder), "--data", str(data_file), "--context", "48", "--steps", "60", "--batch", "8",
        "--rate", "0.003", "--precision", "fp32", "--warmup", "5", "--evaluate-every", "30", "--neurons", "0.25",
        "--layers", "0.67", "--device", "cpu", "--out", str(tmp_path / "run"),
    ]  # fmt: skip
    assert main(asked) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["smaller"] > 1.3
    assert found["pruned"]["loss"] < found["cut"]["loss"] - 0.2
    assert found["pruned"]["loss"] < found["whole"]["loss"] + 0.3
    assert main([*asked[:-1], str(tmp_path / "other"), "--neurons", "1.5"]) == 2
