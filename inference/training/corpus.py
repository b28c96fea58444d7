"""Plain prose out of archives of Markdown and text files: raw material for synthetic questions."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

from inference.engines.base import Passage
from inference.reading.words import words
from inference.training.qa import passages_of

_FRONT = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_FENCE = re.compile(r"```.*?```|<[^>]+>|\{\{.*?\}\}", re.DOTALL)
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_MARK = re.compile(r"^[#>*\-|\s]+|[*_`|]+", re.MULTILINE)


def archive_passages(path: Path, limit: int) -> list[Passage]:
    """At most ``limit`` passages of running text from the Markdown files of a tar archive, in its order."""
    found: list[Passage] = []
    with tarfile.open(path) as archive:
        for member in archive:
            if len(found) >= limit:
                break
            if not member.isfile() or not member.name.endswith((".md", ".txt", ".mdx", ".erb", ".rst")):
                continue
            stream = archive.extractfile(member)
            if stream is None:
                continue
            text = stream.read().decode("utf-8", "replace")
            plain = _MARK.sub("", _LINK.sub(r"\1", _FENCE.sub("", _FRONT.sub("", text))))
            for passage in passages_of(member.name, "", re.sub(r"\n{2,}", "\n", plain)):
                long_enough = [
                    (start, end) for start, end in passage.sentences if len(words(passage.text[start:end])) > 6
                ]
                if len(long_enough) >= 3:
                    found.append(passage)
    return found[:limit]
