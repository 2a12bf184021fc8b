"""Promises held against live data: a clean world holds them all, a planted violation breaks its own alone."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import override_settings

from integrations.mailjet import Action, Budget, Mailjet, MailjetUnavailable
from integrations.sandbox import Serving, serve
from integrations.sandbox.control import Control
from listmanagement import outside
from listmanagement.domain.bounces import BounceClass, Outcome
from listmanagement.domain.cycle import RoundStatus
from listmanagement.domain.standing import Observation
from listmanagement.models import (
    BatchKind,
    BatchStatus,
    Bounce,
    CampaignKind,
    CampaignRecipient,
    CampaignSchedule,
    Change,
    Contact,
    ContactList,
    ContactListMembership,
    ContactSuppressionHistory,
    Cycle,
    Decision,
    DecisionGroup,
    DecisionItem,
    DecisionKind,
    DecisionStatus,
    HoldKind,
    ItemAction,
    ItemStatus,
    ListMaintenanceLog,
    ListOperation,
    MailjetRequest,
    OperationBatch,
    OperationStatus,
    RolloutState,
    RunKind,
    RunStatus,
    SuppressionKind,
    Trigger,
)
from listmanagement.workflows import promises
from listmanagement.workflows.campaigns import labels
from listmanagement.workflows.changes import whereabouts
from listmanagement.workflows.demo import seeding
from listmanagement.workflows.demo.world import Scenario, build
from listmanagement.workflows.evidence import Observed, keep
from listmanagement.workflows.promises import Promise, Verification
from tests.factories import (
    NOON,
    Rotation,
    a_batch,
    a_bounce,
    a_campaign,
    a_change,
    a_contact,
    a_cycle,
    a_decision,
    a_group,
    a_hold,
    a_membership,
    a_notification,
    a_recipient,
    a_reviewer,
    a_run,
    a_suppression,
    an_agent_call,
    an_imported_suppression,
    an_item,
    an_operation,
    contacts,
    join,
    the_rollout,
    the_rotation,
)

pytestmark = pytest.mark.django_db(transaction=True)

BEGAN = NOON - timedelta(days=10)
EVERY_ROUND = (BEGAN, BEGAN + timedelta(days=1), BEGAN + timedelta(days=2))
OVER = EVERY_ROUND[-1] + timedelta(hours=1)
JUDGED_AT = NOON - timedelta(days=6)
CHANGED_AT = NOON - timedelta(days=5)
LONG_AGO = NOON - timedelta(days=300)
ALL = ["P1", "P2", "P3", "P4", "P5", "P6", "P7", "P8", "P9", "P10", "P11"]


class NoLimit(Budget):
    """A budget without end."""

    def acquire(self, *, background: bool) -> None:
        del background


@dataclass
class World:
    """Three lists after one cycle: somebody suppressed, placed and moved by us, one found suppressed.

    The database stands as the fixture wrote it; Mailjet shows the same once `show` was called.
    """

    control: Control
    mailjet: Mailjet
    lists: Rotation
    cycle: Cycle
    rounds: Sequence[CampaignSchedule]
    members: Sequence[Sequence[Contact]]
    backlog: Contact
    excluded: Contact
    opted_out: Contact
    imported: Contact
    suppressed: ContactSuppressionHistory
    placed: ListOperation
    moved: ListOperation

    @property
    def first(self) -> Contact:
        """An ordinary member of the first list, addressed once."""
        return self.members[0][0]

    def show(self, *more: tuple[Contact, ContactList, datetime]) -> None:
        """Let Mailjet show what the database says, and these memberships, with the time they began."""
        self.control.load(_document(more))

    def act(self, contact: Contact, contact_list: ContactList, action: str) -> None:
        """What a person does on Mailjet's pages."""
        self.control.act(contact_id=contact.pk, list_id=contact_list.mailjet_id, action=action)

    def verify(self) -> Verification:
        return promises.verify(mailjet=self.mailjet, now=NOON)


def _document(more: Sequence[tuple[Contact, ContactList, datetime]] = ()) -> dict[str, Any]:
    current = [
        (row.contact_id, row.list.mailjet_id, row.since, row.unsubscribed)
        for row in ContactListMembership.objects.current().select_related("list")
    ]
    current += [(contact.pk, each.mailjet_id, since, False) for contact, each, since in more]
    return {
        "contacts": [
            {
                "id": contact.pk,
                "email": contact.email,
                "created_at": LONG_AGO.isoformat(),
                "excluded": contact.excluded,
                "complained": contact.complained_at is not None,
            }
            for contact in Contact.objects.all()
        ],
        "lists": [{"id": each.mailjet_id, "name": each.name} for each in ContactList.objects.all()],
        "memberships": [
            {
                "id": number,
                "contact_id": contact,
                "list_id": mailjet_id,
                "subscribed_at": since.isoformat(),
                "unsubscribed": unsubscribed,
            }
            for number, (contact, mailjet_id, since, unsubscribed) in enumerate(current, 1)
        ],
    }


@pytest.fixture(scope="module")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serve(tmp_path_factory.mktemp("standin"), rate=1_000_000) as serving:
        yield serving


@pytest.fixture
def mailjet(standin: Serving) -> Iterator[Mailjet]:
    with Mailjet(
        base_url=standin.url,
        api_key=standin.api_key,
        api_secret=standin.api_secret,
        budget=NoLimit(),
        master_list_id=settings.MAILJET_MASTER_LIST_ID,
        sleep=lambda seconds: None,
    ) as client:
        yield client


@pytest.fixture
def control(standin: Serving) -> Iterator[Control]:
    with Control(standin.url) as control:
        yield control
        control.clear_faults()


@pytest.fixture
def world(transactional_db: None, control: Control, mailjet: Mailjet) -> World:
    lists = the_rotation()
    ContactList.objects.update(read_at=NOON - timedelta(days=1))
    cycle = a_cycle(number=1, started_at=BEGAN, ended_at=OVER)
    rounds = [
        _a_round(cycle, number, contact_list=each, at=at)
        for number, (each, at) in enumerate(zip(lists.campaign, EVERY_ROUND, strict=True), 1)
    ]
    members = [_members(3, campaign) for campaign in rounds]
    [moving], failing = _members(1, rounds[0]), _a_person()
    built = World(
        control=control,
        mailjet=mailjet,
        lists=lists,
        cycle=cycle,
        rounds=rounds,
        members=members,
        backlog=_a_person(),
        excluded=_a_person(excluded_since=LONG_AGO),
        opted_out=_a_person(opted_out_at=LONG_AGO, opted_out_by="list 1"),
        imported=_a_person(),
        suppressed=_a_suppressed(failing, rounds[1]),
        placed=_a_placed(_a_person(), lists.campaign[2]),
        moved=_a_moved(moving, lists),
    )
    a_membership(contact=built.excluded, list=lists.campaign[0])
    a_membership(contact=built.opted_out, list=lists.campaign[1], unsubscribed=True)
    a_membership(contact=built.imported, list=lists.suppression)
    an_imported_suppression(contact=built.imported, at=LONG_AGO)
    built.show()
    return built


def _a_round(cycle: Cycle, number: int, *, contact_list: ContactList, at: datetime) -> CampaignSchedule:
    return a_campaign(
        list=contact_list,
        cycle=cycle,
        round=number,
        started_at=at,
        ended_at=at + timedelta(minutes=30),
        recipients_fetched_at=at + timedelta(days=1),
    )


def _a_person(**columns: Any) -> Contact:
    """Somebody on the master list alone."""
    contact = a_contact(**columns)
    a_membership(contact=contact, list=ContactList.objects.master())
    return contact


