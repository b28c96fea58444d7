"""Which recipe suits a model on a given device, and why, in words for who runs the machine.

Knows sizes and recipes; loads nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from inference.quantization import HEADROOM, Quantization, expected_bytes

_GPU: dict[Quantization, str] = {
    "none": "it fits unquantized, which is the fastest for one person and for many",
    "nf4": "only four bits fit; good for one person, slower than bfloat16 when many ask at once",
}
_CPU: dict[Quantization, str] = {
    "dynamic8": "integers are the fastest here for one person and for many; used only if it passes its quality gate",
    "nf4": "only four bits fit; slower than dynamic8",
}


@dataclass(frozen=True, slots=True)
class Advice:
    """`quantization` None: the model does not fit by any recipe. `needed` is bytes while loading."""

    quantization: Quantization | None
    needed: int
    words: str


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
