"""Instructions planted in somebody else's text: the sentence that asks an assistant for something, where the passage
around it speaks of something else.

Knows: how a sentence is worded (a linear model over hashed words), how it stands to the sentences beside it (shared
words, form, place), and, if the caller has an embedding model, how far its meaning lies from theirs. A small trained
network weighs these (`train_planted`). Does not know: rules (`injection_rules`), files, rights. Harmless requests count
as well: "Explain photosynthesis." in a mail about an invoice was not written for the reader of the mail.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from retrieval.text import CJK, cjk_share, sentences, tokenize

from .features import SIZE, features
from .sanitize import shadow

Floats = NDArray[np.float32]
Embed = Callable[[Sequence[str]], Floats]  # texts to rows of length 1

PATH = Path(__file__).with_name("planted.weights")
LEAST_SENTENCES = 3
MOST_SENTENCES = 60  # of one passage
LONGEST = 600  # characters of what is taken for one sentence
REST = 600  # characters of the other sentences: embedding is what costs here
CHINESE = 0.3  # share of CJK letters from which a passage counts as Chinese
CANDIDATES = 5  # sentences of a passage whose meaning is looked at
_LEAST_LETTERS = 4

_WORD = re.compile(rf"[a-z]+(?:'[a-z]+)?|[0-9]+|[{CJK}]+|[?!:#<>`\"“”？！：]")
_CJK_CHARACTER = re.compile(f"[{CJK}]")
_QUESTION = re.compile(r"[?？]\s*[\"'”’)」』]*$")
_LEAST_BARS = 2  # of a row
_LINE = re.compile(r"[^\s][^\n]*")  # a line without the white space before it
_TO_ANSWERER = re.compile(
    r"\byour (?:next |whole |final |own )?(?:answer|reply|response|summary|output|message|result|solution|code|"
    r"implementation)s?\b|\b(?:the|this) (?:user|reader|answer|reply|response|summary|output)\b|"
    r"[你您]的?(?:回答|回复|答复|答案|总结|输出|响应|代码)|(?:回答|回复|答复|答案|总结|输出)(?:中|里|时|末尾|开头)|用户|读者"
)


@dataclass(frozen=True, slots=True)
class Suspect:
    """Characters start to end of the passage; `logit`: above zero means planted rather than not."""

    start: int
    end: int
    logit: float


@dataclass(frozen=True, slots=True)
class Model:
    """`coarse` weighs wording and context; `fine` looks at candidates again, with meaning. Networks are
    (mean, deviation, first weights, first bias, second weights, second bias)."""

    words: Floats
    bias: float
    coarse: tuple[Floats, ...]
    fine: tuple[Floats, ...]
    candidate: float  # coarse logit from which a sentence is looked at again
    coarse_levels: tuple[float, float]  # banner, ranked down: logits by the rule of `calibration`
    fine_levels: tuple[float, float]
    chinese_levels: tuple[float, float]  # as `fine_levels`, of passages in Chinese

    def levels(self, text: str, *, closer: bool) -> tuple[float, float]:
        """Those that hold for suspects of `text`; `closer`: their meaning was looked at."""
        if not closer:
            return self.coarse_levels
        return self.chinese_levels if cjk_share(text) > CHINESE else self.fine_levels


@dataclass(slots=True)
class View:
    """A passage as the networks see it: its sentences and one row of features for each."""

    spans: list[tuple[int, int]]
    words: list[NDArray[np.int32]]
    rest: Floats  # features without the wording's logit

    def rows(self, logits: Floats) -> Floats:
        """Features with the wording's logits `logits`, one for each sentence."""
        count = len(logits)
        found = np.empty((count, 5), np.float32)
        order = np.sort(logits)
        for at, own in enumerate(logits):
            others = order if count == 1 else np.delete(order, np.searchsorted(order, own))
            alone = count == 1
            highest = -6.0 if alone else float(others[-1])
            found[at] = (
                own,
                highest,
                -6.0 if alone else float(others[-3:].mean()),
                -6.0 if alone else float(others.mean()),
                0.0 if alone else own - highest,
            )
        return np.hstack([found, self.rest])


def wording(sentence: str) -> NDArray[np.int32]:
    """Indices below SIZE: the words present, and once more those with which the sentence begins and ends."""
    tokens = _WORD.findall(shadow(sentence[:200]))
    names: list[str] = []
    if tokens and _CJK_CHARACTER.match(tokens[0]):
        head = "".join(tokens[:3])[:4]
        names = [head[:length] for length in range(1, len(head) + 1)]
    elif tokens:
        names = [tokens[0], " ".join(tokens[:2]), " ".join(tokens[:3]), tokens[-1]]
    marked = {crc32(f"@{name}".encode()) & (SIZE - 1) for name in names}
    return np.fromiter(features(sentence) | marked, np.int32)


