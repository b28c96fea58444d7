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


# The reference family, DeepSeek-R1-Distill: all parameters, and those of embeddings and head (config.json of each).
FAMILY = {
    "Qwen 1.5B": (1_777_088_000, 466_747_392),
    "Qwen 7B": (7_615_616_512, 1_089_994_752),
    "Llama 8B": (8_030_261_248, 1_050_673_152),
}


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
            "On this processor: dynamic8 (weights in eight bits), for one person and for many. With llama.cpp a GGUF "
            "file with four bits (q4_0) would give one person at a time 1.7 times as many tokens a second, where it "
            "was measured."
        )
        return Guide("dynamic8", "dynamic8", words)
    words = (
        "On this processor: for one person at a time a GGUF file with four bits (q4_0), 1.7 times as many tokens a "
        "second as dynamic8 (weights in eight bits) where it was measured; for several at once dynamic8, 1.6 times as "
        "many as GGUF with 8 people."
    )
    return Guide("gguf", "dynamic8", words)


def sizes(device: str, free: int) -> str:
    """Which models of the reference family `free` bytes are enough for, and by which recipe."""
    held: list[str] = []
    large: list[str] = []
    for name, counts in FAMILY.items():
        recipe = advise(*counts, device=device, free=free).quantization
        (held if recipe else large).append(f"{name} {'unquantized' if recipe == 'none' else f'as {recipe}'}")
    room = f"{free / 2**30:.1f} GiB are free for a language model"
    if not held:
        return f"{room}: too little for a model of 1.5 billion parameters; answers stay quotations."
    words = f"{room}, enough for (of the family DeepSeek-R1-Distill) {', '.join(held)}"
    return f"{words}; not for {', '.join(name.partition(' as ')[0] for name in large)}." if large else f"{words}."


def threads(given: int, usable: int) -> str:
    """What is wrong with computing on `given` threads where `usable` cores may be used; empty when nothing is."""
    if given > usable:
        return f"{given} threads share {usable} cores and wait for each other."
    if given < usable:
        return f"{usable - given} of {usable} cores are left idle by every model."
    return ""


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
