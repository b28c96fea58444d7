"""Train the reader: ``python -m inference.training.evidence --data DIR --encoder DIR --out DIR``.

Made are items from the question files, one reader per fold (so that every question is judged by a reader that has not
seen its article), and one on all of them, which is the one that is shipped. A part
that is already in ``--out`` is not made again, so an interrupted run resumes. ``inference.training.finish``
then fits the calibration on the out-of-fold judgements, packs the weights and writes the card.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import multiprocessing
import random
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import AutoModel

from inference.reading.linear import LinearModel
from inference.reading.network import ReaderNetwork, adapt
from inference.reading.window import character_table, load_tokenizer
from inference.training import qa
from inference.training.augment import neighbours
from inference.training.corpus import archive_passages
from inference.training.items import Item, Maker
from inference.training.tensors import Block, block, load_block, loss, save_block

log = logging.getLogger(__name__)

SETS = (
    "squad2_devhalf", "expmrc_squad", "policyqa_dev", "tatqa_dev", "covidqa", "cmrc2018_trial", "drcd_dev",
)  # fmt: skip
SHARE = {"policyqa_dev": 0.5}
PLAIN = ("musique_small100", "hotpotqa_small100", "anthropic_docs")
CLOZE_SHARE = {
    "musique_small100": 3.0, "hotpotqa_small100": 2.0, "squad2_devhalf": 2.0, "drcd_dev": 3.5, "cmrc2018_trial": 2.5,
}  # fmt: skip
CLOZES_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run depends on; goes into the card. The defaults are those of the shipped reader."""

    folds: int = 4
    steps: int = 2300
    batch: int = 128
    rank: int = 32
    rate: float = 6e-4
    head_rate: float = 1.5e-3
    clozes: int = 90000
    cloze_share: float = 0.44
    budget: int = 320
    seed: int = 1
    hold_out: str = ""
    full: bool = False


def fold_of(group: str, folds: int) -> int:
    """The fold of an article; the same in every run."""
    return int(hashlib.sha256(group.encode()).hexdigest()[:8], 16) % folds


_MAKERS: dict[str, Maker] = {}
_NEAR: dict[str, tuple[str, ...]] = {}


def _make(task: tuple[str, str, int]) -> list[Item]:
    name, what, number = task
    maker = _MAKERS[name]
    if what == "train":
        return maker.training(maker.examples[number], 0) + maker.training(maker.examples[number], 1)
    if what == "measure":
        return maker.measuring(maker.examples[number])
    return maker.clozes(CLOZES_AT_ONCE, number, _NEAR)


def make_items(
    data: Path, corpora: Sequence[Path], encoder: Path, settings: Settings, workers: int, sets: Sequence[str] = SETS
) -> tuple[list[Item], list[Item], list[Item]]:
    """(training, measuring, cloze) items of all sets, made by ``workers`` processes."""
    tokenizer = load_tokenizer((encoder / "tokenizer.json").read_text("utf-8"))
    linear = LinearModel.packaged()
    tasks: list[tuple[str, str, int]] = []
    for name in sets:
        examples = [example for example in qa.load(data, name) if example.gold or not example.answerable]
        _MAKERS[name] = Maker(examples, tokenizer, linear, settings.budget)
        for number in range(len(examples)):
            tasks.append((name, "measure", number))
            if SHARE.get(name, 1.0) > random.Random(f"{name}{number}").random():  # noqa: S311
                tasks.append((name, "train", number))
    for name in PLAIN:
        if (data / f"{name}.contexts.jsonl").exists():
            texts = qa.rows(data / f"{name}.contexts.jsonl")
            more = [item for row in texts for item in qa.passages_of(row["ctx_id"], row["title"], row["text"])]
            _MAKERS[name] = Maker([], tokenizer, linear, settings.budget, more)
    for path in corpora:
        _MAKERS[path.name] = Maker([], tokenizer, linear, settings.budget, archive_passages(path, 4000))
    _NEAR.update(neighbours(encoder))
    shares = {name: CLOZE_SHARE.get(name, 1.0) for name in _MAKERS}
    for name, share in shares.items():
        count = settings.clozes * share / sum(shares.values()) / CLOZES_AT_ONCE
        tasks += [(name, "cloze", number) for number in range(round(count))]
    random.Random(settings.seed).shuffle(tasks)  # noqa: S311
    found: dict[str, list[Item]] = {"train": [], "measure": [], "cloze": []}
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        for task, items in zip(tasks, pool.imap(_make, tasks, chunksize=32), strict=True):
            found[task[1]].extend(items)
    return found["train"], found["measure"], found["cloze"]


