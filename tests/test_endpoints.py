"""Every address by every persona: who gets in, who is told that there is nothing, who that it is not their duty.

A row names who may; everybody else must be turned away in the one way that its kind prescribes. An address without a
row fails. Side effects are rolled back, so that every persona meets the same world.
"""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from assistant.accounts import review, two_people
from assistant.accounts import services as accounts
from assistant.accounts.models import Membership, Team, User
from assistant.audit import coverage
from assistant.audit import services as audit
from assistant.audit.models import AuditEvent
from assistant.chat.models import Answer, AnswerStatus, Citation, Conversation, Outcome
from assistant.documents import holds, ingestion, services
from assistant.documents.models import Grant
from assistant.models import ModelJob
from assistant.quality import services as quality
from assistant.quality.models import Why
from assistant.transport import redis_client

ALL = ("anonymous", "outsider", "member", "curator", "auditor", "administrator")
SIGNED_IN = ALL[1:]
READERS = ("member", "curator", "administrator")  # by team, by curator grant, by managing
MANAGERS = ("curator", "administrator")
OWNER = ("member",)
AUDIT = ("auditor", "administrator")
ADMIN = ("administrator",)

HIDDEN = 404  # an object one may not see: the same as one that does not exist
DUTY = 403  # a room of duties: that it exists is no secret


@dataclass(frozen=True)
class Row:
    """`may`: personas that get in. `refused`: the status for signed-in others. `values`: names of world attributes."""

    name: str
    may: tuple[str, ...]
    refused: int = HIDDEN
    method: str = "get"
    values: dict[str, str] = field(default_factory=dict)
    body: dict[str, str] = field(default_factory=dict)
    query: str = ""
    told: tuple[str, ...] = ()  # personas that see the object and are told that the act is not their duty

    def __str__(self) -> str:
        return f"{self.method} {self.name}"


def doc(name: str, may=READERS, method="get", **more) -> Row:
    key = "document" if name.startswith("api-") else "document_id"
    values = {key: "document", **more.pop("values", {})}
    return Row(name, may, method=method, values=values, **more)


