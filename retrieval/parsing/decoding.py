"""Bytes to text when nobody says which encoding: marks first, then UTF-8, then the likeliest legacy encoding.

Knows encodings and how ordinary text looks in the scripts that use them. A candidate must decode strictly (a
broken last character of a cut-off sample aside) and is scored by how common its characters are; a short list of
frequent characters separates GB18030 from Big5, Shift-JIS and EUC-KR better than general detectors do on texts
of a few words.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE = 64 * 1024
_LEGACY = ("gb18030", "big5hkscs", "cp932", "euc_jp", "cp949", "cp1251", "koi8-r", "cp1253", "cp1255", "cp1256",
           "cp874", "cp1252", "cp1250", "cp1254")  # fmt: skip
# Encodings of one alphabet by its range of letters; Latin ones by the letters that their languages write.
_RANGES = {
    "cp1251": ("\u0400", "\u045f"), "koi8-r": ("\u0400", "\u045f"), "cp1253": ("\u0370", "\u03ff"),
    "cp1255": ("\u05d0", "\u05ea"), "cp1256": ("\u0600", "\u06ff"), "cp874": ("\u0e00", "\u0e7f"),
}  # fmt: skip
_CYRILLIC = frozenset("оеаинтсрвлкмдпуя")
_FREQUENT = {
    "cp1251": _CYRILLIC,
    "koi8-r": _CYRILLIC,
    "cp1253": frozenset("αειοητσνρυκςπλμάέήίόύώ"),
    "cp1255": frozenset("יוהלאמרתשנבםע"),
}
_LATIN = {
    "cp1252": frozenset("äöüßéèêëàâçîïôûùœæåøñáíóúãõìòÿ"),
    "cp1250": frozenset("ěščřžýáíéůúďťňąćęłńóśźżőűöüäßôľĺŕăâîşţđ"),
    "cp1254": frozenset("çğıöşüâîûİ"),
}
# The most frequent characters of running text, simplified and traditional (about half of any page).
_SIMPLIFIED = frozenset(
    "的一是不了在人有我他这中大来上个国和也子时道说出而要于就下得可你年生自会那后能对着事其里所去行过家十用发天如然作方成者多"
    "日都三小军二无同么经法当起与好看学进种将还分此心前面又定见只主没公从间问题员工部门管理请应须天数据系统文件规定安全需要"
    "提供使用费用标准时间通知审批报销假期合同"
)
_TRADITIONAL = frozenset(
    "的一是不了在人有我他這中大來上個國和也子時道說出而要於就下得可你年生自會那後能對著事其裡所去行過家十用發天如然作方成者多"
    "日都三小軍二無同麼經法當起與好看學進種將還分此心前面又定見只主沒公從間問題員工部門管理請應須數據系統文件規定安全需要"
    "提供使用費用標準時間通知審批報銷假期合同臺灣"
)


@dataclass(frozen=True, slots=True)
class Decoded:
    """Text, the encoding it was read with, and whether bytes had to be replaced."""

    text: str
    encoding: str
    damaged: bool = False


def looks_binary(sample: bytes) -> bool:
    """Whether bytes are no text in any encoding this module reads."""
    if not sample:
        return False
    if any(sample.startswith(bom) for bom, _ in _BOMS):
        return False
    if b"\x00" in sample:
        return _wide(sample) is None
    controls = sum(sample.count(byte) for byte in _CONTROLS)
    return controls > max(2, len(sample) // 200)


_CONTROLS = [byte for byte in range(32) if byte not in (7, 8, 9, 10, 11, 12, 13, 26, 27)] + [127]


def decode(data: bytes) -> Decoded:
    """The text of `data`; never fails, `damaged` says when something could not be read."""
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            return _whole(data, encoding)
    if b"\x00" in data[:4096] and (wide := _wide(data[:4096])):
        return _whole(data, wide)
    if _strict(data, "utf-8") is not None:
        return _whole(data, "utf-8")
    sample = data[:_SAMPLE]
    if _mostly_utf8(sample):
        return _whole(data, "utf-8")
    if b"\x1b$" in sample and (text := _strict(sample, "iso2022_jp")) is not None and not text.isascii():
        return _whole(data, "iso2022_jp")
    best, best_score = "", 0.0
    for encoding in _LEGACY:
        text = _strict(sample, encoding)
        if text is not None and (score := _plausible(text, encoding)) > best_score:
            best, best_score = encoding, score
    if best:
        return _whole(data, best)
    return _whole(data, "cp1252")


def _mostly_utf8(sample: bytes) -> bool:
    """UTF-8 in which a few bytes are broken: far more good multi-byte characters than bad bytes."""
    text = sample.decode("utf-8", "replace")
    bad = text.count("\ufffd")
    good = sum(char > "\x7f" for char in text) - bad
    return good > 5 * bad


def _whole(data: bytes, encoding: str) -> Decoded:
    try:
        return Decoded(data.decode(encoding), encoding)
    except UnicodeDecodeError:
        return Decoded(data.decode(encoding, "replace"), encoding, damaged=True)


def _strict(data: bytes, encoding: str) -> str | None:
    """Strictly decoded, allowing for a last character that the sample's end has cut."""
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        return decoder.decode(data)
    except (UnicodeDecodeError, UnicodeError):
        return None


