"""Each index that a page or a sweep relies on is there, and PostgreSQL uses it for that query.

The tables are filled until reading them whole no longer pays; nothing tells the planner what to do.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, models
from django.db.models.functions import Lower

from listmanagement.domain.bounces import Outcome
from listmanagement.domain.cycle import RoundStatus
from listmanagement.models import AgentCall as Call
from listmanagement.models import (
    AuditEntry,
    Bounce,
    CampaignRecipient,
    CampaignSchedule,
    CampaignValidation,
    Contact,
    ContactListMembership,
    ContactSuppressionHistory,
    Decision,
    DecisionGroup,
    DecisionItem,
    DomainLookup,
    GeminiRequest,
    Hold,
    ItemStatus,
    ListHealth,
    ListHealthCheck,
    ListMaintenanceLog,
    ListOperation,
    MailjetOutage,
    MailjetRequest,
    Notification,
    OperationBatch,
    SuppressionKind,
    WebhookEvent,
)
from listmanagement.workflows import consent_due
from tests.factories import NOON
from tests.models.raw import MODELS, rows

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("many_of_each"),
    pytest.mark.xdist_group("indexes"),  # their rows are made once
]

ROWS = 5000
SOMEBODY = 100_001  # a contact's id
LATELY = "timestamptz '2026-03-02 12:00Z' - n * interval '1 hour'"


def multiply(model: type[models.Model], times: int, /, **columns: str) -> None:
    """Copies of the table's last row, `n` counting from 1 in the columns that differ."""
    names = [
        str(field.column)
        for field in model._meta.concrete_fields
        if not field.generated and (not isinstance(field, models.AutoField) or field.column in columns)
    ]
    table, into = model._meta.db_table, ", ".join(f'"{name}"' for name in names)
    values = ", ".join(columns.get(name, f'alike."{name}"') for name in names)
    with connection.cursor() as cursor:
        cursor.execute(
            f"insert into {table} ({into}) select {values}"
            f" from (select * from {table} order by id desc limit 1) alike, generate_series(1, {times}) n"
        )
        cursor.execute(f"analyze {table}")


def one_of(model: type[models.Model], times: int) -> str:
    """The id of one of the last `times` rows, in turn."""
    return f"(select max(id) from {model._meta.db_table}) - n % {times}"


def the_nth(model: type[models.Model]) -> str:
    """The id of the row that was multiplied together with this one."""
    return f"(select max(id) from {model._meta.db_table}) - {ROWS} + n"


