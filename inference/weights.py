"""Weight files tensor by tensor: read without holding a file, written a shard at a time.

A file is mapped only while one of its tensors, or some rows of one, is read: what is mapped counts as used memory.
Knows safetensors. Does not know layers or recipes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from inference.errors import ModelCorrupt

if TYPE_CHECKING:
    import torch

SHARD = 2**28  # bytes of weights held before a file of them is written
_INDEX = "model.safetensors.index.json"


class Weights:
    """Tensors of a model folder by name."""

    def __init__(self, folder: Path) -> None:
        from safetensors import safe_open

        self._where: dict[str, Path] = {}
        for path in sorted(folder.glob("*.safetensors")):
            with safe_open(path, framework="pt") as tensors:
                self._where.update(dict.fromkeys(tensors.keys(), path))

    def __contains__(self, name: str) -> bool:
        return name in self._where

    def __iter__(self) -> Iterator[str]:
        return iter(self._where)

    def __getitem__(self, name: str) -> torch.Tensor:
        """The tensor; its pages are the file's until it is copied or let go. Raises ModelCorrupt."""
        from safetensors import safe_open

        with safe_open(self._file(name), framework="pt") as tensors:
            found: torch.Tensor = tensors.get_tensor(name)
        return found

    def rows(self, name: str) -> Rows:
        """A matrix to be read in pieces. Raises ModelCorrupt."""
        return Rows(self._file(name), name)

    def below(self, prefix: str) -> dict[str, torch.Tensor]:
        """Copies of all tensors whose names begin so, by the rest of their names."""
        return {name.removeprefix(prefix): self[name].clone() for name in self._where if name.startswith(prefix)}

    def _file(self, name: str) -> Path:
        if name not in self._where:
            raise ModelCorrupt(f"the weights hold no {name}", file="", hint="Import the model again.")
        return self._where[name]


class Rows:
    """A matrix in a file. A slice reads only those rows."""

    def __init__(self, path: Path, name: str) -> None:
        from safetensors import safe_open

        self._path, self._name = path, name
        with safe_open(path, framework="pt") as tensors:
            self.shape: tuple[int, ...] = tuple(tensors.get_slice(name).get_shape())

    def __getitem__(self, rows: slice) -> torch.Tensor:
        from safetensors import safe_open

        with safe_open(self._path, framework="pt") as tensors:
            found: torch.Tensor = tensors.get_slice(self._name)[rows]
        return found


def headers(folder: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Type and shape of every tensor of a folder, by name; only the files' headers are read."""
    from safetensors import safe_open

    found = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="numpy") as tensors:
            for key in tensors.keys():  # noqa: SIM118 - not a mapping
                piece = tensors.get_slice(key)
                found[key] = (str(piece.get_dtype()), tuple(piece.get_shape()))
    return found


_BYTES = {"F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2}


def tensor_bytes(found: Mapping[str, tuple[str, tuple[int, ...]]]) -> int:
    """What tensors of these types and shapes take in memory."""
    return sum(_BYTES.get(kind, 1) * prod(shape) for kind, shape in found.values())


class Shards:
    """`with Shards(folder) as shards: shards.add(…)`: files named and indexed as transformers expects them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, torch.Tensor] = {}
        self._bytes = self._total = 0
        self._files: list[list[str]] = []

    def __enter__(self) -> Shards:
        return self

    def add(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Tensors of one layer; copies are made of what another file's pages hold."""
        for name, tensor in tensors.items():
            self._held[name] = tensor.detach().to("cpu").contiguous()
            self._bytes += tensor.nbytes
        if self._bytes >= SHARD:
            self._write()

    def _write(self) -> None:
        from safetensors.torch import save_file

        if self._held:
            save_file(self._held, self._name(len(self._files)), metadata={"format": "pt"})
            self._files.append(list(self._held))
            self._total += self._bytes
            self._held, self._bytes = {}, 0

    def _name(self, number: int) -> Path:
        return self._folder / f".{number}.safetensors"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            return
        self._write()
        count = len(self._files)
        if count == 1:
            self._name(0).rename(self._folder / "model.safetensors")
            return
        where: dict[str, str] = {}
        for number, names in enumerate(self._files):
            name = f"model-{number + 1:05}-of-{count:05}.safetensors"
            self._name(number).rename(self._folder / name)
            where |= dict.fromkeys(names, name)
        body = {"metadata": {"total_size": self._total}, "weight_map": where}
        (self._folder / _INDEX).write_text(json.dumps(body, indent=1), encoding="utf-8")
