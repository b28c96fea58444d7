"""Which model may be activated: one whose evaluation against the present golden set is on record.

An evaluation counts for the very files (the manifest's digest), the recipe and the questions it was made with. An
administrator may go without, with a reason that the audit log keeps. Quotations need none: their card is part of the
product (inference/reading/CARD.md).
"""

from __future__ import annotations

from dataclasses import dataclass

from assistant import engines
from assistant.accounts.models import User
from assistant.accounts.roles import Duty, require
from assistant.errors import Conflict, Invalid
from assistant.guardrails import sanitize
from assistant.models import ModelActivation
from assistant.registry import activation
from assistant.registry.activation import Grounds

from . import services
from .models import GoldenRun, RunStatus

LEAST_REASON = 10


def evaluation(digest: str, recipe: str) -> GoldenRun | None:
    """The newest finished run of this model on the present questions, if it answered most of them itself."""
    return _counting(digest).get(recipe)


def _counting(digest: str) -> dict[str, GoldenRun]:
    questions = services.golden()
    if questions is None:
        return {}
    runs = questions.runs.filter(status=RunStatus.DONE, digest=digest).defer("marks").order_by("pk")
    newest = {run.recipe: run for run in runs}
    return {name: run for name, run in newest.items() if run.summary.get("fallbacks", 0) <= questions.questions / 2}


@dataclass(frozen=True, slots=True)
class Evaluation:
    recipe: str
    run: int


def evaluations(digest: str) -> tuple[Evaluation, ...]:
    """What allows this model to be activated, by recipe."""
    found = _counting(digest)
    return tuple(Evaluation(recipe, found[recipe].pk) for recipe in activation.RECIPES if recipe in found)


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
        if services.golden() is None:
            raise Conflict(
                "There is no golden set to evaluate this model with. Write its questions on the page “Quality”, or "
                "give a reason for going without; it is recorded.",
                code="not_evaluated",
            )
        raise Conflict(
            "This model was not evaluated with this quantization against the present golden set, or could not answer "
            "half of it itself. Evaluate it on the page “Models” (or with “manage.py models activate NAME "
            "--evaluate”), or give a reason for going without; it is recorded.",
            code="not_evaluated",
        )
    if len(cleaned) < LEAST_REASON:
        raise Invalid("Give the reason in at least 10 characters.", fields={"reason": ["Use at least 10 characters."]})
    return Grounds(reason=cleaned)
