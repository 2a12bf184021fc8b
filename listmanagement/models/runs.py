"""Runs, what the agents said in them, list health, and how far the rollout is."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now
from django.urls import reverse

from listmanagement.domain.bounces import BounceClass
from listmanagement.domain.suppression import Region
from listmanagement.models.campaigns import CampaignSchedule
from listmanagement.models.fields import a_share, all_or_none, choices, one_of, one_of_or_nothing
from listmanagement.models.lists import ContactList


class RunKind(StrEnum):
    """Which workflow a run executes."""

    POST_CAMPAIGN = "post_campaign"
    LATE_EVIDENCE = "late_evidence"
    WEEKLY_HEALTH = "weekly_health"
    CONSENT = "consent"
    RECONCILIATION = "reconciliation"
    PRE_CAMPAIGN = "pre_campaign"  # whom a send skips: taken off its list before it, put back after it
    UNDO = "undo"  # of what another run did, as a person wants it
    LIFT = "lift"  # of single suppressions, likewise
    WAY_BACK = "way_back"  # once a week, of full mailboxes, where people say so


class Trigger(StrEnum):
    """What started a run."""

    SCHEDULE = "schedule"
    PERSON = "person"


class RunStage(StrEnum):
    """Whether a run may change anything."""

    OBSERVE = "observe"
    ACT = "act"


class RunStatus(StrEnum):
    """Where a run stands."""

    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"  # for a time: a Mailjet job, an outage, the end of a freeze
    WAITING_FOR_REVIEW = "waiting_for_review"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    FAILED = "failed"


FINISHED = (RunStatus.SUCCEEDED, RunStatus.PARTIAL, RunStatus.FAILED)


class Step(StrEnum):
    """The steps of every workflow, in their order: nine of post-campaign maintenance come first."""

    CAPTURE_BEFORE = "capture_before"
    FETCH_OUTCOMES = "fetch_outcomes"
    JUDGE = "judge"
    DECIDE = "decide"
    SUPPRESS = "suppress"
    PLAN_REBALANCING = "plan_rebalancing"
    REBALANCE = "rebalance"
    CAPTURE_AFTER = "capture_after"
    REPORT = "report"

    FIND_CONSENT = "find_consent"
    APPLY_CONSENT = "apply_consent"

    READ_MAILJET = "read_mailjet"
    COMPARE = "compare"
    SETTLE = "settle"

    SYNCHRONISE = "synchronise"
    ASSESS = "assess"

    TAKE_OFF_HELD = "take_off_held"
    AWAIT_SEND = "await_send"
    PUT_HELD_BACK = "put_held_back"

    TAKE_BACK = "take_back"


class RunQuerySet(models.QuerySet["ListMaintenanceLog"]):
    """Phrases about runs."""

    def unfinished(self) -> RunQuerySet:
        """Still to be advanced."""
        return self.exclude(status__in=FINISHED)

    def due(self, *, at: datetime) -> RunQuerySet:
        """What a sweep should advance: nobody works on it and nothing keeps it waiting."""
        from listmanagement.models.decisions import Decision

        undecided = Decision.objects.awaiting_review().filter(run=OuterRef("pk"))
        free = Q(lease_until__isnull=True) | Q(lease_until__lte=Now())
        ready = (
            Q(status__in=[RunStatus.PENDING, RunStatus.RUNNING])
            | Q(status=RunStatus.WAITING, next_at__lte=at)
            | (Q(status=RunStatus.WAITING_FOR_REVIEW) & ~Exists(undecided))
        )
        return self.filter(free, ready).order_by("pk")


class ListMaintenanceLog(models.Model):
    """One execution of a workflow: where it stands, who works on it, what it did."""

    kind = models.CharField(max_length=16, choices=choices(RunKind))
    stage = models.CharField(max_length=8, choices=choices(RunStage))
    trigger = models.CharField(max_length=8, choices=choices(Trigger))
    triggered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="triggered_runs",
    )
    campaign = models.ForeignKey(
        CampaignSchedule, null=True, blank=True, on_delete=models.PROTECT, related_name="runs"
    )
    undoes: models.ForeignKey[ListMaintenanceLog | None, ListMaintenanceLog | None] = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="undone_by",
        help_text="of an undo: the run whose changes it takes back",
    )
    override = models.TextField(
        blank=True,
        db_default="",
        help_text="of an undo: why it changes lists although list management is off or paused",
    )
    overridden_at = models.DateTimeField(
        null=True, blank=True, help_text="when that was said: it passes no pause that began later"
    )
    idempotency_key = models.TextField(unique=True)
    correlation_id = models.UUIDField(default=uuid.uuid4, unique=True)
    status = models.CharField(max_length=20, choices=choices(RunStatus), default=RunStatus.PENDING)
    step = models.CharField(max_length=20, choices=choices(Step), default=Step.CAPTURE_BEFORE)
    next_at = models.DateTimeField(null=True, blank=True, help_text="when a waiting run goes on")
    waits_for = models.TextField(blank=True, help_text="what a waiting run waits for")
    retries = models.PositiveSmallIntegerField(default=0, help_text="failed tries of the step in hand")
    lease_owner = models.TextField(blank=True)
    lease_token = models.UUIDField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    holds_rotation = models.BooleanField(
        default=False, help_text="it is changing lists; only one run at a time does"
    )
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    state_before = models.JSONField(null=True, blank=True)
    state_after = models.JSONField(null=True, blank=True)
    counts = models.JSONField(default=dict, blank=True)
    errors = models.JSONField(default=list, blank=True)
    seconds = models.JSONField(default=dict, blank=True, help_text="active seconds per step")
    worked = models.FloatField(
        default=0.0, db_default=0.0, help_text="active seconds since it was started, or continued by a person"
    )
    worked_on_step = models.FloatField(default=0.0, db_default=0.0, help_text="of these, on the step in hand")
    breakdowns = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="tries of the step in hand, in a row, that no waiting mends"
    )
    stopped = models.TextField(
        blank=True, default="", db_default="", help_text="why it ended before its last step"
    )
    continued = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="how often a person had it go on after it had ended"
    )
    requests = models.PositiveIntegerField(default=0, help_text="requests sent to Mailjet")
    report = models.TextField(blank=True)
    slack_channel = models.TextField(blank=True)
    slack_thread = models.TextField(blank=True)

    objects = RunQuerySet.as_manager()

    class Meta:
        verbose_name = "run"
        verbose_name_plural = "maintenance log"
        constraints = [
            one_of("kind", RunKind, name="a_run_has_a_known_kind"),
            one_of("stage", RunStage, name="a_run_has_a_known_stage"),
            one_of("trigger", Trigger, name="a_run_has_a_known_trigger"),
            one_of("status", RunStatus, name="a_run_has_a_known_status"),
            one_of("step", Step, name="a_run_stands_at_a_known_step"),
            models.CheckConstraint(
                condition=Q(lease_owner="", lease_token=None, lease_until=None)
                | (~Q(lease_owner="") & Q(lease_token__isnull=False, lease_until__isnull=False)),
                name="a_lease_is_whole_or_absent",
            ),
            models.CheckConstraint(
                condition=Q(status__in=FINISHED, finished_at__isnull=False)
                | (~Q(status__in=FINISHED) & Q(finished_at__isnull=True)),
                name="finished_runs_and_only_they_have_an_end",
            ),
            models.CheckConstraint(
                condition=~Q(status=RunStatus.WAITING) | Q(next_at__isnull=False),
                name="a_waiting_run_knows_until_when",
            ),
            models.CheckConstraint(
                condition=~Q(kind__in=[RunKind.POST_CAMPAIGN, RunKind.LATE_EVIDENCE])
                | Q(campaign__isnull=False),
                name="post_campaign_runs_name_their_campaign",
            ),
            models.CheckConstraint(
                condition=Q(kind=RunKind.UNDO, undoes__isnull=False)
                | (~Q(kind=RunKind.UNDO) & Q(undoes__isnull=True)),
                name="an_undo_and_only_it_names_what_it_undoes",
            ),
            models.CheckConstraint(
                condition=Q(override="") | Q(kind=RunKind.UNDO, triggered_by__isnull=False),
                name="only_an_undo_by_a_person_overrides",
            ),
            models.CheckConstraint(
                condition=Q(override="", overridden_at=None)
                | (~Q(override="") & Q(overridden_at__isnull=False)),
                name="an_override_says_since_when",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=FINISHED) | Q(holds_rotation=False),
                name="a_finished_run_changes_no_lists",
            ),
            models.CheckConstraint(
                condition=~Q(stage=RunStage.OBSERVE) | Q(holds_rotation=False),
                name="a_run_that_observes_changes_no_lists",
            ),
            models.CheckConstraint(
                condition=~Q(trigger=Trigger.SCHEDULE) | Q(triggered_by__isnull=True),
                name="the_schedule_is_nobody",
            ),
            models.CheckConstraint(
                condition=~Q(status=RunStatus.WAITING) | ~Q(waits_for=""),
                name="a_waiting_run_says_for_what",
            ),
            models.CheckConstraint(condition=~Q(idempotency_key=""), name="a_run_has_a_key"),
            models.CheckConstraint(
                condition=Q(stopped="") | Q(status__in=[RunStatus.PARTIAL, RunStatus.FAILED]),
                name="only_a_run_that_ended_early_was_stopped",
            ),
            models.CheckConstraint(
                condition=Q(worked__gte=0, worked_on_step__gte=0), name="a_run_works_for_some_time_or_none"
            ),
            models.UniqueConstraint(
                fields=["holds_rotation"],
                condition=Q(holds_rotation=True),
                name="one_run_changes_lists_at_a_time",
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_at"],
                condition=~Q(status__in=FINISHED),
                name="run_unfinished",
            ),
            models.Index(fields=["-created_at"], name="run_newest_first"),
        ]

    def __str__(self) -> str:
        return f"run {self.pk}"

    def get_absolute_url(self) -> str:
        """The run's page."""
        return reverse("admin:listmanagement_listmaintenancelog_change", args=[self.pk])


