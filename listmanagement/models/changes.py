"""That something changed which lists' figures are counted from. PostgreSQL notes it by itself (triggers)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from django.db import models
from django.db.models import Count, Exists, Max, OuterRef, Q, Sum

from listmanagement.models.fields import choices, one_of


class ChangeOf(StrEnum):
    """What was changed: rows of one table."""

    CONTACTS = "contacts"
    MEMBERSHIPS = "memberships"
    SUPPRESSIONS = "suppressions"
    HOLDS = "holds"


@dataclass(frozen=True)
class States:
    """Names of the states that those tables are in: no two states have the same.

    Which changes can be seen says which state it is, in whatever order they were committed. A name that was
    read before the figures may be older than they are, never newer.
    """

    of: Mapping[tuple[str, int | None], str]
    """By table, and memberships by list."""

    def everything(self) -> str:
        """Of all of it."""
        told = repr(sorted(self.of.items(), key=str)).encode()
        return sha256(told).hexdigest()[:20]

    def members(self, list_pk: int) -> str:
        """Of one list's memberships."""
        return self.of.get((ChangeOf.MEMBERSHIPS, list_pk), "unchanged")


class ListChangeQuerySet(models.QuerySet["ListChange"]):
    """Phrases about changes."""

    def states(self) -> States:
        """As they are now."""
        rows = self.order_by().values("what", "of_list")
        named = rows.annotate(n=Count("pk"), last=Max("pk"), marks=Sum("mark"))
        return States(
            {(row["what"], row["of_list"]): f"{row['n']}-{row['last']}-{row['marks']}" for row in named}
        )

    def forget(self) -> int:
        """Delete these, but of each kind the newest: without any, two states had one name. How many."""
        alike = Q(what=OuterRef("what")) & (Q(of_list=OuterRef("of_list")) | Q(of_list=None))
        newer = ListChange.objects.filter(alike, pk__gt=OuterRef("pk"))
        return self.filter(Exists(newer)).delete()[0]


class ListChange(models.Model):
    """One statement that changed rows, of memberships a list's. A row each: no writer waits for another."""

    what = models.CharField(max_length=12, choices=choices(ChangeOf))
    of_list = models.BigIntegerField(null=True, blank=True, help_text="whose memberships: our id of the list")
    at = models.DateTimeField()
    mark = models.BigIntegerField(
        help_text="by chance: after a restore, no state has the name of an older one"
    )

    objects = ListChangeQuerySet.as_manager()

    class Meta:
        verbose_name = "change of lists"
        verbose_name_plural = "changes of lists"
        constraints = [
            one_of("what", ChangeOf, name="a_change_of_lists_is_of_a_known_table"),
            models.CheckConstraint(
                condition=Q(what=ChangeOf.MEMBERSHIPS, of_list__isnull=False)
                | (~Q(what=ChangeOf.MEMBERSHIPS) & Q(of_list=None)),
                name="memberships_and_only_they_change_on_a_list",
            ),
        ]

    def __str__(self) -> str:
        return f"change of {self.what}"
