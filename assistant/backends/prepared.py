"""Queries that every search and request asks, with their SQL put together once.

Knows: how Django makes SQL of a query and values of a row. Does not know: what is asked, or who may ask it.

Django takes longer to put such a query together than the database to answer it. The query itself stays what it is, a
query of models, and everything it says is said by the SQL that is kept; a value is put in at each run. Only the text
is kept, never a row: what changed a moment ago is seen.

    _OLDER = Prepared(lambda day, names: Team.objects.filter(made__lt=day, name__in=names).values_list("pk", "name"))
    _OLDER.rows(day=date(2024, 1, 1), names=["a", "b"])
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet, Value

_SMALLEST = 16  # a list has so many places or twice, four times as many; its last value fills those left over


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a value goes: its name, and which of a list it is."""

    name: str
    item: int | None = None


@dataclass(frozen=True, slots=True)
class _Statement:
    sql: str
    parameters: tuple[Any, ...]
    converters: tuple[tuple[int, Sequence[Callable[..., Any]], Any], ...]


class Prepared:
    """`make(*variant, **places)` gives a query of values (`values_list`) in which places stand for values, and lists of
    them behind `__in`. It may look at which there are and at the variant, never at the values."""

    def __init__(self, make: Callable[..., QuerySet[Any, Any]]) -> None:
        self._make = make
        self._known: dict[tuple[Any, ...], _Statement] = {}

    def rows(self, *variant: Any, **values: Any) -> list[tuple[Any, ...]]:
        """Now, in the order of the query. A list must hold something. Raises django.db.DatabaseError."""
        lists = {name: _filled(value) for name, value in values.items() if isinstance(value, list)}
        sizes = tuple((name, len(lists[name]) if name in lists else 0) for name in values)
        shape = (connection.vendor, variant, sizes)
        statement = self._known.get(shape) or self._put_together(shape, variant, values, lists)
        with connection.cursor() as cursor:
            cursor.execute(statement.sql, [_given(item, values, lists) for item in statement.parameters])
            found: list[tuple[Any, ...]] = cursor.fetchall()
        return _converted(found, statement) if statement.converters else found

    def _put_together(
        self, shape: tuple[Any, ...], variant: tuple[Any, ...], values: Iterable[str], lists: dict[str, list[Any]]
    ) -> _Statement:
        places: dict[str, Any] = {
            name: [Value(_Place(name, item)) for item in range(len(lists[name]))]
            if name in lists
            else Value(_Place(name))
            for name in values
        }
        compiler = self._make(*variant, **places).query.get_compiler(connection=connection)
        sql, parameters = compiler.as_sql()
        converters = compiler.get_converters([column for column, *_ in compiler.select])
        made = _Statement(
            sql,
            tuple(parameters),
            tuple((place, steps, expression) for place, (steps, expression) in converters.items()),
        )
        self._known[shape] = made
        return made


def _filled(items: list[Any]) -> list[Any]:
    size = _SMALLEST
    while size < len(items):
        size *= 2
    return [*items, *[items[-1]] * (size - len(items))]


def _given(parameter: Any, values: dict[str, Any], lists: dict[str, list[Any]]) -> Any:
    """A parameter as the database takes it."""
    if not isinstance(parameter, _Place):
        return parameter
    value = values[parameter.name] if parameter.item is None else lists[parameter.name][parameter.item]
    if isinstance(value, datetime):
        return connection.ops.adapt_datetimefield_value(value)
    if isinstance(value, date):
        return connection.ops.adapt_datefield_value(value)
    if isinstance(value, UUID) and not connection.features.has_native_uuid_field:
        return value.hex
    return value


def _converted(found: Iterable[Sequence[Any]], statement: _Statement) -> list[tuple[Any, ...]]:
    rows = []
    for row in found:
        values = list(row)
        for place, steps, expression in statement.converters:
            value = values[place]
            for step in steps:
                value = step(value, expression, connection)
            values[place] = value
        rows.append(tuple(values))
    return rows
