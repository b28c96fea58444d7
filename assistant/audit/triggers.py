"""The database's own refusal to change the audit tables. Knows: trigger SQL of both databases; used by a migration.

Events, checkpoints and segments: no UPDATE, no DELETE, no TRUNCATE, no INSERT OR REPLACE, and a new event must be the
next one. Texts: the only change is erasure. On PostgreSQL the triggers are ENABLE ALWAYS, so that a session in replica
mode meets them too; the functions name their schema-independent tables through TG_RELID. Whoever owns the tables can
drop triggers: then the chain tells (see `verification`).
"""

from __future__ import annotations

# ruff: noqa: S608 (every name in the statements is a constant of this file)
from django.db.backends.base.base import BaseDatabaseWrapper

EVENT, CONTENT = "audit_auditevent", "audit_auditcontent"
FIXED = (EVENT, "audit_auditcheckpoint", "audit_auditsegment")
_WORDS = "audit rows are never changed"
_NEXT = "an audit event continues the last one"

_POSTGRESQL_INSTALL = [
    f"""CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION '{_WORDS}' USING ERRCODE = 'restrict_violation'; END $$""",
    f"""CREATE FUNCTION audit_next() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE last record;
    BEGIN
        SELECT seq, digest INTO last FROM {EVENT} ORDER BY seq DESC LIMIT 1;
        IF NEW.seq <> coalesce(last.seq, 0) + 1 OR NEW.previous <> coalesce(last.digest, repeat('0', 64)) THEN
            RAISE EXCEPTION '{_NEXT}' USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN NEW;
    END $$""",
    f"""CREATE FUNCTION audit_erase_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.event_id = OLD.event_id AND NEW.ciphertext IS NULL AND length(NEW.salt) = 0
           AND NEW.erased_at IS NOT NULL AND OLD.erased_at IS NULL THEN
            RETURN NEW;
        END IF;
        RAISE EXCEPTION '{_WORDS}' USING ERRCODE = 'restrict_violation';
    END $$""",
    f"CREATE TRIGGER audit_next BEFORE INSERT ON {EVENT} FOR EACH ROW EXECUTE FUNCTION audit_next()",
    f"CREATE TRIGGER audit_erase BEFORE UPDATE ON {CONTENT} FOR EACH ROW EXECUTE FUNCTION audit_erase_only()",
    f"CREATE TRIGGER audit_delete BEFORE DELETE ON {CONTENT} FOR EACH ROW EXECUTE FUNCTION audit_refuse()",
    *(
        f"CREATE TRIGGER audit_change BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION audit_refuse()"
        for table in FIXED
    ),
    *(
        f"CREATE TRIGGER audit_truncate BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()"
        for table in (*FIXED, CONTENT)
    ),
    f"ALTER TABLE {EVENT} ENABLE ALWAYS TRIGGER audit_next",
    f"ALTER TABLE {CONTENT} ENABLE ALWAYS TRIGGER audit_erase",
    f"ALTER TABLE {CONTENT} ENABLE ALWAYS TRIGGER audit_delete",
    *(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER audit_change" for table in FIXED),
    *(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER audit_truncate" for table in (*FIXED, CONTENT)),
]
_POSTGRESQL_REMOVE = [
    f"DROP FUNCTION IF EXISTS {name}() CASCADE" for name in ("audit_refuse", "audit_next", "audit_erase_only")
]


def _sqlite_refuse(table: str, verb: str) -> str:
    return f"CREATE TRIGGER {table}_{verb.lower()} BEFORE {verb} ON {table} BEGIN SELECT RAISE(ABORT, '{_WORDS}'); END"


def _sqlite_replace(table: str, condition: str) -> str:
    """INSERT OR REPLACE deletes silently unless recursive_triggers is on; this holds either way."""
    return (
        f"CREATE TRIGGER {table}_replace BEFORE INSERT ON {table} "
        f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {condition}) BEGIN SELECT RAISE(ABORT, '{_WORDS}'); END"
    )


_SQLITE_INSTALL = [
    *(_sqlite_refuse(table, verb) for table in FIXED for verb in ("UPDATE", "DELETE")),
    _sqlite_refuse(CONTENT, "DELETE"),
    f"CREATE TRIGGER {CONTENT}_update BEFORE UPDATE ON {CONTENT} "
    "WHEN NOT (NEW.event_id = OLD.event_id AND NEW.ciphertext IS NULL AND length(NEW.salt) = 0 "
    "AND NEW.erased_at IS NOT NULL AND OLD.erased_at IS NULL) "
    f"BEGIN SELECT RAISE(ABORT, '{_WORDS}'); END",
    f"CREATE TRIGGER {EVENT}_next BEFORE INSERT ON {EVENT} "
    f"WHEN NEW.seq <> coalesce((SELECT max(seq) FROM {EVENT}), 0) + 1 "
    f"OR NEW.previous <> coalesce((SELECT digest FROM {EVENT} ORDER BY seq DESC LIMIT 1), '{'0' * 64}') "
    f"BEGIN SELECT RAISE(ABORT, '{_NEXT}'); END",
    _sqlite_replace(CONTENT, "event_id = NEW.event_id"),
    _sqlite_replace("audit_auditcheckpoint", "id = NEW.id"),
    _sqlite_replace("audit_auditsegment", "id = NEW.id OR first_seq = NEW.first_seq OR last_seq = NEW.last_seq"),
]
_SQLITE_REMOVE = [
    f"DROP TRIGGER IF EXISTS {name}"
    for name in (
        *(f"{table}_{verb}" for table in FIXED for verb in ("update", "delete")),
        f"{CONTENT}_delete",
        f"{CONTENT}_update",
        f"{EVENT}_next",
        f"{CONTENT}_replace",
        "audit_auditcheckpoint_replace",
        "audit_auditsegment_replace",
    )
]
_INSTALL = {"postgresql": _POSTGRESQL_INSTALL, "sqlite": _SQLITE_INSTALL}
_REMOVE = {"postgresql": _POSTGRESQL_REMOVE, "sqlite": _SQLITE_REMOVE}


def install(connection: BaseDatabaseWrapper) -> None:
    with connection.cursor() as cursor:
        for statement in _INSTALL[connection.vendor]:
            cursor.execute(statement)


def remove(connection: BaseDatabaseWrapper) -> None:
    """For the migration's way back, and for tests that empty tables or play an intruder who owns the database."""
    with connection.cursor() as cursor:
        for statement in _REMOVE[connection.vendor]:
            cursor.execute(statement)
