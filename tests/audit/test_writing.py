"""Recording: who, what, in which order, and what happens when it is not possible."""

import os
import re
import signal
import threading
from itertools import pairwise

import pytest
from django.db import connection, connections, transaction
from django.db.utils import DatabaseError

from assistant import observability
from assistant.audit import chain, keys, outside, patience, services
from assistant.audit.models import AuditCheckpoint, AuditContent, AuditEvent, AuditSegment
from assistant.errors import AuditUnavailable
from tests.audit.locked import GENEROUS_S, PROMISED_S, locked_log, quickest


@pytest.mark.django_db
def test_an_event_carries_the_context_and_continues_the_chain():
    with observability.context(request_id="r1", actor="user:7", role="auditor", session="abc", origin="10.0.0.1"):
        first = services.record(action="auth.sign_in", target=("user", "7"), detail={"n": 1})
    second = services.record(action="auth.sign_out", outcome="failed")
    rows = AuditEvent.objects.order_by("seq").values()
    assert [row["seq"] for row in rows] == [1, 2]
    assert rows[0]["previous"] == chain.GENESIS
    assert rows[1]["previous"] == first.digest
    facts = {name: rows[0][name] for name in ("request_id", "actor", "role", "session", "origin")}
    assert facts == {"request_id": "r1", "actor": "user:7", "role": "auditor", "session": "abc", "origin": "10.0.0.1"}
    assert second.actor == "anonymous"


@pytest.mark.django_db
def test_what_is_read_back_gives_the_recorded_digest():
    detail = {
        "score": 0.123456789,
        "big": 2**53 - 1,
        "list": (1, 2.0, None, True),
        "text": "é 中 \0 \ud800 😀",
        "deep": {"b": [], "a": {}},
    }
    services.record(action="answer.shown", target=("answer", "x" * 100), detail=detail)
    event = AuditEvent.objects.get()
    assert chain.digest(services.to_record(event)) == event.digest
    assert event.detail["score"] == 0.1235
    assert event.detail["text"] == "é 中 \ufffd \ufffd 😀"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "detail", [{"x": float("nan")}, {"x": 2**60}, {"x": object()}, {1: "x"}, {"ключ": 1}, {"x": b"bytes"}]
)
def test_what_json_cannot_carry_is_a_programming_error(detail):
    with pytest.raises((TypeError, ValueError)):
        services.record(action="answer.shown", detail=detail)


@pytest.mark.django_db
def test_unknown_actions_and_outcomes_are_programming_errors():
    with pytest.raises(ValueError, match="catalogue"):
        services.record(action="answer.invented")
    with pytest.raises(ValueError, match="outcome"):
        services.record(action="answer.shown", outcome="perhaps")


@pytest.mark.django_db
def test_texts_lie_apart_encrypted_and_can_be_erased():
    question = "What does the secret contract say?"
    event = services.record(action="answer.asked", content={"question": question})
    row = AuditContent.objects.get(pk=event.pk)
    assert question.encode() not in bytes(row.ciphertext)
    assert question not in str(list(AuditEvent.objects.values()))
    plain = keys.decrypt(services.current_keys(), seq=event.seq, ciphertext=bytes(row.ciphertext))
    assert question.encode() in plain
    assert services.erase_contents([event.seq]) == 1
    row.refresh_from_db()
    assert (row.ciphertext, bytes(row.salt)) == (None, b"")
    assert row.erased_at
    assert services.erase_contents([event.seq]) == 0
    assert AuditEvent.objects.order_by("-seq").first().action == "audit.content_erased"


@pytest.mark.django_db
def test_a_text_cannot_be_moved_to_another_event():
    ours = services.current_keys()
    ciphertext = keys.encrypt(ours, seq=1, content={"question": "x"})
    with pytest.raises(keys.ContentDamaged):
        keys.decrypt(ours, seq=2, ciphertext=ciphertext)


@pytest.mark.django_db(transaction=True)
def test_the_event_vanishes_with_the_change_it_belongs_to():
    with transaction.atomic():
        services.record(action="auth.sign_in")
        transaction.set_rollback(True)
    assert not AuditEvent.objects.exists()
    services.record(action="auth.sign_in")
    assert AuditEvent.objects.get().seq == 1