def _members(number: int, campaign: CampaignSchedule) -> Sequence[Contact]:
    """So many members of the campaign's list who got its message."""
    found = contacts(number)
    for contact_list in (ContactList.objects.master(), campaign.list):
        join(contact_list, found)
    for contact in found:
        a_recipient(campaign=campaign, contact=contact)
    return found


def _a_suppressed(contact: Contact, campaign: CampaignSchedule) -> ContactSuppressionHistory:
    """Somebody whose message failed in the campaign, approved and taken off its list."""
    recipient = a_recipient(campaign=campaign, contact=contact, outcome=Outcome.BOUNCED)
    run = a_run(campaign=campaign, status=RunStatus.SUCCEEDED)
    decision = a_decision(run=run, status=DecisionStatus.APPROVED, created_at=JUDGED_AT)
    item = an_item(
        group=a_group(decision=decision),
        contact=contact,
        evidence=a_bounce(recipient=recipient),
        status=ItemStatus.EXECUTED,
        source_list=campaign.list,
    )
    operation = _an_applied(item, BatchKind.SUPPRESS)
    a_membership(
        contact=contact,
        list=campaign.list,
        until=CHANGED_AT,
        ended_by=Change.OPERATION,
        ended_with=operation,
    )
    _came_by(operation, ContactList.objects.suppression())
    return a_suppression(operation=operation, removed_from=campaign.list, at=CHANGED_AT)


def _an_applied(item: DecisionItem, kind: BatchKind) -> ListOperation:
    batch = a_batch(
        run=item.decision.run,
        kind=kind,
        status=BatchStatus.APPLIED,
        sending_at=CHANGED_AT,
        settled_at=CHANGED_AT,
    )
    return an_operation(batch=batch, item=item, status=OperationStatus.APPLIED, applied_at=CHANGED_AT)


def _came_by(operation: ListOperation, contact_list: ContactList, *, at: datetime = CHANGED_AT) -> None:
    a_membership(
        contact=operation.contact,
        list=contact_list,
        since=at,
        began_by=Change.OPERATION,
        began_with=operation,
    )


def _a_rebalanced(contact: Contact, action: ItemAction, **lists: ContactList) -> DecisionItem:
    run = a_run(status=RunStatus.SUCCEEDED, campaign=CampaignSchedule.objects.earliest("pk"))
    decision = a_decision(run=run, kind=DecisionKind.REBALANCING, status=DecisionStatus.APPROVED)
    group = a_group(decision=decision, action=action)
    return an_item(group=group, contact=contact, status=ItemStatus.EXECUTED, **lists)


def _a_placed(contact: Contact, target: ContactList, *, at: datetime = CHANGED_AT) -> ListOperation:
    operation = _an_applied(_a_rebalanced(contact, ItemAction.PLACE, target_list=target), BatchKind.PLACE)
    _came_by(operation, target, at=at)
    return operation


def _a_moved(contact: Contact, lists: Rotation, *, at: datetime = CHANGED_AT) -> ListOperation:
    """From the first list to the second."""
    source, target, _ = lists.campaign
    item = _a_rebalanced(contact, ItemAction.MOVE, source_list=source, target_list=target)
    incoming = _an_applied(item, BatchKind.MOVE_IN)
    outgoing = _an_applied(item, BatchKind.MOVE_OUT)
    _came_by(incoming, target, at=at)
    contact.memberships.filter(list=source).update(until=at, ended_by=Change.OPERATION, ended_with=outgoing)
    return incoming


def the(found: Verification, name: str) -> Promise:
    [promise] = [each for each in found.promises if each.name == name]
    return promise


def assert_only(found: Verification, name: str, *, contacts: Sequence[int], words: str) -> None:
    """This promise alone is broken, once, for these contacts, in words that contain these."""
    assert found.broken == [name], the(found, name)
    [violation] = the(found, name).broken
    assert violation.contacts == tuple(sorted(contacts))
    assert violation.count == len(contacts)
    assert words in violation.words
    assert violation.what_to_do


def assert_noted(found: Verification, name: str, *, contacts: Sequence[int], words: str) -> None:
    """Nothing is broken, and a note under this promise names these contacts."""
    assert found.broken == []
    [note] = [note for note in the(found, name).noted if words in note]
    assert f"({', '.join(str(key) for key in sorted(contacts))})" in note


# --- A clean world -----------------------------------------------------------------------------------


def test_a_clean_world_holds_every_promise(world: World) -> None:
    found = world.verify()

    assert found.broken == []
    assert {promise.name: promise.checked for promise in found.promises} == {
        "P1": 2,
        "P2": 2,
        "P3": Contact.objects.count(),
        "P4": 9 + 3,
        "P5": 9 + 3,
        "P6": 4,
        "P7": 3,
        "P8": 0,
        "P9": 0,
        "P10": 0,
        "P11": 4,
    }


def test_each_list_is_read_once(world: World) -> None:
    found = world.verify()

    assert found.requests == 1 + len(ContactList.objects.all())
    assert found.requests == world.mailjet.requests


def test_verifying_changes_neither_the_database_nor_mailjet(world: World) -> None:
    before = world.control.dump()
    models = (Contact, ContactListMembership, ContactSuppressionHistory, ListOperation, OperationBatch)
    rows = [list(model._default_manager.order_by("pk").values()) for model in models]

    world.verify()

    assert world.control.dump() == before
    assert world.control.changes() == []
    assert [list(model._default_manager.order_by("pk").values()) for model in models] == rows


def test_a_check_that_wrote_would_be_refused_by_postgresql() -> None:
    with pytest.raises(Exception, match="read-only"), promises._snapshot():
        Contact.objects.create(id=1, email="a@example.com")


def test_who_is_excluded_and_was_there_before_us_is_noted_not_broken(world: World) -> None:
    assert_noted(world.verify(), "P2", contacts=[world.excluded.pk], words="excluded")


def test_a_page_that_lost_a_row_is_read_again(world: World) -> None:
    """A mirror that expects somebody whom Mailjet does not show costs one more reading of that list."""
    world.act(world.first, world.lists.master, "remove")

    assert world.verify().requests == 2 + len(ContactList.objects.all())


def test_the_seeded_demo_holds_every_promise(control: Control, mailjet: Mailjet) -> None:
    demo = build(seed=1, now=NOON, scenario=Scenario.BETWEEN_CYCLES)
    seeding.seed(demo, configuration=outside.configuration(), control=control, reset=False)

    found = promises.verify(mailjet=mailjet, now=NOON)

    assert found.broken == []
    assert the(found, "P1").checked == 40 + 12
    assert the(found, "P5").checked == 1000 + 942 + 1177 + 24 - 12
    assert the(found, "P5").noted == (
        "cycle 2 is not judged yet: the messages of campaign 123 are not fetched",
    )
    assert found.requests <= 12


# --- P1 Evidence -------------------------------------------------------------------------------------


def _spend(world: World) -> str:
    Bounce.objects.filter(pk=world.suppressed.evidence_id).update(spent_at=NOON)
    return "spent"


def _make_it_a_full_mailbox(world: World) -> str:
    Bounce.objects.filter(pk=world.suppressed.evidence_id).update(state=3, permanent=False)
    CampaignRecipient.objects.filter(contact=world.suppressed.contact_id).update(
        bounce_class=BounceClass.MAILBOX_FULL
    )
    return "1 strike so far, where the policy asks for 3"


def _make_it_greylisted_in_the_evidence_alone(world: World) -> str:
    Bounce.objects.filter(pk=world.suppressed.evidence_id).update(state=13, permanent=False)
    return "state 13, does not say what the message was judged as"


def _make_it_sender_side(world: World) -> str:
    Bounce.objects.filter(pk=world.suppressed.evidence_id).update(state=9)
    CampaignRecipient.objects.filter(contact=world.suppressed.contact_id).update(
        bounce_class=BounceClass.SENDER_SIDE
    )
    return "never counts against a contact"


