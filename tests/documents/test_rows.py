"""Instances made of a search's rows are those that Django would make."""

from __future__ import annotations

import pytest
from django.db import connection

from assistant.documents import rows
from assistant.documents.models import Chunk, Collection, Document, DocumentVersion

from .conftest import POLICY

pytestmark = pytest.mark.django_db


def test_rows_become_the_instances_that_from_db_makes_and_fetch_the_rest_when_asked(world, django_assert_num_queries):
    world.ready(world.handbook, "policy.md", POLICY)
    found = list(Chunk.objects.order_by("pk").values_list(*rows.COLUMNS))
    for row, chunk in zip(found, rows.chunks(found).values(), strict=True):
        with django_assert_num_queries(0):
            parts = (chunk, chunk.document, chunk.document.collection, chunk.version)
        place = 0
        for model, part in zip((Chunk, Document, Collection, DocumentVersion), parts, strict=True):
            names = [name for name in part.__dict__ if name != "_state"]
            usual = model.from_db(connection.alias, names, row[place : place + len(names)])
            place += len(names)
            assert type(part) is model
            assert {name: part.__dict__[name] for name in names} == {name: usual.__dict__[name] for name in names}
            assert part.get_deferred_fields() == usual.get_deferred_fields()
            assert (part._state.adding, part._state.db) == (usual._state.adding, usual._state.db)
            stored = model.objects.get(pk=part.pk)
            assert {name: getattr(part, name) for name in names} == {name: getattr(stored, name) for name in names}
        assert place == len(row)
        with django_assert_num_queries(1):
            embedding = chunk.embedding
        assert bytes(embedding) == bytes(Chunk.objects.get(pk=chunk.pk).embedding)
