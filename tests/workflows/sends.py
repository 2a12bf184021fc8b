"""Campaigns that were sent, with what became of each message: in the database, or at the stand-in alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from listmanagement.domain.bounces import Outcome, classify
from listmanagement.models import (
    BatchKind,
    Bounce,
    CampaignRecipient,
    CampaignSchedule,
    Contact,
    ContactList,
    ContactListMembership,
    Cycle,
    DecisionStatus,
    RunStage,
    RunStatus,
)
from tests import factories
from tests.factories import NOON
from tests.workflows import scene as scenes
from tests.workflows.scene import Scene

_messages = count(2**60)
_people = count(1)


@dataclass(frozen=True)
class Failure:
    """How a message fails, in Mailjet's words, and what the other server said."""

    status: str
    state: int
    permanent: bool = False
    text: str = ""

    @property
    def outcome(self) -> Outcome:
        return Outcome.NOT_ATTEMPTED if self.status == "blocked" else Outcome.BOUNCED


UNKNOWN_USER = Failure("hardbounced", 1, True, "550 5.1.1 no such user")
FULL = Failure("softbounced", 3)
NO_HOST = Failure("hardbounced", 5, True)
POLICY = Failure("blocked", 9)
PREBLOCKED = Failure("blocked", 14)


def people(number: int, *, on: ContactList, domain: str = "") -> list[Contact]:
    """So many members at the list's tail, all at one domain, or spread over five with colleagues.

    Five in a row share no domain: a few who fail look like nobody's outage.
    """
    numbers = [next(_people) for _ in range(number)]
    emails = [f"reader-{n}@{domain or f'home-{n % 5}.test'}" for n in numbers]
    found = factories.contacts(number, emails=emails)
    factories.join(on, found)
    return list(found)


def sent(
    to: ContactList,
    *,
    at: datetime,
    failed: Mapping[Failure, Collection[Contact]] | None = None,
    clicked: Collection[Contact] = (),
    only: Sequence[Contact] | None = None,
    cycle: Cycle | None = None,
    settled: bool = True,
) -> CampaignSchedule:
    """A campaign to whoever is on the list, or to these only, known here with every outcome."""
    cycle = cycle or factories.a_cycle(started_at=at)
    ended = at + timedelta(hours=1)
    campaign = factories.a_campaign(list=to, cycle=cycle, started_at=at, ended_at=ended)
    how = {contact.pk: failure for failure, contacts in (failed or {}).items() for contact in contacts}
    readers = {contact.pk for contact in clicked}
    rows = [
        _row(campaign, pk, how.get(pk), clicked=pk in readers)
        for pk in (
            [contact.pk for contact in only]
            if only is not None
            else ContactListMembership.objects.active().filter(list=to).values_list("contact_id", flat=True)
        )
    ]
    CampaignRecipient.objects.bulk_create(rows)
    Bounce.objects.bulk_create(_evidence(row, how[row.contact_id]) for row in rows if row.contact_id in how)
    if settled:
        CampaignSchedule.objects.filter(pk=campaign.pk).update(recipients_fetched_at=ended)
    return campaign


def _row(
    campaign: CampaignSchedule, contact_id: int, failure: Failure | None, *, clicked: bool
) -> CampaignRecipient:
    assert campaign.started_at is not None
    return CampaignRecipient(
        campaign=campaign,
        contact_id=contact_id,
        message_id=next(_messages),
        outcome=failure.outcome if failure else Outcome.DELIVERED,
        bounce_class=_class(failure) if failure else "",
        sent_at=campaign.started_at,
        outcome_at=campaign.started_at,
        first_life_at=campaign.started_at + timedelta(minutes=5) if clicked else None,
    )


def _class(failure: Failure) -> str:
    attempted = failure.outcome is Outcome.BOUNCED
    return classify(failure.state, permanent=failure.permanent, attempted=attempted).value


def _evidence(row: CampaignRecipient, failure: Failure) -> Bounce:
    return Bounce(
        recipient=row,
        state=failure.state,
        permanent=failure.permanent,
        attempted=failure.outcome is Outcome.BOUNCED,
        at=row.sent_at,
        server_text=failure.text,
    )


