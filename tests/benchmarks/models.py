"""Speed of one model under many users, as ratios in one run: `python -m tests.benchmarks.models --device cpu`.

Recipes are those of `inference.quantization` and, where llama.cpp is installed, gguf-KIND (gguf-q4_0). The model has
the shape of a real one and random weights (speed does not depend on what they say), or weights
that make it quote (`quoting`). Prints a table; the last line is JSON.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import torch

from inference import loading
from inference.benchmark import speed
from inference.config import GenerationOptions
from inference.energy import Energy
from inference.engines import llama
from inference.engines.base import GenerationRequest, Message
from inference.engines.batching import BatchingEngine
from inference.engines.gguf import GgufEngine
from inference.engines.running import BatchOptions
from inference.memory import Peak, resident_bytes
from tests.benchmarks import quoting
from tests.inference.gguf.build import write_random
from tests.inference.models.conftest import build_tokenizer

_NAMES = (
    "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "vocab_size",
)  # fmt: skip
SHAPES = {
    "1.5b": dict(zip(_NAMES, (1536, 8960, 28, 12, 2, 151936), strict=True)),
    "7b": dict(zip(_NAMES, (3584, 18944, 28, 28, 4, 152064), strict=True)),
    "tiny": dict(zip(_NAMES, (128, 256, 2, 4, 2, 2000), strict=True)),
}
WORDS = ["travel", "allowance", "euros", "per", "day", "Germany", "pumps", "serviced", "hours", "how", "long", "ten"]


def build(folder: Path, shape: str, *, quotes: bool = False) -> None:
    """Write a model of a shape, unless one is there already."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    if (folder / "tokenizer.json").is_file():
        return  # the last file written

    config = Qwen2Config(
        max_position_embeddings=8192,
        tie_word_embeddings=shape != "7b" and not quotes,
        **SHAPES[shape],
    )
    with torch.device("meta"):
        model = Qwen2ForCausalLM(config).to(torch.bfloat16)
    device = "cuda" if torch.cuda.is_available() else "cpu"  # a billion random numbers take the processor a minute
    model.to_empty(device=device)
    generator = torch.Generator(device).manual_seed(0)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data.normal_(0.0, 0.02, generator=generator)
        else:
            parameter.data.fill_(1.0)
    model.tie_weights()
    if quotes:
        quoting.teach(model.to("cpu"), folder)
        return
    model.save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)


def check(device: str) -> bool:
    """Whether a batch of a tiny model in single precision answers as each request alone."""
    from inference.engines.base import collect
    from inference.engines.transformers import TransformersEngine

    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory) / "tiny"
        build(folder, "tiny")
        loaded = loading.load(folder, device=device)
    loaded.model.float()
    requests = [question(10 + at * 9, 40, at) for at in range(9)]
    single = TransformersEngine(loaded)
    alone = [collect(single.stream(request, cancelled=lambda: False)) for request in requests]
    found: list[object] = [None] * len(requests)
    engine = BatchingEngine(loaded, BatchOptions(rows=8))

    def run(at: int) -> None:
        found[at] = collect(engine.stream(requests[at], cancelled=lambda: False))

    threads = [threading.Thread(target=run, args=(at,)) for at in range(len(requests))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    again = collect(engine.stream(requests[3], cancelled=lambda: False))
    engine.close()
    return found == alone and again == alone[3]


def question(words: int, tokens: int, seed: int, key: str = "") -> GenerationRequest:
    text = " ".join(random.Random(seed).choices(WORDS, k=words))
    options = GenerationOptions(max_new_tokens=tokens, max_thinking_tokens=0)
    return GenerationRequest(text, (), (Message("user", text),), options=options, caller=str(seed), cache_key=key)


@dataclasses.dataclass(frozen=True)
class Rates:
    """Tokens per second of new text: `whole` with the time to read the prompts, `writing` without it."""

    whole: float
    writing: float

    @classmethod
    def between(cls, tokens: int, seconds: float, read: int, reading: float) -> Rates:
        """From a run of so many tokens, and one of the same prompts that ended after the first `read` tokens."""
        return cls(tokens / seconds, (tokens - read) / (seconds - reading))


def each(energy: Energy, tokens: int) -> float | None:
    """Joules for a new token; None where the machine does not tell."""
    return None if energy.joules is None else round(energy.joules / tokens, 3)


def plain(loaded: loading.LoadedModel, words: int, tokens: int) -> tuple[Rates, int]:
    """The library's generate for one user, and how many tokens were written to find it."""
    text = question(words, tokens, 1).messages[0].content
    ids = loaded.tokenizer(text, return_tensors="pt")["input_ids"].to(loaded.device)

    def seconds(tokens: int) -> float:
        began = time.perf_counter()
        with torch.inference_mode():
            loaded.model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=tokens,
                min_new_tokens=tokens,
                do_sample=False,
            )
        if loaded.device != "cpu":
            torch.cuda.synchronize()
        return time.perf_counter() - began

    seconds(tokens)
    whole = statistics.median(seconds(tokens) for _ in range(2))
    return Rates.between(tokens, whole, 1, statistics.median(seconds(1) for _ in range(3))), 3 * tokens + 3


