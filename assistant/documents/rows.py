"""The passages that a search loads, as rows and as instances. Knows: which columns passages, answers and citations are
made of; what else a row holds costs a search its reading and decrypting. Does not know: who may read what (`policy`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import connection
from django.db.models import Model
from django.db.models.base import ModelState

from .models import Chunk, Collection, Document, DocumentVersion


class _Part:
    """Columns of one model behind a path from the chunk."""

    def __init__(self, model: type[Model], path: str, names: set[str]) -> None:
        self._model = model
        self._names = [field.attname for field in model._meta.concrete_fields if field.attname in names]
        assert len(self._names) == len(names), names
        self.columns = [path + name for name in self._names]

    def made(self, values: tuple[Any, ...]) -> Any:
        """What `from_db` makes of them: an instance that fetches its other columns when they are asked for. Past its
        `__init__`, as Django itself does with pickled rows: that looks at every field of the model, and takes most of
        the time in which a search loads what it found."""
        made = self._model.__new__(self._model)
        made._state = ModelState()
        made._state.adding, made._state.db = False, connection.alias
        made.__dict__.update(zip(self._names, values, strict=True))
        return made


_PARTS = (
    _Part(
        Chunk,
        "",
        {"id", "document_id", "version_id", "ordinal", "page", "headings", "char_start", "char_end", "text"}
        | {"suspicion"},
    ),
    _Part(Document, "document__", {"id", "collection_id", "title"}),
    _Part(Collection, "document__collection__", {"id", "slug"}),
    _Part(DocumentVersion, "version__", {"id", "number", "uploaded_by_id"}),
)
COLUMNS = tuple(column for part in _PARTS for column in part.columns)
_ENDS = [sum(len(part.columns) for part in _PARTS[: place + 1]) for place in range(len(_PARTS))]
_BOUNDS = [slice(start, end) for start, end in zip([0, *_ENDS], _ENDS, strict=False)]
_DOCUMENT, _COLLECTION = Chunk._meta.get_field("document"), Document._meta.get_field("collection")
_VERSION = Chunk._meta.get_field("version")


def chunks(found: Iterable[tuple[Any, ...]]) -> dict[int, Chunk]:
    """Of rows with `COLUMNS`, each chunk by its id, with its version, its document and that one's collection, which the
    chunks of one document share."""
    made: dict[int, Chunk] = {}
    known: dict[tuple[int, Any], Any] = {}

    def shared(place: int, row: tuple[Any, ...]) -> Any:
        values = row[_BOUNDS[place]]
        key = place, values[0]
        if key not in known:
            known[key] = _PARTS[place].made(values)
        return known[key]

    for row in found:
        chunk, document = _PARTS[0].made(row[_BOUNDS[0]]), shared(1, row)
        _COLLECTION.set_cached_value(document, shared(2, row))
        _DOCUMENT.set_cached_value(chunk, document)
        _VERSION.set_cached_value(chunk, shared(3, row))
        made[chunk.pk] = chunk
    return made
