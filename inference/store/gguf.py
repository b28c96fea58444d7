"""What a GGUF file says of itself, read without trusting any of it.

Every count, length and offset is held against a limit and against the file's size before it is used, so that a
truncated, damaged or hostile file is refused here and never reaches llama.cpp's own parser. The chat template is text
to this module: it is not compiled, let alone run. Reads the head of the file only; knows no model and no store.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3, little-endian).
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import isfinite, prod
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

from inference.errors import ModelCorrupt

Described = TypeVar("Described")
MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
# kind of tensor -> (name, weights of a block, bytes of a block)
_TYPES = {
    0: ("f32", 1, 4), 1: ("f16", 1, 2), 2: ("q4_0", 32, 18), 3: ("q4_1", 32, 20), 6: ("q5_0", 32, 22),
    7: ("q5_1", 32, 24), 8: ("q8_0", 32, 34), 9: ("q8_1", 32, 40), 10: ("q2_k", 256, 84), 11: ("q3_k", 256, 110),
    12: ("q4_k", 256, 144), 13: ("q5_k", 256, 176), 14: ("q6_k", 256, 210), 15: ("q8_k", 256, 292),
    16: ("iq2_xxs", 256, 66), 17: ("iq2_xs", 256, 74), 18: ("iq3_xxs", 256, 98), 19: ("iq1_s", 256, 50),
    20: ("iq4_nl", 32, 18), 21: ("iq3_s", 256, 110), 22: ("iq2_s", 256, 82), 23: ("iq4_xs", 256, 136),
    24: ("i8", 1, 1), 25: ("i16", 1, 2), 26: ("i32", 1, 4), 27: ("i64", 1, 8), 28: ("f64", 1, 8),
    29: ("iq1_m", 256, 56), 30: ("bf16", 1, 2), 34: ("tq1_0", 256, 54), 35: ("tq2_0", 256, 66),
    39: ("mxfp4", 32, 17), 40: ("nvfp4", 64, 36), 41: ("q1_0", 128, 18),
}  # fmt: skip
_HEAD_BYTES = 2**28  # vocabularies of a quarter of a million words take some 20 MiB
_KEYS, _TENSORS = 2**16, 2**16
_NAME_BYTES = 2**16
_TENSOR_NAME_BYTES = 63  # what ggml has room for
_TEXT_BYTES = 2**20  # of a value that is kept; only templates are long
_TEMPLATE_BYTES = 2**18
_KEPT_NUMBERS = 4096  # arrays of numbers up to this length are kept (one number a layer)
_VOCABULARY = 2**22
_CONTEXT = 2**26
_LAYERS = 4096
_SPLIT = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """A checked head. `layers` … `value_length` are zero in the later parts of a split model."""

    architecture: str
    context: int  # longest sequence in tokens, as trained
    layers: int
    key_value_heads: tuple[int, ...]  # of each layer
    key_length: int
    value_length: int
    tokenizer: str
    vocabulary: int
    chat_template: str
    part: int  # from 0; a model in one file is part 0 of 1
    parts: int
    parameters: int
    weight_bytes: int
    quantization: str  # the kind that most bytes are of

    @property
    def template_sha256(self) -> str:
        """Empty when there is no template."""
        return hashlib.sha256(self.chat_template.encode()).hexdigest() if self.chat_template else ""

    @property
    def token_bytes(self) -> int:
        """Memory of one token's keys and values in 16 bits."""
        return 2 * sum(self.key_value_heads) * (self.key_length + self.value_length)


def read_header(path: Path, *, name: str = "") -> GgufHeader:
    """Raises ModelCorrupt, which names the file (as `name`, if given)."""
    return _read(path, name or path.name, _described)


