"""One step of a distillation, alone or as one of several processes; leaves the run's state, which holds the gradient.

python -m tests.inference.workbench.joined FOLDER ACCUMULATION FEATURES
torchrun --nproc-per-node 2 -m tests.inference.workbench.joined FOLDER ACCUMULATION FEATURES
"""

import sys
from pathlib import Path

import torch

from inference.distillation import students
from inference.distillation.objective import Distillation, Mixture
from inference.runs import models
from inference.runs.data import TextBlocks
from inference.runs.folder import RunFolder
from inference.runs.training import fit
from inference.runs.workers import Workers
from tests.inference.models.conftest import build_tokenizer

from .conftest import CONTEXT, configuration, options, sentences

BATCH = 16


def step(out: Path, accumulation: int, features: float) -> int:
    """Take the step; how many processes took it together."""
    torch.set_num_threads(1)
    tokenizer = build_tokenizer()
    teacher = models.new(configuration(tokenizer), seed=9)
    student = students.begin(configuration(tokenizer, hidden_size=32, num_attention_heads=2), None, seed=1)
    pairs = students.pairs(student, teacher) if features else ()
    mixture = Mixture(alpha=0.7, temperature=2.0, feature_weight=features, pairs=pairs)
    texts = TextBlocks(sentences(24, 4), tokenizer, CONTEXT)
    workers = Workers()
    fit(
        Distillation(student, [teacher], mixture),
        texts,
        texts,
        options(1, batch=BATCH, accumulation=accumulation, evaluate_every=1, save_every=1, log_every=1),
        RunFolder(out, tool="t", settings={"features": features}, writes=workers.first),
        workers=workers,
        say=len,
    )
    workers.leave()
    return workers.count


if __name__ == "__main__":
    assert step(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])) == 2
