"""Numbers and dates as a spreadsheet shows them, from the stored value and the cell's format code.

Knows the format codes of ECMA-376 part 1, 18.8.30 as far as values are read by people: decimals, grouping,
percent, currency, dates, times, durations; fractions and scientific notation fall back to a plain number.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from functools import lru_cache

BUILTIN = {
    0: "General", 1: "0", 2: "0.00", 3: "#,##0", 4: "#,##0.00", 9: "0%", 10: "0.00%", 11: "0.00E+00",
    12: "# ?/?", 13: "# ??/??", 14: "yyyy-mm-dd", 15: "d-mmm-yy", 16: "d-mmm", 17: "mmm-yy", 18: "h:mm AM/PM",
    19: "h:mm:ss AM/PM", 20: "h:mm", 21: "h:mm:ss", 22: "yyyy-mm-dd h:mm", 37: "#,##0;(#,##0)",
    38: "#,##0;(#,##0)", 39: "#,##0.00;(#,##0.00)", 40: "#,##0.00;(#,##0.00)", 41: "#,##0", 42: "$#,##0",
    43: "#,##0.00", 44: "$#,##0.00", 45: "mm:ss", 46: "[h]:mm:ss", 47: "mm:ss.0", 48: "0.0E+0", 49: "@",
    27: "yyyy-mm-dd", 28: "yyyy-mm-dd", 29: "yyyy-mm-dd", 30: "yyyy-mm-dd", 31: "yyyy-mm-dd", 32: "h:mm",
    33: "h:mm:ss", 36: "yyyy-mm-dd", 50: "yyyy-mm-dd", 57: "yyyy-mm-dd",
}  # fmt: skip
_LITERAL = re.compile(r'"([^"]*)"|\\(.)|_.|\*.')
_CURRENCY = re.compile(r"\[\$([^\]-]*)(?:-[0-9A-Fa-f]+)?\]")
_BRACKETS = re.compile(r"\[(?!h|m|s|hh|mm|ss\])[^\]]*\]", re.IGNORECASE)
_DATE_CODE = re.compile(r"[ymdhs]|am/pm|\[h+\]", re.IGNORECASE)
_PLACES = re.compile(r"[#0?][#0?,]*(?:\.([#0?]+))?")
_TOKEN = re.compile(r"yyyy|yy|y|mmmmm|mmmm|mmm|mm|m|dddd|ddd|dd|d|\[h+\]|\[m+\]|hh|h|ss|s|am/pm|a/p|\.0+|.", re.I)
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
           "November", "December")  # fmt: skip
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def show(value: float, code: str, *, epoch_1904: bool = False) -> str:
    """A number as its cell shows it."""
    section = _section(value, code)
    if is_date(section):
        return _moment(value, section, epoch_1904)
    return _number(value, section, many=";" in code)


@lru_cache(maxsize=4096)
def is_date(code: str) -> bool:
    """Whether a format code shows dates, times or durations."""
    bare = _LITERAL.sub("", _CURRENCY.sub("", code))
    bare = re.sub(r"\[(?![hms]+\])[^\]]*\]", "", bare, flags=re.IGNORECASE)
    return bare.lower() != "general" and bool(_DATE_CODE.search(bare.replace("General", "")))


def _section(value: float, code: str) -> str:
    parts = re.split(r';(?=(?:[^"]*"[^"]*")*[^"]*$)', code)
    if value < 0 and len(parts) > 1 and parts[1].strip():
        return parts[1]
    if value == 0 and len(parts) > 2 and parts[2].strip():
        return parts[2]
    return parts[0]


def _number(value: float, code: str, *, many: bool) -> str:
    bare = _BRACKETS.sub("", _CURRENCY.sub(r'"\1"', code))
    skeleton = _LITERAL.sub("\x00", bare)
    match = _PLACES.search(skeleton)
    if match is None or "general" in code.lower() or "E+" in code.upper() or "/" in skeleton:
        literals = _literal_text(bare)
        if match is None and literals and "@" not in code and "general" not in code.lower():
            return literals.strip()
        return plain(value)
    percent = skeleton.count("%")
    shown = abs(value) * 100**percent if many and value < 0 else value * 100**percent
    scale = len(skeleton[: match.end()]) - len(skeleton[: match.end()].rstrip(","))
    shown /= 1000**scale
    places = len(match[1] or "")
    text = f"{shown:,.{places}f}" if "," in match[0].rstrip(",") else f"{shown:.{places}f}"
    optional = len(match[1] or "") - len((match[1] or "").rstrip("#?"))
    for _ in range(optional):
        text = text[:-1] if text.endswith("0") else text
    text = text.rstrip(".") if places else text
    before, after = _split(bare)
    sign = ""
    if text.startswith("-"):
        sign, text = "-", text[1:]
    return (sign + before.strip(" ") + (" " if before.endswith(" ") and before.strip() else "") + text + after).strip()


def _split(bare: str) -> tuple[str, str]:
    """What stands before and after the digits of a format, literals unwrapped."""
    out: list[str] = []
    position = first = last = 0
    marks: list[tuple[int, str, bool]] = []
    while position < len(bare):
        literal = _LITERAL.match(bare, position)
        if literal:
            pad = literal[0][0] in "_*"
            marks.append((position, " " if pad else (literal[1] if literal[1] is not None else literal[2]), False))
            position = literal.end()
            continue
        marks.append((position, bare[position], bare[position] in "#0?,."))
        position += 1
    digits = [index for index, mark in enumerate(marks) if mark[2]]
    if not digits:
        return "", "".join(out)
    first, last = digits[0], digits[-1]
    return "".join(m[1] for m in marks[:first]), "".join(m[1] for m in marks[last + 1 :])


def _literal_text(bare: str) -> str:
    return "".join((m[1] or m[2] or "") for m in _LITERAL.finditer(bare))


def plain(value: float) -> str:
    """A number without a format: no trailing zeros, no exponent for sizes people use."""
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return f"{value:.10g}"


def _moment(value: float, code: str, epoch_1904: bool) -> str:
    duration = re.search(r"\[(h+|m+|s+)\]", code, re.IGNORECASE)
    if duration:
        seconds = round(abs(value) * 86400)
        sign = "-" if value < 0 else ""
        hours, rest = divmod(seconds, 3600)
        return f"{sign}{hours}:{rest // 60:02d}" + (f":{rest % 60:02d}" if "s" in code.lower() else "")
    try:
        moment = from_serial(value, epoch_1904=epoch_1904)
    except (OverflowError, ValueError):
        return plain(value)
    return write_moment(moment, code)


def from_serial(value: float, *, epoch_1904: bool = False) -> datetime:
    """The moment that a spreadsheet's serial day number means."""
    start = datetime(1904, 1, 1) if epoch_1904 else datetime(1899, 12, 30 if value >= 60 else 31)  # noqa: DTZ001
    return start + timedelta(seconds=round(value * 86400))


