"""What a page or a record says once everything drawn at random is taken out of it.

Ids, tokens, keys, times and measured fractions hold any few digits now and then: that a short piece of a text is absent
can be said of the rest only.
"""

from __future__ import annotations

import re

_DRAWN = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"  # ids
    r"|(?<=-)[0-9a-f]{10}(?=⟩)"  # what tells one pseudonym from another
    r"|(?<=passage-)[0-9a-f]{16}|(?<=end-)[0-9a-f]{16}"  # the delimiters of a prompt
    r'|(?<=name="csrfmiddlewaretoken" value=")[^"]+'
    r'|(?<=nonce=")[^"]+'
    r"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?"  # times
    r"|\b(?:[0-9a-f]{24}|[0-9a-f]{64})\b"  # canaries and digests
    r"|\b\d+\.\d+(?:e-?\d+)?\b"  # seconds and scores
)


def told(text: str) -> str:
    """`text` without what is drawn at random; everything that a person or a model could read as words and numbers
    stays, a number written without spaces too."""
    return _DRAWN.sub("…", text)
