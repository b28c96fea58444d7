"""Search and its replica: only what may be read, all that may be read, at this moment."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from django.utils import timezone

from assistant.accounts.models import Membership
from assistant.documents import index_events, ingestion, search_desk, services
from assistant.documents import replica as replicas
from assistant.documents.models import Chunk, IndexEvent
from assistant.documents.replica import DocumentReplica
from assistant.documents.search import Searcher

from .conftest import POLICY

pytestmark = pytest.mark.django_db(transaction=True)


def found(searcher, user, text="employees engineers customers", **options) -> set[str]:
    report = searcher.search(user=user, text=text, **options)
    return {item.chunk.document.title for item in report.passages}


def test_each_persona_finds_exactly_what_they_may_read(world, library, searcher):
    people = world.people
    assert found(searcher, people.employee) == {"Travel policy", "Salary bands"}
    for name in ("curator", "auditor", "administrator", "outsider"):
        assert found(searcher, getattr(people, name)) == {"Travel policy"}, name
    report = searcher.search(user=people.outsider, text="Falcon turbine salary")
    assert {item.chunk.document_id for item in report.passages} == {library["policy"].pk}
    assert report.searched_chunks == Chunk.objects.filter(document=library["policy"]).count()


def test_narrowing_to_collections_never_widens(world, library, searcher):
    employee = world.people.employee
    assert found(searcher, employee, collections=["finance"]) == {"Salary bands"}
    assert found(searcher, employee, collections=["finance", "board", "nowhere"]) == {"Salary bands"}
    assert found(searcher, employee, collections=["board"]) == set()
    assert found(searcher, employee, collections=["nowhere"]) == set()


def test_grant_revoke_team_restrict_move_and_delete_hold_for_the_next_search(world, library, searcher):
    people, boss = world.people, world.people.administrator
    outsider = people.outsider
    assert found(searcher, outsider) == {"Travel policy"}
    grant, _ = services.grant_collection(
        actor=boss, collection=world.board, principal=f"user:{outsider.email}", access="reader"
    )
    assert found(searcher, outsider) == {"Travel policy", "Roadmap"}
    services.revoke_collection(actor=boss, collection=world.board, grant_id=grant.pk)
    assert found(searcher, outsider) == {"Travel policy"}
    membership = Membership.objects.create(team=world.team, user=outsider)
    assert found(searcher, outsider) == {"Travel policy", "Salary bands"}
    membership.delete()
    assert found(searcher, outsider) == {"Travel policy"}
    services.grant_document(actor=boss, document=library["policy"], principal="team:finance", access="reader")
    assert found(searcher, outsider) == set()
    assert found(searcher, people.employee) == {"Travel policy", "Salary bands"}
    services.unrestrict_document(actor=boss, document=library["policy"])
    assert found(searcher, outsider) == {"Travel policy"}
    services.move(actor=boss, document=library["policy"], collection=world.board)
    assert found(searcher, outsider) == set()
    services.move(actor=boss, document=library["policy"], collection=world.handbook)
    assert found(searcher, outsider) == {"Travel policy"}
    services.delete(actor=boss, document=library["policy"])
    assert found(searcher, outsider) == set()


@pytest.mark.usefixtures("noon")
def test_documents_out_of_date_do_not_speak_for_today(world, library, searcher):
    boss, employee = world.people.administrator, world.people.employee
    today = timezone.localdate()
    day = timedelta(days=1)
    for dates, shown in (
        ({"valid_until": today - day}, False),
        ({"valid_until": today}, True),
        ({"valid_until": None, "valid_from": today + day}, False),
        ({"valid_from": today}, True),
    ):
        services.update_document(actor=boss, document=library["salary"], **dates)
        assert ("Salary bands" in found(searcher, employee)) is shown, dates


def test_a_new_title_is_searched(world, library, searcher):
    employee = world.people.employee
    services.update_document(actor=world.people.administrator, document=library["salary"], title="Zebra compensation")
    first = searcher.search(user=employee, text="zebra").passages[0]
    assert first.chunk.document.title == "Zebra compensation"
    assert first.lexical > 0


def test_suspicious_passages_sink(world, library, searcher):
    employee = world.people.employee
    first = searcher.search(user=employee, text="business class flights").passages[0].chunk
    assert first.document == library["policy"]
    before = searcher.search(user=employee, text="business class flights").passages[0].score
    Chunk.objects.filter(pk=first.pk).update(suspicion=0.8)
    after = {i.chunk.pk: i.score for i in searcher.search(user=employee, text="business class flights").passages}
    assert after[first.pk] == pytest.approx(before / 2)


def test_few_passages_of_one_document(world, searcher):
    text = "\n\n".join(f"# Part {n}\n\nThe warranty of model {n} lasts {n} years." for n in range(2, 14))
    world.ready(world.handbook, "long.md", text.encode())
    report = searcher.search(user=world.people.employee, text="warranty of the model", limit=10, per_document=3)
    assert len(report.passages) == 3


def test_the_worker_answers_like_the_library_and_nothing_readable_travels(world, library, searcher, monkeypatch):
    from assistant.documents import sealed
    from assistant.documents.services import asking
    from assistant.transport import redis_client

    monkeypatch.setattr("assistant.documents.search.searcher", lambda: searcher)
    payload = {"user": world.people.employee.pk, "query": "salary", "collections": [], "limit": 5}
    client = redis_client()
    message = asking.message(asking.SEARCH, "r1", payload)
    assert "salary" not in message
    client.rpush(asking.word_key("r1"), asking.GO)
    search_desk.serve(message)
    assert client.llen(asking.reply_key("r1")) == 1
    raw = client.lindex(asking.reply_key("r1"), 0)
    assert "Salary" not in raw
    reply = sealed.unseal(raw, seconds=60)
    assert next(row["title"] for row in reply["results"]) == "Salary bands"
    assert client.ttl(asking.reply_key("r1")) > 0


def test_an_erased_documents_own_sentences_no_longer_find_it(world, library, searcher, monkeypatch):
    from assistant.documents.services import asking

    secret = "The Falcon turbine ships to customers in the third quarter."
    key = str(library["roadmap"].pk)
    assert searcher.still_finds(key, [secret]) == 1
    monkeypatch.setattr("assistant.documents.search.searcher", lambda: searcher)
    monkeypatch.setattr(asking.health, "workers", lambda: [{"queue": "answers"}])

    desk = search_desk.Desk(1)
    desk.open()
    receipt = services.delete(actor=world.people.administrator, document=library["roadmap"])
    desk.close()
    assert (receipt["sentences_asked"], receipt["sentences_found"]) == (1, 0)
    assert searcher.still_finds(str(library["salary"].pk), ["Engineers in band four earn"]) == 1


class TestReplica:
    def test_nothing_new_costs_one_query(self, world, library, replica, django_assert_num_queries):
        replica.catch_up()
        with django_assert_num_queries(1):
            replica.catch_up()

    def test_any_path_ends_in_the_same_index(self, world, library, replica, embedder, tmp_path):
        """Followed from the start, rebuilt, and restored from a snapshot: the same results, bit for bit."""
        boss = world.people.administrator
        follower = replica
        follower.catch_up()
        services.grant_document(actor=boss, document=library["salary"], principal="everyone", access="reader")
        follower.catch_up()
        version, _ = services.replace(
            actor=boss, document=library["policy"], file=io.BytesIO(POLICY + b"\nAnd trains.\n"), filename="p.md"
        )
        ingestion.ingest(version.pk)
        follower.catch_up()
        assert follower.save()
        services.delete(actor=boss, document=library["roadmap"])

        def fresh(folder):
            return DocumentReplica(dimension=embedder.dimension, model_id=embedder.model_id, folder=folder)

        rebuilt, restored = fresh(tmp_path / "none"), fresh(tmp_path / "index")
        results = [self.everything(embedder, each) for each in (follower, rebuilt, restored)]
        assert results[0] == results[1] == results[2]
        assert results[0]
        assert {each.seq for each in (follower, rebuilt, restored)} == {index_events.last_seq()}

    @staticmethod
    def everything(embedder, replica):
        replica.catch_up()
        vector = embedder.embed(["salary of employees on trains"])[0]
        return replica.index.search(
            "salary of employees on trains",
            vector,
            partitions=replica.index.partitions(),
            limit=50,
            per_document=50,
        )

    @pytest.mark.parametrize("damage", ["flip", "truncate", "mark", "gone"])
    def test_a_damaged_snapshot_is_rebuilt(self, world, library, replica, embedder, damage):
        replica.catch_up()
        expected = self.everything(embedder, replica)
        replica.save()
        path = replica._snapshot_path
        data = bytearray(path.read_bytes())
        if damage == "flip":
            data[len(data) // 2] ^= 1
            path.write_bytes(data)
        elif damage == "truncate":
            path.write_bytes(data[:-7])
        elif damage == "mark":
            replica._mark_path.write_text('[2, "x", "y"]')
        else:
            replica._mark_path.unlink()
        again = DocumentReplica(dimension=embedder.dimension, model_id=embedder.model_id, folder=replica._folder)
        assert self.everything(embedder, again) == expected

    def test_a_restored_database_is_noticed_by_its_history(self, world, library, replica, searcher):
        """The database goes back to an earlier state and then moves on past the replica's number."""
        replica.catch_up()
        last = index_events.last_seq()
        IndexEvent.objects.filter(seq=last).delete()
        Chunk.objects.filter(document=library["policy"]).delete()  # the restored state differs
        services.update_document(actor=world.people.administrator, document=library["salary"], title="Pay")
        services.update_document(actor=world.people.administrator, document=library["salary"], title="Pay scale")
        assert index_events.last_seq() == last + 1
        assert found(searcher, world.people.employee) == {"Pay scale"}

    def test_events_that_were_pruned_cause_a_rebuild(self, world, library, replica, searcher):
        replica.catch_up()
        for n in range(3):
            services.update_document(actor=world.people.administrator, document=library["salary"], title=f"Pay {n}")
        IndexEvent.objects.filter(seq__lt=index_events.last_seq()).delete()
        assert found(searcher, world.people.employee) == {"Travel policy", "Pay 2"}
        fresh = replica.seq
        assert fresh == index_events.last_seq()

    def test_deletion_leaves_no_word_in_snapshot_or_memory(self, world, library, replica):
        replica.catch_up()
        replica.save()
        assert replica._snapshot_path.exists()
        services.delete(actor=world.people.administrator, document=library["roadmap"])
        replica.catch_up()
        assert not replica._snapshot_path.exists()
        assert replica.purge()
        assert not replica.purge()
        replica.save()
        assert str(library["roadmap"].pk).encode() not in replica._snapshot_path.read_bytes()

    def test_the_keeper_follows_an_idle_worker_and_leaves_a_snapshot(self, world, library, replica, monkeypatch):
        import time

        monkeypatch.setattr(replicas, "_KEEPER_SECONDS", 0.05)
        keeper = replicas.Keeper(replica)
        keeper.start()
        services.delete(actor=world.people.administrator, document=library["roadmap"])
        end = time.monotonic() + 60
        while replica.seq != index_events.last_seq() and time.monotonic() < end:
            time.sleep(0.02)
        keeper.stop()
        assert not keeper.is_alive()
        assert replica.seq == index_events.last_seq()
        assert replica._snapshot_path.exists()

    def test_two_threads_catching_up_and_searching_agree(self, world, library, replica, embedder):
        from concurrent.futures import ThreadPoolExecutor

        from django.db import connection

        searcher = Searcher(embedder=embedder, replica=replica)

        def ask(_):
            try:
                return [
                    (item.chunk.pk, item.score)
                    for item in searcher.search(user=world.people.employee, text="salary flights").passages
                ]
            finally:
                connection.close()

        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(ask, range(8)))
        assert all(answer == answers[0] for answer in answers)
        assert answers[0]
