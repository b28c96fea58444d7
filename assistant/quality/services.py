"""The golden set's verbs: write it, start a run, choose the reference and the schedule, read how things stand.

Light: the web process calls these; asking is the workers' (`running`). Administrators only.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from datetime import timedelta

import redis
from celery import current_app
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext
from kombu.exceptions import OperationalError

from assistant import observability
from assistant.accounts.models import User
from assistant.accounts.roles import Duty, require
from assistant.audit import services as audit
from assistant.chat import evaluation
from assistant.chat.evaluation import Row
from assistant.errors import Conflict, Invalid, NotFound
from assistant.models import ActivationState
from assistant.registry import activation

from .models import Every, GoldenRun, GoldenSet, Policy, QuestionItem, RunStatus, Why

logger = logging.getLogger(__name__)

TASK = "assistant.quality.tasks.run"
MOST_QUESTIONS = 2_000
MOST_BYTES = 2_000_000
LOST_AFTER = timedelta(minutes=30)
_PERIODS = {Every.DAY: timedelta(days=1), Every.WEEK: timedelta(days=7)}


@dataclass(frozen=True, slots=True)
class Answering:
    """What answers: `digest` and `recipe` of a language model are its manifest's and its activation's."""

    engine: str
    model: str = ""
    digest: str = ""
    recipe: str = ""


def golden() -> GoldenSet | None:
    """The golden set as it is now; None when there is none."""
    return GoldenSet.objects.order_by("-pk").first()


def rows(questions: GoldenSet) -> list[Row]:
    """Its questions. Raises Conflict when a newer version has taken its place (its text is gone)."""
    if not questions.text:
        raise Conflict("These questions were replaced by newer ones.", code="questions_replaced")
    return evaluation.parse(questions.text, name="questions")


def write(*, actor: User, text: str) -> GoldenSet:
    """Replace the golden set; history begins anew with it. The same text again changes nothing.

    Raises Invalid naming the line, PermissionRefused.
    """
    require(actor, Duty.MANAGE_MODELS)
    return replace(text)


def replace(text: str) -> GoldenSet:
    """The same for the operator at the command line, and for the demo company. Raises Invalid."""
    text = text.replace("\r\n", "\n").strip() + "\n"
    found = _checked(text)
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    with transaction.atomic():
        before = GoldenSet.objects.select_for_update().order_by("-pk").first()
        if before is not None and before.digest == digest:
            return before
        GoldenSet.objects.update(text="")
        made = GoldenSet.objects.create(
            text=text, digest=digest, questions=len(found), by=observability.current().actor
        )
        people = {row.asker for row in found} | {email for row in found for email in row.denied}
        keys = User.objects.filter(email__in=people).order_by("pk").values_list("pk", flat=True)
        audit.record(
            action="golden.changed",
            target=("golden", str(made.pk)),
            detail={
                "digest": digest,
                "questions": len(found),
                "people": len(people),
                "asked_as": [f"user:{key}" for key in keys[:1000]],
            },
        )
    return made


def _checked(text: str) -> list[Row]:
    """The rows, after everything that would stop a run later was looked at. Raises Invalid."""
    if len(text.encode("utf-8", "surrogatepass")) > MOST_BYTES:
        raise Invalid("The question file is too large.", fields={"text": ["The question file is too large."]})
    found = evaluation.parse(text, name="questions")
    problem = ""
    seen: set[str] = set()
    known = {email.casefold() for email in User.objects.filter(is_active=True).values_list("email", flat=True)}
    for number, row in enumerate(found, start=1):
        what = row.id
        if row.id in seen:
            problem = gettext("Question %(number)s: the id “%(what)s” stands twice.")
        elif row.follows and row.follows not in seen:
            problem = gettext("Question %(number)s: it follows “%(what)s”, which does not stand before it.")
            what = row.follows
        elif not row.question.strip() or len(row.question) > settings.MAX_QUESTION_CHARS:
            problem = gettext("Question %(number)s: a question has 1 to %(what)s characters.")
            what = str(settings.MAX_QUESTION_CHARS)
        elif strangers := [email for email in (row.asker, *row.denied) if email.casefold() not in known]:
            problem = gettext("Question %(number)s: there is no active person with the address %(what)s.")
            what = strangers[0]
        elif row.answerable and not any(answer.strip() for answer in row.answers):
            problem = gettext("Question %(number)s: it is answerable and has no expected answer.")
        if problem:
            problem %= {"number": number, "what": what}
            raise Invalid(problem, fields={"text": [problem]})
        seen.add(row.id)
    if not found or len(found) > MOST_QUESTIONS:
        problem = gettext("A golden set has 1 to %(count)s questions.") % {"count": MOST_QUESTIONS}
        raise Invalid(problem, fields={"text": [problem]})
    return found


def start(*, actor: User) -> GoldenRun:
    """Ask everything now, in the workers. A run that waits or runs already is that one.

    Raises Conflict (there is no golden set), PermissionRefused.
    """
    require(actor, Duty.MANAGE_MODELS)
    return begin(Why.HAND)


def begin(why: Why) -> GoldenRun:
    """The row of a new run of what answers now, and word to a worker once it is committed."""
    with transaction.atomic():
        questions = GoldenSet.objects.select_for_update().order_by("-pk").first()
        if questions is None:
            raise Conflict("There is no golden set yet. Write or upload its questions first.", code="no_golden_set")
        waiting = queued().first()
        if waiting is not None:
            return waiting
        run = GoldenRun.objects.create(questions=questions, why=why, by=observability.current().actor)
        record_begin(run)
        transaction.on_commit(lambda: send(run.pk))
    return run


def record_begin(run: GoldenRun) -> None:
    """The intent to ask, before anything is asked; in the caller's transaction."""
    detail = {"questions_digest": run.questions.digest, "why": run.why, "model": run.model, "digest": run.digest}
    audit.record(action="golden.run", outcome="intent", target=("golden_run", str(run.pk)), detail=detail)