def _make_it_a_preblock(world: World) -> str:
    Bounce.objects.filter(pk=world.suppressed.evidence_id).update(state=14, attempted=False)
    CampaignRecipient.objects.filter(contact=world.suppressed.contact_id).update(
        outcome=Outcome.NOT_ATTEMPTED, bounce_class=BounceClass.NOT_ATTEMPTED
    )
    return "never attempted by us"


def _make_it_delivered(world: World) -> str:
    CampaignRecipient.objects.filter(contact=world.suppressed.contact_id).update(
        outcome=Outcome.DELIVERED, bounce_class=""
    )
    return "nothing failed for them"


def _hold_the_domain(world: World) -> str:
    a_hold(host=world.suppressed.contact.domain, since=JUDGED_AT, run=a_run(campaign=world.rounds[1]))
    return "its domain is on hold"


def _reject(world: World) -> str:
    Decision.objects.filter(items=world.suppressed.item_id).update(status=DecisionStatus.REJECTED)
    return "its decision is rejected"


def _take_out(world: World) -> str:
    DecisionItem.objects.filter(pk=world.suppressed.item_id).update(status=ItemStatus.TAKEN_OUT, why="by Pat")
    return "is taken out"


def _undo(world: World) -> str:
    ListOperation.objects.filter(pk=world.suppressed.operation_id).update(status=OperationStatus.UNDONE)
    return "its operation, to suppress, is undone"


def _name_other_evidence(world: World) -> str:
    other = a_recipient(
        campaign=a_campaign(kind=CampaignKind.ONE_OFF),
        contact=world.suppressed.contact,
        outcome=Outcome.BOUNCED,
    )
    ContactSuppressionHistory.objects.filter(pk=world.suppressed.pk).update(
        evidence=a_bounce(recipient=other)
    )
    return "do not name each other"


def _failed(campaign: CampaignSchedule, contact: Contact) -> CampaignRecipient:
    CampaignRecipient.objects.filter(campaign=campaign, contact=contact).delete()
    return a_recipient(campaign=campaign, contact=contact, outcome=Outcome.BOUNCED)


def _forget(world: World) -> str:
    ContactSuppressionHistory.objects.filter(pk=world.suppressed.pk).delete()
    return "without a suppression here"


def _call_it_imported(world: World) -> str:
    ContactSuppressionHistory.objects.filter(pk=world.suppressed.pk).update(
        kind=SuppressionKind.IMPORTED, evidence=None, item=None, operation=None
    )
    return "although an operation of ours"


def _take_off_the_suppression_list(world: World) -> str:
    world.act(world.suppressed.contact, world.lists.suppression, "remove")
    return "not on the suppression list at Mailjet"


@pytest.mark.parametrize(
    "plant",
    [
        _spend,
        _make_it_a_full_mailbox,
        _make_it_greylisted_in_the_evidence_alone,
        _make_it_sender_side,
        _make_it_a_preblock,
        _make_it_delivered,
        _hold_the_domain,
        _reject,
        _take_out,
        _undo,
        _name_other_evidence,
        _forget,
        _call_it_imported,
        _take_off_the_suppression_list,
    ],
)
def test_a_suppression_that_is_not_proven_breaks_p1(world: World, plant: Callable[[World], str]) -> None:
    contact = world.suppressed.contact_id
    words = plant(world)

    assert_only(world.verify(), "P1", contacts=[contact], words=words)


def test_evidence_that_came_to_be_about_somebody_else_breaks_p1(world: World) -> None:
    CampaignRecipient.objects.filter(contact=world.suppressed.contact_id).update(contact=world.backlog)

    [violation] = the(world.verify(), "P1").broken
    assert violation.contacts == (world.suppressed.contact_id,)
    assert violation.words == "its evidence is about somebody else"


def test_somebody_on_the_suppression_list_for_no_known_reason_breaks_p1(world: World) -> None:
    world.act(world.backlog, world.lists.suppression, "addnoforce")

    assert_only(world.verify(), "P1", contacts=[world.backlog.pk], words="without a suppression here")


def test_a_hold_that_began_after_the_decision_does_not_take_the_evidence_back(world: World) -> None:
    a_hold(
        host=world.suppressed.contact.domain,
        since=JUDGED_AT + timedelta(hours=1),
        run=a_run(campaign=world.rounds[2]),
    )

    assert world.verify().broken == []


def test_a_hold_that_was_over_before_the_message_failed_does_not_either(world: World) -> None:
    a_hold(
        host=world.suppressed.contact.domain,
        since=LONG_AGO,
        ended_at=BEGAN,
        run=a_run(campaign=a_campaign(kind=CampaignKind.ONE_OFF)),
    )

    assert world.verify().broken == []


def test_a_second_hard_bounce_is_judged_with_the_hold_that_it_ended(world: World) -> None:
    """Somebody lately alive is held once; the next hard bounce ends the hold and must suppress."""
    contact, before = world.suppressed.contact, BEGAN - timedelta(days=20)
    earlier = a_campaign(kind=CampaignKind.ONE_OFF, started_at=before, ended_at=before)
    clicked = before - timedelta(days=1)
    a_bounce(
        recipient=a_recipient(
            campaign=earlier, contact=contact, outcome=Outcome.BOUNCED, first_life_at=clicked
        )
    )
    assert world.verify().broken == ["P1"]

    a_hold(
        kind=HoldKind.CONTACT,
        contact=contact,
        since=before + timedelta(days=1),
        ended_at=JUDGED_AT,
        run=a_run(campaign=earlier),
    )

    assert world.verify().broken == []


def test_a_click_that_came_after_the_decision_does_not_undo_it(world: World) -> None:
    CampaignRecipient.objects.filter(contact=world.suppressed.contact_id).update(
        first_life_at=JUDGED_AT + timedelta(days=1)
    )

    assert world.verify().broken == []


def test_a_domain_that_was_gone_when_it_was_judged_is_evidence(world: World) -> None:
    """Three contacts on two days, none delivered: the policy accepts "no mail host" there, and only there."""
    contact = world.suppressed.contact
    Contact.objects.filter(pk=contact.pk).update(email="somebody@gone.test")
    CampaignRecipient.objects.filter(contact=contact).update(bounce_class=BounceClass.DOMAIN_GONE)
    Bounce.objects.filter(pk=world.suppressed.evidence_id).update(state=5)
    assert world.verify().broken == ["P1"]

    for number, campaign in enumerate(world.rounds[:2]):
        colleague = _a_person(email=f"colleague-{number}@gone.test")
        a_bounce(
            recipient=a_recipient(
                campaign=campaign,
                contact=colleague,
                outcome=Outcome.BOUNCED,
                bounce_class=BounceClass.DOMAIN_GONE,
            ),
            state=5,
        )
    world.show()

    assert world.verify().broken == []


def _was_not_attempted(contact: Contact, campaign: CampaignSchedule) -> None:
    refused = a_recipient(
        campaign=campaign,
        contact=contact,
        outcome=Outcome.NOT_ATTEMPTED,
        bounce_class=BounceClass.NOT_ATTEMPTED,
    )
    a_bounce(recipient=refused, state=14, permanent=False, attempted=False)


def test_sends_that_counted_as_two_cycles_when_it_was_decided_are_evidence_and_noted(world: World) -> None:
    """Never attempted in two cycles, suppressed; then somebody says that the earlier send was a one-off."""
    contact, before = world.suppressed.contact, BEGAN - timedelta(days=30)
    _make_it_a_preblock(world)
    earlier = a_campaign(
        list=world.rounds[1].list, cycle=a_cycle(number=2), started_at=before, ended_at=before, round=1
    )
    _was_not_attempted(contact, earlier)
    assert world.verify().broken == []

    said_at = CHANGED_AT + timedelta(hours=1)
    labels.say(earlier.pk, kind=CampaignKind.ONE_OFF, by=a_reviewer(), why="It was news.", now=said_at)

    assert CampaignSchedule.objects.get(pk=earlier.pk).cycle is None
    assert_noted(world.verify(), "P1", contacts=[contact.pk], words="labelled anew since")


