"""Opening and erasing: what is shown to whom, that it is on record, and what is left afterwards."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection

from assistant.audit.models import AuditEvent
from assistant.documents import erasure, ingestion, services, storage
from assistant.documents.models import Chunk, Collection, Document, DocumentVersion, IndexEvent, Page, Status
from assistant.errors import AuditUnavailable, Conflict, Invalid, NotFound
from assistant.web import wording

from .conftest import POLICY, ROADMAP, SALARY, files_on_disk

pytestmark = pytest.mark.django_db(transaction=True)


def pdf(*lines: str) -> bytes:
    """A one-page PDF with a text layer, by hand."""
    text = " ".join(f"BT /F1 14 Tf 72 {720 - 24 * n} Td ({line}) Tj ET" for n, line in enumerate(lines)).encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R"
        b" /Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(text), text),
    ]
    out, offsets = bytearray(b"%PDF-1.7\n"), []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 5\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return bytes(out + b"trailer << /Size 5 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % start)


def recorded(document) -> list[str]:
    return list(AuditEvent.objects.filter(target_id=str(document.pk)).order_by("seq").values_list("action", flat=True))


def test_a_page_and_the_original_are_shown_and_recorded(world):
    document = world.ready(world.handbook, "travel.md", POLICY)
    view = services.page(actor=world.people.outsider, document=document, number=1)
    assert "six hours" in view.text
    assert (view.pages, view.version, view.current, view.has_picture) == (1, 1, True, False)
    original = services.open_original(actor=world.people.outsider, document=document)
    with original.file as file:
        assert file.read() == POLICY
    assert original.filename == "travel.md"
    assert recorded(document)[-2:] == ["document.page_viewed", "document.downloaded"]


def test_absent_pages_and_foreign_documents_are_the_same(world):
    document = world.ready(world.handbook, "travel.md", POLICY)
    hidden = world.ready(world.board, "roadmap.md", ROADMAP)
    for number in (0, 2, -1, 2**40):
        with pytest.raises(NotFound):
            services.page(actor=world.people.outsider, document=document, number=number)
    with pytest.raises(NotFound):
        services.page(actor=world.people.outsider, document=hidden, number=1)
    with pytest.raises(NotFound):
        services.open_original(actor=world.people.outsider, document=hidden)
    with pytest.raises(NotFound):
        services.page_picture(actor=world.people.outsider, document=hidden, number=1)
    assert "document.page_viewed" not in recorded(hidden)


def test_without_a_record_nothing_is_shown(world, monkeypatch):
    document = world.ready(world.handbook, "travel.md", POLICY)

    def unavailable(**_):
        raise AuditUnavailable

    monkeypatch.setattr("assistant.documents.services.reading.audit.record", unavailable)
    for open_it in (
        lambda: services.page(actor=world.people.employee, document=document, number=1),
        lambda: services.open_original(actor=world.people.employee, document=document),
    ):
        with pytest.raises(AuditUnavailable):
            open_it()


def test_readers_open_earlier_answering_versions_but_no_others(world):
    document = world.ready(world.handbook, "travel.md", POLICY)
    version, _ = services.replace(
        actor=world.people.curator, document=document, file=io.BytesIO(ROADMAP), filename="travel.md"
    )
    with pytest.raises(NotFound):
        services.open_original(actor=world.people.employee, document=document, version=2)
    services.open_original(actor=world.people.curator, document=document, version=2).file.close()
    ingestion.ingest(version.pk)
    assert "Falcon" in services.page(actor=world.people.employee, document=document, number=1).text
    old = services.page(actor=world.people.employee, document=document, number=1, version=1)
    assert ("six hours" in old.text, old.current) == (True, False)


def test_a_page_picture_with_the_place_of_a_quote_is_drawn_once_and_kept(world, monkeypatch):
    document = world.ready(world.handbook, "travel.pdf", pdf("Travel policy", "Business class on long flights."))
    options = {
        "actor": world.people.employee,
        "document": document,
        "number": 1,
        "width": 800,
        "quotes": ["Business class on long flights.", "nowhere to be found"],
    }
    picture = services.page_picture(**options)
    assert picture.png.startswith(b"\x89PNG")
    assert picture.width == 800
    (found, missing) = picture.boxes
    assert missing == ()
    x0, y0, x1, y1 = found[0]
    assert 0.05 < x0 < x1 < 0.9
    assert 0.05 < y0 < y1 < 0.3
    monkeypatch.setattr("assistant.documents.services.reading.render_page", None)
    assert services.page_picture(**options) == picture
    cached = list(storage.pictures(document.pk).iterdir())
    assert all(path.stat().st_mode & 0o077 == 0 for path in cached)
    assert not any(b"flights" in path.read_bytes() for path in cached if path.suffix == ".json")
    with pytest.raises(Invalid):
        services.page_picture(**{**options, "width": 5000})


def test_one_look_at_a_page_with_its_picture_is_one_event(world, monkeypatch):
    document = world.ready(world.handbook, "travel.pdf", pdf("Travel policy", "Business class on long flights."))
    wanted = {"document": document, "number": 1, "width": 400}
    reader, other = world.people.employee, world.people.outsider
    view = services.page(actor=reader, document=document, number=1)
    for _ in range(2):
        services.page_picture(actor=reader, look=view.look, **wanted)
    seen = AuditEvent.objects.filter(action="document.page_viewed")
    assert seen.get().detail == {"version": 1, "page": 1, "picture": True}
    services.page_picture(actor=other, look=view.look, **wanted)  # somebody else's look
    services.page_picture(actor=reader, look=view.look + "x", **wanted)
    services.page_picture(actor=reader, **wanted)
    assert seen.count() == 4
    monkeypatch.setattr("assistant.documents.services.reading.LOOK_SECONDS", -1)  # it is over
    services.page_picture(actor=reader, look=view.look, **wanted)
    assert seen.count() == 5


def test_kinds_without_pictures_have_none(world):
    document = world.ready(world.handbook, "travel.md", POLICY)
    with pytest.raises(NotFound):
        services.page_picture(actor=world.people.employee, document=document, number=1)


RECEIPT = ("versions", "pages", "chunks", "files", "pictures", "snapshot_files")


def test_deletion_erases_rows_files_pictures_and_words_and_counts_them(world, replica):
    secret = "Zanzibarquokka"
    document = world.ready(world.handbook, "secret.pdf", pdf(f"The project is called {secret}."))
    services.page_picture(actor=world.people.employee, document=document, number=1)
    replica.catch_up()
    storage.index_folder().mkdir(parents=True, exist_ok=True)
    (storage.index_folder() / "replica.mark").write_bytes(b"words of the document")
    asked = []
    erasure.register_eraser(count := lambda ids: asked.extend(ids) or {"answers_withheld": 2})
    try:
        receipt = services.delete(actor=world.people.curator, document=document)
    finally:
        erasure._erasers.remove(count)
    assert asked == [document.pk]
    assert receipt["answers_withheld"] >= 2
    assert {name: receipt[name] for name in RECEIPT} == {
        "versions": 1,
        "pages": 1,
        "chunks": 1,
        "files": 1,
        "pictures": 2,
        "snapshot_files": 1,
    }
    assert not list(storage.index_folder().iterdir())
    assert not DocumentVersion.objects.exists()
    assert not Page.objects.exists()
    assert not Chunk.objects.exists()
    assert files_on_disk() == []
    assert IndexEvent.objects.last().document_id == document.pk
    events = AuditEvent.objects.filter(target_id=str(document.pk), action="document.deleted").order_by("seq")
    assert [event.outcome for event in events] == ["intent", "success"]
    assert recorded(document)[-1] == "document.erased"
    if connection.vendor == "sqlite":
        for path in Path(settings.DATA_DIR).rglob("*"):
            if path.is_file():
                assert secret.encode() not in path.read_bytes(), path
    with pytest.raises(NotFound):
        services.delete(actor=world.people.curator, document=document)


def test_deletion_without_a_record_does_not_begin(world, monkeypatch):
    document = world.ready(world.handbook, "travel.md", POLICY)

    def unavailable(**_):
        raise AuditUnavailable

    monkeypatch.setattr("assistant.documents.services.lifecycle.audit.intent", unavailable)
    with pytest.raises(AuditUnavailable):
        services.delete(actor=world.people.curator, document=document)
    assert Document.objects.filter(pk=document.pk).exists()
    assert storage.path_of(document.latest.stored).exists()


def test_a_collection_goes_only_when_it_is_empty(world):
    boss = world.people.administrator
    document = world.upload(world.board, "a.md", POLICY)
    with pytest.raises(Conflict):
        services.delete_collection(actor=boss, collection=world.board)
    services.delete(actor=boss, document=document)
    services.delete_collection(actor=boss, collection=world.board)
    assert not Collection.objects.filter(slug="board").exists()


def test_readers_learn_no_reading_state_and_managers_all_of_it(world):
    document = world.ready(world.handbook, "travel.md", POLICY)
    for version in DocumentVersion.objects.all():
        version.warnings, version.hidden_text = ["w"], [{"page": 1, "reason": "white", "text": "psst"}]
        version.save()
    document = Document.objects.get()
    seen = services.state(actor=world.people.outsider, document=document)
    assert (seen.warnings, seen.hidden_text, seen.manages) == ((), (), False)
    assert services.state(actor=world.people.curator, document=document).hidden_text == ()  # only when asked for
    assert "document.hidden_viewed" not in recorded(document)
    managed = services.state(actor=world.people.curator, document=document, hidden=True)
    assert recorded(document)[-1] == "document.hidden_viewed"
    assert (managed.warnings, managed.hidden_text[0]["text"], managed.manages) == (("w",), "psst", True)


def test_managers_see_how_many_files_wait_before_theirs(world):
    first = world.upload(world.handbook, "a.md", POLICY)
    second = world.upload(world.finance, "b.md", SALARY)
    third = world.upload(world.handbook, "c.md", ROADMAP)
    ahead = {
        row.pk: state.ahead
        for row, state in services.states(actor=world.people.administrator, documents=Document.objects.all())
    }
    assert ahead == {first.pk: 0, second.pk: 1, third.pk: 2}
    assert "2" in wording.state(services.state(actor=world.people.curator, document=third))["words"]
    ingestion.ingest(first.latest.pk)
    assert services.state(actor=world.people.administrator, document=third).ahead == 1


class TestIngestCommand:
    @pytest.fixture
    def folder(self, tmp_path):
        (tmp_path / "policies").mkdir()
        (tmp_path / "policies" / "travel.md").write_bytes(POLICY)
        (tmp_path / "salary.md").write_bytes(SALARY)
        (tmp_path / ".hidden.md").write_bytes(b"no")
        (tmp_path / "tool.exe").write_bytes(b"MZ")
        return tmp_path

    def run(self, *arguments, capsys):
        call_command("ingest", *map(str, arguments))
        return capsys.readouterr().out

    def test_nothing_to_take_says_what_to_do(self, world, tmp_path, capsys):
        options = ("--collection", "handbook", "--as", world.people.curator.email)
        said = self.run(tmp_path, *options, capsys=capsys)
        assert "holds no file that can be read" in said
        assert "Put some in and run this again: " in said
        assert ".pdf" in said
        (tmp_path / "empty.txt").touch()
        with pytest.raises(CommandError, match="1 file"):
            self.run(tmp_path, *options, capsys=capsys)
        assert "The file is empty. Look at it where it comes from, and send it again" in capsys.readouterr().out

    def test_a_folder_is_taken_once_and_changes_become_versions(self, world, folder, capsys):
        options = ("--collection", "handbook", "--as", world.people.curator.email)
        assert "2 new" in self.run(folder, *options, capsys=capsys)
        assert "2 unchanged" in self.run(folder, *options, capsys=capsys)
        (folder / "salary.md").write_bytes(SALARY + b"More.\n")
        assert "1 changed, 1 unchanged" in self.run(folder, *options, capsys=capsys)
        assert sorted(Document.objects.values_list("title", flat=True)) == ["salary", "travel"]

    def test_wait_tells_how_each_file_ended(self, world, folder, capsys, monkeypatch):
        (folder / "broken.pdf").write_bytes(b"%PDF-1.7 broken")

        def read_now(_):
            for version in DocumentVersion.objects.filter(status=Status.QUEUED):
                ingestion.ingest(version.pk)

        monkeypatch.setattr("assistant.documents.folders.time.sleep", read_now)
        with pytest.raises(CommandError, match="1 file"):
            self.run(folder, "--collection", "handbook", "--as", world.people.curator.email, "--wait", capsys=capsys)
        out = capsys.readouterr().out
        assert "[3/3]" in out
        assert "failed      broken.pdf: The file is damaged." in out

    def test_a_watch_takes_whole_files_once_and_tells_what_is_gone(self, world, folder, capsys, monkeypatch):
        def aged(name: str, content: bytes) -> None:
            (folder / name).write_bytes(content)
            os.utime(folder / name, (time.time() - 60, time.time() - 60 + len(content)))

        def half_written() -> None:
            (folder / "new.md").write_bytes(b"# Half a sen")

        def read_now() -> None:
            for version in DocumentVersion.objects.filter(status=Status.QUEUED):
                ingestion.ingest(version.pk)

        steps = iter(
            [
                half_written,
                lambda: aged("new.md", b"# New\n\nA whole sentence."),
                read_now,
                lambda: aged("salary.md", SALARY + b"More.\n"),
                lambda: aged("broken.pdf", b"%PDF-1.7 broken"),
                read_now,  # it fails, and is not taken again
                (folder / "policies" / "travel.md").unlink,
                lambda: None,
            ]
        )

        def next_round(_: float) -> None:
            step = next(steps, None)
            if step is None:
                raise KeyboardInterrupt
            step()

        for name in ("policies/travel.md", "salary.md"):
            os.utime(folder / name, (time.time() - 60, time.time() - 60))
        stored = []
        receive = storage.receive
        monkeypatch.setattr(storage, "receive", lambda *a, **k: stored.append(1) or receive(*a, **k))
        monkeypatch.setattr("assistant.documents.management.commands.ingest.time.sleep", next_round)
        options = ("--collection", "handbook", "--as", world.people.curator.email, "--watch")
        out = self.run(folder, *options, capsys=capsys)
        told = [line.split(str(folder))[0].strip() for line in out.splitlines() if str(folder) in line]
        assert told == ["new", "new", "new", "changed", "new", "gone"]
        assert len(stored) == 5  # nothing is copied to see that it is unchanged
        assert Document.objects.count() == 4
        assert self.ends() == {
            "broken.pdf": [(Status.FAILED, 1)],
            "new.md": [(Status.READY, 1)],
            "salary.md": [(Status.READY, 1), (Status.READY, 1)],
            "travel.md": [(Status.READY, 1)],
        }

        # A watch that starts again takes nothing twice, but gives the failed file another chance.
        steps = iter([])
        assert "new" not in self.run(folder, *options, capsys=capsys)
        assert len(stored) == 6
        assert DocumentVersion.objects.count() == 5
        assert self.ends()["broken.pdf"] == [(Status.QUEUED, 0)]

    @staticmethod
    def ends() -> dict[str, list[tuple[str, int]]]:
        found: dict[str, list[tuple[str, int]]] = {}
        for version in DocumentVersion.objects.order_by("pk"):
            found.setdefault(version.filename, []).append((version.status, version.attempt))
        return dict(sorted(found.items()))

    def test_wrong_arguments_are_one_sentence(self, world, folder, capsys):
        for arguments, words in (
            ((folder / "none", "--collection", "handbook", "--as", world.people.curator.email), "does not exist"),
            ((folder, "--collection", "board", "--as", world.people.curator.email), "manages no collection"),
            ((folder, "--collection", "handbook", "--as", "nobody@company.example"), "nobody"),
        ):
            with pytest.raises(CommandError, match=words):
                self.run(*arguments, capsys=capsys)
