"""Questions out of a passage, by the shapes of its sentences and its headings: no model writes them.

"The meal allowance in Germany is 28 euros per day." asks "What is the meal allowance in Germany?"; a heading asks what
is said under it. Plain, and always answered by the words that stand there. Knows texts only; English and Chinese.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from retrieval.text import normalize, sentences

LEAST, MOST = 3, 12  # words of a subject
LONGEST = 400  # characters of a sentence
_IS = re.compile(
    r"^(?P<subject>(?:The|An?|Each|Every|[A-Z][\w-]*)\b[^,;:]*?) (?P<verb>is|are|was|were) (?P<rest>\S.*)\.$"
)
_MUST = re.compile(
    r"^(?P<subject>(?:The|An?|All|[A-Z][\w-]*)\b[^,;:]*?) (?P<verb>must|shall|may|can) (?P<rest>\S.*)\.$"
)
_CHINESE_IS = re.compile(r"^(?P<subject>[^，。；：？！]{2,20}?)(?P<verb>是|为)(?P<rest>[^，。；：？！]{2,60})[。]$")
_CHINESE_MUST = re.compile(
    r"^(?P<subject>[^，。；：？！]{2,20}?)(?P<verb>必须|应当|可以|享有)(?P<rest>[^。；：？！]{2,60})[。]$"
)
_POINTING = re.compile(r"^(?:this|that|these|those|it|he|she|they|there|here|which|what|who|how|when)\b", re.I)
_CHINESE = re.compile(r"[\u3400-\u9fff]")


@dataclass(frozen=True, slots=True)
class Made:
    """`answer` are words of `sentence`, which stands in the passage."""

    question: str
    answer: str
    sentence: str
    kind: str  # "sentence" or "heading"


def questions(text: str, headings: Sequence[str] = ()) -> Iterator[Made]:
    """Every question that the passage's sentences and its nearest heading give."""
    spans = [text[start:end].replace("\n", " ").strip() for start, end in sentences(text)]
    plain = [span for span in spans if len(span) <= LONGEST and span.endswith((".", "。"))]
    for span in plain:
        if made := _of_sentence(span):
            yield made
    heading = headings[-1].strip() if headings else ""
    if plain and 2 <= len(heading) <= 80 and normalize(heading) != normalize(plain[0]):
        chinese = bool(_CHINESE.search(heading))
        asked = f"关于“{heading}”有什么规定？" if chinese else f"What is said about “{heading}”?"
        yield Made(asked, plain[0], plain[0], "heading")


def _of_sentence(span: str) -> Made | None:
    for pattern, form in (
        (_IS, "What {verb} {subject}?"),
        (_MUST, "What {verb} {subject} do?"),
        (_CHINESE_IS, "{subject}{verb}什么？"),
        (_CHINESE_MUST, "{subject}{verb}什么？"),
    ):
        found = pattern.match(span)
        if found and _names(found["subject"]):
            subject = found["subject"].strip()
            if form.startswith("What"):
                subject = _lowered(subject)
            return Made(form.format(subject=subject, verb=found["verb"]), found["rest"].strip(), span, "sentence")
    return None


def _names(subject: str) -> bool:
    """Whether the subject can stand alone: long enough, and not a word that points back."""
    if _CHINESE.search(subject):
        return not subject.startswith(("这", "那", "其", "它", "他", "她", "此", "该"))
    return LEAST <= len(subject.split()) <= MOST and not _POINTING.match(subject)


def _lowered(subject: str) -> str:
    """The article at its beginning in small letters; names keep theirs."""
    first, _, rest = subject.partition(" ")
    return f"{first.lower()} {rest}" if first in {"The", "A", "An", "All", "Each", "Every"} else subject