class Agent(StrEnum):
    """The four agents."""

    LIST_HEALTH = "list_health"
    OPTIMIZATION = "optimization"
    REBALANCING = "rebalancing"
    REPORTING = "reporting"


class AnswerSource(StrEnum):
    """Who judged. Rules never pose as a model."""

    MODEL = "model"
    RULES = "rules"
    REUSED = "reused"


class AgentCall(models.Model):
    """One question to an agent and its answer, without personal data."""

    run = models.ForeignKey(ListMaintenanceLog, on_delete=models.PROTECT, related_name="agent_calls")
    agent = models.CharField(max_length=16, choices=choices(Agent))
    source = models.CharField(max_length=8, choices=choices(AnswerSource))
    model = models.TextField(blank=True)
    prompt_version = models.TextField(blank=True)
    temperature = models.FloatField(null=True, blank=True)
    tokens_in = models.PositiveIntegerField(null=True, blank=True)
    tokens_out = models.PositiveIntegerField(null=True, blank=True)
    tokens_thought = models.PositiveIntegerField(null=True, blank=True)
    latency_ms = models.PositiveIntegerField(null=True, blank=True)
    valid = models.BooleanField(help_text="the first answer was usable")
    refused = models.JSONField(default=list, blank=True, help_text="why answers were refused")
    raw_confidence = models.FloatField()
    confidence = models.FloatField(help_text="calibrated")
    asked = models.JSONField()
    answer = models.JSONField()
    stated = models.JSONField(
        null=True, blank=True, help_text="what the model itself said, before policy and caps"
    )
    question = models.TextField(
        blank=True, default="", db_default="", help_text="what identical questions share, as a hash"
    )
    at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["question", "-at"], condition=~Q(question=""), name="answers_by_question")
        ]
        constraints = [
            one_of("agent", Agent, name="an_agent_is_one_of_four"),
            one_of("source", AnswerSource, name="an_answer_has_a_known_source"),
            models.CheckConstraint(
                condition=Q(
                    confidence__gte=0, confidence__lte=1, raw_confidence__gte=0, raw_confidence__lte=1
                ),
                name="a_confidence_is_a_share",
            ),
            models.CheckConstraint(
                condition=Q(source=AnswerSource.RULES, model="")
                | (~Q(source=AnswerSource.RULES) & ~Q(model="")),
                name="rules_never_pose_as_a_model",
            ),
            models.CheckConstraint(
                condition=~Q(source=AnswerSource.RULES) | Q(stated__isnull=True, question=""),
                name="only_a_model_states_what_may_be_reused",
            ),
            models.UniqueConstraint(fields=["run", "agent"], name="one_answer_per_agent_and_run"),
        ]

    def __str__(self) -> str:
        return f"{self.agent} in run {self.run_id}"


