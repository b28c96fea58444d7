"""Fine-tune: ``python -m inference.finetuning --model DIR --data questions.jsonl --out DIR [--method lora]``.

lora        low-rank adapters (Hu et al. 2022) on the attention and inner layers; `adapter/`, and with --merge `model/`
qlora       the same over a base in nf4 (Dettmers et al. 2023)
rounding    all weights, rounded to `--grid` while they learn (quantization-aware); `model/`, judged by the guard

Only answers are learned, never prompts. A killed run goes on when the same command is given again; the last line of
stdout is one JSON object.
"""

from __future__ import annotations

import argparse
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import torch

from inference import loading
from inference.distillation.objective import Supervised
from inference.finetuning import guard, rounding
from inference.quantization import Quantization
from inference.runs import command, models
from inference.runs.data import Examples

TOOL = "inference.finetuning"
_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog=f"python -m {TOOL}", description=__doc__)
    made.add_argument("--model", type=Path, required=True)
    made.add_argument("--method", choices=("lora", "qlora", "rounding"), default="lora")
    made.add_argument("--rank", type=int, default=16)
    made.add_argument("--lora-alpha", type=float, default=32.0)
    made.add_argument("--dropout", type=float, default=0.05)
    made.add_argument("--merge", action="store_true", help="also write a whole model, ready to be imported")
    made.add_argument("--grid", choices=("int8", "nf4"), default="int8")
    made.add_argument("--limit", type=float, default=0.05, help="rise of the perplexity that quantization may cost")
    command.add_common(made, steps=300, rate=2e-4)
    return made


def work(run: command.Run) -> dict[str, Any]:
    """The run itself."""
    given, path = run.settings, Path(run.settings["model"])
    tokenizer = models.tokenizer_of(path)
    training, held, findings, numbers = run.items(tokenizer)
    learned, judged = run.examples(training, tokenizer), run.examples(held, tokenizer)
    model = _base(path, given["method"], run.device)
    results: dict[str, Any] = {"data": numbers, "before": models.quality(model, judged)}
    if given["method"] == "rounding":
        rounding.begin(model, given["grid"])
    else:
        model = _adapted(model, given)
    trained = run.fit(Supervised(model), learned, judged, vocabulary=int(model.config.vocab_size))
    if given["method"] == "rounding":
        rounding.end(model)
    results["after"] = models.quality(model, judged)
    results["training"] = {key: value for key, value in asdict(trained).items() if key != "findings"}
    results["trained_parameters"] = sum(value.numel() for value in model.parameters() if value.requires_grad)
    said = [*findings, *trained.findings]
    if run.workers.first:
        said += _keep(run, model, tokenizer, judged, results)
    data = [Path(item) for item in (*given["data"], *given["held_out"], path)]
    return run.finish(data=data, results=results, findings=said)


def _base(path: Path, method: str, device: str) -> Any:
    if method != "qlora":
        return models.load(path, device=device)
    from peft import prepare_model_for_kbit_training

    quantized = loading.load(path, quantize="nf4", device=device).model
    for layer in quantized.modules():
        # On processors with AVX512-BF16, bitsandbytes would repack the weights at the first measurement, for good, into
        # a form that no gradient goes through (`matmul_4bit` adds the bias in place).
        if hasattr(layer, "support_avx512bf16_for_cpu"):
            setattr(layer, "support_avx512bf16_for_cpu", False)  # noqa: B010 - not a field of every module
    with _without_noise():
        return prepare_model_for_kbit_training(quantized, use_gradient_checkpointing=False)


@contextmanager
def _without_noise() -> Iterator[None]:
    """peft asks transformers for checkpointing by its former name; the pinned versions agree on what it means."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*gradient_checkpointing.*", category=FutureWarning)
        yield


def _adapted(model: Any, given: Any) -> Any:
    from peft import LoraConfig, get_peft_model

    present = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    config = LoraConfig(
        r=given["rank"],
        lora_alpha=given["lora_alpha"],
        lora_dropout=given["dropout"],
        target_modules=[name for name in _TARGETS if name in present],
        task_type="CAUSAL_LM",
    )
    torch.manual_seed(given["seed"])
    with _without_noise():
        return get_peft_model(model, config)


def _keep(run: command.Run, model: Any, tokenizer: Any, judged: Examples, results: dict[str, Any]) -> list[str]:
    given, out = run.settings, run.folder.path
    if given["method"] == "rounding":
        results["bytes"] = models.save(model, tokenizer, out / "model")
        recipe = cast("Quantization", {"int8": "dynamic8", "nf4": "nf4"}[given["grid"]])
        if recipe == "dynamic8" and run.device.startswith("cuda"):
            recipe = "int8"
        found = guard.judge(out / "model", recipe, judged, device=run.device)
        results["quantized"] = {"recipe": recipe, "loss": round(found.loss, 5), **found.after}
        return guard.guard(found, limit=given["limit"])
    with _without_noise():
        model.save_pretrained(out / "adapter", safe_serialization=True)
    (out / "adapter" / "README.md").unlink(missing_ok=True)
    results["bytes"] = sum(item.stat().st_size for item in (out / "adapter").glob("*.safetensors"))
    if given["merge"]:
        # over the base as it is on disk: an adapter learned over nf4 is added to the weights nf4 was made from
        from peft import PeftModel

        with _without_noise():
            base = PeftModel.from_pretrained(models.load(Path(given["model"])), str(out / "adapter"))
        shutil.rmtree(out / "model", ignore_errors=True)
        results["merged_bytes"] = models.save(base.merge_and_unload(), tokenizer, out / "model")
    return []


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    return command.run(TOOL, parser(), work, arguments)
