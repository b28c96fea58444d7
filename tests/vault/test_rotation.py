"""Rotation wraps anew and seals nothing anew: what was sealed opens as before, stale copies of keys open nothing."""

import pytest
from django.conf import settings as live

from assistant.vault import envelope, master, ring, services
from assistant.vault.errors import MasterKeyMissing
from assistant.vault.models import WrappedKey
from assistant.vault.ring import Ref

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sealed(settings, tmp_path):
    settings.SECRETS_DIR = tmp_path
    (tmp_path / "vault_key").write_text("the first secret")
    refs = [Ref("document", str(at), root=("collection", str(at % 2))) for at in range(6)]
    values = [ring.seal(f"text {at}".encode(), [ref], "p") for at, ref in enumerate(refs)]
    ring.forget()
    return values


def opened(values):
    ring.forget()
    return [ring.open_sealed(value, "p") for value in values]


TEXTS = [f"text {at}".encode() for at in range(6)]


def test_generated_master_key_is_replaced_and_the_old_one_destroyed(sealed):
    stale = {row.pk: bytes(row.wrapped) for row in WrappedKey.objects.all()}
    old = envelope.master("the first secret")
    assert services.rotate() == (2, 6)
    assert opened(sealed) == TEXTS
    assert not (live.SECRETS_DIR / "vault_key_previous").exists()
    assert "first" not in (live.SECRETS_DIR / "vault_key").read_text()
    for root in WrappedKey.objects.filter(parent=None):
        assert envelope.names(bytes(root.wrapped)) == [master.current().id]
        before = envelope.DataKey(root.pk, envelope.unwrap(stale[root.pk], name=root.pk, under=old))
        for child in root.children.all():  # whoever kept the old root's secret cannot open what is wrapped now
            with pytest.raises(envelope.Damaged):
                envelope.unwrap(bytes(child.wrapped), name=child.pk, under=before)


def test_interrupted_rotation_opens_everything_and_is_finished_by_the_next(sealed, monkeypatch):
    renew, seen = services._renew, []

    def once(root, under):
        if seen:
            raise KeyboardInterrupt
        seen.append(root.pk)
        return renew(root, under)

    with monkeypatch.context() as patch:
        patch.setattr(services, "_renew", once)
        with pytest.raises(KeyboardInterrupt):
            services.rotate()
    assert opened(sealed) == TEXTS
    assert (live.SECRETS_DIR / "vault_key_previous").read_text() == "the first secret"
    assert services.rotate() == (1, 3)
    assert opened(sealed) == TEXTS


def test_master_key_from_the_environment(sealed, settings):
    (settings.SECRETS_DIR / "vault_key").unlink()
    settings.VAULT_KEY, settings.VAULT_KEY_PREVIOUS = "the second secret", "the first secret"
    assert opened(sealed) == TEXTS
    assert services.rotate() == (2, 6)
    settings.VAULT_KEY_PREVIOUS = ""
    assert opened(sealed) == TEXTS
    settings.VAULT_KEY = "a third secret"
    with pytest.raises(MasterKeyMissing):
        opened(sealed)


def test_destroyed_keys_stay_destroyed(sealed):
    ring.destroy("document", ["3"])
    assert services.rotate() == (2, 5)
    assert opened(sealed) == [*TEXTS[:3], None, *TEXTS[4:]]


def test_exported_keys_open_a_restored_database(sealed):
    rows = list(services.export())
    assert b"text" not in str(rows).encode()
    WrappedKey.objects.all().delete()
    assert opened(sealed) == [None] * 6
    assert services.load(rows) == 8
    assert opened(sealed) == TEXTS
    with pytest.raises(ValueError, match="keys already"):
        services.load(rows)
