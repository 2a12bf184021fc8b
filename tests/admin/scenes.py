"""A decision such as a real campaign gives: several groups, many contacts, a past that speaks."""

from dataclasses import dataclass
from datetime import timedelta

from django.contrib.auth.models import User
from django.utils import timezone

from listmanagement.domain.bounces import BounceClass, History, Outcome
from listmanagement.domain.suppression import Region
from listmanagement.models import (
    Agent,
    Bounce,
    CampaignRecipient,
    Contact,
    ContactListMembership,
    Decision,
    DecisionGroup,
    DecisionItem,
    DecisionKind,
    ItemAction,
    RunStatus,
    Step,
)
from tests import factories
from tests.factories import Rotation

PASSWORD = "a long enough one"
UNKNOWN = "550 5.1.1 The email account that you tried to reach does not exist"


@dataclass(frozen=True)
class Scene:
    """The rows a test asks about."""

    decision: Decision
    rotation: Rotation
    gone: DecisionGroup
    held: DecisionGroup
    no_host: DecisionGroup
    alive: DecisionGroup


def a_reviewer(name: str) -> User:
    """A reviewer who can sign in."""
    return factories.a_reviewer(name, password=PASSWORD)


def a_viewer(name: str) -> User:
    """A viewer who can sign in."""
    return factories.a_viewer(name, password=PASSWORD)


def after_a_campaign(*, gone: int = 104, held: int = 120, no_host: int = 6, alive: int = 6) -> Scene:
    """Suppressions and holds of List 1, waiting for review for three more days."""
    now = timezone.now()
    rotation = factories.the_rotation()
    ended = {"started_at": now - timedelta(hours=31), "ended_at": now - timedelta(hours=30)}
    earlier_times = {"started_at": now - timedelta(days=26), "ended_at": now - timedelta(days=26)}
    earlier = factories.a_campaign(list=rotation.campaign[0], subject="February", **earlier_times)
    campaign = factories.a_campaign(list=rotation.campaign[0], subject="March", **ended)
    run = factories.a_run(
        campaign=campaign,
        status=RunStatus.WAITING_FOR_REVIEW,
        step=Step.SUPPRESS,
        created_at=now - timedelta(hours=6),
        counts={"sent": 1000, "delivered": 731, "bounced": 242, "hard": 240, "not_attempted": 27, "kept": 6},
        seconds={"capture_before": 1.2, "fetch_outcomes": 4.8, "judge": 2.1, "decide": 0.4},
        state_before={
            "lists": [
                {"id": each.pk, "name": each.name, "size": size, "members": size + 12}
                for each, size in zip(rotation.campaign, (1000, 942, 1177), strict=True)
            ],
            "deviation": 13.21,
            "suppressed": 40,
        },
        requests=37,
    )
    call = factories.an_agent_call(run=run, agent=Agent.OPTIMIZATION)
    decision = factories.a_decision(
        run=run,
        title=f"Suppress {gone + no_host} and hold {held + alive} of List 1 after campaign {campaign.pk}",
        rationale="Most failures are of one kind: the address is gone. One company looks like an outage.",
        created_at=now - timedelta(hours=5),
        deadline=now + timedelta(days=3, hours=2),
        reasons=[
            "Everything is reviewed until 16 March 2026 09:00 UTC.",
            "Suppressed on 10503497: 11.0 %, above the 10 % cap.",
        ],
        what_if={
            "lists": [
                {"name": "List 1", "before": 1000, "after": 1000 - gone - no_host},
                {"name": "List 2", "before": 942, "after": 942},
                {"name": "List 3", "before": 1177, "after": 1177},
            ],
            "deviation_before": 13.21,
            "deviation_after": 17.35,
        },
    )
    alike = {"decision": decision, "call": call, "reasons": list(decision.reasons), "strikes": "1"}
    groups = {
        "held": factories.a_group(
            action=ItemAction.HOLD,
            title=f"{held} contacts at northwind.example look like an outage",
            why="All of a company failed within an hour, and mail arrived there before.",
            region=Region.HOLD,
            bounce_class=BounceClass.RECIPIENT_GONE,
            history=History.DELIVERED_BEFORE,
            domain="northwind.example",
            contacts=held,
            share=held / 1000,
            rationale="A wait costs one round; a wrong suppression costs the company.",
            **alike,
        ),
        "gone": factories.a_group(
            title=f"{gone} contacts: the address does not exist; delivered before, but not since",
            why="A hard bounce that says so itself, once, is enough by the policy.",
            history=History.DELIVERED_BEFORE,
            contacts=gone,
            share=gone / 1000,
            confidence=1.0,
            rationale="The servers answered for themselves and named the recipient.",
            **alike,
        ),
        "no_host": factories.a_group(
            title=f"{no_host} contacts at closed.example: the domain takes no mail; nothing was delivered",
            why="Tried on two send days, nobody there was ever reached.",
            region=Region.MAY,
            bounce_class=BounceClass.DOMAIN_GONE,
            history=History.NEVER_DELIVERED,
            domain="closed.example",
            contacts=no_host,
            share=no_host / 1000,
            rationale="Nothing speaks for a way back.",
            **(alike | {"reasons": [*decision.reasons, "The policy wants a person to look at this group."]}),
        ),
        "alive": factories.a_group(
            action=ItemAction.HOLD,
            title=f"{alive} contacts wait for another sign: a person clicked not long before",
            why="Somebody read our mail weeks ago: one failure is not enough.",
            region=Region.HOLD,
            bounce_class=BounceClass.RECIPIENT_GONE,
            history=History.LATELY_ALIVE,
            contacts=alive,
            share=alive / 1000,
            **alike,
        ),
    }
    _fill(groups["held"], held, "northwind.example", earlier, campaign, rotation, clicked=False)
    _fill(groups["gone"], gone, None, earlier, campaign, rotation, clicked=False)
    _fill(groups["no_host"], no_host, "closed.example", None, campaign, rotation, clicked=False)
    _fill(groups["alive"], alive, None, earlier, campaign, rotation, clicked=True)
    for each, days in zip(rotation.campaign, (10, 12, 14), strict=True):
        factories.a_campaign(
            list=each, status=factories.RoundStatus.SCHEDULED, scheduled_at=now + timedelta(days=days)
        )
    return Scene(decision=decision, rotation=rotation, **groups)


