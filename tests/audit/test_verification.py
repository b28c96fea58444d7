"""Whatever is done to the log by somebody who owns the database, verification names it."""

import copy
import json
import random
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from assistant.audit import catalogue, chain, exported, exports, keys, outside, reading, services, triggers
from assistant.audit.models import AuditCheckpoint, AuditContent, AuditEvent, AuditSegment
from assistant.audit.verification import Checkpoint, Link, Segment, verify

OURS = keys.derive("x" * 40)


# --- the pure walk ---


def build(count=40, start=1, previous=chain.GENESIS, word="asked"):
    links = []
    for seq in range(start, start + count):
        record: chain.Record = {
            "schema": 1, "seq": seq, "at": f"2026-01-01T00:00:{seq % 60:02d}.000000Z", "request_id": f"r{seq}",
            "actor": f"user:{seq % 7}", "role": "employee", "session": "s", "origin": "10.0.0.1",
            "action": "answer.asked", "target_type": "answer", "target_id": str(seq), "outcome": "success",
            "detail": {"documents": [seq, seq + 1], "word": word}, "commitment": "", "previous": previous,
        }  # fmt: skip
        previous = chain.digest(record)
        links.append(Link(record, previous, chain.mac(OURS.mac, previous)))
    return links


CHAIN = build()
CHECKPOINTS = []
for _link in (CHAIN[9], CHAIN[-1]):
    _statement = Checkpoint(_link.record["seq"], "2026-01-01T01:00:00.000000Z", _link.digest)
    CHECKPOINTS.append(
        Checkpoint(
            _statement.seq, _statement.at, _statement.digest, keys.sign(OURS, _statement.statement), "checkpoint file"
        )
    )
SEGMENTS = [Segment(1, 16, chain.merkle_root([link.digest for link in CHAIN[:16]]))]


def walk(links, *, mac_key=OURS.mac, checkpoints=CHECKPOINTS, segments=SEGMENTS):
    return verify(links, mac_key=mac_key, public_key=OURS.public, checkpoints=checkpoints, segments=segments)


def test_an_untouched_chain_is_good():
    report = walk(CHAIN)
    assert report.ok
    assert (report.events, report.last, report.checkpoints, report.segments) == (40, 40, 2, 1)


@given(data=st.data())
def test_any_change_of_any_field_is_found_at_that_event(data):
    index = data.draw(st.integers(0, len(CHAIN) - 1))
    links = copy.deepcopy(CHAIN)
    record, digest, mac = links[index].record, links[index].digest, links[index].mac
    name = data.draw(st.sampled_from([*record, "digest", "mac"]))
    if name == "digest":
        digest = data.draw(st.text("0123456789abcdef", min_size=64, max_size=64).filter(lambda x: x != digest))
    elif name == "mac":
        mac = data.draw(st.text("0123456789abcdef", min_size=64, max_size=64).filter(lambda x: x != mac))
    elif name == "detail":
        record["detail"] = data.draw(
            st.dictionaries(st.sampled_from(["documents", "word", "x"]), st.integers() | st.text()).filter(
                lambda x: x != record["detail"]
            )
        )
    elif isinstance(record[name], int):
        record[name] = data.draw(st.integers(0, 99).filter(lambda x: x != record[name]))
    else:
        record[name] = data.draw(st.text(max_size=20).filter(lambda x: x != record[name]))
    links[index] = Link(record, digest, mac)
    report = walk(links)
    assert not report.ok
    expected = {"seq": ("gap", "fork"), "mac": ("mac",)}.get(name, ("content",))
    assert report.finding.kind in expected
    if name != "seq":
        assert report.finding.seq == index + 1


@pytest.mark.parametrize("length", range(40))
def test_every_cut_tail_is_found(length):
    report = walk(CHAIN[:length])
    assert (report.finding.kind, report.finding.seq) == ("truncation", length + 1)


@pytest.mark.parametrize("index", range(39))
def test_every_missing_event_is_found(index):
    report = walk(CHAIN[:index] + CHAIN[index + 1 :])
    assert (report.finding.kind, report.finding.seq) == ("gap", index + 1)


def test_a_repeated_event_is_a_fork():
    report = walk(CHAIN[:5] + CHAIN[4:])
    assert (report.finding.kind, report.finding.seq) == ("fork", 5)


