"""The database's own refusal to change the audit tables. Knows: trigger SQL of both databases; used by migrations.

Events, checkpoints, segments and prunings: no UPDATE, no DELETE, no TRUNCATE, no INSERT OR REPLACE, and a new event
must be the next one. Texts: the only change is erasure. One way out, for both: a sealed segment whose every event is
older than LEAST_DAYS may go once a pruning row names it and two people; the row itself is refused otherwise.

On PostgreSQL the triggers are ENABLE ALWAYS, so that a session in replica mode meets them too, and the functions look
for their tables in the schema they were installed in, never among temporary ones. Whoever owns the tables can drop
triggers: `manage.py audit_roles` takes that from the product's own role; on SQLite whoever can write the file can, and
then the chain tells (see `verification`).
"""

from __future__ import annotations

# ruff: noqa: S608 (every name in the statements is a constant of this file)
from django.db.backends.base.base import BaseDatabaseWrapper

EVENT, CONTENT, PRUNING, SEGMENT = (
    "audit_auditevent",
    "audit_auditcontent",
    "audit_auditpruning",
    "audit_auditsegment",
)
FIXED = ("audit_auditcheckpoint", SEGMENT, PRUNING)
LEAST_DAYS = 184
_WORDS = "audit rows are never changed"
_NEXT = "an audit event continues the last one"
_EARLY = f"a pruning names the next sealed segment, two people, and events older than {LEAST_DAYS} days"
_FUNCTIONS = ("audit_refuse", "audit_next", "audit_erase_only", "audit_pruned_only", "audit_prunable")

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
    f"""CREATE FUNCTION audit_pruned_only() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE gone bigint := (to_jsonb(OLD) ->> TG_ARGV[0])::bigint;
    BEGIN
        IF EXISTS (SELECT 1 FROM {PRUNING} WHERE gone BETWEEN first_seq AND last_seq) THEN RETURN OLD; END IF;
        RAISE EXCEPTION '{_WORDS}' USING ERRCODE = 'restrict_violation';
    END $$""",
    f"""CREATE FUNCTION audit_prunable() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.first_seq = coalesce((SELECT max(last_seq) FROM {PRUNING}), 0) + 1
           AND EXISTS (SELECT 1 FROM {SEGMENT} WHERE first_seq = NEW.first_seq AND last_seq = NEW.last_seq)
           AND NEW.requested_by <> '' AND NEW.approved_by <> '' AND NEW.requested_by <> NEW.approved_by
           AND (SELECT max(at) FROM {EVENT} WHERE seq BETWEEN NEW.first_seq AND NEW.last_seq)
               < now() - interval '{LEAST_DAYS} days' THEN
            RETURN NEW;
        END IF;
        RAISE EXCEPTION '{_EARLY}' USING ERRCODE = 'restrict_violation';
    END $$""",
    *(
        f"DO $$ BEGIN EXECUTE format('ALTER FUNCTION {name}() SET search_path = %I, pg_temp', current_schema()); END $$"
        for name in _FUNCTIONS
    ),
    f"CREATE TRIGGER audit_next BEFORE INSERT ON {EVENT} FOR EACH ROW EXECUTE FUNCTION audit_next()",
    f"CREATE TRIGGER audit_change BEFORE UPDATE ON {EVENT} FOR EACH ROW EXECUTE FUNCTION audit_refuse()",
    f"CREATE TRIGGER audit_delete BEFORE DELETE ON {EVENT} FOR EACH ROW EXECUTE FUNCTION audit_pruned_only('seq')",
    f"CREATE TRIGGER audit_erase BEFORE UPDATE ON {CONTENT} FOR EACH ROW EXECUTE FUNCTION audit_erase_only()",
    f"CREATE TRIGGER audit_delete BEFORE DELETE ON {CONTENT} "
    "FOR EACH ROW EXECUTE FUNCTION audit_pruned_only('event_id')",
    f"CREATE TRIGGER audit_prunable BEFORE INSERT ON {PRUNING} FOR EACH ROW EXECUTE FUNCTION audit_prunable()",
    *(
        f"CREATE TRIGGER audit_change BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION audit_refuse()"
        for table in FIXED
    ),
    *(
        f"CREATE TRIGGER audit_truncate BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()"
        for table in (*FIXED, EVENT, CONTENT)
    ),
    *(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER audit_truncate" for table in (*FIXED, EVENT, CONTENT)),
    *(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER audit_change" for table in (*FIXED, EVENT)),
    *(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER audit_delete" for table in (EVENT, CONTENT)),
    f"ALTER TABLE {EVENT} ENABLE ALWAYS TRIGGER audit_next",
    f"ALTER TABLE {CONTENT} ENABLE ALWAYS TRIGGER audit_erase",
    f"ALTER TABLE {PRUNING} ENABLE ALWAYS TRIGGER audit_prunable",
]
_POSTGRESQL_REMOVE = [f"DROP FUNCTION IF EXISTS {name}() CASCADE" for name in _FUNCTIONS]


def _sqlite(table: str, verb: str, *, unless: str = "", words: str = _WORDS) -> str:
    when = f"WHEN NOT ({unless}) " if unless else ""
    return (
        f"CREATE TRIGGER {table}_{verb.lower()} BEFORE {verb} ON {table} {when}"
        f"BEGIN SELECT RAISE(ABORT, '{words}'); END"
    )


def _sqlite_replace(table: str, condition: str) -> str:
    """INSERT OR REPLACE deletes silently unless recursive_triggers is on; this holds either way."""
    return (
        f"CREATE TRIGGER {table}_replace BEFORE INSERT ON {table} "
        f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {condition}) BEGIN SELECT RAISE(ABORT, '{_WORDS}'); END"
    )


def _sqlite_pruned(column: str) -> str:
    return f"EXISTS (SELECT 1 FROM {PRUNING} WHERE OLD.{column} BETWEEN first_seq AND last_seq)"


_SQLITE_INSTALL = [
    *(_sqlite(table, verb) for table in FIXED for verb in ("UPDATE", "DELETE")),
    _sqlite(EVENT, "UPDATE"),
    _sqlite(EVENT, "DELETE", unless=_sqlite_pruned("seq")),
    _sqlite(CONTENT, "DELETE", unless=_sqlite_pruned("event_id")),
    _sqlite(
        CONTENT,
        "UPDATE",
        unless="NEW.event_id = OLD.event_id AND NEW.ciphertext IS NULL AND length(NEW.salt) = 0 "
        "AND NEW.erased_at IS NOT NULL AND OLD.erased_at IS NULL",
    ),
    _sqlite(
        EVENT,
        "INSERT",
        unless=f"NEW.seq = coalesce((SELECT max(seq) FROM {EVENT}), 0) + 1 AND "
        f"NEW.previous = coalesce((SELECT digest FROM {EVENT} ORDER BY seq DESC LIMIT 1), '{'0' * 64}')",
        words=_NEXT,
    ),
    _sqlite(
        PRUNING,
        "INSERT",
        unless=f"NEW.first_seq = coalesce((SELECT max(last_seq) FROM {PRUNING}), 0) + 1 "
        f"AND EXISTS (SELECT 1 FROM {SEGMENT} WHERE first_seq = NEW.first_seq AND last_seq = NEW.last_seq) "
        "AND NEW.requested_by <> '' AND NEW.approved_by <> '' AND NEW.requested_by <> NEW.approved_by "
        f"AND coalesce((SELECT max(at) FROM {EVENT} WHERE seq BETWEEN NEW.first_seq AND NEW.last_seq) "
        f"< strftime('%Y-%m-%d %H:%M:%f', 'now', '-{LEAST_DAYS} days'), 0)",
        words=_EARLY,
    ),
    _sqlite_replace(CONTENT, "event_id = NEW.event_id"),
    _sqlite_replace("audit_auditcheckpoint", "id = NEW.id"),
    _sqlite_replace(SEGMENT, "id = NEW.id OR first_seq = NEW.first_seq OR last_seq = NEW.last_seq"),
    _sqlite_replace(PRUNING, "id = NEW.id"),
]
_SQLITE_REMOVE = [
    f"DROP TRIGGER IF EXISTS {table}_{verb}"
    for table in (*FIXED, EVENT, CONTENT)
    for verb in ("update", "delete", "insert", "replace", "next")
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
