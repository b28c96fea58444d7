"""What guessing from the prompt saves on answers that quote; run by `tests.benchmarks.models`.

The model has the size of a real one and weights that obey one rule: after [n] comes [n + 1]. Its layers compute all
that a trained model's would and add nothing. The prompt holds passages of 24 such tokens with 8 left out between them,
in mixed order, so a quarter of the answer stands in no passage. Answers with and without guessing must be the same.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from inference.config import GenerationOptions
from inference.engines.base import Finish, GenerationRequest, Message, collect
from inference.engines.batching import BatchingEngine
from inference.engines.running import BatchOptions
from inference.engines.transcript import END_THINKING
from tests.inference.models.conftest import build_tokenizer

_PASSAGE, _GAP, _PASSAGES = 24, 8, 16
_ROUNDS = 3


def _word(number: int) -> str:
    return f"[{number}]"


def teach(model: Any, folder: Path) -> None:
    """Give a model with untied, random weights the rule, and save it with its tokenizer."""
    tokenizer = build_tokenizer()
    words = [_word(number) for number in range(_PASSAGES * (_PASSAGE + _GAP))]
    tokenizer.add_tokens(words)
    ids = torch.tensor(tokenizer.convert_tokens_to_ids(words))
    table, head = model.get_input_embeddings().weight.data, model.get_output_embeddings().weight.data
    for layer in model.get_decoder().layers:
        layer.self_attn.o_proj.weight.data.zero_()
        layer.mlp.down_proj.weight.data.zero_()
    head.mul_(0.5)
    head[ids[1:]] = table[ids[:-1]]
    begins = {tokenizer.encode(text, add_special_tokens=False)[-1] for text in (END_THINKING, "<think>\n")}
    head[ids[0]] = table[torch.tensor([*begins, int(ids[-1])])].sum(0)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def request(tokens: int) -> GenerationRequest:
    step = _PASSAGE + _GAP
    passages = [" ".join(_word(n) for n in range(at * step, at * step + _PASSAGE)) for at in range(_PASSAGES)]
    random.Random(0).shuffle(passages)
    text = "".join(passage.replace(" ", "") + "\n" for passage in passages)
    options = GenerationOptions(max_new_tokens=tokens, max_thinking_tokens=0)
    return GenerationRequest(text, (), (Message("user", text),), options=options, cache_key="quoting")


def measure(start: Callable[[BatchOptions], BatchingEngine], tokens: int) -> dict[str, object]:
    """Medians of the seconds of one whole answer, its prompt's cache kept, without and with guessing."""
    texts: list[tuple[str, str, Finish]] = []
    seconds: list[float] = []
    for rows in (0, 1):
        engine = start(BatchOptions(rows=1, lookup_rows=rows))
        took = []
        for _ in range(_ROUNDS + 1):  # the first reads the prompt
            began = time.perf_counter()
            answer = collect(engine.stream(request(tokens), cancelled=lambda: False))
            took.append(time.perf_counter() - began)
        engine.close()
        texts.append(answer)
        seconds.append(statistics.median(took[1:]))
    quoted = "".join(_word(number) for number in range(_PASSAGE))
    return {
        "identical": texts[0] == texts[1],
        "quotes": texts[0][0].startswith(quoted),
        "tokens": tokens,
        "plain_s": round(seconds[0], 2),
        "guessing_s": round(seconds[1], 2),
        "times": round(seconds[0] / seconds[1], 1),
    }