def test_a_history_rewritten_without_the_key_fails_the_mac():
    forged = [Link(link.record, link.digest, "0" * 64) for link in build(word="forged")]
    assert walk(forged, checkpoints=[], segments=[]).finding.kind == "mac"


def test_a_history_rewritten_with_the_key_fails_the_checkpoints():
    report = walk(build(word="forged"), segments=[])
    assert (report.finding.kind, report.finding.seq) == ("fork", 10)


def test_one_event_rewritten_with_the_key_breaks_the_link_after_it():
    links = copy.deepcopy(CHAIN)
    record = links[20].record
    record["actor"] = "user:999"
    digest = chain.digest(record)
    links[20] = Link(record, digest, chain.mac(OURS.mac, digest))
    report = walk(links, checkpoints=[], segments=[])
    assert (report.finding.kind, report.finding.seq) == ("link", 22)


def test_a_clock_that_went_back_unannounced_is_found():
    links = build(5)
    record = build(1, start=6, previous=links[-1].digest)[0].record
    record["at"] = "2025-12-31T00:00:00.000000Z"
    for detail, kind in (({}, "clock"), ({"clock_moved_back_ms": 9}, None)):
        record["detail"] = detail
        digest = chain.digest(record)
        report = walk([*links, Link(record, digest, chain.mac(OURS.mac, digest))], checkpoints=[], segments=[])
        assert (report.finding.kind if report.finding else None) == kind


def test_a_forged_checkpoint_and_a_forged_tree_are_found():
    forged = Checkpoint(10, CHECKPOINTS[0].at, "0" * 64, CHECKPOINTS[0].signature, "checkpoint file")
    assert walk(CHAIN, checkpoints=[forged]).finding.kind == "checkpoint"
    assert walk(CHAIN, segments=[Segment(1, 16, "0" * 64)]).finding.kind == "segment"


def test_an_outsider_verifies_without_the_secret_key():
    assert walk(CHAIN, mac_key=None).ok
    assert not walk(CHAIN[:-1], mac_key=None).ok


# --- the log in the database ---


@pytest.fixture
def log(db, monkeypatch, settings, tmp_path):
    """Thirty events, texts, checkpoints, segments; then the intruder owns the database: triggers are gone."""
    settings.DATA_DIR = tmp_path
    monkeypatch.setattr(services, "SEGMENT_EVENTS", 8)
    for number in range(24):
        content = {"question": f"question {number}"} if number % 3 == 0 else None
        event = services.record(
            action="answer.asked", target=("answer", str(number)), content=content, detail={"n": number}
        )
        outside.advance_head(services.directory(), seq=event.seq, at=chain.timestamp(event.at), digest=event.digest)
    services.seal_segments()
    services.checkpoint()
    services.record(action="auth.sign_out")
    last = AuditEvent.objects.order_by("-seq").first()
    outside.advance_head(services.directory(), seq=last.seq, at=chain.timestamp(last.at), digest=last.digest)
    assert reading.verify_log().ok
    triggers.remove(connection)  # undone with the test's transaction
    return last.seq


def kind():
    report = reading.verify_log()
    return report.finding.kind if report.finding else "good"


TAMPERINGS = {
    **{
        name: lambda row, dice, name=name: {name: (getattr(row, name) + "x")[-20:]}
        for name in (
            "request_id", "actor", "role", "session", "origin", "action", "target_type", "target_id", "outcome",
            "commitment",
        )
    },
    **{
        name: lambda row, dice, name=name: {name: f"{dice.getrandbits(256):064x}"}
        for name in ("previous", "digest", "mac")
    },
    "detail": lambda row, dice: {"detail": {**row.detail, "n": dice.randrange(1000, 2000)}},
    "at": lambda row, dice: {"at": row.at + timedelta(microseconds=dice.choice([1, -1, 10**9]))},
    "schema": lambda row, dice: {"schema": row.schema + 1},
}  # fmt: skip


