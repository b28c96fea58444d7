"""What is taken out of text before a person's question, a name or a passage goes any further.

Knows: Unicode's invisible characters, spellings of chat-model control tokens, length limits. Does not know:
what the text means (that is `injection`), Django, files or models.

Two steps, usable apart:

* `clean` removes what a reader cannot see: control characters, bidirectional overrides, tag characters,
  variation selectors, zero-width characters. What writing needs stays: joiners inside Arabic, Persian and
  Indic words, joiner and presentation selector of an emoji, the flags of England, Scotland and Wales.
* `neutralise` rewrites look-alikes of chat control tokens (`<|im_start|>`, `[INST]`, full-width and Cyrillic
  spellings) with brackets that no tokenizer knows: one character for one, so positions stay right.

Sources: Unicode Standard Annexes 9, 15, 31; UTS 39 (confusables), UTS 51 (emoji); UTR 36 (what may hide).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath

from assistant.errors import Invalid

QUESTION_LIMIT = 2000
TITLE_LIMIT = 300
FILENAME_BYTES = 200
PASSAGE_LIMIT = 20_000


@dataclass(frozen=True, slots=True)
class Sanitized:
    """The text that goes on, and the names of what was taken out or rewritten (empty when nothing was)."""

    text: str
    flags: frozenset[str] = frozenset()


# --- invisible characters ---

_ZWNJ, _ZWJ, _ZWSP, _KEYCAP = "\u200c", "\u200d", "\u200b", "\u20e3"
_EMOJI_SELECTORS = "\ufe0e\ufe0f"
_SUBDIVISION_FLAGS = tuple(
    "\U0001f3f4" + "".join(chr(0xE0000 + ord(char)) for char in name) + "\U000e007f"
    for name in ("gbeng", "gbsct", "gbwls")
)
# A class for each kind of character that may have to go; the order is the order of the flags' names.
_KINDS: tuple[tuple[str, str], ...] = (
    ("control", r"\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufff9-\uffff"),
    ("bidi", r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"),
    ("tags", r"\U000e0000-\U000e00ff"),
    ("variation", r"\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef"),
    (
        "invisible",
        r"\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200d\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0"
        r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e01f0-\U000e0fff",
    ),
)
_SUSPECT = re.compile("|".join(f"(?P<{name}>[{members}])" for name, members in _KINDS))
_JOINING_SCRIPTS = (
    (0x0600, 0x08FF),  # Arabic, Syriac, N'Ko, Mandaic and their extensions
    (0x0900, 0x0DFF),  # the Indic scripts
    (0x0F00, 0x109F),  # Tibetan, Myanmar
    (0x1780, 0x18AF),  # Khmer, Mongolian
    (0x1B00, 0x1C4F),  # Balinese to Lepcha
    (0xA840, 0xA8DF),  # Phags-pa, Saurashtra
    (0xAA00, 0xABFF),
    (0xFB50, 0xFDCF),  # Arabic presentation forms
    (0xFE70, 0xFEFC),
    (0x11000, 0x11FFF),  # Brahmi to Tamil supplement
    (0x1E900, 0x1E95F),  # Adlam
)
_SPACELESS_SCRIPTS = ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF))  # Thai, Lao, Myanmar, Khmer
_PICTOGRAPHIC = (
    *((code, code) for code in (0xA9, 0xAE, 0x203C, 0x2049, 0x2122, 0x2139, 0x24C2, 0x3030, 0x303D)),
    (0x2190, 0x21FF),
    (0x2300, 0x23FF),
    (0x25A0, 0x27BF),
    (0x2934, 0x2935),
    (0x2B00, 0x2BFF),
    (0x3297, 0x3299),
    (0x1F000, 0x1FAFF),
)
# Accents of alphabets; no language stacks eight of them on one letter.
_MARK = r"[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
_MARK_RUN = re.compile(f"({_MARK}{{8}}){_MARK}+")


def clean(text: str) -> Sanitized:
    """NFC text without characters that a reader cannot see, line ends as `\\n`. Everything visible stays."""
    flags: set[str] = set()
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\u2029", "\n")
    text = text.replace("\x0b", "\n").replace("\x0c", "\n").replace("\x85", "\n")
    text = unicodedata.normalize("NFC", text)
    if _SUSPECT.search(text):
        text = _drop_unseen(text, flags)
        text = unicodedata.normalize("NFC", text)
    shorter = _MARK_RUN.sub(r"\1", text)
    if shorter != text:
        flags.add("combining")
    return Sanitized(shorter, frozenset(flags))


def _drop_unseen(text: str, flags: set[str]) -> str:
    kept: list[str] = []
    position = 0
    for match in _SUSPECT.finditer(text):
        at = match.start()
        if at < position:  # inside a flag sequence that was kept whole
            continue
        kept.append(text[position:at])
        position = at + 1
        flag = _flag_at(text, at)
        if flag:
            kept.append(text[at : at + len(flag)])
            position = at + len(flag)
        elif _needed(text, at):
            kept.append(text[at])
        else:
            flags.add(match.lastgroup or "invisible")
    kept.append(text[position:])
    return "".join(kept)


def _flag_at(text: str, at: int) -> str:
    """The tag sequence of a subdivision flag that starts here (after its black flag), or nothing."""
    for flag in _SUBDIVISION_FLAGS:
        if at and text[at - 1] == flag[0] and text.startswith(flag[1:], at):
            return flag[1:]
    return ""


def _needed(text: str, at: int) -> bool:
    """Whether the writing system needs the invisible character at this place."""
    char = text[at]
    before = text[at - 1] if at else ""
    after = text[at + 1] if at + 1 < len(text) else ""
    if not before:
        return False
    if char in (_ZWNJ, _ZWJ):
        if after in (_ZWNJ, _ZWJ):
            return False
        if _within(before, _JOINING_SCRIPTS):
            return True
        base = text[at - 2] if before in _EMOJI_SELECTORS and at >= 2 else before
        return char == _ZWJ and _within(base, _PICTOGRAPHIC) and _within(after, _PICTOGRAPHIC)
    if char == _ZWSP:
        return _within(before, _SPACELESS_SCRIPTS) and _within(after, _SPACELESS_SCRIPTS)
    if char in _EMOJI_SELECTORS:
        return _within(before, _PICTOGRAPHIC) or (before in "0123456789#*" and after == _KEYCAP)
    if "\u180b" <= char <= "\u180f":  # Mongolian selectors and vowel separator
        return "\u1820" <= before <= "\u18aa"
    return False


def _within(char: str, ranges: tuple[tuple[int, int], ...]) -> bool:
    if not char:
        return False
    code = ord(char)
    return any(first <= code <= last for first, last in ranges)


# --- look-alikes of control tokens ---

_CONFUSABLE = str.maketrans(
    {
        **dict.fromkeys("〈〈⟨❮❬≺⧼﹤＜＜ᐸ˂", "<"),
        **dict.fromkeys("〉〉⟩❯❭≻⧽﹥＞ᐳ˃", ">"),
        **dict.fromkeys("｜│┃∣❘❙❚ǀ︱⏐⎮￨", "|"),
        **dict.fromkeys("［【〔❲〖⦗", "["),
        **dict.fromkeys("］】〕❳〗⦘", "]"),
        **dict.fromkeys("▁＿‗_", "_"),
        **dict.fromkeys("／∕⁄⧸", "/"),
        **dict.fromkeys("＃﹟", "#"),
        # Cyrillic and Greek letters that look Latin
        **dict(zip("авсԁеһіјкӏмпорԛѕтуѵԝх", "abcdehijklmnopqstyvwx", strict=True)),
        **dict(zip("АВСЕНІЈКМОРЅТХУ", "ABCEHIJKMOPSTXY", strict=True)),
        **dict(zip("αβεικνορτυχ", "abeikvoptux", strict=True)),
    }
)
_NAMES = (
    r"im_start|im_end|im_sep|endoftext|fim_prefix|fim_middle|fim_suffix|start_header_id|end_header_id|eot_id|eom_id|"
    r"begin_of_text|end_of_text|finetune_right_pad_id|python_tag|start_of_turn|end_of_turn|start_of_image|"
    r"begin_of_sentence|end_of_sentence|tool_call|tool_response|tool_calls|tool_sep|tool_outputs?|function_calls?|function|antml:[a-z_]{1,20}|"
    r"system|user|assistant|human|developer|channel|message|constrain|return|think|thinking|thought|reasoning|"
    r"bos|eos|unk|pad|mask|sep|cls|s|inst|sys|system_prompt|instructions?|documents?|passages?|sources?|context|"
    r"untrusted|trusted|prompt|reserved_special_token_[0-9]{1,4}|extra_[0-9]{1,4}"
)
_BRACKETED = "inst|system_prompt|available_tools|tool_calls|tool_results|begin_of_text|sys"
_TOKENS = re.compile(
    # <|anything|> and its half forms: no prose writes a bar beside an angle bracket
    r"<[ \t]{0,2}\|[^<>|\n]{1,48}(?:\|[ \t]{0,2}>|>)|<[^<>|\n]{1,48}\|[ \t]{0,2}>"
    # <name>, </name>, <name attribute…> of the names that chat templates and our own prompts use
    rf"|</?[ \t]{{0,2}}(?:{_NAMES})(?:[ \t][^<>\n]{{0,80}})?[ \t]{{0,2}}/?>"
    r"|<<[ \t]{0,2}/?sys[ \t]{0,2}>>"
    rf"|\[[ \t]{{0,2}}/?(?:{_BRACKETED})[ \t]{{0,2}}\]"
)
_HEADER = re.compile(
    r"(?m)^[ \t]{0,3}(#{2,4})[ \t]{0,2}(?:system|instructions?|user|assistant|human|response|prompt)[ \t]{0,2}[:：]"
)
_HARMLESS = str.maketrans({"<": "‹", ">": "›", "|": "¦", "[": "⟦", "]": "⟧", "#": "♯"})


@lru_cache(maxsize=4096)
def _folded(char: str) -> str:
    """One lower-case character that looks like this one, or the character itself."""
    plain = unicodedata.normalize("NFKC", char.translate(_CONFUSABLE))
    plain = plain.translate(_CONFUSABLE).lower()
    return plain if len(plain) == 1 else char


def shadow(text: str) -> str:
    """The text as a careless eye reads it: same length, look-alike characters in plain lower case."""
    if text.isascii():
        return text.lower()
    return "".join(map(_folded, text))


def neutralise(text: str) -> Sanitized:
    """Same length; look-alikes of control tokens lose the brackets that would make them one."""
    folded = shadow(text)
    changes = [match.span() for match in _TOKENS.finditer(folded)]
    changes += [match.span(1) for match in _HEADER.finditer(folded)]
    if not changes:
        return Sanitized(text)
    chars = list(text)
    for start, end in changes:
        for at in range(start, end):
            if folded[at] in "<>|[]#":
                chars[at] = folded[at].translate(_HARMLESS)
    return Sanitized("".join(chars), frozenset({"chat_token"}))


# --- the four kinds of text ---


def question(text: str, *, limit: int = QUESTION_LIMIT) -> Sanitized:
    """A person's question. Raises Invalid when nothing is left or it is longer than `limit` characters."""
    if len(text) > 4 * limit:  # nothing below need look at a book
        raise _too_long(limit)
    cleaned = clean(text)
    body = re.sub(r"\n{3,}", "\n\n", cleaned.text).strip()
    if not body:
        raise Invalid("Type a question.", code="empty_question", fields={"question": ["Type a question."]})
    if len(body) > limit:
        raise _too_long(limit)
    safe = neutralise(body)
    return Sanitized(safe.text, cleaned.flags | safe.flags)