@pytest.fixture(scope="module")
def many_of_each(two_of_each: None) -> None:
    """A few years of maintenance: a handful of everything is still under way."""
    a_few_of = "case when n <= 5 then {} else {} end"
    multiply(
        Contact,
        ROWS,
        id=f"{SOMEBODY} + n - 1",
        email=f"'contact-' || n || '@domain-' || n % {ROWS // 10} || '.example'",
    )
    multiply(
        ContactListMembership,
        ROWS,
        contact_id=f"{SOMEBODY} + n - 1",
        list_id="(select id from listmanagement_contactlist where position = 1) + n % 3",
        rank="1000 + n",
        began_by="'first_sight'",
        began_with_id="null",
        until="null",
        ended_by="''",
        ended_with_id="null",
    )
    multiply(
        CampaignSchedule,
        ROWS,
        kind="'one_off'",
        of_id="null",
        cycle_id="null",
        round="null",
        list_id="(select id from listmanagement_contactlist where position = 1) + n % 3",
        mailjet_campaign_id="100000 + n",
        status=a_few_of.format("'scheduled'", "'sent'"),
        scheduled_at=LATELY,
        started_at=LATELY,
        ended_at=LATELY,
    )
    multiply(
        CampaignRecipient,
        ROWS,
        contact_id=f"{SOMEBODY} + n % 1000",
        campaign_id=one_of(CampaignSchedule, 100),
        message_id="100000 + n",
        outcome="case when n % 20 = 0 then 'bounced' else 'delivered' end",
        bounce_class="case when n % 20 = 0 then 'recipient_gone' else '' end",
        sent_at=LATELY,
    )
    multiply(Bounce, ROWS, recipient_id=the_nth(CampaignRecipient))
    multiply(
        ListMaintenanceLog,
        ROWS,
        idempotency_key="n::text",
        correlation_id="gen_random_uuid()",
        status=a_few_of.format(
            "(array['pending', 'running', 'waiting', 'waiting_for_review'])[1 + n % 4]", "'succeeded'"
        ),
        next_at=a_few_of.format(LATELY, "null"),
        waits_for=a_few_of.format("'a review'", "''"),
        finished_at=a_few_of.format("null", LATELY),
        created_at=LATELY,
    )
    multiply(
        Call,
        ROWS,
        run_id=the_nth(ListMaintenanceLog),
        source="'model'",
        model="'gemini'",
        question="md5(n::text)",
        stated="'{}'",
        at=LATELY,
    )
    multiply(ListHealthCheck, ROWS, run_id=the_nth(ListMaintenanceLog), call_id=the_nth(Call), at=LATELY)
    multiply(
        ListHealth,
        ROWS,
        check_of_id=the_nth(ListHealthCheck),
        verdict_id="null",
        list_id="(select id from listmanagement_contactlist where position = 1) + n % 3",
    )
    multiply(
        Decision,
        ROWS,
        run_id=the_nth(ListMaintenanceLog),
        status=a_few_of.format("'open'", "'expired'"),
        reviewed_at="null",
        reviewed_by_id="null",
        deadline=LATELY,
        created_at=LATELY,
    )
    multiply(DomainLookup, ROWS, domain="n || '.example'")
    multiply(DecisionGroup, 300, position="100 + n", key="'one of many, ' || n")
    multiply(
        DecisionItem,
        ROWS,
        group_id=one_of(DecisionGroup, 300),
        contact_id=f"{SOMEBODY} + n - 1",
        evidence_id="null",
        position="1000 + n",
        status="case when n % 20 = 0 then 'proposed' else 'executed' end",
        undoes_id="null",
    )
    multiply(
        OperationBatch,
        ROWS,
        run_id=one_of(ListMaintenanceLog, 20),
        position="1000 + n",
        status=a_few_of.format("'submitted'", "'applied'"),
        settled_at=a_few_of.format("null", LATELY),
        job_id="100000 + n",
    )
    multiply(
        ListOperation,
        ROWS,
        kind="'move_out'",
        batch_id=one_of(OperationBatch, 300),
        item_id=the_nth(DecisionItem),
        contact_id=f"{SOMEBODY} + n - 1",
    )
    multiply(
        ContactSuppressionHistory,
        ROWS,
        contact_id=f"{SOMEBODY} + n - 1",
        kind=f"'{SuppressionKind.IMPORTED}'",
        evidence_id="null",
        item_id="null",
        operation_id="null",
        lifted_at="null",
        lifted_by_id="null",
        lifted_why="''",
        at=LATELY,
    )
    multiply(Hold, 300, contact_id=f"{SOMEBODY} + n - 1", host="''", kind="'contact'")
    multiply(MailjetRequest, ROWS, at=LATELY)
    multiply(GeminiRequest, ROWS, at=LATELY, correlation="'run ' || n / 8")
    multiply(
        MailjetOutage,
        ROWS,
        began_at=LATELY,
        ended_at="now()",
        closed_at=a_few_of.format("null", "now()"),
    )
    multiply(
        Notification,
        ROWS,
        key="'one of many, ' || n",
        status=a_few_of.format("'pending'", "'sent'"),
        sent_at=a_few_of.format("null", LATELY),
        next_at=LATELY,
    )
    multiply(
        WebhookEvent,
        ROWS,
        identity="gen_random_uuid()",
        kind="case when n % 50 = 0 then 'click' else 'sent' end",
        status="(case when n <= 5 then 'new' when n <= 10 then 'waiting' when n <= 15 then 'review'"
        " else 'done' end)",
        processed_at="case when n > 10 then " + LATELY + " end",
        problem="case when n > 10 and n <= 15 then 'unclassified' else '' end",
        message_id="100000 + n",
        mailjet_campaign_id="100000 + n",
    )
    multiply(AuditEntry, ROWS, subject_id="n % 500")
    multiply(
        CampaignValidation, ROWS, campaign_id=one_of(CampaignSchedule, 500), instant="'asked'", at=LATELY
    )
    connection.check_constraints()  # here and once, not after each test


