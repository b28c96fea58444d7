"""Grants: who may read or curate, and why. Knows: scopes and principals. Does not know: indexes or content.

A collection's grants are rows of its own scope and change in place. A restricted document lies in a scope shared by all
documents of the collection restricted to exactly the same principals; changing its grants moves it to another such
scope, which is an index event, since the scope is the index's partition. Nothing is embedded again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q

from assistant.accounts.models import Membership, Team, User
from assistant.accounts.roles import Duty, has_duty
from assistant.audit import services as audit
from assistant.documents import index_events, policy
from assistant.documents.models import Access, Collection, Document, Grant, Scope
from assistant.errors import Invalid, NotFound

from .collections import target as collection_target


@dataclass(frozen=True, slots=True, order=True)
class Principal:
    """A person, a team, or everyone: exactly one."""

    user_id: int = 0
    team_id: int = 0
    everyone: bool = False

    @classmethod
    def parse(cls, text: str) -> Principal:
        """ "user:EMAIL", "team:SLUG" (or its name, if one team has it) or "everyone". Raises Invalid, NotFound."""
        kind, _, name = text.strip().partition(":")
        if kind == "everyone" and not name:
            return cls(everyone=True)
        if kind == "user" and (user := User.objects.filter(email__iexact=name.replace("\x00", "")).first()):
            return cls(user_id=user.pk)
        if kind == "team" and (team := _team(name.replace("\x00", "").strip())):
            return cls(team_id=team.pk)
        if kind in ("user", "team") and name:
            raise NotFound("There is nobody of that name to give access to.", code="unknown_principal")
        message = "Use “user:EMAIL”, “team:SLUG” or “everyone”."
        raise Invalid("Nobody can be given access by that name.", fields={"principal": [message]})

    @classmethod
    def of(cls, grant: Grant) -> Principal:
        return cls(user_id=grant.user_id or 0, team_id=grant.team_id or 0, everyone=grant.everyone)

    @property
    def key(self) -> str:
        """By number, not by name: a person keeps their grants when their address changes."""
        return "everyone" if self.everyone else f"team:{self.team_id}" if self.team_id else f"user:{self.user_id}"

    @property
    def columns(self) -> dict[str, int | bool | None]:
        return {"user_id": self.user_id or None, "team_id": self.team_id or None, "everyone": self.everyone}


Principals = Mapping[Principal, str]  # principal -> access


@dataclass(frozen=True, slots=True)
class Reason:
    """Why somebody can open something. `kind`: "user", "team", "everyone" (reads) or "manages" (library only). `called`
    is what people call a team; `name` what programs do."""

    kind: str
    name: str
    access: str
    called: str = ""


@dataclass(frozen=True, slots=True)
class AccessLine:
    person: User
    reasons: tuple[Reason, ...]

    @property
    def reads(self) -> bool:
        """Whether search and answers may use it for this person; a mere manager sees it in the library only."""
        return any(reason.kind != "manages" for reason in self.reasons)


def grant_collection(*, actor: User, collection: Collection, principal: str, access: str) -> tuple[Grant, bool]:
    """Give a principal access to the collection's own scope; (grant, created). Again: the access is changed."""
    level = _access(access)
    with transaction.atomic():
        row = policy.get_grantable_collection(actor, collection.slug)
        whom = Principal.parse(principal)
        scope = own_scope(row)
        try:
            with transaction.atomic():
                grant, created = Grant.objects.update_or_create(
                    scope=scope,
                    **whom.columns,
                    defaults={"access": level},
                    create_defaults={"access": level, "created_by": actor},
                )
        except IntegrityError:  # two people granted the same at once; the other's row stands
            grant, created = Grant.objects.get(scope=scope, **whom.columns), False
        detail = {"principal": whom.key, "access": level, "scope": scope.pk}
        audit.record(action="grant.added", target=collection_target(row), detail=detail)
    return grant, created


