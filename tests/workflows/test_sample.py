"""A few of those who would be suppressed without a review are drawn for one."""

import uuid
from typing import Any, cast

import pytest

from listmanagement.domain import autonomy
from listmanagement.domain.bounces import BounceClass, Outcome
from listmanagement.domain.suppression import Region
from listmanagement.models import (
    Bounce,
    CampaignRecipient,
    Contact,
    Decision,
    DecisionItem,
    DecisionStatus,
    ListMaintenanceLog,
    RunStage,
)
from listmanagement.outside import Outside
from listmanagement.workflows.maintenance import drafts
from listmanagement.workflows.running.lease import Lease
from listmanagement.workflows.running.steps import Hand
from tests import factories
from tests.factories import NOON, Rotation
from tests.workflows.sends import has_changed_lists, has_observed

pytestmark = pytest.mark.django_db

SEED = uuid.UUID(int=7)
CONTACTS = range(900_000, 900_100)
DRAWN = {n for n in CONTACTS if autonomy.is_sampled(n, seed=SEED.hex)}


@pytest.fixture
def lists(db: None) -> Rotation:
    rotation = factories.the_rotation()
    has_observed()
    has_changed_lists()
    return rotation


def a_draft(lists: Rotation, *, stage: RunStage = RunStage.ACT, **group: Any) -> Decision:
    """A hundred contacts of one cohort, of whom everybody is sure."""
    campaign = factories.a_campaign(list=lists.campaign[0])
    sizes = [{"id": each.pk, "size": 5000} for each in lists.campaign]
    run = factories.a_run(campaign=campaign, stage=stage, correlation_id=SEED, state_before={"lists": sizes})
    decision = factories.a_decision(run=run, status=DecisionStatus.DRAFT)
    given = {"region": Region.MAY, "bounce_class": BounceClass.MAILBOX_FULL, "confidence": 0.95, **group}
    of = factories.a_group(
        decision=decision, title="100 contacts: the mailbox is full", contacts=100, share=0.02, **given
    )
    fill(of.pk, campaign.pk, lists)
    return decision


def fill(group_id: int, campaign_id: int, lists: Rotation) -> None:
    group = factories.DecisionGroup.objects.get(pk=group_id)
    contacts = Contact.objects.bulk_create(
        Contact(id=n, email=f"n{n}@firm-{n % 40}.example", registered_at=NOON) for n in CONTACTS
    )
    factories.ContactListMembership.objects.bulk_create(
        factories.ContactListMembership(contact=each, list=lists.campaign[0], since=NOON, rank=each.pk)
        for each in contacts
    )
    messages = CampaignRecipient.objects.bulk_create(
        CampaignRecipient(
            campaign_id=campaign_id,
            contact=each,
            message_id=each.pk,
            outcome=Outcome.BOUNCED,
            bounce_class=BounceClass.MAILBOX_FULL,
            sent_at=NOON,
            outcome_at=NOON,
        )
        for each in contacts
    )
    evidence = Bounce.objects.bulk_create(
        Bounce(recipient=each, state=3, permanent=False, attempted=True, at=NOON) for each in messages
    )
    DecisionItem.objects.bulk_create(
        DecisionItem(
            decision=group.decision,
            group=group,
            contact=each,
            action=group.action,
            source_list=lists.campaign[0],
            evidence=proof,
            position=n,
        )
        for n, (each, proof) in enumerate(zip(contacts, evidence, strict=True), 1)
    )


def settled(decision: Decision, outside: Outside) -> dict[str, Decision]:
    """By status: what became of the draft."""
    run = ListMaintenanceLog.objects.get(pk=decision.run_id)
    drafts.settle(Hand(run, cast(Lease, None), outside, lambda: NOON), run, decision)
    return {each.status: each for each in run.decisions.all()}


def of(decision: Decision) -> set[int]:
    return set(decision.items.values_list("contact_id", flat=True))


def test_a_few_of_what_is_clear_wait_for_a_review_and_the_others_do_not(
    lists: Rotation, outside: Outside
) -> None:
    became = settled(a_draft(lists), outside)

    assert set(became) == {DecisionStatus.CLEAR, DecisionStatus.OPEN}
    assert of(became[DecisionStatus.OPEN]) == DRAWN
    assert 0 < len(DRAWN) < 15
    assert of(became[DecisionStatus.CLEAR]) == set(CONTACTS) - DRAWN
    [sample] = became[DecisionStatus.OPEN].groups.all()
    [rest] = became[DecisionStatus.CLEAR].groups.all()
    number = len(DRAWN)
    assert sample.title == f"Random sample: {number} contacts: the mailbox is full"
    assert rest.title == f"{100 - number} contacts: the mailbox is full"
    assert (sample.contacts, sample.sampled_share) == (number, 0.05)
    assert (rest.contacts, rest.sampled_share, rest.reasons) == (100 - number, None, [])
    assert sample.share + rest.share == pytest.approx(0.02)
    [why] = became[DecisionStatus.OPEN].reasons
    assert why.startswith("Random sample: 5 % of what would be suppressed without a review is looked at")


@pytest.mark.parametrize(
    ("group", "status"),
    [
        ({"region": Region.MUST}, DecisionStatus.CLEAR),
        ({"confidence": 0.8}, DecisionStatus.OPEN),
    ],
    ids=["the policy requires it", "it is reviewed whole"],
)
def test_nobody_is_drawn_where_nobody_judged_or_everybody_is_reviewed(
    lists: Rotation, outside: Outside, group: dict[str, Any], status: DecisionStatus
) -> None:
    became = settled(a_draft(lists, **group), outside)

    assert of(became[status]) == set(CONTACTS)
    assert [each.sampled_share for each in became[status].groups.all()] == [None]


def test_a_run_that_observes_draws_nobody(lists: Rotation, outside: Outside) -> None:
    became = settled(a_draft(lists, stage=RunStage.OBSERVE), outside)

    assert of(became[DecisionStatus.OBSERVED]) == set(CONTACTS)


def test_where_everybody_is_drawn_the_group_itself_is_the_sample(lists: Rotation, outside: Outside) -> None:
    draft = a_draft(lists)
    draft.items.exclude(contact__in=DRAWN).delete()
    draft.groups.update(contacts=len(DRAWN), title=f"{len(DRAWN)} contacts: the mailbox is full")

    became = settled(draft, outside)

    assert set(became) == {DecisionStatus.OPEN}
    assert of(became[DecisionStatus.OPEN]) == DRAWN
    [sample] = became[DecisionStatus.OPEN].groups.all()
    assert sample.sampled_share == 0.05