@dataclass(frozen=True, slots=True)
class Use:
    """A query of a page or a sweep, and the index that carries it."""

    index: str
    by: str
    query: Callable[[], models.QuerySet[Any, Any]]

    def __str__(self) -> str:
        return f"{self.index}: {self.by}"


def same_questions() -> models.QuerySet[Call]:
    question = Call.objects.exclude(question="").latest("pk").question
    return Call.objects.filter(question=question, source="model", stated__isnull=False)


def looks() -> models.QuerySet[CampaignValidation]:
    return CampaignValidation.objects.latest("pk").campaign.validations.all()


def contact() -> Contact:
    return Contact.objects.get(pk=SOMEBODY)


def campaign() -> CampaignSchedule:
    return CampaignRecipient.objects.latest("pk").campaign


USES = [
    Use("run_unfinished", "sweep", lambda: ListMaintenanceLog.objects.due(at=NOON)),
    Use("run_newest_first", "log", lambda: ListMaintenanceLog.objects.order_by("-created_at")[:50]),
    Use(
        "batch_unsettled",
        "journal",
        lambda: OperationBatch.objects.unsettled().filter(run=OperationBatch.objects.latest("pk").run),
    ),
    Use("outbox_pending", "sweep", lambda: Notification.objects.due(at=NOON)),
    Use("decision_queue", "sweep", lambda: Decision.objects.expiring(at=NOON)),
    Use("decision_queue", "queue", lambda: Decision.objects.awaiting_review().order_by("deadline")),
    Use("decision_newest_first", "all decisions", lambda: Decision.objects.order_by("-created_at")[:50]),
    Use("item_by_group", "decision page", lambda: group_items().filter(status=ItemStatus.PROPOSED)),
    Use("recipient_by_outcome", "judgement", lambda: campaign().recipients.filter(outcome=Outcome.BOUNCED)),
    Use(
        "contact_erased",
        "mirror",
        lambda: Contact.objects.filter(erased_at__isnull=False).values("pk"),
    ),
    Use(
        "lookup_by_domain",
        "judgement",
        lambda: DomainLookup.objects.filter(domain__in=["7.example", "8.example"]),
    ),
    Use("contact_by_domain", "hold", lambda: Contact.objects.filter(domain="domain-7.example")),
    Use("contact_opted_out", "consent run", lambda: opted_out_lately()),
    Use("contact_complained", "consent run", lambda: complained_lately()),
    Use("contact_opted_out", "who spoke lately", lambda: who_spoke_lately()),
    Use("contact_complained", "who spoke lately", lambda: who_spoke_lately()),
    Use("contact_opted_out", "who spoke and was not looked for", lambda: unlocated_lately()),
    Use("contact_complained", "who spoke and was not looked for", lambda: unlocated_lately()),
    Use("request_by_time", "budget", lambda: MailjetRequest.objects.filter(at__gt=NOON - timedelta(hours=9))),
    Use("asked_by_time", "allowance", lambda: GeminiRequest.objects.filter(at__gt=NOON - timedelta(hours=9))),
    Use(
        "asked_by_run",
        "allowance",
        lambda: GeminiRequest.objects.filter(correlation="run 7").exclude(correlation=""),
    ),
    Use("answers_by_question", "reuse", lambda: same_questions().order_by("-at")[:1]),
    Use("outage_to_tell", "sweep", lambda: MailjetOutage.objects.filter(closed_at=None).order_by("began_at")),
    Use("outage_newest_first", "outages", lambda: MailjetOutage.objects.order_by("-began_at")[:50]),
    Use(
        "suppression_newest_first",
        "suppressions",
        lambda: ContactSuppressionHistory.objects.order_by("-at")[:50],
    ),
    Use("validation_newest_first", "a campaign's page", lambda: looks().order_by("-at")[:1]),
    Use("health_newest_first", "health", lambda: ListHealthCheck.objects.order_by("-at")[:50]),
    Use(
        "audit_of_a_subject",
        "a decision's audit",
        lambda: AuditEntry.objects.filter(subject_kind="decision", subject_id=7),
    ),
    Use(
        "campaign_next_on_a_list",
        "freeze",
        lambda: a_list().campaigns.filter(scheduled_at__gt=NOON - timedelta(days=1)).order_by("scheduled_at"),
    ),
    Use(
        "campaign_due_for_maintenance",
        "sweep",
        lambda: CampaignSchedule.objects.filter(
            status=RoundStatus.SENT, ended_at__gt=NOON - timedelta(days=1)
        ),
    ),
    Use(
        "campaign_unsettled",
        "late outcomes",
        lambda: CampaignSchedule.objects.filter(
            status=RoundStatus.SENT, settled_at=None, ended_at__lt=NOON - timedelta(days=200)
        ),
    ),
    Use("event_unprocessed", "sweep", lambda: WebhookEvent.objects.unprocessed()[:1000]),
    Use("event_for_review", "events", lambda: WebhookEvent.objects.for_review()[:50]),
    Use(
        "event_waiting_for_its_campaign",
        "sweep",
        lambda: WebhookEvent.objects.waiting().filter(mailjet_campaign_id__in=[100_007]),
    ),
    Use(
        "event_processed",
        "purge",
        lambda: WebhookEvent.objects.processed_before(NOON - timedelta(days=200)),
    ),
    Use(
        "event_clicks_of_a_message",
        "evidence",
        lambda: WebhookEvent.objects.filter(kind="click", message_id__in=[100_050, 100_100]),
    ),
    Use("one_current_member_per_rank", "a list's newest", lambda: newest_members()[:50]),
    Use(
        "one_contact_per_address",
        "mirror",
        lambda: Contact.objects.annotate(key=Lower("email")).filter(key__in=["contact-7@domain-7.example"]),
    ),
    Use(
        "listmanagement_bounce_recipient_id_key",
        "evidence",
        lambda: Bounce.objects.filter(recipient__in=[Bounce.objects.latest("pk").recipient_id]),
    ),
]