@pytest.mark.django_db(transaction=True)
def test_an_intent_inside_a_transaction_is_a_programming_error():
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        services.intent(action="answer.asked")
    assert not AuditEvent.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_an_intent_is_committed_when_it_returns():
    services.intent(action="answer.asked")
    seen = []

    def look():
        seen.append(list(AuditEvent.objects.values_list("action", "outcome")))
        connections.close_all()

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [[("answer.asked", "intent")]]


@pytest.mark.django_db(transaction=True)
def test_many_writers_leave_one_gapless_chain():
    faults = []

    def write():
        try:
            for _ in range(8):
                services.record(action="auth.sign_in")
        except AuditUnavailable as error:
            faults.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=write) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    events = list(AuditEvent.objects.order_by("seq"))
    assert [event.seq for event in events] == list(range(1, 49))
    assert all(after.previous == before.digest for before, after in pairwise(events))


@pytest.mark.django_db(transaction=True)
def test_a_locked_log_refuses_quickly_and_recovers():
    services.record(action="auth.sign_in")

    def refused():
        with pytest.raises(AuditUnavailable) as found:
            services.intent(action="answer.asked")
        assert found.value.retry_after

    with locked_log():
        assert quickest(refused) < GENEROUS_S
    services.intent(action="answer.asked")
    assert AuditEvent.objects.count() == 3


@pytest.mark.django_db(transaction=True)
def test_the_bounds_that_an_intent_gives_the_database_keep_its_promise():
    """The promise is a matter of these numbers; how long a busy machine takes besides is none of the product's."""
    said = []

    def listen(execute, sql, params, many, context):
        said.append(sql)
        return execute(sql, params, many, context)

    connection.ensure_connection()
    lite = connection.vendor == "sqlite"  # which is told by its driver, past Django's cursors
    try:
        if lite:
            connection.connection.set_trace_callback(said.append)
        with connection.execute_wrapper(listen):
            services.intent(action="answer.asked")
    finally:
        if lite:
            connection.connection.set_trace_callback(None)
    names = {"sqlite": ["busy_timeout"], "postgresql": ["lock_timeout", "statement_timeout"]}[connection.vendor]
    for name in names:
        bounds = [int(found) for sql in said for found in re.findall(rf"{name} = (\d+)", sql)]
        assert bounds[0] == services.PATIENCE_MS
    assert services.PATIENCE_MS / 1000 + patience._SILENCE < PROMISED_S


@pytest.mark.django_db(transaction=True)
def test_a_silent_server_is_hung_up_on_and_the_next_request_works():
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no server that could fall silent")
    stopped = []

    def refused():  # with another server process each time: a silent one is hung up on
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            stopped.append(cursor.fetchone()[0])
        os.kill(stopped[-1], signal.SIGSTOP)
        with pytest.raises(AuditUnavailable):
            services.intent(action="answer.asked")

    try:
        assert quickest(refused) < GENEROUS_S
    finally:
        for backend in stopped:
            os.kill(backend, signal.SIGCONT)
    services.intent(action="answer.asked")
    assert AuditEvent.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("write", [services.intent, services.record])