class AgentVerdict(models.Model):
    """One thing an agent judged, as a model said it and as the agent's own rules say it."""

    call = models.ForeignKey(AgentCall, on_delete=models.PROTECT, related_name="verdicts")
    subject = models.TextField(help_text="a cohort's key, a list's place in the rotation, or the plan")
    region = models.CharField(
        max_length=8, blank=True, choices=choices(Region), help_text="what the policy leaves of a cohort"
    )
    bounce_class = models.CharField(max_length=24, blank=True, choices=choices(BounceClass))
    contacts = models.PositiveIntegerField(null=True, blank=True, help_text="in the cohort")
    verdict = models.TextField(help_text="what stands")
    confidence = models.FloatField(help_text="of what stands")
    stated = models.TextField(blank=True, help_text="the model's verdict; empty where rules judged")
    raw_confidence = models.FloatField(help_text="as it was stated, by the model or else by the rules")
    calibrated = models.BooleanField(
        default=False, help_text="the model's confidence was held against what people had decided before"
    )
    rationale = models.TextField(blank=True, help_text="the model's; empty where rules judged")
    rules_verdict = models.TextField()
    rules_confidence = models.FloatField()
    rules_rationale = models.TextField()

    class Meta:
        verbose_name = "verdict"
        verbose_name_plural = "judgement record"
        constraints = [
            models.UniqueConstraint(fields=["call", "subject"], name="one_verdict_per_subject_and_call"),
            one_of_or_nothing("region", Region, name="a_verdict_is_in_a_known_region"),
            one_of_or_nothing("bounce_class", BounceClass, name="a_verdict_is_about_a_known_class"),
            models.CheckConstraint(
                condition=~Q(subject="") & ~Q(verdict="") & ~Q(rules_verdict=""), name="a_verdict_says_what"
            ),
            a_share("confidence", name="a_verdicts_confidence_is_a_share"),
            a_share("raw_confidence", name="a_stated_confidence_is_a_share"),
            a_share("rules_confidence", name="the_rules_confidence_is_a_share"),
            models.CheckConstraint(
                condition=~Q(stated="") | Q(rationale="", calibrated=False),
                name="only_a_models_verdict_is_calibrated",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.subject}: {self.verdict}"


WHOLE = ("registered", "suppressed", "held", "backlog")
"""What a weekly check counts of everybody."""

WEEKLY = (
    *("members", "blocked", "suppressed", "joined", "left"),
    *("recent_delivered", "recent_bounced", "recent_hard", "recent_not_attempted"),
    *("recent_complained", "recent_opted_out"),
)
"""What a weekly check counts of each list besides."""


class ListHealthCheck(models.Model):
    """What list health said of all lists at one time."""

    run = models.OneToOneField(ListMaintenanceLog, on_delete=models.PROTECT, related_name="health")
    call = models.OneToOneField(AgentCall, on_delete=models.PROTECT, related_name="health")
    at = models.DateTimeField()
    deviation = models.FloatField(help_text="largest distance from the mean size, percent")
    registered = models.PositiveIntegerField(
        null=True, blank=True, help_text="on the master list; this and what follows only in a weekly check"
    )
    suppressed = models.PositiveIntegerField(null=True, blank=True)
    held = models.PositiveIntegerField(null=True, blank=True)
    backlog = models.PositiveIntegerField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(deviation__gte=0, deviation__lte=10_000), name="a_deviation_is_a_percentage"
            ),
            all_or_none(WHOLE, name="a_weekly_check_counts_everything"),
        ]
        indexes = [models.Index(fields=["-at"], name="health_newest_first")]

    def __str__(self) -> str:
        return f"health check {self.pk}"


