"""Personal data: how each collection shows it, the customer's own words, turning a pseudonym back.

Knows: rights, rows and the record. Does not know: how values are found or hidden (`documents.personal`). A change holds
from the next request on: whatever is shown is shown by the rules of that moment, and the replicas learn of it as of any
other change.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db import transaction
from django.utils import timezone

from assistant.accounts.models import User
from assistant.accounts.roles import Duty, Role, require
from assistant.audit import services as audit
from assistant.documents import index_events, personal, policy
from assistant.documents.models import (
    Chunk,
    Collection,
    Document,
    DocumentVersion,
    Page,
    PersonalDataDictionary,
    PersonalDataPolicy,
    Status,
)
from assistant.errors import Invalid, PermissionRefused
from assistant.guardrails import masking, pii, sanitize
from assistant.vault import ring

from .access import document_target
from .collections import target

MAX_TERMS = 5000
MIN_REASON = 10
_CLASS = re.compile(r"[A-Z][A-Z_]{1,19}")


def personal_data_policy(*, actor: User, collection: Collection) -> PersonalDataPolicy:
    """The collection's policy; without one, a row that shows everything (not saved). Raises PermissionRefused."""
    require(actor, Duty.MANAGE_PRIVACY)
    row = PersonalDataPolicy.objects.filter(collection=collection).first()
    shown = dict.fromkeys(Role.values, personal.Treatment.SHOW.value)
    return row or PersonalDataPolicy(collection=collection, treatments=shown)


def set_personal_data_policy(
    *,
    actor: User,
    collection: Collection,
    treatments: Mapping[str, str],
    types: Sequence[str] = (),
    disguise: bool = False,
    reveal: Sequence[str] = (),
) -> PersonalDataPolicy:
    """How personal data of the collection is shown from now on. `treatments` names every role; `types` are the classes
    concerned (none: all); `disguise`: language models read pseudonyms; `reveal`: roles that may turn them back.

    Raises PermissionRefused, Invalid, AuditUnavailable.
    """
    require(actor, Duty.MANAGE_PRIVACY)
    given = _checked(treatments, types, reveal)
    with transaction.atomic():
        place = policy.get_grantable_collection(actor, collection.slug)
        row, _ = PersonalDataPolicy.objects.select_for_update().get_or_create(
            collection=place, defaults={"treatments": dict.fromkeys(Role.values, personal.Treatment.SHOW.value)}
        )
        before = _facts(row)
        guarded, concerned = personal.hides(row), list(row.types)
        row.treatments, row.types, row.reveal = given
        row.disguise = disguise
        row.changed_at = timezone.now()
        row.save()
        ring.ensure([personal.key_of(place.pk)])
        if (guarded, concerned) != (personal.hides(row), row.types):
            _index_again(Document.objects.filter(collection=place).values_list("pk", flat=True))
        detail = {"before": before, "after": _facts(row)}
        audit.record(action="personal_data.policy_changed", target=target(place), detail=detail)
    return row


def personal_data_dictionary(*, actor: User) -> dict[str, list[str]]:
    """The customer's own words by class. Raises PermissionRefused."""
    require(actor, Duty.MANAGE_PRIVACY)
    row = PersonalDataDictionary.objects.first()
    return dict(row.terms) if row else {}


def personal_data_classes() -> list[str]:
    """Every class that is looked for: those built in, then the customer's own."""
    row = PersonalDataDictionary.objects.first()
    return [*pii.TYPES, *sorted(set(row.terms if row else {}) - set(pii.TYPES))]