PAGE = {"number": "page"}
HOLD = {"kind": "collection", "target": "secret", "reason": "Court order 12/2026"}
ROWS = [
    # liveness
    *(Row(name, ALL) for name in ("healthz", "readyz", "metrics")),
    # signing in
    *(Row(name, ALL) for name in ("account_login", "account_inactive", "account_signup", "account_logout")),
    *(Row(name, SIGNED_IN) for name in ("account_reauthenticate", "account_change_password")),
    # REST: people and record
    Row("schema", SIGNED_IN),
    Row("api-users", ADMIN, DUTY),
    Row("api-users", ADMIN, DUTY, "post", body={"email": "new@company.example", "role": "employee"}),
    Row("api-user", ADMIN, DUTY, values={"user": "member_id"}),
    Row("api-user", ADMIN, DUTY, "patch", values={"user": "member_id"}),
    Row("api-teams", ADMIN, DUTY),
    Row("api-teams", ADMIN, DUTY, "post", body={"slug": "new", "name": "New"}),
    Row("api-team", ADMIN, DUTY, values={"slug": "team"}),
    Row("api-team-members", ADMIN, DUTY, values={"slug": "team"}),
    Row("api-team-members", ADMIN, DUTY, "post", values={"slug": "team"}),
    Row("api-tokens", SIGNED_IN),
    Row("api-tokens", SIGNED_IN, method="post"),
    Row("api-token", OWNER, method="delete", values={"token": "token"}),
    Row("api-audit-events", AUDIT, DUTY),
    Row("api-audit-verify", AUDIT, DUTY),
    Row("api-audit-export", AUDIT, DUTY, query="?format=jsonl"),
    Row("api-audit-sights", AUDIT, DUTY, query="?person=system"),
    Row("api-audit-digest", AUDIT, DUTY),
    Row("api-audit-permits", AUDIT, DUTY),
    Row("api-audit-permits", AUDIT, DUTY, "post", body={"kind": "open", "seq": "1", "reason": "A complaint"}),
    Row("api-audit-permit-decision", AUDIT, DUTY, "post", {"permit_id": "permit"}, body={"approve": "true"}),
    *(
        Row(f"api-audit-permit-{verb}", AUDIT, DUTY, "post", {"permit_id": "permit"})
        for verb in ("text", "prune")  # each for the one who asked: 404 for other reviewers
    ),
    Row("api-audit-queries", AUDIT, DUTY),
    Row("api-audit-queries", AUDIT, DUTY, "post", body={"name": "Refusals", "query": "outcome=refused"}),
    Row("api-audit-query", AUDIT, DUTY, "delete", {"query_id": "query"}),  # the auditor's own
    Row("api-audit-segments", AUDIT, DUTY),
    Row("api-audit-replay", AUDIT, DUTY, values={"answer_id": "answer"}),
    Row("api-audit-replay", AUDIT, DUTY, "post", {"answer_id": "answer"}),
    Row("api-openings", SIGNED_IN),
    Row("api-holds", AUDIT, DUTY),
    Row("api-holds", AUDIT, DUTY, "post", body=HOLD),
    Row("api-hold-ask", ADMIN, DUTY, "post", {"hold_id": "hold"}, body={"reason": HOLD["reason"]}),
    Row("api-hold-lift", AUDIT, DUTY, "post", {"hold_id": "hold"}),
    Row("api-export", SIGNED_IN),
    # REST: asking
    Row("api-answers", SIGNED_IN, method="post"),
    Row("api-answer", OWNER, values={"answer_id": "answer"}),
    Row("api-answer-events", OWNER, values={"answer_id": "answer"}),
    Row("api-answer-cancel", OWNER, method="post", values={"answer_id": "answer"}),
    Row("api-answer-feedback", OWNER, method="post", values={"answer_id": "answer"}, body={"good": "true"}),
    Row("api-conversations", SIGNED_IN),
    Row("api-conversation", OWNER, values={"conversation_id": "conversation"}),
    Row("api-conversation", OWNER, method="patch", values={"conversation_id": "conversation"}, body={"title": "x"}),
    Row("api-conversation", OWNER, method="delete", values={"conversation_id": "conversation"}),
    Row("api-conversation-restore", OWNER, method="post", values={"conversation_id": "conversation"}),
    Row("api-search", SIGNED_IN, method="post"),
    Row("openai-chat", SIGNED_IN, method="post"),
    Row("openai-models", SIGNED_IN),
    Row("openai-model", SIGNED_IN, values={"model": "model"}),
    # REST: documents
    Row("api-collections", SIGNED_IN),
    Row("api-collections", ADMIN, DUTY, "post", body={"slug": "new", "name": "New"}),
    Row("api-collection", READERS, values={"slug": "collection"}),
    Row("api-collection", MANAGERS, method="patch", values={"slug": "collection"}, body={"name": "x"}),
    Row("api-collection", ADMIN, method="delete", values={"slug": "collection"}, told=("curator",)),
    Row("api-collection-access", MANAGERS, values={"slug": "collection"}),
    Row("api-collection-grants", MANAGERS, values={"slug": "collection"}),
    Row("api-collection-grants", MANAGERS, method="post", values={"slug": "collection"}),
    Row("api-collection-grant", MANAGERS, method="delete", values={"slug": "collection", "grant": "grant"}),
    Row("api-personal-data-policy", ADMIN, DUTY, values={"slug": "collection"}),
    Row("api-personal-data-policy", ADMIN, DUTY, "put", values={"slug": "collection"}),
    *(Row(f"api-personal-data{part}", AUDIT, DUTY) for part in ("", "-export")),
    Row("api-personal-data-dictionary", ADMIN, DUTY),
    Row("api-personal-data-dictionary", ADMIN, DUTY, "put", body={"terms": "x"}),
    doc("api-document-reveal", method="post"),
    Row("api-documents", SIGNED_IN),
    Row("api-documents", MANAGERS, method="post", body={"collection": "secret", "file": "new.txt"}),
    doc("api-document"),
    doc("api-document", MANAGERS, "patch", body={"title": "x"}),
    doc("api-document", MANAGERS, "delete"),
    doc("api-document-versions", MANAGERS, "post", body={"file": "new.txt"}),
    *(doc(f"api-document-{verb}", MANAGERS, "post") for verb in ("retry", "cancel", "release")),
    doc("api-document-access", MANAGERS),
    doc("api-document-grants", MANAGERS),
    doc("api-document-grants", MANAGERS, "post"),
    doc("api-document-grant", MANAGERS, "delete", values={"grant": "grant"}),
    doc("api-document-file"),
    *(doc(f"api-page{part}", values=PAGE) for part in ("", "-picture", "-rectangles")),
    # the golden set
    Row("api-quality-questions", ADMIN, DUTY),
    Row("api-quality-questions", ADMIN, DUTY, "put", body={"text": "[]"}),
    Row("api-quality-runs", ADMIN, DUTY),
    Row("api-quality-runs", ADMIN, DUTY, "post"),
    Row("api-quality-run", ADMIN, DUTY, values={"run_id": "run"}),
    Row("api-quality-reference", ADMIN, DUTY, "post", values={"run_id": "run"}),
    Row("api-quality-policy", ADMIN, DUTY),
    Row("api-quality-policy", ADMIN, DUTY, "patch", body={"every": "day"}),
    # models: none is installed here and nothing lies in the drop folder
    *(Row(f"api-{name}", ADMIN, DUTY) for name in ("models", "active-model", "model-imports", "model-jobs")),
    *(Row("api-model", ADMIN, DUTY, method, {"name": "model"}) for method in ("get", "delete")),
    *(Row(f"api-model-{verb}", ADMIN, DUTY, "post", {"name": "model"}) for verb in ("verify", "evaluate")),
    Row("api-model-quantize", ADMIN, DUTY, "post", {"name": "model"}, body={"recipe": "nf4"}),
    Row("api-model-benchmark", ADMIN, DUTY, "post", {"name": "model"}, body={"tokens": "8"}),
    Row("api-active-model", ADMIN, DUTY, "put", body={"name": "absent"}),
    Row("api-active-model", ADMIN, DUTY, "delete"),
    Row("api-model-imports", ADMIN, DUTY, "post", body={"entry": "a", "name": "b", "licence": "MIT"}),
    Row("api-model-job", ADMIN, DUTY, values={"number": "job"}),
    Row("api-model-job-stop", ADMIN, DUTY, "post", values={"number": "job"}),
    *(Row(name, ADMIN, DUTY) for name in ("quality", "quality-questions")),
    Row("quality-questions", ADMIN, DUTY, "post", body={"text": "[]"}),
    *(Row(f"quality-{verb}", ADMIN, DUTY, "post", body={"every": "day"}) for verb in ("start", "schedule")),
    Row("quality-run", ADMIN, DUTY, values={"run_id": "run"}),
    Row("quality-reference", ADMIN, DUTY, "post", values={"run_id": "run"}),
    # pages: asking
    *(Row(name, SIGNED_IN) for name in ("ask", "conversations", "library", "search", "account", "tokens")),
    Row("ask", SIGNED_IN, method="post"),
    Row("preferences", ALL, method="post"),
    Row("account-export", SIGNED_IN, method="post"),
    Row("conversation", OWNER, values={"conversation_id": "conversation"}),
    *(
        Row(
            f"conversation-{verb}",
            OWNER,
            method="post",
            values={"conversation_id": "conversation"},
            body={"title": "x"},
        )
        for verb in ("rename", "delete", "restore")
    ),
    *(
        Row(f"answer-{verb}", OWNER, method="post", values={"answer_id": "answer"})
        for verb in ("stop", "again", "feedback")
    ),
    Row("token-revoke", OWNER, method="post", values={"token_id": "token"}),
    # pages: library
    Row("collection-new", ADMIN, DUTY),
    Row("collection", READERS, values={"slug": "collection"}),
    Row("collection-upload", MANAGERS, method="post", values={"slug": "collection"}),
    Row("collection-bulk", MANAGERS, method="post", values={"slug": "collection"}),
    Row("collection-settings", MANAGERS, values={"slug": "collection"}),
    Row("collection-delete", ADMIN, method="post", values={"slug": "collection"}, told=("curator",)),
    Row("collection-access", MANAGERS, values={"slug": "collection"}),
    Row("collection-access", MANAGERS, method="post", values={"slug": "collection"}),
    Row("collection-revoke", MANAGERS, method="post", values={"slug": "collection", "grant": "grant"}),
    doc("document"),
    *(doc(f"document-{part}", values=PAGE) for part in ("page", "picture")),
    doc("document-file"),
    doc("document-reveal", method="post"),
    *(doc(f"document-{part}", MANAGERS) for part in ("details", "version", "delete")),
    *(doc(f"document-{part}", MANAGERS, "post") for part in ("move", "retry", "cancel", "release", "unrestrict")),
    doc("document-access", MANAGERS),
    doc("document-access", MANAGERS, "post"),
    doc("document-revoke", MANAGERS, "post", values={"grant": "grant"}),
    # pages: duties
    Row("collection-privacy", ADMIN, DUTY, values={"slug": "collection"}),
    *(Row(name, AUDIT, DUTY) for name in ("personal-data", "personal-data-export")),
    Row("personal-data-dictionary", ADMIN, DUTY),
    *(Row(name, ADMIN, DUTY) for name in ("people", "person-new", "team-new", "models")),
    Row("models-job-stop", ADMIN, DUTY, "post", values={"number": "job"}),
    *(
        Row(f"models-{verb}", ADMIN, DUTY, "post")
        for verb in ("activate", "benchmark", "evaluate", "import", "quantize", "quotations", "remove", "verify")
    ),
    Row("health", ADMIN, DUTY),
    Row("person", ADMIN, DUTY, values={"user_id": "member_id"}),
    *(
        Row(f"person-{verb}", ADMIN, DUTY, "post", values={"user_id": "member_id"})
        for verb in ("password", "disable", "enable")
    ),
    Row("person-erase", ADMIN, DUTY, values={"user_id": "member_id"}),
    Row("team", ADMIN, DUTY, values={"slug": "team"}),
    Row("team-add", ADMIN, DUTY, "post", values={"slug": "team"}),
    Row("team-remove", ADMIN, DUTY, "post", values={"slug": "team", "user_id": "member_id"}),
    Row("audit", AUDIT, DUTY),
    Row("audit-verify", AUDIT, DUTY, "post"),
    Row("audit-export", AUDIT, DUTY),
    Row("audit-event", AUDIT, DUTY, values={"seq": "seq"}),
    Row("audit-open-ask", AUDIT, DUTY, "post", {"seq": "seq"}, body={"reason": "A complaint of somebody"}),
    *(Row(name, AUDIT, DUTY) for name in ("audit-sights", "audit-digest", "audit-permits")),
    Row("audit-permit-decide", AUDIT, DUTY, "post", {"permit_id": "permit"}),
    Row("audit-permit-open", AUDIT, DUTY, "post", {"permit_id": "permit"}),  # for the one who asked
    Row("audit-permit-prune", AUDIT, DUTY, "post", {"permit_id": "permit"}),  # for the one who asked
    *(Row(name, AUDIT, DUTY, method) for name in ("audit-queries", "audit-pruning") for method in ("get", "post")),
    Row("audit-query-remove", AUDIT, DUTY, "post", {"query_id": "query"}),  # the auditor's own
    Row("audit-replay", AUDIT, DUTY, values={"answer_id": "answer"}),
    Row("audit-replay", AUDIT, DUTY, "post", {"answer_id": "answer"}),
    Row("openings", SIGNED_IN),
    Row("holds", AUDIT, DUTY),
    Row("holds", AUDIT, DUTY, "post", body=HOLD),
    Row("hold-ask", ADMIN, DUTY, "post", {"hold_id": "hold"}, body={"reason": HOLD["reason"]}),
    Row("hold-lift", AUDIT, DUTY, "post", {"hold_id": "hold"}),
]


