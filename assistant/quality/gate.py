"""Which model may be activated: one whose evaluation against the present golden set is on record.

An evaluation counts for the very files (the manifest's digest), the recipe and the questions it was made with. An
administrator may go without, with a reason that the audit log keeps. Quotations need none: their card is part of the
product (inference/reading/CARD.md).
"""

from __future__ import annotations

from assistant import activation, engines
from assistant.accounts.models import User
from assistant.accounts.roles import Duty, require
from assistant.activation import Grounds
from assistant.errors import Conflict, Invalid
from assistant.guardrails import sanitize
from assistant.models import ModelActivation

from . import services
from .models import GoldenRun, RunStatus

LEAST_REASON = 10


def evaluation(digest: str, recipe: str) -> GoldenRun | None:
    """The newest finished run of this model on the present questions, if it answered most of them itself."""
    questions = services.golden()
    if questions is None:
        return None
    run = questions.runs.filter(status=RunStatus.DONE, digest=digest, recipe=recipe).order_by("-pk").first()
    return run if run is not None and run.summary.get("fallbacks", 0) <= questions.questions / 2 else None


def activate(*, actor: User | None, name: str, quantization: str = "auto", reason: str = "") -> ModelActivation:
    """Let an installed model answer; `actor` None is the operator at the command line.

    Raises Conflict (no evaluation on record, and no reason given), Invalid (unknown recipe, a reason too short),
    PermissionRefused, inference.errors.ModelNotFound, inference.errors.ModelCorrupt.
    """
    if actor is not None:
        require(actor, Duty.MANAGE_MODELS)
    activation.check_recipe(quantization)
    return activation.activate(name, quantization=quantization, grounds=_grounds(name, quantization, reason))


def _grounds(name: str, quantization: str, reason: str) -> Grounds:
    run = evaluation(engines.store().manifest(name).digest, quantization)
    if run is not None:
        return Grounds(evaluation=run.pk)
    cleaned = sanitize.title(reason, limit=500)
    if not cleaned:
        first = "" if services.golden() else "There is no golden set yet: write its questions on the page “Quality”. "
        raise Conflict(
            f"{name} ({quantization}) was not evaluated against the present golden set, or could not answer "
            f"half of it itself. {first}Run: manage.py models "
            f"activate {name} --quantization {quantization} --evaluate. To go without, give a reason; it is recorded.",
            code="not_evaluated",
        )
    if len(cleaned) < LEAST_REASON:
        words = f"Say why in at least {LEAST_REASON} characters."
        raise Invalid(words, fields={"reason": [words]})
    return Grounds(reason=cleaned)
