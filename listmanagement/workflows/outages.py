"""Tells people that Mailjet is away, once, and that it is back.

The breaker's change of state and the outage's row are one transaction (`outside`); the sweep tells what
stands there untold. So nothing is told that did not happen, and a process that ends in between loses no word.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction

from listmanagement.models import ContactList, MailjetOutage
from listmanagement.workflows import notify

WORTH_A_WORD = timedelta(minutes=1)
"""The end of a shorter outage is not told: the next page anybody opens has no banner."""


def tell(*, now: datetime) -> None:
    """Put what is not told yet into the outbox: an outage once, and its end where it lasted."""
    for pk in list(
        MailjetOutage.objects.filter(closed_at=None).order_by("began_at").values_list("pk", flat=True)
    ):
        with transaction.atomic():
            outage = MailjetOutage.objects.select_for_update().get(pk=pk)
            _tell_beginning(outage, now=now)
            _tell_end(outage, now=now)
            outage.save(update_fields=["told_at", "closed_at"])


def _tell_beginning(outage: MailjetOutage, *, now: datetime) -> None:
    if outage.told_at is not None:
        return
    outage.told_at = now
    began = f"{outage.began_at:%d %B %H:%M} UTC"
    notify.alert(
        f"mailjet-away:{outage.pk}",
        header="Mailjet does not answer",
        words=(
            f"Mailjet has not answered since {began} (the last failure was {outage.why}). Changes wait in "
            "the journal and runs go on by themselves once it is back; what pages show of the lists is as of "
            f"{as_of()}. If it lasts, look at Mailjet's status page"
        ),
        now=now,
    )


def _tell_end(outage: MailjetOutage, *, now: datetime) -> None:
    if outage.ended_at is None or outage.closed_at is not None:
        return
    outage.closed_at = now
    lasted = outage.ended_at - outage.began_at
    if lasted <= WORTH_A_WORD:
        return
    minutes = round(lasted.total_seconds() / 60)
    notify.alert(
        f"mailjet-back:{outage.pk}",
        header="Mailjet answers again",
        words=(
            f"Mailjet answers again since {outage.ended_at:%d %B %H:%M} UTC, after about "
            f"{minutes:,} minute{'' if minutes == 1 else 's'}. What waited goes on by itself"
        ),
        now=now,
    )


def as_of() -> str:
    """How old the mirror is, in words: what people are shown while Mailjet is not asked."""
    read_at = ContactList.objects.as_of()
    return f"{read_at:%d %B %H:%M} UTC" if read_at is not None else "a time before they were first read"