def names(resolver: URLResolver, namespace: str = "") -> Iterator[tuple[str | None, str]]:
    """(name, name with its namespace) of every address."""
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLPattern):
            yield pattern.name, f"{namespace}{pattern.name}"
        else:
            yield from names(pattern, f"{namespace}{pattern.namespace}:" if pattern.namespace else namespace)


def test_every_address_has_a_row():
    known = [name for name, _ in names(get_resolver())]
    assert None not in known
    assert len(known) == len(set(known))
    assert set(known) == {row.name for row in ROWS}


@pytest.fixture
def world(people, tmp_path) -> SimpleNamespace:
    boss = people.administrator
    member = people.employee
    team = Team.objects.create(slug="insiders", name="Insiders")
    Membership.objects.create(team=team, user=member)
    secret = services.create_collection(actor=boss, slug="secret", name="Secret")
    services.grant_collection(actor=boss, collection=secret, principal="team:insiders", access="reader")
    services.grant_collection(actor=boss, collection=secret, principal=f"user:{people.curator.email}", access="curator")
    document, _ = services.upload(
        actor=boss, collection=secret, file=io.BytesIO(_pdf()), filename="plan.pdf", title="Merger plan"
    )
    outcome = ingestion.ingest(document.latest.pk)
    assert isinstance(outcome, ingestion.Ready), outcome
    document.refresh_from_db()
    conversation = Conversation.objects.create(owner=member, title="Merger?")
    answer = Answer.objects.create(
        conversation=conversation,
        owner=member,
        question="When is the merger?",
        text="The merger closes in May. [1]",
        status=AnswerStatus.DONE,
        outcome=Outcome.ANSWERED,
    )
    chunk = document.chunks.first()
    Citation.objects.create(
        answer=answer,
        marker=1,
        document=document,
        version=document.current,
        chunk=chunk,
        title=document.title,
        page=1,
        quote="The merger closes in May.",
        char_start=0,
        char_end=25,
        verified=True,
    )
    token, _ = accounts.issue_token(actor=member, user=member, name="mine")
    event = audit.record(action="search.asked", content={"query": "merger"})
    permit = two_people.ask_to_open(actor=people.auditor, seq=event.seq, reason="A complaint of the works council")
    quality.replace(json.dumps({"id": "1", "question": "When?", "answerable": False, "as": member.email}))
    # Held is what nothing here erases: another collection.
    services.create_collection(actor=boss, slug="held", name="Held")
    hold = holds.place(actor=boss, kind="collection", target="held", reason=HOLD["reason"])
    audit.record(action="answer.shown", target=("answer", str(answer.pk)), detail={"outcome": "answered"})
    query = review.save(actor=people.auditor, name="Mine", query="outcome=failed")
    originals = tmp_path / "originals"
    shutil.copytree(settings.UPLOADS_DIR, originals)
    return SimpleNamespace(
        people={
            "outsider": people.outsider,
            "member": member,
            "curator": people.curator,
            "auditor": people.auditor,
            "administrator": boss,
        },
        member_id=member.pk,
        team="insiders",
        token=token.pk,
        collection="secret",
        document=document.pk,
        page=1,
        grant=Grant.objects.get(team=team).reference,
        conversation=conversation.pk,
        answer=answer.pk,
        model="assistant",
        seq=event.seq,
        permit=permit.pk,
        run=quality.begin(Why.HAND).pk,
        job=ModelJob.objects.create(
            name="a", recipe="nf4", target="a-nf4", max_loss=0.05, min_agreement=0.9, by="x"
        ).pk,
        hold=hold.pk,
        query=query.pk,
        originals=originals,
    )


