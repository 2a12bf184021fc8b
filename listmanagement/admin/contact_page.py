"""A contact's page: how it stands, and its timeline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Q

from listmanagement.admin import show
from listmanagement.domain.bounces import BounceClass
from listmanagement.domain.suppression import POLICY
from listmanagement.models import (
    CampaignRecipient,
    Change,
    Contact,
    ContactList,
    ContactListMembership,
    ContactSuppressionHistory,
    DecisionItem,
    Hold,
    ListOperation,
    Protection,
    SuppressionKind,
)
from listmanagement.workflows.by_people import people, protections

SUPPRESSED = "suppressed"

HOWS = {
    Change.FIRST_SIGHT: "there when first read",
    Change.OPERATION: "by our operation",
    Change.PERSON: "by a person at Mailjet",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that happened to a contact."""

    at: datetime
    what: show.Chip
    title: str
    url: str = ""
    details: Sequence[str] = ()
    server_text: str = ""

    @property
    def when(self) -> str:
        """The time, as pages show it."""
        return show.when(self.at)


@dataclass(frozen=True, slots=True)
class ContactPage:
    """Everything the template needs."""

    contact: Contact
    standing: show.Chip
    facts: Sequence[tuple[str, str]]
    lists: Sequence[str]
    as_of: str
    timeline: Sequence[Entry]
    protections: Sequence[Protection]
    why_not: str | None
    """Why this person may not protect; None who may."""
    can_lift: bool
    """Whether a suppression stands that this person may lift."""


def read(contact: Any, *, by: User) -> ContactPage:
    """The page of a contact that was read with its current memberships and standing suppressions."""
    entries = [
        *_messages(contact),
        *_memberships(contact),
        *_decisions(contact),
        *_operations(contact),
        *_holds(contact),
        *_suppressions(contact),
        *_wishes(contact),
    ]
    return ContactPage(
        contact=contact,
        standing=standing(contact),
        facts=_facts(contact),
        lists=[_current(membership) for membership in contact.current],
        as_of=show.age(ContactList.objects.as_of()),
        protections=list(protections.of(contact).select_related("by").order_by("kind")),
        why_not=protections.why_not(by),
        can_lift=standing(contact).words == SUPPRESSED and people.why_not_reviewing(by) is None,
        timeline=sorted(entries, key=lambda entry: entry.at, reverse=True),
    )


def standing(contact: Any) -> show.Chip:
    """Whether the contact may be mailed, or the first reason why not."""
    reasons = (
        (contact.email is None, "retired"),
        (contact.complained_at is not None, "complained"),
        (contact.opted_out_at is not None, "opted out"),
        (contact.excluded, "excluded"),
        (bool(contact.standing), SUPPRESSED),
    )
    why = next((words for holds, words in reasons if holds), None)
    return show.Chip("mailable", show.Tone.GOOD) if why is None else show.Chip(why, show.Tone.BAD)


def _facts(contact: Contact) -> list[tuple[str, str]]:
    opted_out = (
        f"{show.when(contact.opted_out_at)}, by {contact.opted_out_by}" if contact.opted_out_at else "no"
    )
    return [
        ("Mailjet's contact id", str(contact.pk)),
        ("Registered", show.when(contact.registered_at)),
        ("Opted out", opted_out),
        ("Complained", show.when(contact.complained_at) if contact.complained_at else "no"),
        ("Excluded from campaigns", show.when(contact.excluded_since) if contact.excluded else "no"),
        ("Blocked at Mailjet since", show.when(contact.blocked_since)),
    ]


def _current(membership: ContactListMembership) -> str:
    opted = ", unsubscribed there" if membership.unsubscribed else ""
    return f"{membership.list.name} since {show.when(membership.since)}{opted}"


# --- The timeline ----------------------------------------------------------------------------------------


def _messages(contact: Contact) -> Iterator[Entry]:
    rows = CampaignRecipient.objects.filter(contact=contact).select_related("campaign__list", "bounce")
    for row in rows:
        bounce = getattr(row, "bounce", None)
        details = []
        if row.bounce_class:
            details.append(POLICY.row(BounceClass(row.bounce_class)).meaning)
        if bounce is not None:
            hard = "hard" if bounce.permanent else "soft"
            state = f"Mailjet's state {bounce.state}" if bounce.state is not None else "no state from Mailjet"
            details.append(f"{hard}, {state}" + ("" if bounce.attempted else ", not tried"))
        if bounce is not None and bounce.spent_at is not None:
            details.append(f"spent: its suppression was lifted on {show.when(bounce.spent_at)}")
        if row.first_life_at is not None:
            details.append(f"clicked by a person on {show.when(row.first_life_at)}")
        yield Entry(
            at=row.outcome_at,
            what=show.chip(row.outcome),
            title=f"Campaign {row.campaign_id} to {row.campaign.list}",
            url=show.page_of(bounce if bounce is not None else row),
            details=details,
            server_text=bounce.server_text if bounce is not None else "",
        )


