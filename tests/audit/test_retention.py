"""Old events go by sealed segment, after their time, with two names; the chain verifies across the place."""

from datetime import timedelta

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from assistant.audit import chain, exported, exports, keys, reading, retention, services, triggers
from assistant.audit.models import AuditContent, AuditEvent, AuditPruning, AuditSegment
from assistant.errors import Conflict

pytestmark = pytest.mark.django_db
ASKED, AGREED = "user:1", "user:2"


@pytest.fixture
def aged(monkeypatch, settings, tmp_path):
    """`aged(days, days, …)`: a segment of four events of each age, and a few events of today."""
    settings.DATA_DIR = tmp_path
    monkeypatch.setattr(services, "SEGMENT_EVENTS", 4)

    def make(*ages):
        for age in ages:
            at = timezone.now() - timedelta(days=age)
            with monkeypatch.context() as patch:
                patch.setattr(services.timezone, "now", lambda at=at: at)
                while AuditEvent.objects.count() % 4 or not AuditEvent.objects.filter(at=at).exists():
                    services.record(action="answer.asked", content={"question": "q"})
                sealed = services.seal_segments()
            assert sealed
        services.record(action="auth.sign_in")
        services.checkpoint()

    return make


def prune(last=10**9):
    return retention.prune(last=last, requested_by=ASKED, approved_by=AGREED)


def test_pruning_waits_for_the_time_set_and_takes_whole_segments_from_the_oldest(aged):
    aged(500, 450, 300)
    assert [segment.last_seq for segment in retention.prunable()] == [4, 8]
    assert prune(last=4) == 1
    assert prune() == 1
    assert prune() == 0
    assert AuditEvent.objects.order_by("seq").first().seq == 9
    assert not AuditContent.objects.filter(pk__lt=9).exists()
    assert AuditEvent.objects.filter(action="audit.pruned").last().detail["requested_by"] == ASKED


def test_the_chain_verifies_across_what_was_pruned(aged, tmp_path):
    aged(500, 450, 300)
    prune(last=8)
    report = reading.verify_log()
    assert report.ok
    assert (report.first, report.prunings, report.events) == (9, 2, AuditEvent.objects.count())
    assert "removed by two people" in report.notes[0]
    path = tmp_path / "all.jsonl"
    path.write_text("".join(exports.jsonl()))
    told = exported.verify_file(path, public_key=services.current_keys().public)
    assert (told.ok, told.first, told.prunings) == (True, 9, 2)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith('{"type":"pruning"')))
    assert exported.verify_file(path).finding.kind == "gap"


def test_selections_keep_their_proofs_after_pruning(aged, tmp_path):
    aged(500, 300)
    prune(last=4)
    path = tmp_path / "some.jsonl"
    path.write_text("".join(exports.jsonl(reading.events(reading.Filters(action="answer.asked")))))
    assert exported.verify_file(path).ok


def test_a_pruning_statement_that_is_not_ours_is_found(aged):
    aged(500, 300)
    prune(last=4)
    triggers.remove(connection)
    forged = keys.sign(keys.derive("another"), {"pruned": 4})
    for change in ({"approved_by": "user:9"}, {"digest": "0" * 64}, {"signature": forged}):
        before = transaction.savepoint()
        AuditPruning.objects.update(**change)
        assert reading.verify_log().finding.kind == "pruning"
        transaction.savepoint_rollback(before)
    AuditPruning.objects.all().delete()
    report = reading.verify_log()
    assert (report.finding.kind, report.finding.seq) == ("gap", 1)


def test_a_segment_that_is_not_what_was_sealed_stays(aged):
    aged(500, 300)
    triggers.remove(connection)
    if connection.vendor == "postgresql":  # or the triggers could not be put back in this transaction
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    AuditEvent.objects.filter(seq=2).update(digest="0" * 64)
    triggers.install(connection)
    with pytest.raises(Exception, match="not what was sealed"):
        prune()
    assert AuditEvent.objects.filter(seq=1).exists()


def row(**changes):
    last = AuditEvent.objects.get(seq=changes.get("last_seq", 4))
    facts = {
        "first_seq": 1, "last_seq": 4, "digest": last.digest, "at": timezone.now(), "requested_by": ASKED,
        "approved_by": AGREED, "signature": "x",
    }  # fmt: skip
    return AuditPruning.objects.create(**(facts | changes))


@pytest.mark.parametrize(
    "change",
    [
        {"approved_by": ASKED},
        {"approved_by": ""},
        {"requested_by": ""},
        {"first_seq": 2},
        {"last_seq": 3},
        {"last_seq": 8},
    ],
)
def test_the_database_refuses_a_pruning_without_two_people_or_out_of_order(aged, change):
    aged(500, 450)
    with pytest.raises(DatabaseError, match="a pruning names"), transaction.atomic():
        row(**change)


def test_the_database_itself_keeps_184_days_whatever_the_product_says(aged, settings):
    aged(183)
    settings.AUDIT_RETENTION_DAYS = 1
    with pytest.raises(DatabaseError, match="184 days"), transaction.atomic():
        prune()
    assert AuditEvent.objects.filter(seq=1).exists()


def test_a_pruning_opens_no_way_to_any_other_event(aged):
    aged(500, 450)
    row()
    for sql in (
        "DELETE FROM audit_auditcontent WHERE event_id = 6",
        "DELETE FROM audit_auditevent WHERE seq = 5",
        "UPDATE audit_auditevent SET actor = 'user:9' WHERE seq = 1",
        "UPDATE audit_auditpruning SET last_seq = 8",
        "DELETE FROM audit_auditpruning",
    ):
        with pytest.raises(DatabaseError, match="never changed"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(sql)


def test_less_than_184_days_is_no_setting(monkeypatch):
    from django.core.exceptions import ImproperlyConfigured

    from assistant import settings as module

    monkeypatch.setenv("AUDIT_RETENTION_DAYS", "183")
    with pytest.raises(ImproperlyConfigured, match="at least 184"):
        module.env_int("AUDIT_RETENTION_DAYS", 400, minimum=184)


def test_roots_of_pruned_segments_still_prove_what_was_exported_before(aged):
    aged(500, 300)
    kept = list(AuditEvent.objects.filter(seq__lte=4).order_by("seq").values_list("digest", flat=True))
    prune(last=4)
    segment = AuditSegment.objects.get(last_seq=4)
    tree = chain.Tree(kept)
    assert chain.included(kept[2], index=2, size=4, proof=tree.proof(2), root=segment.root)


def test_no_segment_goes_while_a_keeper_names_a_hold(aged, monkeypatch):
    aged(500, 450)
    monkeypatch.setattr(retention, "_keepers", [])
    asked = []

    def keeper(first, last):
        asked.append((first, last))
        return 7 if last == 8 else None

    retention.ask_before_pruning(keeper)
    with pytest.raises(Conflict, match="Legal hold 7 keeps events between 5 and 8"):
        prune()
    assert AuditEvent.objects.order_by("seq").first().seq == 1  # the first segment stays too: nothing was removed
    assert asked == [(1, 4), (5, 8)]
    assert prune(last=4) == 1
