"""int8 on the processor: weights per output channel, activations per token, products in integers.

The arithmetic is torch's dynamic quantization (`quantized.linear_dynamic`), with one scale for all activations of a
call: one token with a large value spoils its neighbours, and what is beside an answer in the batch changes it. Here
every token is divided by its own largest value first and the scale is the same for all calls, so a token's result
depends on that token alone. Knows layers and weight files. A gate decides whether the result is good enough to be
offered: the model is loaded layer by layer, each run once as it was and once quantized, so no second copy is ever in
memory.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from inference.errors import QuantizationRefused
from inference.memory import give_back
from inference.weights import Rows, Weights

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_LONGEST = 256  # tokens of the calibration text; ordinary tokenizers make fewer of it
_COMPARED = 64  # positions at the end of the calibration text whose logits are compared
_AT_ONCE = 8  # of those positions, compared together
MIN_COSINE = 0.99  # of the logits, averaged over positions
MIN_AGREEMENT = 0.95  # of the likeliest next token, where the unquantized model is decided
DECIDED = 0.1  # difference of the two highest probabilities
FAMILIES = frozenset({"llama", "mistral", "qwen2", "qwen3"})
_FIXED = torch.backends.quantized.engine in {"x86", "fbgemm"}  # a product may be told the scale of its input
_multiply = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32.default
SCALES = "weight_scale"  # beside a layer's integers, in a folder that was quantized
_CHUNK = 512  # output channels quantized at a time: bounds the copy in single precision
_CALIBRATION = (
    "The travel allowance in Germany is 28 euros per day for trips of more than 24 hours; receipts are handed in "
    "within 30 days. Question: who approves a trip abroad? Answer: the head of the department approves it [1]. "
    "差旅补贴为每天三百元，超过三十天的报销单须由部门经理批准。Pumps of series P-200 are serviced every 2,000 hours; "
    "the torque of the flange bolts is 45 Nm. def total(items): return sum(item.price for item in items)\n"
)


@dataclass(frozen=True, slots=True)
class Quality:
    """How near the quantized model is to the unquantized one on the calibration text."""

    cosine: float
    agreement: float
    decided: int  # positions where the unquantized model is decided
    positions: int

    @property
    def good(self) -> bool:
        return self.cosine >= MIN_COSINE and (not self.decided or self.agreement >= MIN_AGREEMENT)


class DynamicLinear(nn.Module):
    """A linear layer in int8. `weight` (out, in) is a tensor of any float type, or rows of a file; it is not kept.

    The integers are kept once, as the kernels want them (FBGEMM, torch's choice on x86).
    """

    def __init__(self, weight: torch.Tensor | Rows, bias: torch.Tensor | None) -> None:
        super().__init__()
        self._pack(*integers(weight), bias)

    @classmethod
    def of(cls, whole: torch.Tensor, scales: torch.Tensor, bias: torch.Tensor | None) -> DynamicLinear:
        """From what `integers` gave before."""
        found = cls.__new__(cls)
        nn.Module.__init__(found)
        found._pack(whole, scales, bias)
        return found

    def _pack(self, whole: torch.Tensor, scales: torch.Tensor, bias: torch.Tensor | None) -> None:
        self.out_features, self.in_features = whole.shape
        zeros = torch.zeros(self.out_features, dtype=torch.int64)
        with warnings.catch_warnings():
            # torch deprecates tensors of this kind; until their successor is as fast on processors they are pinned
            warnings.filterwarnings("ignore", message=".*quantized tensor creation functions.*")
            quantized = torch._make_per_channel_quantized_tensor(whole, scales.double(), zeros, 0)
        self._packed = torch.ops.quantized.linear_prepack(quantized, None)
        self.nbytes = whole.nbytes + 8 * self.out_features
        self._narrow = not torch.cpu._is_vnni_supported()  # else sums of two products overflow 16 bits
        self.bias = None if bias is None else nn.Parameter(bias.float(), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(…, in) in single precision -> (…, out)."""
        given, largest = scaled(x.reshape(-1, self.in_features))
        return self.scaled_product(given, largest).reshape(*x.shape[:-1], self.out_features)

    def scaled_product(self, given: torch.Tensor, largest: torch.Tensor) -> torch.Tensor:
        """As `forward`, of what `scaled` gave."""
        out = self.product(given)
        return out.mul_(largest) if self.bias is None else torch.addcmul(self.bias, out, largest)

    def product(self, given: torch.Tensor) -> torch.Tensor:
        """(tokens, in), all within [-1, 1] -> (tokens, out), without the bias."""
        out: torch.Tensor
        if _FIXED:
            half = 63 if self._narrow else 127
            out = _multiply(given, 1 / half, half + 1, self._packed)
            return out
        pinned = given.new_zeros(len(given) + 1, self.in_features)
        pinned[:-1] = given
        pinned[-1, 0], pinned[-1, -1] = 1.0, -1.0  # one more row pins the range whatever the tokens are
        out = torch.ops.quantized.linear_dynamic(pinned, self._packed, self._narrow)[:-1]
        return out


def scaled(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(tokens, in) -> each token by its own largest value, and that value (tokens, 1)."""
    largest = x.abs().amax(1, keepdim=True).clamp_min_(1e-12)
    return x / largest, largest


def integers(weight: torch.Tensor | Rows) -> tuple[torch.Tensor, torch.Tensor]:
    """(int8 (out, in), what one stands for, per output channel)."""
    channels = weight.shape[0]
    scales = torch.empty(channels)
    whole = torch.empty(tuple(weight.shape), dtype=torch.int8)
    for start in range(0, channels, _CHUNK):
        piece = weight[start : start + _CHUNK].float()
        scale = piece.abs().amax(1).clamp_min(1e-12) / 127
        scales[start : start + _CHUNK] = scale
        whole[start : start + _CHUNK] = (piece / scale[:, None]).round_().to(torch.int8)
    return whole, scales


class _Embedding(nn.Module):
    """The table stays in 16 bits; what is looked up is in single precision."""

    def __init__(self, table: torch.Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(table.to(torch.bfloat16, copy=True), requires_grad=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return nn.functional.embedding(ids, self.weight).float()


def load(folder: Path, tokenizer: Any) -> tuple[PreTrainedModel, Quality]:
    """The model of a folder in int8. Raises ModelCorrupt, QuantizationRefused (below the bar, or of another family)."""
    model = empty(folder)
    with torch.inference_mode():
        quality = _fill(model, Weights(folder), tokenizer)
    if not quality.good:
        raise QuantizationRefused(
            f"{folder.name} in dynamic8 differs too much from the unquantized model: cosine {quality.cosine:.3f}, "
            f"the same next token in {quality.agreement:.0%} of cases.",
            hint="Choose nf4, int8 or none.",
        )
    return _finished(model, folder), quality


def load_stored(folder: Path) -> PreTrainedModel:
    """The model of a folder that `quantizing` wrote in int8. Raises ModelCorrupt, QuantizationRefused."""
    model: Any = empty(folder)
    weights = Weights(folder)
    body = model.get_decoder()
    body.embed_tokens = _Embedding(weights["model.embed_tokens.weight"])
    for number, layer in enumerate(body.layers):
        prefix = f"model.layers.{number}."
        for path, child in list(layer.named_modules()):
            if isinstance(child, nn.Linear):
                parent, _, last = path.rpartition(".")
                setattr(layer.get_submodule(parent), last, _stored(f"{prefix}{path}.", weights))
        materialize(layer, prefix, weights)
        layer.float()
        give_back()
    materialize(body.norm, "model.norm.", weights)
    body.norm.float()
    model.lm_head = _stored("lm_head.", weights)
    give_back()
    return _finished(model, folder)


def _stored(prefix: str, weights: Weights) -> DynamicLinear:
    bias = weights.below(f"{prefix}bias").get("")
    return DynamicLinear.of(weights[f"{prefix}weight"], weights[f"{prefix}{SCALES}"], bias)


def empty(folder: Path) -> PreTrainedModel:
    """The architecture without weights. Raises QuantizationRefused."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if config.model_type not in FAMILIES:
        raise QuantizationRefused(
            f"dynamic8 is not offered for models of the kind {config.model_type}.", hint="Choose nf4 or int8."
        )
    if hasattr(config, "quantization_config"):
        del config.quantization_config  # ours; the library must not act on it
    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="sdpa")
    body = model.get_decoder()
    body.rotary_emb = type(body.rotary_emb)(config=config)
    config.tie_word_embeddings = False  # the head has its own, quantized copy
    found: PreTrainedModel = model
    return found


def _finished(model: PreTrainedModel, folder: Path) -> PreTrainedModel:
    if (folder / "generation_config.json").is_file():
        from transformers import GenerationConfig

        model.generation_config = GenerationConfig.from_pretrained(folder, local_files_only=True)
    model.eval().requires_grad_(False)
    return model


def _fill(model: Any, weights: Weights, tokenizer: Any) -> Quality:
    """Read, compare and quantize, one layer at a time; the head, which is the largest, while little else is there."""
    body = model.get_decoder()
    head = weights.rows("lm_head.weight" if "lm_head.weight" in weights else "model.embed_tokens.weight")
    model.lm_head = DynamicLinear(head, None)
    give_back()
    body.embed_tokens = _Embedding(weights["model.embed_tokens.weight"])
    ids = torch.tensor([tokenizer(_CALIBRATION, add_special_tokens=False)["input_ids"][:_LONGEST]])
    small = body.embed_tokens(ids)
    plain = small.to(weights["model.norm.weight"].dtype)
    for number, layer in enumerate(body.layers):
        materialize(layer, f"model.layers.{number}.", weights)
        plain = run(body, layer, plain)
        give_back()
        _quantize(layer)
        small = run(body, layer, small)
    materialize(body.norm, "model.norm.", weights)
    plain, small = plain[:, -_COMPARED:], small[:, -_COMPARED:]
    plain = body.norm(plain).float()
    body.norm.float()
    small = body.norm(small)
    give_back()
    return _compare(plain[0], small[0], head, model.lm_head)


def run(body: Any, layer: nn.Module, states: torch.Tensor) -> torch.Tensor:
    """One layer over (1, tokens, d), each token looking at those before it."""
    count = states.shape[1]
    positions = torch.arange(count, device=states.device)[None]
    mask = torch.full((count, count), float("-inf"), device=states.device, dtype=states.dtype).triu_(1)[None, None]
    out: torch.Tensor = layer(
        states,
        position_ids=positions,
        position_embeddings=body.rotary_emb(states, positions),
        attention_mask=mask,
    )
    return out


def materialize(module: nn.Module, prefix: str, weights: Weights) -> None:
    """Read the parameters of a module that has none yet. Raises ModelCorrupt."""
    for owner, name in _parameters(module):
        path = f"{prefix}{_path(module, owner)}{name}"
        owner.register_parameter(name, nn.Parameter(weights[path].clone(), requires_grad=False))


def _parameters(module: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    for owner in module.modules():
        for name, parameter in list(owner.named_parameters(recurse=False)):
            if parameter.is_meta:
                yield owner, name


def _path(module: nn.Module, owner: nn.Module) -> str:
    name = next(name for name, child in module.named_modules() if child is owner)
    return f"{name}." if name else ""


def _quantize(module: nn.Module) -> None:
    """Linear layers become int8, the few other parameters single precision."""
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Linear):
                setattr(parent, name, DynamicLinear(child.weight, child.bias))
                del child
                give_back()
    module.float()


def _compare(plain: torch.Tensor, small: torch.Tensor, head: Rows, quantized: DynamicLinear) -> Quality:
    """States (positions, d) of the unquantized and of the quantized model, by their logits: the unquantized head in
    pieces, the rest a few positions at a time, since logits of a large vocabulary are as large as layers."""
    logits = torch.empty(len(plain), head.shape[0])
    for at in range(0, head.shape[0], _CHUNK):
        logits[:, at : at + _CHUNK] = plain @ head[at : at + _CHUNK].float().T
    cosines, decided, same = [], [], []
    for before, states in zip(logits.split(_AT_ONCE), small.split(_AT_ONCE), strict=True):
        after = quantized(states)
        cosines.append(nn.functional.cosine_similarity(before, after, dim=1))
        best = before.softmax(1).topk(2, dim=1)
        decided.append(best.values[:, 0] - best.values[:, 1] >= DECIDED)
        same.append(best.indices[:, 0] == after.argmax(1))
    sure = torch.cat(decided)
    count = int(sure.sum())
    agreement = float(torch.cat(same)[sure].float().mean()) if count else 1.0
    return Quality(float(torch.cat(cosines).mean()), agreement, count, len(plain))
