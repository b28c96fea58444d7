"""Learning from a teacher: it helps, every term does what it says, and what is not supported is said."""

import json

import pytest
import torch

from inference.distillation import losses, sequence, students, vocabularies
from inference.distillation.objective import Distillation, Mixture, Supervised
from inference.distillation.recipe import main
from inference.errors import WorkbenchError
from inference.runs import card, models, reproduce
from inference.runs.data import Item, TextBlocks
from inference.runs.folder import RunFolder
from inference.runs.training import fit

from .conftest import CONTEXT, configuration, options, sentences


def small(tokenizer, seed=3):
    config = configuration(
        tokenizer,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
    )
    return models.new(config, seed=seed)


def taught(objective, texts, folder, steps=60):
    """Held-out loss of a student that saw six texts."""
    return fit(objective, texts[1], texts[2], options(steps), RunFolder(folder, tool="t", settings={}), say=len).best


def test_a_student_with_a_teacher_beats_the_same_student_without(tokenizer, texts, teacher, tmp_path):
    """Both see the same six texts as often. The teacher knows that the hours cannot be known."""
    alone = taught(Supervised(small(tokenizer)), texts, tmp_path / "alone", steps=120)
    own = small(tokenizer)
    led = taught(Distillation(own, [teacher], Mixture(alpha=0.9, temperature=1.0)), texts, tmp_path / "led", steps=120)
    foolish = models.new(configuration(tokenizer), seed=9)
    misled = taught(
        Distillation(small(tokenizer), [foolish], Mixture(alpha=0.9)), texts, tmp_path / "misled", steps=120
    )
    assert led < alone - 0.02
    assert misled > alone + 0.1  # a teacher that knows nothing is listened to as well


def test_soft_loss_is_the_divergence_times_the_temperature_squared():
    student, teacher = torch.randn(5, 7), torch.randn(5, 7)
    log = losses.mixture([teacher], [1.0], 3.0)
    p, q = (teacher / 3).softmax(1), (student / 3).softmax(1)
    wanted = 9 * (p * (p.log() - q.log())).sum(1).mean()
    assert float(losses.soft(student, log, 3.0)) == pytest.approx(float(wanted), rel=1e-4)
    assert float(losses.soft(teacher, log, 3.0)) == pytest.approx(0.0, abs=1e-5)


def test_several_teachers_are_the_weighted_mean_of_their_probabilities():
    first, second = torch.randn(4, 6), torch.randn(4, 6)
    mixed = losses.mixture([first, second], [3.0, 1.0], 1.0).exp()
    assert torch.allclose(mixed, 0.75 * first.softmax(1) + 0.25 * second.softmax(1), atol=1e-5)


def test_features_pull_inner_states_together(tokenizer, texts, teacher, tmp_path):
    student = students.begin(configuration(tokenizer, hidden_size=32, num_attention_heads=2), None, seed=1)
    pairs = students.pairs(student, teacher)
    assert pairs == ((1, 1), (2, 2))
    objective = Distillation(student, [teacher], Mixture(feature_weight=1.0, pairs=pairs))
    batch = texts[2].batch(range(8))
    before = float(objective(batch)["features"].detach())
    taught(objective, texts, tmp_path, steps=40)
    assert float(objective(batch)["features"].detach()) < 0.8 * before


def test_tables_of_different_sizes_are_cut_to_the_common_part(tokenizer, texts, teacher):
    wide = models.new(configuration(tokenizer, vocab_size=len(tokenizer) + 24), seed=1)
    objective = Distillation(wide, [teacher], Mixture())
    assert objective.vocabulary == len(tokenizer)
    assert torch.isfinite(objective(texts[1].batch(range(2)))["loss"])


def test_a_student_that_takes_over_parts_begins_better_and_whole_layers_are_kept(tokenizer, texts, teacher):
    config = students.configuration(teacher.config, layers=2, hidden=48, inner=96, heads=3, kv_heads=1)
    begun, fresh = (students.begin(config, source, seed=1) for source in (teacher, None))
    assert models.quality(begun, texts[2])["loss"] < models.quality(fresh, texts[2])["loss"] - 0.2
    same = students.configuration(teacher.config, layers=2, hidden=64, inner=128, heads=4, kv_heads=2)
    copied = students.begin(same, teacher, seed=1)
    assert torch.equal(copied.model.layers[1].mlp.up_proj.weight, teacher.model.layers[2].mlp.up_proj.weight)
    with pytest.raises(WorkbenchError, match="larger"):
        students.begin(configuration(tokenizer, hidden_size=128), teacher, seed=1)


def other_tokenizer():
    from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
    from tokenizers.models import BPE
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<e>"], initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator([item.text for item in sentences(20, 8)], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<e>")


