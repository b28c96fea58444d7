"""The language in which a question is answered where no document speaks."""

from __future__ import annotations

import re

_CJK = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")


def of(question: str) -> str:
    """Its code among the product's languages."""
    return "zh-hans" if _CJK.search(question) else "en"
