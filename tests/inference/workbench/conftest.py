"""A language of a few sentences, models of real kinds small enough for seconds, and one that has learned it."""

import json
import random
import re

import pytest
import torch

from inference.distillation.objective import Supervised
from inference.runs import models
from inference.runs.data import Item, TextBlocks
from inference.runs.folder import RunFolder
from inference.runs.training import TrainingOptions, fit
from tests.inference.models.conftest import build_tokenizer

CONTEXT = 48


def sentences(count: int, seed: int) -> list[Item]:
    """Texts with something to learn (a team follows from the pump) and something that cannot be known (the hours)."""
    chance = random.Random(seed)
    found = []
    for number in range(count):
        parts = []
        for _ in range(6):
            pump = chance.randrange(12)
            team = ("red", "green", "blue", "white")[(pump * 7) % 4]
            parts.append(f"Pump {pump} is serviced by the {team} team every {chance.randrange(9)}00 hours. ")
        found.append(Item(f"{seed}-{number}", "".join(parts)))
    return found


def options(steps: int, **changes) -> TrainingOptions:
    values = {
        "batch": 8, "rate": 3e-3, "warmup": 5, "precision": "fp32", "evaluate_every": 20,
        "save_every": 20, "log_every": 5,
    }  # fmt: skip
    return TrainingOptions(steps=steps, **{**values, **changes})


def configuration(tokenizer, **changes):
    from transformers import Qwen2Config

    values = {
        "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 3, "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": 256, "tie_word_embeddings": True,
    }  # fmt: skip
    values |= {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    return Qwen2Config(**{"vocab_size": len(tokenizer), **values, **changes})


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tokenizer():
    return build_tokenizer()


@pytest.fixture(scope="session")
def texts(tokenizer):
    """(much for the teacher, little for the student, held out) as blocks."""
    return tuple(TextBlocks(sentences(count, seed), tokenizer, CONTEXT) for count, seed in ((200, 1), (6, 2), (40, 3)))


@pytest.fixture(scope="session")
def teacher_folder(tokenizer, texts, tmp_path_factory):
    """A teacher that has learned the language, as a model folder."""
    folder = tmp_path_factory.mktemp("workbench")
    model = models.new(configuration(tokenizer), seed=1)
    fit(Supervised(model), texts[0], texts[2], options(160), RunFolder(folder / "run", tool="t", settings={}), say=len)
    models.save(model, tokenizer, folder / "teacher")
    return folder / "teacher"


@pytest.fixture
def teacher(teacher_folder):
    return models.load(teacher_folder)


@pytest.fixture(scope="session")
def data_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "texts.jsonl"
    chance = random.Random(7)  # numbers in every sentence: texts of few words would all look alike

    def numbered(_):
        return f"Order {chance.randrange(10**6)} of {chance.randrange(10**6)}: pump"

    rows = [{"id": item.id, "text": re.sub("Pump", numbered, item.text)} for item in sentences(40, 5)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path
