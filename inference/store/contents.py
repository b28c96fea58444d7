"""What a model folder says of itself, looked through before it is let in: whatever would fail when people wait for an
answer fails at the import, with the file's name.

Configuration, tokenizer, generation defaults and chat template are read as data, and held against each other and
against the headers of the weights. Knows the files of Hugging Face model folders. Loads no weights, runs no template.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.errors import ModelCorrupt, ModelNotFound

from .manifest import sha256_of

_SIZES = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
          "intermediate_size", "max_position_embeddings")  # fmt: skip
_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")
_SHARES = {"temperature": (0.0, 100.0), "top_p": (0.0, 1.0), "min_p": (0.0, 1.0), "repetition_penalty": (0.0, 100.0)}
_COUNTS = ("max_length", "max_new_tokens", "min_length", "min_new_tokens", "num_beams", "top_k")
_OURS = re.compile(r"\{%-?\s*(?:end)?generation\s*-?%\}")  # a mark of transformers' own, which Jinja does not know


@dataclass(frozen=True, slots=True)
class Facts:
    """What the manifest records."""

    architecture: str
    template_sha256: str


def check(folder: Path) -> Facts:
    """Raises ModelNotFound (a file that is needed), ModelCorrupt (one that cannot be right, named)."""
    check_json(folder)
    for needed in ("config.json", "tokenizer.json"):
        if not (folder / needed).is_file():
            raise ModelNotFound(f"{needed} is missing.", hint="Import the whole model folder.")
    configuration = _object(folder, "config.json")
    for name in ("config.json", "tokenizer_config.json"):
        if _object(folder, name).get("auto_map"):
            raise ModelCorrupt(
                f"{name} asks to run code from the model's own repository",
                file=name,
                hint="Such models are not supported.",
            )
    kind = configuration.get("model_type")
    if not isinstance(kind, str) or not kind:
        raise _wrong("config.json", "names no model_type")
    _check_configuration(configuration)
    vocabulary = configuration.get("vocab_size")
    for path in sorted(folder.rglob("*.safetensors")):
        _check_safetensors(path, str(path.relative_to(folder)), vocabulary)
    _check_tokenizer(folder / "tokenizer.json", vocabulary)
    _check_defaults(_object(folder, "generation_config.json"), vocabulary)
    return Facts(kind, _template_digest(folder))


def check_json(folder: Path) -> None:
    """Every JSON file is one."""
    for path in sorted(folder.rglob("*.json")):
        _read_json(path, str(path.relative_to(folder)))


def _wrong(file: str, what: str) -> ModelCorrupt:
    return ModelCorrupt(f"{file} {what}", file=file, hint="Import a whole, unaltered copy of the model.")


def _read_json(path: Path, name: str) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelCorrupt(f"{name} is not JSON: {error}", file=name) from error


def _object(folder: Path, name: str) -> dict[str, Any]:
    """The file's content, empty when there is no such file."""
    path = folder / name
    if not path.is_file():
        return {}
    found = _read_json(path, name)
    if not isinstance(found, dict):
        raise _wrong(name, "holds no settings")
    return found


def _check_configuration(body: dict[str, Any]) -> None:
    for name in _SIZES:
        if (value := body.get(name)) is not None and not _whole(value, least=1):
            raise _wrong("config.json", f"says {name} = {value!r}, which is no size")
    heads, keys = body.get("num_attention_heads"), body.get("num_key_value_heads")
    if heads and keys and heads % keys:
        raise _wrong("config.json", f"has {heads} attention heads, which {keys} key heads cannot share")
    _check_ids("config.json", body, body.get("vocab_size"))


def _check_ids(file: str, body: dict[str, Any], vocabulary: int | None) -> None:
    """Ids of special tokens, one or several, are tokens of the model."""
    for name in _IDS:
        value = body.get(name)
        for found in value if isinstance(value, list) else [] if value is None else [value]:
            # -1 stands for none in some older files
            if not _whole(found, least=-1) or (vocabulary is not None and found >= vocabulary):
                raise _wrong(file, f"says {name} = {value!r}, which is no token of the model")


def _check_tokenizer(path: Path, vocabulary: int | None) -> None:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises Exception itself
        raise _wrong(path.name, f"is no tokenizer: {error}") from error
    # marks that were added without a row of their own are left out when a text is read (`transcript.HubCodec`)
    last = max(tokenizer.get_vocab(with_added_tokens=False).values(), default=-1)
    if last < 0 or (vocabulary is not None and last >= vocabulary):
        raise _wrong(path.name, f"has tokens up to number {last}, the model {vocabulary} of them")


def _check_defaults(body: dict[str, Any], vocabulary: int | None) -> None:
    file = "generation_config.json"
    for name, (least, most) in _SHARES.items():
        value = body.get(name)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (number and least <= value <= most):
            raise _wrong(file, f"says {name} = {value!r}; it must lie between {least:g} and {most:g}")
    for name in _COUNTS:
        if (value := body.get(name)) is not None and not _whole(value, least=0):
            raise _wrong(file, f"says {name} = {value!r}, which is no number of things")
    _check_ids(file, body, vocabulary)


def _whole(value: object, *, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _check_safetensors(path: Path, name: str, vocabulary: int | None) -> None:
    """The file is whole, and a table of words in it has a row for each."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as tensors:
            for key in tensors.keys():  # noqa: SIM118 - not a mapping
                if vocabulary is None or not key.endswith(("embed_tokens.weight", "wte.weight")):
                    continue
                if (rows := tensors.get_slice(key).get_shape()[0]) < vocabulary:
                    raise _wrong(name, f"has {rows} words in {key}, config.json {vocabulary}")
    except (SafetensorError, OSError) as error:
        raise ModelCorrupt(f"{name} is not a whole safetensors file: {error}", file=name) from error


def _template_digest(folder: Path) -> str:
    """sha256 of the chat template, wherever it lies; empty when there is none. It must be one, but is not run."""
    separate = folder / "chat_template.jinja"
    if separate.is_file():
        _parse(separate.read_text(encoding="utf-8", errors="replace"), separate.name)
        return sha256_of(separate)
    name = "tokenizer_config.json"
    template = _object(folder, name).get("chat_template")
    if template is None:
        return ""
    several = template if isinstance(template, list) else [{"template": template}]  # named ones, in older files
    for each in several:
        if not isinstance(each, dict) or not isinstance(each.get("template"), str):
            raise _wrong(name, "holds a chat template that is no text")
        _parse(each["template"], name)
    text = template if isinstance(template, str) else json.dumps(template, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _parse(template: str, file: str) -> None:
    from jinja2 import TemplateSyntaxError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(extensions=["jinja2.ext.loopcontrols"])
    try:
        environment.parse(_OURS.sub("", template))
    except TemplateSyntaxError as error:
        raise _wrong(file, f"holds no chat template that can be read (line {error.lineno}: {error.message})") from error
