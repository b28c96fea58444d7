"""What shows that nothing leaves and nothing readable lies around: for the health page and `doctor`.

Knows: the guard, the record of refusals, the log's collector, the flags, the keys, the originals. Changes nothing and
says only what it has looked at now.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.util import find_spec

from django.conf import settings

from assistant import egress
from assistant.audit import forwarding
from assistant.audit.models import AuditEvent
from assistant.vault import services as vault
from assistant.vault.envelope import Damaged
from assistant.vault.errors import VaultError

from . import sealing


@dataclass(frozen=True, slots=True)
class Proof:
    """One thing looked at. `name` is a code; `facts` fill the sentence that a page or a command makes of it."""

    name: str
    ok: bool
    facts: dict[str, object]


def proofs() -> list[Proof]:
    """Everything, in the order a reader would ask."""
    return [_guard(), _refusals(), _forwarding(), _offline(), _keys(), _originals()]


def _guard() -> Proof:
    return Proof("guard", egress.in_force(), {"hosts": ", ".join(egress.allowed_hosts())})


def _refusals() -> Proof:
    """Nothing refused is the good state: a refusal means that something tried."""
    rows = AuditEvent.objects.filter(action="egress.refused").order_by("-seq")
    last = rows.first()
    facts: dict[str, object] = {"count": rows.count() + len(egress.refused())}
    if last is not None:
        facts |= {"last": str(last.detail.get("target", "")), "when": last.at}
    return Proof("refusals", facts["count"] == 0, facts)


def _forwarding() -> Proof:
    """Whether events go on to a collector inside the network, and whether it has them."""
    found = forwarding.standing()
    if found is None:
        return Proof("forwarding", True, {"address": "", "waiting": 0})
    facts = {
        "address": found.address,
        "waiting": found.waiting,
        "when": found.served_at or "",
        "problem": found.problem,
    }
    return Proof("forwarding", found.ok, facts)


def _offline() -> Proof:
    wrong = [name for name, value in settings.OFFLINE.items() if os.environ.get(name) != value]
    if find_spec("kernels") is not None:
        wrong.append("kernels")
    return Proof("offline", not wrong, {"wrong": ", ".join(wrong)})


def _keys() -> Proof:
    try:
        vault.check()
    except (VaultError, Damaged) as error:
        return Proof("keys", False, {"problem": str(error)})
    counts = vault.counts()
    destroyed = counts.pop("destroyed")
    return Proof("keys", True, {"living": sum(counts.values()), "destroyed": destroyed})


def _originals() -> Proof:
    count = sealing.unsealed().count()
    return Proof("originals", count == 0, {"count": count})
