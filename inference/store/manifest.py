"""What is known of an installed model: origin, licence, and size and sha256 of every file.

Knows the manifest's shape. Does not know where models lie (`store`) or how they are loaded (`inference.loading`).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from inference.errors import ModelCorrupt, QuantizationRefused

from .gates import Gate

FORMAT = 1
MANIFEST_NAME = "manifest.json"
Kind = Literal["safetensors", "gguf"]


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a model: path inside its folder, size in bytes, sha256 in hexadecimal."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Adapter:
    """The LoRA adapter that a model was made with, and the model that it was put on top of."""

    name: str
    size: int  # bytes of its weights
    sha256: str  # of its weights
    base: str
    base_licence: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The record of one import.

    `architecture` is config.json's model_type; `template_sha256` pins the chat template.
    """

    name: str
    kind: Kind
    source: str
    revision: str
    licence: str
    imported_at: str  # ISO 8601, UTC
    imported_by: str
    architecture: str
    template_sha256: str
    files: tuple[FileEntry, ...]
    recipe: str = ""  # by which the weights are stored quantized; empty: they are not
    parent: str = ""  # digest of the model it was made from
    gate: Gate | None = None
    adapter: Adapter | None = None

    @property
    def size(self) -> int:
        """Bytes on disk, manifest not counted."""
        return sum(entry.size for entry in self.files)

    @property
    def digest(self) -> str:
        """One sha256 for the whole content: what an audit event or an answer's record names."""
        lines = "".join(f"{entry.sha256}  {entry.path}\n" for entry in sorted(self.files, key=lambda e: e.path))
        return hashlib.sha256(lines.encode()).hexdigest()

    def check_offered(self, wanted: str) -> None:
        """Whether the model may answer as `wanted` ("auto" and "none": as it is stored). Raises QuantizationRefused:
        no quantization without its gate, and none by the way while loading."""
        if wanted not in {"", "auto", "none", self.recipe}:
            raise QuantizationRefused(
                f"{self.name} is not stored as {wanted}.",
                hint=f"manage.py models quantize {self.name} --recipe {wanted}; then activate what it writes.",
            )
        if not self.recipe:
            return
        if self.gate is None:
            raise QuantizationRefused(
                f"{self.name} came quantized ({self.recipe}) and was never measured against the unquantized model.",
                hint="Import the unquantized model and quantize it here: manage.py models quantize.",
            )
        self.gate.check(self.name)

    def write(self, folder: Path) -> None:
        body = json.dumps({"format": FORMAT, **asdict(self)}, indent=1, ensure_ascii=False)
        (folder / MANIFEST_NAME).write_text(body, encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Raises ModelCorrupt when the manifest is absent or not one."""
        path = folder / MANIFEST_NAME
        try:
            body: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if body.pop("format") != FORMAT:
                raise ValueError("unknown format")
            files = tuple(FileEntry(**entry) for entry in body.pop("files"))
            gate = body.pop("gate", None)
            adapter = body.pop("adapter", None)
            return cls(
                files=files,
                gate=Gate(**gate) if gate else None,
                adapter=Adapter(**adapter) if adapter else None,
                **body,
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelCorrupt(
                f"{folder.name}: the manifest cannot be read ({error})",
                file=MANIFEST_NAME,
                hint="Import the model again.",
            ) from error


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
