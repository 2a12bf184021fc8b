"""Writes the demo's world to the database, every row with a stated id."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.apps import apps
from django.core.management.color import no_style
from django.db import connection
from django.db.models import Model

from integrations.mailjet import MessageStatus
from listmanagement.domain.bounces import Outcome, classify
from listmanagement.models import (
    AuditEntry,
    Bounce,
    CampaignRecipient,
    CampaignSchedule,
    Contact,
    ContactList,
    ContactListMembership,
    ContactSuppressionHistory,
    Cycle,
    GeminiBackOff,
    GeminiRequest,
    ListChange,
    ListMaintenanceLog,
    MailjetRequest,
    Role,
    RolloutState,
    RunKind,
    RunStage,
    RunStatus,
    Step,
    SuppressionKind,
    Trigger,
)
from listmanagement.workflows import rotation
from listmanagement.workflows.demo.document import LIST_NAMES
from listmanagement.workflows.demo.people import MASTER, SUPPRESSION, Part, Person
from listmanagement.workflows.demo.world import (
    CAMPAIGN_LISTS,
    JUDGED,
    OBSERVING_FOR,
    OUTCOMES_READ_AFTER,
    SETTLED_AFTER,
    SUPPRESSIONS_FOUND,
    Message,
    Send,
    World,
)
from listmanagement.workflows.evidence import FAILED, OUTCOMES, blocks
from listmanagement.workflows.maintenance import analysis, reporting

ACTOR = "seed_demo"
"""Who wrote the rows, in the audit trail: by this a demo's database is known."""

_AT_ONCE = 2000
_LISTS_READ_BEFORE = timedelta(days=1)
_OBSERVED_SECONDS = {
    Step.CAPTURE_BEFORE: 1.212,
    Step.FETCH_OUTCOMES: 0.874,
    Step.JUDGE: 0.163,
    Step.DECIDE: 0.021,
    Step.SUPPRESS: 0.008,
    Step.PLAN_REBALANCING: 1.408,
    Step.REBALANCE: 0.009,
    Step.CAPTURE_AFTER: 1.187,
    Step.REPORT: 0.342,
}
_OBSERVED_REQUESTS = 31


def remembered() -> list[type[Model]]:
    """Every table of what is remembered.

    Counts of requests and a back-off are none, they hold limits; nor is that something changed.
    """
    models = apps.get_app_config("listmanagement").get_models(include_auto_created=True)
    aside = (MailjetRequest, GeminiRequest, GeminiBackOff, ListChange)
    return [model for model in models if model not in aside]


def empty() -> None:
    """Forget everything. Inside the caller's transaction; the audit trail's trigger does not see it."""
    quote = connection.ops.quote_name
    tables = ", ".join(quote(model._meta.db_table) for model in remembered())
    with connection.cursor() as cursor:
        cursor.execute("set constraints all immediate")
        cursor.execute(f"truncate {tables} restart identity")
        cursor.execute("set constraints all deferred")


def write(world: World, *, mailjet_ids: Mapping[int, int]) -> None:
    """Write all of it into empty tables. Inside the caller's transaction."""
    _write_lists(world, mailjet_ids=mailjet_ids)
    Contact.objects.bulk_create(
        [_contact(person, mailjet_ids=mailjet_ids) for person in world.people], batch_size=_AT_ONCE
    )
    _write_memberships(world)
    _write_suppressions(world)
    _write_campaigns(world)
    _write_outcomes(world)
    RolloutState.objects.create(observing_since=world.now - OBSERVING_FOR)
    _write_observed_run(world)
    _write_audit(world)
    _set_sequences()


def _write_lists(world: World, *, mailjet_ids: Mapping[int, int]) -> None:
    roles = {MASTER: Role.MASTER, SUPPRESSION: Role.SUPPRESSION}
    ContactList.objects.bulk_create(
        ContactList(
            pk=number,
            mailjet_id=mailjet_ids[number],
            name=name,
            role=roles.get(number, Role.CAMPAIGN),
            position=number if number in CAMPAIGN_LISTS else None,
            read_at=world.now - _LISTS_READ_BEFORE,
            contacts_read_at=world.now - _LISTS_READ_BEFORE,
        )
        for number, name in LIST_NAMES.items()
    )


def _contact(person: Person, *, mailjet_ids: Mapping[int, int]) -> Contact:
    opted_out = person.part is Part.OPTED_OUT
    return Contact(
        pk=person.id,
        email=person.email,
        registered_at=person.registered_at,
        excluded_since=person.barred_at if person.part is Part.EXCLUDED else None,
        complained_at=person.barred_at if person.part is Part.COMPLAINED else None,
        complained_by="the contact at Mailjet" if person.part is Part.COMPLAINED else "",
        opted_out_at=person.barred_at if opted_out else None,
        opted_out_by=f"list {mailjet_ids[person.list or MASTER]}" if opted_out else "",
    )


def _write_memberships(world: World) -> None:
    ContactListMembership.objects.bulk_create(
        [
            ContactListMembership(
                pk=each.id,
                contact_id=each.person.id,
                list_id=each.list,
                since=each.since,
                rank=each.rank,
                unsubscribed=each.unsubscribed,
            )
            for each in world.memberships
        ],
        batch_size=_AT_ONCE,
    )


def _write_suppressions(world: World) -> None:
    """Found on the first day: history, without invented evidence."""
    found = [person for person in world.people if person.list == SUPPRESSION]
    ContactSuppressionHistory.objects.bulk_create(
        ContactSuppressionHistory(
            pk=key,
            contact_id=person.id,
            kind=SuppressionKind.IMPORTED,
            at=world.now - SUPPRESSIONS_FOUND,
            reason="on the suppression list at Mailjet when it was first read",
        )
        for key, person in enumerate(found, start=1)
    )


