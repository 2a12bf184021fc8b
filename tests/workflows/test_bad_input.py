"""What is wrong outside has a defined end: words that say what to do, nothing half done, and a way on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from integrations.sandbox.effects import is_address
from listmanagement.domain.bounces import Outcome
from listmanagement.models import (
    CampaignRecipient,
    CampaignSchedule,
    Contact,
    ContactList,
    DecisionStatus,
    ItemStatus,
    ListMaintenanceLog,
    NotificationKind,
    Role,
    RunStatus,
    Step,
    Trigger,
)
from listmanagement.outside import Configuration
from listmanagement.workflows import runs
from listmanagement.workflows.by_people import review
from listmanagement.workflows.demo import words
from listmanagement.workflows.maintenance import post_campaign
from tests import factories
from tests.factories import CAMPAIGNS, MASTER, SUPPRESSION
from tests.workflows import scene as scenes
from tests.workflows.liar import at, lying
from tests.workflows.scene import Scene
from tests.workflows.sends import (
    UNKNOWN_USER,
    a_last_round,
    a_rotation,
    has_observed,
    people,
    sent_at_mailjet,
)

pytestmark = pytest.mark.django_db

Row = dict[str, Any]


def start(scene: Scene, campaign: CampaignSchedule) -> ListMaintenanceLog:
    return post_campaign.start(
        campaign.pk,
        trigger=Trigger.PERSON,
        by=None,
        configuration=scene.outside.configuration,
        now=scene.clock(),
    )


def set_up_as(scene: Scene, **settings: Any) -> None:
    """The settings name something else from now on."""
    scene.outside = replace(scene.outside, configuration=replace(scene.outside.configuration, **settings))


def approved_to_its_end(scene: Scene, run: ListMaintenanceLog) -> ListMaintenanceLog:
    reviewer = factories.a_reviewer()
    while (run := scene.go_on(run)).status == RunStatus.WAITING_FOR_REVIEW:
        review.approve(run.decisions.get(status=DecisionStatus.OPEN).pk, by=reviewer, now=scene.clock())
    return run


def a_small_campaign(scene: Scene) -> CampaignSchedule:
    """Nobody failed, and nothing is to be done."""
    has_observed()
    for contact_list in scene.lists.campaign:
        people(2, on=contact_list)
    return sent_at_mailjet(scene, scene.lists.campaign[0], failed={})


# --- Lists that the settings name --------------------------------------------------------------------

UNKNOWN = 4711
LISTS: dict[str, Callable[[], Row]] = {
    "MAILJET_MASTER_LIST_ID": lambda: {"master_list_id": UNKNOWN},
    "MAILJET_CAMPAIGN_LIST_1_ID": lambda: {"campaign_list_ids": (UNKNOWN, *CAMPAIGNS[1:])},
    "MAILJET_CAMPAIGN_LIST_3_ID": lambda: {"campaign_list_ids": (*CAMPAIGNS[:2], UNKNOWN)},
    "MAILJET_SUPPRESSION_LIST_ID": lambda: {"suppression_list_id": UNKNOWN},
}


@pytest.mark.parametrize("variable", LISTS)
def test_a_list_that_mailjet_does_not_know_ends_the_run_with_the_settings_name(
    scene: Scene, variable: str
) -> None:
    campaign = a_small_campaign(scene)
    right = scene.outside.configuration
    set_up_as(scene, **LISTS[variable]())

    run = scene.go_on(start(scene, campaign))

    assert (run.status, run.step) == (RunStatus.FAILED, Step.CAPTURE_BEFORE)
    assert run.report == (
        f"{variable} is {UNKNOWN}, which Mailjet does not know: correct it. Nothing was changed."
    )
    assert run.notifications.get().kind == NotificationKind.MAINTENANCE_FAILED
    assert scene.standin.writes() == []

    set_up_as(scene, **vars(right))
    assert scene.go_on(start(scene, campaign)).status == RunStatus.SUCCEEDED


@pytest.mark.parametrize("role", list(Role))
def test_a_list_that_is_deleted_at_mailjet_ends_the_run_until_it_is_restored(
    scene: Scene, role: Role
) -> None:
    campaign = a_small_campaign(scene)
    contact_list = ContactList.objects.filter(role=role).exclude(pk=campaign.list_id).first()
    assert contact_list is not None
    world = scene.control.dump()
    gone = {**world, "lists": [deleted(row, contact_list.mailjet_id) for row in world["lists"]]}
    gone["memberships"] = [m for m in world["memberships"] if m["list_id"] != contact_list.mailjet_id]
    scene.control.load(gone)

    run = scene.go_on(start(scene, campaign))

    assert run.status == RunStatus.FAILED
    assert f"is {contact_list.mailjet_id}, which is deleted at Mailjet: restore it" in run.report
    contact_list.refresh_from_db()
    assert contact_list.is_deleted

    scene.control.load(world)
    assert scene.go_on(start(scene, campaign)).status == RunStatus.SUCCEEDED
    contact_list.refresh_from_db()
    assert not contact_list.is_deleted


def deleted(row: Row, list_id: int) -> Row:
    return {**row, "is_deleted": True} if row["id"] == list_id else row


@pytest.mark.parametrize(
    ("named", "problem"),
    [
        (
            {"master_list_id": SUPPRESSION, "suppression_list_id": MASTER},
            (
                f"MAILJET_MASTER_LIST_ID is {SUPPRESSION}, which is the suppression list here, "
                "not the master list: correct the settings"
            ),
        ),
        (
            {"campaign_list_ids": (CAMPAIGNS[1], CAMPAIGNS[0], CAMPAIGNS[2])},
            (
                f"MAILJET_CAMPAIGN_LIST_1_ID is {CAMPAIGNS[1]}, which is campaign list 2 here, "
                "not campaign list 1: correct the settings"
            ),
        ),
        (
            {"campaign_list_ids": CAMPAIGNS[:2]},
            f"Mailjet's list {CAMPAIGNS[2]} is campaign list 3 here, but no setting names it",
        ),
        (
            {"campaign_list_ids": (*CAMPAIGNS, 99)},
            "MAILJET_CAMPAIGN_LIST_4_ID is 99, which is not known here, not campaign list 4",
        ),
    ],
    ids=["master and suppression", "two campaign lists", "one too few", "one too many"],
)
def test_settings_that_name_other_lists_than_the_database_change_nothing(
    scene: Scene, named: Row, problem: str
) -> None:
    """Under exchanged ids the master list would be written to (P3)."""
    campaign = a_small_campaign(scene)
    world = scene.control.dump()
    scene.control.load({**world, "lists": [*world["lists"], {"id": 99, "name": "another"}]})
    set_up_as(scene, **named)

    run = scene.go_on(start(scene, campaign))

    assert (run.status, scene.standin.writes()) == (RunStatus.FAILED, [])
    assert run.report.startswith(problem)
    assert run.report.endswith("Nothing was changed.")


def test_wrong_keys_end_the_run_and_right_ones_let_it_go_on(scene: Scene) -> None:
    campaign = a_small_campaign(scene)
    run = start(scene, campaign)
    stranger = replace(scene.standin, serving=replace(scene.standin.serving, api_secret="wrong"))

    with scenes.connect(stranger) as mailjet:
        run = runs.advance(run.pk, outside=scene.with_mailjet(mailjet), clock=scene.clock)

    assert run.status == RunStatus.FAILED
    assert run.report == "GET contactslist: Mailjet does not know the API key and secret; check both"
    assert scene.go_on(start(scene, campaign)).status == RunStatus.SUCCEEDED


# --- Answers that are not what Mailjet documents -----------------------------------------------------


def lose(field: str) -> Callable[[Row], Row]:
    return lambda row: {name: value for name, value in row.items() if name != field}


def say(**fields: Any) -> Callable[[Row], Row]:
    return lambda row: {**row, **fields}


@pytest.mark.parametrize(
    ("about", "lie", "step", "named"),
    [
        ("/contactslist", lose("IsDeleted"), Step.CAPTURE_BEFORE, "contactslist: row 0, field IsDeleted"),
        ("/contactslist", say(ID="one"), Step.CAPTURE_BEFORE, "contactslist: row 0, field ID"),
        ("/listrecipient", lose("ContactID"), Step.CAPTURE_BEFORE, "listrecipient: row 0, field ContactID"),
        ("/listrecipient", say(ListID=1), Step.CAPTURE_BEFORE, "listrecipient: field ListID"),
        ("/contact", say(Email=None), Step.CAPTURE_BEFORE, "contact: row 0, field Email"),
        ("/contact", say(CreatedAt="long ago"), Step.CAPTURE_BEFORE, "contact: row 0, field CreatedAt"),
        ("/message", say(Status="vanished"), Step.FETCH_OUTCOMES, "message: row 0, field Status"),
        ("/message", say(StatePermanent="maybe"), Step.FETCH_OUTCOMES, "field StatePermanent"),
    ],
)
def test_a_malformed_answer_ends_the_run_by_resource_and_field_and_a_person_goes_on_with_it(
    scene: Scene, about: str, lie: Callable[[Row], Row], step: Step, named: str
) -> None:
    campaign = a_small_campaign(scene)
    run = start(scene, campaign)

    with (
        lying(scene.standin, about=about, lie=lie) as url,
        scenes.connect(at(scene.standin, url)) as mailjet,
    ):
        run = runs.advance(run.pk, outside=scene.with_mailjet(mailjet), clock=scene.clock)

    assert (run.status, run.step, scene.standin.writes()) == (RunStatus.FAILED, step, [])
    assert named in run.report
    assert "@" not in f"{run.report} {run.errors}"
    assert not CampaignRecipient.objects.filter(campaign=campaign).exists()
    assert scene.go_on(start(scene, campaign)).status == RunStatus.SUCCEEDED


@pytest.mark.parametrize("about", ["/contactslist", "/listrecipient", "/contact", "/message"])
def test_fields_that_nobody_knows_make_no_difference(scene: Scene, about: str) -> None:
    campaign = a_small_campaign(scene)

    with (
        lying(scene.standin, about=about, lie=say(Mood="fine", Nested={"a": [1]})) as url,
        scenes.connect(at(scene.standin, url)) as mailjet,
    ):
        run = runs.advance(start(scene, campaign).pk, outside=scene.with_mailjet(mailjet), clock=scene.clock)

    assert run.status == RunStatus.SUCCEEDED


# --- Addresses ---------------------------------------------------------------------------------------


def test_whoever_has_an_awkward_address_is_suppressed_like_anybody_else(scene: Scene) -> None:
    awkward = [
        "Capital.LETTERS@Example.COM",
        "plus+tag@example.org",
        "o'quote@example.net",
        "jörg@bücher.example",
        "percent%40@odd.example",
        *(
            words.awkward_address(n, given="Ada", family=f"Byron{n}", domain=f"home-{n}.example")
            for n in range(len(words.AWKWARD))
        ),
    ]
    assert all(is_address(email) for email in awkward)
    first = scene.lists.campaign[0]
    a_rotation(scene, each=150)
    gone = [factories.a_contact(email=email) for email in awkward]
    for contact in gone:
        factories.a_membership(list=first, contact=contact)
        factories.a_membership(list=scene.lists.master, contact=contact)
    has_observed()

    run = approved_to_its_end(scene, start(scene, a_last_round(scene, failed={UNKNOWN_USER: gone})))

    assert (run.status, run.counts["suppressed"]) == (RunStatus.SUCCEEDED, len(gone))
    assert set(scene.members(scene.lists.suppression)) == {contact.pk for contact in gone}
    assert not set(scene.members(first)) & {contact.pk for contact in gone}
    assert len(scene.control.dump()["contacts"]) == Contact.objects.count()
    assert dict(Contact.objects.filter(pk__in=[c.pk for c in gone]).values_list("pk", "email")) == {
        contact.pk: contact.email for contact in gone
    }


# --- People who come and go --------------------------------------------------------------------------


def test_a_failure_of_somebody_the_mirror_never_saw_is_kept_and_changes_nobody(scene: Scene) -> None:
    a_rotation(scene)
    has_observed()
    campaign = a_last_round(scene, failed={})
    world = scene.control.dump()
    stranger = {**world["contacts"][0], "id": 999_999, "email": "stranger@elsewhere.test"}
    failed = {**world["messages"][0], "id": 2**61, "contact_id": 999_999, "status": "hardbounced"}
    failed |= {"state_id": 1, "state_permanent": True}
    world["contacts"].append(stranger)
    world["messages"].append(failed)
    scene.control.load(world)

    run = approved_to_its_end(scene, start(scene, campaign))

    contact = Contact.objects.get(pk=999_999)
    assert (contact.email, contact.received.get().outcome) == ("stranger@elsewhere.test", Outcome.BOUNCED)
    assert (run.status, run.counts["suppressed"], run.counts["dropped"]) == (RunStatus.SUCCEEDED, 0, 1)
    item = contact.items.get()
    assert (item.status, item.why.partition(" list")[0][:12]) == (ItemStatus.DROPPED, "no longer on")
    assert scene.members(scene.lists.suppression) == {}


def test_somebody_made_anew_before_the_judgement_is_judged_by_what_is_theirs(scene: Scene) -> None:
    [gone, *_], _, _ = a_rotation(scene)
    has_observed()
    campaign = a_last_round(scene, failed={UNKNOWN_USER: [gone]})
    world = scene.control.dump()
    old = next(row for row in world["contacts"] if row["id"] == gone.pk)
    world["contacts"].append({**old, "id": 999_999})
    old |= {"email": f"{gone.pk}@domain.invalid", "name": "Anonymized"}
    for row in world["memberships"]:
        if row["contact_id"] == gone.pk:
            row["contact_id"] = 999_999
    scene.control.load(world)

    run = scene.go_on(start(scene, campaign))

    gone.refresh_from_db()
    assert (run.status, run.decisions.count()) == (RunStatus.SUCCEEDED, 0)
    assert (gone.email, gone.received.get(campaign=campaign).outcome) == (None, Outcome.BOUNCED)
    assert Contact.objects.get(pk=999_999).memberships.current().filter(list=campaign.list).exists()
    assert scene.standin.writes() == []


def test_the_configuration_of_the_tests_names_every_list() -> None:
    named: Configuration = scenes.configuration()

    assert set(named.list_ids()) == {*LISTS, "MAILJET_CAMPAIGN_LIST_2_ID"}
