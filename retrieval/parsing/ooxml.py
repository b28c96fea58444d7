"""What DOCX, PPTX and XLSX share: parts, relationships, properties (ECMA-376 part 2).

Knows the package, not the documents in it. Macros and active content are never looked at.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from retrieval.errors import CorruptDocument
from retrieval.parsing.archives import Archive, attribute, local
from retrieval.parsing.pages import PageWriter


@dataclass(frozen=True, slots=True)
class Relation:
    """A relationship of a part: the last word of its type, and the target's name in the package."""

    kind: str
    target: str
    external: bool


def relations(archive: Archive, part: str) -> dict[str, Relation]:
    """The relationships of a part by id; empty when it has none."""
    folder, name = posixpath.split(part)
    root = archive.optional_xml(posixpath.join(folder, "_rels", name + ".rels"))
    found: dict[str, Relation] = {}
    for element in root if root is not None else ():
        identifier, target = element.get("Id"), element.get("Target")
        if identifier and target:
            external = element.get("TargetMode") == "External"
            path = target if external else resolve(folder, target)
            found[identifier] = Relation((element.get("Type") or "").rpartition("/")[2], path, external)
    return found


def resolve(folder: str, target: str) -> str:
    """The package name that a relationship's target means."""
    if target.startswith("/"):
        return target.lstrip("/")
    return posixpath.normpath(posixpath.join(folder, target)).lstrip("/")


def main_part(archive: Archive, usual: str) -> str:
    """The name of the part that the document starts from."""
    for relation in relations(archive, "").values():
        if relation.kind == "officeDocument" and relation.target in archive:
            return relation.target
    if usual in archive:
        return usual
    raise CorruptDocument(f"the package has no {usual}")


def title(archive: Archive) -> str | None:
    """The title among the document's properties."""
    root = archive.optional_xml("docProps/core.xml")
    for element in root if root is not None else ():
        if local(element) == "title" and element.text and element.text.strip():
            return element.text
    return None


def warn_of_macros(archive: Archive, writer: PageWriter) -> None:
    """Tell the curator that the file carries macros, which were not read."""
    if any(name.lower().endswith("vbaproject.bin") for name in archive.names()):
        writer.warn("The file contains macros; they were not run and not read.")


def report_comments(archive: Archive, found: dict[str, Relation], writer: PageWriter) -> None:
    """List the comments among a part's relationships for the curator; none is indexed."""
    for relation in found.values():
        if relation.kind != "comments" or relation.external:
            continue
        root = archive.optional_xml(relation.target)
        for comment in root.iter() if root is not None else ():
            if local(comment) in ("comment", "cm"):
                parts = (e.text for e in comment.iter() if local(e) in ("t", "text"))
                writer.hide(" ".join(part for part in parts if part), "comment")


def on(value: str | None) -> bool:
    """An OOXML switch: present means on unless it says otherwise."""
    return value is None or value.lower() not in ("0", "false", "off", "none")


__all__ = [
    "Relation",
    "attribute",
    "main_part",
    "on",
    "relations",
    "report_comments",
    "resolve",
    "title",
    "warn_of_macros",
]