def view(text: str) -> View:
    """What there is to see in a passage; empty when it has no sentence."""
    found = spans(text)
    parts = [text[start:end] for start, end in found]
    terms = [set(tokenize(part)) for part in parts]
    seen = Counter(term for present in terms for term in present)
    questions = [bool(_QUESTION.search(part)) for part in parts]
    calls = [bool(_TO_ANSWERER.search(part.lower())) for part in parts]
    chinese = [len(_CJK_CHARACTER.findall(part)) / len(part) for part in parts]
    count = len(parts)
    rest = np.zeros((count, 22), np.float32)
    for at, part in enumerate(parts):
        present, size = terms[at], max(1, len(terms[at]))
        shared = sum(seen[term] > 1 for term in present)
        beside = sum(len(terms[other] & present) for other in (at - 1, at + 1) if 0 <= other < count)
        start = found[at][0]
        rest[at] = (
            shared / size,
            np.log1p(shared),
            np.log1p(size),
            beside / size,
            np.log1p(count),
            at / max(1, count - 1),
            at == 0,
            at == count - 1,
            count == 1,
            start == 0 or text[start - 1] == "\n",
            questions[at],
            sum(questions) - questions[at],
            calls[at],
            sum(calls) > calls[at],
            chinese[at],
            abs(chinese[at] - sum(chinese) / count),
            np.log1p(len(part)),
            np.log1p(sum(map(len, parts)) / count),
            part[-1:] in ":：",
            "|" in part,
            any(mark in part for mark in "\"“'‘「"),
            sum(any(map(str.isdigit, term)) for term in present) / size,
        )
    return View(found, [wording(part) for part in parts], rest)


def suspects(text: str, *, embed: Embed | None = None, model: Model | None = None) -> list[Suspect]:
    """Sentences by suspicion, the most suspect first. Without `embed` wording and context alone decide.

    Logits with and without `embed` are on scales of their own; `level` makes them comparable.
    """
    return suspects_of([text], embed=embed, model=model)[0]


def suspects_of(texts: Sequence[str], *, embed: Embed | None = None, model: Model | None = None) -> list[list[Suspect]]:
    """`suspects` of each text; what must be embedded for all of them is embedded in one call."""
    model = model or packaged()
    looks = [_look(text, model, closer=embed is not None) for text in texts]
    if embed is not None:
        asked = [phrase for look in looks for phrase in look.phrases]
        vectors = embed(asked) if asked else np.zeros((0, 0), np.float32)
        at = 0
        for look in looks:
            if look.phrases:
                own = vectors[at : at + len(look.phrases)]
                look.logits = network(np.hstack([look.rows, meaning(own)]), model.fine)
                at += len(look.phrases)
    # A row speaks in its table's terms, not in sentences: nothing about it tells a plant from a neighbour.
    found = [
        [
            Suspect(start, end, float(logit))
            for (start, end), logit in zip(look.spans, look.logits, strict=True)
            if text.count("|", start, end) < 2
        ]
        for text, look in zip(texts, looks, strict=True)
    ]
    return [sorted(some, key=lambda suspect: -suspect.logit) for some in found]


@dataclass(slots=True)
class _Look:
    """What may be suspect in a text, and what must be embedded before its meaning can be judged."""

    spans: list[tuple[int, int]]
    logits: Floats
    rows: Floats
    phrases: list[str]


def _look(text: str, model: Model, *, closer: bool) -> _Look:
    seen = view(text)
    if len(seen.spans) < LEAST_SENTENCES:  # nothing to stand out from
        return _Look([], np.zeros(0, np.float32), np.zeros((0, 0), np.float32), [])
    rows = seen.rows(wording_logits(seen, model))
    logits = network(rows, model.coarse)
    if not closer:
        return _Look(seen.spans, logits, rows, [])
    chosen = candidates(logits, model.candidate)
    spans = [seen.spans[at] for at in chosen]
    finer = np.hstack([rows[chosen], logits[chosen, None]])
    return _Look(spans, logits[chosen], finer, phrases(text, seen, chosen) if len(chosen) else [])


def level(logit: float, levels: tuple[float, float]) -> float:
    """0..0.8: 0.5 from the banner on, 0.7 from where it is ranked down (see `Model.levels`)."""
    banner, downrank = levels
    if logit < banner:
        return 0.5 * float(np.exp(max(-50.0, logit - banner)))
    return min(0.8, 0.5 + 0.2 * (logit - banner) / max(1e-6, downrank - banner))


def candidates(logits: Floats, least: float) -> NDArray[np.int64]:
    """The most suspect sentences, CANDIDATES at most."""
    order = np.argsort(-logits)[:CANDIDATES]
    return order[logits[order] > least]