def _wide(sample: bytes) -> str | None:
    """UTF-16 or UTF-32 without a byte order mark, told by where the zero bytes stand."""
    usable = sample[: len(sample) // 4 * 4] or sample[: len(sample) // 2 * 2]
    if not usable:
        return None
    zero = [usable[offset::4].count(0) * 4 / len(usable) for offset in range(4)]
    if min(zero[1], zero[2], zero[3]) > 0.6 and zero[0] < 0.1:
        return "utf-32-le"
    if min(zero[0], zero[1], zero[2]) > 0.6 and zero[3] < 0.1:
        return "utf-32-be"
    for encoding, high, low in (("utf-16-le", 1, 0), ("utf-16-be", 0, 1)):
        zeros_high, zeros_low = (zero[high] + zero[high + 2]) / 2, (zero[low] + zero[low + 2]) / 2
        text = _strict(usable, encoding)
        if text is not None and zeros_low < 0.05 and zeros_high > 0.05 and _printable(text) > 0.97:
            return encoding
    return None


def _printable(text: str) -> float:
    good = sum(char.isprintable() or char in "\t\r\n\f" for char in text)
    return good / max(1, len(text))


def _plausible(text: str, encoding: str) -> float:
    """How ordinary the decoded text looks, 0 to about 1: the share of expected among its foreign characters."""
    foreign = [char for char in text if char > "\x7f"]
    if not foreign:
        return 0.5
    if any("\x80" <= char <= "\x9f" or "\ue000" <= char <= "\uf8ff" for char in foreign):
        return 0.0
    total = len(foreign)
    marks = sum(char in "，。、；：？！“”‘’（）《》【】—…「」『』·" for char in foreign)
    letters = max(1, total - marks)
    han = sum("\u4e00" <= char <= "\u9fff" for char in foreign)
    if encoding == "gb18030":
        return 0.15 * han / letters + 0.85 * min(1.0, 2.2 * sum(c in _SIMPLIFIED for c in foreign) / letters)
    if encoding == "big5hkscs":
        return 0.15 * han / letters + 0.85 * min(1.0, 2.2 * sum(c in _TRADITIONAL for c in foreign) / letters)
    if encoding in ("cp932", "euc_jp"):
        kana = sum("\u3041" <= char <= "\u30fe" for char in foreign)
        half = sum("\uff61" <= char <= "\uff9f" for char in foreign)
        return max(0.0, 0.2 * han + kana * 1.1 - half * 0.8) / letters
    if encoding == "cp949":
        hangul = sum("\uac00" <= char <= "\ud7a3" for char in foreign)
        rare = sum(_rare_syllable(char) for char in foreign)
        return max(0.0, hangul - 2.0 * rare) / letters * 0.99
    return _alphabet(text, foreign, encoding)


def _rare_syllable(char: str) -> bool:
    """Hangul syllables outside KS X 1001 occur in almost no text; cp949 gives them to stray byte pairs."""
    if not "\uac00" <= char <= "\ud7a3":
        return False
    try:
        char.encode("euc_kr")
    except UnicodeEncodeError:
        return True
    return False


def _alphabet(text: str, foreign: list[str], encoding: str) -> float:
    """Single-byte encodings: letters of the right alphabet, standing in words, mostly small letters."""
    letters = [char for char in foreign if char.isalpha()]
    others = sum(char not in "–—‘’“”„•…€£§°©®™«»·´¿¡½¼¾±²³µº ª№\xa0" for char in foreign if not char.isalpha())
    odd = others / len(foreign)
    if encoding in _LATIN:
        ascii_letters = sum(char.isascii() and char.isalpha() for char in text)
        common = sum(char.lower() in _LATIN[encoding] for char in letters) / max(1, len(letters)) if letters else 1.0
        return (0.75 if ascii_letters >= len(letters) else 0.15) * (0.4 + 0.6 * common) - odd
    start, end = _RANGES[encoding]
    own = sum(start <= char <= end for char in foreign) / max(1, len(foreign))
    small = sum(not char.isupper() for char in letters) / max(1, len(letters))
    dense = min(1.0, len(letters) / max(1, sum(char.isalpha() for char in text)) * 2)
    frequent = _FREQUENT.get(encoding)
    usual = sum(char.lower() in frequent for char in letters) / max(1, len(letters)) if frequent else 0.75
    return 0.9 * own * small * dense * (0.3 + 0.7 * min(1.0, usual / 0.75)) - odd * (encoding != "cp874")