def test_a_thousand_random_tamperings_in_the_database_are_all_found(log):
    dice = random.Random(20260101)
    rows = list(AuditEvent.objects.order_by("seq"))
    for _ in range(1000):
        row = dice.choice(rows)
        name = dice.choice([*TAMPERINGS, "delete", "swap"])
        before = transaction.savepoint()
        found = AuditEvent.objects.filter(seq=row.seq)
        if name == "delete":
            AuditContent.objects.filter(pk=row.seq).delete()
            found.delete()
        elif name == "swap":  # two events' facts exchanged
            other = dice.choice([item for item in rows if item.seq != row.seq])
            found.update(at=other.at, detail=other.detail, target_id=other.target_id, action=other.action)
        else:
            found.update(**TAMPERINGS[name](row, dice))
        assert kind() != "good", (name, row.seq)
        transaction.savepoint_rollback(before)
    assert kind() == "good"


def test_every_cut_tail_of_the_table_is_found(log):
    for length in range(log - 1, 0, -1):
        AuditContent.objects.filter(pk__gt=length).delete()
        AuditEvent.objects.filter(seq__gt=length).delete()
        assert kind() == "truncation"


def test_an_emptied_log_is_a_truncation(log):
    AuditContent.objects.all().delete()
    AuditEvent.objects.all().delete()
    AuditCheckpoint.objects.all().delete()
    AuditSegment.objects.all().delete()
    assert kind() == "truncation"


def test_a_cut_tail_is_found_by_the_head_file_alone(log):
    AuditEvent.objects.filter(seq=log).delete()
    report = reading.verify_log()
    assert (report.finding.kind, report.finding.seq) == ("truncation", log)
    assert "head file" in report.finding.words


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows.update(ciphertext=None),
        lambda rows: rows.update(ciphertext=b"x" * 60),
        lambda rows: rows.update(salt=b"y" * 32),
        lambda rows: rows.delete(),
        lambda rows: rows.update(ciphertext=AuditContent.objects.get(pk=4).ciphertext),
    ],
)
def test_a_changed_or_missing_text_is_found(log, change):
    change(AuditContent.objects.filter(pk=1))
    report = reading.verify_log()
    assert (report.finding.kind, report.finding.seq) == ("content", 1)


def test_a_planted_text_is_found(log):
    AuditContent.objects.create(event_id=2, salt=b"s", ciphertext=b"c")
    assert kind() == "content"


def test_an_erased_text_is_no_finding(log):
    services.erase_contents([1, 4])
    report = reading.verify_log()
    assert report.ok
    assert report.contents == 8


def test_a_damaged_checkpoint_file_is_found_and_a_torn_last_line_is_not(log):
    path = services.directory() / outside.CHECKPOINTS
    whole = path.read_text()
    path.write_text(whole + '{"seq": 3, "at"')
    assert kind() == "good"
    path.write_text("{}\n" + whole)
    assert kind() == "checkpoint"


def test_a_checkpoint_removed_from_the_table_is_still_in_the_file(log):
    AuditCheckpoint.objects.all().delete()
    AuditSegment.objects.all().delete()
    (services.directory() / outside.HEAD).unlink()
    AuditEvent.objects.filter(seq__gte=log - 1).delete()
    assert kind() == "truncation"


def test_the_command_names_the_first_bad_record_and_fails(log, capsys):
    call_command("audit_verify")
    assert "good" in capsys.readouterr().out
    AuditEvent.objects.filter(seq=7).update(actor="user:999")
    AuditEvent.objects.filter(seq=9).update(actor="user:999")
    with pytest.raises(SystemExit) as ended:
        call_command("audit_verify", "--json")
    assert ended.value.code == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["finding"]["seq"], told["finding"]["kind"]) == (False, 7, "content")


# --- exports ---


def write(path, lines):
    path.write_text("".join(lines), encoding="utf-8")
    return path


def check(path):
    report = exported.verify_file(path, public_key=services.current_keys().public)
    return report.finding.kind if report.finding else "good"


def test_an_export_verifies_without_a_database(log, tmp_path, capsys):
    path = write(tmp_path / "all.jsonl", exports.jsonl())
    assert check(path) == "good"
    assert exported.main([str(path)]) == 0
    assert "fingerprint" in capsys.readouterr().out
    assert exported.main([str(path), "--public-key", keys.derive("other").public]) == 1
    assert exported.main([str(tmp_path / "none")]) == 2
    call_command("audit_verify", "--export", str(path))


def test_no_text_leaves_with_an_export(log):
    everything = "".join([*exports.jsonl(), *exports.csv_rows(reading.events()), *exports.cef_lines(reading.events())])
    assert "question 3" not in everything


