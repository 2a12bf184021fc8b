from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from listmanagement.models import (
    AuditEntry,
    Decision,
    DecisionKind,
    DecisionStatus,
    ItemAction,
    ItemStatus,
    Trigger,
)
from tests import factories
from tests.admin import scenes
from tests.admin.scenes import Scene

VERBS = ("approve", "reject", "take_out", "put_back")


def door(verb: str, decision: Decision) -> str:
    return reverse(f"admin:listmanagement_decision_{verb}", args=[decision.pk])


def told(response: HttpResponse) -> list[str]:
    return [str(message) for message in get_messages(response.wsgi_request)]


def again(decision: Decision) -> Decision:
    return Decision.objects.get(pk=decision.pk)


def buttons(client: Client, decision: Decision) -> set[str]:
    """The verbs whose forms the page has."""
    page = client.get(decision.get_absolute_url()).content.decode()
    return {verb for verb in VERBS if f'action="{door(verb, decision)}"' in page}


# --- Who may enter -----------------------------------------------------------------------------------


def test_who_is_not_signed_in_is_sent_to_sign_in_and_from_there_to_the_decision(
    client: Client, scene: Scene
) -> None:
    scenes.a_reviewer("ana")
    link = scene.decision.get_absolute_url()

    asked = client.get(link)
    assert asked.status_code == 302
    assert asked["Location"] == f"{reverse('admin:login')}?next={link}"

    signed_in = client.post(asked["Location"], {"username": "ana", "password": scenes.PASSWORD, "next": link})
    assert signed_in["Location"] == link


@pytest.mark.parametrize("verb", VERBS)
def test_who_is_not_signed_in_decides_nothing_and_comes_back_to_the_decision(
    client: Client, scene: Scene, verb: str
) -> None:
    response = client.post(door(verb, scene.decision), {"why": "no", "contact": "700001"})

    assert response["Location"] == f"{reverse('admin:login')}?next={scene.decision.get_absolute_url()}"
    assert again(scene.decision).status == DecisionStatus.OPEN
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("verb", VERBS)
def test_a_get_never_decides(reviewing: Client, scene: Scene, verb: str) -> None:
    assert reviewing.get(door(verb, scene.decision)).status_code == 405
    assert again(scene.decision).status == DecisionStatus.OPEN


def test_a_post_to_the_page_itself_is_refused(reviewing: Client, scene: Scene) -> None:
    assert reviewing.post(scene.decision.get_absolute_url(), {"status": "approved"}).status_code == 405
    assert again(scene.decision).status == DecisionStatus.OPEN


@pytest.mark.parametrize("verb", VERBS)
def test_a_viewer_looks_but_does_not_decide(looking: Client, scene: Scene, verb: str) -> None:
    contact = scene.gone.items.first().contact_id

    response = looking.post(door(verb, scene.decision), {"why": "no", "contact": str(contact)})

    words = told(response)[-1]
    assert "vic may look, but not decide: ask an administrator for the role Reviewers" in words
    assert response["Location"] == scene.decision.get_absolute_url()
    assert again(scene.decision).status == DecisionStatus.OPEN
    assert not scene.decision.items.exclude(status=ItemStatus.PROPOSED).exists()


def test_a_viewer_sees_no_buttons_and_reads_why(looking: Client, scene: Scene) -> None:
    assert buttons(looking, scene.decision) == set()
    page = looking.get(scene.decision.get_absolute_url()).content.decode()
    assert "Why: vic may look, but not decide" in page
    assert 'type="checkbox"' not in page


def test_somebody_without_a_role_sees_no_decision(client: Client, scene: Scene) -> None:
    client.force_login(factories.a_user("nobody"))

    page = client.get(scene.decision.get_absolute_url())
    assert page.status_code == 403
    assert scene.decision.title not in page.content.decode()
    assert client.post(door("approve", scene.decision)).status_code == 403
    assert again(scene.decision).status == DecisionStatus.OPEN


