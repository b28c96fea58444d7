"""Few passages per uploader: one person who uploads a great deal about something does not speak alone about it.

Knows: passages in order and who uploaded each. Does not know: rights, the index, what a passage says. A rule for the
order, never a matter of access: whoever uploaded everything there is still fills every place.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from typing import Protocol, TypeVar

from .models import Chunk

PER_UPLOADER = 6  # of the ten passages that an answer is made from
OTHERS_DEPTH = 200  # hits among which other people's passages are looked for when one person's fill the first places
ENOUGH = 0.5  # of how well a passage beyond the limit fits


class Found(Protocol):
    @property
    def chunk(self) -> Chunk: ...

    @property
    def dense(self) -> float: ...

    @property
    def lexical(self) -> float: ...


Item = TypeVar("Item", bound=Found)


def crowd(found: Sequence[Item], limit: int) -> tuple[int | None] | None:
    """Who alone uploaded more than PER_UPLOADER of the first `limit` while too few passages of others are there to take
    the other places; as a tuple of one, since nobody (None: a person who has left) may be that person too."""
    uploaders = Counter(_uploader(item) for item in found[:limit])
    if not uploaders:
        return None
    person, times = uploaders.most_common(1)[0]
    others = sum(_uploader(item) != person for item in found)
    return (person,) if times > PER_UPLOADER and others < limit - PER_UPLOADER else None


def shared_out(found: Sequence[Item]) -> list[Item]:
    """The order given, but from the seventh passage on what one person uploaded stands behind what others did, as far
    as theirs fits half as well. Measured by the legs' own scores: a flood decides what is average among the hits."""
    seen: Counter[int | None] = Counter()
    within: list[tuple[int, Item]] = []
    beyond: deque[tuple[int, Item]] = deque()
    for place, item in enumerate(found):
        uploader = _uploader(item)
        seen[uploader] += 1
        (within if seen[uploader] <= PER_UPLOADER else beyond).append((place, item))
    order: list[Item] = []
    for place, item in within:
        while beyond and beyond[0][0] < place and not _fits(item, beyond[0][1]):
            order.append(beyond.popleft()[1])
        order.append(item)
    return [*order, *(item for _, item in beyond)]


def _fits(item: Found, beside: Found) -> bool:
    """Whether it fits half as well, by meaning and by words together."""
    pairs = ((item.dense, beside.dense), (item.lexical, beside.lexical))
    return sum(min(1.0, max(0.0, one) / other) if other > 0 else 1.0 for one, other in pairs) / 2 >= ENOUGH


def _uploader(item: Found) -> int | None:
    return item.chunk.version.uploaded_by_id