# --- Campaigns ---------------------------------------------------------------------------------------


def _write_campaigns(world: World) -> None:
    numbers = sorted({send.cycle for send in world.sends})
    Cycle.objects.bulk_create(_cycle(world, number) for number in numbers)
    CampaignSchedule.objects.bulk_create(_campaign(world, send) for send in world.sends)


def _cycle(world: World, number: int) -> Cycle:
    rounds = [send for send in world.sends if send.cycle == number]
    ends = [send.ends_at for send in rounds if send.ends_at]
    return Cycle(
        pk=number,
        number=number,
        name=rounds[0].subject,
        started_at=min(send.starts_at for send in rounds) if ends else None,
        ended_at=max(ends) if len(ends) == len(rounds) else None,
    )


def _campaign(world: World, send: Send) -> CampaignSchedule:
    settled = send.ends_at is not None and world.now - send.ends_at > SETTLED_AFTER
    read = send.ends_at is not None and send.id != JUDGED
    last_read = SETTLED_AFTER if settled else OUTCOMES_READ_AFTER
    return CampaignSchedule(
        pk=send.id,
        cycle_id=send.cycle,
        round=send.round,
        list_id=send.list,
        mailjet_campaign_id=send.mailjet_id,
        mailjet_draft_id=send.draft_id,
        subject=send.subject,
        status=send.status,
        scheduled_at=send.starts_at,
        started_at=send.starts_at if send.ends_at else None,
        ended_at=send.ends_at,
        recipients_fetched_at=send.ends_at + last_read if send.ends_at and read else None,
        settled_at=send.ends_at + SETTLED_AFTER if send.ends_at and settled else None,
    )


def _write_outcomes(world: World) -> None:
    """What was fetched: every message but those of the campaign still to be maintained."""
    fetched = [message for message in world.messages if message.campaign != JUDGED]
    CampaignRecipient.objects.bulk_create(
        [_recipient(message, key) for key, message in enumerate(fetched, start=1)], batch_size=_AT_ONCE
    )
    failed = [row for row in enumerate(fetched, start=1) if OUTCOMES[row[1].status] in FAILED]
    Bounce.objects.bulk_create(
        _evidence(message, key, recipient) for key, (recipient, message) in enumerate(failed, start=1)
    )
    blocks.note(refused={message.person.id for _, message in failed}, told=())


def _recipient(message: Message, key: int) -> CampaignRecipient:
    return CampaignRecipient(
        pk=key,
        campaign_id=message.campaign,
        contact_id=message.person.id,
        message_id=message.id,
        outcome=OUTCOMES[message.status],
        bounce_class=_class(message),
        sent_at=message.sent_at,
        outcome_at=message.ended_at,
        first_life_at=message.clicked_at,
    )


def _class(message: Message) -> str:
    if OUTCOMES[message.status] not in FAILED:
        return ""
    return classify(
        message.state,
        permanent=message.permanent,
        server_text=message.text,
        attempted=message.status is not MessageStatus.BLOCKED,
    ).value


def _evidence(message: Message, key: int, recipient: int) -> Bounce:
    return Bounce(
        pk=key,
        recipient_id=recipient,
        state=message.state,
        permanent=message.permanent,
        attempted=OUTCOMES[message.status] is not Outcome.NOT_ATTEMPTED,
        at=message.ended_at,
        server_text=message.text,
    )


# --- What was done before ----------------------------------------------------------------------------


def _write_observed_run(world: World) -> None:
    """The maintenance that was only observed: nothing had failed, so nothing would have been done."""
    campaign = CampaignSchedule.objects.get(pk=world.observed)
    assert campaign.ended_at is not None
    began_at = campaign.ended_at + OUTCOMES_READ_AFTER
    state = rotation.state()
    run = ListMaintenanceLog(
        pk=1,
        kind=RunKind.POST_CAMPAIGN,
        stage=RunStage.OBSERVE,
        trigger=Trigger.SCHEDULE,
        campaign=campaign,
        idempotency_key=f"{RunKind.POST_CAMPAIGN}:{campaign.pk}:{RunStage.OBSERVE}",
        correlation_id=world.run_id,
        status=RunStatus.SUCCEEDED,
        step=Step.REPORT,
        created_at=began_at,
        finished_at=began_at + timedelta(seconds=round(sum(_OBSERVED_SECONDS.values()))),
        state_before=state,
        state_after=state,
        seconds={step.value: seconds for step, seconds in _OBSERVED_SECONDS.items()},
        requests=_OBSERVED_REQUESTS,
    )
    run.counts = _observed_counts(run, campaign)
    run.report = (
        "Observed only: nobody would be suppressed, nothing was changed\n\n"
        f"All {run.counts['sent']:,} messages of campaign {campaign.pk} arrived."
    )
    run.save(force_insert=True)


def _observed_counts(run: ListMaintenanceLog, campaign: CampaignSchedule) -> dict[str, Any]:
    return {
        **analysis.figures_of(campaign),
        "kept": 0,
        "classes": analysis.classes_of(campaign),
        "moves_deferred": 0,
        "backlog": Contact.objects.backlog().count(),
        **reporting.done_counts(run),
    }


def _write_audit(world: World) -> None:
    AuditEntry.objects.create(
        pk=1,
        at=world.now,
        actor=ACTOR,
        action="seeded",
        subject_kind="demo",
        subject_id=world.seed,
        details={"now": world.now.isoformat(), "scenario": world.scenario.value},
    )


def _set_sequences() -> None:
    """The next row of each table gets the id after the last one written here."""
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), remembered()):
            cursor.execute(statement)
