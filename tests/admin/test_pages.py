import re
from datetime import timedelta

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from listmanagement.domain.cycle import RoundStatus
from listmanagement.models import (
    Bounce,
    CampaignRecipient,
    Contact,
    ContactList,
    Decision,
    DecisionStatus,
    HoldKind,
    ListMaintenanceLog,
    ListOperation,
    RunStatus,
    Step,
)
from tests import factories
from tests.admin import scenes
from tests.admin.scenes import Scene

OURS = [
    model for model in apps.get_app_config("listmanagement").get_models() if admin.site.is_registered(model)
]
LOOKED_AT = 19
COUNTED = 40
"""Where all lists are counted, and Mailjet is asked; see `test_lists.py` for what is remembered of that."""


def list_of(model: type[Model]) -> str:
    return reverse(f"admin:listmanagement_{model._meta.model_name}_changelist")


@pytest.fixture
def rows(db: None) -> None:
    factories.the_rotation()
    factories.one_of_each()


def test_everything_a_person_may_ask_about_is_there_to_look_at() -> None:
    names = {model.__name__ for model in OURS}
    parts = {
        "ContactListMembership",
        "DecisionGroup",
        "DecisionItem",
        "BatchChange",
        "ListHealth",
        "MailjetRequest",
    }
    every = {model.__name__ for model in apps.get_app_config("listmanagement").get_models()}
    assert names >= {
        "Decision", "ListMaintenanceLog", "Contact", "ContactList", "CampaignSchedule", "CampaignRecipient",
        "Bounce", "Hold", "Protection", "ContactSuppressionHistory", "OperationBatch", "ListOperation",
        "AgentCall", "ListHealthCheck", "Notification", "AuditEntry", "RolloutState", "Cycle",
    }  # fmt: skip
    assert names.isdisjoint(parts)  # shown on the page of what they belong to
    assert names <= every


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_a_viewer_sees_every_list_and_every_row(looking: Client, rows: None, model: type[Model]) -> None:
    listed = looking.get(list_of(model))
    assert listed.status_code == 200
    assert listed.context["cl"].result_count > 0

    row = model._default_manager.first()
    page = looking.get(reverse(f"admin:listmanagement_{model._meta.model_name}_change", args=[row.pk]))
    assert page.status_code == 200
    assert 'name="_save"' not in page.content.decode()


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_nobody_adds_changes_or_deletes_a_row_by_hand(rows: None, model: type[Model]) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    name = f"admin:listmanagement_{model._meta.model_name}"
    row = model._default_manager.order_by("pk").first()
    kept = list(model._default_manager.order_by("pk").values())

    assert client.post(f"{reverse(f'{name}_add')}", {}).status_code == 403
    assert client.post(reverse(f"{name}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403
    assert client.post(reverse(f"{name}_change", args=[row.pk]), {}).status_code in (403, 405)
    client.post(list_of(model), {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"})
    assert list(model._default_manager.order_by("pk").values()) == kept


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_a_longer_list_needs_no_more_queries(
    looking: Client, rows: None, model: type[Model], django_assert_max_num_queries
) -> None:
    most = COUNTED if model is ContactList else LOOKED_AT
    with django_assert_max_num_queries(most) as few:
        looking.get(list_of(model))
    factories.one_of_each()
    factories.one_of_each()
    with django_assert_max_num_queries(most) as many:
        looking.get(list_of(model))
    assert len(many) <= len(few), [query["sql"][:120] for query in many.captured_queries]


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_any_search_is_answered(looking: Client, rows: None, model: type[Model]) -> None:
    for text in ("1", "x'y", "99999999999999999999999"):
        assert looking.get(list_of(model), {"q": text}).status_code == 200, text


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_who_is_not_signed_in_sees_nothing(client: Client, rows: None, model: type[Model]) -> None:
    assert client.get(list_of(model))["Location"].startswith(reverse("admin:login"))


# --- The queue ---------------------------------------------------------------------------------------


def test_the_queue_begins_with_what_is_most_urgent(looking: Client, scene: Scene) -> None:
    decided = factories.a_decision(status=DecisionStatus.REJECTED, created_at=timezone.now())
    urgent = scenes.a_rebalancing(scene)

    listed = looking.get(list_of(Decision))

    assert list(listed.context["cl"].result_list) == [urgent, scene.decision, decided]
    assert "in 1 day, 23 hours" in listed.content.decode().replace("\xa0", " ")
    assert [each.title for each in looking.get("/admin/").context["waiting"]] == [
        urgent.title,
        scene.decision.title,
    ]


def test_the_queue_is_searched_by_run_and_campaign(looking: Client, scene: Scene) -> None:
    other = factories.a_decision()
    for text in (str(other.run.pk), str(other.run.campaign_id)):
        found = looking.get(list_of(Decision), {"q": text}).context["cl"].result_list
        assert other in found


def test_an_empty_queue_says_what_comes_next(looking: Client, db: None) -> None:
    first = factories.the_rotation().campaign[0]
    assert "No campaign is scheduled" in looking.get("/admin/").content.decode()

    soon = timezone.now() + timedelta(days=3)
    factories.a_campaign(list=first, status=RoundStatus.SCHEDULED, scheduled_at=soon)
    for page in ("/admin/", list_of(Decision)):
        text = looking.get(page).content.decode()
        assert "Nothing waits for you" in text
        assert f"The next campaign goes to {first} on" in text

    ended = timezone.now() - timedelta(hours=2)
    sent = factories.a_campaign(list=first, started_at=ended, ended_at=ended)
    assert f"Campaign {sent.pk} to {first} is judged from" in looking.get("/admin/").content.decode()

    run = factories.a_run(campaign=sent, step=Step.JUDGE)
    assert f"Run {run.pk} is under way (step: judge)" in looking.get("/admin/").content.decode()


# --- Notices -----------------------------------------------------------------------------------------


def test_every_page_says_what_is_unlike_production_and_what_is_off(
    looking: Client, scene: Scene, settings
) -> None:
    settings.LIST_MANAGEMENT_ENABLED = False
    for path in ("/admin/", list_of(Contact), scene.decision.get_absolute_url()):
        text = looking.get(path).content.decode()
        assert "a stand-in serves instead of Mailjet" in text
        assert "Rules judge: no Gemini key is set." in text
        assert "LIST_MANAGEMENT_ENABLED is false" in text


def test_a_pause_is_shown_with_who_and_why(looking: Client, db: None) -> None:
    factories.the_rollout(paused_at=timezone.now(), changed_by=factories.a_user("otto"), why="moving office")

    text = looking.get("/admin/").content.decode()

    assert "Paused by otto" in text
    assert "moving office" in text


def test_in_production_with_a_key_there_is_nothing_to_notice(looking: Client, db: None, settings) -> None:
    settings.MAILJET_IS_STAND_IN = False
    settings.GEMINI_API_KEY = "a key"

    assert "ek-notice" not in looking.get("/admin/").content.decode()


def test_who_is_not_signed_in_reads_no_notice(client: Client, db: None) -> None:
    assert "stand-in" not in client.get(reverse("admin:login")).content.decode()


# --- Contacts and runs -------------------------------------------------------------------------------


def test_a_contacts_page_tells_everything_that_happened_newest_first(looking: Client, rows: None) -> None:
    contact = factories.ContactSuppressionHistory.objects.filter(kind="ours").get().contact
    factories.a_hold(host=contact.domain)
    factories.a_hold(kind=HoldKind.CONTACT, contact=contact, ended_at=factories.NOON)
    Bounce.objects.filter(recipient__contact=contact).update(
        server_text="550 5.1.1 <script>alert(1)</script>"
    )

    response = looking.get(f"/admin/listmanagement/contact/{contact.pk}/change/")
    timeline = response.context["page"].timeline
    words = {entry.what.words for entry in timeline}

    assert words >= {
        "bounced",
        "suppressed",
        "suppress proposed",
        "applied",
        "left",
        "joined",
        "held",
        "hold ended",
    }
    assert [entry.at for entry in timeline] == sorted((entry.at for entry in timeline), reverse=True)
    assert response.context["page"].standing.words == "suppressed"
    assert "<script>alert" not in response.content.decode()
    evidence = Bounce.objects.get(recipient__contact=contact)
    assert f"/admin/listmanagement/bounce/{evidence.pk}/change/" in response.content.decode()


def test_contacts_are_found_by_address_without_an_address_in_the_url(looking: Client, db: None) -> None:
    one, two = (factories.a_contact(email=f"Zoë+{n}@möbel.example") for n in (1, 2))
    find = reverse("admin:listmanagement_contact_find")

    assert (
        looking.post(find, {"text": "zoë+1@"})["Location"]
        == f"/admin/listmanagement/contact/{one.pk}/change/"
    )
    both = looking.post(find, {"text": "möbel"})["Location"]
    assert {contact.pk for contact in looking.get(both).context["cl"].result_list} == {one.pk, two.pk}
    assert looking.post(find, {"text": "%"})["Location"] == list_of(Contact)  # no pattern, a character
    assert Client().post(find, {"text": "zoë"})["Location"].startswith(reverse("admin:login"))


@pytest.mark.parametrize("status", list(RunStatus))
def test_a_runs_page_says_where_it_stands(looking: Client, db: None, status: RunStatus) -> None:
    run = factories.a_run(
        status=status,
        step=Step.REPORT if status is RunStatus.SUCCEEDED else Step.SUPPRESS,
        seconds={"judge": 1.25},
        counts={"sent": 1000, "suppressed": 110},
        errors=[{"at": "2026-03-02T12:00:00+00:00", "step": "judge", "what": "Mailjet was away"}],
        report="Done.\n\nAll lists are even.",
    )

    response = looking.get(run.get_absolute_url())
    states = [step.state for step in response.context["page"].steps]

    assert response.status_code == 200
    assert len(states) == 9
    assert states[0] == "done"
    assert ("stopped here" in states) == (status in (RunStatus.PARTIAL, RunStatus.FAILED))
    assert (set(states) == {"done"}) == (status is RunStatus.SUCCEEDED)
    text = response.content.decode()
    for words in ("1.2 s", "Mailjet was away", "All lists are even.", "1,000"):
        assert words in text


def test_a_runs_page_leads_to_its_decisions_batches_and_operations(looking: Client, rows: None) -> None:
    run = ListMaintenanceLog.objects.filter(batches__isnull=False).first()

    response = looking.get(run.get_absolute_url())
    page = response.context["page"]

    assert len(page.decisions) == run.decisions.count() > 0
    assert len(page.batches) == run.batches.count() > 0
    assert [batch.contacts for batch in page.batches] == ["1", "1", "0"]
    for _, url in page.elsewhere:
        assert looking.get(url).status_code == 200
    for batch in page.batches:
        assert looking.get(batch.url).status_code == 200


def test_a_campaign_leads_to_its_messages_and_a_batch_to_its_operations(looking: Client, rows: None) -> None:
    factories.a_recipient()
    batch = ListOperation.objects.first().batch
    campaign = CampaignRecipient.objects.first().campaign
    for row, label, lists, number in (
        (batch, "Show its operations", ListOperation, batch.operations.count()),
        (campaign, "Show its messages", CampaignRecipient, campaign.recipients.count()),
    ):
        page = looking.get(reverse(f"admin:listmanagement_{row._meta.model_name}_change", args=[row.pk]))
        [(url, _)] = re.findall(rf'href="([^"]+)">({label})<', page.content.decode())
        assert looking.get(url).context["cl"].result_count == number
        assert lists.objects.count() > number
