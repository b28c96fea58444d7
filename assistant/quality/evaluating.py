"""The golden set asked of an installed model by a worker, so that it can be activated from the page.

Knows the jobs that the models page starts and the runs of the golden set; `running` does the asking.
"""

from __future__ import annotations

from typing import Any

from assistant import engines
from assistant.accounts.models import User
from assistant.accounts.roles import Duty, require
from assistant.errors import Conflict
from assistant.models import JobKind, ModelJob
from assistant.registry import jobs

from . import services


def begin(*, actor: User, name: str) -> ModelJob:
    """A job for a worker: the model as it is stored. Raises PermissionRefused, Conflict (there is no golden set, or it
    is under way), inference.errors.ModelNotFound, inference.errors.QuantizationRefused (it may not answer)."""
    require(actor, Duty.MANAGE_MODELS)
    engines.store().manifest(name).check_offered("auto")
    if services.golden() is None:
        raise Conflict("There is no golden set yet. Write or upload its questions first.", code="no_golden_set")
    return jobs.start(JobKind.EVALUATE, target=name, name=name, recipe="auto")


def work(job: ModelJob, told: jobs.Told) -> dict[str, Any]:
    """Do such a job; the run's number. Raises Conflict, InferenceError, leases.LeaseLost when it was stopped."""
    from . import running  # loads what answers need

    told("loading", 0, 1)
    run = running.candidate(job.name, job.recipe, tell=lambda done, count: told("asking", done, count))
    return {"run": run.pk, "digest": run.digest}
