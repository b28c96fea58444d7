"""A model that no single card holds is laid over several, layer by layer.

Knows cards, their free memory and where layers lie. Placing is the library's (accelerate's balanced map,
https://huggingface.co/docs/accelerate/concept_guides/big_model_inference); a step then goes from card to card, so this
is for room, not for speed. Does not know recipes or requests.
"""

from __future__ import annotations

from typing import Any

SHARE = 0.85  # of a card's free memory that weights may take; the rest is for keys, values and what a step needs


def cards() -> dict[int, int]:
    """Free bytes of every CUDA device."""
    import torch

    return {number: int(torch.cuda.mem_get_info(number)[0]) for number in range(torch.cuda.device_count())}


def room(needed: int, free: dict[int, int]) -> dict[int, int] | None:
    """How much each card may take of a model that needs `needed` bytes while loading; None when one card holds it, when
    there is one card only, or when all of them together are too small."""
    if len(free) < 2 or needed <= max(free.values()):
        return None
    shares = {number: int(size * SHARE) for number, size in free.items()}
    return shares if needed <= sum(shares.values()) else None


def together(device: str) -> int:
    """Bytes that a model laid over all cards may take; 0 where there are not several."""
    free = cards() if device.startswith("cuda") else {}
    return sum(int(size * SHARE) for size in free.values()) if len(free) > 1 else 0


def roomiest(free: dict[int, int]) -> str:
    """The first card of those with the most free memory."""
    return f"cuda:{max(free, key=lambda number: (free[number], -number))}"


def layer_devices(model: Any) -> list[str]:
    """Where each layer of the decoder lies, in order."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    return [str(next(layer.parameters()).device) for layer in base.get_decoder().layers]
