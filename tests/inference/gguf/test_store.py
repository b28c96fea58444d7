"""GGUF files in the model store: imported whole, recorded, found altered."""

import shutil

import pytest

from inference.errors import ModelCorrupt
from inference.store import ModelStore, gguf_weights, read_header

FACTS = {"licence": "MIT", "imported_by": "user:1", "revision": "abc"}


@pytest.fixture
def store(tmp_path):
    return ModelStore(tmp_path / "models")


def test_a_file_is_imported_with_its_facts(store, qwen2_gguf):
    manifest = store.import_path(qwen2_gguf, name="tiny", **FACTS)
    assert (manifest.kind, manifest.architecture) == ("gguf", "qwen2")
    assert manifest.template_sha256 == read_header(qwen2_gguf).template_sha256
    assert [entry.path for entry in manifest.files] == ["tiny-qwen2.gguf"]
    assert store.verify("tiny") == manifest
    assert gguf_weights(store.folder("tiny")) == [store.folder("tiny") / "tiny-qwen2.gguf"]


def test_one_flipped_bit_among_the_weights_is_refused_with_the_files_name(store, qwen2_gguf):
    store.import_path(qwen2_gguf, name="tiny", **FACTS)
    path = store.folder("tiny") / "tiny-qwen2.gguf"
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelCorrupt, match=r"tiny-qwen2\.gguf differs") as caught:
        store.verify("tiny")
    assert caught.value.file == "tiny-qwen2.gguf"


def test_a_truncated_file_is_not_imported(store, qwen2_gguf, tmp_path):
    short = tmp_path / "short.gguf"
    short.write_bytes(qwen2_gguf.read_bytes()[:-1000])
    with pytest.raises(ModelCorrupt, match=r"short\.gguf .*cut off") as caught:
        store.import_path(short, name="tiny", **FACTS)
    assert caught.value.file == "short.gguf"
    assert store.names() == []
    assert not list(store.root.glob(".*"))


def test_a_link_is_not_followed(store, qwen2_gguf, tmp_path):
    link = tmp_path / "link.gguf"
    link.symlink_to(qwen2_gguf)
    with pytest.raises(ModelCorrupt, match="is a link"):
        store.import_path(link, name="tiny", **FACTS)


def test_of_several_models_in_a_folder_one_must_be_named(store, qwen2_gguf, llama_gguf, tmp_path):
    folder = tmp_path / "several"
    folder.mkdir()
    shutil.copy(qwen2_gguf, folder / "a-q4.gguf")
    shutil.copy(llama_gguf, folder / "a-q8.gguf")
    with pytest.raises(ModelCorrupt, match=r"several GGUF models: a-q4\.gguf, a-q8\.gguf") as caught:
        store.import_path(folder, name="tiny", **FACTS)
    assert "Import one file" in caught.value.hint
    assert store.import_path(folder / "a-q8.gguf", name="tiny", **FACTS).architecture == "llama"


def split(path, folder):
    """The model in two parts, as llama.cpp's tool splits: the first holds all keys and the first tensors."""
    from gguf import GGUFReader, GGUFValueType, GGUFWriter

    reader = GGUFReader(path)
    writer = GGUFWriter(
        folder / "part.gguf",
        "qwen2",
        split_max_tensors=len(reader.tensors) // 2 + 1,
    )
    for name, found in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture":
            continue
        kind = found.types[0]
        inner = found.types[-1] if kind == GGUFValueType.ARRAY else None
        writer.add_key_value(name, found.contents(), kind, sub_type=inner)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return sorted(folder.glob("*.gguf"))


def test_a_model_in_parts_is_imported_whole_or_not_at_all(store, qwen2_gguf, tmp_path):
    folder = tmp_path / "parts"
    folder.mkdir()
    first, second = split(qwen2_gguf, folder)
    manifest = store.import_path(first, name="tiny", **FACTS)
    assert [entry.path for entry in manifest.files] == [first.name, second.name]
    assert gguf_weights(store.folder("tiny"))[0].name == first.name
    second.unlink()
    with pytest.raises(ModelCorrupt, match=r"00002-of-00002\.gguf is missing"):
        store.import_path(first, name="again", **FACTS)
    shutil.copy(first, second)
    with pytest.raises(ModelCorrupt, match="is part 1 of 2 by its content"):
        store.import_path(folder, name="again", **FACTS)
