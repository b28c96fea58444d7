"""Loads the demo company through the same services that people use. Knows: `assistant.demo`'s manifest and the domain.

Safe to interrupt: a second run continues where the first one stopped.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path

from django.conf import settings

from assistant import demo, observability
from assistant.accounts import services as accounts
from assistant.accounts.models import Team, User
from assistant.documents import services as documents
from assistant.documents.models import Collection, DocumentVersion, Status

Say = Callable[[str], None]


def _marker() -> Path:
    return Path(settings.DATA_DIR) / "demo-loaded"


def wanted() -> bool:
    """First run with DEMO on: the demo is not complete, and nobody but demo people is here."""
    if not settings.DEMO or _marker().exists():
        return False
    return not User.objects.exclude(email__in=[person.email for person in demo.PEOPLE]).exists()


def load(say: Say) -> dict[str, str]:
    """Create people, teams, collections and grants, upload every document. Returns {email: password} of people who
    never signed in; the passwords are random, and only their hashes are kept."""
    passwords = _people()
    administrator = User.objects.get(email=next(p.email for p in demo.PEOPLE if p.role == "administrator"))
    with (
        observability.context(actor=f"user:{administrator.pk}", role=administrator.role, origin="command:up"),
        tempfile.TemporaryDirectory(prefix="demo-") as folder,
    ):
        say("Writing the demo company's documents …")
        manifest = demo.build(Path(folder))
        _collections(administrator)
        known = set(DocumentVersion.objects.values_list("document__collection__slug", "filename"))
        pending = [spec for spec in manifest.documents if (spec.collection, spec.filename) not in known]
        for spec in pending:
            _upload(administrator, Path(folder), spec)
        say(f"Uploaded {len(pending)} documents.")
    _marker().touch(mode=0o600)
    return passwords


def remaining() -> tuple[int, int]:
    """(documents still being read, all documents)."""
    waiting = DocumentVersion.objects.filter(status__in=[Status.QUEUED, Status.PROCESSING]).count()
    return waiting, DocumentVersion.objects.count()


def _people() -> dict[str, str]:
    passwords: dict[str, str] = {}
    with observability.context(actor="system", origin="command:up"):
        for person in demo.PEOPLE:
            user = User.objects.filter(email=person.email).first()
            if user is None:
                user = accounts.create_user(actor=None, email=person.email, name=person.name, role=person.role)
            if user.last_login is None:
                passwords[person.email] = secrets.token_urlsafe(12)
                user.set_password(passwords[person.email])
                user.save(update_fields=["password"])
        administrator = User.objects.get(email=next(p.email for p in demo.PEOPLE if p.role == "administrator"))
        for slug, name in demo.TEAMS:
            team = Team.objects.filter(slug=slug).first()
            if team is None:
                team = accounts.create_team(actor=administrator, slug=slug, name=name)
            for person in demo.PEOPLE:
                if slug in person.teams:
                    accounts.add_member(actor=administrator, team=team, user=User.objects.get(email=person.email))
    return passwords


def _collections(administrator: User) -> None:
    for spec in demo.COLLECTIONS:
        collection = Collection.objects.filter(slug=spec.slug).first()
        if collection is None:
            collection = documents.create_collection(
                actor=administrator, slug=spec.slug, name=spec.name, description=spec.description
            )
        for principal, access in spec.grants:
            documents.grant_collection(actor=administrator, collection=collection, principal=principal, access=access)


def _upload(administrator: User, folder: Path, spec: demo.DocumentSpec) -> None:
    collection = Collection.objects.get(slug=spec.collection)
    with (folder / spec.filename).open("rb") as file:
        document, _ = documents.upload(
            actor=administrator, collection=collection, file=file, filename=spec.filename, title=spec.title
        )
    for principal in spec.restricted_to:
        documents.grant_document(actor=administrator, document=document, principal=principal, access="reader")