def test_sends_that_counted_as_one_cycle_when_it_was_decided_are_no_evidence(world: World) -> None:
    """What the earlier send is said to be today does not make yesterday's decision right."""
    contact, before = world.suppressed.contact, BEGAN - timedelta(days=30)
    _make_it_a_preblock(world)
    earlier = a_campaign(
        list=world.rounds[1].list, kind=CampaignKind.ONE_OFF, started_at=before, ended_at=before
    )
    _was_not_attempted(contact, earlier)

    said_at = CHANGED_AT + timedelta(hours=1)
    labels.say(earlier.pk, kind=CampaignKind.ROUND, by=a_reviewer(), why="A cycle.", now=said_at)

    assert CampaignSchedule.objects.get(pk=earlier.pk).cycle is not None
    assert_only(world.verify(), "P1", contacts=[contact.pk], words="never attempted by us")


def test_a_complaint_is_evidence_by_consent(world: World) -> None:
    CampaignRecipient.objects.filter(contact=world.suppressed.contact_id).update(
        outcome=Outcome.COMPLAINED, bounce_class=BounceClass.COMPLAINT
    )

    assert world.verify().broken == []


def test_a_later_delivery_to_somebody_suppressed_is_noted(world: World) -> None:
    later = a_campaign(kind=CampaignKind.ONE_OFF)
    a_recipient(campaign=later, contact=world.suppressed.contact)

    assert_noted(world.verify(), "P1", contacts=[world.suppressed.contact_id], words="consider lifting")


@pytest.mark.parametrize(("after", "broken"), [(timedelta(hours=1), []), (-timedelta(hours=1), ["P1"])])
def test_a_failure_that_turned_out_to_be_a_delivery_is_noted_unless_it_was_known(
    world: World, after: timedelta, broken: list[str]
) -> None:
    """The suppressed answered that very message: by its link they opted out, later than it was decided."""
    CampaignRecipient.objects.filter(contact=world.suppressed.contact_id).update(
        outcome=Outcome.DELIVERED, bounce_class="", outcome_at=JUDGED_AT + after
    )

    found = world.verify()

    assert found.broken == broken
    assert any("consider lifting" in each for each in the(found, "P1").noted)


def _told(world: World, seen: Observation, *, now: datetime) -> None:
    """What an event, or a page of Mailjet's listing, says of the message that the suppressed failed by."""
    message = CampaignRecipient.objects.get(contact=world.suppressed.contact_id)
    is_event = seen.at is not None
    observed = Observed(
        message.message_id,
        message.campaign_id,
        message.contact_id,
        "",
        seen,
        sent_at=None if is_event else message.sent_at,
        repeats=not is_event,
    )
    keep([observed], now=now)
    if not is_event:
        CampaignSchedule.objects.filter(pk=message.campaign_id).update(recipients_fetched_at=now)


def test_a_message_told_as_failed_and_listed_as_delivered_only_later_is_noted(world: World) -> None:
    """The listing says when a message arrived, which was before it was decided, and not since when."""
    read_at = JUDGED_AT + timedelta(days=1)
    _told(world, Observation(Outcome.DELIVERED, as_of=read_at), now=read_at)

    assert_noted(world.verify(), "P1", contacts=[world.suppressed.contact_id], words="consider lifting")


def test_a_delivery_known_before_it_was_decided_is_no_news_however_often_it_is_told(world: World) -> None:
    """Known as delivered, and suppressed all the same. Then it is read again, and an event comes late."""
    known_at, again_at = JUDGED_AT - timedelta(hours=1), JUDGED_AT + timedelta(days=2)
    for at in (known_at, again_at):
        _told(world, Observation(Outcome.DELIVERED, as_of=at), now=at)
        assert world.verify().broken == ["P1"]

    arrived_at = known_at - timedelta(minutes=1)
    event = Observation(Outcome.DELIVERED, as_of=arrived_at, at=arrived_at)
    _told(world, event, now=again_at + timedelta(minutes=1))

    assert world.verify().broken == ["P1"]


def _a_complainer(world: World) -> ContactSuppressionHistory:
    """Somebody who complained and was suppressed by the consent rule."""
    contact = _a_person(complained_at=JUDGED_AT, complained_by="an event")
    decision = a_decision(
        run=a_run(kind=RunKind.CONSENT, status=RunStatus.SUCCEEDED),
        kind=DecisionKind.CONSENT,
        status=DecisionStatus.CLEAR,
    )
    group = a_group(decision=decision, action=ItemAction.COMPLAINT)
    item = an_item(group=group, contact=contact, status=ItemStatus.EXECUTED)
    operation = _an_applied(item, BatchKind.COMPLAINT)
    _came_by(operation, world.lists.suppression)
    world.show()
    return a_suppression(operation=operation, kind=SuppressionKind.CONSENT, reason="complained of spam")


def test_a_complaint_needs_no_bounce_to_be_evidence(world: World) -> None:
    _a_complainer(world)

    assert world.verify().broken == []


def _forget_it(found: ContactSuppressionHistory) -> str:
    Contact.objects.filter(pk=found.contact_id).update(complained_at=None, complained_by="")
    return "nobody remembers"


def _have_another_rule_decide(found: ContactSuppressionHistory) -> str:
    assert found.item is not None
    Decision.objects.filter(pk=found.item.decision_id).update(kind=DecisionKind.SUPPRESSION)
    return "not one of the consent rule"


def _have_it_fail(found: ContactSuppressionHistory) -> str:
    assert found.item is not None
    DecisionItem.objects.filter(pk=found.item_id).update(status=ItemStatus.FAILED, why="Mailjet: no")
    return "is failed"


def _leave_it_undone(found: ContactSuppressionHistory) -> str:
    ListOperation.objects.filter(pk=found.operation_id).update(status=OperationStatus.UNDONE)
    return "is undone, not applied"


@pytest.mark.parametrize(
    "plant",
    [
        _forget_it,
        _have_another_rule_decide,
        _have_it_fail,
        _leave_it_undone,
    ],
)
def test_a_suppression_on_somebodys_own_word_needs_that_word_and_the_rules_decision(
    world: World, plant: Callable[[ContactSuppressionHistory], str]
) -> None:
    found = _a_complainer(world)
    words = plant(found)

    assert_only(world.verify(), "P1", contacts=[found.contact_id], words=words)


# --- P2 Consent --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "word"),
    [
        ({"opted_out_at": JUDGED_AT, "opted_out_by": "an event"}, "opted out"),
        ({"complained_at": JUDGED_AT, "complained_by": "an event"}, "complained"),
        ({"excluded_since": JUDGED_AT}, "excluded from campaigns"),
    ],
)
def test_somebody_barred_and_subscribed_where_we_put_them_breaks_p2(
    world: World, columns: dict[str, Any], word: str
) -> None:
    contact = world.placed.contact_id
    Contact.objects.filter(pk=contact).update(**columns)

    assert_only(world.verify(), "P2", contacts=[contact], words=f"{word}, yet subscribed on a list where our")


def test_somebody_excluded_where_we_had_put_them_is_noted(world: World) -> None:
    contact = world.placed.contact_id
    Contact.objects.filter(pk=contact).update(excluded_since=CHANGED_AT + timedelta(hours=1))

    assert_noted(world.verify(), "P2", contacts=[world.excluded.pk, contact], words="excluded")


