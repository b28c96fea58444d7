"""Originals from before the vault are found by the database and sealed once."""

import pytest

from assistant.documents import sealing, storage
from assistant.documents.models import DocumentVersion

from .conftest import POLICY

pytestmark = pytest.mark.django_db


def test_only_plain_originals_are_found(world):
    version = world.upload(world.handbook, "travel.md", POLICY).latest
    assert not sealing.unsealed().exists()
    DocumentVersion.objects.filter(pk=version.pk).update(file_key=b"")
    assert list(sealing.unsealed()) == [version]


def test_a_plain_original_is_sealed_and_reads_the_same(world):
    version = world.upload(world.handbook, "travel.md", POLICY).latest
    DocumentVersion.objects.filter(pk=version.pk).update(file_key=b"")
    content = POLICY if isinstance(POLICY, bytes) else POLICY.encode()
    storage.path_of(version.stored).write_bytes(content)
    assert sealing.seal_originals() == (1, 0)
    assert sealing.seal_originals() == (0, 0)
    version.refresh_from_db()
    assert content not in storage.path_of(version.stored).read_bytes()
    with storage.open_original(version.stored, version.file_key) as file:
        assert file.read() == content
