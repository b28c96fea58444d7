"""Finds personal data in text: where, of which kind, how surely. Operators (`masking`) edit; this only looks.

Knows: written forms, the words around them, check digits (`checksums`); full-width and spaced forms, since it looks at
`sanitize.shadow`, whose positions are the text's own. Does not know: policies, documents, names of people (those come
from a customer's `Dictionary`). No pattern takes more than linear time.
"""

# ruff: noqa: E501  (a pattern is read on one line)

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from . import checksums
from .sanitize import shadow

TYPES = (
    "EMAIL", "PHONE", "CARD", "IBAN", "IP", "SSN", "PASSPORT", "CN_ID", "CN_MOBILE", "CN_USCC", "CN_BANK_CARD", "CN_PLATE",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Span:
    """Characters start to end of the text; `score` 1.0 where a check digit agrees, less where only form and words do."""

    start: int
    end: int
    type: str
    score: float


def find(text: str, *, types: Collection[str] = TYPES, dictionary: Dictionary | None = None) -> list[Span]:
    """Spans in order, none overlapping: the surer one wins, then the longer one."""
    folded = shadow(text)
    found = [span for name, recognize in RECOGNIZERS for span in recognize(folded) if span.type in types]
    if dictionary is not None:
        found += dictionary.find(folded)
    found.sort(key=lambda span: (-span.score, span.start - span.end, span.start))
    kept: list[Span] = []
    taken: set[int] = set()
    for span in found:
        if taken.isdisjoint(range(span.start, span.end)):
            taken.update(range(span.start, span.end))
            kept.append(span)
    return sorted(kept, key=lambda span: span.start)


class Dictionary:
    """A customer's own words: {"PROJECT": ["Nightingale"], "PERSON": ["王小明"]}; whole words, any case and width."""

    def __init__(self, terms: Mapping[str, Collection[str]]) -> None:
        self._types = {shadow(term): name for name, words in terms.items() for term in words if term.strip()}
        longest_first = sorted(self._types, key=len, reverse=True)
        bounded = (
            ("(?<![a-z0-9])" if term[0].isascii() else "")
            + re.escape(term)
            + ("(?![a-z0-9])" if term[-1].isascii() else "")
            for term in longest_first
        )
        self._pattern = re.compile("|".join(bounded)) if self._types else None

    def find(self, folded: str) -> list[Span]:
        if self._pattern is None:
            return []
        return [Span(*match.span(), self._types[match[0]], 0.95) for match in self._pattern.finditer(folded)]


# --- forms with separators: runs of digit groups ---

_RUN = re.compile(r"[0-9]{2,}(?:[ \-\u00a0][0-9]+)*")
_DIGITS = re.compile(r"[0-9]+")
_CONTEXT = 24  # characters before a number in which a word may say what it is
_LAYOUTS: dict[str, frozenset[tuple[int, ...]]] = {
    "CARD": frozenset({(n,) for n in range(13, 20)} | {
        (4, 4, 4, 4), (4, 4, 4, 4, 3), (4, 4, 4, 4, 2), (4, 4, 4, 4, 1), (4, 6, 5), (4, 6, 4), (4, 4, 4, 1), (4, 4, 4, 3),
        (6, 13), (6, 10), (4, 4, 5),
    }),
    "CN_MOBILE": frozenset({(11,), (3, 4, 4), (2, 11), (2, 3, 4, 4), (5, 4, 4), (4, 11), (4, 3, 4, 4), (13,), (3, 8), (2, 3, 8)}),
    "SSN": frozenset({(3, 2, 4)}),
}  # fmt: skip


@dataclass(slots=True)
class _Groups:
    """Some neighbouring groups of a run: their digits and place."""

    start: int
    end: int
    digits: str


@dataclass(slots=True)
class _Node:
    """One step in the tree of a kind's layouts: which group lengths may follow, and whether it may end here."""

    ends: bool
    next: dict[int, _Node]


def _tree(layouts: Collection[tuple[int, ...]]) -> _Node:
    root = _Node(ends=False, next={})
    for layout in layouts:
        node = root
        for length in layout:
            node = node.next.setdefault(length, _Node(ends=False, next={}))
        node.ends = True
    return root


_TREES = {kind: _tree(layouts) for kind, layouts in _LAYOUTS.items()}
_DECIMALS = re.compile(r"[.,][0-9]")
_NO_SEPARATORS = str.maketrans("", "", " -.\u00a0")


def _groups(folded: str, kind: str, first_digits: str) -> Iterator[_Groups]:
    """Every way in which neighbouring groups of a run have a layout of the kind."""
    root, shortest = _TREES[kind], min(map(sum, _LAYOUTS[kind]))
    for run in _RUN.finditer(folded):
        before, after = folded[run.start() - 1 : run.start()], folded[run.end() : run.end() + 1]
        decimal = _DECIMALS.match(folded, run.end())
        if decimal or (before and before in ".,_/") or "a" <= before <= "z" or "a" <= after <= "z":
            continue  # a decimal, a part number, a hash
        if run.end() - run.start() < shortest:
            continue
        spans = [part.span() for part in _DIGITS.finditer(folded, run.start(), run.end())]
        lengths = [end - start for start, end in spans]
        digits = run[0].translate(_NO_SEPARATORS)  # of the whole run, once: a group's digits are a slice of them
        at = 0
        for first, (start, _) in enumerate(spans):
            if digits[at] in first_digits:
                node, upto = root, at
                for last in range(first, min(first + 6, len(spans))):
                    following = node.next.get(lengths[last])
                    if following is None:
                        break
                    node, upto = following, upto + lengths[last]
                    if node.ends:
                        yield _Groups(start, spans[last][1], digits[at:upto])
            at += lengths[first]


def _near(folded: str, start: int, words: re.Pattern[str]) -> bool:
    return words.search(folded, max(0, start - _CONTEXT), start) is not None


_BANK_WORDS = re.compile(r"银行卡|卡号|账号|帐号|账户|帐户|储蓄卡|借记卡|信用卡|开户|bank card|card no|account")


_MORE = re.compile(r"[ \-\u00a0][0-9]{1,3}(?![0-9])")


def _cards(folded: str) -> Iterator[Span]:
    for found in _groups(folded, "CARD", "23456789"):
        if not checksums.luhn(found.digits):
            continue
        if checksums.scheme(found.digits):
            if checksums.chinese_id_form(found.digits):
                continue  # an identity number, right or mistyped
            chinese = found.digits.startswith("62") and _near(folded, found.start, _BANK_WORDS)
            if chinese and len(found.digits) == 16 and _MORE.match(folded, found.end):
                continue  # the first sixteen of a longer number
            yield Span(found.start, found.end, "CN_BANK_CARD" if chinese else "CARD", 1.0)
        elif len(found.digits) >= 16 and _near(folded, found.start, _BANK_WORDS):
            yield Span(found.start, found.end, "CN_BANK_CARD", 0.85)


_MOBILE = re.compile(r"(?:0{0,2}86)?1[3-9][0-9]{9}")


def _mobiles(folded: str) -> Iterator[Span]:
    for found in _groups(folded, "CN_MOBILE", "018"):
        if _MOBILE.fullmatch(found.digits):
            plus = folded[found.start - 1 : found.start] == "+" and found.digits.startswith("86")
            yield Span(found.start - plus, found.end, "CN_MOBILE", 0.9)


_SSN_WORDS = re.compile(r"ssn|social security")


def _ssns(folded: str) -> Iterator[Span]:
    for found in _groups(folded, "SSN", "012345678"):
        if checksums.ssn(found.digits) and (
            "-" in folded[found.start : found.end] or _near(folded, found.start, _SSN_WORDS)
        ):
            yield Span(found.start, found.end, "SSN", 0.85)


_SPELLED = re.compile(r"(?<![0-9a-z])[0-9](?:[ \-.\u00a0][0-9](?![0-9]))*+(?:[ \-.\u00a0]x)?+(?![0-9a-z])")


def _spelled(folded: str) -> Iterator[Span]:
    """Numbers with a space, hyphen or dot after every digit, which nobody writes by chance: the check decides."""
    for match in _SPELLED.finditer(folded):
        number = match[0].translate(_NO_SEPARATORS)
        if not 11 <= len(number) <= 19:
            continue
        if len(number) == 18 and checksums.chinese_id(number):
            yield Span(*match.span(), "CN_ID", 1.0)
        elif number.isdigit() and checksums.card(number):
            yield Span(*match.span(), "CARD", 1.0)
        elif _MOBILE.fullmatch(number):
            yield Span(*match.span(), "CN_MOBILE", 0.9)


# --- forms with letters ---

_EMAIL = re.compile(
    r"(?<![a-z0-9._%+\-])[a-z0-9_%+][a-z0-9._%+\-]{0,63}@(?:[a-z0-9](?:[a-z0-9\-]{0,61}[a-z0-9])?\.){1,6}[a-z]{2,24}(?![a-z0-9\-])"
)
_IBAN = re.compile(r"(?<![a-z0-9])[a-z]{2}[0-9]{2}(?:[ \-]?[a-z0-9]){11,30}")
_V4 = re.compile(r"(?<![0-9a-z.\-])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![0-9a-z\-]|\.[0-9])")
_V6 = re.compile(r"(?<![0-9a-z.:]):?([0-9a-f:]{2,39})(?![0-9a-z:])")
_VERSION = re.compile(
    r"(?:version|release|build|firmware|section|chapter|版本|固件|第)[^0-9a-z]{0,3}\Z|(?<![a-z])v\.? ?\Z"
)
_CN_ID = re.compile(r"(?<![0-9a-z])([0-9]{6})[ \-]?([0-9]{8})[ \-]?([0-9]{3}[0-9x])(?![0-9a-z])")
_CN_ID_OLD = re.compile(r"(?<![0-9a-z.])[0-9]{15}(?![0-9a-z.])")
_CN_ID_WORDS = re.compile(r"身份证|身份號|证件号|公民身份|id card|identity")
_USCC = re.compile(r"(?<![0-9a-z])[0-9a-z]{2}[ \-]?[0-9]{6}[ \-]?[0-9a-z]{9}[ \-]?[0-9a-z](?![0-9a-z])")
_PASSPORT = re.compile(r"(?<![0-9a-z])(?:[a-z]{1,2}[0-9]{6,8}|[0-9]{9}|[0-9]{2}[a-z]{2}[0-9]{5})(?![0-9a-z])")
_PASSPORT_WORDS = re.compile(r"护照|護照|passport|reisepass|通行证")
_PLATE = re.compile(
    r"[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼][a-hj-np-z][ ·•・.]?"
    r"(?:[df][a-hj-np-z0-9][0-9]{4}|[0-9]{5}[df]|(?=[a-z]{0,3}[0-9])[a-hj-np-z0-9]{4}[a-hj-np-z0-9挂学警港澳领])(?![a-z0-9])"
)


def _emails(folded: str) -> Iterator[Span]:
    for match in _EMAIL.finditer(folded):
        if ".." not in match[0] and ".@" not in match[0]:
            yield Span(*match.span(), "EMAIL", 0.95)


_WORD = re.compile(r"[a-z0-9]")


def _ibans(folded: str) -> Iterator[Span]:
    for match in _IBAN.finditer(folded):
        wanted = checksums.iban_length(match[0][:2])
        compact, end = "", match.start()
        for end, char in enumerate(match[0], match.start() + 1):  # noqa: B007  (the place where it is complete)
            compact += char if char.isalnum() else ""
            if len(compact) == wanted:
                break
        if wanted and len(compact) == wanted and not _WORD.match(folded, end) and checksums.iban(compact):
            yield Span(match.start(), end, "IBAN", 1.0)


def _addresses(folded: str) -> Iterator[Span]:
    for match in _V4.finditer(folded):
        if all(int(part) < 256 for part in match[0].split(".")) and not _VERSION.search(
            folded[max(0, match.start() - 12) : match.start()]
        ):
            yield Span(*match.span(), "IP", 0.8)
    for match in _V6.finditer(folded):
        at = match.start() if match[0].startswith("::") else match.start(1)  # a colon before it belongs to the sentence
        address = folded[at : match.end()]
        colons = address.count(":")
        if colons >= 2 and ("::" in address or colons == 7) and len(address) > 3 and _DIGITS.search(address):
            try:
                ipaddress.IPv6Address(address)
            except ValueError:
                continue
            yield Span(at, match.end(), "IP", 0.8)


def _chinese_ids(folded: str) -> Iterator[Span]:
    for match in _CN_ID.finditer(folded):
        if checksums.chinese_id("".join(match.groups())):
            yield Span(*match.span(), "CN_ID", 1.0)
    for match in _CN_ID_OLD.finditer(folded):
        if _near(folded, match.start(), _CN_ID_WORDS) and checksums.chinese_id_old(match[0]):
            yield Span(*match.span(), "CN_ID", 0.85)


def _credit_codes(folded: str) -> Iterator[Span]:
    for match in _USCC.finditer(folded):
        if checksums.uscc(re.sub(r"[ \-]", "", match[0])):
            yield Span(*match.span(), "CN_USCC", 0.99)


def _passports(folded: str) -> Iterator[Span]:
    for match in _PASSPORT.finditer(folded):
        if _near(folded, match.start(), _PASSPORT_WORDS):
            yield Span(*match.span(), "PASSPORT", 0.8)


def _plates(folded: str) -> Iterator[Span]:
    for match in _PLATE.finditer(folded):
        yield Span(*match.span(), "CN_PLATE", 0.85)


# --- telephone numbers: no check digit, many forms ---

_PHONE = re.compile(
    r"(?<![0-9a-z+.\-])(?:(?:\+|00)[1-9]|\([0-9]{2,5}\)|[0-9])(?:[ .\-/()\u00a0]{0,2}[0-9]){6,14}"
    r"(?:[ ,]{0,2}(?:x|ext\.?|转|分机)[ .:]{0,2}[0-9]{1,6})?(?![0-9a-z])"
)
_PHONE_WORDS = re.compile(
    r"tel|phone|call|mobile|cell|fax|dial|hotline|whatsapp|sms|contact|reach|answering|电话|手机|联系|传真|致电|热线"
)
_PHONE_FORMS = re.compile(
    r"(?:1[ .\-])?\([2-9][0-9]{2}\)[ .\-]?[2-9][0-9]{2}[ .\-][0-9]{4}"  # North America
    r"|(?:\+?1[ .\-]|001[ .\-])?[2-9][0-9]{2}([.\-])[2-9][0-9]{2}\1[0-9]{4}"
    r"|\(?0[1-9][0-9]{1,2}\)?[ \-][2-9][0-9]{6,7}"  # China, area code
    r"|[48]00[ \-][0-9]{3,4}[ \-][0-9]{3,4}"
    r"|0[1-9][0-9]{1,4}[ /\-][0-9]{3,4}[ \-]?[0-9]{3,5}"  # Europe, trunk prefix
)
_PHONE_LABEL = re.compile(r"[ \-(,]{0,2}(?:office|fax|mobile|home|work|cell)\b")
_ACCOUNT = re.compile(r"(?<![a-z0-9])[a-z]{2}[0-9]{2}(?:[ \-][a-z0-9]{4}){0,6}[ \-]\Z")  # an IBAN, right or mistyped
_INTERNATIONAL = re.compile(r"\+|00[1-9]")
_DATE = re.compile(
    r"(?:19|20)[0-9]{2}[ .\-/](?:0?[1-9]|1[0-2])[ .\-/](?:[0-2]?[0-9]|3[01])|[0-3]?[0-9][./\-][0-3]?[0-9][./\-](?:19|20)[0-9]{2}"
)


def _phones(folded: str) -> Iterator[Span]:
    for match in _PHONE.finditer(folded):
        body = re.split(r"x|ext|转|分机", match[0])[0].rstrip(" ,")
        digits = re.sub(r"[^0-9]", "", body)
        if not 7 <= len(digits) <= 15 or len(set(digits)) == 1 or _DATE.match(body):
            continue
        if _ACCOUNT.search(folded[max(0, match.start() - 35) : match.start()]):
            continue
        if _INTERNATIONAL.match(body):
            if len(digits) >= 9:
                yield Span(*match.span(), "PHONE", 0.8)
        elif _PHONE_FORMS.fullmatch(body):
            yield Span(*match.span(), "PHONE", 0.7)
        elif _near(folded, match.start(), _PHONE_WORDS) or _PHONE_LABEL.match(folded, match.end()):
            yield Span(*match.span(), "PHONE", 0.6)


RECOGNIZERS: tuple[tuple[str, Callable[[str], Iterator[Span]]], ...] = (
    ("email", _emails),
    ("card", _cards),
    ("iban", _ibans),
    ("ip", _addresses),
    ("ssn", _ssns),
    ("spelled", _spelled),
    ("passport", _passports),
    ("chinese id", _chinese_ids),
    ("chinese mobile", _mobiles),
    ("credit code", _credit_codes),
    ("plate", _plates),
    ("phone", _phones),
)
