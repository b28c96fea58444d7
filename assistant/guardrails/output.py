"""The last look at what a model wrote, before anybody sees it. (First cut.)"""

from __future__ import annotations

import re

from .sanitize import clean

_IMAGE = re.compile(r"!\[[^\]\n]{0,500}\]\([^)\n]{0,2000}\)")
_LINK = re.compile(r"\[([^\]\n]{0,500})\]\([^)\n]{0,2000}\)")
_TAG = re.compile(r"<[/!a-zA-Z][^<>]{0,2000}>")


def screen(text: str) -> str:
    """Plain text of a model's answer: no images, no link targets, no markup tags, nothing invisible."""
    text = clean(text).text
    text = _IMAGE.sub("", text)
    text = _LINK.sub(r"\1", text)
    return _TAG.sub("", text)
