"""Models as training needs them: weights in single precision, saved as plain transformers folders, measured.

Knows transformers and clocks. Weights are read from safetensors only and no code from a folder is ever run.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from inference.errors import ModelCorrupt, ModelNotFound
from inference.runs.data import IGNORED, Batch, Examples

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase


def tokenizer_of(folder: Path) -> PreTrainedTokenizerBase:
    """Raises ModelNotFound."""
    from transformers import AutoTokenizer

    if not (folder / "tokenizer.json").is_file():
        raise ModelNotFound(f"{folder} holds no tokenizer.json.", hint="Name a model folder.")
    found: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False
    )
    return found


def load(folder: Path, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """A causal language model to train or to learn from. Raises ModelNotFound, ModelCorrupt."""
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    if not (folder / "config.json").is_file():
        raise ModelNotFound(f"{folder} holds no config.json.", hint="Name a model folder.")
    try:
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, local_files_only=True, use_safetensors=True, trust_remote_code=False
        )
    except (SafetensorError, json.JSONDecodeError, KeyError, ValueError, OSError) as error:
        raise ModelCorrupt(f"{folder.name} cannot be loaded: {error}", hint="Import the model again.") from error
    placed: PreTrainedModel = model.to(device)  # type: ignore[arg-type]
    return placed


def new(config: PreTrainedConfig, *, seed: int) -> PreTrainedModel:
    """An untrained model."""
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    return model


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> int:
    """Write a plain model folder in 16 bits; the bytes of its weights."""
    state = {name: value.to(torch.bfloat16) for name, value in model.state_dict().items()}
    model.config.dtype = torch.bfloat16
    model.save_pretrained(folder, state_dict=state, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def parameters(model: torch.nn.Module) -> int:
    return sum(value.numel() for value in model.parameters())


@torch.no_grad()
def quality(model: PreTrainedModel, examples: Examples, *, batch: int = 16, bf16: bool = False) -> dict[str, float]:
    """Of next tokens on labelled positions: `loss` (nats), `perplexity`, `accuracy` (of the likeliest token)."""
    device = model.device
    loss = right = count = 0.0
    model.eval()
    for at in range(0, len(examples), batch):
        piece = {
            key: value.to(device) for key, value in examples.batch(range(at, min(at + batch, len(examples)))).items()
        }
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
            mask = None if "packed" in piece else piece["attention_mask"]
            logits = model(input_ids=piece["input_ids"], attention_mask=mask, use_cache=False).logits
        losses, hits, known = token_scores(logits, piece)
        loss, right, count = (
            loss + float(losses[known].sum()),
            right + float(hits[known].sum()),
            count + float(known.sum()),
        )
    count = max(count, 1.0)
    mean = loss / count
    return {
        "loss": round(mean, 5),
        "perplexity": round(float(torch.tensor(mean).exp()), 4),
        "accuracy": round(right / count, 5),
    }


def token_scores(logits: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(loss, whether the likeliest token is right, whether the position counts), each (rows, length - 1)."""
    labels = batch["labels"][:, 1:]
    flat = logits[:, :-1].float()
    losses = torch.nn.functional.cross_entropy(flat.transpose(1, 2), labels, reduction="none", ignore_index=IGNORED)
    return losses, flat.argmax(-1) == labels, labels != IGNORED


@torch.inference_mode()
def seconds_per_token(model: Any, prompt: Sequence[int], *, tokens: int = 64, repeats: int = 3) -> float:
    """Greedy, one sequence, with kept keys and values; the median of some repeats. Prompt reading is not counted."""
    device = model.device
    found = []
    for _ in range(repeats + 1):
        out = model(input_ids=torch.tensor([list(prompt)], device=device), use_cache=True)
        token = out.logits[:, -1:].argmax(-1)
        _wait(device)
        began = time.perf_counter()
        for _ in range(tokens):
            out = model(input_ids=token, past_key_values=out.past_key_values, use_cache=True)
            token = out.logits[:, -1:].argmax(-1)
        _wait(device)
        found.append((time.perf_counter() - began) / tokens)
    return statistics.median(found[1:])


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