def test_somebody_excluded_while_our_request_was_under_way_is_noted(world: World) -> None:
    contact = world.placed.contact_id
    OperationBatch.objects.filter(pk=world.placed.batch_id).update(
        sending_at=CHANGED_AT - timedelta(minutes=1)
    )
    Contact.objects.filter(pk=contact).update(excluded_since=CHANGED_AT - timedelta(seconds=30))

    assert_noted(world.verify(), "P2", contacts=[world.excluded.pk, contact], words="excluded")


def test_somebody_subscribed_again_where_they_had_unsubscribed_breaks_p2(world: World) -> None:
    world.act(world.opted_out, world.lists.campaign[1], "addforce")

    assert_only(world.verify(), "P2", contacts=[world.opted_out.pk], words="subscribed again")


def test_whom_mailjet_has_erased_is_nobody_to_be_mailed_though_their_memberships_are_still_shown(
    world: World,
) -> None:
    contact = world.first
    Contact.objects.filter(pk=contact.pk).update(
        opted_out_at=JUDGED_AT, opted_out_by="list 1", email=None, retired_at=CHANGED_AT, erased_at=CHANGED_AT
    )
    contact.memberships.current().update(until=CHANGED_AT, ended_by=Change.PERSON)

    assert world.verify().broken == []


def test_an_opt_out_on_one_list_counts_on_every_other(world: World) -> None:
    world.act(world.first, world.lists.master, "unsub")

    assert_only(world.verify(), "P2", contacts=[world.first.pk], words="opted out, yet subscribed")


def test_an_opt_out_remembered_here_alone_counts_when_it_was_not_applied_in_a_quarter_of_an_hour(
    world: World,
) -> None:
    the_rollout()
    said = Contact.objects.filter(pk=world.first.pk)
    said.update(opted_out_at=NOON - timedelta(minutes=14), opted_out_by="message 1")
    assert_noted(world.verify(), "P2", contacts=[world.first.pk], words="the oldest since 02 March 11:46 UTC")

    said.update(opted_out_at=NOON - timedelta(minutes=16))

    assert_only(world.verify(), "P2", contacts=[world.first.pk], words="more than a quarter of an hour ago")


@pytest.mark.parametrize("kept", ["not begun", "paused", "off"])
def test_while_something_keeps_it_an_opt_out_that_is_not_applied_is_noted_with_why(
    world: World, kept: str
) -> None:
    if kept != "not begun":
        the_rollout(paused_at=NOON if kept == "paused" else None)
    said = Contact.objects.filter(pk__in=[world.first.pk, world.moved.contact_id])
    said.update(opted_out_at=NOON - timedelta(hours=9), opted_out_by="message 1")

    found = promises.verify(mailjet=world.mailjet, now=NOON, enabled=kept != "off")

    words = {"not begun": "has not been started", "paused": "paused by", "off": "LIST_MANAGEMENT_ENABLED"}
    assert_noted(found, "P2", contacts=[world.first.pk, world.moved.contact_id], words=words[kept])


def test_a_complainer_who_is_not_on_the_suppression_list_breaks_p2_in_time(world: World) -> None:
    the_rollout()
    Contact.objects.filter(pk=world.first.pk).update(
        complained_at=NOON - timedelta(hours=1), complained_by="an event"
    )
    world.act(world.first, world.lists.campaign[0], "remove")
    world.first.memberships.filter(list=world.lists.campaign[0]).update(until=NOON, ended_by=Change.PERSON)

    assert_only(world.verify(), "P2", contacts=[world.first.pk], words="which is not applied")


def test_an_opt_out_that_was_applied_keeps_p2(world: World) -> None:
    world.act(world.first, world.lists.campaign[0], "unsub")

    assert world.verify().broken == []


# --- P3 Master ---------------------------------------------------------------------------------------


def test_an_operation_that_targets_the_master_list_breaks_p3(world: World) -> None:
    trigger = "trigger the_master_list_is_never_a_target"
    with connection.cursor() as cursor:
        cursor.execute(f"alter table listmanagement_batchchange disable {trigger}")
        try:
            a_change(batch=world.placed.batch, list=world.lists.master, action=Action.ADD)
        finally:
            cursor.execute(f"alter table listmanagement_batchchange enable {trigger}")

    assert_only(
        world.verify(), "P3", contacts=[world.placed.contact_id], words=f"list: {world.placed.batch_id}"
    )


def test_a_change_that_our_operation_could_have_made_breaks_p3(world: World) -> None:
    OperationBatch.objects.filter(pk=world.placed.batch_id).update(settled_at=NOON)
    world.act(world.placed.contact, world.lists.master, "remove")

    assert_only(world.verify(), "P3", contacts=[world.placed.contact_id], words="after an operation of ours")


def test_what_people_change_on_the_master_list_is_noted_by_name(world: World) -> None:
    world.act(world.first, world.lists.master, "remove")
    world.act(world.backlog, world.lists.master, "unsub")

    found = world.verify()

    assert_noted(found, "P3", contacts=[world.first.pk], words="no longer on the master list")
    assert_noted(found, "P3", contacts=[world.backlog.pk], words="unsubscribed on the master list")


def test_somebody_who_registered_since_is_noted(world: World) -> None:
    newcomer = a_contact()
    world.show((newcomer, world.lists.master, NOON))

    assert_noted(world.verify(), "P3", contacts=[newcomer.pk], words="new on the master list")


# --- P4 One place ------------------------------------------------------------------------------------


def test_a_move_that_never_left_its_source_breaks_p4(world: World) -> None:
    moved = world.moved.contact
    world.show((moved, world.lists.campaign[0], LONG_AGO))

    assert_only(world.verify(), "P4", contacts=[moved.pk], words="more than one campaign list")


def test_a_suppression_that_left_its_contact_on_the_list_breaks_p4(world: World) -> None:
    suppressed = world.suppressed.contact
    world.show((suppressed, world.lists.campaign[1], LONG_AGO))

    assert_only(world.verify(), "P4", contacts=[suppressed.pk], words="on the suppression list and still")


def test_a_second_place_that_people_gave_is_an_open_item(world: World) -> None:
    world.act(world.first, world.lists.campaign[1], "addnoforce")
    world.act(world.moved.contact, world.lists.campaign[0], "addnoforce")
    world.act(world.suppressed.contact, world.lists.campaign[1], "addnoforce")

    contacts = [world.first.pk, world.moved.contact_id, world.suppressed.contact_id]
    assert_noted(world.verify(), "P4", contacts=contacts, words="open item")


def test_an_unsubscribed_second_membership_is_no_second_place(world: World) -> None:
    world.act(world.first, world.lists.campaign[1], "addnoforce")
    world.act(world.first, world.lists.campaign[1], "unsub")

    assert the(world.verify(), "P4").noted == ()


# --- P5 Once per cycle -------------------------------------------------------------------------------


def test_somebody_whom_a_cycle_did_not_reach_breaks_p5(world: World) -> None:
    CampaignRecipient.objects.filter(contact=world.first).delete()

    assert_only(world.verify(), "P5", contacts=[world.first.pk], words="got no message of cycle 1")


def test_somebody_who_got_two_rounds_breaks_p5(world: World) -> None:
    a_recipient(campaign=world.rounds[2], contact=world.first)

    assert_only(world.verify(), "P5", contacts=[world.first.pk], words="more than one message of cycle 1")


def test_two_messages_of_one_round_break_p5(world: World) -> None:
    a_recipient(campaign=world.rounds[0], contact=world.first)

    assert_only(world.verify(), "P5", contacts=[world.first.pk], words="more than one message of cycle 1")