def _too_long(limit: int) -> Invalid:
    words = f"A question may have {limit} characters."
    return Invalid(words, code="question_too_long", fields={"question": [words]})


def title(text: str, *, limit: int = TITLE_LIMIT) -> str:
    """One line, shortened with an ellipsis to `limit` characters; may come out empty."""
    line = " ".join(neutralise(clean(text[: 8 * limit]).text).text.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


_RESERVED = re.compile(r"(?i)(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)")


def filename(text: str, *, limit: int = FILENAME_BYTES) -> str:
    """A name to show and to offer for download: no folders, nothing hidden, at most `limit` bytes of UTF-8.

    The extension survives shortening. Never used as a path: stored files have names of our own making.
    """
    name = clean(text[-4096:]).text.replace("\\", "/")
    name = " ".join(PurePosixPath(name).name.split())
    name = re.sub(r'[<>:"|?*]', "_", neutralise(name).text).strip(". ")
    if not name:
        return "document"
    if _RESERVED.match(name):
        name = "_" + name
    stem, dot, suffix = name.rpartition(".")
    if not stem or len(suffix) > 16:
        stem, dot, suffix = name, "", ""
    room = max(1, limit - len((dot + suffix).encode()))
    stem = stem.encode()[:room].decode(errors="ignore").rstrip(". ")
    return f"{stem or 'document'}{dot}{suffix}"


def passage(text: str, *, limit: int = PASSAGE_LIMIT) -> Sanitized:
    """A piece of a document on its way into a prompt or onto a page."""
    cleaned = clean(text[: 2 * limit])
    flags = set(cleaned.flags)
    body = cleaned.text
    if len(body) > limit or len(text) > 2 * limit:
        body = body[:limit]
        flags.add("truncated")
    safe = neutralise(body)
    return Sanitized(safe.text, frozenset(flags | safe.flags))