def _memberships(contact: Contact) -> Iterator[Entry]:
    for row in contact.memberships.select_related("list", "began_with", "ended_with"):
        yield _membership(row, at=row.since, verb="joined", how=row.began_by, with_=row.began_with)
        if row.until is not None:
            yield _membership(row, at=row.until, verb="left", how=row.ended_by, with_=row.ended_with)


def _membership(
    row: ContactListMembership, *, at: datetime, verb: str, how: str, with_: ListOperation | None
) -> Entry:
    return Entry(
        at=at,
        what=show.Chip(verb, show.Tone.INFO),
        title=row.list.name,
        url=show.page_of(with_) if with_ is not None else "",
        details=[HOWS[Change(how)], f"place {row.rank:,} in the list's order"],
    )


def _decisions(contact: Contact) -> Iterator[Entry]:
    for item in DecisionItem.objects.filter(contact=contact).select_related("decision", "group"):
        yield Entry(
            at=item.decision.created_at,
            what=show.Chip(f"{show.words(item.action)} proposed", show.TONES[item.action]),
            title=item.decision.title,
            url=item.decision.get_absolute_url(),
            details=[
                detail
                for detail in (
                    item.group.why or item.group.title,
                    f"decision {show.words(item.decision.status)}, contact {show.words(item.status)}",
                    item.why,
                )
                if detail
            ],
        )


def _operations(contact: Contact) -> Iterator[Entry]:
    rows = ListOperation.objects.filter(contact=contact, applied_at__isnull=False).select_related("batch")
    for row in rows:
        assert row.applied_at is not None
        yield Entry(
            at=row.applied_at,
            what=show.chip(row.status),
            title=f"{show.words(row.kind).capitalize()}, done at Mailjet by batch {row.batch_id}",
            url=show.page_of(row),
        )


def _holds(contact: Contact) -> Iterator[Entry]:
    rows = Hold.objects.filter(Q(contact=contact) | (Q(host=contact.domain or "") & ~Q(host="")))
    for hold in rows:
        what = hold.host or "this contact"
        yield Entry(
            at=hold.since,
            what=show.Chip("held", show.Tone.WAITING),
            title=f"A hold of {what} began",
            url=show.page_of(hold),
            details=[hold.why],
        )
        if hold.ended_at is not None:
            yield Entry(
                at=hold.ended_at,
                what=show.Chip("hold ended"),
                title=f"The hold of {what} ended: {show.words(hold.ended_how)}",
                url=show.page_of(hold),
            )


def _suppressions(contact: Contact) -> Iterator[Entry]:
    rows = ContactSuppressionHistory.objects.filter(contact=contact).select_related(
        "removed_from", "lifted_by"
    )
    for row in rows:
        imported = row.kind == SuppressionKind.IMPORTED
        yield Entry(
            at=row.at,
            what=show.Chip("imported" if imported else "suppressed", show.Tone.BAD),
            title=row.reason,
            url=show.page_of(row),
            details=[f"taken off {row.removed_from}"] if row.removed_from is not None else [],
        )
        if row.lifted_at is not None:
            yield Entry(
                at=row.lifted_at,
                what=show.Chip("lifted", show.Tone.GOOD),
                title=f"Suppression lifted by {row.lifted_by}",
                url=show.page_of(row),
                details=[row.lifted_why] if row.lifted_why else [],
            )


def _wishes(contact: Contact) -> Iterator[Entry]:
    if contact.opted_out_at is not None:
        yield Entry(
            at=contact.opted_out_at,
            what=show.Chip("opted out", show.Tone.BAD),
            title=f"Told by {contact.opted_out_by}",
        )
    if contact.complained_at is not None:
        yield Entry(
            at=contact.complained_at, what=show.Chip("complained", show.Tone.BAD), title="Reported as spam"
        )
