"""How an enum of the domain becomes a column that PostgreSQL checks."""

from collections.abc import Iterable
from enum import StrEnum

from django.db import models
from django.db.models import Q


def choices(words: type[StrEnum]) -> list[tuple[str, str]]:
    """The enum's members as Django choices: value and the words a person reads."""
    return [(word.value, word.value.replace("_", " ")) for word in words]


def one_of(field: str, words: type[StrEnum], *, name: str) -> models.CheckConstraint:
    """PostgreSQL refuses a value that the enum does not have (null passes where the column allows it)."""
    return models.CheckConstraint(condition=Q(**{f"{field}__in": [word.value for word in words]}), name=name)


def one_of_or_nothing(field: str, words: Iterable[str], *, name: str) -> models.CheckConstraint:
    """The same for a column that may be empty."""
    return models.CheckConstraint(condition=Q(**{f"{field}__in": ["", *words]}), name=name)


def a_share(field: str, *, name: str) -> models.CheckConstraint:
    """From 0 to 1. PostgreSQL counts NaN above everything, so it is refused as well."""
    return models.CheckConstraint(condition=Q(**{f"{field}__gte": 0, f"{field}__lte": 1}), name=name)


def all_or_none(fields: Iterable[str], *, name: str) -> models.CheckConstraint:
    """Columns that are filled together or not at all."""
    named = tuple(fields)
    none, all_of_them = dict.fromkeys(named), {f"{field}__isnull": False for field in named}
    return models.CheckConstraint(condition=Q(**none) | Q(**all_of_them), name=name)
