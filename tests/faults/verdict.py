"""What must hold when everything has calmed down: nothing lost, nothing twice, nothing half, and the record whole."""

from __future__ import annotations

import json
import time
from typing import Any

from .load import Seen
from .product import Product

EXPECTED_STATES = {"ready"}
ANSWERED = {"answered", "not_found"}

# Run inside the product. `given` are the ids that were promised.
_LOOK = """
import json
from collections import Counter
from assistant.audit.models import AuditEvent
from assistant.chat.models import Answer
from assistant.documents.models import Chunk, Document, DocumentVersion, IndexEvent
given = json.loads('''GIVEN''')
answers = {str(a.pk): a for a in Answer.objects.all()}
documents = {str(d.pk): d for d in Document.objects.all()}
ended = AuditEvent.objects.filter(action__in=[f"answer.{end}" for end in ("shown", "failed", "refused", "cancelled")])
ends = Counter(ended.filter(target_type="answer").values_list("target_id", flat=True))
read = Counter(AuditEvent.objects.filter(action="document.ready").values_list("target_id", flat=True))
hashes = Counter(DocumentVersion.objects.values_list("sha256", flat=True))
half = 0
for document in documents.values():
    ordinals = list(Chunk.objects.filter(document=document).order_by("ordinal").values_list("ordinal", flat=True))
    half += bool(document.current) and ordinals != list(range(len(ordinals)))
seqs = list(IndexEvent.objects.order_by("seq").values_list("seq", flat=True))
print(json.dumps({
    "waiting": sum(a.status != "done" for a in answers.values())
        + DocumentVersion.objects.filter(status__in=["queued", "processing"]).count(),
    "answers": len(answers), "documents": len(documents),
    "answers_lost": [pk for pk in given["answers"] if pk not in answers],
    "documents_lost": [pk for pk in given["documents"] if pk not in documents],
    "answers_unrecorded": sum(ends[pk] == 0 for pk, a in answers.items() if a.status == "done"),
    "answers_twice": sum(ends[pk] > 1 for pk in answers),
    "outcomes": Counter(f"{a.outcome}:{a.reason}".rstrip(":") for a in answers.values()),
    "states": Counter(v.status + (":" + v.error_code if v.error_code else "") for v in DocumentVersion.objects.all()),
    "read_twice": sum(number > 1 for number in read.values()), "stored_twice": sum(n > 1 for n in hashes.values()),
    "half_written": half, "index_gaps": seqs != list(range(seqs[0], seqs[0] + len(seqs))) if seqs else False,
}))
"""


def look(product: Product, seen: Seen) -> dict[str, Any]:
    given = json.dumps({"answers": list(seen.answers), "documents": list(seen.documents)})
    return product.python(_LOOK.replace("GIVEN", given))  # type: ignore[return-value]


def calm(product: Product, seen: Seen, *, seconds: float = 180) -> dict[str, Any]:
    """The state once nothing waits any more, or when `seconds` are over."""
    deadline = time.monotonic() + seconds
    while (state := look(product, seen))["waiting"] and time.monotonic() < deadline:
        time.sleep(2)
    return state


def faults_in(state: dict[str, Any], seen: Seen, recoveries: list[float | None], *, within: float) -> list[str]:
    """Sentences; none when every promise was kept."""
    found = [f"{name}: {state[name]}" for name in ("answers_lost", "documents_lost") if state[name]]
    found += [
        f"{name}: {state[name]}"
        for name in (
            *("waiting", "answers_unrecorded", "answers_twice", "read_twice", "stored_twice", "half_written"),
            "index_gaps",
        )
        if state[name]
    ]
    found += [f"seen by a person: {oddity}" for oddity in seen.oddities[:10]]
    failed = {state: number for state, number in state["states"].items() if state not in EXPECTED_STATES}
    failed |= {end: number for end, number in state["outcomes"].items() if end.partition(":")[0] not in ANSWERED}
    if failed:
        found.append(f"ended badly: {failed}")
    late = [took for took in recoveries if took is None or took > within]
    if late:
        found.append(f"recovered later than {within:.0f} s: {late}")
    return found