def revoke_collection(*, actor: User, collection: Collection, grant_id: str | int) -> None:
    """Take a grant away; effective for the next search. Raises NotFound."""
    with transaction.atomic():
        row = policy.get_grantable_collection(actor, collection.slug)
        scope = own_scope(row)
        grant = find_grant(scope, grant_id)
        detail = {"principal": Principal.of(grant).key, "access": grant.access, "scope": scope.pk}
        grant.delete()
        audit.record(action="grant.removed", target=collection_target(row), detail=detail)


def collection_grants(*, actor: User, collection: Collection) -> list[Grant]:
    row = policy.get_grantable_collection(actor, collection.slug)
    return list(own_scope(row).grants.select_related("user", "team"))


def grant_document(*, actor: User, document: Document, principal: str, access: str) -> tuple[Grant, bool]:
    """Restrict the document to the principal, or add one to those it is restricted to; (grant, created)."""
    level = _access(access)
    with transaction.atomic():
        row = policy.lock_managed_document(actor, document.pk)
        whom = Principal.parse(principal)
        was_restricted = row.restricted
        before = principals(row.scope) if was_restricted else {}
        move_to_scope(row, restricted_scope(row.collection, {**before, whom: level}, actor))
        detail = {"principal": whom.key, "access": level, "scope": row.scope_id}
        action = "grant.added" if was_restricted else "document.restricted"
        audit.record(action=action, target=document_target(row.pk), detail=detail)
    return Grant.objects.select_related("user", "team").get(scope=row.scope_id, **whom.columns), whom not in before


def revoke_document(*, actor: User, document: Document, grant_id: str | int) -> None:
    """Take one principal away. Without any left the document stays restricted, to nobody."""
    with transaction.atomic():
        row = policy.lock_managed_document(actor, document.pk)
        if not row.restricted:
            raise NotFound
        gone = Principal.of(find_grant(row.scope, grant_id))
        left = {principal: level for principal, level in principals(row.scope).items() if principal != gone}
        move_to_scope(row, restricted_scope(row.collection, left, actor))
        detail = {"principal": gone.key, "scope": row.scope_id}
        audit.record(action="grant.removed", target=document_target(row.pk), detail=detail)


def unrestrict_document(*, actor: User, document: Document) -> Document:
    """Lift the restriction: the collection's grants apply again."""
    with transaction.atomic():
        row = policy.lock_managed_document(actor, document.pk)
        if row.restricted:
            move_to_scope(row, own_scope(row.collection))
            detail = {"scope": row.scope_id}
            audit.record(action="document.unrestricted", target=document_target(row.pk), detail=detail)
    return row


def document_grants(*, actor: User, document: Document) -> list[Grant]:
    """The document's own grants; none while it is not restricted."""
    row = policy.get_managed_document(actor, document.pk)
    return list(row.scope.grants.select_related("user", "team")) if row.restricted else []


def access_report(
    *, actor: User, document: Document | None = None, collection: Collection | None = None
) -> list[AccessLine]:
    """Every person who can open the document (or the collection's unrestricted documents), and each reason why."""
    if document is not None:
        row = policy.get_managed_document(actor, document.pk)
        scope, home = row.scope, row.collection
    elif collection is not None:
        home = policy.get_grantable_collection(actor, collection.slug)
        scope = own_scope(home)
    else:
        raise ValueError("name a document or a collection")
    direct = list(scope.grants.select_related("user", "team"))
    home_grants = direct if not scope.restricted else list(own_scope(home).grants.select_related("user", "team"))
    teams: dict[int, set[int]] = {}
    team_ids = [grant.team_id for grant in (*direct, *home_grants) if grant.team_id]
    for team_id, user_id in Membership.objects.filter(team__in=team_ids).values_list("team_id", "user_id"):
        teams.setdefault(team_id, set()).add(user_id)

    def applies(grant: Grant, person: User) -> bool:
        return grant.everyone or grant.user_id == person.pk or person.pk in teams.get(grant.team_id or 0, ())

    lines = []
    for person in User.objects.filter(is_active=True):
        if not has_duty(person, Duty.ASK):
            continue
        reasons = [_reason(grant) for grant in direct if applies(grant, person)]
        curates = has_duty(person, Duty.CURATE_GRANTED) and any(
            grant.access == Access.CURATOR and applies(grant, person) for grant in home_grants
        )
        if has_duty(person, Duty.MANAGE_DOCUMENTS):
            reasons.append(Reason("manages", person.role, Access.CURATOR.value))
        elif curates and scope.restricted:
            reasons.append(Reason("manages", home.slug, Access.CURATOR.value))
        if reasons:
            lines.append(AccessLine(person, tuple(reasons)))
    return lines


