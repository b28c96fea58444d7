"""Is the data fit to be learned from? Findings in words, before a minute of training is spent.

Looked at: length against the context window, entropy of the labels, whether training data is of the domain it is meant
for, duplicates, and leakage between the splits. Knows items and token ids; knows no model.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from inference.runs.data import Item, tokens_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SHINGLE = 8  # words
LEAKED = 0.5  # share of an item's shingles that also stand in the training data
_WORD = re.compile(r"[\u3400-\u9fff]|\w+")


@dataclass(frozen=True, slots=True)
class Finding:
    """`level` is "stop" (the result would mean nothing), "warn" or "note"."""

    level: Literal["stop", "warn", "note"]
    check: str
    words: str


def check(
    training: Sequence[Item],
    held_out: Sequence[Item],
    tokenizer: PreTrainedTokenizerBase,
    context: int,
    *,
    domain: Sequence[Item] = (),
) -> tuple[list[Finding], dict[str, Any]]:
    """(findings, numbers). `domain` are texts of what the model will be used for; else the held-out items stand in."""
    numbers: dict[str, Any] = {"training_items": len(training), "held_out_items": len(held_out)}
    found = [
        *_lengths(training, tokenizer, context, numbers),
        *_entropy(training, tokenizer, numbers),
        *_duplicates(training, numbers),
        *_leakage(training, held_out, numbers),
        *_domain(training, domain or held_out, tokenizer, numbers),
    ]
    return found, numbers


def _lengths(
    items: Sequence[Item], tokenizer: PreTrainedTokenizerBase, context: int, numbers: dict[str, Any]
) -> Iterable[Finding]:
    asked = [item for item in items if item.prompt or item.messages]
    if not asked:
        return
    lengths = [sum(map(len, tokens_of(item, tokenizer))) for item in asked]
    long = sum(length > context for length in lengths) / len(lengths)
    numbers |= {"longest_tokens": max(lengths), "longer_than_context": round(long, 4)}
    if long > 0:
        level: Literal["warn", "note"] = "warn" if long > 0.05 else "note"
        words = (
            f"{long:.1%} of the items are longer than the context ({context} tokens) and lose the start of the prompt."
        )
        yield Finding(level, "length", words)


def _entropy(items: Sequence[Item], tokenizer: PreTrainedTokenizerBase, numbers: dict[str, Any]) -> Iterable[Finding]:
    """Of what is to be said: whole answers where there are questions, tokens otherwise."""
    asked = [item for item in items if item.prompt or item.messages]
    if asked:
        answers = Counter(" ".join(item.text.split()).casefold() for item in asked)
        share = answers.most_common(1)[0][1] / len(asked)
        numbers |= {"answer_entropy_bits": round(_bits(answers), 3), "commonest_answer": round(share, 4)}
        if len(asked) > 20 and share > 0.3:
            words = f"One answer is right for {share:.0%} of the questions: a model that always says it looks good."
            yield Finding("warn", "label entropy", words)
        return
    counts = _tokens(items, tokenizer)
    bits = _bits(counts)
    numbers["token_entropy_bits"] = round(bits, 3)
    if bits < 3:
        yield Finding("warn", "label entropy", f"The texts repeat themselves: {bits:.1f} bits per token.")


def _duplicates(items: Sequence[Item], numbers: dict[str, Any]) -> Iterable[Finding]:
    seen = Counter(_plain(item) for item in items)
    share = 1 - len(seen) / len(items)
    numbers["duplicates"] = round(share, 4)
    if share > 0.01:
        yield Finding("warn", "duplicates", f"{share:.1%} of the training items stand there more than once.")


def _leakage(training: Sequence[Item], held_out: Sequence[Item], numbers: dict[str, Any]) -> Iterable[Finding]:
    """Held-out items whose words stand in the training data: whole, or half of their runs of eight words."""
    if not held_out:
        yield Finding("warn", "leakage", "Nothing is held out: the result cannot be judged.")
        return
    whole = {_plain(item) for item in training}
    wanted = {shingle for item in held_out for shingle in _shingles(item)}
    known = {shingle for item in training for shingle in _shingles(item) if shingle in wanted}
    leaked = 0
    for item in held_out:
        own = _shingles(item)
        leaked += _plain(item) in whole or (bool(own) and len(own & known) / len(own) > LEAKED)
    share = leaked / len(held_out)
    numbers["leaked"] = round(share, 4)
    if share > 0:
        level: Literal["stop", "warn"] = "stop" if share > 0.2 else "warn"
        yield Finding(
            level, "leakage", f"{share:.1%} of the held-out items stand, or half stand, in the training data."
        )


def _domain(
    training: Sequence[Item], domain: Sequence[Item], tokenizer: PreTrainedTokenizerBase, numbers: dict[str, Any]
) -> Iterable[Finding]:
    """Jensen-Shannon divergence of token frequencies, against what two halves of the training data show by chance."""
    if not domain or len(training) < 4:
        return
    away = _divergence(_tokens(training, tokenizer), _tokens(domain, tokenizer))
    usual = _divergence(_tokens(training[::2], tokenizer), _tokens(training[1::2], tokenizer))
    numbers |= {"domain_divergence_bits": round(away, 4), "divergence_of_halves_bits": round(usual, 4)}
    if away > 0.15 and away > 2.5 * usual:
        words = (
            f"The training texts are not of the kind they are for (divergence {away:.2f} bits, {usual:.2f} by chance)."
        )
        yield Finding("warn", "domain match", words)


def _plain(item: Item) -> str:
    turns = " ".join(content for _, content in item.messages)
    return " ".join(f"{turns} {item.prompt} {item.text}".split()).casefold()


def _shingles(item: Item) -> set[int]:
    words = _WORD.findall(item.text.casefold() if not item.prompt else f"{item.prompt} {item.text}".casefold())
    return {hash(tuple(words[at : at + SHINGLE])) for at in range(len(words) - SHINGLE + 1)}


def _tokens(items: Sequence[Item], tokenizer: PreTrainedTokenizerBase) -> Counter[int]:
    texts = [item.text[:20_000] for item in items[:4000]]
    counts: Counter[int] = Counter()
    for row in tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]:
        counts.update(row)
    return counts


def _bits(counts: Counter[Any]) -> float:
    total = sum(counts.values())
    return -sum(count / total * math.log2(count / total) for count in counts.values()) if total else 0.0


def _divergence(a: Counter[int], b: Counter[int]) -> float:
    """Jensen-Shannon divergence in bits, 0 to 1."""
    first, second = sum(a.values()) or 1, sum(b.values()) or 1
    found = 0.0
    for key in set(a) | set(b):
        p, q = a[key] / first, b[key] / second
        middle = (p + q) / 2
        found += sum(value * math.log2(value / middle) / 2 for value in (p, q) if value)
    return found