def sent_at_mailjet(
    scene: Scene, to: ContactList, *, failed: Mapping[Failure, Collection[Contact]], **columns: Any
) -> CampaignSchedule:
    """A campaign to whoever is on the list that ended 30 hours ago: what became of it only Mailjet knows."""
    campaign = factories.a_campaign(list=to, **columns)
    assert campaign.started_at is not None
    assert campaign.ended_at is not None
    how = {contact.pk: failure for failure, contacts in failed.items() for contact in contacts}
    members = ContactListMembership.objects.active().filter(list=to).order_by("rank")
    world = scenes.document()
    world["campaigns"] = [
        {
            "id": campaign.mailjet_campaign_id,
            "draft_id": 1,
            "list_id": to.mailjet_id,
            "subject": "",
            "send_start_at": campaign.started_at.isoformat(),
            "send_end_at": campaign.ended_at.isoformat(),
        }
    ]
    world["messages"] = [
        _message(campaign, pk, how.get(pk)) for pk in members.values_list("contact_id", flat=True)
    ]
    scene.control.load(world)
    return campaign


def _message(campaign: CampaignSchedule, contact_id: int, failure: Failure | None) -> dict[str, Any]:
    assert campaign.started_at is not None
    return {
        "id": next(_messages),
        "campaign_id": campaign.mailjet_campaign_id,
        "contact_id": contact_id,
        "status": failure.status if failure else "sent",
        "state_id": failure.state if failure else None,
        "state_permanent": failure.permanent if failure else False,
        "arrived_at": campaign.started_at.isoformat(),
        "comment": failure.text if failure else "",
    }


def days_ago(days: float) -> datetime:
    """So long before NOON."""
    return NOON - timedelta(days=days)


# --- A rotation whose cycle has just ended ---------------------------------------------------------------


def a_rotation(
    scene: Scene, *, each: int = 60, sizes: Sequence[int] | None = None, backlog: int = 0
) -> list[list[Contact]]:
    """Members on each campaign list, all delivered to in the cycle before; beside them a backlog."""
    members = [
        people(size, on=contact_list)
        for contact_list, size in zip(scene.lists.campaign, sizes or [each] * 3, strict=True)
    ]
    everybody = [contact for some in members for contact in some]
    waiting = factories.contacts(backlog, emails=[f"waiting-{n}@new-{n}.test" for n in range(backlog)])
    factories.join(scene.lists.master, [*everybody, *waiting])
    cycle = factories.a_cycle(started_at=days_ago(30))
    for n, contact_list in enumerate(scene.lists.campaign):
        sent(contact_list, at=days_ago(30 - n), cycle=cycle)
    return members


def a_last_round(scene: Scene, *, failed: Mapping[Failure, Collection[Contact]]) -> CampaignSchedule:
    """The cycle's rounds to lists 2 and 3, and the last one to list 1, of which only Mailjet knows more."""
    cycle = factories.a_cycle(started_at=days_ago(7))
    _, second, third = scene.lists.campaign
    sent(second, at=days_ago(7), cycle=cycle)
    sent(third, at=days_ago(3.5), cycle=cycle)
    return sent_at_mailjet(scene, scene.lists.campaign[0], failed=failed, cycle=cycle, round=3)


def has_observed(*, at: datetime = NOON - timedelta(days=29)) -> None:
    """Observing began the day before that, and one run was observed to its end then."""
    factories.the_rollout(observing_since=at - timedelta(days=1))
    past = CampaignSchedule.objects.order_by("started_at").first() or factories.a_campaign()
    factories.a_run(campaign=past, stage=RunStage.OBSERVE, status=RunStatus.SUCCEEDED, finished_at=at)


def has_changed_lists(times: int = 5) -> None:
    """So many runs have changed something at Mailjet."""
    past = CampaignSchedule.objects.order_by("started_at").first()
    assert past is not None
    for _ in range(times):
        run = factories.a_run(campaign=past, status=RunStatus.SUCCEEDED)
        decision = factories.a_decision(run=run, status=DecisionStatus.APPROVED)
        factories.an_executed(factories.a_group(decision=decision), BatchKind.SUPPRESS)