def test_somebody_moved_in_mid_cycle_into_a_second_message_breaks_p5(world: World) -> None:
    contact = world.moved.contact_id
    between = EVERY_ROUND[0] + timedelta(hours=12)
    ContactListMembership.objects.filter(contact=contact, until=CHANGED_AT).update(until=between)
    ContactListMembership.objects.filter(contact=contact, since=CHANGED_AT).update(since=between)
    a_recipient(campaign=world.rounds[1], contact_id=contact, contact=world.moved.contact)

    assert_only(world.verify(), "P5", contacts=[contact], words="more than one message")


def test_somebody_moved_in_mid_cycle_past_every_message_breaks_p5(world: World) -> None:
    """Their old list's round was called off, which explains the others there, and not who was moved."""
    contact, called_off = world.moved.contact_id, world.rounds[0]
    CampaignRecipient.objects.filter(campaign=called_off).delete()
    CampaignSchedule.objects.filter(pk=called_off.pk).update(
        status=RoundStatus.CANCELLED, started_at=None, ended_at=None
    )
    after_its_send = EVERY_ROUND[1] + timedelta(hours=12)
    ContactListMembership.objects.filter(contact=contact, until=CHANGED_AT).update(until=after_its_send)
    ContactListMembership.objects.filter(contact=contact, since=CHANGED_AT).update(since=after_its_send)

    assert_only(world.verify(), "P5", contacts=[contact], words="got no message")


def test_somebody_newly_placed_may_get_none_or_one_but_not_two(world: World) -> None:
    contact = world.placed.contact
    ContactListMembership.objects.filter(contact=contact, since=CHANGED_AT).update(
        since=BEGAN + timedelta(hours=1)
    )
    assert world.verify().broken == []

    a_recipient(campaign=world.rounds[2], contact=contact)
    assert world.verify().broken == []

    a_recipient(campaign=world.rounds[1], contact=contact)
    assert_only(world.verify(), "P5", contacts=[contact.pk], words="more than one message")


def test_somebody_suppressed_before_their_round_is_not_missed(world: World) -> None:
    CampaignRecipient.objects.filter(contact=world.members[2][0]).delete()
    an_imported_suppression(contact=world.members[2][0], at=BEGAN + timedelta(hours=1))
    a_membership(contact=world.members[2][0], list=world.lists.suppression)
    ContactListMembership.objects.filter(contact=world.members[2][0], list=world.lists.campaign[2]).update(
        until=BEGAN + timedelta(hours=1), ended_by=Change.OPERATION, ended_with=world.suppressed.operation
    )
    world.show()

    assert the(world.verify(), "P5").held


def test_somebody_suppressed_after_the_cycle_is_missed_all_the_same(world: World) -> None:
    """Their suppression came five days later: they were due a message."""
    other = a_campaign(kind=CampaignKind.ONE_OFF)
    CampaignRecipient.objects.filter(contact=world.suppressed.contact_id).update(campaign=other)

    assert "P5" in world.verify().broken


def test_somebody_whose_suppression_was_under_way_as_the_cycle_ended_is_due_none(world: World) -> None:
    other = a_campaign(kind=CampaignKind.ONE_OFF)
    CampaignRecipient.objects.filter(contact=world.suppressed.contact_id).update(campaign=other)
    OperationBatch.objects.filter(operations=world.suppressed.operation).update(sending_at=BEGAN)

    assert the(world.verify(), "P5").held


def test_somebody_held_is_mailable_and_due_their_message(world: World) -> None:
    a_hold(host=world.first.domain, since=LONG_AGO, run=a_run(campaign=a_campaign(kind=CampaignKind.ONE_OFF)))
    CampaignRecipient.objects.filter(contact=world.first).delete()

    assert "P5" in world.verify().broken


def test_a_round_that_people_called_off_is_noted_with_whom_it_missed(world: World) -> None:
    CampaignRecipient.objects.filter(campaign=world.rounds[2]).delete()
    CampaignSchedule.objects.filter(pk=world.rounds[2].pk).update(
        status=RoundStatus.CANCELLED, started_at=None, ended_at=None
    )

    found = world.verify()

    assert_noted(found, "P5", contacts=[c.pk for c in world.members[2]], words="got no message")
    assert any(f"campaign {world.rounds[2].pk}" in note for note in the(found, "P5").noted)


def test_a_round_that_people_called_off_explains_whom_a_half_done_move_brought_to_its_list(
    world: World,
) -> None:
    """They were on both lists as the cycle began, and left the first one seconds later, before its round."""
    moved, (one, _, three) = world.members[0][0], world.lists.campaign
    CampaignRecipient.objects.filter(campaign=world.rounds[2]).delete()
    CampaignSchedule.objects.filter(pk=world.rounds[2].pk).update(
        status=RoundStatus.CANCELLED, started_at=None, ended_at=None
    )
    CampaignRecipient.objects.filter(contact=moved).delete()
    ContactListMembership.objects.filter(contact=moved, list=one).update(
        until=BEGAN + timedelta(seconds=10), ended_by=Change.OPERATION, ended_with=world.suppressed.operation
    )
    a_membership(contact=moved, list=three, since=BEGAN - timedelta(seconds=10))
    world.show()

    missed = [moved.pk, *(each.pk for each in world.members[2])]
    assert_noted(world.verify(), "P5", contacts=missed, words="got no message")


def test_somebody_whom_people_took_off_before_their_round_is_noted(world: World) -> None:
    gone = world.members[2][0]
    CampaignRecipient.objects.filter(contact=gone).delete()
    ContactListMembership.objects.filter(contact=gone, list=world.lists.campaign[2]).update(
        until=BEGAN + timedelta(hours=1), ended_by=Change.PERSON
    )
    world.show()

    assert_noted(world.verify(), "P5", contacts=[gone.pk], words="got no message")


@pytest.mark.parametrize(
    ("seen_at", "broken"), [(BEGAN - timedelta(days=1), []), (OVER + timedelta(days=1), ["P5"])]
)
def test_whom_people_took_off_between_two_readings_they_may_have_taken_off_before_the_round(
    world: World, seen_at: datetime, broken: list[str]
) -> None:
    """Nobody had read the list for days: that they had left was seen long after the round."""
    gone = world.members[2][0]
    CampaignRecipient.objects.filter(contact=gone).delete()
    ContactListMembership.objects.filter(contact=gone, list=world.lists.campaign[2]).update(
        until=OVER + timedelta(days=2), ended_by=Change.PERSON, last_seen_at=seen_at
    )
    world.show()

    assert world.verify().broken == broken


def test_who_was_looked_up_on_the_list_after_its_round_was_on_it_at_its_round(world: World) -> None:
    """The list was last read before the round; Mailjet was asked for them by themselves after it."""
    missed, third = world.members[2][0], world.lists.campaign[2]
    CampaignRecipient.objects.filter(contact=missed).delete()
    ContactList.objects.filter(pk=third.pk).update(read_at=BEGAN - timedelta(days=1))
    world.show()
    whereabouts.refresh([missed.pk], mailjet=world.mailjet, now=OVER + timedelta(hours=1))
    world.act(missed, third, "remove")
    whereabouts.refresh([missed.pk], mailjet=world.mailjet, now=OVER + timedelta(days=2))

    left = ContactListMembership.objects.get(contact=missed, list=third)
    assert (left.ended_by, left.last_seen_at) == (Change.PERSON, OVER + timedelta(hours=1))
    assert "P5" in world.verify().broken


def test_a_second_message_on_a_list_where_people_put_them_is_noted(world: World) -> None:
    a_membership(
        contact=world.first,
        list=world.lists.campaign[2],
        since=BEGAN + timedelta(hours=1),
        until=OVER,
        began_by=Change.PERSON,
    )
    a_recipient(campaign=world.rounds[2], contact=world.first)

    assert_noted(world.verify(), "P5", contacts=[world.first.pk], words="more than one message")