def test_a_form_from_elsewhere_is_refused_in_plain_words(scene: Scene, ana: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(ana)

    response = client.post(door("approve", scene.decision))

    assert response.status_code == 403
    assert "Nothing was changed" in response.content.decode()
    assert again(scene.decision).status == DecisionStatus.OPEN


# --- Deciding ----------------------------------------------------------------------------------------


def test_approving_says_what_follows_and_keeps_the_note(reviewing: Client, scene: Scene) -> None:
    response = reviewing.post(door("approve", scene.decision), {"note": " seen "})

    assert told(response) == [
        "Approved: 5 contacts will be suppressed, 7 stay held; the run goes on within seconds."
    ]
    decision = again(scene.decision)
    assert (decision.status, decision.note, decision.reviewed_by.username) == ("approved", "seen", "ana")


def test_approving_while_list_management_is_off_says_that_nothing_follows_yet(
    reviewing: Client, scene: Scene, settings
) -> None:
    settings.LIST_MANAGEMENT_ENABLED = False

    words = told(reviewing.post(door("approve", scene.decision)))[-1]

    assert "nothing changes yet: LIST_MANAGEMENT_ENABLED is false" in words


def test_a_second_reviewer_reads_who_was_faster_and_nothing_is_done_twice(
    reviewing: Client, scene: Scene
) -> None:
    late = Client()
    late.force_login(factories.a_reviewer("ben"))

    reviewing.post(door("approve", scene.decision))
    for verb in VERBS:
        contact = scene.gone.items.first().contact_id
        words = told(late.post(door(verb, scene.decision), {"why": "no", "contact": str(contact)}))[-1]
        assert "ana approved it already" in words

    assert again(scene.decision).reviewed_by.username == "ana"
    assert [entry.actor for entry in AuditEntry.objects.all()] == ["ana"]


@pytest.mark.parametrize("why", ["", "   "])
def test_a_rejection_without_a_reason_is_refused(reviewing: Client, scene: Scene, why: str) -> None:
    words = told(reviewing.post(door("reject", scene.decision), {"why": why}))[-1]

    assert "a rejection needs a reason" in words
    assert again(scene.decision).status == DecisionStatus.OPEN


def test_a_rejection_keeps_its_reason_and_shows_it(reviewing: Client, scene: Scene) -> None:
    reviewing.post(door("reject", scene.decision), {"why": "they <called>"})

    page = reviewing.get(scene.decision.get_absolute_url()).content.decode()
    assert again(scene.decision).note == "they <called>"
    assert "they &lt;called&gt;" in page
    assert "Rejected by ana on" in page
    assert buttons(reviewing, scene.decision) == set()


def test_past_its_deadline_it_cannot_be_decided_and_says_so(reviewing: Client, scene: Scene) -> None:
    Decision.objects.update(deadline=timezone.now() - timedelta(minutes=1))

    words = told(reviewing.post(door("approve", scene.decision)))[-1]

    assert "it expired at" in words
    assert buttons(reviewing, scene.decision) == set()
    assert again(scene.decision).status == DecisionStatus.OPEN


def test_who_started_the_run_leaves_its_decision_to_another_reviewer(
    reviewing: Client, scene: Scene, ana: User
) -> None:
    factories.a_reviewer("ben")
    run = scene.decision.run
    run.trigger, run.triggered_by = Trigger.PERSON, ana
    run.save()

    words = told(reviewing.post(door("approve", scene.decision)))[-1]

    assert "ana started this run, so another reviewer decides" in words
    assert buttons(reviewing, scene.decision) == set()


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (DecisionStatus.EXPIRED, "Nobody decided in time"),
        (DecisionStatus.OBSERVED, "Only observed"),
        (DecisionStatus.CLEAR, "lets it execute by itself"),
        (DecisionStatus.DRAFT, "Still being prepared"),
    ],
)
def test_what_is_not_open_says_what_became_of_it(
    reviewing: Client, scene: Scene, status: DecisionStatus, words: str
) -> None:
    decision = factories.a_decision(run=scene.decision.run, kind=DecisionKind.REBALANCING, status=status)

    assert words in reviewing.get(decision.get_absolute_url()).content.decode()
    assert buttons(reviewing, decision) == set()


def test_the_plan_is_only_suggested_where_somebody_is_sure(reviewing: Client, scene: Scene) -> None:
    suggested = "ek-button ek-primary"
    assert suggested in reviewing.get(scene.decision.get_absolute_url()).content.decode()

    Decision.objects.update(default_choice=False)

    page = reviewing.get(scene.decision.get_absolute_url()).content.decode()
    assert suggested not in page
    assert "decide afresh" in page


# --- Contact by contact ------------------------------------------------------------------------------


