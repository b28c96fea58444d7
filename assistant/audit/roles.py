"""A database role that can use the product's tables and cannot lift the audit triggers (PostgreSQL).

Whoever owns a table may drop its triggers. So the tables belong to one role, which migrates, and the product runs as
another: it may add audit events and texts, erase texts, and delete what a pruning row has released; the triggers stand.
On SQLite there are no roles: whoever can write the file can change it, and the chain tells (`verification`).
"""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper

from .triggers import CONTENT, EVENT, FIXED


class RoleUnfit(ValueError):
    """The role does not exist, or could lift the triggers in spite of everything; the text says what to do."""


def grant(connection: BaseDatabaseWrapper, role: str) -> None:
    """Give `role` what the product needs and nothing more, today's tables and later ones. Run as the tables' owner, in
    one transaction. Raises RoleUnfit (nothing is changed then)."""
    if connection.vendor != "postgresql":
        raise RoleUnfit("SQLite has no roles: keep the file from everybody but the product's own user.")
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role])
        if not cursor.fetchone():
            raise RoleUnfit(f"There is no role {role}: create it first, as in CREATE ROLE {role} LOGIN PASSWORD '…'.")
    if can_lift(connection, role):
        raise RoleUnfit(
            f"{role} is a superuser, owns the audit tables or belongs to who does: choose a role that does not."
        )
    name = connection.ops.quote_name(role)
    fixed = ", ".join(FIXED)
    with connection.cursor() as cursor:
        cursor.execute("SELECT quote_ident(current_schema())")
        schema = cursor.fetchone()[0]
        for statement in (
            f"GRANT USAGE ON SCHEMA {schema} TO {name}",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {name}",
            f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {name}",
            f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {name}",
            f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT USAGE, SELECT ON SEQUENCES TO {name}",
            f"REVOKE UPDATE ON {EVENT}, {CONTENT}, {fixed} FROM {name}",
            f"REVOKE DELETE ON {fixed} FROM {name}",
            f"GRANT UPDATE (ciphertext, salt, erased_at) ON {CONTENT} TO {name}",
        ):
            cursor.execute(statement)


def can_lift(connection: BaseDatabaseWrapper, role: str = "") -> bool:
    """Whether `role` (default: the one connected) may drop or disable the triggers of the audit tables."""
    if connection.vendor != "postgresql":
        return True
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT bool_or(r.rolsuper OR pg_has_role(r.oid, c.relowner, 'MEMBER')) "
            "FROM pg_roles r, pg_class c WHERE r.rolname = coalesce(nullif(%s, ''), current_user) "
            "AND c.oid = %s::regclass",
            [role, EVENT],
        )
        return bool(cursor.fetchone()[0])