def test_an_event_is_flushed_to_the_write_ahead_log_when_it_returns(write):
    """Its commit does not wait for the disk under the lock; the statement that carries it does, after it."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite waits for the disk in its commit")
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = on")  # the server of the tests has it off
        for number in range(20):
            cursor.execute("SELECT pg_current_wal_insert_lsn()")
            before = cursor.fetchone()[0]
            write(action="answer.asked", detail={"n": number}, content={"question": "q" * 2000})
            cursor.execute("SELECT pg_wal_lsn_diff(pg_current_wal_flush_lsn(), %s)", [before])
            assert cursor.fetchone()[0] > 2000  # the event and its text lie between
    assert AuditContent.objects.count() == 20


@pytest.mark.django_db(transaction=True)
def test_a_refused_event_leaves_no_trace_and_the_connection_works(monkeypatch):
    services.record(action="auth.sign_in")
    with monkeypatch.context() as patch:
        patch.setattr(services.keys, "encrypt", lambda *_, **__: b"\0" * 9)
        patch.setattr(services, "_INSERT_CONTENT", "INSERT INTO audit_nothing VALUES (%s, %s, %s)")
        for write in (services.intent, services.record):
            with pytest.raises(AuditUnavailable):
                write(action="answer.asked", content={"question": "q"})
    assert AuditEvent.objects.count() == 1
    assert services.record(action="auth.sign_out", content={"reason": "r"}).seq == 2
    assert AuditContent.objects.get().event_id == 2


@pytest.mark.django_db(transaction=True)
def test_a_read_only_database_refuses():
    statement = {"sqlite": "PRAGMA query_only = ", "postgresql": "SET default_transaction_read_only = "}[
        connection.vendor
    ]
    with connection.cursor() as cursor:
        cursor.execute(statement + "ON")
    try:
        with pytest.raises(AuditUnavailable):
            services.intent(action="answer.asked")
        with pytest.raises(AuditUnavailable):
            services.record(action="answer.shown")
    finally:
        with connection.cursor() as cursor:
            cursor.execute(statement + "OFF")
    services.intent(action="answer.asked")


@pytest.mark.django_db(transaction=True)
def test_an_unwritable_head_file_refuses_the_intent(settings, tmp_path):
    (tmp_path / "audit").write_text("a file where the directory should be")
    settings.DATA_DIR = tmp_path
    with pytest.raises(AuditUnavailable):
        services.intent(action="answer.asked")


@pytest.mark.django_db
@pytest.mark.parametrize(
    "attack",
    [
        lambda: AuditEvent.objects.filter(seq=1).update(actor="user:2"),
        lambda: AuditEvent.objects.filter(seq=1).delete(),
        lambda: AuditEvent.objects.bulk_create(list(AuditEvent.objects.filter(seq=1)), ignore_conflicts=False),
        lambda: AuditContent.objects.filter(pk=1).update(salt=b"x"),
        lambda: AuditContent.objects.filter(pk=1).update(ciphertext=b"x"),
        lambda: AuditContent.objects.filter(pk=1).delete(),
        lambda: AuditCheckpoint.objects.update(seq=9),
        lambda: AuditCheckpoint.objects.all().delete(),
        lambda: AuditSegment.objects.update(root="0"),
        lambda: AuditSegment.objects.all().delete(),
        lambda: run("DELETE FROM audit_auditevent"),
        lambda: run("UPDATE audit_auditevent SET seq = 7"),
        lambda: insert(5, "0" * 64),
        lambda: insert(2, "1" * 64),
    ],
)
def test_the_database_itself_refuses_changes(attack, monkeypatch):
    monkeypatch.setattr(services, "SEGMENT_EVENTS", 1)
    services.record(action="answer.asked", content={"question": "q"})
    services.checkpoint()
    AuditSegment.objects.create(first_seq=1, last_seq=1, root="r", sealed_at=AuditEvent.objects.get().at)
    before = list(AuditEvent.objects.values())
    with pytest.raises(DatabaseError), transaction.atomic():
        attack()
    assert list(AuditEvent.objects.values()) == before


def run(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)


def insert(seq, previous):
    event = AuditEvent.objects.get()
    event.seq, event.previous, event.digest = seq, previous, "2" * 64
    event.save(force_insert=True)


@pytest.mark.django_db
@pytest.mark.parametrize("recursive", ["ON", "OFF"])
def test_sqlite_refuses_insert_or_replace(recursive):
    if connection.vendor != "sqlite":
        pytest.skip("INSERT OR REPLACE is SQLite's")
    event = services.record(action="auth.sign_in", content={"a": "b"})
    run(f"PRAGMA recursive_triggers = {recursive}")
    for statement in (
        "INSERT OR REPLACE INTO audit_auditevent SELECT * FROM audit_auditevent",
        "INSERT OR REPLACE INTO audit_auditcontent SELECT * FROM audit_auditcontent",
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            run(statement)
    run("PRAGMA recursive_triggers = ON")
    assert AuditEvent.objects.get().actor == event.actor


@pytest.mark.django_db
@pytest.mark.parametrize(
    "table", ["audit_auditevent", "audit_auditcontent", "audit_auditcheckpoint", "audit_auditsegment"]
)
def test_postgresql_refuses_truncate_and_replica_mode(table):
    if connection.vendor != "postgresql":
        pytest.skip("TRUNCATE and replica mode are PostgreSQL's")
    services.record(action="auth.sign_in", content={"a": "b"})
    services.checkpoint()
    AuditSegment.objects.create(first_seq=1, last_seq=1, root="r", sealed_at=AuditEvent.objects.get().at)
    run("SET CONSTRAINTS ALL IMMEDIATE")  # or TRUNCATE would be refused for that reason already
    run("SET LOCAL session_replication_role = replica")
    for statement in (f"TRUNCATE {table} CASCADE", f"DELETE FROM {table}"):
        with pytest.raises(DatabaseError, match="never changed"), transaction.atomic():
            run(statement)
    with pytest.raises(DatabaseError, match="never changed"), transaction.atomic():
        run("UPDATE audit_auditevent SET actor = 'user:9'")


@pytest.mark.django_db(transaction=True)
def test_the_head_file_follows_commits_and_never_goes_back():
    first = services.record(action="auth.sign_in")
    services.record(action="auth.sign_out")
    head = outside.read_head(services.directory())
    assert head.seq == 2
    outside.advance_head(services.directory(), seq=1, at=chain.timestamp(first.at), digest=first.digest)
    assert outside.read_head(services.directory()) == head
    assert (services.directory() / outside.HEAD).stat().st_mode & 0o077 == 0


def test_the_head_makes_its_directory_for_itself_alone(tmp_path):
    place = tmp_path / "data" / "audit"
    for seq in (1, 2):
        outside.advance_head(place, seq=seq, at="2026-01-01T00:00:00.000000Z", digest="0" * 64)
    head = outside.read_head(place)
    assert head is not None
    assert head.seq == 2
    assert (place.stat().st_mode & 0o777, (place / outside.HEAD).stat().st_mode & 0o777) == (0o700, 0o600)


@pytest.mark.django_db(transaction=True)
def test_checkpoints_are_signed_once_and_written_outside_too():
    services.record(action="auth.sign_in")
    row = services.checkpoint()
    assert services.checkpoint() is None
    (written,) = outside.read_checkpoints(services.directory() / outside.CHECKPOINTS)
    assert (written.seq, written.digest, written.signature) == (1, row.digest, row.signature)
    assert keys.signed(services.current_keys().public, written.statement, written.signature)


@pytest.mark.django_db(transaction=True)
def test_enough_events_make_a_checkpoint_by_themselves(monkeypatch):
    monkeypatch.setattr(services, "CHECKPOINT_EVERY", 3)
    for _ in range(7):
        services.record(action="auth.sign_in")
    assert list(AuditCheckpoint.objects.values_list("seq", flat=True)) == [3, 6]


@pytest.mark.django_db(transaction=True)
def test_full_segments_are_sealed_with_their_tree(monkeypatch):
    monkeypatch.setattr(services, "SEGMENT_EVENTS", 4)
    for _ in range(6):
        services.record(action="auth.sign_in")
    assert services.seal_segments() == 1
    services.record(action="auth.sign_in")
    assert services.seal_segments() == 1  # the seal's own event counts
    assert list(AuditSegment.objects.values_list("first_seq", "last_seq")) == [(1, 4), (5, 8)]
    segment = AuditSegment.objects.first()
    digests = AuditEvent.objects.filter(seq__lte=4).order_by("seq").values_list("digest", flat=True)
    assert segment.root == chain.merkle_root(digests)


@pytest.mark.django_db
def test_a_clock_that_jumps_back_is_admitted_a_small_skew_smoothed(monkeypatch):
    from datetime import timedelta

    from django.utils import timezone

    now = timezone.now()
    clock = iter([now, now - timedelta(seconds=1), now - timedelta(hours=1)])
    monkeypatch.setattr(services.timezone, "now", lambda: next(clock))
    events = [services.record(action="auth.sign_in") for _ in range(3)]
    assert [event.at for event in events] == [now, now, now - timedelta(hours=1)]
    assert events[2].detail == {"clock_moved_back_ms": 3_600_000}
