"""Scans of Mailjet that are under way: where each stands, so that another can go on with it."""

from __future__ import annotations

import uuid
from enum import StrEnum

from django.db import models
from django.db.models import Q

from listmanagement.models.fields import choices, one_of
from listmanagement.models.lists import ContactList


class ScanOf(StrEnum):
    """What a scan reads."""

    MEMBERS = "members"  # a list's memberships
    CONTACTS = "contacts"  # a list's contacts, or without a list all of the account
    LOOKED_UP = "looked_up"  # contacts looked up one by one
    EVERYTHING = "everything"  # all contacts, then each list's memberships: by scans of their own


class MirrorScan(models.Model):
    """A scan and how far it is. The rows it has read stand in an unlogged table of its own (`table`).

    Who works on it holds a token, and it for a while; whoever comes later goes on from the last page. A scan
    is deleted, and its table dropped, when what it read is merged; one of everything stays until the next.
    """

    of = models.CharField(max_length=10, choices=choices(ScanOf))
    list = models.ForeignKey(
        ContactList, null=True, blank=True, on_delete=models.PROTECT, related_name="scans"
    )
    token = models.UUIDField(default=uuid.uuid4, help_text="whoever has it works on the scan")
    busy_until = models.DateTimeField(help_text="past this time nobody works on it")
    started_at = models.DateTimeField(help_text="what is read may be as old as this")
    finished_at = models.DateTimeField(null=True, blank=True)
    offset = models.BigIntegerField(default=0, help_text="the row to ask for next")
    highest = models.BigIntegerField(default=0, help_text="the highest id read so far")
    staged = models.BigIntegerField(default=0, help_text="rows read so far")
    is_read = models.BooleanField(default=False, help_text="the last page is read")
    total = models.BigIntegerField(null=True, blank=True, help_text="Mailjet's first count of the rows")
    is_stable = models.BooleanField(default=True, help_text="Mailjet's count has stayed the same")

    class Meta:
        verbose_name = "scan"
        constraints = [
            one_of("of", ScanOf, name="a_scan_reads_something_known"),
            models.CheckConstraint(
                condition=Q(of=ScanOf.MEMBERS, list__isnull=False)
                | Q(of=ScanOf.CONTACTS)
                | Q(of__in=[ScanOf.LOOKED_UP, ScanOf.EVERYTHING], list__isnull=True),
                name="memberships_are_read_of_a_list",
            ),
            models.CheckConstraint(
                condition=Q(total__isnull=False) | Q(staged=0, is_read=False),
                name="a_scan_that_read_a_page_knows_the_count",
            ),
            models.UniqueConstraint(
                fields=["of"],
                condition=Q(of=ScanOf.EVERYTHING, finished_at=None),
                name="everything_is_read_once_at_a_time",
            ),
        ]

    def __str__(self) -> str:
        return f"scan {self.pk} of {self.of}"

    @property
    def table(self) -> str:
        """Where its rows are: unlogged, so that PostgreSQL empties it when it crashes itself."""
        return f"listmanagement_staged_{self.pk}"

    @property
    def is_whole(self) -> bool:
        """Whether the count stayed the same and as many were seen: who is not among them has left."""
        return self.is_read and self.is_stable and self.staged == self.total

    @property
    def withheld(self) -> int:
        """How many more rows Mailjet counted than it showed."""
        return max((self.total or 0) - self.staged, 0)
