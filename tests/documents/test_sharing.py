"""One person who floods a subject with uploads does not speak alone about it; who uploaded all there is still does."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from assistant.documents import services, sharing

TOPIC = "The visitor badge is returned at the gate of hall {n}. Lost visitor badges are reported to hall {n}."


def passage(uploader, fit):
    chunk = SimpleNamespace(version=SimpleNamespace(uploaded_by_id=uploader))
    return SimpleNamespace(chunk=chunk, dense=fit, lexical=20 * fit)


def test_beyond_the_limit_other_people_go_first_when_they_fit_half_as_well():
    flood = [passage(1, 0.9 - at / 100) for at in range(10)]
    fits, does_not = passage(2, 0.5), passage(3, 0.3)
    first, rest = flood[: sharing.PER_UPLOADER], flood[sharing.PER_UPLOADER :]
    assert sharing.shared_out([*flood, fits, does_not]) == [*first, fits, *rest, does_not]
    assert sharing.shared_out([*flood, does_not]) == [*flood, does_not]


def test_one_uploader_alone_keeps_every_place_and_the_order():
    flood = [passage(1, 0.9 - at / 100) for at in range(10)]
    assert sharing.shared_out(flood) == flood
    assert sharing.crowd([], 10) is None


def test_people_who_have_left_are_one_uploader():
    assert sharing.crowd([passage(None, 0.9)] * 10, 10) == (None,)
    assert sharing.crowd([*[passage(1, 0.9)] * 6, *[passage(2, 0.9)] * 4], 10) is None


@pytest.mark.django_db(transaction=True)
def test_a_flood_of_uploads_leaves_room_for_what_others_say(world, searcher):
    people = world.people
    services.grant_collection(
        actor=people.administrator,
        collection=world.handbook,
        principal=f"user:{people.outsider.email}",
        access="curator",
    )
    type(people.outsider).objects.filter(pk=people.outsider.pk).update(role="curator")
    people.outsider.refresh_from_db()
    honest = world.ready(
        world.handbook, "badges.md", b"# Badges\n\nWho has lost a visitor badge tells the reception at once."
    )
    for n in range(sharing.PER_UPLOADER + 30):
        world.ready(world.handbook, f"hall {n}.md", TOPIC.format(n=n).encode(), actor=people.outsider)
    report = searcher.search(
        user=people.employee, text="Where is a lost visitor badge reported or returned, hall or gate?"
    )
    uploaders = [item.chunk.version.uploaded_by_id for item in report.passages]
    assert len(uploaders) == 10
    assert honest.pk in {item.chunk.document_id for item in report.passages}
    scores = [item.score for item in report.passages]
    assert scores == sorted(scores, reverse=True)
