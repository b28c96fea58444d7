"""Zip containers (OOXML, ODF, EPUB) opened with bounds on members, size and ratio; XML read without entities.

Knows zip and XML, not what is inside. Members are read by name into memory; nothing is ever written to a disk,
so path names in an archive have no power here.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree as safe_xml
from defusedxml.common import DefusedXmlException

from retrieval.errors import CorruptDocument, EncryptedDocument, LimitExceeded
from retrieval.parsing.limits import Limits

_RATIO_FLOOR = 8 * 1024 * 1024
_DEPTH = 400


class Archive:
    """A zip file read by member name, never unpacked."""

    def __init__(self, data: bytes, limits: Limits) -> None:
        self._limits = limits
        self._read = 0
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except (
            zipfile.BadZipFile,
            ValueError,
            OSError,
            NotImplementedError,
            OverflowError,
            IndexError,
        ) as exc:
            raise CorruptDocument(f"not a readable zip container: {exc}") from exc
        infos = self._zip.infolist()
        if len(infos) > limits.archive_members:
            raise LimitExceeded(f"{len(infos)} members in the container", what="archive_members")
        self._infos = {info.filename.lstrip("/").replace("\\", "/"): info for info in infos}
        self._lower = {name.lower(): name for name in self._infos}

    def names(self) -> list[str]:
        """Member names in the archive's order."""
        return list(self._infos)

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._lower

    def read(self, name: str) -> bytes:
        """The bytes of a member; raises `CorruptDocument`, `EncryptedDocument` or `LimitExceeded`."""
        key = self._lower.get(name.lower())
        if key is None:
            raise CorruptDocument(f"the container lacks {name[:120]!r}")
        info = self._infos[key]
        if info.flag_bits & 1:
            raise EncryptedDocument("the container's members are encrypted")
        allowed = self._limits.archive_bytes - self._read
        chunks: list[bytes] = []
        size = 0
        try:
            with self._zip.open(info) as member:
                while chunk := member.read(1 << 20):
                    size += len(chunk)
                    if size > allowed:
                        raise LimitExceeded("the container unpacks to too much", what="archive_bytes")
                    ratio = size / max(1, info.compress_size)
                    if size > _RATIO_FLOOR and ratio > self._limits.archive_ratio:
                        raise LimitExceeded("a member is packed suspiciously well", what="archive_ratio")
                    chunks.append(chunk)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, ValueError) as exc:
            raise CorruptDocument(f"member {name[:120]!r} is damaged: {exc}") from exc
        except RuntimeError as exc:
            raise EncryptedDocument(f"member {name[:120]!r} cannot be opened") from exc
        self._read += size
        return b"".join(chunks)

    def xml(self, name: str) -> Element:
        """A member parsed as XML; document types, entities and absurd nesting are refused."""
        return parse_xml(self.read(name), name)

    def optional_xml(self, name: str) -> Element | None:
        """The same, None when there is no such member."""
        return self.xml(name) if name in self else None


def parse_xml(data: bytes, name: str) -> Element:
    """XML without entities or a document type's declarations; raises `CorruptDocument`."""
    try:
        root: Element = safe_xml.fromstring(data, forbid_dtd=False, forbid_entities=True, forbid_external=True)
    except DefusedXmlException as exc:
        raise CorruptDocument(f"{name[:120]!r} declares XML entities") from exc
    except (ParseError, ValueError, LookupError, RecursionError) as exc:
        raise CorruptDocument(f"{name[:120]!r} is not well-formed: {exc}") from exc
    _check_depth(root, name)
    return root


def _check_depth(root: Element, name: str) -> None:
    """Refuse trees so deep that walking them would end in a recursion error."""
    level = [root]
    for _ in range(_DEPTH):
        level = [child for element in level for child in element]
        if not level:
            return
    raise CorruptDocument(f"{name[:120]!r} nests more than {_DEPTH} levels")


def local(element: Element) -> str:
    """An element's name without its namespace."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def attribute(element: Element, name: str) -> str | None:
    """The value of an attribute given by its name without namespace, None when absent."""
    for key, value in element.attrib.items():
        if key.rpartition("}")[2] == name:
            return value
    return None
