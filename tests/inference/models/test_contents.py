"""What cannot work later is refused at the import, with the file's name; what real folders hold is let in."""

from __future__ import annotations

import json
import shutil

import pytest
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from inference import loading
from inference.engines.base import collect
from inference.engines.batching import BatchingEngine
from inference.errors import ModelCorrupt
from inference.store import ModelStore
from tests.inference.many import asking

FACTS = {"licence": "MIT", "imported_by": "user:1"}


@pytest.fixture
def folder(qwen2_folder, tmp_path):
    return shutil.copytree(qwen2_folder, tmp_path / "copy")


def imported(folder, tmp_path):
    return ModelStore(tmp_path / "models").import_path(folder, name="tiny", **FACTS)


def change(folder, name, **values):
    path = folder / name
    body = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps({**body, **values}))


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("config.json", {"hidden_size": 0}, "hidden_size = 0, which is no size"),
        ("config.json", {"num_hidden_layers": "2"}, "num_hidden_layers = '2', which is no size"),
        ("config.json", {"num_attention_heads": 4, "num_key_value_heads": 3}, "4 attention heads"),
        ("config.json", {"eos_token_id": 10**6}, "eos_token_id = 1000000, which is no token"),
        ("config.json", {"vocab_size": 10}, "10"),
        ("config.json", {"vocab_size": 10**7}, "10000000"),
        ("config.json", {"model_type": 7}, "names no model_type"),
        ("generation_config.json", {"temperature": -1}, "temperature = -1; it must lie between 0 and 100"),
        ("generation_config.json", {"top_p": 1.5}, r"top_p = 1\.5; it must lie between 0 and 1"),
        ("generation_config.json", {"temperature": "hot"}, "temperature = 'hot'"),
        ("generation_config.json", {"max_new_tokens": -5}, "max_new_tokens = -5"),
        ("generation_config.json", {"eos_token_id": [1, 10**6]}, "which is no token of the model"),
        ("tokenizer.json", {"model": {"type": "none"}}, "is no tokenizer"),
        ("tokenizer_config.json", {"chat_template": 5}, "no text"),
    ],
)
def test_settings_that_cannot_be_right_are_refused(folder, tmp_path, name, values, words):
    if "chat_template" in values:
        (folder / "chat_template.jinja").unlink(missing_ok=True)
    change(folder, name, **values)
    with pytest.raises(ModelCorrupt, match=words) as caught:
        imported(folder, tmp_path)
    assert caught.value.file in {name, "model.safetensors", "tokenizer.json"}
    assert not ModelStore(tmp_path / "models").names()


@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "tokenizer_config.json"])
def test_a_list_in_place_of_settings_is_refused(folder, tmp_path, name):
    (folder / name).write_text("[]")
    with pytest.raises(ModelCorrupt, match="holds no settings") as caught:
        imported(folder, tmp_path)
    assert caught.value.file == name


def test_a_chat_template_that_cannot_be_read_is_refused_and_its_line_named(folder, tmp_path):
    (folder / "chat_template.jinja").write_text("{% for message in messages %}\n{{ message.content }\n{% endfor %}")
    with pytest.raises(ModelCorrupt, match="line 2") as caught:
        imported(folder, tmp_path)
    assert caught.value.file == "chat_template.jinja"


def test_what_released_models_hold_is_let_in(folder, tmp_path):
    """As the R1 family and Qwen write them: several ends, transformers' own marks, loops, named templates."""
    ids = {"eos_token_id": [1, 2], "pad_token_id": None, "bos_token_id": 1}
    change(
        folder, "generation_config.json", do_sample=True, temperature=0.6, top_p=0.95, repetition_penalty=1.05, **ids
    )
    template = (
        "{%- for message in messages %}{% if message.role == 'system' %}{% continue %}{% endif %}"
        "{% generation %}{{ message.content | trim }}{% endgeneration %}{%- endfor %}"
    )
    (folder / "chat_template.jinja").write_text(template)
    assert imported(folder, tmp_path).architecture == "qwen2"
    (folder / "chat_template.jinja").unlink()
    change(folder, "tokenizer_config.json", chat_template=[{"name": "default", "template": template}])
    again = ModelStore(tmp_path / "models").import_path(folder, name="named", **FACTS)
    assert len(again.template_sha256) == 64


def test_a_mark_without_a_row_in_the_table_is_let_in_and_never_read(folder, tmp_path):
    """As fine-tuned models often have one: a token for padding that was added to the tokenizer alone."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"pad_token": "<nothing>"})
    vocabulary = json.loads((folder / "config.json").read_text())["vocab_size"]
    if tokenizer.pad_token_id < vocabulary:
        change(folder, "config.json", vocab_size=tokenizer.pad_token_id)
        small = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))
        small.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    imported(folder, tmp_path)
    engine = BatchingEngine(loading.load(ModelStore(tmp_path / "models").folder("tiny"), device="cpu"))
    try:
        assert engine.count_tokens("one <nothing> two") < len(tokenizer("one <nothing> two")["input_ids"])
        said = collect(engine.stream(asking("one <nothing> two", tokens=4), cancelled=lambda: False))
        assert said[-1].completion_tokens
    finally:
        engine.close()
