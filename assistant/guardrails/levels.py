"""From which score on an instruction-like text is shown with a banner, counts less, or waits for review."""

from __future__ import annotations

THRESHOLD_BANNER = 0.5  # shown with a warning
THRESHOLD_DOWNRANK = 0.7  # counts less in the search
THRESHOLD_QUARANTINE = 0.9  # not searched until a person has looked
