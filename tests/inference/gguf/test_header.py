"""The head of a GGUF file: read right when it is whole, refused with the file's name when it is anything else."""

import hashlib
import random
import struct

import numpy as np
import pytest
from gguf import GGUFReader, GGUFWriter

from inference.errors import ModelCorrupt
from inference.store import read_header
from tests.inference.gguf import build
from tests.inference.models.conftest import R1_TEMPLATE


@pytest.mark.parametrize("name", ["qwen2", "llama"])
def test_a_whole_file_says_what_the_formats_own_library_says(name, request):
    path = request.getfixturevalue(f"{name}_gguf")
    header, theirs = read_header(path), GGUFReader(path)
    assert header.architecture == name
    assert (header.context, header.layers, header.key_value_heads) == (512, 2, (2, 2))
    assert (header.key_length, header.value_length, header.token_bytes) == (16, 16, 256)
    assert header.tokenizer == "gpt2"
    assert header.vocabulary == len(theirs.fields["tokenizer.ggml.tokens"].data)
    assert header.parameters == sum(int(tensor.n_elements) for tensor in theirs.tensors)
    assert header.weight_bytes == sum(int(tensor.n_bytes) for tensor in theirs.tensors)
    assert header.quantization == "f32"
    assert header.chat_template == R1_TEMPLATE
    assert header.template_sha256 == hashlib.sha256(R1_TEMPLATE.encode()).hexdigest()
    assert (header.part, header.parts) == (0, 1)


@pytest.mark.parametrize("kind", ["F16", "BF16", "Q8_0", "Q4_0", "Q5_1"])
def test_quantized_tensors_are_measured_by_their_blocks(kind, qwen2_folder, tmp_path):
    path = build.write(qwen2_folder, tmp_path / "model.gguf", kind=kind)
    header = read_header(path)
    assert header.quantization == kind.lower()
    assert header.weight_bytes == sum(int(tensor.n_bytes) for tensor in GGUFReader(path).tensors)


def test_every_cut_is_refused_with_the_files_name(qwen2_gguf, tmp_path):
    whole = qwen2_gguf.read_bytes()
    head = GGUFReader(qwen2_gguf).data_offset
    path = tmp_path / "cut.gguf"
    places = [*range(64), *random.Random(1).sample(range(64, head), 300), head, len(whole) - 1]
    for size in places:
        path.write_bytes(whole[:size])
        with pytest.raises(ModelCorrupt, match=r"cut\.gguf") as caught:
            read_header(path)
        assert caught.value.file == "cut.gguf"
        assert caught.value.hint


def test_altered_heads_are_refused_or_read_and_never_anything_else(qwen2_gguf, tmp_path):
    whole = bytearray(qwen2_gguf.read_bytes())
    head = GGUFReader(qwen2_gguf).data_offset
    path, draw = tmp_path / "altered.gguf", random.Random(2)
    refused = []
    for _ in range(400):
        altered = bytearray(whole)
        for at in draw.sample(range(head), draw.choice((1, 1, 1, 8, 64))):
            altered[at] = draw.randrange(256)
        path.write_bytes(altered)
        try:
            read_header(path)
        except ModelCorrupt as error:
            refused.append(error.file)
    assert len(refused) > 40  # most bytes are letters of words
    assert set(refused) == {"altered.gguf"}