@pytest.mark.parametrize("selected", [False, True])
def test_any_damage_to_an_export_is_found(log, tmp_path, selected):
    lines = list(
        exports.jsonl(reading.events(reading.Filters(action="answer.asked")).filter(seq__gt=5) if selected else None)
    )
    path = tmp_path / "x.jsonl"
    assert check(write(path, lines)) == "good"
    events = [n for n, line in enumerate(lines) if line.startswith('{"type":"event"')]
    dice = random.Random(7)
    for number in events:
        assert check(write(path, lines[:number] + lines[number + 1 :])) != "good"  # a line gone
        item = json.loads(lines[number])
        item["actor"] = "user:999"
        assert check(write(path, [*lines[:number], json.dumps(item) + "\n", *lines[number + 1 :]])) == "content"
        at = dice.randrange(len(lines[number]) - 1)
        assert check(write(path, [*lines[:number], lines[number][:at] + "\n", *lines[number + 1 :]])) != "good"
    for length in range(len(lines) - len(events), len(lines)):
        assert check(write(path, lines[:length])) == "truncation"
    assert check(write(path, [*lines[:-1], lines[-1].replace('"events":', '"events":1')])) != "good"


def test_a_selection_proves_each_event_against_the_trees(log, tmp_path):
    chosen = reading.events(reading.Filters(target="answer:13"))
    lines = list(exports.jsonl(chosen))
    assert [json.loads(line)["type"] for line in lines] == ["header", "tree", "event", "trailer"]
    path = write(tmp_path / "one.jsonl", lines)
    report = exported.verify_file(path)
    assert report.ok
    assert report.events == 1
    item = json.loads(lines[2])
    item["proof"][0] = "0" * 64
    lines[2] = json.dumps(item) + "\n"
    assert check(write(path, lines)) == "segment"


def test_an_empty_selection_is_a_valid_export(log, tmp_path):
    assert (
        check(write(tmp_path / "none.jsonl", exports.jsonl(reading.events(reading.Filters(actor="user:404")))))
        == "good"
    )


def test_a_file_that_is_no_export_is_said_to_be_none(tmp_path):
    with pytest.raises(ValueError, match="not an exported audit log"):
        exported.verify_file(write(tmp_path / "x", ["hello\n"]))


@pytest.mark.django_db
def test_no_cell_of_the_table_starts_a_formula():
    for value in ("=1+1", "+1", "-1", "@x", "\t=1", " =1", "＝1"):
        services.record(action="auth.sign_in", target=("user", value))
    rows = "".join(exports.csv_rows(reading.events())).splitlines()
    assert rows[0].lstrip("\ufeff").startswith("seq,at,action")
    cells = [cell for row in rows[1:] for cell in row.split(",")]
    assert not [cell for cell in cells if cell.strip('" ').startswith(("=", "+", "@", "＝"))]
    assert sum("'" in row for row in rows) == 7


@pytest.mark.django_db
def test_cef_lines_escape_what_would_forge_a_field():
    services.record(action="auth.refused", outcome="refused", target=("user", "x outcome=success\nCEF:0|"))
    (line,) = exports.cef_lines(reading.events())
    assert line.startswith(f"CEF:0|Assistant|assistant|{catalogue.VERSION}|auth.refused|Sign-in refused|6|")
    assert line.count("\n") == 1
    assert "x outcome\\=success\\nCEF:0|" in line


@pytest.mark.django_db
def test_events_are_found_by_each_filter():
    services.record(action="document.uploaded", target=("document", "d1"))
    services.record(action="document.deleted", target=("document", "d2"), outcome="failed")
    services.record(action="auth.sign_in", target=("user", "1"))

    def found(**filters):
        return list(reading.events(reading.Filters(**filters)).values_list("seq", flat=True))

    assert found() == [3, 2, 1]
    assert found(action="document.") == [2, 1]
    assert found(action="auth.sign_in") == [3]
    assert found(target="document") == [2, 1]
    assert found(target="document:d2") == [2]
    assert found(outcome="failed") == [2]
    assert found(actor="anonymous") == [3, 2, 1]
    assert found(actor="user:9") == []
    middle = AuditEvent.objects.get(seq=2).at
    assert found(since=middle) == [3, 2]
    assert found(until=middle) == [1]
