"""Loads the demo company through the same services that people use. Knows: `assistant.demo`'s manifest and the domain.

Safe to interrupt: a second run continues where the first one stopped.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.db import transaction

from assistant import observability
from assistant.accounts import services as accounts
from assistant.accounts.models import Team, User
from assistant.demo import company
from assistant.demo.build import build
from assistant.documents import services as documents
from assistant.documents.models import Collection, Document, DocumentVersion, Status
from assistant.quality import services as quality

QUESTIONS = Path(settings.BASE_DIR) / "assistant" / "demo" / "questions.jsonl"
Say = Callable[[str], None]


def _marker() -> Path:
    return Path(settings.DATA_DIR) / "demo-loaded"


def wanted() -> bool:
    """First run with DEMO on: the demo is not complete, and nobody but demo people is here."""
    if not settings.DEMO or _marker().exists():
        return False
    return not User.objects.exclude(email__in=[person.email for person in company.PEOPLE]).exists()


def load(say: Say) -> dict[str, str]:
    """Create people, teams, collections and grants, upload every document. Returns {email: password} of people who
    never signed in; the passwords are random, and only their hashes are kept."""
    with observability.context(actor="system", origin="command:up"):
        passwords = _people()
    administrator = _administrator()
    with (
        observability.context(actor=f"user:{administrator.pk}", role=administrator.role, origin="command:up"),
        tempfile.TemporaryDirectory(prefix="demo-") as folder,
    ):
        say("Writing the demo company's documents …")
        manifest = build(Path(folder))
        _teams(administrator)
        _collections(administrator)
        known = set(DocumentVersion.objects.values_list("document__collection__slug", "filename"))
        pending = [spec for spec in manifest.documents if (spec.collection, spec.filename) not in known]
        for spec in pending:
            _upload(administrator, Path(folder), spec)
        say(f"Uploaded {len(pending)} documents.")
        if quality.golden() is None:
            quality.write(actor=administrator, text=QUESTIONS.read_text(encoding="utf-8"))
    _marker().touch(mode=0o600)
    return passwords


def remaining() -> tuple[int, int]:
    """(documents still being read, all documents)."""
    waiting = DocumentVersion.objects.filter(status__in=[Status.QUEUED, Status.PROCESSING]).count()
    return waiting, DocumentVersion.objects.count()


def _administrator() -> User:
    return User.objects.get(email=next(person.email for person in company.PEOPLE if person.role == "administrator"))


def _people() -> dict[str, str]:
    passwords: dict[str, str] = {}
    for person in company.PEOPLE:
        user = User.objects.filter(email=person.email).first()
        if user is None:
            user = accounts.create_user(actor=None, email=person.email, name=person.name, role=person.role)
        if user.last_login is None:
            passwords[person.email] = accounts.generate_password()
            accounts.set_password(actor=None, user=user, password=passwords[person.email])
    return passwords


def _teams(administrator: User) -> None:
    for slug in sorted({slug for person in company.PEOPLE for slug in person.teams}):
        team = Team.objects.filter(slug=slug).first()
        if team is None:
            name = slug.upper() if len(slug) == 2 else slug.title()
            team = accounts.create_team(actor=administrator, slug=slug, name=name)
        for person in company.PEOPLE:
            if slug in person.teams:
                accounts.add_member(actor=administrator, team=team, user=User.objects.get(email=person.email))


def _collections(administrator: User) -> None:
    for spec in company.COLLECTIONS:
        collection = Collection.objects.filter(slug=spec.slug).first()
        if collection is None:
            collection = documents.create_collection(
                actor=administrator, slug=spec.slug, name=spec.name, description=spec.description
            )
        for principal, access in spec.grants:
            documents.grant_collection(actor=administrator, collection=collection, principal=principal, access=access)


def _upload(administrator: User, folder: Path, spec: company.DocumentSpec) -> None:
    """A document that supersedes another becomes its next version, so that only the newer one answers. A restricted one
    is restricted in the transaction that makes it: nobody else sees it in between."""
    collection = Collection.objects.get(slug=spec.collection)
    names = collection.documents.values_list("pk", "versions__filename")
    older = Document.objects.filter(pk__in=[pk for pk, name in names if name == spec.replaces]).first()
    with (folder / spec.filename).open("rb") as file, transaction.atomic():
        if older is not None:
            documents.replace(actor=administrator, document=older, file=file, filename=spec.filename)
            documents.update_document(actor=administrator, document=older, title=spec.title)
            return
        document, _ = documents.upload(
            actor=administrator, collection=collection, file=file, filename=spec.filename, title=spec.title
        )
        for principal, access in spec.restricted_to:
            documents.grant_document(actor=administrator, document=document, principal=principal, access=access)