_NAMES = "anna bruno carla dmitri elena farid greta hugo ines jonas katya liam mira noel olga piet".split()


def _fill(group, number, domain, earlier, campaign, rotation, *, clicked) -> None:  # type: ignore[no-untyped-def]
    """The group's contacts, with what was sent to them before and how it failed now."""
    first = 1 + (Contact.objects.order_by("-pk").values_list("pk", flat=True).first() or 700_000)
    contacts = Contact.objects.bulk_create(
        Contact(
            id=first + n,
            email=f"{_NAMES[n % 16]}.{first + n}@{domain or f'shop-{(first + n) % 37}.example'}",
            registered_at=campaign.started_at - timedelta(days=400),
        )
        for n in range(number)
    )
    ranks = ContactListMembership.objects.filter(list=rotation.campaign[0]).count()
    ContactListMembership.objects.bulk_create(
        ContactListMembership(
            contact=contact,
            list=rotation.campaign[0],
            since=campaign.started_at - timedelta(days=300),
            rank=ranks + n,
        )
        for n, contact in enumerate(contacts, 1)
    )
    if earlier is not None:
        CampaignRecipient.objects.bulk_create(
            CampaignRecipient(
                campaign=earlier,
                contact=contact,
                message_id=10**12 + contact.pk,
                outcome=Outcome.DELIVERED,
                sent_at=earlier.started_at,
                outcome_at=earlier.started_at,
                first_life_at=earlier.started_at + timedelta(hours=3) if clicked else None,
            )
            for contact in contacts
        )
    failed = CampaignRecipient.objects.bulk_create(
        CampaignRecipient(
            campaign=campaign,
            contact=contact,
            message_id=2 * 10**12 + contact.pk,
            outcome=Outcome.BOUNCED,
            bounce_class=group.bounce_class,
            sent_at=campaign.started_at,
            outcome_at=campaign.started_at + timedelta(minutes=5),
        )
        for contact in contacts
    )
    bounces = Bounce.objects.bulk_create(
        Bounce(
            recipient=row,
            state=5 if group.bounce_class == BounceClass.DOMAIN_GONE else 1,
            permanent=True,
            attempted=True,
            at=row.outcome_at,
            server_text="" if group.bounce_class == BounceClass.DOMAIN_GONE else UNKNOWN,
        )
        for row in failed
    )
    last = group.decision.items.count()
    DecisionItem.objects.bulk_create(
        DecisionItem(
            decision=group.decision,
            group=group,
            contact=contact,
            action=group.action,
            source_list=rotation.campaign[0],
            evidence=bounce,
            position=last + n,
        )
        for n, (contact, bounce) in enumerate(zip(contacts, bounces, strict=True), 1)
    )


def a_rebalancing(scene: Scene) -> Decision:
    """Placements and moves of the same run, without contacts, waiting as well."""
    return factories.a_decision(
        run=scene.decision.run,
        kind=DecisionKind.REBALANCING,
        title="Place 300 and move 52 so that the lists are even: 1.99 % from the mean",
        deadline=timezone.now() + timedelta(days=2),
    )
