"""The last look at what a model wrote, before anybody sees it.

Knows: markup that must not leave (images, links, tags), and how a text can carry a secret in disguise. Does not know:
streams (`chat.screening` feeds it whole pieces), prompts, pages. What is left is shown as text nodes, never as markup.
"""

from __future__ import annotations

import base64
import codecs
import re
from collections.abc import Iterable, Iterator

from .sanitize import clean, shadow

_IMAGE = re.compile(r"!\[[^\]\n]{0,500}\]\([^)\n]{0,2000}\)")
_LINK = re.compile(r"\[([^\]\n]{0,500})\]\([^)\n]{0,2000}\)")
_TAG = re.compile(r"<[/!a-zA-Z][^<>]{0,2000}>")
_LEAST = 12  # letters and digits: a shorter secret would be found by chance


def screen(text: str) -> str:
    """Plain text of a model's answer: no images, no link targets, no markup tags, nothing invisible."""
    text = clean(text).text
    text = _IMAGE.sub("", text)
    text = _LINK.sub(r"\1", text)
    return _TAG.sub("", text)


def leaks(text: str, hidden: Iterable[str]) -> bool:
    """Whether the text gives away one of the hidden strings: plainly, spaced out, backwards, or encoded.

    Looks through spaces, punctuation and look-alike letters, and for the reversed, ROT13, hexadecimal, Base64 and
    percent-encoded forms. Strings with fewer than 12 letters and digits are left out: they would be found by chance.
    """
    exact = re.sub(r"\s", "", clean(text).text)
    plain = _bare(exact)
    for secret in hidden:
        bare = _bare(secret)
        if len(bare) < _LEAST:
            continue
        if any(form in plain for form in _forms(secret, bare)) or any(form in exact for form in _base64(secret)):
            return True
    return False


def _bare(text: str) -> str:
    """Letters and digits only, look-alikes made plain."""
    return "".join(filter(str.isalnum, shadow(text)))


def _forms(secret: str, bare: str) -> Iterator[str]:
    yield bare
    yield bare[::-1]
    yield codecs.encode(bare, "rot13")
    for content in {secret.encode(), bare.encode()}:
        yield content.hex()
        yield "".join(f"{byte:x}" if byte > 15 else f"0{byte:x}" for byte in content[::-1])


def _base64(secret: str) -> Iterator[str]:
    """What every Base64 text that contains the secret contains, for the three ways in which it can be aligned."""
    for content in {secret.encode(), secret.lower().encode()}:
        for shift in range(3):
            encoded = base64.b64encode(b"\0" * shift + content).decode().rstrip("=")
            start = (0, 2, 3)[shift]
            core = encoded[start : len(encoded) - 1]
            if len(core) >= _LEAST:
                yield core
                yield core.translate(str.maketrans("+/", "-_"))


def quotations(prompt: str, *, words: int = 12) -> list[str]:
    """Runs of `words` words of a prompt, each overlapping the next by half, to give to `leaks`."""
    parts = prompt.split()
    if len(parts) <= words:
        return [" ".join(parts)] if parts else []
    return [" ".join(parts[at : at + words]) for at in range(0, len(parts) - words + 1, words // 2)]
