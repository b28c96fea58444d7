"""Loads the trained reader and reads one question's passages with it, on CPU.

``reader.safetensors`` holds the trained parts as 8-bit integers with one scale per row; they are folded into the
packaged encoder at load, so reading costs what the plain encoder costs. Worker-only (torch, transformers).
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor
from transformers import BertConfig, BertModel

from inference.engines.base import Passage
from inference.errors import ModelCorrupt, ModelNotFound
from inference.reading.calibration import WEIGHED, Calibration, inputs
from inference.reading.features import Floats, Query, Sentence
from inference.reading.graph import compile_encoder
from inference.reading.network import LowRank, ReaderNetwork, adapt, collate
from inference.reading.window import character_table, load_tokenizer, pack

logger = logging.getLogger(__name__)

DEFAULT_BUDGET = 384
UNREAD = -12.0


@dataclass(frozen=True, slots=True)
class Reading:
    """What the reader says. ``sentences (n,)``: a logit for every candidate, ``UNREAD`` below the best for those
    that did not fit into the window; ``answer``: logit that there is an answer; ``margin``: best span against none.
    """

    sentences: Floats
    answer: float
    margin: float


def fast_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 in hardware (Linux; elsewhere the answer is no)."""
    try:
        flags = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def quantize(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Matrices as int8 with one float16 scale per row (``NAME.scale``); vectors and single rows as float16."""
    packed: dict[str, Tensor] = {}
    for name, value in weights.items():
        if value.ndim < 2 or value.shape[0] == 1:
            packed[name] = value.half()
            continue
        scale = (value.float().abs().amax(1, keepdim=True) / 127).clamp(min=1e-8).half()
        packed[f"{name}.scale"] = scale
        packed[name] = (value.float() / scale.float()).round().clamp(-127, 127).to(torch.int8)
    return {name: value.contiguous() for name, value in packed.items()}


def dequantize(packed: dict[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of ``quantize``, as float32."""
    return {
        name: value.float() * packed[f"{name}.scale"].float() if f"{name}.scale" in packed else value.float()
        for name, value in packed.items()
        if not name.endswith(".scale")
    }


def sha256(path: Path) -> str:
    """SHA-256 of a file, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class Reader:
    """One loaded reader; ``read`` may be called from several threads (one forward pass at a time)."""

    def __init__(
        self,
        network: ReaderNetwork,
        tokenizer_json: str,
        calibration: Calibration,
        *,
        budget: int = DEFAULT_BUDGET,
    ) -> None:
        if not 64 <= budget <= 500:
            raise ValueError(f"budget must lie in 64..500 word pieces, not {budget}")
        self._network = network.eval()
        self._tokenizer = load_tokenizer(tokenizer_json)
        self._budget = budget
        self._calibration = calibration
        self._lock = threading.Lock()

    @classmethod
    def load(
        cls,
        encoder: Path,
        *,
        package: Path | None = None,
        budget: int = DEFAULT_BUDGET,
        dtype: torch.dtype | None = None,
    ) -> Reader:
        """Load the packaged reader (or the one in folder ``package``) over the encoder in folder ``encoder``.

        ``dtype`` ``None`` runs the encoder with OpenVINO and, where that does not load, with torch, in bfloat16 where
        the processor has it, else float32. A ``dtype`` means torch. Raises ``ModelNotFound`` and
        ``ModelCorrupt`` (a file is damaged, or is not the encoder these weights were trained over).
        """
        folder = package or Path(str(files(__package__)))
        path, record = folder / "reader.safetensors", folder / "reader.json"
        base_path, config_path = encoder / "model.safetensors", encoder / "config.json"
        for needed in (path, record, base_path, config_path, encoder / "tokenizer.json"):
            if not needed.is_file():
                raise ModelNotFound(f"{needed.name} is missing in {needed.parent}", hint="Install the package again.")
        try:
            known = json.loads(record.read_text("utf-8"))
            if known["weights"] != sha256(path):
                raise ModelCorrupt("reader.safetensors was altered", file=path.name, hint="Install the package again.")
            with safe_open(path, "pt") as opened:
                facts = opened.metadata() or {}
            packed = load_file(path)
            base = load_file(base_path)
            config = BertConfig.from_json_file(config_path)
        except (SafetensorError, OSError, ValueError, KeyError) as error:
            raise ModelCorrupt(f"the reader cannot be loaded: {error}", file=path.name) from error
        if facts.get("encoder") != sha256(encoder / "model.safetensors"):
            raise ModelCorrupt(
                "model.safetensors is not the encoder the reader was trained over",
                file="model.safetensors",
                hint="Install the pinned encoder package again.",
            )
        network = assemble(config, base, dequantize(packed), int(facts["rank"]))
        if dtype is None:
            try:
                network.runtime = compile_encoder(config, network.encoder.state_dict())
            except (ImportError, RuntimeError) as error:
                logger.warning("the reader runs on torch, OpenVINO does not load: %s", error)
                dtype = torch.bfloat16 if fast_bfloat16() else torch.float32
        if dtype is not None:
            network.lower(dtype)
        tokenizer_json = (encoder / "tokenizer.json").read_text("utf-8")
        calibration = Calibration.parse(known["calibration"])
        return cls(network, tokenizer_json, calibration, budget=budget)

    def read(
        self,
        query: Query,
        passages: Sequence[Passage],
        sentences: Sequence[Sentence],
        features: Floats,
        prior: Floats,
        facts: Floats,
    ) -> Reading:
        """Read the sentences that ``prior`` puts first, as many as fit. ``facts``: ``answer_features``."""
        window = pack(query, passages, sentences, prior, self._tokenizer, self._budget)
        batch = collate([window], [query.kind], [features[window.sentences]], [facts])
        with self._lock, torch.inference_mode():
            out = self._network(batch)
        found = out["sentence"][0].double().numpy()
        scores = prior - prior.max() + float(found.max()) + UNREAD
        scores[window.sentences] = found
        start, end = out["start"][0], out["end"][0]
        margin = float(start[1:].max() + end[1:].max() - start[0] - end[0])
        return Reading(scores, float(out["answer"][0]), margin)

    def conclude(self, query: Query, reading: Reading, cosines: dict[int, float]) -> tuple[Floats, float]:
        """Weigh in the cosines of the sentences of ``first(reading)``: new logits ``(n,)``, and the calibrated
        probability that the first two of them answer.
        """
        scores = reading.sentences.copy()
        least = min(cosines.values())
        share = self._calibration.cjk if query.cjk else self._calibration.latin
        for index in range(len(scores)):
            scores[index] += share * cosines.get(index, least)
        chosen = np.asarray([scores[index] for index in cosines])
        best = max(cosines, key=lambda index: (float(scores[index]), -index))
        values = inputs(reading.answer, reading.margin, chosen, cosines[best])
        return scores, self._calibration.probability(values)

    @staticmethod
    def first(reading: Reading) -> list[int]:
        """The sentences whose cosines are worth their time: the ``WEIGHED`` best."""
        return [int(index) for index in np.argsort(-reading.sentences, kind="stable")[:WEIGHED]]


def assemble(config: BertConfig, base: dict[str, Tensor], trained: dict[str, Tensor], rank: int) -> ReaderNetwork:
    """The network with everything trained in place and the low-rank updates folded in, float32."""
    config._attn_implementation = "sdpa"
    encoder = BertModel(config, add_pooling_layer=True)
    encoder.load_state_dict({name: value.float() for name, value in base.items()}, strict=False)
    encoder.requires_grad_(False)
    adapt(encoder, rank)
    network = ReaderNetwork(encoder, len(character_table()))
    missing, unknown = network.load_state_dict(trained, strict=False)
    absent = [name for name in missing if name in dict(network.own())]
    if unknown or absent:
        raise ModelCorrupt(f"reader.safetensors does not fit: {[*unknown, *absent][:3]}", file="reader.safetensors")
    for name, module in list(encoder.named_modules()):
        if isinstance(module, LowRank):
            setattr(encoder.get_submodule(name.rpartition(".")[0]), name.rpartition(".")[2], module.fold())
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    return network