def set_personal_data_dictionary(*, actor: User, terms: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """Replace the customer's own words ({"PROJECT": ["Nightingale"]}): whole words, any case and width. The map of
    personal data is counted anew in the background. Raises PermissionRefused, Invalid, AuditUnavailable."""
    require(actor, Duty.MANAGE_PRIVACY)
    cleaned = _terms(terms)
    with transaction.atomic():
        row = PersonalDataDictionary.objects.select_for_update().first() or PersonalDataDictionary()
        row.terms, row.changed_at = cleaned, timezone.now()
        row.save()
        DocumentVersion.objects.filter(current_of__isnull=False).update(personal_data=None)
        guarded = Document.objects.filter(collection__in=personal.guarded())
        _index_again(guarded.values_list("pk", flat=True))
        counts = {name: len(words) for name, words in cleaned.items()}
        audit.record(action="personal_data.dictionary_changed", detail={"terms": counts})
    return cleaned


def reveal_pseudonym(*, actor: User, document: Document, pseudonym: str, reason: str) -> str:
    """The value that a pseudonym stands for in this document. The reason is on record before the value is looked for.

    Raises NotFound (a document the person cannot open), PermissionRefused (the policy does not let the role reveal),
    Invalid (no reason; no such pseudonym in the document), AuditUnavailable.
    """
    row = policy.get_visible_document(actor, document.pk)
    rule = personal.rules(actor).of(row.collection_id)
    if not may_reveal(rule):
        raise PermissionRefused("The policy of this collection does not let your role reveal values.")
    why = sanitize.title(reason, limit=500)
    if len(why) < MIN_REASON:
        message = "Say in a few words why the value is needed."
        raise Invalid(message, fields={"reason": [message]})
    name = pseudonym.strip()
    if not masking.PLACEHOLDER.fullmatch(name):
        raise _unknown()
    facts: dict[str, Any] = {"pseudonym": name}
    audit.intent(action="personal_data.revealed", target=document_target(row.pk), detail=facts, content={"reason": why})
    found = personal.originals(_texts(actor, row), rule, {name}).get(name)
    outcome = "success" if found is not None else "failed"
    audit.record(action="personal_data.revealed", outcome=outcome, target=document_target(row.pk), detail=facts)
    if found is None:
        raise _unknown()
    return found


def may_reveal(rule: personal.Rule) -> bool:
    """Only those see pseudonyms that could be turned back."""
    return rule.reveals and rule.treatment == personal.Treatment.PSEUDONYMISE


def _texts(actor: User, row: Document) -> Iterable[str]:
    """Title, then pages of what the person may open: the version that answers, then the others."""
    versions = row.versions.all()
    if not policy.managed_documents(actor).filter(pk=row.pk).exists():
        versions = versions.filter(status=Status.READY)
    yield str(Document.objects.values_list("title", flat=True).get(pk=row.pk))
    for version in sorted(versions, key=lambda version: version.pk != row.current_id):
        yield from Page.objects.filter(version=version).values_list("text", flat=True)


def _unknown() -> Invalid:
    message = "This pseudonym does not stand in this document."
    return Invalid(message, fields={"pseudonym": [message]})


def _index_again(documents: Iterable[Any]) -> None:
    """What these documents are found by changes: replicas read them again, and vectors are made anew (`tasks.tend`)."""
    keys = list(documents)
    Chunk.objects.filter(document__in=keys, veiled=True).update(veiled=False)
    index_events.append(keys)


def _facts(row: PersonalDataPolicy) -> dict[str, Any]:
    return {"treatments": row.treatments, "types": row.types, "disguise": row.disguise, "reveal": row.reveal}


def _checked(
    treatments: Mapping[str, str], types: Sequence[str], reveal: Sequence[str]
) -> tuple[dict[str, str], list[str], list[str]]:
    wrong: dict[str, list[str]] = {}
    known = set(personal.Treatment)
    if set(treatments) != set(Role.values) or not set(treatments.values()) <= known:
        wrong["treatments"] = [f"Name one of {', '.join(personal.Treatment)} for each of {', '.join(Role.values)}."]
    if unknown := sorted(set(types) - set(personal_data_classes())):
        wrong["types"] = [f"Unknown class: {sanitize.title(unknown[0], limit=40)}."]
    if not set(reveal) <= set(Role.values):
        wrong["reveal"] = [f"Use some of {', '.join(Role.values)}."]
    if wrong:
        raise Invalid("The policy cannot be used.", fields=wrong)
    return (
        {role: str(treatments[role]) for role in Role.values},
        sorted(set(types)),
        [role for role in Role.values if role in reveal],
    )


def _terms(given: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    cleaned: dict[str, list[str]] = {}
    for name, words in given.items():
        if not _CLASS.fullmatch(name):
            message = "Name a class in capital letters and underscores, 2 to 20 of them."
            raise Invalid("The dictionary cannot be used.", fields={"terms": [message]})
        kept = sorted({sanitize.title(word, limit=200) for word in words} - {""})
        if any(len(word) < 2 for word in kept):
            message = "A term has at least two characters."
            raise Invalid("The dictionary cannot be used.", fields={"terms": [message]})
        if kept:
            cleaned[name] = kept
    if sum(map(len, cleaned.values())) > MAX_TERMS:
        message = f"At most {MAX_TERMS} terms."
        raise Invalid("The dictionary cannot be used.", fields={"terms": [message]})
    return cleaned
