"""Sealed columns: what the database file holds, and what Django refuses."""

import pytest
from django.core.exceptions import FieldError
from django.db import connection, transaction

from assistant.chat.models import Conversation
from assistant.vault import ring
from assistant.vault.envelope import Damaged
from assistant.vault.models import WrappedKey

pytestmark = pytest.mark.django_db


@pytest.fixture
def row(people) -> Conversation:
    return Conversation.objects.create(owner=people.employee, title="canary 鸟")


def stored(row) -> bytes:
    with connection.cursor() as cursor:
        key = row.pk.hex if connection.vendor == "sqlite" else row.pk
        cursor.execute("SELECT title FROM chat_conversation WHERE id = %s", [key])
        return bytes(cursor.fetchone()[0])


def test_the_column_is_sealed_and_the_attribute_is_plain(row):
    assert Conversation.objects.get().title == "canary 鸟"
    assert Conversation.objects.values_list("title", flat=True)[0] == "canary 鸟"
    assert b"canary" not in stored(row)
    before = stored(row)
    row.save()
    assert stored(row) != before  # a new nonce each time


def test_sql_cannot_look_into_it(row):
    for lookup in ("title", "title__contains", "title__startswith", "title__in"):
        with pytest.raises(FieldError):
            Conversation.objects.filter(**{lookup: "canary"}).exists()


def test_an_update_takes_only_the_empty_value(row):
    with pytest.raises(TypeError, match="sealed"), transaction.atomic():
        Conversation.objects.update(title="readable")
    Conversation.objects.update(title="")
    assert stored(row) == b""
    assert Conversation.objects.get().title == ""


def test_what_lost_its_key_reads_as_empty(row):
    ring.destroy("conversation", [row.pk])
    WrappedKey.objects.filter(kind="conversation").update(wrapped=b"")
    ring.forget()
    connection.run_on_commit.clear()  # this test's transaction still remembers the key it made
    assert Conversation.objects.get().title == ""


def test_changed_bytes_are_a_loud_fault(row):
    sealed = stored(row)
    changed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    with connection.cursor() as cursor:
        cursor.execute("UPDATE chat_conversation SET title = %s", [changed])
    with pytest.raises(Damaged):
        Conversation.objects.get()