def test_contacts_are_taken_out_and_put_back(reviewing: Client, scene: Scene) -> None:
    two = [str(item.contact_id) for item in scene.gone.items.all()[:2]]
    here = {"contact": two, "back": f"group={scene.gone.pk}&page=1"}

    out = reviewing.post(door("take_out", scene.decision), here)
    assert told(out) == ["2 contacts taken out: nothing happens to them."]
    assert out["Location"] == f"{scene.decision.get_absolute_url()}?group={scene.gone.pk}#contacts"
    assert scene.gone.items.filter(status=ItemStatus.TAKEN_OUT).count() == 2

    reviewing.post(door("put_back", scene.decision), {"contact": two[:1]})
    [still_out] = scene.gone.items.filter(status=ItemStatus.TAKEN_OUT)
    assert str(still_out.contact_id) == two[1]


def test_a_whole_group_is_taken_out_and_the_sizes_follow(reviewing: Client, scene: Scene) -> None:
    before = reviewing.get(scene.decision.get_absolute_url()).context["page"]
    reviewing.post(door("take_out", scene.decision), {"group": str(scene.gone.pk)})
    after = reviewing.get(scene.decision.get_absolute_url()).context["page"]

    assert {item.status for item in scene.gone.items.all()} == {ItemStatus.TAKEN_OUT}
    assert [(size.before, size.after) for size in before.what_if.sizes] == [
        (1000, 995),
        (942, 942),
        (1177, 1177),
    ]
    assert [(size.before, size.after) for size in after.what_if.sizes] == [
        (1000, 999),
        (942, 942),
        (1177, 1177),
    ]
    assert before.what_if.deviation_after != after.what_if.deviation_after
    assert after.approving == "1 contact will be suppressed, 7 stay held"


def test_taking_out_held_contacts_changes_no_size(reviewing: Client, scene: Scene) -> None:
    reviewing.post(door("take_out", scene.decision), {"group": str(scene.held.pk)})

    page = reviewing.get(scene.decision.get_absolute_url()).context["page"]
    assert page.what_if.sizes[0].after == 995


def test_nobody_ticked_everybody_ticked_and_a_bad_number_are_refused(reviewing: Client, scene: Scene) -> None:
    everybody = [str(pk) for pk in scene.decision.items.values_list("contact", flat=True)]

    assert told(reviewing.post(door("take_out", scene.decision))) == [
        "nobody is ticked: tick the contacts first."
    ]
    words = told(reviewing.post(door("take_out", scene.decision), {"contact": everybody}))[-1]
    assert "nobody would be left: reject the decision instead" in words
    for bad in ("x", "-1", "1" * 30, "١"):
        assert reviewing.post(door("take_out", scene.decision), {"contact": bad}).status_code == 400
    assert not scene.decision.items.exclude(status=ItemStatus.PROPOSED).exists()


def test_a_contact_or_group_of_another_decision_is_not_touched(reviewing: Client, scene: Scene) -> None:
    other = factories.a_group(decision=factories.a_decision())
    theirs = factories.an_item(group=other)

    for form in ({"contact": str(theirs.contact_id)}, {"group": str(other.pk)}):
        assert told(reviewing.post(door("take_out", scene.decision), form))
        theirs.refresh_from_db()
        assert theirs.status == ItemStatus.PROPOSED


# --- What the page shows -----------------------------------------------------------------------------


def test_the_page_says_what_is_proposed_why_and_what_happens_if_nobody_decides(
    looking: Client, scene: Scene
) -> None:
    response = looking.get(scene.decision.get_absolute_url())
    page = response.context["page"]
    text = response.content.decode()

    assert [group.contacts for group in page.groups] == [5, 4, 1, 2]
    assert [group.risk.words.split(":")[0] for group in page.groups] == ["low", "medium", "low", "low"]
    assert page.judge == "rules (no Gemini key is set)"
    assert "it expires: nobody is suppressed" in page.undecided
    for reason in scene.decision.reasons:
        assert text.count(reason) == 1  # not again in each group
    [own] = [group.reasons for group in page.groups if group.reasons]
    assert own == ["The policy wants a person to look at this group."]


def test_a_models_name_is_shown_where_a_model_judged(looking: Client, scene: Scene) -> None:
    call = scene.gone.call
    call.source, call.model = "model", "gemini-under-test"
    call.save()
    Decision.objects.update(source="model")

    assert "the model gemini-under-test" in looking.get(scene.decision.get_absolute_url()).content.decode()
    assert "the model gemini-under-test" in looking.get("/admin/listmanagement/decision/").content.decode()