def unfinished() -> QuerySet[GoldenRun]:
    return GoldenRun.objects.filter(status__in=[RunStatus.QUEUED, RunStatus.RUNNING])


def queued() -> QuerySet[GoldenRun]:
    """What a worker may take: a model that does not answer yet is measured by the command that loaded it, alone."""
    return unfinished().exclude(why=Why.ACTIVATION)


def send(run_id: int) -> None:
    """Tell an answers worker; when the transport is away, the sweeper does so later."""
    try:
        current_app.send_task(TASK, args=[run_id], queue="answers", retry=False)
    except (OperationalError, redis.RedisError, OSError) as error:
        logger.warning("golden run %s waits for the sweeper: %s", run_id, error)


def end_lost() -> None:
    """Runs whose command was killed: nobody goes on with them."""
    before = timezone.now() - LOST_AFTER
    lost = unfinished().filter(why=Why.ACTIVATION, lease_until__lt=before)
    lost.update(status=RunStatus.FAILED, error="The command that measured it ended.", finished_at=timezone.now())


def due() -> bool:
    """Whether the schedule asks for a run now."""
    questions, period = golden(), _PERIODS.get(Every(policy().every))
    if questions is None or period is None:
        return False
    newest = questions.runs.exclude(why=Why.ACTIVATION).order_by("-pk").first()
    return (newest.at if newest else questions.at) <= timezone.now() - period


def runs() -> QuerySet[GoldenRun]:
    """Every run, newest first."""
    return GoldenRun.objects.select_related("questions").order_by("-pk")


def run_of(*, actor: User, run_id: int) -> GoldenRun:
    """Raises NotFound, PermissionRefused."""
    require(actor, Duty.MANAGE_MODELS)
    run = runs().filter(pk=run_id).first()
    if run is None:
        raise NotFound
    return run


def reference(questions: GoldenSet) -> GoldenRun | None:
    """The run that later runs of these questions are held against."""
    return questions.runs.filter(status=RunStatus.DONE, reference=True).order_by("-pk").first()


def choose_reference(*, actor: User, run_id: int) -> GoldenRun:
    """Hold later runs against this one. Raises NotFound, Conflict (not finished, or of older questions)."""
    run = run_of(actor=actor, run_id=run_id)
    with transaction.atomic():
        questions = GoldenSet.objects.select_for_update().order_by("-pk").first()
        if run.status != RunStatus.DONE or questions is None or run.questions_id != questions.pk:
            raise Conflict("Only a finished run of the present questions can be the reference.", code="no_reference")
        questions.runs.filter(reference=True).update(reference=False)
        GoldenRun.objects.filter(pk=run.pk).update(reference=True, alarm=False, drift=[])
        audit.record(action="golden.reference", target=("golden_run", str(run.pk)))
    run.refresh_from_db()
    return run


def latest() -> GoldenRun | None:
    """The newest finished run of what answers, on the present questions."""
    questions = golden()
    if questions is None:
        return None
    done = questions.runs.filter(status=RunStatus.DONE).exclude(why=Why.ACTIVATION)
    return done.order_by("-pk").first()


def alarm() -> GoldenRun | None:
    """The run that raised an alarm which still stands: the newest one, when it did."""
    run = latest()
    return run if run is not None and run.alarm else None


def policy() -> Policy:
    """The administrator's choices as they are now."""
    return Policy.objects.filter(pk=1).first() or Policy(pk=1)


def choose(*, actor: User, every: str | None = None, conversations: bool | None = None) -> Policy:
    """Change the schedule, or whether conversations may be used. Switched off, what was made of them goes.

    Raises Invalid, PermissionRefused.
    """
    require(actor, Duty.MANAGE_MODELS)
    if every is not None and every not in Every.values:
        raise Invalid("The schedule must be never, day or week.", fields={"every": ["Choose one of the list."]})
    with transaction.atomic():
        now = Policy.objects.select_for_update().get_or_create(pk=1)[0]
        wanted = {"every": every, "conversations": conversations}
        changed = {name: value for name, value in wanted.items() if value not in {None, getattr(now, name)}}
        for name, value in changed.items():
            setattr(now, name, value)
        if changed:
            now.save()
            dropped = 0
            if changed.get("conversations") is False:
                dropped = QuestionItem.objects.filter(answer__isnull=False).delete()[0]
            audit.record(
                action="setting.changed", target=("setting", "quality"), detail={**changed, "dropped": dropped}
            )
    return now


def answering() -> Answering:
    """What answers now. Raises Conflict while an activated model is not loaded, or could not be."""
    row = activation.current()
    if row is None:
        return Answering(settings.ENGINE, activation.active_name())
    if row.engine != "extractive" and row.state != ActivationState.ACTIVE:
        raise Conflict(
            "The activated model does not answer yet. Try again when the page “Models” says that it is active.",
            code="model_not_loaded",
        )
    return Answering(row.engine, row.name, row.digest, row.quantization)
