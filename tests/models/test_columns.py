"""What holds for every column of a kind: references, counts, words, what is required."""

import re
from enum import StrEnum

import pytest
from django.db import models

from agents.list_health import Cause, Grade
from listmanagement.domain.cohorts import MIXED
from listmanagement.models import AnswerSource
from tests.models.raw import MODELS, refused_by, rows

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("two_of_each")]

FIELDS = [field for model in MODELS for field in model._meta.concrete_fields]
REFERENCES = [field for field in FIELDS if isinstance(field, models.ForeignKey)]
COUNTS = [
    field
    for field in FIELDS
    if isinstance(field, (models.PositiveIntegerField, models.PositiveSmallIntegerField))
]
WORDS = [field for field in FIELDS if isinstance(field, models.CharField)]


def label(field: models.Field) -> str:  # type: ignore[type-arg]
    return f"{field.model.__name__}.{field.name}"


def test_every_table_has_rows_here() -> None:
    assert [model.__name__ for model in MODELS if not model.objects.exists()] == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("field", REFERENCES, ids=label)
def test_a_row_that_another_names_cannot_be_deleted(field: models.ForeignKey) -> None:  # type: ignore[type-arg]
    table, target = field.model._meta.db_table, field.related_model._meta.db_table
    [(name,)] = rows(
        """select conname from pg_constraint
           join pg_attribute on attrelid = conrelid and array[attnum] = conkey
           where contype = 'f' and conrelid = %s::regclass and confrelid = %s::regclass and attname = %s""",
        table,
        target,
        field.column,
    )
    delete = f"delete from {target} where id in (select {field.column} from {table})"

    assert refused_by(delete, f'set constraints "{name}" immediate') == name
    assert field.remote_field.on_delete is models.PROTECT


@pytest.mark.parametrize("field", COUNTS, ids=label)
def test_a_count_is_never_negative(field: models.Field) -> None:  # type: ignore[type-arg]
    assert refused_by(f'update {field.model._meta.db_table} set "{field.column}" = -1') != "nothing"


def test_postgresql_requires_what_the_models_require() -> None:
    nullable = rows(
        """select relname, attname from pg_attribute join pg_class on pg_class.oid = attrelid
           where relkind = 'r' and relname like 'listmanagement%' and attnum > 0
             and not attisdropped and not attnotnull"""
    )

    assert set(nullable) == {
        (field.model._meta.db_table, field.column) for field in FIELDS if field.null or field.generated
    }


# --- Words -------------------------------------------------------------------------------------------

SPOKEN_ELSEWHERE: dict[str, type[StrEnum]] = {
    "Decision.source": AnswerSource,
    "ListHealth.cause": Cause,
    "ListHealth.grade": Grade,
}
"""Columns without Django's choices, and whose words they are."""

STRIKES = {"0", "1", "2", "3+", MIXED}

CHECKED_WITH_ANOTHER_COLUMN = "ContactListMembership.ended_by"  # tests/models/test_refusals.py tries it


def words_of(field: models.CharField) -> set[str]:  # type: ignore[type-arg]
    """The enum's words that the column is for."""
    if label(field) in SPOKEN_ELSEWHERE:
        return {word.value for word in SPOKEN_ELSEWHERE[label(field)]}
    if label(field) == "DecisionGroup.strikes":
        return STRIKES
    return {word for word, _ in field.flatchoices}


def let_in(field: models.CharField) -> set[str]:  # type: ignore[type-arg]
    """The words that a check on this column alone lets in."""
    checks = rows(
        """select pg_get_constraintdef(c.oid) from pg_constraint c
           join pg_attribute on attrelid = conrelid and array[attnum] = conkey
           where contype = 'c' and conrelid = %s::regclass and attname = %s""",
        field.model._meta.db_table,
        str(field.column),
    )
    return {word for (check,) in checks for word in re.findall(r"'([^']*)'::", check)}


@pytest.mark.parametrize(
    "field",
    [pytest.param(field, id=label(field)) for field in WORDS if label(field) != CHECKED_WITH_ANOTHER_COLUMN],
)
def test_a_column_of_words_takes_exactly_the_words_of_its_enum(field: models.CharField) -> None:  # type: ignore[type-arg]
    words = words_of(field)

    assert words
    assert let_in(field) - {""} == words
    assert field.max_length is not None
    assert max(map(len, words)) <= field.max_length


def test_an_empty_word_is_taken_only_where_the_model_says_so() -> None:
    assert {label(field) for field in WORDS if "" in let_in(field)} <= {
        label(field) for field in WORDS if field.blank
    }