def test_the_examples_are_those_whom_it_would_hurt_most(looking: Client, db: None) -> None:
    now = timezone.now()
    group = factories.a_group(decision=factories.a_decision(deadline=now + timedelta(days=1)))
    silent, old, lately, clicked = [factories.an_item(group=group).contact for _ in range(4)]
    for contact, days, click in ((old, 90, None), (lately, 20, None), (clicked, 200, 190)):
        factories.a_recipient(
            contact=contact,
            outcome_at=now - timedelta(days=days),
            first_life_at=now - timedelta(days=click) if click else None,
        )

    page = looking.get(group.decision.get_absolute_url()).context["page"]

    assert [example.address for example in page.groups[0].examples] == [
        clicked.email,
        lately.email,
        old.email,
    ]
    assert silent.email not in {example.address for example in page.groups[0].examples}
    assert "clicked on" in page.groups[0].examples[0].past


@pytest.mark.parametrize("action", [ItemAction.PLACE, ItemAction.MOVE])
def test_a_rebalancing_says_who_goes_where(looking: Client, scene: Scene, action: ItemAction) -> None:
    decision = scenes.a_rebalancing(scene)
    item = factories.an_item(group=factories.a_group(decision=decision, action=action))

    page = looking.get(decision.get_absolute_url()).context["page"]

    assert page.lines[0].lists.split(" → ")[-1] == item.target_list.name
    assert "nobody is placed or moved" in page.undecided


def test_contacts_come_in_pages_and_by_group(looking: Client) -> None:
    scene = scenes.after_a_campaign(gone=60, held=5, no_host=1, alive=2)
    link = scene.decision.get_absolute_url()

    whole = looking.get(link).context["page"]
    second = looking.get(f"{link}?group={scene.gone.pk}&page=2").context["page"]

    assert (len(whole.lines), whole.rows.paginator.count) == (50, 68)
    assert (len(second.lines), second.rows.paginator.count) == (10, 60)
    assert looking.get(f"{link}?group=x").status_code == 400
    assert looking.get(f"{link}?contacts=1,x").status_code == 400
    assert looking.get(f"{link}?page=99").context["page"].rows.number == 2


def test_a_contact_is_found_by_address_or_number_and_the_url_has_only_numbers(
    looking: Client, scene: Scene
) -> None:
    wanted = scene.held.items.last().contact
    outside = factories.a_contact(email="anna.elsewhere@northwind.example")

    for text in (wanted.email, wanted.email.upper(), f" {wanted.pk} "):
        response = looking.post(door("find", scene.decision), {"text": text})
        assert response["Location"] == f"{scene.decision.get_absolute_url()}?contacts={wanted.pk}#contacts"
    many = looking.post(door("find", scene.decision), {"text": "northwind.example"})["Location"]
    assert str(outside.pk) not in many.split("contacts=")[1].split(",")
    assert len(looking.get(many.split("#")[0]).context["page"].lines) == 5

    words = told(looking.post(door("find", scene.decision), {"text": "no-such@address.example"}))[-1]
    assert "No contact of this decision" in words
    assert "no-such" not in words


def test_a_decision_that_does_not_exist_leads_to_the_queue(reviewing: Client, scene: Scene) -> None:
    for missing in ("999999999", "abc", "9" * 40):
        response = reviewing.get(f"/admin/listmanagement/decision/{missing}/change/")
        assert response["Location"] == reverse("admin:listmanagement_decision_changelist")
    assert "does not exist" in told(reviewing.post("/admin/listmanagement/decision/999999999/approve/"))[-1]


def test_the_page_needs_as_many_queries_for_a_hundred_contacts_as_for_ten(
    looking: Client, scene: Scene, django_assert_max_num_queries
) -> None:
    with django_assert_max_num_queries(22) as few:
        looking.get(scene.decision.get_absolute_url())
    Decision.objects.update(deadline=timezone.now() + timedelta(days=1))
    group = scene.gone
    for _ in range(40):
        factories.an_item(group=group)
    for _ in range(4):
        factories.an_item(group=factories.a_group(decision=scene.decision))

    with django_assert_max_num_queries(22) as many:
        page = looking.get(scene.decision.get_absolute_url()).context["page"]

    assert len(page.groups) == 8
    assert len(many) == len(few)
