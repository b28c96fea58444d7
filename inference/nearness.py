"""How near a quantized model is to the unquantized one: perplexity and next-token agreement on a text.

The unquantized model is run layer by layer from its file, so that memory never holds it; the output heads run in single
precision over pieces of the vocabulary, on both sides alike. Families that are not loaded layer by layer are in memory
once, one after the other. Knows tokenizers, layers and losses. What is near enough is the gate's to say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inference.errors import QuantizationRefused

if TYPE_CHECKING:
    import torch

    from inference.engines.llama import LlamaRunner
    from inference.loading import LoadedModel
    from inference.weights import Rows

    Scores = tuple[torch.Tensor, torch.Tensor]  # loss of the token that follows, likeliest token; for each position

WINDOW = 512  # tokens that are read together
WINDOWS = 8  # of them, from all over the text
LEAST = 64  # tokens, below which nothing is measured
_PIECE = 4096  # tokens of the vocabulary looked at together
_AT_ONCE = 64  # positions whose logits are in memory together
Told = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Nearness:
    """Over `positions` next tokens."""

    perplexity_before: float
    perplexity_after: float
    agreement: float
    positions: int


def measure(original: Path, loaded: LoadedModel, text: str, *, told: Told = lambda done, total: None) -> Nearness:
    """Hold a loaded model against the unquantized folder. `told` may raise to stop.

    Raises QuantizationRefused (the text is too short), and what `loading.load` raises.
    """
    ids = loaded.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    windows = _windows(ids, min(WINDOW, loaded.context))
    return _compared(original, windows, lambda window: _scores_of(loaded, window), loaded.device, told)


def measure_gguf(original: Path, folder: Path, text: str, *, told: Told = lambda done, total: None) -> Nearness:
    """As `measure`, for the GGUF model in `folder`, run by llama.cpp; QuantizationRefused also when the two are not the
    same model."""
    from transformers import AutoTokenizer

    from inference.engines.llama import LlamaModel, LlamaRunner
    from inference.store import gguf_adapter, gguf_weights, read_header

    path = gguf_weights(folder)[0]
    header = read_header(path)
    model = LlamaModel(path, gguf_adapter(folder))
    length = min(WINDOW, header.context)
    try:
        ids = model.encode(text)
        tokenizer: Any = AutoTokenizer.from_pretrained(original, local_files_only=True, trust_remote_code=False)
        if ids != tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]:
            raise QuantizationRefused(
                f"{original.name} and {folder.name} cut text into different tokens.",
                hint="Name the model that the file was made from.",
            )
        windows = _windows(ids, length)
        token = max(1, header.token_bytes)
        runner = LlamaRunner(model, rows=1, cells=length, outputs=_AT_ONCE, batch=_AT_ONCE, token_bytes=token)
    except BaseException:
        model.close()
        raise
    try:
        return _compared(original, windows, lambda window: _scores_by(runner, window), "cpu", told)
    finally:
        runner.close()


def _scores_by(runner: LlamaRunner, window: torch.Tensor) -> Scores:
    import torch

    ids, parts = window[0].tolist(), []
    runner.cache.add()
    for at in range(0, len(ids) - 1, _AT_ONCE):
        piece = ids[at : min(at + _AT_ONCE, len(ids) - 1)]
        targets = window[0, at + 1 : at + 1 + len(piece)]
        parts.append(_from_logits(runner.run(0, [piece], [len(piece)]), targets))
    runner.cache.drop_last()
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])


def _compared(
    original: Path, windows: list[torch.Tensor], scores: Callable[[torch.Tensor], Scores], device: str, told: Told
) -> Nearness:
    import torch

    with torch.inference_mode():
        after = [scores(window) for window in windows]
        before = _original(original, windows, device, told)
    same = torch.cat([a[1] == b[1] for a, b in zip(after, before, strict=True)])
    losses = [torch.cat([each[0] for each in found]).double().mean().exp() for found in (before, after)]
    return Nearness(
        round(float(losses[0]), 4), round(float(losses[1]), 4), round(float(same.float().mean()), 4), len(same)
    )


def _windows(ids: list[int], length: int) -> list[torch.Tensor]:
    """Up to WINDOWS pieces (1, length), evenly from the text."""
    import torch

    if len(ids) < LEAST:
        raise QuantizationRefused(
            f"The text has {len(ids)} tokens; at least {LEAST} are needed to measure anything.",
            hint="Name a longer text, a few pages of what the model will be asked about.",
        )
    starts = list(range(0, max(1, len(ids) - length + 1), length))
    step = max(1, len(starts) // WINDOWS)
    return [torch.tensor([ids[start : start + length]]) for start in starts[::step][:WINDOWS]]


def _scores_of(loaded: LoadedModel, window: torch.Tensor) -> Scores:
    from torch import nn

    from inference.dynamic import FAMILIES

    model: Any = loaded.model
    ids, targets = window.to(loaded.device), window[0, 1:].to(loaded.device)
    if model.config.model_type not in FAMILIES:
        return _from_logits(model(input_ids=ids, use_cache=False).logits[0, :-1].float(), targets)
    states = model.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state[0, :-1]
    if isinstance(model.lm_head, nn.Linear):
        return _from_head(states, model.lm_head.weight, targets)
    import torch

    parts = [
        _from_logits(model.lm_head(states[at : at + _AT_ONCE]), targets[at : at + _AT_ONCE])
        for at in range(0, len(states), _AT_ONCE)
    ]
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])


def _original(folder: Path, windows: list[torch.Tensor], device: str, told: Told) -> list[Scores]:
    from inference import layerwise, loading

    if layerwise.suits(folder):
        return _streamed(folder, windows, device, told)
    plain = loading.load(folder, device=device)
    return [_scores_of(plain, window) for window in windows]


def _streamed(folder: Path, windows: list[torch.Tensor], device: str, told: Told) -> list[Scores]:
    """One layer at a time over all windows; every layer is let go before the next is read."""
    import torch

    from inference import dynamic
    from inference.memory import give_back
    from inference.weights import Weights

    weights = Weights(folder)
    model: Any = dynamic.empty(folder)
    body = model.get_decoder()
    body.rotary_emb.to(device)
    table = weights["model.embed_tokens.weight"]
    states = [torch.nn.functional.embedding(window[0], table)[None].to(device) for window in windows]
    head = weights.rows("lm_head.weight" if "lm_head.weight" in weights else "model.embed_tokens.weight")
    del table
    count = len(body.layers)
    for number in range(count):
        layer, body.layers[number] = body.layers[number], torch.nn.Identity()
        dynamic.materialize(layer, f"model.layers.{number}.", weights)
        layer.to(device)
        states = [dynamic.run(body, layer, state) for state in states]
        del layer
        give_back()
        told(number + 1, count)
    dynamic.materialize(body.norm, "model.norm.", weights)
    body.norm.to(device)
    pairs = zip(states, windows, strict=True)
    return [_from_head(body.norm(state)[0, :-1], head, window[0, 1:].to(device)) for state, window in pairs]


def _from_head(states: torch.Tensor, head: torch.Tensor | Rows, targets: torch.Tensor) -> Scores:
    """`states` (n, d), `head` (vocabulary, d), `targets` (n): pieces of the vocabulary, one after the other."""
    import torch

    states = states.float()
    best = torch.full((len(states),), float("-inf"), device=states.device)
    total, right = best.clone(), best.clone()
    place = torch.zeros(len(states), dtype=torch.long, device=states.device)
    for start in range(0, head.shape[0], _PIECE):
        logits = states @ head[start : start + _PIECE].to(states.device).float().T
        value, index = logits.max(1)
        place = torch.where(value > best, index + start, place)
        best = torch.maximum(best, value)
        total = torch.logaddexp(total, logits.logsumexp(1))
        here = (targets >= start) & (targets < start + _PIECE)
        right[here] = logits[here, targets[here] - start]
    return (total - right).cpu(), place.cpu()


def _from_logits(logits: torch.Tensor, targets: torch.Tensor) -> Scores:
    import torch

    return torch.nn.functional.cross_entropy(logits, targets, reduction="none").cpu(), logits.argmax(1).cpu()
