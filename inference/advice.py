"""Which recipe suits a model on a given device, and why, in words for who runs the machine.

Knows sizes, recipes and what was measured of them (BENCHMARKS.md); loads nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from inference.quantization import HEADROOM, Quantization, expected_bytes

_GPU: dict[Quantization, str] = {
    "none": "it fits unquantized, which is the fastest for one person and for many",
    "nf4": "only four bits fit; good for one person, slower than bfloat16 when many ask at once",
}
_CPU: dict[Quantization, str] = {
    "dynamic8": "integers are the fastest here for several people at once; used only if it passes its quality gate",
    "nf4": "only four bits fit; slower than dynamic8",
}


@dataclass(frozen=True, slots=True)
class Advice:
    """`quantization` None: the model does not fit by any recipe. `needed` is bytes while loading."""

    quantization: Quantization | None
    needed: int
    words: str


@dataclass(frozen=True, slots=True)
class Guide:
    """The fastest way for one person at a time and for several at once; `gguf` is a file with four bits (q4_0)."""

    one: str
    several: str
    words: str


def guide(device: str, *, llama: bool) -> Guide:
    """By load, whatever model it is. `llama`: whether llama.cpp can be used here."""
    if device.startswith("cuda"):
        words = "On this card: unquantized while it fits, for one person and for many; nf4 where only four bits fit."
        return Guide("none", "none", words)
    if not llama:
        words = (
            "On this processor: dynamic8, for one person and for many. With llama.cpp a GGUF file with four bits "
            "(q4_0) would give one person at a time 1.7 times as many tokens a second, where it was measured."
        )
        return Guide("dynamic8", "dynamic8", words)
    words = (
        "On this processor: for one person at a time a GGUF file with four bits (q4_0), 1.7 times as many tokens a "
        "second as dynamic8 where it was measured; for several at once dynamic8, 1.6 times as many as GGUF with 8."
    )
    return Guide("gguf", "dynamic8", words)


def order(device: str) -> tuple[Quantization, ...]:
    """Recipes from the best to the last resort."""
    return tuple(_GPU if device.startswith("cuda") else _CPU)


def advise(parameters: int, embedding_parameters: int, *, device: str, free: int) -> Advice:
    """The first recipe that fits into `free` bytes while the model is loaded."""
    reasons = _GPU if device.startswith("cuda") else _CPU
    needed = 0
    for recipe, why in reasons.items():
        needed = int(expected_bytes(parameters, embedding_parameters, recipe) * HEADROOM)
        if needed <= free:
            return Advice(recipe, needed, f"{recipe}: {why} ({needed / 2**30:.1f} of {free / 2**30:.1f} GiB free).")
    return Advice(
        None,
        needed,
        f"does not fit: {needed / 2**30:.1f} GiB are needed even as nf4, {free / 2**30:.1f} GiB are free; "
        "choose a smaller model, or run it on another machine with ENGINE=remote.",
    )
