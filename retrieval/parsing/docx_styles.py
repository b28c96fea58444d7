"""Styles and numbering of a DOCX: which paragraphs are headings, what number stands before an item.

Knows styles.xml and numbering.xml (ECMA-376 part 1, 17.7 and 17.9).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from retrieval.parsing.archives import Archive, attribute, local

_HEADING = re.compile(r"^(?:heading|标题|überschrift|titre)\s*(\d)$")
_ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"),
          (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))  # fmt: skip
_CHINESE = "零一二三四五六七八九"


@dataclass(frozen=True, slots=True)
class Style:
    """What a style means to us: heading level (0 none), list reference, hidden text."""

    level: int
    num_id: str | None
    num_level: int | None
    hidden: bool


@dataclass(slots=True)
class _Level:
    start: int
    form: str
    pattern: str


@dataclass(slots=True)
class Numbering:
    """Counts list items as Word does; `label` must be called once per numbered paragraph, in order."""

    levels: dict[str, dict[int, _Level]] = field(default_factory=dict)
    abstract: dict[str, str] = field(default_factory=dict)
    counters: dict[str, dict[int, int]] = field(default_factory=dict)

    def label(self, num_id: str, level: int) -> str:
        """The number before the next item of this list, an empty string for bullets."""
        levels = self.levels.get(num_id)
        if not levels or level not in levels:
            return ""
        counter = self.counters.setdefault(self.abstract[num_id], {})
        counter[level] = counter.get(level, levels[level].start - 1) + 1
        for deeper in [key for key in counter if key > level]:
            del counter[deeper]
        if levels[level].form in ("bullet", "none"):
            return ""

        def number(match: re.Match[str]) -> str:
            at = int(match[1]) - 1
            spec = levels.get(at)
            return _write(counter.get(at, spec.start if spec else 1), spec.form if spec else "decimal")

        return re.sub(r"%(\d)", number, levels[level].pattern).strip()


def child(element: Element | None, name: str) -> Element | None:
    """The first child of this local name."""
    if element is None:
        return None
    return next((item for item in element if local(item) == name), None)


def value(element: Element | None, name: str) -> str | None:
    """The `val` of the child of this name, None without one."""
    found = child(element, name)
    return None if found is None else attribute(found, "val")


def switched(element: Element | None, name: str) -> bool:
    """Whether an on/off property is there and on."""
    found = child(element, name)
    return found is not None and (attribute(found, "val") or "1").lower() not in ("0", "false", "off", "none")


def read_styles(archive: Archive, part: str) -> dict[str, Style]:
    """Every style by id, inheritance resolved."""
    root = archive.optional_xml(part)
    raw = {attribute(s, "styleId") or "": s for s in root if local(s) == "style"} if root is not None else {}
    return {identifier: _style(raw, identifier) for identifier in raw}


def _style(raw: dict[str, Element], identifier: str) -> Style:
    level, num_id, num_level = 0, None, None
    hidden: bool | None = None
    seen: set[str] = set()
    current: str | None = identifier
    while current in raw and current not in seen:
        seen.add(current)
        element = raw[current]
        properties = child(element, "pPr")
        name = (value(element, "name") or "").strip().lower()
        match = _HEADING.match(name)
        outline = value(properties, "outlineLvl")
        if not level:
            if match:
                level = min(6, int(match[1]) or 1)
            elif name in ("title", "标题"):
                level = 1
            elif outline is not None and outline.isdigit() and int(outline) < 9:
                level = min(6, int(outline) + 1)
        reference = child(properties, "numPr")
        if num_id is None and reference is not None:
            num_id = value(reference, "numId")
            at = value(reference, "ilvl")
            num_level = int(at) if at and at.isdigit() else None
        if hidden is None and child(child(element, "rPr"), "vanish") is not None:
            hidden = switched(child(element, "rPr"), "vanish")
        current = value(element, "basedOn")
    return Style(level, num_id, num_level, bool(hidden))


def read_numbering(archive: Archive, part: str) -> Numbering:
    """The lists of numbering.xml."""
    numbering = Numbering()
    root = archive.optional_xml(part)
    if root is None:
        return numbering
    shapes: dict[str, dict[int, _Level]] = {}
    for element in root:
        if local(element) == "abstractNum":
            shapes[attribute(element, "abstractNumId") or ""] = dict(_levels(element))
    for element in root:
        if local(element) != "num":
            continue
        identifier, abstract = attribute(element, "numId") or "", value(element, "abstractNumId") or ""
        numbering.levels[identifier] = dict(shapes.get(abstract, {}))
        overrides = [item for item in element if local(item) == "lvlOverride"]
        for override in overrides:
            numbering.levels[identifier].update(_levels(override))
        numbering.abstract[identifier] = f"{abstract}/{identifier}" if overrides else abstract
    return numbering


def _levels(element: Element) -> list[tuple[int, _Level]]:
    found = []
    for item in element:
        if local(item) == "lvl":
            start, at = value(item, "start") or "1", attribute(item, "ilvl") or "0"
            if at.isdigit() and start.lstrip("-").isdigit():
                spec = _Level(int(start), value(item, "numFmt") or "decimal", value(item, "lvlText") or "")
                found.append((int(at), spec))
    return found


def _write(number: int, form: str) -> str:
    if form in ("lowerLetter", "upperLetter") and number > 0:
        letter = chr(ord("a") + (number - 1) % 26) * ((number - 1) // 26 + 1)
        return (letter if form == "lowerLetter" else letter.upper())[:6]
    if form in ("lowerRoman", "upperRoman") and 0 < number < 4000:
        text, left = "", number
        for worth, sign in _ROMAN:
            text += sign * (left // worth)
            left %= worth
        return text if form == "lowerRoman" else text.upper()
    if (
        form in ("chineseCounting", "chineseCountingThousand", "ideographDigital", "japaneseCounting")
        and 0 < number < 100
    ):
        tens, ones = divmod(number, 10)
        head = "" if tens == 0 else ("" if tens == 1 else _CHINESE[tens]) + "十"
        return head + (_CHINESE[ones] if ones else "")
    return f"{number:02d}" if form == "decimalZero" else str(number)