def _pdf() -> bytes:
    from reportlab.pdfgen.canvas import Canvas

    buffer = io.BytesIO()
    canvas = Canvas(buffer, invariant=True)
    canvas.drawString(72, 720, "The merger closes in May.")
    canvas.save()
    return buffer.getvalue()


def call(row: Row, world: SimpleNamespace, user: User | None):
    """One request as this person; what it changed is undone. `left`: the actions that it put on record."""
    client = Client(raise_request_exception=True)
    if user is not None:
        client.force_login(user)
    full = dict(names(get_resolver()))[row.name]
    address = reverse(full, kwargs={key: getattr(world, name) for key, name in row.values.items()}) + row.query
    body = dict(row.body)
    if name := body.get("file"):
        body["file"] = SimpleUploadedFile(name, b"A new text about nothing in particular.")
    structured = (
        row.name.startswith(("api-", "openai-")) and row.method in {"post", "patch", "put"} and "file" not in body
    )
    options = {"content_type": "application/json"} if structured else {}
    if counted := [
        *redis_client().keys("denied:*"),
        *redis_client().keys("rate:denied:*"),
    ]:  # each call is the first of its minute
        redis_client().delete(*counted)
    before = AuditEvent.objects.values_list("seq", flat=True).last()
    undone = transaction.atomic()
    undone._from_testcase = True  # as Django's own TestCase does: durable blocks inside are allowed
    with undone:
        response = getattr(client, row.method)(address, body or None, **options)
        response.left = set(AuditEvent.objects.filter(seq__gt=before).values_list("action", flat=True))
        if getattr(response, "streaming", False):
            response.close()
        transaction.set_rollback(True)
    shutil.copytree(world.originals, settings.UPLOADS_DIR, dirs_exist_ok=True)
    return response


