"""What an administrator has done with models, by page or over REST: the duty is asked, one call is made, and the
library's failures are told as the product's.

Knows who may. Does not know: HTTP, words of pages, or how any of it is done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from django.conf import settings
from django.db.models import QuerySet

from assistant import engines
from assistant.accounts.models import User
from assistant.accounts.roles import Duty, require
from assistant.errors import Conflict, NotFound
from assistant.models import ActivationState, ModelActivation, ModelJob
from assistant.registry import activation, benchmarking, importing, jobs, quantizing
from inference.errors import InferenceError, ModelNotFound, in_full
from inference.store import Manifest

from . import evaluating, gate

P = ParamSpec("P")
R = TypeVar("R")


def _duty(act: Callable[Concatenate[User, P], R]) -> Callable[Concatenate[User, P], R]:
    """Each raises PermissionRefused; NotFound (no model of that name), Conflict (it cannot be done, and why)."""

    @wraps(act)
    def asked(actor: User, /, *args: P.args, **kwargs: P.kwargs) -> R:
        require(actor, Duty.MANAGE_MODELS)
        try:
            return act(actor, *args, **kwargs)
        except ModelNotFound as error:
            raise NotFound from error
        except FileExistsError as error:
            raise Conflict("A model of that name is installed already. Remove it first.") from error
        except InferenceError as error:
            raise Conflict(in_full(error), code="model_refused") from error

    return asked


@_duty
def installed(actor: User) -> list[Manifest]:
    return list(engines.store().manifests())


@_duty
def model(actor: User, name: str) -> Manifest:
    return engines.store().manifest(name)


@_duty
def active(actor: User) -> ModelActivation:
    """The newest choice; while there is none, what the settings say, not saved."""
    chosen = activation.current()
    return chosen or ModelActivation(
        engine=settings.ENGINE,
        name=activation.active_name(),
        quantization=settings.QUANTIZATION,
        state=ActivationState.ACTIVE,
    )


@_duty
def dropped(actor: User) -> list[importing.Dropped]:
    """What lies in the drop folder."""
    return importing.dropped()


@_duty
def jobs_of(actor: User) -> QuerySet[ModelJob]:
    """All work that was asked for, newest first."""
    return ModelJob.objects.all()


@_duty
def job(actor: User, number: int) -> ModelJob:
    found = ModelJob.objects.filter(pk=number).first()
    if found is None:
        raise NotFound
    return found


@_duty
def verify(actor: User, name: str) -> Manifest:
    """Every file is read again."""
    return engines.store().verify(name)


@_duty
def activate(actor: User, name: str, *, quantization: str = "auto", reason: str = "") -> ModelActivation:
    """On its evaluation, or with a reason; its files are read and checked first. Raises Invalid."""
    return gate.activate(actor=actor, name=name, quantization=quantization, reason=reason)


@_duty
def quotations(actor: User) -> ModelActivation:
    """No model answers any more."""
    return activation.deactivate()


@_duty
def remove(actor: User, name: str) -> Manifest:
    """Take a model that does not answer off the disk."""
    return activation.remove(name)


@_duty
def bring_in(actor: User, *, entry: str, name: str, licence: str, revision: str = "", base: str = "") -> ModelJob:
    """Have what lies in the drop folder imported, an adapter on top of the model `base`. Raises Invalid."""
    return importing.begin(entry=entry, name=name, licence=licence, revision=revision, base=base)


@_duty
def quantize(actor: User, name: str, *, recipe: str) -> ModelJob:
    """Have a smaller copy made, within the limits of the settings. Raises Invalid."""
    return quantizing.begin(name=name, recipe=recipe, allowed=quantizing.limits())


@_duty
def evaluate(actor: User, name: str) -> ModelJob:
    """Have the golden set asked of it."""
    return evaluating.begin(actor=actor, name=name)


@_duty
def benchmark(
    actor: User, name: str, *, users: Sequence[int] = (1, 8), tokens: int = 64, against: str = ""
) -> ModelJob:
    """Have its speed measured. Raises Invalid."""
    return benchmarking.begin(name=name, users=users, tokens=tokens, against=against)


@_duty
def stop(actor: User, number: int) -> None:
    """End work that goes on."""
    jobs.stop(number)