def head(*, version=3, tensors=0, keys=(), count=None) -> bytes:
    """The first bytes of a file, as wrong as a test wants them."""
    body = b"GGUF" + struct.pack("<IQQ", version, tensors, len(keys) if count is None else count)
    return body + b"".join(keys)


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def key(name: str, kind: int, value: bytes) -> bytes:
    return text(name) + struct.pack("<I", kind) + value


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "ends within its head"),
        (b"PK\x03\x04" + bytes(100), "does not begin with GGUF"),
        (head(version=1), "version 1 is not known"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
        (head(tensors=2**40), "claims 1099511627776 tensors"),
        (head(count=2**40), "and 1099511627776 keys"),
        (head(keys=[struct.pack("<Q", 2**60)]), "a text of 1152921504606846976 bytes"),
        (head(keys=[key("a", 77, b"")]), "a value of kind 77"),
        (head(keys=[key("a", 9, struct.pack("<IQ", 9, 1))]), "a list of kind 9"),
        (head(keys=[key("a", 9, struct.pack("<IQ", 8, 2**60))]), "a list of 1152921504606846976 texts"),
        (head(keys=[key("a", 9, struct.pack("<IQ", 4, 2**60))]), "a list of 1152921504606846976 numbers"),
        (head(keys=[key("a", 4, bytes(4)), key("a", 4, bytes(4))]), "stands there twice"),
        (head(keys=[key("a", 8, struct.pack("<Q", 2) + b"\xff\xfe")]), "not UTF-8"),
        (head(keys=[key("general.alignment", 4, struct.pack("<I", 33))]), "an alignment of 33"),
        (head(), "names no architecture"),
        (head(keys=[key("general.architecture", 8, text("../llama"))]), "names no architecture"),
        (
            head(keys=[key("general.architecture", 8, text("llama")), key("general.type", 8, text("adapter"))]),
            "no model but 'adapter'",
        ),
        (head(keys=[key("general.architecture", 8, text("llama"))]), "holds no weights"),
    ],
)
def test_hostile_heads_are_refused_in_words(content, words, tmp_path):
    path = tmp_path / "hostile.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelCorrupt, match=words):
        read_header(path)


def tensor(name="w", shape=(32,), kind=0, offset=0, dimensions=None) -> bytes:
    body = text(name) + struct.pack("<I", len(shape) if dimensions is None else dimensions)
    return body + struct.pack("<" + "Q" * len(shape), *shape) + struct.pack("<IQ", kind, offset)


@pytest.mark.parametrize(
    ("infos", "words"),
    [
        ([tensor(shape=(2**62, 2**62))], "has the shape"),
        ([tensor(shape=(0,))], "has the shape"),
        ([tensor(shape=(33,), kind=2)], "has the shape"),
        ([tensor(kind=99)], "of kind 99"),
        ([tensor(dimensions=9)], "9 dimensions"),
        ([tensor(offset=2**63)], "does not follow"),
        ([tensor(), tensor("v", offset=0)], "does not follow"),
        ([tensor(), tensor(offset=128)], "stands there twice"),
        ([tensor("n" * 64)], "a text of 64 bytes"),
        ([tensor(shape=(2**40,))], "cut off"),
    ],
)
def test_tensors_must_lie_in_the_file_one_after_another(infos, words, tmp_path):
    path = tmp_path / "tensors.gguf"
    path.write_bytes(head(tensors=len(infos)) + b"".join(infos) + bytes(1024))
    with pytest.raises(ModelCorrupt, match=words):
        read_header(path)


def described(path, architecture="llama", *, leave_out="", tokens=("a", "b"), **numbers):
    writer = GGUFWriter(path, architecture)
    values = {"context_length": 64, "block_count": 1, "embedding_length": 32, **numbers}
    for name, value in values.items():
        if name != leave_out:
            writer.add_uint32(f"{architecture}.{name}", value)
    if tokens:
        writer.add_token_list(list(tokens))
    writer.add_tensor("w", np.zeros(32, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_what_a_model_needs_must_be_said(tmp_path):
    assert read_header(described(tmp_path / "m.gguf")).context == 64
    for name in ("context_length", "block_count", "embedding_length"):
        with pytest.raises(ModelCorrupt, match=rf"llama\.{name} is None"):
            read_header(described(tmp_path / "m.gguf", leave_out=name))
    with pytest.raises(ModelCorrupt, match=r"context_length is 0"):
        read_header(described(tmp_path / "m.gguf", context_length=0))
    with pytest.raises(ModelCorrupt, match="no vocabulary"):
        read_header(described(tmp_path / "m.gguf", tokens=()))


def test_a_template_is_text_of_a_bounded_length(qwen2_folder, tmp_path):
    bomb = "{% for i in range(99999999) %}x{% endfor %}"
    assert read_header(build.write(qwen2_folder, tmp_path / "a.gguf", template=bomb)).chat_template == bomb
    with pytest.raises(ModelCorrupt, match="template"):
        read_header(build.write(qwen2_folder, tmp_path / "b.gguf", template="x" * (2**18 + 1)))
