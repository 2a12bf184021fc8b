"""What DNS told of recipient domains, and when."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

from integrations.dns import Route
from listmanagement.models.fields import choices, one_of

CLOSED = (Route.NO_DOMAIN, Route.NULL_MX, Route.NOWHERE)
"""Answers that say that a domain takes no mail."""

SERVED = (Route.HOSTS, Route.ADDRESS)


class DomainLookup(models.Model):
    """One answer of DNS about where a domain takes its mail. Kept: two of them may close a domain (P1)."""

    domain = models.TextField()
    at = models.DateTimeField()
    route = models.CharField(max_length=12, choices=choices(Route))
    mail_host = models.TextField(blank=True, help_text="where its mail goes first")
    why = models.TextField(blank=True, help_text="why nobody could say")

    class Meta:
        verbose_name = "answer of DNS"
        verbose_name_plural = "answers of DNS"
        constraints = [
            one_of("route", Route, name="dns_gave_a_known_answer"),
            models.CheckConstraint(
                condition=(Q(route__in=SERVED) & ~Q(mail_host="")) | (~Q(route__in=SERVED) & Q(mail_host="")),
                name="where_mail_is_taken_there_is_a_host",
            ),
            models.CheckConstraint(
                condition=(Q(route=Route.UNKNOWN) & ~Q(why="")) | (~Q(route=Route.UNKNOWN) & Q(why="")),
                name="what_dns_did_not_say_has_a_reason",
            ),
            models.CheckConstraint(
                condition=~Q(domain="") & Q(domain=Lower("domain")), name="a_looked_up_domain_is_lower_case"
            ),
        ]
        indexes = [models.Index(fields=["domain", "-at"], name="lookup_by_domain")]

    def __str__(self) -> str:
        return f"answer of DNS {self.pk}"
