"""Makes a follow-up question stand alone, without a language model: "and in Germany?", "它的价格是多少？".

Knows: the last question, as it stood alone. A question that stands by itself is left untouched, so that a change of
topic is not polluted by what was said before. Pure text; knows no database and no index.

Three moves, the first that fits: the new question names another of a kind (place, group of people, year, part number)
that the last question named: put it in its place; the new question is a fragment ("for contractors?"): the last
question with the fragment; the new question points back ("how long does it take?"): the new question with the last
one's key terms.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from . import entities


@dataclass(frozen=True, slots=True)
class Turn:
    """An earlier question, as it stood alone."""

    question: str


@dataclass(frozen=True, slots=True)
class Standalone:
    """`question` stands alone, for reading; `search` is what to search with."""

    question: str
    search: str
    rewritten: bool


def contextualize(question: str, history: Sequence[Turn]) -> Standalone:
    """The question as it would be asked without the conversation. `history` runs from old to new."""
    if not history:
        return Standalone(question, question, False)
    last = history[-1]
    chinese = bool(_CJK.search(question))
    cue = _cue_chinese(question) if chinese else _cue_english(question)
    if cue == _NONE:
        return Standalone(question, _leaning(question, last.question, chinese=chinese), False)
    body = _strip_chinese(question) if chinese else _strip_english(question)
    replaced = (_replace(body, last.question) or _swap_names(body, last.question)) if cue == _FRAGMENT else None
    if replaced:
        return Standalone(replaced, replaced, True)
    if cue == _FRAGMENT and not _asks(body):
        text = _append(last.question, body)
        return Standalone(text, text, True)
    text = _pointed(question if cue == _POINTER else body, last.question)
    return Standalone(text, text, True)


# --- does it lean on what was said before? ------------------------------------------------------------------------

_NONE, _FRAGMENT, _POINTER = "none", "fragment", "pointer"
_CJK = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_WORD = re.compile(r"[A-Za-z0-9][\w'’.-]*")

_OPENING = re.compile(
    r"^(?:(?:and|but|or|so|also|ok(?:ay)?|then|well|yes|no|hmm)[,\s]+)*"
    r"(?:what about|how about|what if|same (?:question )?for|the same for|and|but|or|also|then|so)\b[,\s]*",
    re.IGNORECASE,
)
_PREPOSITION = re.compile(
    r"^(?!\w+ (?:what|which|who|whom|whose|where|when|how)\b)"
    r"(?:in|for|at|on|from|to|with|without|of|during|per|by|after|before|until|since|under|outside|inside|within)\b",
    re.IGNORECASE,
)
_ASKING = re.compile(
    r"^(?:who|whom|whose|what|which|when|where|why|how|is|are|was|were|am|do|does|did|can|could|may|might|must|shall|should|"
    r"will|would|has|have|had|tell|show|list|give|explain|describe|name|summari[sz]e|compare|find)\b",
    re.IGNORECASE,
)
_STOP = frozenset(
    """a an the of and or in on at to for from by with as is are was were be been being am do does did doing done has
    have had it its this that these those there here what which who whom whose when where why how i me my we us our you
    your he him his she her they them their if then than so not no can could will would shall should may might must
    about into per get please tell give name explain describe list find show any all some such only same other more
    most much many very there's what's who's it's need needed long often far old big soon also""".split()  # noqa: SIM905
)
_EXPLETIVE_IT = re.compile(
    r"\b(?:is|was|would|will|can|does|how long does|how long will)\s+it\s+(?:be\s+)?(?:\w+ly\s+)?"
    r"(?:possible|allowed|permitted|ok|okay|necessary|required|mandatory|obligatory|safe|legal|forbidden|true|correct|normal|usual|better|best|enough|"
    r"important|advisable|acceptable|take)\s+(?:for\s+\w+(?:\s+\w+)?\s+)?(?:to|that|if|when)\b",
    re.IGNORECASE,
)
_POINTERS = re.compile(
    r"\b(?:it|its|itself|they|them|their|theirs|he|him|his|she|her|hers|such (?:a |an )?\w+|said \w+|"
    r"(?:this|these)(?=\s+(?:cost|take|apply|applies|mean|include|happen|work|last|be|is|are|also|too)\b)|"
    r"(?:this|that|these|those)(?=\s*(?:[?,.]|$)))\b",
    re.IGNORECASE,
)
_STRONG_POINTERS = re.compile(  # no antecedent in the same question makes up for these
    r"\b(?:(?:for|of|in|on|at|to|by|with|without|about|from|under|during|after|before|than|like|is|are|was|were|do|"
    r"does|did|can|could|will|would|should|may|must) (?:this|that|these|those)(?:\s+(?!the\b|an?\b)\w+)?"
    r"(?=\s*(?:[?,.]|$))|"
    r"(?:is|are|was|were|do|does|did|can|could|will|would|should|may|must) (?:this|that|those|these)\b|"
    r"the same(?=\s*(?:[?,.]|$)|\s+(?:for|apply|applies|rule|amount|limit|rate)\b)|"
    r"the (?:former|latter|above)|thereof)(?!\w)",
    re.IGNORECASE,
)
_THERE = re.compile(r"(?<!is )(?<!are )(?<!was )(?<!were )(?<!be )\bthere(?=\s*(?:\?|$|[,.]))", re.IGNORECASE)
_NAMED = re.compile(r"(?<=\w )[A-Z]\w+|\d")
_BARE = re.compile(
    r"^(?:(?:and|but|so)\s+)?"
    r"(?:how (?:much|many|long|often|far|soon|old|big|late|quickly|fast|high|heavy|wide|deep|early)|"
    r"by when|until when|since when|for how long|"
    r"(?:after|before|in|within|at|from) (?:how (?:much|many|long)|what|which)|"
    r"why(?: not)?|when|where|who|by whom|what for|how so|how|how come|which one|which ones|what else|who else|since)"
    r"(?:\s+(?:exactly|precisely|then|is that|was that|at most|at least|in total|"
    r"(?:each|per|a) (?:day|week|month|year)))?"
    r"\s*\??$",
    re.IGNORECASE,
)


def _cue_english(question: str) -> str:
    text = question.strip()
    opening = _OPENING.match(text)
    rest = text[opening.end() :] if opening else text
    content = _content(rest)
    if _BARE.match(text):
        return _POINTER
    if opening and (not _ASKING.match(rest) or len(content) <= 4):
        # "And in Germany?", "What about contractors?"; "So what is the price list for 2026 …" stands alone.
        return _POINTER if _points_back(rest) and _ASKING.match(rest) else _FRAGMENT
    if _PREPOSITION.match(text) and len(_WORD.findall(text)) <= 6 and not re.search(r",", text):
        return _FRAGMENT
    if _points_back(text):
        return _POINTER
    if not _ASKING.match(text) and text.endswith("?") and 0 < len(_WORD.findall(text)) <= 4:
        return _FRAGMENT  # "Contractors?", "TFC 80?"
    return _NONE


def _points_back(text: str) -> bool:
    """A pronoun whose antecedent is not in the question itself."""
    bare = _EXPLETIVE_IT.sub(" ", text)
    if _STRONG_POINTERS.search(bare):
        return True
    for match in (*_POINTERS.finditer(bare), *_THERE.finditer(bare)):
        before = _content(bare[: match.start()])
        if len(before) < 3 and not (len(_content(bare)) > 3 and _NAMED.search(bare)):
            return True  # but "does the hotel rate include breakfast or do I pay for it": it is the breakfast
    return False


def _content(text: str) -> list[str]:
    return [word for word in _WORD.findall(text) if word.lower() not in _STOP]


_ZH_OPENING = re.compile(r"^(?:那么|那|还有|另外|以及|而且|而|但是|但|如果是|如果换成|换成|要是|假如|同样)[，,、\s]*")
_ZH_POINTERS = re.compile(
    r"(?<!其)(?:它|他|她)们?|其(?=[\u4e00-\u9fff])(?<![尤极]其)(?!他|它|中|实|余|次)|该(?=[\u4e00-\u9fff]{1,6})(?<!应该)(?<!应)|"
    r"(?:这|那)(?:个|些|种|项|份|款|台|样|里|边|次|一|条|类|位|家)?(?=[\u4e00-\u9fff]*(?:呢|吗|？|\?|$|要|需|有|是|的|多|怎|如|为|包|适|可|能|会|在|由|从|什|谁|何|几))|"
    r"上述|前者|后者|此(?=[\u4e00-\u9fff])(?<!因此)(?<!如此)|同样的|一样"
)
_ZH_ELLIPTIC = re.compile(r"(?:要|须|得)(?=在|到|等|提前|多|几|什么)|最多|最少|最迟|最晚|至少|一共|总共")
_ZH_ASKING = re.compile(
    r"什么|多少|多久|多长|几|哪|谁|何时|何地|为什么|为何|怎么|怎样|如何|是否|能否|可否|吗|能不能|可不可以|有没有|"
    r"是不是|要不要|请问|多大|多高|多远|多快"
)
_ZH_FRAME = re.compile(
    r"请问|是多少|是什么|有哪些|有多少|是谁|是否|能否|可以吗|什么时候|为什么|为何|怎么样|怎么|怎样|如何|多少钱|多少|多久|多长时间|多长|"
    r"什么|哪些|哪个|哪里|哪儿|几天|几个|谁|何时|吗|呢|吧|呀|啊|？|\?|。|，|需要|应该|可以|的|了|是|有|在"
)


def _cue_chinese(question: str) -> str:
    text = re.sub(r"\s+", "", question)
    opening = _ZH_OPENING.match(text)
    rest = text[opening.end() :] if opening else text
    length = len(re.sub(r"[？?。！，,呢吗]", "", rest))
    pointing = bool(_ZH_POINTERS.search(rest))
    if pointing and not _antecedent_chinese(rest):
        return _POINTER
    if rest.rstrip("？?。").endswith("呢") and length <= 12:
        return _FRAGMENT if not _ZH_ASKING.search(rest) else _POINTER
    if opening and length <= 10:
        return _POINTER if _ZH_ASKING.search(rest) else _FRAGMENT
    if _ZH_ELLIPTIC.match(rest) and length <= 14:
        return _POINTER  # 最多几天？ 要在什么日期之前用掉？
    if length <= 6 and _ZH_ASKING.search(rest) and len(_ZH_FRAME.sub("", rest)) <= 2:
        return _POINTER  # 多久？ 谁批准？ 为什么？
    if not _ZH_ASKING.search(rest) and length <= 6 and re.search(r"[？?]$", rest):
        return _FRAGMENT  # 德国？
    return _NONE


def _antecedent_chinese(text: str) -> bool:
    match = _ZH_POINTERS.search(text)
    return bool(match) and len(_ZH_FRAME.sub("", text[: match.start()] if match else "")) >= 5


# --- putting it together ------------------------------------------------------------------------------------------


def _strip_english(question: str) -> str:
    return _OPENING.sub("", question.strip()).strip(" ?") or question.strip(" ?")


def _strip_chinese(question: str) -> str:
    text = _ZH_OPENING.sub("", question.strip()).rstrip("？?。 ")
    return re.sub(r"呢$", "", text) or question


def _asks(text: str) -> bool:
    return bool(_ZH_ASKING.search(text) if _CJK.search(text) else _ASKING.match(text))


def _replace(body: str, last: str) -> str | None:
    """The last question with the entity that `body` names in the place of the one of its kind; None when not seen."""
    named = entities.find(body)
    if not named or (_asks(body) and len(_content(body)) > len(named) + 2):
        return None
    text, replaced = last, False
    for new in named:
        same_kind = [old for old in entities.find(text) if old.kind == new.kind]
        if not same_kind:
            return None
        old = same_kind[-1]
        if old.text.casefold() == new.text.casefold():
            continue
        text = text[: old.start] + new.text + text[old.end :]
        replaced = True
    leftover = body
    for new in named:
        leftover = leftover.replace(new.text, " ")
    if _content(leftover) or (_CJK.search(leftover) and len(re.sub(r"[在对于去到从的给向\s]", "", leftover)) > 1):
        return _append(text, body) if replaced else None
    return text if replaced else None


_IN_A_NAME = re.compile(
    r"\b(?P<preposition>in|at|from|to|for|of|by|with)\s+(?:the\s+)?(?P<name>[A-Z][\w-]*(?:\s+[A-Z][\w-]*)*)"
)


def _swap_names(body: str, last: str) -> str | None:
    """The same preposition before a name: "in Rotterdam" takes the place of "in Brno", though neither is known."""
    new = _IN_A_NAME.fullmatch(body[:1].lower() + body[1:])
    if new is None:
        return None
    same = [old for old in _IN_A_NAME.finditer(last) if old["preposition"] == new["preposition"]]
    if not same:
        return None
    return last[: same[-1].start("name")] + new["name"] + last[same[-1].end("name") :]


def _append(last: str, fragment: str) -> str:
    """The last question with the fragment before its question mark."""
    stem = last.rstrip(" ?？。.")
    if _CJK.search(fragment) and _CJK.search(last):
        return f"{fragment}：{stem}？"
    joint = " " if _PREPOSITION.match(fragment) or _CJK.search(last) else ", "
    return f"{stem}{joint}{fragment}?"


def key_terms(question: str) -> str:
    """What a question is about: its content words in order, without the frame of asking."""
    if _CJK.search(question):
        parts = [part.strip() for part in _ZH_FRAME.sub(" ", question).split()]
        return " ".join(part for part in parts if part)
    words = [word.strip(".'’") for word in _WORD.findall(question)]
    return " ".join(word for word in words if word and word.lower() not in _STOP)


def _pointed(question: str, last: str) -> str:
    terms = key_terms(last)
    return f"{question.rstrip()} ({terms})" if terms else question


def _leaning(question: str, last: str, *, chinese: bool) -> str:
    """The words to search with for a question that gives no sign of leaning on the last one: with the key terms of that
    when it says little by itself, and itself twice when it says a little more, so that its own words weigh most."""
    if chinese:
        size, little, some = len(_ZH_FRAME.sub("", re.sub(r"\s", "", question))), 4, 6
    else:
        size, little, some = len(_content(question)), 2, 3
        if _NAMED.search(question) and not _POINTERS.search(question):
            return question
    if size > some or chinese != bool(_CJK.search(last)):
        return question
    return _pointed(question if size <= little else f"{question} {question}", last)