def test_a_repeat_is_noted_and_counts_for_nobody(world: World) -> None:
    repeat = a_campaign(
        kind=CampaignKind.REPEAT, cycle=world.cycle, list=world.lists.campaign[0], recipients_fetched_at=NOON
    )
    a_recipient(campaign=repeat, contact=world.first)

    found = world.verify()

    assert found.broken == []
    assert any(f"campaign {repeat.pk}" in note and "repeat" in note for note in the(found, "P5").noted)


def test_a_copy_that_mailjet_left_out_is_noted_and_is_no_second_message(world: World) -> None:
    a_recipient(
        campaign=world.rounds[0],
        contact=world.first,
        outcome=Outcome.NOT_ATTEMPTED,
        bounce_class=BounceClass.DUPLICATE,
    )

    assert_noted(world.verify(), "P5", contacts=[world.first.pk], words="left out a second copy")


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"recipients_fetched_at": None}, "are not fetched"),
        ({"recipients_fetched_at": EVERY_ROUND[2]}, "are not fetched"),
        ({"status": RoundStatus.SENDING, "ended_at": None}, "is sending"),
        (
            {"status": RoundStatus.SCHEDULED, "started_at": None, "ended_at": None, "scheduled_at": NOON},
            "is scheduled",
        ),
    ],
)
def test_a_cycle_is_not_judged_before_all_its_messages_are_fetched(
    world: World, columns: dict[str, Any], why: str
) -> None:
    Cycle.objects.update(ended_at=None)
    CampaignSchedule.objects.filter(pk=world.rounds[2].pk).update(**columns)
    a_recipient(campaign=world.rounds[1], contact=world.first)

    promise = the(world.verify(), "P5")

    assert promise.held
    assert promise.checked == 0
    assert promise.noted[0].startswith("cycle 1 is not judged yet")
    assert why in promise.noted[0]


def test_a_cycle_is_not_judged_before_each_list_had_its_round(world: World) -> None:
    CampaignRecipient.objects.filter(campaign=world.rounds[2]).delete()
    CampaignSchedule.objects.filter(pk=world.rounds[2].pk).delete()
    Cycle.objects.update(ended_at=None)

    promise = the(world.verify(), "P5")

    assert promise.held
    assert promise.noted == (
        f"cycle 1 is not judged yet: lists without a round so far: {world.lists.campaign[2].mailjet_id}",
    )


def test_after_21_days_a_round_that_never_came_is_judged_as_people_left_it(world: World) -> None:
    CampaignRecipient.objects.filter(campaign=world.rounds[2]).delete()
    CampaignSchedule.objects.filter(pk=world.rounds[2].pk).update(
        status=RoundStatus.SCHEDULED, started_at=None, ended_at=None, scheduled_at=NOON
    )
    Cycle.objects.update(ended_at=None)
    late = BEGAN + timedelta(days=21)

    found = promises.verify(mailjet=world.mailjet, now=late)

    assert_noted(found, "P5", contacts=[c.pk for c in world.members[2]], words="got no message")


def test_somebody_missing_since_the_last_reading_was_taken_off_by_people(world: World) -> None:
    CampaignRecipient.objects.filter(contact=world.first).delete()
    ContactListMembership.objects.filter(contact=world.first, list=world.lists.campaign[0]).update(
        missing_since=NOON
    )

    assert_noted(world.verify(), "P5", contacts=[world.first.pk], words="got no message")


# --- P6 Journal --------------------------------------------------------------------------------------


def test_a_batch_that_hangs_breaks_p6(world: World) -> None:
    batch = a_batch(
        run=a_run(campaign=world.rounds[0]),
        status=BatchStatus.SUBMITTED,
        sending_at=NOON - timedelta(minutes=61),
    )

    assert_only(world.verify(), "P6", contacts=[], words=f"more than an hour: {batch.pk}")


def test_a_batch_that_waits_for_a_freeze_to_end_does_not(world: World) -> None:
    a_batch(run=a_run(campaign=world.rounds[0]), next_at=NOON + timedelta(hours=9))

    assert world.verify().broken == []


def test_a_batch_left_behind_by_a_run_that_ended_breaks_p6(world: World) -> None:
    a_batch(run=a_run(campaign=world.rounds[0], status=RunStatus.PARTIAL))

    assert_only(world.verify(), "P6", contacts=[], words="although the run has ended")


def test_an_operation_applied_without_being_sent_breaks_p6(world: World) -> None:
    OperationBatch.objects.filter(pk=world.placed.batch_id).update(sending_at=None)

    assert_only(world.verify(), "P6", contacts=[world.placed.contact_id], words="never sent")


# --- While a run is under way ------------------------------------------------------------------------


def test_contacts_of_a_batch_under_way_are_left_out_and_counted(world: World) -> None:
    """A suppression that Mailjet has done and the journal has not yet seen is no riddle."""
    run = a_run(campaign=world.rounds[0])
    batch = a_batch(run=run, status=BatchStatus.SUBMITTED)
    failed = _failed(world.rounds[0], world.first)
    item = an_item(
        group=a_group(decision=a_decision(run=run, status=DecisionStatus.APPROVED)),
        contact=world.first,
        evidence=a_bounce(recipient=failed),
    )
    an_operation(batch=batch, item=item)
    world.act(world.first, world.lists.suppression, "addnoforce")

    assert_noted(world.verify(), "P1", contacts=[world.first.pk], words="being changed right now")


def test_contacts_changed_after_the_reading_began_are_left_out(world: World) -> None:
    ListOperation.objects.filter(pk=world.suppressed.operation_id).update(
        applied_at=NOON + timedelta(seconds=1)
    )
    world.act(world.suppressed.contact, world.lists.suppression, "remove")

    assert world.verify().broken == []


# --- The command -------------------------------------------------------------------------------------


def run_command(*arguments: str, standin: Serving, capsys: pytest.CaptureFixture[str], **given: Any) -> str:
    with override_settings(MAILJET_BASE_URL=standin.url, **given):
        call_command("verify_promises", *arguments)
    return capsys.readouterr().out


def test_the_command_says_each_promise_on_a_line(
    world: World, standin: Serving, capsys: pytest.CaptureFixture[str]
) -> None:
    told = run_command(standin=standin, capsys=capsys)

    assert [line.split()[:2] for line in told.splitlines() if line.startswith("P")][: len(ALL)] == [
        [name, "held"] for name in ALL
    ]
    assert "Promises all held" in told


def test_the_commands_reads_count_as_background_work(
    world: World, standin: Serving, capsys: pytest.CaptureFixture[str]
) -> None:
    run_command(standin=standin, capsys=capsys)

    assert set(MailjetRequest.objects.values_list("background", flat=True)) == {True}


def test_a_broken_promise_ends_the_command_with_1_and_is_named_in_json(
    world: World, standin: Serving, capsys: pytest.CaptureFixture[str]
) -> None:
    _spend(world)

    with pytest.raises(SystemExit) as ended:
        run_command("--json", standin=standin, capsys=capsys)
    told = json.loads(capsys.readouterr().out)

    assert ended.value.code == 1
    assert told["promises_broken"] == ["P1"]
    assert told["mailjet_requests"] == 6
    assert [each["promise"] for each in told["promises"]] == ALL
    assert told["promises"][0]["held"] is False
    [violation] = told["promises"][0]["violations"]
    assert violation["contacts"] == [world.suppressed.contact_id]
    assert violation["count"] == 1


def test_no_address_is_printed(world: World, standin: Serving, capsys: pytest.CaptureFixture[str]) -> None:
    _spend(world)
    world.act(world.opted_out, world.lists.campaign[1], "addforce")

    with pytest.raises(SystemExit):
        run_command(standin=standin, capsys=capsys)
    told = capsys.readouterr().out

    assert "BROKEN" in told
    assert "@" not in told