def build(encoder: Path, settings: Settings) -> ReaderNetwork:
    """A reader with untrained additions."""
    torch.manual_seed(settings.seed)
    base = AutoModel.from_pretrained(encoder, dtype=torch.float32, attn_implementation="sdpa")
    if not settings.full:
        for parameter in base.parameters():
            parameter.requires_grad_(False)
        adapt(base, settings.rank)
    return ReaderNetwork(base, len(character_table()))


def _order(lengths: torch.Tensor, batch: int, chance: np.random.Generator) -> list[torch.Tensor]:
    """Batches of like lengths, in random order."""
    order = torch.from_numpy(chance.permutation(len(lengths)))
    batches = []
    for first in range(0, len(order) - batch + 1, batch * 32):
        part = order[first : first + batch * 32]
        part = part[lengths[part].argsort()]
        batches += [part[at : at + batch] for at in range(0, len(part) - batch + 1, batch)]
    chance.shuffle(batches)
    return batches


def train(
    encoder: Path, data: Block, clozes: Block | None, settings: Settings, device: str, name: str
) -> ReaderNetwork:
    """Train one reader; returns it with averaged weights, in evaluation mode."""
    network = build(encoder, settings).to(device)
    trained = dict(network.own())
    slow = [value for key, value in trained.items() if key.startswith("encoder")]
    quick = [value for key, value in trained.items() if not key.startswith("encoder")]
    optimizer = torch.optim.AdamW(
        [{"params": slow, "lr": settings.rate}, {"params": quick, "lr": settings.head_rate}], weight_decay=0.01
    )
    first = int(settings.steps * settings.cloze_share) if clozes is not None else 0

    def factor(step: int) -> float:
        done = step / settings.steps
        return min(1.0, step / 100) * (0.5 * (1 + float(np.cos(np.pi * done))) + 0.01)

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    average = {key: value.detach().clone() for key, value in trained.items()}
    chance = np.random.default_rng(settings.seed)
    network.train()
    queue: list[torch.Tensor] = []
    started, seen = time.monotonic(), 0.0
    source = clozes if clozes is not None and first else data
    for step in range(settings.steps):
        if step == first:
            source, queue = data, []
        if not queue:
            queue = _order(source.length.cpu(), settings.batch, chance)
        batch, labels = source.batch(queue.pop().to(device))
        with torch.autocast(device.split(":")[0], dtype=torch.bfloat16):
            value = loss(network(batch), labels)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        torch.nn.utils.clip_grad_norm_(trained.values(), 1.0)
        optimizer.step()
        schedule.step()
        keep = min(0.998, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.values()), list(trained.values()), 1 - keep)
        if step % 100 == 99:
            seen = float(value.detach())
            log.info("%s step %d loss %.3f %.0fs", name, step + 1, seen, time.monotonic() - started)
    with torch.no_grad():
        for key, value in trained.items():
            value.copy_(average[key])
    return network.eval()


@torch.inference_mode()
def judge(network: ReaderNetwork, data: Block, device: str, batch: int = 256) -> dict[str, np.ndarray]:
    """Sentence logits ``(n, s)``, answer logit, and null-span margin of every item."""
    slots = data.real.shape[1]
    sentence = np.full((len(data), slots), -1e4, dtype=np.float32)
    answer = np.zeros(len(data), dtype=np.float32)
    margin = np.zeros(len(data), dtype=np.float32)
    order = data.length.argsort().cpu()
    for first in range(0, len(data), batch):
        rows = order[first : first + batch]
        with torch.autocast(device.split(":")[0], dtype=torch.bfloat16):
            inputs, _ = data.batch(rows.to(device))
            out = network(inputs)
        sentence[rows.numpy(), : out["sentence"].shape[1]] = out["sentence"].float().cpu().numpy()
        answer[rows.numpy()] = out["answer"].float().cpu().numpy()
        nothing = out["start"][:, 0] + out["end"][:, 0]
        best = out["start"][:, 1:].amax(1) + out["end"][:, 1:].amax(1)
        margin[rows.numpy()] = (best - nothing).float().cpu().numpy()
    return {"sentence": sentence, "answer": answer, "margin": margin}