@pytest.mark.django_db(transaction=True)
def test_every_address_admits_exactly_whom_its_row_names_and_leaves_the_events_it_is_mapped_to(world):
    wrong = []
    for row in ROWS:
        mapped = coverage.ADDRESSES[dict(names(get_resolver()))[row.name]].methods[row.method.upper()]
        for persona in ALL:
            response = call(row, world, world.people.get(persona))
            status = response.status_code
            if persona in row.may:
                fine = (
                    (status < 500 or row.name == "readyz")
                    and status not in {401, 403}
                    and (status != 404 or _may_be_absent(row))
                )
            elif persona == "anonymous":
                fine = status in {401, 302}
            else:
                fine = status == (DUTY if persona in row.told else row.refused)
            if not fine:
                wrong.append(f"{row} as {persona}: {status}")
            if response.left - {"access.denied"} - set(mapped.actions):
                wrong.append(f"{row} as {persona}: {response.left}, mapped to {mapped.actions}")
            if ("access.denied" in response.left) != (status in {401, 403, 404} or _told_in_words(row, persona)):
                wrong.append(f"{row} as {persona}: {status}, {response.left}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.django_db(transaction=True)
def test_rights_are_asked_before_a_body_is_read(world):
    """Who may not act is told so, not what is wrong with the request."""
    wrong, rows = [], [row for row in ROWS if row.name.startswith("api-") and row.refused == DUTY and row.body]
    for row in rows:
        spoilt = replace(row, body={name: [] for name in row.body})
        for persona in sorted(set(SIGNED_IN) - set(row.may)):
            if (status := call(spoilt, world, world.people[persona]).status_code) != DUTY:
                wrong.append(f"{row} as {persona}: {status}")
        if (status := call(spoilt, world, world.people["administrator"]).status_code) != 400:
            wrong.append(f"{row} as administrator: {status}")
    assert rows
    assert not wrong, "\n".join(wrong)


def _told_in_words(row: Row, persona: str) -> bool:
    """Tried alone what takes two people: the one who asked for the permit."""
    return persona == "auditor" and row.name in {
        *("api-audit-permit-decision", "api-audit-permit-text", "audit-permit-decide", "audit-permit-open")
    }


def _may_be_absent(row: Row) -> bool:
    """A grant of the collection is none of the document's: those rows only prove who gets as far as looking."""
    return row.name in {
        *("api-document-grant", "document-revoke", "conversation-restore", "api-conversation-restore"),
        *(
            "document-move",
            "models-activate",
            "models-evaluate",
            "models-import",
            "models-remove",
            "models-verify",
        ),  # no target is named
        *(f"api-model{part}" for part in ("", "-verify", "-quantize", "-evaluate", "-benchmark", "-imports")),
        "api-active-model",
        *(
            "api-audit-permit-text",
            "api-audit-permit-prune",
            "audit-permit-open",
            "audit-permit-prune",
        ),  # for the one who asked, and of that kind
        *("api-audit-query", "audit-query-remove"),  # each reviewer has their own
    }


@pytest.mark.django_db(transaction=True)
def test_forbidden_and_absent_are_the_same_to_the_letter(world):
    """Status, body and headers but the request's own id."""
    absent = "00000000-0000-4000-8000-000000000000"
    elsewhere = SimpleNamespace(**{**vars(world), "document": absent, "conversation": absent, "answer": absent})
    elsewhere.collection, elsewhere.token = "nothing", 999999
    wrong = []
    for row in ROWS:
        if row.refused != HIDDEN or set(row.may) >= set(SIGNED_IN) or not row.values:
            continue
        for persona in sorted(set(SIGNED_IN) - set(row.may) - set(row.told)):
            user = world.people[persona]
            forbidden, missing = call(row, world, user), call(row, elsewhere, user)
            if (told := _seen(forbidden)) != (other := _seen(missing)):
                wrong.append(f"{row} as {persona}: {_difference(told, other)}")
    assert not wrong, "\n".join(wrong)


_OWN = {"X-Request-ID", "Content-Length"}  # a longer address makes a longer page


def _seen(response) -> tuple[int, str, dict[str, str]]:
    """What a client is told, without the address it asked for, the request's own number and the form's token."""
    body = response.content.decode().replace(response.request["PATH_INFO"], "<address>")
    body = body.replace(response["X-Request-ID"], "<request>")
    body = re.sub(r'(name="csrfmiddlewaretoken" value=)"[^"]*"', r"\1…", body)
    return response.status_code, body, {key: value for key, value in response.headers.items() if key not in _OWN}


def _difference(one: tuple[int, str, dict[str, str]], other: tuple[int, str, dict[str, str]]) -> str:
    if one[0] != other[0] or one[2] != other[2]:
        return f"{one[0]} {one[2]} / {other[0]} {other[2]}"
    pairs = zip(one[1].splitlines(), other[1].splitlines(), strict=False)
    return next((f"{a.strip()} / {b.strip()}" for a, b in pairs if a != b), "length")