def read_adapter(path: Path) -> tuple[str, dict[str, tuple[int, ...]]]:
    """(architecture that a LoRA adapter in a GGUF file belongs to, shape of every tensor). Raises ModelCorrupt."""
    return _read(path, path.name, _adapted)


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor in one file, fastest dimension first. Raises ModelCorrupt."""
    return _read(path, path.name, lambda keys, tensors: {each.name: each.shape for each in tensors})


def holds_adapter(path: Path) -> bool:
    """Whether the file says so itself; looks no further than to where a model's vocabulary would begin."""
    try:
        with path.open("rb") as file:
            for key, value in _Head(file, path.stat().st_size).pairs():
                if key == "general.type" or key.startswith("tokenizer."):
                    return bool(value == "adapter")
    except (_Refused, OSError):
        pass  # the import says what is wrong with it
    return False


def _read(path: Path, name: str, describe: Callable[[dict[str, Any], list[Tensor]], Described]) -> Described:
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            return describe(*_Head(file, size).read())
    except _Refused as reason:
        raise ModelCorrupt(
            f"{name} is not a GGUF file that can be used: {reason}",
            file=name,
            hint="Get a whole copy from a source that you trust and compare its sha256.",
        ) from reason


def single(files: list[Path]) -> list[Path]:
    """The parts of the one model that these files are, in order. Raises ModelCorrupt when they are not one model."""
    if len(files) == 1 and not _SPLIT.fullmatch(files[0].name):
        return files
    found = {path.name: _SPLIT.fullmatch(path.name) for path in files}
    matches = [match for match in found.values() if match]
    wanted = {(match["stem"], match["count"]) for match in matches}
    if len(matches) < len(files) or len(wanted) != 1:
        several = ", ".join(sorted(found))
        raise ModelCorrupt(
            f"there are several GGUF models: {several}", file=files[0].name, hint="Import one file of them."
        )
    stem, count = wanted.pop()
    present = {int(match["number"]) for match in matches}
    for number in range(1, int(count) + 1):
        if number not in present:
            missing = f"{stem}-{number:05}-of-{count}.gguf"
            raise ModelCorrupt(f"{missing} is missing", file=missing, hint="All parts of the model are needed.")
    return sorted(files, key=lambda path: path.name)


def models_of(names: Iterable[str]) -> dict[str, list[str]]:
    """The GGUF models among file names (paths with slashes): first file -> all its parts, in order."""
    found: dict[tuple[str, str], list[str]] = {}
    for name in sorted(name for name in names if name.lower().endswith(".gguf")):
        match = _SPLIT.fullmatch(name)
        found.setdefault((match["stem"], match["count"]) if match else (name, ""), []).append(name)
    return {parts[0]: parts for parts in found.values()}


def title(name: str) -> str:
    """What a GGUF model is called by its file: without folder, number of the part and ending."""
    last = name.rpartition("/")[2]
    match = _SPLIT.fullmatch(last)
    return match["stem"] if match else last[: -len(".gguf")]


def siblings(path: Path) -> list[Path]:
    """The file, and with it the other parts of the same model beside it."""
    match = _SPLIT.fullmatch(path.name)
    if match is None:
        return [path]
    return sorted(path.parent.glob(f"{_escaped(match['stem'])}-[0-9][0-9][0-9][0-9][0-9]-of-{match['count']}.gguf"))


