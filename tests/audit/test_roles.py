"""The product's own database role adds to the audit log and can neither change it nor lift what protects it."""

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from assistant.audit import roles, services
from assistant.audit.models import AuditEvent

ROLE = "assistant_app"
TABLES = ("audit_auditevent", "audit_auditcontent", "audit_auditcheckpoint", "audit_auditsegment", "audit_auditpruning")


def run(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.fixture
def as_the_product():
    """Everything after this runs with the role's rights; the role goes with the test's transaction."""
    if connection.vendor != "postgresql":
        pytest.skip("roles are PostgreSQL's")
    run(f"CREATE ROLE {ROLE} LOGIN")
    call_command("audit_roles", ROLE, verbosity=0)
    run(f"SET LOCAL SESSION AUTHORIZATION {ROLE}")
    yield
    run("RESET SESSION AUTHORIZATION")


@pytest.mark.django_db
def test_the_products_role_records_and_erases(as_the_product):
    event = services.record(action="auth.sign_in", content={"a": "b"})
    services.checkpoint()
    run(f"UPDATE audit_auditcontent SET ciphertext = NULL, salt = '', erased_at = now() WHERE event_id = {event.seq}")
    assert AuditEvent.objects.get().actor == event.actor
    assert not roles.can_lift(connection)


@pytest.mark.django_db
@pytest.mark.parametrize("table", TABLES)
def test_the_products_role_cannot_lift_the_triggers(as_the_product, table):
    for statement in (
        f"ALTER TABLE {table} DISABLE TRIGGER ALL",
        f"DROP TRIGGER audit_truncate ON {table}",
        f"DROP TABLE {table} CASCADE",
        f"TRUNCATE {table} CASCADE",
        f"ALTER TABLE {table} RENAME TO elsewhere",
        "SET LOCAL session_replication_role = replica",
        "CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
    ):
        with pytest.raises(DatabaseError, match=r"must be owner|permission denied"), transaction.atomic():
            run(statement)


@pytest.mark.django_db
@pytest.mark.parametrize("column", ["actor", "digest", "at"])
def test_the_products_role_cannot_change_an_event(as_the_product, column):
    services.record(action="auth.sign_in")
    with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic():
        run(f"UPDATE audit_auditevent SET {column} = {column}")


@pytest.mark.django_db
def test_a_role_that_could_lift_them_is_refused():
    with pytest.raises(CommandError, match="no role" if connection.vendor == "postgresql" else "no roles"):
        call_command("audit_roles", "nobody_here")
    if connection.vendor == "postgresql":
        assert roles.can_lift(connection)
        with pytest.raises(CommandError, match="superuser"):
            call_command("audit_roles", "postgres")