def group_items() -> models.QuerySet[DecisionItem]:
    return DecisionItem.objects.latest("pk").group.items.order_by()


def opted_out_lately() -> models.QuerySet[ContactListMembership]:
    lately = NOON - timedelta(hours=1)
    return consent_due.unsubscriptions().filter(contact__opted_out_at__gte=lately)  # type: ignore[no-any-return]


def complained_lately() -> models.QuerySet[Contact]:
    return consent_due.complaints().filter(complained_at__gte=NOON - timedelta(hours=1))  # type: ignore[no-any-return]


def who_spoke_lately() -> models.QuerySet[Any]:
    return consent_due.who_spoke(since=NOON - timedelta(hours=1))


def unlocated_lately() -> models.QuerySet[Any]:
    return consent_due.unlocated(told_since=NOON - timedelta(hours=1))


def a_list() -> Any:
    return ContactListMembership.objects.latest("pk").list


def newest_members() -> models.QuerySet[ContactListMembership]:
    return a_list().memberships.current().order_by("-rank")  # type: ignore[no-any-return]


def indexes_used(query: models.QuerySet[Any, Any]) -> set[str]:
    """The indexes in PostgreSQL's plan."""
    [found] = json.loads(query.explain(format="json"))

    def walk(node: dict[str, Any]) -> Iterator[str]:
        if "Index Name" in node:
            yield node["Index Name"]
        for below in node.get("Plans", ()):
            yield from walk(below)

    return set(walk(found["Plan"]))


@pytest.mark.parametrize(
    "use",
    [pytest.param(use, id=str(use)) for use in USES],
)
def test_an_index_carries_the_query_it_is_for(use: Use) -> None:
    assert use.index in indexes_used(use.query())


def test_every_index_of_a_model_is_for_a_query_here() -> None:
    assert {index.name for model in MODELS for index in model._meta.indexes} <= {use.index for use in USES}


def test_no_index_is_the_double_of_another() -> None:
    doubles = rows(
        """select one.indexrelid::regclass::text, other.indexrelid::regclass::text
           from pg_index one join pg_index other using (indrelid, indkey, indclass)
           where indrelid::regclass::text like 'listmanagement%'
             and one.indexrelid < other.indexrelid
             and coalesce(one.indpred::text, '') = coalesce(other.indpred::text, '')
             and coalesce(one.indexprs::text, '') = coalesce(other.indexprs::text, '')"""
    )

    assert doubles == []