def write_moment(moment: datetime, code: str) -> str:
    """A moment in a format code's own order and spelling."""
    bare = _CURRENCY.sub("", code)
    bare = re.sub(r"\[(?![hms]+\])[^\]]*\]", "", bare, flags=re.IGNORECASE)
    twelve = "am/pm" in bare.lower() or "a/p" in bare.lower()
    out: list[str] = []
    after_hour = False
    position = 0
    while position < len(bare):
        literal = _LITERAL.match(bare, position)
        if literal:
            out.append(literal[1] if literal[1] is not None else (literal[2] or " "))
            position = literal.end()
            continue
        token = _TOKEN.match(bare, position)
        assert token is not None
        word = token[0].lower()
        position = token.end()
        minutes = word in ("m", "mm") and (after_hour or re.match(r"[^a-z]*s", bare[position:], re.IGNORECASE))
        out.append(_field(moment, word, token[0], twelve, bool(minutes)))
        if word[0] in "hs":
            after_hour = word[0] == "h"
        elif word.isalpha():
            after_hour = False
    return "".join(out).strip()


def _field(moment: datetime, word: str, raw: str, twelve: bool, minutes: bool) -> str:
    hour = (moment.hour % 12 or 12) if twelve else moment.hour
    if minutes:
        return f"{moment.minute:02d}" if word == "mm" else str(moment.minute)
    table = {
        "yyyy": str(moment.year), "yy": f"{moment.year % 100:02d}", "y": f"{moment.year % 100:02d}",
        "mmmmm": _MONTHS[moment.month - 1][0], "mmmm": _MONTHS[moment.month - 1],
        "mmm": _MONTHS[moment.month - 1][:3], "mm": f"{moment.month:02d}", "m": str(moment.month),
        "dddd": _DAYS[moment.weekday()], "ddd": _DAYS[moment.weekday()][:3], "dd": f"{moment.day:02d}",
        "d": str(moment.day), "hh": f"{hour:02d}", "h": str(hour), "ss": f"{moment.second:02d}",
        "s": str(moment.second), "am/pm": "AM" if moment.hour < 12 else "PM", "a/p": "A" if moment.hour < 12 else "P",
    }  # fmt: skip
    if word in table:
        return table[word]
    return "" if word.startswith(".0") or raw in "@;" else raw
