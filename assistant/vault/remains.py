"""What the files of a database still hold of rows that have gone, and how they are made to forget it.

Knows: that PostgreSQL keeps replaced rows until it rewrites their table, and carries over into the new one what an
older transaction still sees. Does not know: what the tables hold, and who erased it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

logger = logging.getLogger(__name__)

READERS_SECONDS = 60.0
# Sessions of this database that see older rows, and one more while anybody who began to write before, in whatever
# database of the server, has not ended: PostgreSQL's own snapshot, under which it rewrites, then begins there.
_EARLIER = """
    SELECT count(*) + (pg_snapshot_xmin(pg_current_snapshot()) <= %(mine)s::xid8)::int
    FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND (
        age(backend_xmin) >= age(%(mine)s::xid8::xid) OR age(backend_xid) >= age(%(mine)s::xid8::xid)
        OR query = '<insufficient privilege>')
"""


def rewrite(connection: BaseDatabaseWrapper, tables: Sequence[str]) -> bool:
    """Rewrite the tables (SQLite: the whole file), so that no page holds what their rows held before. Outside a
    transaction. False when a session still saw the old rows after READERS_SECONDS: which tables is logged."""
    with connection.cursor() as cursor:
        if connection.vendor != "postgresql":
            cursor.execute("VACUUM")
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return True
        readers = _outlast_readers(cursor)
        for table in tables:
            cursor.execute(f'VACUUM FULL "{table}"')
    if readers:
        logger.warning("%s sessions still see what was erased: rewrite %s later", readers, ", ".join(tables))
    return not readers


def _outlast_readers(cursor: CursorWrapper) -> int:
    """Wait, READERS_SECONDS at most, until no transaction can see the rows that have gone; how many still can. Sessions
    that this role may not look into count as long as they last."""
    cursor.execute("SELECT pg_current_xact_id()::text")
    (mine,) = cursor.fetchone()
    until = time.monotonic() + READERS_SECONDS
    while True:
        cursor.execute(_EARLIER, {"mine": mine})
        (readers,) = cursor.fetchone()
        if not readers or time.monotonic() > until:
            return int(readers)
        time.sleep(0.05)