def own_scope(collection: Collection) -> Scope:
    return Scope.objects.get(collection=collection, key="")


def principals(scope: Scope) -> dict[Principal, str]:
    return {Principal.of(grant): grant.access for grant in scope.grants.all()}


def restricted_scope(collection: Collection, wanted: Principals, actor: User) -> Scope:
    """Find or create the collection's scope for exactly these principals. Inside a transaction."""
    lines = sorted(f"{principal.key}={level}" for principal, level in wanted.items())
    key = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    Collection.objects.select_for_update().get(pk=collection.pk)  # one finder at a time
    scope, created = Scope.objects.get_or_create(collection=collection, key=key)
    if created:
        Grant.objects.bulk_create(
            Grant(scope=scope, access=level, created_by=actor, **principal.columns)
            for principal, level in wanted.items()
        )
    return scope


def move_to_scope(document: Document, scope: Scope) -> None:
    """Change the document's partition and tell the replicas; drop the scope it leaves when that was restricted and is
    now empty. Inside a transaction, the document locked."""
    left = document.scope
    if left.pk == scope.pk:
        return
    # Nobody finds the scope that is left, to put a document into it, while it is being dropped.
    list(Collection.objects.select_for_update().filter(pk__in=[left.collection_id, scope.collection_id]).order_by("pk"))
    document.scope = scope
    document.collection_id = scope.collection_id
    document.save(update_fields=["scope", "collection", "updated_at"])
    drop_empty_scopes([left.pk])
    index_events.append([document.pk])


def drop_empty_scopes(scope_ids: Iterable[int] | None = None) -> int:
    """Remove restricted scopes without documents (all of them, or those named); how many went."""
    empty = Scope.objects.exclude(key="").filter(documents__isnull=True)
    if scope_ids is not None:
        empty = empty.filter(pk__in=list(scope_ids))
    gone = list(empty.values_list("pk", flat=True))
    Scope.objects.filter(pk__in=gone).delete()
    return len(gone)


def find_grant(scope: Scope, grant_id: str | int) -> Grant:
    """By reference ("user-3", "team-5", "everyone") or by row number, within the scope. Raises NotFound."""
    kind, _, number = str(grant_id).rpartition("-")
    wanted = Q(pk__in=[])
    if number == "everyone" and not kind:
        wanted = Q(everyone=True)
    elif number.isascii() and number.isdigit() and len(number) < 19:
        column = {"": "pk", "user": "user", "team": "team"}.get(kind)
        wanted = Q(**{column: int(number)}) if column else wanted
    grant = scope.grants.filter(wanted).first()
    if grant is None:
        raise NotFound
    return grant


def document_target(document_id: UUID) -> tuple[str, str]:
    """How the audit log names a document."""
    return "document", str(document_id)


def _team(name: str) -> Team | None:
    """By short name, else by what people call it, if that names one team."""
    if team := Team.objects.filter(slug=name).first():
        return team
    called = list(Team.objects.filter(name__iexact=name)[:2])
    return called[0] if len(called) == 1 else None


def _access(text: str) -> str:
    if text not in Access.values:
        raise Invalid("The access is not known.", fields={"access": ["Use “reader” or “curator”."]})
    return text


def _reason(grant: Grant) -> Reason:
    if grant.everyone:
        return Reason("everyone", "everyone", grant.access)
    if grant.team:
        return Reason("team", grant.team.slug, grant.access, grant.team.name)
    return Reason("user", grant.user.email if grant.user else "", grant.access)