def _weekly(means: str) -> models.PositiveIntegerField[int | None, int | None]:
    return models.PositiveIntegerField(null=True, blank=True, help_text=means)


class ListHealth(models.Model):
    """One list in a health check."""

    check_of = models.ForeignKey(ListHealthCheck, on_delete=models.PROTECT, related_name="lists")
    list = models.ForeignKey(ContactList, on_delete=models.PROTECT, related_name="health")
    size = models.PositiveIntegerField()
    delivered = models.PositiveIntegerField()
    bounced = models.PositiveIntegerField()
    not_attempted = models.PositiveIntegerField()
    grade = models.CharField(max_length=8)
    cause = models.CharField(max_length=20)
    rationale = models.TextField()
    verdict = models.OneToOneField(
        AgentVerdict, null=True, blank=True, on_delete=models.PROTECT, related_name="health"
    )
    is_right = models.BooleanField(null=True, blank=True, help_text="what a reviewer said of it")
    marked_at = models.DateTimeField(null=True, blank=True)
    marked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="marks"
    )
    marked_why = models.TextField(blank=True, default="", db_default="")
    members = _weekly("on the list, mailable or not")
    blocked = _weekly("of its size, whom Mailjet itself refuses to try")
    suppressed = _weekly("who stand suppressed and were on this list before")
    joined = _weekly("who joined it in the week before")
    left = _weekly("who left it in the week before")
    recent_delivered = _weekly("messages delivered in the last four weeks' campaigns")
    recent_bounced = _weekly("bounced in them, hard and soft")
    recent_hard = _weekly("bounced hard in them")
    recent_not_attempted = _weekly("not attempted in them")
    recent_complained = _weekly("contacts who complained of them")
    recent_opted_out = _weekly("contacts who opted out in this time, after a message to this list")

    class Meta:
        verbose_name = "list health"
        verbose_name_plural = "list health"
        constraints = [
            models.UniqueConstraint(fields=["check_of", "list"], name="one_health_row_per_list_and_check"),
            models.CheckConstraint(
                condition=Q(grade__in=["good", "watch", "poor", "critical"]), name="a_grade_is_one_of_four"
            ),
            models.CheckConstraint(
                condition=Q(cause__in=["none", "decay", "outage", "sender_side", "provider_incident"]),
                name="a_cause_is_known",
            ),
            models.CheckConstraint(
                condition=Q(is_right=None, marked_at=None, marked_by=None, marked_why="")
                | Q(is_right__isnull=False, marked_at__isnull=False, marked_by__isnull=False),
                name="a_mark_names_who_and_when",
            ),
            models.CheckConstraint(
                condition=~Q(is_right=False) | ~Q(marked_why=""), name="what_is_marked_wrong_says_why"
            ),
            all_or_none(WEEKLY, name="a_lists_weekly_figures_come_together"),
        ]

    def __str__(self) -> str:
        return f"list {self.list_id}: {self.grade}"


class RolloutState(models.Model):
    """When observing began, and what a person switched since. One row."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    observing_since = models.DateTimeField(null=True, blank=True)
    manual_since = models.DateTimeField(null=True, blank=True)
    paused_at = models.DateTimeField(null=True, blank=True)
    changed_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT)
    why = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(id=1), name="one_rollout_state"),
            models.CheckConstraint(
                condition=Q(paused_at__isnull=True, manual_since__isnull=True)
                | (Q(changed_by__isnull=False) & ~Q(why="")),
                name="a_pause_or_manual_mode_names_who_and_why",
            ),
        ]

    def __str__(self) -> str:
        return "rollout state"
