"""The quality gate of a quantization: what was measured against the unquantized model, and the limits it was held to.

Pure numbers. Measuring is `inference.nearness`'s; the manifest keeps the gate, and activation asks for it.
"""

from __future__ import annotations

from dataclasses import dataclass

from inference.errors import QuantizationRefused

MAX_LOSS = 0.1  # relative rise of the perplexity
MIN_AGREEMENT = 0.85  # share of positions with the same likeliest next token


@dataclass(frozen=True, slots=True)
class Limits:
    """What an administrator allows. Raises ValueError on what cannot be a limit."""

    max_loss: float = MAX_LOSS
    min_agreement: float = MIN_AGREEMENT

    def __post_init__(self) -> None:
        if not 0 <= self.max_loss <= 10:
            raise ValueError(f"the allowed rise of the perplexity must lie between 0 and 10, not {self.max_loss}")
        if not 0 <= self.min_agreement <= 1:
            raise ValueError(f"the least agreement must lie between 0 and 1, not {self.min_agreement}")


@dataclass(frozen=True, slots=True)
class Gate:
    """Perplexities on a text (its name and sha256), and how often the likeliest next token is the same."""

    perplexity_before: float
    perplexity_after: float
    agreement: float
    positions: int
    text: str
    text_sha256: str
    max_loss: float
    min_agreement: float
    forced: bool = False  # a person let it pass in spite of the limits

    @property
    def loss(self) -> float:
        """Relative rise of the perplexity, 0.05 being five per cent; below 0 when it fell."""
        return self.perplexity_after / self.perplexity_before - 1

    @property
    def passed(self) -> bool:
        return self.loss <= self.max_loss and self.agreement >= self.min_agreement

    @property
    def words(self) -> str:
        return (
            f"perplexity {self.perplexity_before:.2f} to {self.perplexity_after:.2f} ({self.loss:+.1%}, at most "
            f"{self.max_loss:+.1%} allowed), the same next token in {self.agreement:.1%} of {self.positions} cases "
            f"(at least {self.min_agreement:.1%})"
        )

    def check(self, name: str) -> None:
        """Raises QuantizationRefused past the limits, unless a person let it pass."""
        if not (self.passed or self.forced):
            raise QuantizationRefused(
                f"{name} loses too much: {self.words}.",
                hint="Choose another recipe, allow more (--max-perplexity-loss, --min-agreement), or --force it: that "
                "is recorded.",
            )