def library_batch(loaded: loading.LoadedModel, requests: list[GenerationRequest]) -> float:
    """Tokens per second of the library's continuous batching over the same requests."""
    from transformers import GenerationConfig

    tokenizer = loaded.tokenizer
    inputs = [tokenizer(request.messages[0].content)["input_ids"] for request in requests]
    tokens = max(request.options.max_new_tokens for request in requests)
    config = GenerationConfig(max_new_tokens=tokens, do_sample=False, eos_token_id=-1, pad_token_id=0)
    began = time.perf_counter()
    out = loaded.model.generate_batch(inputs=inputs, generation_config=config, progress_bar=False)
    return sum(len(item.generated_tokens) for item in out.values()) / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default=loading.default_device())
    parser.add_argument("--shape", choices=SHAPES, default="1.5b")
    parser.add_argument("--recipes", default="none")
    parser.add_argument("--users", default="1,8,16")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--words", type=int, default=64)
    parser.add_argument("--baseline", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--library-batch", type=int, default=0, help="requests for the library's continuous batching")
    parser.add_argument("--requests-per-user", type=int, default=1)
    parser.add_argument("--sequential", type=int, default=8, help="mixed requests answered one after another; 0: none")
    parser.add_argument(
        "--quoting", action=argparse.BooleanOptionalAction, default=True, help="measure answers that quote, too"
    )
    parser.add_argument("--folder", type=Path, help="where models of the shape are kept for the next run")
    arguments = parser.parse_args()
    results: dict[str, object] = {
        "device": arguments.device,
        "shape": arguments.shape,
        "processor": processor(),
        "threads": torch.get_num_threads(),
    }
    results["batch_equals_alone"] = check(arguments.device)
    print(f"tiny model: a batch answers as each request alone: {results['batch_equals_alone']}", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        folder = (arguments.folder or Path(directory)) / arguments.shape
        build(folder, arguments.shape)
        loaded = loading.load(folder, device=arguments.device)
        if arguments.baseline == "float32":
            loaded.model.float()
        with Energy(arguments.device) as energy:
            base, written = plain(loaded, arguments.words, min(arguments.tokens, 32))
        results |= {"energy": energy.source, "generate_joules_per_token": each(energy, written)}
        results["generate_tokens_per_second"] = round(base.whole, 2)
        results["generate_writing"] = round(base.writing, 2)
        print(
            f"plain generate, {arguments.baseline}, one user: {base.whole:.1f} tokens/s, writing {base.writing:.1f}",
            flush=True,
        )
        if count := arguments.library_batch:
            rate = library_batch(loaded, [question(16 + at % 7 * 16, arguments.tokens, at) for at in range(count)])
            results[f"library_batch_{count}"] = round(rate, 1)
            print(f"library's continuous batching, {count} requests: {rate:.0f} tokens/s", flush=True)
        del loaded
        for recipe in arguments.recipes.split(","):
            results[recipe] = found = measure(folder, recipe, arguments, base)
            print(json.dumps({recipe: found}), flush=True)
            if arguments.quoting and not recipe.startswith("gguf-"):
                found["quoting"] = measure_quoting(folder, recipe, arguments)
    print(json.dumps(results))


def measure(folder: Path, recipe: str, arguments: argparse.Namespace, base: Rates) -> dict[str, object]:
    if recipe.startswith("gguf-"):
        return measure_gguf(folder, recipe, arguments, base)
    began = time.perf_counter()
    with Peak(arguments.device) as peak:
        loaded = loading.load(folder, quantize=recipe, device=arguments.device)  # type: ignore[arg-type]
    found: dict[str, object] = {
        "load_s": round(time.perf_counter() - began, 1),
        "bytes": loaded.bytes,
        "of_16_bits": round(loaded.bytes / sum(path.stat().st_size for path in folder.glob("*.safetensors")), 3),
        "load_peak_ratio": round(peak.bytes / loaded.bytes, 3),
    }
    if loaded.quality:
        found["cosine"], found["agreement"] = round(loaded.quality.cosine, 5), loaded.quality.agreement
    return found | serve(lambda options: BatchingEngine(loaded, options), recipe, arguments, base)


def measure_quoting(folder: Path, recipe: str, arguments: argparse.Namespace) -> dict[str, object]:
    again = folder.with_name(f"{folder.name}-quotes")
    build(again, arguments.shape, quotes=True)
    loaded = loading.load(again, quantize=recipe, device=arguments.device)  # type: ignore[arg-type]
    found = quoting.measure(lambda options: BatchingEngine(loaded, options), 2 * arguments.tokens)
    print(f"{recipe:>9} an answer that quotes, with guessing: {found['times']} times sooner; {found}", flush=True)
    return found


def processor() -> str:
    """What the kernel calls it."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in line
    ]
    return names[0] if names else ""


def measure_gguf(folder: Path, recipe: str, arguments: argparse.Namespace, base: Rates) -> dict[str, object]:
    """The same shape as a GGUF file, its matrices as the recipe says."""
    into = folder.parent / recipe
    into.mkdir()
    words = max(SHAPES[arguments.shape]["vocab_size"], 2048)
    kind = recipe.removeprefix("gguf-").upper()
    file = write_random(into / "model.gguf", folder, SHAPES[arguments.shape], vocabulary=words, kind=kind)
    llama.library()  # so that its code is not counted
    before, began = resident_bytes(), time.perf_counter()
    with Peak() as peak:
        engine = GgufEngine(into, options=BatchOptions(rows=1, cache_bytes=2**26))
    kept = resident_bytes() - before  # with the cache and the buffers of a step
    found = {"load_s": round(time.perf_counter() - began, 1), "bytes": engine.bytes, "disk": file.stat().st_size}
    engine.close()
    found |= {"load_peak_ratio": round(peak.bytes / kept, 3), "kept_ratio": round(kept / found["bytes"], 3)}

    def start(options: BatchOptions) -> BatchingEngine:
        # the whole cache is taken at the start
        return GgufEngine(into, options=dataclasses.replace(options, cache_bytes=2**29))

    return found | serve(start, recipe, arguments, base)


def serve(
    start: Callable[[BatchOptions], BatchingEngine], recipe: str, arguments: argparse.Namespace, base: Rates
) -> dict[str, object]:
    found: dict[str, object] = {}
    users = [int(number) for number in arguments.users.split(",")]
    options = BatchOptions(rows=max(users), prefill_tokens=4096 if arguments.device != "cpu" else 256, lookup_rows=0)
    if arguments.device != "cpu":
        options = BatchOptions(rows=max(users), prefill_tokens=4096, cache_bytes=2**35, lookup_rows=0)
    engine = start(options)
    for number in users:
        count = number * arguments.requests_per_user
        mixed = [question(16 + at % 7 * 16, arguments.tokens, at) for at in range(count)]
        if arguments.device != "cpu":
            speed(engine, mixed, users=number)  # records the graphs
        with Energy(arguments.device) as energy:
            run = speed(engine, mixed, users=number)
        only = speed(engine, [question(16 + at % 7 * 16, 1, at) for at in range(count)], users=number)
        rates = Rates.between(run.tokens, run.seconds, only.tokens, only.seconds)
        found[f"users_{number}"] = {
            "tokens_per_second": round(rates.whole, 1),
            "first_token_ms": round(run.first_token_ms, 1),
            "times_generate": round(rates.whole / base.whole, 1),
            "writing": round(rates.writing, 1),
            "times_writing": round(rates.writing / base.writing, 1),
            "joules_per_token": each(energy, run.tokens),
        }
        print(
            f"{recipe:>9} {number:>4} users: {rates.whole:9.1f} tokens/s, {rates.whole / base.whole:7.1f} times "
            f"generate; writing {rates.writing:9.1f}, {rates.writing / base.writing:7.1f} times; "
            f"first token {run.first_token_ms:8.1f} ms",
            flush=True,
        )
    if count := arguments.sequential:
        mixed = [question(16 + at % 7 * 16, arguments.tokens, at) for at in range(count)]
        alone = speed(engine, mixed, users=1).tokens_per_second
        together = speed(engine, mixed, users=count).tokens_per_second
        found["sequential"] = {"requests": count, "tokens_per_second": round(alone, 1), "times": together / alone}
        print(
            f"{recipe:>9} {count} mixed requests together: {together / alone:.1f} times one after another", flush=True
        )
    engine.close()
    cold, warm, tokens = prefix(start, arguments)
    found["prefix"] = {"tokens": tokens, "cold_ms": cold, "warm_ms": warm, "times": round(cold / warm, 1)}
    print(f"{recipe:>9} first token of {tokens} tokens: cold {cold:.0f} ms, warm {warm:.0f} ms", flush=True)
    return found


def prefix(start: Callable[[BatchOptions], BatchingEngine], arguments: argparse.Namespace) -> tuple[float, float, int]:
    """Milliseconds to the first token of a long prompt, read whole and continued; its tokens."""
    engine = start(BatchOptions(rows=1, lookup_rows=0))
    try:
        words = 1000
        if arguments.device == "cpu":
            words = next(n for n in range(100, 1001, 20) if engine.count_tokens(question(n, 2, 9).question) >= 1024)
        for _ in range(2):  # records what a CUDA device replays
            speed(engine, [question(words, 2, 7, key="w")], users=1)
        cold = speed(engine, [question(words, 2, 9, key="k")], users=1).first_token_ms
        warm = speed(engine, [question(words, 2, 9, key="k")], users=1).first_token_ms
        return round(cold, 1), round(warm, 1), engine.count_tokens(question(words, 2, 9).question)
    finally:
        engine.close()


if __name__ == "__main__":
    main()
