"""Makes text fit to be quoted: one spelling of each character, nothing that cannot be seen, tidy spaces.

Knows Unicode; knows no format. Ligatures and Arabic presentation forms are written out, because people search
for the letters. Zero-width joiners stay where scripts need them.
"""

from __future__ import annotations

import re
import unicodedata

_INVISIBLE = re.compile(
    "[\u0000-\u0008\u000e-\u001b\u007f-\u0084\u0086-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f"
    "\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e0fff\ud800-\udfff]"
)
_JOINERS = re.compile("(?<![\u0600-\u08ff\u0900-\u0dff\U0001f000-\U0001faff\u2600-\u27bf\ufe0f])[\u200c\u200d]")
_PRESENTATION = re.compile("[\u2f00-\u2fd5\ufb00-\ufb4f\ufb50-\ufdfb\ufe70-\ufefc\uf900-\ufaff]")
_SPACES = re.compile(r"[\s\u001c-\u001f\u00a0\u2000-\u200a\u202f\u205f\u3000]+")
_TAGS = re.compile("[\U000e0020-\U000e007e]{3,}")


def _write_out(match: re.Match[str]) -> str:
    return unicodedata.normalize("NFKC", match[0])


def visible(text: str) -> str:
    """`text` without characters that have no shape, in NFC, ligatures written out; spacing untouched."""
    if text.isascii():
        return _INVISIBLE.sub("", text) if not text.isprintable() else text
    text = _JOINERS.sub("", _INVISIBLE.sub("", text))
    return unicodedata.normalize("NFC", _PRESENTATION.sub(_write_out, text))


def one_line(text: str) -> str:
    """`visible`, with every run of white space turned into one blank: a paragraph, a heading, a cell."""
    return _SPACES.sub(" ", visible(text)).strip()


def lines(text: str) -> str:
    """`visible`, keeping the line breaks (code, addresses): blanks at line ends and empty lines go."""
    text = visible(text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n").replace("\v", "\n"))
    kept = (line.rstrip() for line in text.expandtabs(4).split("\n"))
    return "\n".join(line for line in kept if line.strip()).strip("\n")


def smuggled(text: str) -> str:
    """The ASCII text spelt in invisible tag characters (U+E0020 to U+E007E), else an empty string."""
    return " ".join("".join(chr(ord(char) - 0xE0000) for char in run) for run in _TAGS.findall(text))


_CJK = "\u2e80-\u303f\u3040-\u30ff\u3100-\u312f\u3400-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff"
_CJK_EDGE = re.compile(f"[{_CJK}]")
_SOFT_WORDS = re.compile(r"[a-zà-öø-ÿ]-$")


def join_lines(parts: list[str]) -> str:
    """The lines of one paragraph as running text: hyphenated words rejoined, no blanks between CJK lines."""
    text = ""
    for part in parts:
        part = part.strip()
        if not part:
            continue
        if not text:
            text = part
        elif text.endswith("\u00ad") or (
            _SOFT_WORDS.search(text) and len(text) > 2 and text[-3].isalpha() and part[0].islower()
        ):
            text = text[:-1] + part
        elif text[-1] in "-‐" and len(text) > 1 and text[-2].isalnum() and part[0].isalnum():
            text = (text[:-1] if text[-1] == "‐" and part[0].islower() else text) + part
        elif _CJK_EDGE.match(text[-1]) and _CJK_EDGE.match(part[0]):
            text += part
        else:
            text += " " + part
    return text
