"""GGUF files written by the format's own library from the same tiny models that the other engines are tested with."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

_PLAIN = frozenset({0, 1})  # F32 and F16: the library takes them as arrays


def write(folder: Path, target: Path, *, kind: str = "F32", template: str | None = None) -> Path:
    """The model in `folder` (Llama or Qwen2, byte-level BPE) as one GGUF file, its matrices as `kind`."""
    from gguf import GGMLQuantizationType, GGUFWriter, TokenType, get_tensor_name_map, quants
    from gguf.constants import MODEL_ARCH
    from safetensors.torch import load_file

    config = json.loads((folder / "config.json").read_text())
    architecture = config["model_type"]
    writer = GGUFWriter(target, architecture)
    layers, heads = config["num_hidden_layers"], config["num_attention_heads"]
    shared = config["num_key_value_heads"]
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_block_count(layers)
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(shared)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_rope_dimension_count(config["hidden_size"] // heads)
    writer.add_vocab_size(config["vocab_size"])
    _add_tokenizer(writer, folder, config["vocab_size"], TokenType, template)
    names = get_tensor_name_map(MODEL_ARCH[architecture.upper()], layers)
    for name, tensor in load_file(folder / "model.safetensors").items():
        array = tensor.float().numpy()
        if architecture == "llama" and name.endswith(("q_proj.weight", "k_proj.weight")):
            array = _interleaved(array, heads if "q_proj" in name else shared)
        found = names.get_name(name, try_suffixes=(".weight", ".bias"))
        assert found is not None
        chosen = GGMLQuantizationType[kind if array.ndim > 1 else "F32"]
        writer.add_tensor(found, quants.quantize(array, chosen), raw_dtype=chosen)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def write_adapter(target: Path, lora, *, layers: int, alpha: float, architecture: str = "qwen2") -> Path:
    """A LoRA adapter: `lora` maps a module's name to (A (rank, in), B (out, rank))."""
    from gguf import GGUFWriter, get_tensor_name_map
    from gguf.constants import MODEL_ARCH

    writer = GGUFWriter(target, architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", alpha)
    names = get_tensor_name_map(MODEL_ARCH[architecture.upper()], layers)
    for module, pair in lora.items():
        found = names.get_name(f"{module}.weight", try_suffixes=(".weight",))
        assert found is not None
        for part, tensor in zip(("lora_a", "lora_b"), pair, strict=True):
            writer.add_tensor(f"{found}.{part}", tensor.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def _add_tokenizer(writer, folder: Path, size: int, token_type, template: str | None) -> None:
    body = json.loads((folder / "tokenizer.json").read_text())
    words = {index: word for word, index in body["model"]["vocab"].items()}
    kinds = dict.fromkeys(words, token_type.NORMAL)
    for token in body["added_tokens"]:
        words[token["id"]] = token["content"]
        kinds[token["id"]] = token_type.CONTROL if token["special"] else token_type.USER_DEFINED
    writer.add_tokenizer_model("gpt2")
    # how text is cut before its pairs are merged: transformers takes Qwen2's way whatever the file says
    writer.add_tokenizer_pre("qwen2" if writer.arch == "qwen2" else "gpt-2")
    writer.add_token_list([words.get(index, f"[unused {index}]") for index in range(size)])
    writer.add_token_types([kinds.get(index, token_type.UNUSED) for index in range(size)])
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in body["model"]["merges"]])
    numbers = {word: index for index, word in words.items()}
    special = json.loads((folder / "tokenizer_config.json").read_text())
    writer.add_bos_token_id(numbers[special["bos_token"]])
    writer.add_eos_token_id(numbers[special["eos_token"]])
    writer.add_add_bos_token(False)
    separate = folder / "chat_template.jinja"
    writer.add_chat_template(template if template is not None else separate.read_text())


def _interleaved(array: np.ndarray, heads: int) -> np.ndarray:
    """llama.cpp turns neighbouring numbers of a head, transformers those of its two halves."""
    return array.reshape(heads, 2, array.shape[0] // heads // 2, *array.shape[1:]).swapaxes(1, 2).reshape(array.shape)


def write_random(target: Path, tokenizer: Path, shape: dict[str, int], *, vocabulary: int, kind: str = "Q4_0") -> Path:
    """A Qwen2 model of real size for measuring: random weights, the same in every layer, written tensor by tensor.

    `shape` is one of `tests.benchmarks.models.SHAPES`; input and output are tied.
    """
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFWriter, TokenType, quants

    hidden, inner, heads = shape["hidden_size"], shape["intermediate_size"], shape["num_attention_heads"]
    size, shared = hidden // heads, shape["num_key_value_heads"]
    writer = GGUFWriter(target, "qwen2")
    writer.add_context_length(8192)
    writer.add_block_count(shape["num_hidden_layers"])
    writer.add_embedding_length(hidden)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(shared)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    _add_tokenizer(writer, tokenizer, vocabulary, TokenType, None)
    wide, vector = GGMLQuantizationType[kind], GGMLQuantizationType.F32
    layer = {
        "attn_q.weight": (hidden, hidden),
        "attn_k.weight": (shared * size, hidden),
        "attn_v.weight": (shared * size, hidden),
        "attn_output.weight": (hidden, hidden),
        "ffn_gate.weight": (inner, hidden),
        "ffn_up.weight": (inner, hidden),
        "ffn_down.weight": (hidden, inner),
        "attn_q.bias": (hidden,),
        "attn_k.bias": (shared * size,),
        "attn_v.bias": (shared * size,),
        "attn_norm.weight": (hidden,),
        "ffn_norm.weight": (hidden,),
    }
    tensors = {"token_embd.weight": (vocabulary, hidden), "output_norm.weight": (hidden,)}
    for number in range(shape["num_hidden_layers"]):
        tensors |= {f"blk.{number}.{name}": dimensions for name, dimensions in layer.items()}
    for name, dimensions in tensors.items():
        chosen = wide if len(dimensions) > 1 else vector
        block, width = GGML_QUANT_SIZES[chosen]
        stored = (*dimensions[:-1], dimensions[-1] // block * width) if chosen not in _PLAIN else dimensions
        dtype = np.dtype(np.float32 if chosen.name == "F32" else np.float16 if chosen.name == "F16" else np.uint8)
        count = int(np.prod(dimensions)) // block * width
        writer.add_tensor_info(name, stored, dtype, count, raw_dtype=None if chosen in _PLAIN else chosen)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    draw, kept = np.random.default_rng(0), {}
    for dimensions in tensors.values():
        if len(dimensions) == 1:
            data = np.ones(dimensions, dtype=np.float32)
        else:
            if dimensions not in kept:
                rows = draw.standard_normal((min(dimensions[0], 1024), dimensions[1]), dtype=np.float32) * 0.02
                kept[dimensions] = quants.quantize(rows, wide)
            piece = kept[dimensions]
            data = np.concatenate([piece] * -(-dimensions[0] // len(piece)))[: dimensions[0]]
        writer.write_tensor_data(data)
    writer.close()
    return target