def _escaped(text: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", text)


class _Refused(Exception):
    """Why the file is refused, in words that follow a colon."""


class Tensor(NamedTuple):
    """`words` names its kind; `weights` is how many, `length` their bytes, `shape` with the fastest dimension first."""

    name: str
    words: str
    weights: int
    length: int
    shape: tuple[int, ...]


class _Head:
    """The head of one file; `read` goes through it once, from the first byte on."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size
        self._at = 0
        self._count = 0  # tensors
        self._limit = min(size, _HEAD_BYTES)

    def read(self) -> tuple[dict[str, Any], list[Tensor]]:
        """(values by key, every tensor)."""
        found: dict[str, Any] = {}
        for key, value in self.pairs():
            if key in found:
                raise _Refused(f"the key {key!r} stands there twice")
            found[key] = value
        return found, self._tensors(self._count, found)

    def pairs(self) -> Iterator[tuple[str, Any]]:
        """Keys and values in the order of the file."""
        if self._bytes(4) != MAGIC:
            raise _Refused("it does not begin with GGUF")
        (version,) = self._unpack("I")
        if version not in _VERSIONS:
            swapped = int.from_bytes(version.to_bytes(4, "little"), "big") in _VERSIONS
            raise _Refused("it is big-endian" if swapped else f"version {version} is not known (2 and 3 are)")
        self._count, keys = self._unpack("QQ")
        if keys > _KEYS or self._count > _TENSORS:
            raise _Refused(f"it claims {self._count} tensors and {keys} keys")
        for _ in range(keys):
            key = self._text(_NAME_BYTES)
            (kind,) = self._unpack("I")
            yield key, self._value(kind)

    def _tensors(self, count: int, keys: dict[str, Any]) -> list[Tensor]:
        """All of them lie within the file."""
        alignment = keys.get("general.alignment", 32)
        if not isinstance(alignment, int) or not 8 <= alignment <= 2**16 or alignment & (alignment - 1):
            raise _Refused(f"an alignment of {alignment!r} bytes")
        names: set[str] = set()
        found = []
        expected = end = 0
        for _ in range(count):
            name = self._text(_TENSOR_NAME_BYTES)
            if name in names:
                raise _Refused(f"the tensor {name!r} stands there twice")
            names.add(name)
            (dimensions,) = self._unpack("I")
            if not 1 <= dimensions <= 4:
                raise _Refused(f"the tensor {name!r} has {dimensions} dimensions")
            shape = self._unpack("Q" * dimensions)
            kind, offset = self._unpack("IQ")
            if kind not in _TYPES:
                raise _Refused(f"the tensor {name!r} is of kind {kind}, which is not known")
            words, block, size = _TYPES[kind]
            weights = prod(shape)
            if not 0 < weights < 2**48 or shape[0] % block:
                raise _Refused(f"the tensor {name!r} has the shape {shape}")
            if offset != expected:
                raise _Refused(f"the tensor {name!r} does not follow the one before it")
            length = weights // block * size
            end = offset + length
            expected = -(-end // alignment) * alignment
            found.append(Tensor(name, words, weights, length, shape))
        begin = -(-self._at // alignment) * alignment
        if found and begin + end > self._size:
            raise _Refused(f"it is cut off: {begin + end} bytes are described, {self._size} are there")
        return found

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._text(_TEXT_BYTES)
        if kind == _ARRAY:
            return self._array()
        if kind not in _SCALARS:
            raise _Refused(f"a value of kind {kind}")
        return self._unpack(_SCALARS[kind])[0]

    def _array(self) -> Any:
        """Numbers of a short array, None for a long one; of texts, how many there are."""
        kind, count = self._unpack("IQ")
        if kind == _STRING:
            if count > self._limit:  # each takes 8 bytes at least
                raise _Refused(f"a list of {count} texts")
            for _ in range(count):
                (length,) = self._unpack("Q")
                self._skip(length)
            return _Texts(count)
        if kind not in _SCALARS:
            raise _Refused(f"a list of kind {kind}")
        width = struct.calcsize("<" + _SCALARS[kind])
        if count > self._limit // width:
            raise _Refused(f"a list of {count} numbers")
        if count > _KEPT_NUMBERS:
            self._skip(count * width)
            return None
        return list(self._unpack(_SCALARS[kind] * count))

    def _text(self, most: int) -> str:
        (length,) = self._unpack("Q")
        if length > most:
            raise _Refused(f"a text of {length} bytes")
        try:
            return self._bytes(length).decode()
        except UnicodeDecodeError as error:
            raise _Refused("a text that is not UTF-8") from error

    def _unpack(self, layout: str) -> tuple[Any, ...]:
        return struct.unpack("<" + layout, self._bytes(struct.calcsize("<" + layout)))

    def _bytes(self, count: int) -> bytes:
        self._advance(count)
        read = self._file.read(count)
        if len(read) < count:
            raise _Refused("it ends within its head")
        return read

    def _skip(self, count: int) -> None:
        self._advance(count)
        self._file.seek(count, 1)

    def _advance(self, count: int) -> None:
        self._at += count
        if self._at > self._limit:
            raise _Refused("it ends within its head" if self._limit == self._size else "its head is too long")


class _Texts(int):
    """A list of so many texts, not kept."""


def _described(keys: dict[str, Any], tensors: list[Tensor]) -> GgufHeader:
    architecture = keys.get("general.architecture")
    part, parts = keys.get("split.no", 0), keys.get("split.count", 1) or 1
    if not isinstance(part, int) or not isinstance(parts, int) or not 0 <= part < parts:
        raise _Refused(f"it is part {part!r} of {parts!r}")
    sizes: dict[str, int] = {}
    for tensor in tensors:
        sizes[tensor.words] = sizes.get(tensor.words, 0) + tensor.length
    weights: dict[str, Any] = {
        "part": part,
        "parts": parts,
        "parameters": sum(tensor.weights for tensor in tensors),
        "weight_bytes": sum(sizes.values()),
        "quantization": max(sizes, key=lambda kind: sizes[kind], default=""),
    }
    if part:
        return GgufHeader(str(architecture or ""), 0, 0, (), 0, 0, "", 0, "", **weights)
    if not isinstance(architecture, str) or not re.fullmatch(r"[a-z0-9][a-z0-9_.-]{0,63}", architecture):
        raise _Refused("it names no architecture")
    if (kind := keys.get("general.type", "model")) != "model":
        raise _Refused(f"it holds no model but {kind!r}")
    if parts == 1 and not tensors:
        raise _Refused("it holds no weights")

    def number(key: str, least: int, most: int, *, otherwise: int | None = None) -> int:
        value = keys.get(f"{architecture}.{key}", otherwise)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise _Refused(f"{architecture}.{key} is {value!r}")
        return value

    layers = number("block_count", 1, _LAYERS)
    embedding = number("embedding_length", 1, 2**20)
    heads, shared = (keys.get(f"{architecture}.attention.{key}") for key in ("head_count", "head_count_kv"))
    each = _per_layer(heads, layers) or (1,) * layers
    size = number("attention.key_length", 1, 2**16, otherwise=max(1, embedding // max(*each, 1)))
    vocabulary, template = keys.get("tokenizer.ggml.tokens"), keys.get("tokenizer.chat_template", "")
    if not isinstance(vocabulary, _Texts) or not 1 <= vocabulary <= _VOCABULARY:
        raise _Refused("it holds no vocabulary")
    if not isinstance(template, str) or len(template.encode()) > _TEMPLATE_BYTES:
        raise _Refused("its chat template is no text, or too long a one")
    return GgufHeader(
        architecture=architecture,
        context=number("context_length", 1, _CONTEXT),
        layers=layers,
        key_value_heads=_per_layer(shared, layers) or each,
        key_length=size,
        value_length=number("attention.value_length", 1, 2**16, otherwise=size),
        tokenizer=str(keys.get("tokenizer.ggml.model", "")),
        vocabulary=int(vocabulary),
        chat_template=template,
        **weights,
    )


def _adapted(keys: dict[str, Any], tensors: list[Tensor]) -> tuple[str, dict[str, tuple[int, ...]]]:
    kind = keys.get("general.type"), keys.get("adapter.type")
    if kind != ("adapter", "lora") or not tensors:
        raise _Refused(f"it holds no LoRA adapter but {keys.get('general.type', 'a model')!r}")
    if not isinstance(alpha := keys.get("adapter.lora.alpha"), float) or not isfinite(alpha):
        raise _Refused(f"adapter.lora.alpha is {alpha!r}")
    return str(keys.get("general.architecture", "")), {each.name: each.shape for each in tensors}


def _per_layer(value: Any, layers: int) -> tuple[int, ...]:
    """One number for all layers or one for each; empty when it is not said."""
    if value is None:
        return ()
    numbers = value if isinstance(value, list) else [value] * layers
    if len(numbers) != layers or not all(type(number) is int and 0 <= number < 2**16 for number in numbers):
        raise _Refused(f"heads of layers are {value!r}")
    return tuple(numbers)