def phrases(text: str, seen: View, chosen: NDArray[np.int64]) -> list[str]:
    """What `meaning` needs embedded: the beginning of what the other sentences say, then each chosen one."""
    left = set(range(len(seen.spans))) - set(chosen.tolist())
    rest = " ".join(text[slice(*seen.spans[at])] for at in sorted(left))[:REST]
    return [rest or text[:REST], *(text[slice(*seen.spans[at])] for at in chosen)]


def meaning(vectors: Floats) -> Floats:
    """Cosines of each chosen sentence with what the others say, and with its likest fellow; from `phrases` embedded."""
    own = vectors[1:]
    fellows = own @ own.T
    np.fill_diagonal(fellows, -1.0 if len(own) > 1 else 0.0)
    return np.stack([own @ vectors[0], fellows.max(axis=1)], axis=1).astype(np.float32)


def wording_logits(seen: View, model: Model) -> Floats:
    return np.array(
        [model.words[present].sum() / np.sqrt(max(1, len(present))) + model.bias for present in seen.words], np.float32
    )


def network(rows: Floats, layers: tuple[Floats, ...]) -> Floats:
    """One hidden layer of tanh, one output."""
    mean, deviation, first, first_bias, second, second_bias = layers
    hidden = np.tanh(((rows - mean) / deviation) @ first + first_bias)
    return np.asarray(hidden @ second + second_bias, np.float32)


def spans(text: str) -> list[tuple[int, int]]:
    """Sentences, in pieces of LONGEST characters, without those that say nothing; the first MOST_SENTENCES."""
    cuts = beside_rows(text)
    found: list[tuple[int, int]] = []
    for first, last in sentences(text):
        inside = [cut for cut in cuts if first < cut < last]
        for start, end in pairwise([first, *inside, last]):
            for at in range(start, end, LONGEST):
                piece = text[at : min(at + LONGEST, end)]
                if sum(map(str.isalnum, piece)) >= _LEAST_LETTERS:
                    found.append((at, at + len(piece)))
    return found[:MOST_SENTENCES]


def beside_rows(text: str) -> list[int]:
    """Where, in a line with a row of a table that closes its rows ("| a | b |"), the row ends and other words begin:
    before it, behind it, or between two rows that stand in one line. Positions in order; none without such a table."""
    if text.count("|") < 2 * _LEAST_BARS:
        return []
    lines = [(match.start(), match[0].rstrip()) for match in _LINE.finditer(text)]
    lines = [(start, line) for start, line in lines if line.count("|") >= _LEAST_BARS]
    widths = Counter(line.count("|") for _, line in lines if line[0] == line[-1] == "|")
    usual, often = max(widths.items(), key=lambda item: item[1], default=(0, 0))
    if often < 2:
        return []
    cuts: list[int] = []
    for start, line in lines:
        bars = [start + at for at, mark in enumerate(line) if mark == "|"]
        if line[0] != "|":
            cuts.append(bars[0])
        if line[-1] != "|":
            cuts.append(bars[-1] + 1)
        elif len(bars) > usual and widths[len(bars)] < 2:
            cuts += (bars[usual - 1] + 1, bars[usual])
    return sorted(cuts)


# --- the file: one line of JSON, then one signed byte per hashed word ---


def save(path: Path, model: Model) -> None:
    scale = float(np.abs(model.words).max()) / 127
    header = {
        "scale": scale,
        "bias": model.bias,
        "candidate": model.candidate,
        "coarse_levels": model.coarse_levels,
        "fine_levels": model.fine_levels,
        "chinese_levels": model.chinese_levels,
        "coarse": [_rounded(layer) for layer in model.coarse],
        "fine": [_rounded(layer) for layer in model.fine],
    }
    path.write_bytes(json.dumps(header).encode() + b"\n" + np.round(model.words / scale).astype(np.int8).tobytes())


def load(path: Path) -> Model:
    """Raises ValueError when the file is not one of ours."""
    header, _, body = path.read_bytes().partition(b"\n")
    if len(body) != SIZE:
        raise ValueError(f"{path} holds {len(body)} weights, not {SIZE}")
    facts = json.loads(header)
    return Model(
        words=np.frombuffer(body, np.int8).astype(np.float32) * facts["scale"],
        bias=facts["bias"],
        coarse=tuple(np.array(layer, np.float32) for layer in facts["coarse"]),
        fine=tuple(np.array(layer, np.float32) for layer in facts["fine"]),
        candidate=facts["candidate"],
        coarse_levels=(facts["coarse_levels"][0], facts["coarse_levels"][1]),
        fine_levels=(facts["fine_levels"][0], facts["fine_levels"][1]),
        chinese_levels=(facts["chinese_levels"][0], facts["chinese_levels"][1]),
    )


@lru_cache(maxsize=1)
def packaged() -> Model:
    """The packaged one, read once per process."""
    return load(PATH)


def _rounded(layer: Floats) -> object:
    return np.round(layer.astype(np.float64), 4).tolist()
