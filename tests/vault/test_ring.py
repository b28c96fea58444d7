"""Keys as rows: who may make one, what a rollback forgets, what destruction shreds."""

import time
from types import SimpleNamespace

import pytest
from django.db import transaction

from assistant.vault import envelope, master, ring
from assistant.vault.errors import KeyDestroyed, MasterKeyMissing
from assistant.vault.models import WrappedKey
from assistant.vault.ring import Ref

pytestmark = pytest.mark.django_db
ROOT = ("collection", "1")
MAKING = Ref("document", "a", root=ROOT)


def test_only_the_maker_makes_a_key():
    with pytest.raises(KeyDestroyed):
        ring.seal(b"x", [Ref("document", "a")], "p")
    sealed = ring.seal(b"x", [MAKING], "p")
    assert ring.open_sealed(ring.seal(b"y", [Ref("document", "a")], "p"), "p") == b"y"
    ring.forget()
    assert ring.open_sealed(sealed, "p") == b"x"
    assert set(WrappedKey.objects.values_list("kind", "owner", "parent__kind")) == {
        ("collection", "1", None),
        ("document", "a", "collection"),
    }


@pytest.mark.django_db(transaction=True)
def test_a_key_that_was_rolled_back_is_forgotten():
    with transaction.atomic():
        lost = ring.seal(b"x", [MAKING], "p")
        assert ring.open_sealed(lost, "p") == b"x"
        transaction.set_rollback(True)
    assert ring.open_sealed(lost, "p") is None
    with pytest.raises(KeyDestroyed):
        ring.seal(b"x", [Ref("document", "a")], "p")
    with transaction.atomic():
        with transaction.atomic():
            ring.seal(b"x", [MAKING], "p")
            transaction.set_rollback(True)
        sealed = ring.seal(b"y", [MAKING], "p")
    ring.forget()
    assert ring.open_sealed(sealed, "p") == b"y"


@pytest.mark.django_db(transaction=True)
def test_destroying_a_root_shreds_everything_under_it_and_nothing_else():
    other = Ref("document", "b", root=("collection", "2"))
    gone, both = ring.seal(b"x", [MAKING], "p"), ring.seal(b"z", [other, MAKING], "p")
    stays = ring.seal(b"y", [other], "p")
    assert ring.destroy("collection", ["1"]) == 2
    for _ in range(2):
        assert ring.open_sealed(gone, "p") is None
        assert ring.open_sealed(both, "p") is None
        assert ring.open_sealed(stays, "p") == b"y"
        ring.forget()


@pytest.mark.django_db(transaction=True)
def test_a_leaf_hung_under_another_root_lives_and_dies_with_that_one():
    sealed = ring.seal(b"x", [MAKING], "p")
    ring.rehang("document", "a", ("collection", "2"))
    ring.destroy("collection", ["1"])
    ring.forget()
    assert ring.open_sealed(sealed, "p") == b"x"
    ring.destroy("collection", ["2"])
    assert ring.open_sealed(sealed, "p") is None


@pytest.mark.django_db(transaction=True)
def test_another_master_key_is_a_loud_fault_and_not_an_empty_text(settings):
    sealed = ring.seal(b"x", [MAKING], "p")
    ring.forget()
    settings.VAULT_KEY, settings.SECRETS_DIR = "another", settings.DATA_DIR / "nowhere"
    with pytest.raises(MasterKeyMissing, match="VAULT_KEY_PREVIOUS"):
        ring.open_sealed(sealed, "p")
    settings.VAULT_KEY = ""
    with pytest.raises(MasterKeyMissing, match="VAULT_KEY"):
        master.current()


@pytest.mark.django_db(transaction=True)
def test_many_keys_come_in_few_queries(django_assert_max_num_queries):
    sealed = [ring.seal(b"x", [Ref("document", str(at), root=ROOT)], "p") for at in range(30)]
    ring.forget()
    with django_assert_max_num_queries(2):
        ring.load("document", range(30))
        assert [ring.open_sealed(each, "p") for each in sealed] == [b"x"] * 30


def test_wrapped_keys_do_not_hold_their_secrets():
    ring.seal(b"x", [MAKING], "p")
    row = WrappedKey.objects.get(kind="collection")
    assert master.current().secret not in bytes(row.wrapped)
    assert envelope.names(bytes(row.wrapped)) == [master.current().id]


@pytest.mark.django_db(transaction=True)
def test_a_key_is_kept_for_some_minutes_and_then_in_no_corner_of_the_cache(monkeypatch):
    """Every conversation has its key: kept past their time, they would be most of what a process grows by."""
    ring.forget()
    ring.seal(b"x", [MAKING], "p")
    assert ring._cache._by_id
    later = time.monotonic() + ring._KEEP_SECONDS + 1
    monkeypatch.setattr(ring, "time", SimpleNamespace(monotonic=lambda: later))
    ring.seal(b"x", [Ref("document", "b", root=("collection", "2"))], "p")
    owners = {("document", "b")}
    assert set(ring._cache._by_owner) == owners
    assert set(ring._cache._owner_of.values()) == owners
    assert set(ring._cache._by_id) == set(ring._cache._owner_of)
    assert {name.bytes for name in ring._cache._by_id} == set(ring._cache._openers)
