"""Questions made from questions and from plain text: near misses that no longer have an answer, and clozes.

All of it is rule-made and noisy; it widens a small training set and is never used to measure anything.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from inference.engines.base import Passage
from inference.reading import words

_NAME_RUN = re.compile(r"(?<![.!?]\s)(?<!^)\b[A-Z][\w'’-]+(?:\s+(?:of\s+|de\s+|von\s+)?[A-Z][\w'’-]+)*")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_ANTONYMS = (
    ("first", "last"), ("largest", "smallest"), ("highest", "lowest"), ("most", "least"), ("before", "after"),
    ("north", "south"), ("northern", "southern"), ("east", "west"), ("eastern", "western"), ("more", "less"),
    ("increase", "decrease"), ("increased", "decreased"), ("start", "end"), ("begin", "end"), ("win", "lose"),
    ("won", "lost"), ("old", "new"), ("oldest", "newest"), ("early", "late"), ("earliest", "latest"),
    ("male", "female"), ("allow", "forbid"), ("allowed", "forbidden"), ("same", "different"), ("always", "never"),
    ("support", "oppose"), ("supported", "opposed"), ("major", "minor"), ("public", "private"), ("open", "closed"),
    ("above", "below"), ("inside", "outside"), ("import", "export"), ("buy", "sell"), ("strong", "weak"),
    ("large", "small"), ("long", "short"), ("high", "low"), ("rich", "poor"), ("success", "failure"),
    ("include", "exclude"), ("included", "excluded"), ("rise", "fall"), ("positive", "negative"), ("upper", "lower"),
    ("可以", "不可以"), ("最大", "最小"), ("最早", "最晚"), ("最高", "最低"), ("第一", "最后"), ("增加", "减少"),
    ("南部", "北部"), ("东部", "西部"), ("之前", "之后"), ("最多", "最少"), ("開始", "結束"), ("开始", "结束"),
)  # fmt: skip
_OPPOSITE = {**dict(_ANTONYMS), **{b: a for a, b in _ANTONYMS}}
_OPPOSITE_PATTERN = re.compile(
    "|".join(rf"\b{word}\b" if word.isascii() else word for word in sorted(_OPPOSITE, key=len, reverse=True)), re.I
)
_AUXILIARY = re.compile(r"\b(is|are|was|were|did|does|do|can|could|will|would|should|has|have|had)\b", re.I)
_RUN_CJK = re.compile(r"[\u4e00-\u9fff]{2,4}")


Neighbours = Mapping[str, tuple[str, ...]]


def neighbours(encoder: Path, least: float = 0.42) -> dict[str, tuple[str, ...]]:
    """Common words and the words nearest to them among the encoder's own word vectors (cosine at least ``least``)."""
    vocabulary: dict[str, int] = Tokenizer.from_file(str(encoder / "tokenizer.json")).get_vocab()
    table = load_file(encoder / "model.safetensors")["embeddings.word_embeddings.weight"].astype(np.float32)
    common = sorted(
        (number, word)
        for word, number in vocabulary.items()
        if len(word) > 3 and number < 14000 and word.isascii() and word.isalpha()
    )
    vectors = table[[number for number, _ in common]]
    vectors -= vectors.mean(0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = {}
    for first in range(0, len(common), 1024):
        cosines = vectors[first : first + 1024] @ vectors.T
        best = np.argpartition(-cosines, 5, axis=1)[:, :5]
        for row, columns in enumerate(best):
            word = common[first + row][1]
            near = tuple(
                common[int(column)][1]
                for column in columns
                if cosines[row, column] >= least and common[int(column)][1] not in (word, _OPPOSITE.get(word))
            )
            if near:
                found[word] = near
    return found


def names_in(text: str) -> list[str]:
    """Runs of capitalised words that do not open a sentence."""
    return _NAME_RUN.findall(text)


def unanswerable(
    question: str, passage: Passage, answers: Sequence[str], pool: Sequence[str], chance: random.Random
) -> str | None:
    """The question changed so that the passage most likely no longer answers it; ``None`` when nothing fits."""
    ways = ["name", "number", "opposite", "opposite", "negation", "word"]
    chance.shuffle(ways)
    held = " ".join(answers)
    for way in ways:
        changed = _change(way, question, passage, held, pool, chance)
        if changed and changed != question:
            return changed
    return None


def _change(
    way: str, question: str, passage: Passage, held: str, pool: Sequence[str], chance: random.Random
) -> str | None:
    if way == "name":
        asked = names_in(question)
        others = [name for name in {*names_in(passage.text), *pool} if name not in question and name not in held]
        if asked and others:
            return question.replace(chance.choice(asked), chance.choice(sorted(others)))
    elif way == "number":
        match = _NUMBER.search(question)
        others = [item for item in _NUMBER.findall(passage.text) if item not in question and item not in held]
        if match:
            value = chance.choice(others) if others and chance.random() < 0.6 else _shifted(match[0], chance)
            return question[: match.start()] + value + question[match.end() :]
    elif way == "opposite":
        match = _OPPOSITE_PATTERN.search(question)
        if match:
            return question[: match.start()] + _OPPOSITE[match[0].lower()] + question[match.end() :]
    elif way == "negation":
        match = _AUXILIARY.search(question)
        if match and match.start() > 0 and chance.random() < 0.3 and " not " not in question:
            tail = question[match.end() :].split(" ")
            place = min(len(tail) - 1, 2 if match[0].lower() in {"did", "does", "do"} else 1)
            return question[: match.end()] + " ".join([*tail[:place], "not" if place else " not", *tail[place:]])
    elif way == "word":
        stems = set(words.terms(passage.text))
        inside = [
            token
            for token in words.words(question)
            if len(token) > 4 and token.islower() and words.stem(token) in stems and token not in words.STOP
        ]
        fresh = [item for item in pool if item.islower() and words.stem(item) not in stems]
        if inside and fresh:
            return question.replace(chance.choice(inside), chance.choice(fresh))
        runs = [run for run in _RUN_CJK.findall(question) if run in passage.text]
        strange = [item for item in pool if words.has_cjk(item) and item not in passage.text]
        if runs and strange:
            return question.replace(chance.choice(runs), chance.choice(strange))
    return None


def _shifted(number: str, chance: random.Random) -> str:
    digits = list(number)
    places = [index for index, digit in enumerate(digits) if digit.isdigit()]
    place = chance.choice(places[-2:])
    digits[place] = chance.choice([digit for digit in "123456789" if digit != digits[place]])
    return "".join(digits)


_ASKING = {
    "date": ("When", "In what year", "On what date"),
    "number": ("How many", "What number of"),
    "name": ("Who", "What", "Which", "What is the name of"),
    "thing": ("What", "Which", "What kind of"),
}
_ASKING_CJK = {
    "number": ("多少", "几"),
    "name": ("谁", "什么"),
    "date": ("什么时候", "何时"),
    "thing": ("什么", "哪里", "哪个"),
}


def cloze(passage: Passage, near: Neighbours, chance: random.Random) -> tuple[str, str, int] | None:
    """A question asked of one sentence of the passage: ``(question, answer, sentence index)``.

    The answer is cut out, some of the words around it are dropped, some are replaced by words near in meaning, and
    a question word is put in front. ``None`` when the sentence drawn does not lend itself to it.
    """
    index = chance.randrange(len(passage.sentences))
    start, end = passage.sentences[index]
    text = passage.text[start:end]
    tokens = list(words.TOKEN.finditer(text))
    if not 8 <= len(tokens) <= 70:
        return None
    cjk = sum(words.is_cjk(token[0]) for token in tokens) > len(tokens) / 2
    found = _answers(text, tokens, cjk, chance)
    if not found:
        return None
    kinds = sorted({kind for _, _, kind in found})
    chosen = chance.choice(kinds)
    a, b, kind = chance.choice([item for item in found if item[2] == chosen])
    before = [token[0] for token in tokens if token.end() <= a]
    after = [token[0] for token in tokens if token.start() >= b]
    reach = (8, 20) if cjk else (4, 11)
    before, after = before[-chance.randint(*reach) :], after[: chance.randint(*reach)]
    drop = chance.uniform(0.0, 0.3 if cjk else 0.55)
    swap = chance.choice((0.0, 0.25, 0.5))
    kept = []
    for part in (before, after):
        left = [token for token in part if chance.random() > (drop if token.lower() not in words.STOP else 0.3)]
        kept.append(
            [chance.choice(near[token]) if token in near and chance.random() < swap else token for token in left]
        )
    if sum(map(len, kept)) < 2:
        return None
    if cjk:
        ask = chance.choice(_ASKING_CJK[kind])
        return "".join(kept[0]) + ask + "".join(kept[1]) + "？", text[a:b], index
    parts = [" ".join(part) for part in (kept if chance.random() < 0.5 else kept[::-1])]
    question = " ".join(part for part in (chance.choice(_ASKING[kind]), *parts) if part) + "?"
    return question, text[a:b], index


def _answers(
    text: str, tokens: Sequence[re.Match[str]], cjk: bool, chance: random.Random
) -> list[tuple[int, int, str]]:
    """(start, end, kind) of what could be asked for: numbers, years, names, and one run of words at random."""
    found: list[tuple[int, int, str]] = []
    for match in _NUMBER.finditer(text):
        year = len(match[0]) == 4 and match[0][0] in "12"
        found.append((match.start(), match.end(), "date" if year else "number"))
    found += [(match.start(), match.end(), "name") for match in _NAME_RUN.finditer(text)]
    size = chance.randint(2, 5) if cjk else chance.randint(1, 4)
    place = chance.randrange(max(1, len(tokens) - size))
    if tokens[place][0].lower() not in words.STOP:
        found.append((tokens[place].start(), tokens[min(place + size, len(tokens)) - 1].end(), "thing"))
    return found
