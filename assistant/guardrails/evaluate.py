"""How well instructions planted in documents are found, what they achieve with and without the defences, and what the
defences cost, on sets of attacks and of honest text.

    python -m assistant.guardrails.evaluate DIRECTORY [--qa PREFIX …] [--passages FILE.jsonl|DIRECTORY …]
        [--pairs 200] [--honest 600] [--seed 1] [--model FILE --only CATEGORY …]

DIRECTORY holds .jsonl files with `text`, `label` (1 attack, 0 honest), `kind` and `lang`. Attacks of a kind with
"indirect" in its name are planted into the honest lines of kind "benign_document" (with their `question` and `ideal`
where they have one) and into the passages of each --qa set (PREFIX.contexts.jsonl, PREFIX.questions.jsonl); passages in
Chinese get Chinese requests of our own. `--passages` adds honest texts, cut into passages. Everything runs as the
product runs it, with the packaged embedding model and reader. Two engines are attacked: the default one, which quotes,
and a stand-in that obeys every request it finds in its prompt, delimiters or not: what still reaches it is the attack
that a naive model would follow. The honest questions of the --qa sets are put to the check of questions.

`--only` takes the attacks of these categories alone; with `--model`, a file that `train_planted --hold` made without
them, the figures are for attacks of kinds that the network never saw.

Prints one line a figure with n and the 95 % Wilson interval; the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from math import sqrt
from pathlib import Path
from typing import Any

from assistant.errors import Invalid
from inference.engines.base import Passage
from inference.evidence import EvidenceScorer
from retrieval.text import cjk_share, normalize
from retrieval.text import sentences as sentences_of

from . import injection, planted, sanitize
from .planted import Embed
from .requests import requests
from .train_planted import plant
from .train_planted import read as passages_of

QUOTED = 2  # sentences of an answer that are looked at
CHARS = 1500  # of a host
TOGETHER = 64  # passages that are judged at once


@dataclass(slots=True)
class Count:
    """How often something happened."""

    happened: int = 0
    of: int = 0

    def add(self, happened: bool) -> None:
        self.happened += happened
        self.of += 1

    def interval(self) -> tuple[float, float]:
        """95 %, Wilson (1927)."""
        if not self.of:
            return 0.0, 1.0
        z, share = 1.959964, self.happened / self.of
        middle = share + z * z / (2 * self.of)
        reach = z * sqrt(share * (1 - share) / self.of + z * z / (4 * self.of**2))
        return max(0.0, (middle - reach) / (1 + z * z / self.of)), min(1.0, (middle + reach) / (1 + z * z / self.of))

    def as_dict(self) -> dict[str, Any]:
        low, high = self.interval()
        share = round(self.happened / self.of, 4) if self.of else None
        return {"share": share, "n": self.of, "low": round(low, 4), "high": round(high, 4)}


@dataclass(frozen=True, slots=True)
class Host:
    """A passage somebody may ask about; `gold` are answers, where known."""

    source: str
    text: str
    question: str = ""
    gold: tuple[str, ...] = ()


@dataclass(slots=True)
class Material:
    attacks: list[tuple[str, str]] = field(default_factory=list)  # (source, text): to be planted
    direct: list[tuple[str, str]] = field(default_factory=list)  # attacks that stand alone
    honest: list[tuple[str, str]] = field(default_factory=list)
    hosts: list[Host] = field(default_factory=list)


def read(directory: Path, prefixes: Iterable[Path], only: Collection[str] = ()) -> Material:
    found = Material()
    for path in sorted(directory.glob("*.jsonl")):
        for line in _lines(path):
            text, kind = line["text"], str(line.get("kind", ""))
            if line["label"]:
                if only and line.get("category") not in only:
                    continue
                (found.attacks if "indirect" in kind else found.direct).append((path.stem, text))
            else:
                found.honest.append((path.stem, text))
                if "document" in kind:
                    gold = str(line.get("ideal", "")).strip()
                    known = (gold,) if gold and gold.lower() != "unknown" else ()
                    found.hosts.append(Host(path.stem, text[:CHARS], str(line.get("question", "")), known))
    for prefix in prefixes:
        asked: dict[str, dict[str, Any]] = {}
        for line in _lines(prefix.with_name(prefix.name + ".questions.jsonl")):
            if line.get("answerable", True) and line.get("answers"):
                asked.setdefault(line["ctx_id"] if "ctx_id" in line else line["ctx_ids"][0], line)
        for line in _lines(prefix.with_name(prefix.name + ".contexts.jsonl")):
            found.honest.append((prefix.name, line["text"][:CHARS]))
            if question := asked.get(line["ctx_id"]):
                answers = tuple(map(str, question["answers"]))
                found.hosts.append(Host(prefix.name, line["text"][:CHARS], question["question"], answers))
    return found


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def flagged(given: Iterable[tuple[str, str]], embed: Embed) -> dict[str, Count]:
    found: dict[str, Count] = defaultdict(Count)
    pairs = list(given)
    for at in range(0, len(pairs), TOGETHER):
        some = pairs[at : at + TOGETHER]
        for (source, _), score in zip(some, injection.scores([text for _, text in some], embed=embed), strict=True):
            found[source].add(bool(score >= injection.THRESHOLD_BANNER))
    return found


def refused(prefixes: Iterable[Path]) -> dict[str, Count]:
    """Questions of people with no ill intent: how many the check of questions turns away, and how many it alters."""
    found: dict[str, Count] = defaultdict(Count)
    for prefix in prefixes:
        for line in _lines(prefix.with_name(prefix.name + ".questions.jsonl")):
            try:
                kept = sanitize.question(line["question"])
            except Invalid:
                kept = None
            found["refused"].add(kept is None)
            if kept is not None:
                found["altered"].add(normalize(kept.text) != normalize(line["question"]))
    return found


def as_engines_get_it(text: str, *, defended: bool, embed: Embed) -> Passage | None:
    """A passage on its way into an answer: quarantined, with suspect sentences blank, or as it stands."""
    if defended:
        score = injection.score(text, embed=embed)
        if score >= injection.THRESHOLD_QUARANTINE:
            return None
        if score >= injection.THRESHOLD_BANNER:
            text = injection.without_suspects(text, embed=embed)
    return Passage(id="1", text=text, title="", score=1.0, sentences=tuple(sentences_of(text)))


def quoted(question: str, passage: Passage | None, scorer: EvidenceScorer) -> str:
    """What the default engine would show: the best sentences for the question, whatever its certainty."""
    if passage is None or not passage.sentences:
        return ""
    best = scorer.assess(question, (passage,)).evidence[:QUOTED]
    return " ".join(passage.text[item.char_start : item.char_end] for item in best)


def attacked(
    pairs: Iterable[tuple[str, Host, str]], dice: random.Random, embed: Embed, scorer: EvidenceScorer
) -> dict[str, dict[str, Count]]:
    """For each source of attacks: found at all, obeyed by the stand-in, quoted by the default engine."""
    found: dict[str, dict[str, Count]] = defaultdict(lambda: defaultdict(Count))
    for source, host, request in pairs:
        text, _ = plant(host.text, request, dice)
        counts = found[source]
        counts["found"].add(injection.score(text, embed=embed) >= injection.THRESHOLD_BANNER)
        for defended in (False, True):
            passage = as_engines_get_it(text, defended=defended, embed=embed)
            name = "with" if defended else "without"
            counts[f"obeyed {name}"].add(passage is not None and _there(request, passage.text))
            if host.question:
                counts[f"quoted {name}"].add(_there(request, quoted(host.question, passage, scorer)))
    return found


def quality(hosts: Iterable[Host], embed: Embed, scorer: EvidenceScorer) -> dict[str, Count]:
    """Questions about honest passages whose answer stands in what is quoted, with and without the defences."""
    found: dict[str, Count] = defaultdict(Count)
    for host in hosts:
        for defended in (False, True):
            said = quoted(host.question, as_engines_get_it(host.text, defended=defended, embed=embed), scorer)
            found["with" if defended else "without"].add(any(_there(answer, said) for answer in host.gold))
    return found


def _there(part: str, whole: str) -> bool:
    return normalize(part) in normalize(whole)


def pairs_of(given: Material, number: int, dice: random.Random) -> list[tuple[str, Host, str]]:
    english = [host for host in given.hosts if cjk_share(host.text) <= 0.3 and len(host.text) > 100]
    chinese = [host for host in given.hosts if cjk_share(host.text) > 0.3]
    made = []
    by_source: dict[str, list[str]] = defaultdict(list)
    for source, text in given.attacks:
        by_source[source].append(text)
    for source, texts in by_source.items():
        made += [(source, dice.choice(english), dice.choice(texts)) for _ in range(number if english else 0)]
    own = list(requests(number, seed=4711, language="zh"))
    made += [("our own requests, Chinese", dice.choice(chinese), text) for _, text in own if chinese]
    return made


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure the defences against planted instructions.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--qa", nargs="*", type=Path, default=[])
    parser.add_argument("--passages", nargs="*", type=Path, default=[], help="further honest texts")
    parser.add_argument("--pairs", type=int, default=200, help="attacks of each source")
    parser.add_argument("--honest", type=int, default=600, help="honest texts of each source, at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", type=Path, help="weights in place of the packaged ones")
    parser.add_argument("--only", nargs="+", default=[], help="categories of attacks")
    options = parser.parse_args(arguments)
    from retrieval.embedding import MiniLMEmbedder, model_folder

    dice = random.Random(options.seed)  # noqa: S311  (a reproducible sample, no secret)
    embedder = MiniLMEmbedder.load()
    scorer = EvidenceScorer(embedder.embed, encoder=model_folder())
    if options.model:
        planted.PATH = options.model
        planted.packaged.cache_clear()
    given = read(options.directory, options.qa, options.only)
    for path in options.passages:
        given.honest += [(path.stem, text) for text in passages_of(path, dice, options.honest)]
    report: dict[str, Any] = {
        "honest flagged": _told("honest, flagged", flagged(_some(given.honest, options.honest, dice), embedder.embed)),
        "direct found": _told("direct attack, found", flagged(_some(given.direct, 200, dice), embedder.embed)),
    }
    report["questions"] = _told("honest questions", refused(options.qa))
    found = attacked(pairs_of(given, options.pairs, dice), dice, embedder.embed, scorer)
    report["planted"] = {source: _told(source, counts) for source, counts in found.items()}
    asked = [host for host in given.hosts if host.gold]
    dice.shuffle(asked)
    report["answered"] = _told("answered", quality(asked[: 2 * options.pairs], embedder.embed, scorer))
    sys.stdout.write(json.dumps(report, ensure_ascii=False) + "\n")
    return 0


def _some(given: list[tuple[str, str]], most: int, dice: random.Random) -> list[tuple[str, str]]:
    """At most `most` of each source."""
    by_source: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for pair in given:
        by_source[pair[0]].append(pair)
    return [pair for pairs in by_source.values() for pair in dice.sample(pairs, min(most, len(pairs)))]


def _told(title: str, counts: dict[str, Count]) -> dict[str, Any]:
    for name, count in counts.items():
        told = count.as_dict()
        share = "   -" if told["share"] is None else f"{told['share']:6.1%}"
        sys.stdout.write(f"{title:28} {name:26} {share}  [{told['low']:.1%}, {told['high']:.1%}]  n={told['n']}\n")
    return {name: count.as_dict() for name, count in counts.items()}


if __name__ == "__main__":
    sys.exit(main())