def test_another_vocabulary_is_compared_where_both_have_a_boundary(tokenizer, teacher, tmp_path):
    own = other_tokenizer()
    assert not vocabularies.same(own, tokenizer)
    items = sentences(12, 6)
    aligned = vocabularies.AlignedTexts(items, own, tokenizer, CONTEXT)
    ids, others, both = aligned.rows[0]
    for here, there in both:
        assert own.decode(ids[: here + 1]) == tokenizer.decode(others[: there + 1])
    objective = vocabularies.AcrossVocabularies(small(own), teacher, 0.5)
    held = TextBlocks(sentences(6, 7), own, CONTEXT)
    found = fit(objective, aligned, held, options(20), RunFolder(tmp_path, tool="t", settings={}), say=len)
    logged = [row["soft"] for row in RunFolder(tmp_path, tool="t", settings={}).rows() if "soft" in row]
    assert logged[-1] < logged[0]
    assert found.best < 6


def test_the_teacher_writes_once_and_a_cut_off_line_is_written_again(tokenizer, teacher, tmp_path):
    items = [Item(str(n), text.text, prompt="Pump 3 is serviced by") for n, text in enumerate(sentences(5, 4))]
    out = tmp_path / "written.jsonl"
    assert sequence.write(teacher, tokenizer, items, out, new_tokens=12, batch=2, say=len) == 5
    whole = out.read_text()
    out.write_text(whole[: len(whole) - 20])
    assert sequence.write(teacher, tokenizer, items, out, new_tokens=12, batch=2, say=len) == 5
    assert out.read_text() == whole
    kept = [json.loads(line) for line in (tmp_path / "written.kept.jsonl").read_text().splitlines()]
    assert kept[0]["prompt"] == items[0].prompt
    assert "team" in kept[0]["answer"]
    refused = tmp_path / "refused.jsonl"
    assert sequence.write(teacher, tokenizer, items, refused, new_tokens=4, keep=lambda item, text: False, say=len) == 0


def test_what_is_not_supported_is_said():
    with pytest.raises(WorkbenchError, match="share"):
        Mixture(alpha=1.5)
    with pytest.raises(WorkbenchError, match="pairs"):
        Mixture(feature_weight=1.0)


def test_the_command_leaves_a_model_a_card_and_plots_and_can_be_reproduced(teacher_folder, data_file, tmp_path, capsys):
    asked = [
        "--teacher", str(teacher_folder), "--data", str(data_file), "--context", "48", "--steps", "8", "--batch", "4",
        "--precision", "fp32", "--warmup", "2", "--evaluate-every", "4", "--device", "cpu", "--feature-weight", "0.1",
        "--layers", "2", "--out", str(tmp_path / "run"),
    ]  # fmt: skip
    assert main(asked) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["parameters"] < result["teacher_parameters"]
    made = card.Card.read(tmp_path / "run")
    assert {item["name"] for item in made.data} == {"texts.jsonl", "teacher"}
    assert (tmp_path / "run" / "plots" / "entropy.svg").is_file()
    assert "sha256" in (tmp_path / "run" / "CARD.md").read_text()
    assert models.parameters(models.load(tmp_path / "run" / "model")) == result["parameters"]
    again = [str(tmp_path / "run"), "--out", str(tmp_path / "again"), "--device", "cpu", "--tolerance", "0.0001"]
    assert reproduce.main(again) == 0
    data_file_copy = tmp_path / "texts.jsonl"
    data_file_copy.write_text(data_file.read_text() + json.dumps({"text": "One more."}) + "\n")
    moved = [str(tmp_path / "run"), "--out", str(tmp_path / "no"), "--data-root", str(tmp_path), "--device", "cpu"]
    (tmp_path / "teacher").symlink_to(teacher_folder)
    assert reproduce.main(moved) == 2
    assert "checksum" in capsys.readouterr().err


def test_the_command_takes_several_teachers_and_their_weights(teacher_folder, tokenizer, data_file, tmp_path, capsys):
    other = tmp_path / "other"
    models.save(models.new(configuration(tokenizer), seed=9), tokenizer, other)

    def learned(out, *weights):
        asked = [
            "--teacher", str(teacher_folder), str(other), "--data", str(data_file), "--context", "48", "--steps", "6",
            "--batch", "4", "--precision", "fp32", "--warmup", "2", "--evaluate-every", "3", "--device", "cpu",
            "--layers", "2", "--alpha", "1", "--begin", "random", "--out", str(out), *weights,
        ]  # fmt: skip
        assert main(asked) == 0
        capsys.readouterr()
        assert {item["name"] for item in card.Card.read(out).data} >= {"texts.jsonl", teacher_folder.name, "other"}
        return torch.cat([value.flatten() for value in models.load(out / "model").state_dict().values()])

    first = learned(tmp_path / "first", "--weights", "1", "0")
    second = learned(tmp_path / "second", "--weights", "0", "1")
    both = learned(tmp_path / "both")
    assert not torch.equal(first, second)
    assert not torch.equal(both, first)
    wrong = [
        "--teacher",
        str(teacher_folder),
        "--data",
        str(data_file),
        "--weights",
        "1",
        "2",
        "--out",
        str(tmp_path / "no"),
    ]
    assert main([*wrong, "--steps", "2", "--device", "cpu"]) == 2
    assert "weight" in capsys.readouterr().err
