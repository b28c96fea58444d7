"""Queries whose SQL is kept find what the query of models finds, at each run anew."""

from __future__ import annotations

from datetime import UTC, date, datetime
from uuid import uuid4

import pytest
from django.db import models
from django.db.models import QuerySet

from assistant.accounts.models import Team
from assistant.backends.prepared import Prepared
from assistant.documents.models import IndexEvent

pytestmark = pytest.mark.django_db

NAMED = Prepared(lambda slugs: Team.objects.filter(slug__in=slugs).order_by("slug").values_list("slug"))


@pytest.fixture
def teams() -> None:
    Team.objects.bulk_create(Team(name=f"Team {number}", slug=f"team-{number:03}") for number in range(40))


@pytest.mark.parametrize("count", [1, 15, 16, 17, 40])
def test_lists_of_any_length(teams, count):
    slugs = [f"team-{number:03}" for number in range(count)]
    assert NAMED.rows(slugs=slugs) == [(slug,) for slug in slugs]


def test_a_row_is_never_kept(teams):
    assert NAMED.rows(slugs=["team-001", "absent"]) == [("team-001",)]
    Team.objects.filter(slug="team-001").delete()
    assert NAMED.rows(slugs=["team-001", "absent"]) == []
    Team.objects.create(name="Absent", slug="absent")
    assert NAMED.rows(slugs=["team-001", "absent"]) == [("absent",)]


def test_a_value_is_no_sql(teams):
    one = Prepared(lambda slug: Team.objects.filter(slug=slug).values_list("slug"))
    assert one.rows(slug="' OR '1'='1") == []
    assert one.rows(slug="%s") == []
    assert one.rows(slug="team-002") == [("team-002",)]


def test_values_come_back_as_the_models_give_them():
    """A day, a moment and an id are stored differently by each database."""
    event = IndexEvent.objects.create(seq=7, document_id=uuid4(), at=datetime(2024, 5, 1, 12, 30, tzinfo=UTC))
    columns = ("seq", "document_id", "at")
    by_id = Prepared(lambda document: IndexEvent.objects.filter(document_id=document).values_list(*columns))
    since = Prepared(lambda moment: IndexEvent.objects.filter(at__gte=moment).values_list(*columns))
    on = Prepared(lambda day: IndexEvent.objects.filter(at__date=day).values_list(*columns))
    expected = [(7, event.document_id, event.at)]
    assert by_id.rows(document=event.document_id) == expected
    assert by_id.rows(document=uuid4()) == []
    assert since.rows(moment=event.at) == expected
    assert since.rows(moment=datetime(2024, 5, 1, 12, 31, tzinfo=UTC)) == []
    assert on.rows(day=date(2024, 5, 1)) == expected
    assert on.rows(day=date(2024, 5, 2)) == []


def test_the_sql_is_put_together_once(teams):
    made: list[int] = []

    def make(descending: bool, slugs: list[models.Value]) -> QuerySet:
        made.append(len(slugs))
        return Team.objects.filter(slug__in=slugs).order_by("-slug" if descending else "slug").values_list("slug")

    query = Prepared(make)
    for _ in range(3):
        assert query.rows(False, slugs=["team-001", "team-002"]) == [("team-001",), ("team-002",)]
        assert query.rows(True, slugs=["team-001", "team-002"]) == [("team-002",), ("team-001",)]
    assert len(made) == 2
    query.rows(True, slugs=[f"team-{number:03}" for number in range(20)])
    assert len(made) == 3


def test_a_value_that_is_left_out_makes_another_query(teams):
    def make(slug: models.Value | None = None, name: models.Value | None = None) -> QuerySet:
        found = Team.objects.order_by("slug").values_list("slug")
        return found.filter(slug=slug) if slug else found.exclude(name=name) if name else found[:2]

    query = Prepared(make)
    assert query.rows() == [("team-000",), ("team-001",)]
    assert query.rows(slug="team-005") == [("team-005",)]
    assert len(query.rows(name="Team 5")) == 39
    assert query.rows(slug="absent") == []
    assert len(query.rows()) == 2


def test_it_is_one_statement(teams, django_assert_num_queries):
    with django_assert_num_queries(1):
        NAMED.rows(slugs=["team-000"])