def _run(part: str, encoder: Path, out: Path, folder: Path, settings: Settings, device: str) -> None:
    """Train the reader of one part (``fold-N`` or ``all``) and write its judgements and weights."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    training, measuring = load_block(out / "training.safetensors"), load_block(out / "measuring.safetensors")
    held = int(part.rpartition("-")[2]) if part.startswith("fold") else -1

    def inside(key: Sequence[str]) -> bool:
        return key[0] not in settings.hold_out.split(",") and fold_of(key[1], settings.folds) != held

    keys = json.loads((out / "training.json").read_text("utf-8"))
    chosen = training.rows([index for index, key in enumerate(keys) if inside(key)]).to(device)
    clozes = None
    if settings.clozes:
        keys = json.loads((out / "cloze.json").read_text("utf-8"))
        usable = [index for index, key in enumerate(keys) if inside(key)]
        clozes = load_block(out / "cloze.safetensors").rows(usable).to(device)
    network = train(encoder, chosen, clozes, settings, device, f"{folder.name} {part}")
    keys = json.loads((out / "measuring.json").read_text("utf-8"))
    rows = [index for index, key in enumerate(keys) if held < 0 or not inside(key)]
    judged = judge(network, measuring.rows(rows).to(device), device)
    if not settings.full:
        weights = {name: value.detach().half().cpu().contiguous() for name, value in network.own()}
        hardware = torch.cuda.get_device_name(device) if device.startswith("cuda") else "CPU"
        facts = {"settings": json.dumps(asdict(settings)), "hardware": hardware}
        save_file(weights, folder / f"{part}.safetensors", facts)
    partial = folder / f"{part}.partial.npz"
    np.savez_compressed(
        partial,
        rows=np.asarray(rows),
        sentence=judged["sentence"],
        answer=judged["answer"],
        margin=judged["margin"],
    )
    partial.replace(folder / f"{part}.judged.npz")  # last, for it says that the part is done
    log.info("%s %s done", folder.name, part)


def _prepare(given: argparse.Namespace, settings: Settings) -> None:
    """Make all items and keep them in the output folder; nothing when they are there."""
    if (given.out / "cloze.safetensors").exists():
        return
    started = time.monotonic()
    made = make_items(given.data, given.corpora, given.encoder, settings, given.workers, given.sets)
    log.info("%s training, measuring, cloze items in %.0fs", [*map(len, made)], time.monotonic() - started)
    for name, items in zip(("training", "measuring", "cloze"), made, strict=True):
        keys = [[item.set, item.group, item.id, item.mode, item.answerable, item.reachable] for item in items]
        (given.out / f"{name}.json").write_text(json.dumps(keys), "utf-8")
        save_block(block(items), given.out / f"{name}.safetensors")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m inference.training.evidence", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of question files")
    parser.add_argument("--corpora", type=Path, nargs="*", default=[], help="tar archives of plain prose")
    parser.add_argument("--encoder", type=Path, required=True, help="folder of all-MiniLM-L6-v2")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=[*SETS], help="sets whose questions are learned")
    parser.add_argument("--device", default="cuda", help="cuda or cpu")
    parser.add_argument("--workers", type=int, default=multiprocessing.cpu_count())
    parser.add_argument("--parts", default="", help="comma-separated: fold-0, …, all; default every part")
    parser.add_argument("--variants", default="", help="JSON: name -> {settings, parts} to compare")
    for name, value in asdict(Settings()).items():
        flag = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            parser.add_argument(flag, action="store_true")
        else:
            parser.add_argument(flag, type=type(value), default=value)
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    settings = Settings(**{name: getattr(given, name) for name in asdict(Settings())})
    given.out.mkdir(parents=True, exist_ok=True)
    _prepare(given, settings)
    parts = given.parts.split(",") if given.parts else [*(f"fold-{n}" for n in range(settings.folds)), "all"]
    variants = json.loads(given.variants) if given.variants else {"reader": {}}
    jobs = []
    for label, changes in variants.items():
        folder = given.out / label
        folder.mkdir(exist_ok=True)
        changed = Settings(**{**asdict(settings), **changes.get("settings", {})})
        for part in changes.get("parts", parts):
            if not (folder / f"{part}.judged.npz").exists():
                jobs.append((part, given.encoder, given.out, folder, changed, given.device))
    if given.device == "cpu":
        for job in jobs:
            _run(*job)
        return
    # One GPU holds all parts at once: a reader of 22M parameters fills a fraction of it.
    processes = [multiprocessing.get_context("spawn").Process(target=_run, args=job) for job in jobs]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise SystemExit("a part failed; run the same command again to make the missing ones")


if __name__ == "__main__":
    main()