def test_at_most_twenty_ids_are_shown_and_all_are_counted(
    world: World, standin: Serving, capsys: pytest.CaptureFixture[str]
) -> None:
    strangers = [_a_person() for _ in range(23)]
    world.show(*((each, world.lists.suppression, NOON) for each in strangers))

    [violation] = the(world.verify(), "P1").broken
    assert violation.count == 23
    assert violation.contacts == tuple(sorted(each.pk for each in strangers)[:20])
    with pytest.raises(SystemExit):
        run_command(standin=standin, capsys=capsys)
    assert "23 contacts" in (told := capsys.readouterr().out)
    assert "and 3 more" in told


@pytest.mark.parametrize("plant", ["unauthorized", "deleted", "unknown"])
def test_what_cannot_be_checked_ends_the_command_with_2_and_words(
    world: World, standin: Serving, capsys: pytest.CaptureFixture[str], plant: str
) -> None:
    given = {"MAILJET_API_KEY": "wrong"} if plant == "unauthorized" else {}
    document = _document()
    if plant == "deleted":
        document["lists"][0]["is_deleted"] = True
        world.control.load(document)
    if plant == "unknown":
        ContactList.objects.filter(pk=world.lists.suppression.pk).update(mailjet_id=4)

    with pytest.raises(CommandError) as refused:
        run_command(standin=standin, capsys=capsys, **given)

    assert refused.value.returncode == 2
    assert "were not checked" in str(refused.value)


def test_an_empty_database_is_not_called_clean(control: Control, mailjet: Mailjet) -> None:
    with pytest.raises(promises.NotChecked, match="does not know"):
        promises.broken(mailjet=mailjet, now=NOON)


def test_nothing_is_said_while_mailjet_is_away(world: World) -> None:
    world.control.fault(path="listrecipient", status=503)

    with pytest.raises(MailjetUnavailable):
        promises.broken(mailjet=world.mailjet, now=NOON)


# --- P7: bounded AI --------------------------------------------------------------------------------------


def _decided(world: World, **columns: Any) -> None:
    Decision.objects.filter(pk=world.suppressed.item.decision_id).update(**columns)


@pytest.mark.parametrize("status", [DecisionStatus.OBSERVED, DecisionStatus.EXPIRED])
def test_p7_somebody_was_placed_though_nobody_approved_it(world: World, status: DecisionStatus) -> None:
    placed = Decision.objects.filter(pk=world.placed.item.decision_id)
    placed.update(status=status, reviewed_at=None, reviewed_by=None, deadline=NOON)

    assert_only(world.verify(), "P7", contacts=[world.placed.contact_id], words="nobody approved it")


@pytest.mark.parametrize(
    "doubt",
    [
        {"region": "may", "confidence": 0.85},
        {"region": "may", "confidence": 0.99, "disagreement": True},
        {"confidence": 1.0, "contradiction": True},
        {"confidence": 1.0, "policy_review": True},
        {"confidence": 1.0, "reasons": ["more than 10 % of the list"]},
    ],
    ids=["unsure", "disagreement", "contradiction", "the policy wants a person", "a reason stands"],
)
def test_p7_what_asked_for_a_person_was_executed_alone(world: World, doubt: dict[str, Any]) -> None:
    _decided(world, status=DecisionStatus.CLEAR, reviewed_at=None, reviewed_by=None)
    groups = DecisionGroup.objects.filter(decision=world.suppressed.item.decision_id)
    groups.update(region="must", confidence=1.0, reasons=[])
    assert world.verify().broken == []

    groups.update(**doubt)

    assert_only(
        world.verify(), "P7", contacts=[world.suppressed.contact_id], words="something spoke for a review"
    )


# --- P8: private -----------------------------------------------------------------------------------------


def test_p8_an_address_in_what_an_agent_was_asked(world: World) -> None:
    call = an_agent_call(asked={"cohorts": ["somebody@mail.example.com"]})

    assert_only(
        world.verify(), "P8", contacts=[], words=f"1 agent calls with an e-mail address in them: {call.pk}"
    )


def test_p8_an_address_in_what_slack_is_told(world: World) -> None:
    a_notification(text="all is well", blocks=[{"text": "see me@example.com"}])

    assert_only(world.verify(), "P8", contacts=[], words="1 notifications with an e-mail address")


def test_p8_what_only_looks_like_one_is_none(world: World) -> None:
    an_agent_call(asked={"cohorts": ["recipient_gone@3", "2 @ 50 %"]})
    a_notification(text="<@U123> please look", blocks=[])

    assert world.verify().broken == []


# --- P9: off is off --------------------------------------------------------------------------------------


def test_p9_batches_were_sent_while_everything_was_paused(world: World) -> None:
    sent = list(OperationBatch.objects.order_by("sending_at").values_list("sending_at", flat=True))
    paused = {"changed_by": a_reviewer(), "why": "the weather"}
    the_rollout(paused_at=sent[-1], **paused)
    assert world.verify().broken == []

    RolloutState.objects.update(paused_at=sent[0] - timedelta(seconds=1))

    found = world.verify()
    assert found.broken == ["P9"]
    assert "batches sent although everything was paused" in the(found, "P9").broken[0].words


@pytest.mark.parametrize(
    ("override", "paused", "broken"),
    [("", -1, ["P9"]), ("the list was wrong", -1, []), ("in a pause before", 1, ["P9"])],
)
def test_p9_an_undo_goes_on_only_in_the_pause_for_which_an_override_was_stated(
    world: World, override: str, paused: int, broken: list[str]
) -> None:
    ana = a_reviewer()
    undo = a_run(
        kind=RunKind.UNDO,
        undoes=OperationBatch.objects.get(pk=world.placed.batch_id).run,
        trigger=Trigger.PERSON,
        triggered_by=ana,
        override=override,
        status=RunStatus.SUCCEEDED,
    )
    a_batch(run=undo, status=BatchStatus.APPLIED, sending_at=NOON + timedelta(seconds=2))
    the_rollout(paused_at=NOON + timedelta(seconds=paused), changed_by=ana, why="the weather")

    assert world.verify().broken == broken


# --- P10: alone it stands --------------------------------------------------------------------------------


def test_p10_a_run_that_nobody_advances(world: World) -> None:
    run = a_run(campaign=world.rounds[2], status=RunStatus.PENDING, created_at=NOON - timedelta(minutes=59))
    assert world.verify().broken == []

    ListMaintenanceLog.objects.filter(pk=run.pk).update(created_at=NOON - timedelta(hours=1, seconds=1))

    assert_only(world.verify(), "P10", contacts=[], words=f"more than an hour: {run.pk}")


def test_p10_a_message_that_does_not_leave_is_noted(world: World) -> None:
    a_notification(next_at=NOON - timedelta(hours=2), created_at=NOON - timedelta(hours=2))

    found = world.verify()

    assert found.broken == []
    assert the(found, "P10").noted == ("1 messages wait for Slack for more than an hour",)


# --- P11: one effect -------------------------------------------------------------------------------------


def test_p11_somebody_suppressed_twice_on_the_same_evidence(world: World) -> None:
    first = world.suppressed.item
    decision = a_decision(run=a_run(campaign=world.rounds[2], status=RunStatus.SUCCEEDED))
    an_item(
        group=a_group(decision=decision),
        contact=first.contact,
        evidence=first.evidence,
        status=ItemStatus.EXECUTED,
        source_list=first.source_list,
    )

    assert_only(
        world.verify(), "P11", contacts=[first.contact_id], words="suppressed twice on the same evidence"
    )
