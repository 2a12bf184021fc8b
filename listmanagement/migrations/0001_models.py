"""All tables, with their constraints and indexes."""

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models
from django.db.models import Q
from django.db.models.functions import Coalesce, Lower, Now

# What this replaces; 0002_triggers replaces the last one, 0029_returns.
FORMER = """
    0001_initial 0002_refusals 0003_mailjetbreaker 0004_consent 0005_contacts_read_at 0006_recurringjob
    0007_mailjetoutage 0008_evidence 0009_item_membership 0010_campaigns_and_cycles 0011_consent_is_found
    0012_webhookevent 0013_suppression_list_as_leg 0014_gemini 0015_doubtful_cycles 0016_mirror_scans
    0017_looked_up 0018_judgement_record 0019_gemini_back_off 0020_late_evidence 0021_pre_campaign
    0022_dns_and_blocks 0023_undo 0024_weekly_health 0025_way_back 0026_list_changes 0027_runs_continue
    0028_domain_spelling
""".split()

ROLES = ["master", "campaign", "suppression"]
PROTECTION_KINDS = ["address", "domain"]
SCANNED = ["members", "contacts", "looked_up", "everything"]
CHANGED_TABLES = ["contacts", "memberships", "suppressions", "holds"]
CYCLE_ENDS = ["complete", "cut_short", "overdue"]
CAMPAIGN_KINDS = ["round", "part", "repeat", "one_off", "test"]
CAMPAIGN_STATUSES = ["scheduled", "sending", "sent", "cancelled", "skipped", "failed"]
OUTCOMES = ["delivered", "bounced", "complained", "not_attempted", "open"]
BOUNCE_CLASSES = """
    recipient_gone recipient_gone_soft recipient_rejected inactive mailbox_full domain_gone sender_side
    temporary greylisted not_attempted duplicate mistyped refused complaint conflicting unknown
""".split()
RUN_KINDS = """
    post_campaign late_evidence weekly_health consent reconciliation pre_campaign undo lift way_back
""".split()
STAGES = ["observe", "act"]
TRIGGERS = ["schedule", "person"]
RUN_STATUSES = ["pending", "running", "waiting", "waiting_for_review", "succeeded", "partial", "failed"]
STEPS = """
    capture_before fetch_outcomes judge decide suppress plan_rebalancing rebalance capture_after report
    find_consent apply_consent read_mailjet compare settle synchronise assess take_off_held await_send
    put_held_back take_back
""".split()
HOLD_KINDS = ["domain", "mail_host", "contact"]
HOLD_ENDS = """
    outage_over closed none_delivered stale delivered second_hard refused_long complained
""".split()
AGENTS = ["list_health", "optimization", "rebalancing", "reporting"]
SOURCES = ["model", "rules", "reused"]
REGIONS = ["must", "may", "never", "hold", "consent"]
DECISION_KINDS = """
    suppression rebalancing consent reconciliation held undo way_back return
""".split()
DECISION_STATUSES = ["draft", "open", "approved", "clear", "rejected", "expired", "observed"]
ACTIONS = """
    suppress hold place move unsubscribe complaint take_off put_back restore release
""".split()
HISTORIES = ["never_delivered", "delivered_before", "lately_alive", "protected"]
ITEM_STATUSES = ["proposed", "taken_out", "dropped", "executed", "failed"]
OPERATION_KINDS = """
    suppress place move_in move_out carry_opt_out unsubscribe complaint take_off put_back restore release
""".split()
BATCH_STATUSES = ["intended", "sending", "submitted", "applied", "failed", "undone"]
CHANGE_ACTIONS = ["addnoforce", "remove", "unsub"]
OPERATION_STATUSES = ["intended", "dropped", "applied", "failed", "undone"]
CHANGES = ["first_sight", "operation", "person"]
SUPPRESSION_KINDS = ["ours", "consent", "imported"]
INSTANTS = ["day_before", "two_hours_before", "half_an_hour_before", "before_unscheduling", "asked"]
LOOK_VERDICTS = ["pass", "warn", "block"]
FINDING_KINDS = """
    wrong_list list_deleted nobody size balance sent_before earlier_round bounce_rate suppressed said_no
    several_lists unverified deferred freshness not_asked held undecided agents at_once segment
    not_scheduled
""".split()
SEVERITIES = ["note", "warning", "blocking"]
TREATMENTS = ["all", "five", "none"]
DRAFT_CHANGES = ["unschedule", "schedule"]
DRAFT_STATUSES = ["intended", "sending", "applied", "failed"]
NOTIFICATION_KINDS = """
    decision_needed maintenance_done maintenance_failed alert pre_campaign weekly_report
""".split()
NOTIFICATION_STATUSES = ["pending", "sending", "sent", "failed"]
EVENT_KINDS = """
    sent open click bounce blocked spam unsub other unreadable too_large
""".split()
EVENT_STATUSES = ["new", "waiting", "done", "review"]
JOBS = """
    refresh_cache sync_campaigns late_outcomes start_runs watch_events forget_events reconcile validate
    ask_dns weekly_health way_back
""".split()
ROUTES = ["hosts", "address", "no_domain", "null_mx", "nowhere", "unknown"]
BREAKER_STATES = ["closed", "open", "probing"]

ID = ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"))


def choices(words: list[str]) -> list[tuple[str, str]]:
    return [(word, word.replace("_", " ")) for word in words]


class Migration(migrations.Migration):
    initial = True

    replaces = [("listmanagement", name) for name in FORMER]

    dependencies = [migrations.swappable_dependency(settings.AUTH_USER_MODEL)]

    operations = [
        migrations.CreateModel(
            name="ContactList",
            fields=[
                ID,
                ("mailjet_id", models.BigIntegerField(unique=True)),
                ("name", models.TextField()),
                ("role", models.CharField(choices=choices(ROLES), max_length=16)),
                (
                    "position",
                    models.PositiveSmallIntegerField(
                        blank=True, help_text="place in the rotation, from 1", null=True
                    ),
                ),
                (
                    "is_deleted",
                    models.BooleanField(default=False, help_text="Mailjet says the list is deleted"),
                ),
                (
                    "read_at",
                    models.DateTimeField(
                        blank=True, help_text="when its members were last read whole", null=True
                    ),
                ),
                (
                    "contacts_read_at",
                    models.DateTimeField(
                        blank=True,
                        help_text="when its members' addresses and exclusions were last read",
                        null=True,
                    ),
                ),
            ],
            options={
                "verbose_name": "list",
                "constraints": [
                    models.CheckConstraint(condition=Q(role__in=ROLES), name="a_list_has_a_known_role"),
                    models.CheckConstraint(
                        condition=Q(position__gte=1, position__isnull=False, role="campaign")
                        | (~Q(role="campaign") & Q(position__isnull=True)),
                        name="campaign_lists_and_only_they_have_a_position",
                    ),
                    models.UniqueConstraint(fields=("position",), name="one_list_per_position"),
                    models.UniqueConstraint(
                        condition=Q(role__in=["master", "suppression"]),
                        fields=("role",),
                        name="one_master_and_one_suppression_list",
                    ),
                    models.CheckConstraint(condition=Q(mailjet_id__gte=1), name="a_list_has_mailjets_id"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Contact",
            fields=[
                ("id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("email", models.TextField(blank=True, null=True)),
                (
                    "domain_in_ascii",
                    models.TextField(
                        blank=True,
                        editable=False,
                        help_text="the domain as DNS knows it, where the address writes it in other letters",
                        null=True,
                    ),
                ),
                (
                    "domain",
                    models.GeneratedField(
                        db_persist=True,
                        expression=models.Case(
                            models.When(email=None, then=None),
                            default=Coalesce(
                                "domain_in_ascii",
                                models.Func(
                                    Lower(
                                        models.Func(
                                            models.F("email"),
                                            models.Value("@"),
                                            models.Value(-1),
                                            function="split_part",
                                        )
                                    ),
                                    models.Value("."),
                                    function="rtrim",
                                ),
                            ),
                            output_field=models.TextField(null=True),
                        ),
                        output_field=models.TextField(null=True),
                    ),
                ),
                ("registered_at", models.DateTimeField(blank=True, null=True)),
                (
                    "excluded",
                    models.BooleanField(default=False, help_text="excluded from campaigns at Mailjet"),
                ),
                ("complained_at", models.DateTimeField(blank=True, null=True)),
                (
                    "complained_by",
                    models.TextField(blank=True, help_text="what told us: the contact at Mailjet, an event"),
                ),
                ("opted_out_at", models.DateTimeField(blank=True, null=True)),
                ("opted_out_by", models.TextField(blank=True, help_text="what told us: a list, an event")),
                (
                    "looked_up_at",
                    models.DateTimeField(
                        blank=True,
                        help_text="when Mailjet was last asked which lists they are on, all at once",
                        null=True,
                    ),
                ),
                (
                    "blocked_since",
                    models.DateTimeField(blank=True, help_text="refused by Mailjet itself since", null=True),
                ),
                (
                    "retired_at",
                    models.DateTimeField(blank=True, help_text="its address moved to a new id", null=True),
                ),
                (
                    "erased_at",
                    models.DateTimeField(blank=True, help_text="Mailjet has erased who this was", null=True),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["domain"], name="contact_by_domain"),
                    models.Index(condition=Q(erased_at__isnull=False), fields=["id"], name="contact_erased"),
                    models.Index(
                        condition=Q(complained_at=None, email__isnull=False, opted_out_at__isnull=False),
                        fields=["opted_out_at"],
                        name="contact_opted_out",
                    ),
                    models.Index(
                        condition=Q(complained_at__isnull=False, email__isnull=False),
                        fields=["complained_at"],
                        name="contact_complained",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(Lower("email"), name="one_contact_per_address"),
                    models.CheckConstraint(condition=Q(id__gt=0), name="a_contact_has_mailjets_id"),
                    models.CheckConstraint(
                        condition=Q(email__isnull=True) | Q(email__contains="@"),
                        name="an_address_has_an_at_sign",
                    ),
                    models.CheckConstraint(
                        condition=Q(email__isnull=False, retired_at__isnull=True)
                        | Q(email__isnull=True, retired_at__isnull=False),
                        name="retired_contacts_and_only_they_have_no_address",
                    ),
                    models.CheckConstraint(
                        condition=Q(opted_out_at__isnull=True, opted_out_by="")
                        | (Q(opted_out_at__isnull=False) & ~Q(opted_out_by="")),
                        name="an_opt_out_says_when_and_by_what",
                    ),
                    models.CheckConstraint(
                        condition=Q(complained_at__isnull=True, complained_by="")
                        | (Q(complained_at__isnull=False) & ~Q(complained_by="")),
                        name="a_complaint_says_when_and_by_what",
                    ),
                    models.CheckConstraint(
                        condition=Q(erased_at__isnull=True) | Q(email__isnull=True),
                        name="of_the_erased_no_address_is_kept",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Protection",
            fields=[
                ID,
                ("kind", models.CharField(choices=choices(PROTECTION_KINDS), max_length=8)),
                ("value", models.TextField(help_text="lower case")),
                ("by", models.ForeignKey(on_delete=models.PROTECT, to=settings.AUTH_USER_MODEL)),
                ("why", models.TextField()),
                ("at", models.DateTimeField()),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=Q(kind__in=PROTECTION_KINDS), name="a_protection_has_a_known_kind"
                    ),
                    models.UniqueConstraint(fields=("kind", "value"), name="protected_once"),
                    models.CheckConstraint(
                        condition=Q(value=Lower("value")), name="protections_are_lower_case"
                    ),
                    models.CheckConstraint(condition=~Q(why=""), name="a_protection_says_why"),
                    models.CheckConstraint(
                        condition=(~Q(kind="address") | Q(value__contains="@"))
                        & (~Q(kind="domain") | (~Q(value="") & ~Q(value__contains="@"))),
                        name="a_protection_covers_what_its_kind_says",
                    ),
                ]
            },
        ),
        migrations.CreateModel(
            name="MirrorScan",
            fields=[
                ID,
                ("of", models.CharField(choices=choices(SCANNED), max_length=10)),
                (
                    "list",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=models.PROTECT,
                        related_name="scans",
                        to="listmanagement.contactlist",
                    ),
                ),
                ("token", models.UUIDField(default=uuid.uuid4, help_text="whoever has it works on the scan")),
                ("busy_until", models.DateTimeField(help_text="past this time nobody works on it")),
                ("started_at", models.DateTimeField(help_text="what is read may be as old as this")),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                ("offset", models.BigIntegerField(default=0, help_text="the row to ask for next")),
                ("highest", models.BigIntegerField(default=0, help_text="the highest id read so far")),
                ("staged", models.BigIntegerField(default=0, help_text="rows read so far")),
                ("is_read", models.BooleanField(default=False, help_text="the last page is read")),
                (
                    "total",
                    models.BigIntegerField(
                        blank=True, help_text="Mailjet's first count of the rows", null=True
                    ),
                ),
                (
                    "is_stable",
                    models.BooleanField(default=True, help_text="Mailjet's count has stayed the same"),
                ),
            ],
            options={
                "verbose_name": "scan",
                "constraints": [
                    models.CheckConstraint(condition=Q(of__in=SCANNED), name="a_scan_reads_something_known"),
                    models.CheckConstraint(
                        condition=Q(list__isnull=False, of="members")
                        | Q(of="contacts")
                        | Q(list__isnull=True, of__in=["looked_up", "everything"]),
                        name="memberships_are_read_of_a_list",
                    ),
                    models.CheckConstraint(
                        condition=Q(total__isnull=False) | Q(is_read=False, staged=0),
                        name="a_scan_that_read_a_page_knows_the_count",
                    ),
                    models.UniqueConstraint(
                        condition=Q(finished_at=None, of="everything"),
                        fields=("of",),
                        name="everything_is_read_once_at_a_time",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ListChange",
            fields=[
                ID,
                ("what", models.CharField(choices=choices(CHANGED_TABLES), max_length=12)),
                (
                    "of_list",
                    models.BigIntegerField(
                        blank=True, help_text="whose memberships: our id of the list", null=True
                    ),
                ),
                ("at", models.DateTimeField()),
                (
                    "mark",
                    models.BigIntegerField(
                        help_text="by chance: after a restore, no state has the name of an older one"
                    ),
                ),
            ],
            options={
                "verbose_name": "change of lists",
                "verbose_name_plural": "changes of lists",
                "constraints": [
                    models.CheckConstraint(
                        condition=Q(what__in=CHANGED_TABLES), name="a_change_of_lists_is_of_a_known_table"
                    ),
                    models.CheckConstraint(
                        condition=Q(of_list__isnull=False, what="memberships")
                        | (~Q(what="memberships") & Q(of_list=None)),
                        name="memberships_and_only_they_change_on_a_list",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Cycle",
            fields=[
                ID,
                ("number", models.PositiveIntegerField(unique=True)),
                ("name", models.TextField(blank=True)),
                ("started_at", models.DateTimeField(blank=True, null=True)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("ended_how", models.CharField(blank=True, choices=choices(CYCLE_ENDS), max_length=12)),
                (
                    "doubt",
                    models.TextField(
                        blank=True,
                        help_text="why it is not over though every list had a send, and what to do",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=Q(ended_at__isnull=True)
                        | Q(ended_at__gte=models.F("started_at"), started_at__isnull=False),
                        name="a_cycle_ends_after_it_began",
                    ),
                    models.CheckConstraint(
                        condition=Q(ended_how__in=["", *CYCLE_ENDS]), name="a_cycle_ended_in_a_known_way"
                    ),
                    models.CheckConstraint(
                        condition=Q(ended_how="") | Q(ended_at__isnull=False),
                        name="only_an_ended_cycle_says_how",
                    ),
                ]
            },
        ),
        migrations.CreateModel(
            name="CampaignSchedule",
            fields=[
                ID,
                (
                    "cycle",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=models.PROTECT,
                        related_name="campaigns",
                        to="listmanagement.cycle",
                    ),
                ),
                ("round", models.PositiveSmallIntegerField(blank=True, null=True)),
                ("kind", models.CharField(choices=choices(CAMPAIGN_KINDS), default="round", max_length=8)),
                (
                    "list",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=models.PROTECT,
                        related_name="campaigns",
                        to="listmanagement.contactlist",
                    ),
                ),
                ("mailjet_campaign_id", models.BigIntegerField(blank=True, null=True, unique=True)),
                ("mailjet_draft_id", models.BigIntegerField(blank=True, null=True, unique=True)),
                ("subject", models.TextField(blank=True)),
                ("title", models.TextField(blank=True, help_text="for people only, at Mailjet")),
                (
                    "segmentation_id",
                    models.BigIntegerField(
                        blank=True,
                        help_text="the part of the list it goes to; empty for the whole list",
                        null=True,
                    ),
                ),
                (
                    "ab_test_id",
                    models.BigIntegerField(
                        blank=True, help_text="the test of several versions (A/B) it belongs to", null=True
                    ),
                ),
                (
                    "draft_status",
                    models.SmallIntegerField(
                        blank=True,
                        choices=[
                            (-3, "ax cancelled"),
                            (-2, "deleted"),
                            (-1, "archived"),
                            (0, "draft"),
                            (1, "programmed"),
                            (2, "sent"),
                            (3, "ax tested"),
                            (4, "ax selected"),
                        ],
                        help_text="how its draft stood last",
                        null=True,
                    ),
                ),
                (
                    "list_size",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="mailable members of its list when it was first seen sent",
                        null=True,
                    ),
                ),
                ("status", models.CharField(choices=choices(CAMPAIGN_STATUSES), max_length=12)),
                ("scheduled_at", models.DateTimeField(blank=True, null=True)),
                (
                    "postponed_from",
                    models.DateTimeField(
                        blank=True,
                        help_text="the time it had, where people at Mailjet gave it another",
                        null=True,
                    ),
                ),
                (
                    "started_at",
                    models.DateTimeField(blank=True, help_text="Mailjet's SendStartAt", null=True),
                ),
                ("ended_at", models.DateTimeField(blank=True, help_text="Mailjet's SendEndAt", null=True)),
                ("recipients_fetched_at", models.DateTimeField(blank=True, null=True)),
                (
                    "first_event_at",
                    models.DateTimeField(
                        blank=True, help_text="when the first event of it was told", null=True
                    ),
                ),
                (
                    "settled_at",
                    models.DateTimeField(blank=True, help_text="its outcomes are final", null=True),
                ),
                ("cause", models.TextField(blank=True, help_text="why it failed, was called off or is late")),
                (
                    "of",
                    models.ForeignKey(
                        blank=True,
                        help_text="what a repeat repeats, what a part is of, what a person's round goes with",
                        null=True,
                        on_delete=models.PROTECT,
                        related_name="also",
                        to="listmanagement.campaignschedule",
                    ),
                ),
                (
                    "labelled_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=models.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("labelled_at", models.DateTimeField(blank=True, null=True)),
                ("labelled_why", models.TextField(blank=True, help_text="why a person said what it was")),
                (
                    "counted_at",
                    models.DateTimeField(
                        blank=True, help_text="when Mailjet's counters were read", null=True
                    ),
                ),
                (
                    "processed",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="messages that Mailjet took over for sending, by Mailjet's count",
                        null=True,
                    ),
                ),
                (
                    "delivered",
                    models.PositiveIntegerField(
                        blank=True, help_text="messages that arrived, by Mailjet's count", null=True
                    ),
                ),
                (
                    "hard_bounced",
                    models.PositiveIntegerField(
                        blank=True, help_text="messages that failed for good, by Mailjet's count", null=True
                    ),
                ),
                (
                    "soft_bounced",
                    models.PositiveIntegerField(
                        blank=True, help_text="messages that failed for now, by Mailjet's count", null=True
                    ),
                ),
                (
                    "blocked",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="messages that Mailjet did not try, by Mailjet's count",
                        null=True,
                    ),
                ),
                (
                    "complained",
                    models.PositiveIntegerField(
                        blank=True, help_text="messages that were called spam, by Mailjet's count", null=True
                    ),
                ),
                (
                    "unsubscribed",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="messages from which somebody unsubscribed, by Mailjet's count",
                        null=True,
                    ),
                ),
                (
                    "opened",
                    models.PositiveIntegerField(
                        blank=True, help_text="messages that were opened, by Mailjet's count", null=True
                    ),
                ),
                (
                    "clicked",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="messages in which a link was followed, by Mailjet's count",
                        null=True,
                    ),
                ),
                (
                    "deferred",
                    models.PositiveIntegerField(
                        blank=True, help_text="messages that are tried again, by Mailjet's count", null=True
                    ),
                ),
                (
                    "queued",
                    models.PositiveIntegerField(
                        blank=True, help_text="messages that still wait, by Mailjet's count", null=True
                    ),
                ),
            ],
            options={
                "verbose_name": "campaign",
                "indexes": [
                    models.Index(fields=["list", "scheduled_at"], name="campaign_next_on_a_list"),
                    models.Index(fields=["status", "ended_at"], name="campaign_due_for_maintenance"),
                    models.Index(
                        condition=Q(settled_at__isnull=True, status="sent"),
                        fields=["ended_at"],
                        name="campaign_unsettled",
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=Q(kind__in=CAMPAIGN_KINDS), name="a_campaign_has_a_known_kind"
                    ),
                    models.CheckConstraint(
                        condition=Q(status__in=CAMPAIGN_STATUSES), name="a_campaign_has_a_known_status"
                    ),
                    models.CheckConstraint(
                        condition=~Q(status="sent")
                        | Q(
                            ended_at__isnull=False,
                            mailjet_campaign_id__isnull=False,
                            started_at__isnull=False,
                        ),
                        name="a_sent_campaign_has_its_times_and_mailjets_id",
                    ),
                    models.CheckConstraint(
                        condition=~Q(status="scheduled") | Q(scheduled_at__isnull=False),
                        name="a_scheduled_campaign_has_a_time",
                    ),
                    models.CheckConstraint(
                        condition=Q(ended_at__isnull=True)
                        | Q(ended_at__gte=models.F("started_at"), started_at__isnull=False),
                        name="a_send_ends_after_it_began",
                    ),
                    models.CheckConstraint(
                        condition=Q(cycle__isnull=False, kind="round", round__gte=1, round__isnull=False)
                        | (~Q(kind="round") & Q(round__isnull=True)),
                        name="rounds_and_only_they_have_a_place_in_a_cycle",
                    ),
                    models.CheckConstraint(
                        condition=~Q(status="failed") | ~Q(cause=""), name="a_failed_campaign_says_why"
                    ),
                    models.CheckConstraint(
                        condition=Q(settled_at__isnull=True) | Q(status="sent"),
                        name="only_a_sent_campaign_is_settled",
                    ),
                    models.UniqueConstraint(
                        condition=Q(kind="round") & ~Q(status="cancelled"),
                        fields=("cycle", "list"),
                        name="one_round_per_list_and_cycle",
                    ),
                    models.CheckConstraint(
                        condition=Q(of__isnull=True)
                        | (Q(kind__in=["round", "part", "repeat"]) & ~Q(of=models.F("id"))),
                        name="a_campaign_goes_with_another",
                    ),
                    models.CheckConstraint(
                        condition=Q(labelled_at=None, labelled_by=None, labelled_why="")
                        | (Q(labelled_at__isnull=False, labelled_by__isnull=False) & ~Q(labelled_why="")),
                        name="a_persons_label_names_who_when_and_why",
                    ),
                    models.CheckConstraint(
                        condition=Q(
                            blocked=None,
                            clicked=None,
                            complained=None,
                            counted_at=None,
                            deferred=None,
                            delivered=None,
                            hard_bounced=None,
                            opened=None,
                            processed=None,
                            queued=None,
                            soft_bounced=None,
                            unsubscribed=None,
                        )
                        | Q(
                            blocked__isnull=False,
                            clicked__isnull=False,
                            complained__isnull=False,
                            counted_at__isnull=False,
                            deferred__isnull=False,
                            delivered__isnull=False,
                            hard_bounced__isnull=False,
                            opened__isnull=False,
                            processed__isnull=False,
                            queued__isnull=False,
                            soft_bounced__isnull=False,
                            unsubscribed__isnull=False,
                        ),
                        name="counters_come_together",
                    ),
                    models.CheckConstraint(
                        condition=Q(draft_status__isnull=True)
                        | Q(draft_status__in=[-3, -2, -1, 0, 1, 2, 3, 4]),
                        name="a_draft_has_a_known_status",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="CampaignSync",
            fields=[
                (
                    "id",
                    models.PositiveSmallIntegerField(
                        default=1, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "read_at",
                    models.DateTimeField(
                        blank=True,
                        help_text="how old what is stored can be: when its reading began",
                        null=True,
                    ),
                ),
            ],
            options={"constraints": [models.CheckConstraint(condition=Q(id=1), name="one_campaign_sync")]},
        ),
        migrations.CreateModel(
            name="CampaignRecipient",
            fields=[
                ID,
                (
                    "campaign",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=models.PROTECT,
                        related_name="recipients",
                        to="listmanagement.campaignschedule",
                    ),
                ),
                (
                    "contact",
                    models.ForeignKey(
                        on_delete=models.PROTECT, related_name="received", to="listmanagement.contact"
                    ),
                ),
                ("message_id", models.BigIntegerField(unique=True)),
                ("outcome", models.CharField(choices=choices(OUTCOMES), max_length=16)),
                (
                    "bounce_class",
                    models.CharField(blank=True, choices=choices(BOUNCE_CLASSES), max_length=24),
                ),
                ("sent_at", models.DateTimeField()),
                ("outcome_at", models.DateTimeField()),
                (
                    "delivered_at",
                    models.DateTimeField(
                        blank=True, help_text="when the receiving server took it, as an event said", null=True
                    ),
                ),
                (
                    "first_life_at",
                    models.DateTimeField(
                        blank=True,
                        help_text="the first human click: a sign of life (opens never decide)",
                        null=True,
                    ),
                ),
            ],
            options={
                "verbose_name": "message",
                "indexes": [models.Index(fields=["campaign", "outcome"], name="recipient_by_outcome")],
                "constraints": [
                    models.CheckConstraint(
                        condition=Q(outcome__in=OUTCOMES), name="a_message_has_a_known_outcome"
                    ),
                    models.CheckConstraint(
                        condition=Q(bounce_class__in=["", *BOUNCE_CLASSES]),
                        name="a_message_failed_in_a_known_way",
                    ),
                    models.CheckConstraint(
                        condition=Q(bounce_class="", outcome__in=["delivered", "open"])
                        | (Q(outcome__in=["bounced", "complained", "not_attempted"]) & ~Q(bounce_class="")),
                        name="failures_and_only_they_have_a_class",
                    ),
                    models.CheckConstraint(
                        condition=~Q(outcome="complained") | Q(bounce_class="complaint"),
                        name="a_complaint_is_nothing_else",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Bounce",
            fields=[
                ID,
                (
                    "recipient",
                    models.OneToOneField(
                        on_delete=models.PROTECT, related_name="bounce", to="listmanagement.campaignrecipient"
                    ),
                ),
                (
                    "state",
                    models.PositiveSmallIntegerField(
                        blank=True, help_text="Mailjet's StateID; empty where Mailjet gave none", null=True
                    ),
                ),
                ("permanent", models.BooleanField()),
                (
                    "attempted",
                    models.BooleanField(help_text="false: Mailjet reported it as blocked and did not try"),
                ),
                ("at", models.DateTimeField()),
                ("server_text", models.TextField(blank=True)),
                (
                    "earlier",
                    models.JSONField(
                        blank=True, default=list, help_text="states this one replaced, oldest first"
                    ),
                ),
                (
                    "told",
                    models.JSONField(
                        blank=True,
                        db_default={},
                        default=dict,
                        help_text="all that was told of the message, whatever the order",
                    ),
                ),
                (
                    "spent_at",
                    models.DateTimeField(blank=True, help_text="its suppression was lifted", null=True),
                ),
            ],
            options={
                "verbose_name": "evidence",
                "verbose_name_plural": "evidence",
                "constraints": [
                    models.CheckConstraint(
                        condition=Q(state__isnull=True) | Q(state__gte=1), name="a_state_is_one_of_mailjets"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ListMaintenanceLog",
            fields=[
                ID,
                ("kind", models.CharField(choices=choices(RUN_KINDS), max_length=16)),
                ("stage", models.CharField(choices=choices(STAGES), max_length=8)),
                ("trigger", models.CharField(choices=choices(TRIGGERS), max_length=8)),
                (
                    "triggered_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=models.PROTECT,
                        related_name="triggered_runs",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "campaign",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=models.PROTECT,
                        related_name="runs",
                        to="listmanagement.campaignschedule",
                    ),
                ),
                (
                    "undoes",
                    models.ForeignKey(
                        blank=True,
                        help_text="of an undo: the run whose changes it takes back",
                        null=True,
                        on_delete=models.PROTECT,
                        related_name="undone_by",
                        to="listmanagement.listmaintenancelog",
                    ),
                ),
                (
                    "override",
                    models.TextField(
                        blank=True,
                        db_default="",
                        help_text="of an undo: why it changes lists although list management is off or paused",
                    ),
                ),
                ("idempotency_key", models.TextField(unique=True)),
                ("correlation_id", models.UUIDField(default=uuid.uuid4, unique=True)),
                ("status", models.CharField(choices=choices(RUN_STATUSES), default="pending", max_length=20)),
                ("step", models.CharField(choices=choices(STEPS), default="capture_before", max_length=20)),
                (
                    "next_at",
                    models.DateTimeField(blank=True, help_text="when a waiting run goes on", null=True),
                ),
                ("waits_for", models.TextField(blank=True, help_text="what a waiting run waits for")),
                (
                    "retries",
                    models.PositiveSmallIntegerField(default=0, help_text="failed tries of the step in hand"),
                ),
                ("lease_owner", models.TextField(blank=True)),
                ("lease_token", models.UUIDField(blank=True, null=True)),
                ("lease_until", models.DateTimeField(blank=True, null=True)),
                (
                    "holds_rotation",
                    models.BooleanField(
                        default=False, help_text="it is changing lists; only one run at a time does"
                    ),
                ),
                ("created_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                ("state_before", models.JSONField(blank=True, null=True)),
                ("state_after", models.JSONField(blank=True, null=True)),
                ("counts", models.JSONField(blank=True, default=dict)),
                ("errors", models.JSONField(blank=True, default=list)),
                ("seconds", models.JSONField(blank=True, default=dict, help_text="active seconds per step")),
                (
                    "worked",
                    models.FloatField(
                        db_default=0.0,
                        default=0.0,
                        help_text="active seconds since it was started, or continued by a person",
                    ),
                ),
                (
                    "worked_on_step",
                    models.FloatField(db_default=0.0, default=0.0, help_text="of these, on the step in hand"),
                ),
                (
                    "breakdowns",
                    models.PositiveSmallIntegerField(
                        db_default=0,
                        default=0,
                        help_text="tries of the step in hand, in a row, that no waiting mends",
                    ),
                ),
                (
                    "stopped",
                    models.TextField(
                        blank=True, db_default="", default="", help_text="why it ended before its last step"
                    ),
                ),
                (
                    "continued",
                    models.PositiveSmallIntegerField(
                        db_default=0,
                        default=0,
                        help_text="how often a person had it go on after it had ended",
                    ),
                ),
                ("requests", models.PositiveIntegerField(default=0, help_text="requests sent to Mailjet")),
                ("report", models.TextField(blank=True)),
                ("slack_channel", models.TextField(blank=True)),
                ("slack_thread", models.TextField(blank=True)),
            ],
            options={
                "verbose_name": "run",
                "verbose_name_plural": "maintenance log",
                "indexes": [
                    models.Index(
                        condition=~Q(status__in=("succeeded", "partial", "failed")),
                        fields=["next_at"],
                        name="run_unfinished",
                    ),
                    models.Index(fields=["-created_at"], name="run_newest_first"),
                ],
                "constraints": [
                    models.CheckConstraint(condition=Q(kind__in=RUN_KINDS), name="a_run_has_a_known_kind"),
                    models.CheckConstraint(condition=Q(stage__in=STAGES), name="a_run_has_a_known_stage"),
                    models.CheckConstraint(
                        condition=Q(trigger__in=TRIGGERS), name="a_run_has_a_known_trigger"
                    ),
                    models.CheckConstraint(
                        condition=Q(status__in=RUN_STATUSES), name="a_run_has_a_known_status"
                    ),
                    models.CheckConstraint(condition=Q(step__in=STEPS), name="a_run_stands_at_a_known_step"),
                    models.CheckConstraint(
                        condition=Q(lease_owner="", lease_token=None, lease_until=None)
                        | (~Q(lease_owner="") & Q(lease_token__isnull=False, lease_until__isnull=False)),
                        name="a_lease_is_whole_or_absent",
                    ),
                    models.CheckConstraint(
                        condition=Q(finished_at__isnull=False, status__in=("succeeded", "partial", "failed"))
                        | (~Q(status__in=("succeeded", "partial", "failed")) & Q(finished_at__isnull=True)),
                        name="finished_runs_and_only_they_have_an_end",
                    ),
                    models.CheckConstraint(
                        condition=~Q(status="waiting") | Q(next_at__isnull=False),
                        name="a_waiting_run_knows_until_when",
                    ),
                    models.CheckConstraint(
                        condition=~Q(kind__in=["post_campaign", "late_evidence"]) | Q(campaign__isnull=False),
                        name="post_campaign_runs_name_their_campaign",
                    ),
                    models.CheckConstraint(
                        condition=Q(kind="undo", undoes__isnull=False)
                        | (~Q(kind="undo") & Q(undoes__isnull=True)),
                        name="an_undo_and_only_it_names_what_it_undoes",
                    ),
                    models.CheckConstraint(
                        condition=Q(override="") | Q(kind="undo", triggered_by__isnull=False),
                        name="only_an_undo_by_a_person_overrides",
                    ),
                    models.CheckConstraint(
                        condition=~Q(status__in=("succeeded", "partial", "failed")) | Q(holds_rotation=False),
                        name="a_finished_run_changes_no_lists",
                    ),
                    models.CheckConstraint(
                        condition=~Q(stage="observe") | Q(holds_rotation=False),
                        name="a_run_that_observes_changes_no_lists",
                    ),
                    models.CheckConstraint(
                        condition=~Q(trigger="schedule") | Q(triggered_by__isnull=True),
                        name="the_schedule_is_nobody",
                    ),
                    models.CheckConstraint(
                        condition=~Q(status="waiting") | ~Q(waits_for=""), name="a_waiting_run_says_for_what"
                    ),
                    models.CheckConstraint(condition=~Q(idempotency_key=""), name="a_run_has_a_key"),
                    models.CheckConstraint(
                        condition=Q(stopped="") | Q(status__in=["partial", "failed"]),
                        name="only_a_run_that_ended_early_was_stopped",
                    ),
                    models.CheckConstraint(
                        condition=Q(worked__gte=0, worked_on_step__gte=0),
                        name="a_run_works_for_some_time_or_none",
                    ),
                    models.UniqueConstraint(
                        condition=Q(holds_rotation=True),
                        fields=("holds_rotation",),
                        name="one_run_changes_lists_at_a_time",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Hold",
            fields=[
                ID,
                ("kind", models.CharField(choices=choices(HOLD_KINDS), max_length=10)),
                ("host", models.TextField(blank=True, help_text="the domain or mail host, lower case")),
                (
                    "contact",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=models.PROTECT,
                        related_name="holds",
                        to="listmanagement.contact",
                    ),
                ),
                ("why", models.TextField()),
                ("since", models.DateTimeField()),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=models.PROTECT, related_name="holds", to="listmanagement.listmaintenancelog"
                    ),
                ),
                (
                    "part_of",
                    models.ForeignKey(
                        blank=True,
                        help_text="the hold of the mail host that its domain is behind: it ends with it, or before",
                        null=True,
                        on_delete=models.PROTECT,
                        related_name="parts",
                        to="listmanagement.hold",
                    ),
                ),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("ended_how", models.CharField(blank=True, choices=choices(HOLD_ENDS), max_length=24)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=Q(ended_how__in=["", *HOLD_ENDS]), name="a_hold_ended_in_a_known_way"
                    ),
                    models.CheckConstraint(condition=Q(kind__in=HOLD_KINDS), name="a_hold_has_a_known_kind"),
                    models.CheckConstraint(
                        condition=Q(contact__isnull=False, host="", kind="contact")
                        | (~Q(kind="contact") & Q(contact__isnull=True) & ~Q(host="")),
                        name="a_hold_names_what_it_holds",
                    ),
                    models.UniqueConstraint(
                        condition=Q(ended_at=None) & ~Q(kind="contact"),
                        fields=("kind", "host"),
                        name="one_standing_hold_per_host",
                    ),
                    models.UniqueConstraint(
                        condition=Q(ended_at=None, kind="contact"),
                        fields=("contact",),
                        name="one_standing_hold_per_contact",
                    ),
                    models.CheckConstraint(
                        condition=Q(ended_at__isnull=True, ended_how="")
                        | Q(ended_at__gte=models.F("since"), ended_at__isnull=False, ended_how__gt=""),
                        name="an_ended_hold_says_how",
                    ),
                    models.CheckConstraint(condition=Q(host=Lower("host")), name="a_held_host_is_lower_case"),
                    models.CheckConstraint(
                        condition=Q(part_of__isnull=True) | Q(kind="domain"),
                        name="only_a_domain_is_held_with_its_mail_host",
                    ),
                    models.CheckConstraint(condition=~Q(why=""), name="a_hold_says_why"),
                ]
            },
        ),
        migrations.CreateModel(
            name="AgentCall",
            fields=[
                ID,
                (
                    "run",
                    models.ForeignKey(
                        on_delete=models.PROTECT,
                        related_name="agent_calls",
                        to="listmanagement.listmaintenancelog",
                    ),
                ),
                ("agent", models.CharField(choices=choices(AGENTS), max_length=16)),
                ("source", models.CharField(choices=choices(SOURCES), max_length=8)),
                ("model", models.TextField(blank=True)),
                ("prompt_version", models.TextField(blank=True)),
                ("temperature", models.FloatField(blank=True, null=True)),
                ("tokens_in", models.PositiveIntegerField(blank=True, null=True)),
                ("tokens_out", models.PositiveIntegerField(blank=True, null=True)),
                ("tokens_thought", models.PositiveIntegerField(blank=True, null=True)),
                ("latency_ms", models.PositiveIntegerField(blank=True, null=True)),
                ("valid", models.BooleanField(help_text="the first answer was usable")),
                ("refused", models.JSONField(blank=True, default=list, help_text="why answers were refused")),
                ("raw_confidence", models.FloatField()),
                ("confidence", models.FloatField(help_text="calibrated")),
                ("asked", models.JSONField()),
                ("answer", models.JSONField()),
                (
                    "stated",
                    models.JSONField(
                        blank=True, help_text="what the model itself said, before policy and caps", null=True
                    ),
                ),
                (
                    "question",
                    models.TextField(
                        blank=True,
                        db_default="",
                        default="",
                        help_text="what identical questions share, as a hash",
                    ),
                ),
                ("at", models.DateTimeField()),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=~Q(question=""), fields=["question", "-at"], name="answers_by_question"
                    )
                ],
                "constraints": [
                    models.CheckConstraint(condition=Q(agent__in=AGENTS), name="an_agent_is_one_of_four"),
                    models.CheckConstraint(
                        condition=Q(source__in=SOURCES), name="an_answer_has_a_known_source"
                    ),
                    models.CheckConstraint(
                        condition=Q(
                            confidence__gte=0, confidence__lte=1, raw_confidence__gte=0, raw_confidence__lte=1
                        ),
                        name="a_confidence_is_a_share",
                    ),
                    models.CheckConstraint(
                        condition=Q(model="", source="rules") | (~Q(source="rules") & ~Q(model="")),
                        name="rules_never_pose_as_a_model",
                    ),
                    models.CheckConstraint(
                        condition=~Q(source="rules") | Q(question="", stated__isnull=True),
                        name="only_a_model_states_what_may_be_reused",
                    ),
                    models.UniqueConstraint(fields=("run", "agent"), name="one_answer_per_agent_and_run"),
                ],
            },
        ),
        migrations.CreateModel(
            name="AgentVerdict",
            fields=[
                ID,
                (
                    "call",
                    models.ForeignKey(
                        on_delete=models.PROTECT, related_name="verdicts", to="listmanagement.agentcall"
                    ),
                ),
                (
                    "subject",
                    models.TextField(help_text="a cohort's key, a list's place in the rotation, or the plan"),
                ),
                (
                    "region",
                    models.CharField(
                        blank=True,
                        choices=choices(REGIONS),
                        help_text="what the policy leaves of a cohort",
                        max_length=8,
                    ),
                ),
                (
                    "bounce_class",
                    models.CharField(blank=True, choices=choices(BOUNCE_CLASSES), max_length=24),
                ),
                ("contacts", models.PositiveIntegerField(blank=True, help_text="in the cohort", null=True)),
                ("verdict", models.TextField(help_text="what stands")),
                ("confidence", models.FloatField(help_text="of what stands")),
                (
                    "stated",
                    models.TextField(blank=True, help_text="the model's verdict; empty where rules judged"),
                ),
                (
                    "raw_confidence",
                    models.FloatField(help_text="as it was stated, by the model or else by the rules"),
                ),
                (
                    "calibrated",
                    models.BooleanField(
                        default=False,
                        help_text="the model's confidence was held against what people had decided before",
                    ),
                ),
                (
                    "rationale",
                    models.TextField(blank=True, help_text="the model's; empty where rules judged"),
                ),
                ("rules_verdict", models.TextField()),
                ("rules_confidence", models.FloatField()),
                ("rules_rationale", models.TextField()),
            ],
            options={
                "verbose_name": "verdict",
                "verbose_name_plural": "judgement record",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("call", "subject"), name="one_verdict_per_subject_and_call"
                    ),
                    models.CheckConstraint(
                        condition=Q(region__in=["", *REGIONS]), name="a_verdict_is_in_a_known_region"
                    ),
                    models.CheckConstraint(
                        condition=Q(bounce_class__in=["", *BOUNCE_CLASSES]),
                        name="a_verdict_is_about_a_known_class",
                    ),
                    models.CheckConstraint(
                        condition=~Q(subject="") & ~Q(verdict="") & ~Q(rules_verdict=""),
                        name="a_verdict_says_what",
                    ),
                    models.CheckConstraint(
                        condition=Q(confidence__gte=0, confidence__lte=1),
                        name="a_verdicts_confidence_is_a_share",
                    ),
                    models.CheckConstraint(
                        condition=Q(raw_confidence__gte=0, raw_confidence__lte=1),
                        name="a_stated_confidence_is_a_share",
                    ),
                    models.CheckConstraint(
                        condition=Q(rules_confidence__gte=0, rules_confidence__lte=1),
                        name="the_rules_confidence_is_a_share",
                    ),
                    models.CheckConstraint(
                        condition=~Q(stated="") | Q(calibrated=False, rationale=""),
                        name="only_a_models_verdict_is_calibrated",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ListHealthCheck",
            fields=[
                ID,
                (
                    "run",
                    models.OneToOneField(
                        on_delete=models.PROTECT,
                        related_name="health",
                        to="listmanagement.listmaintenancelog",
                    ),
                ),
                (
                    "call",
                    models.OneToOneField(
                        on_delete=models.PROTECT, related_name="health", to="listmanagement.agentcall"
                    ),
                ),
                ("at", models.DateTimeField()),
                ("deviation", models.FloatField(help_text="largest distance from the mean size, percent")),
                (
                    "registered",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="on the master list; this and what follows only in a weekly check",
                        null=True,
                    ),
                ),
                ("suppressed", models.PositiveIntegerField(blank=True, null=True)),
                ("held", models.PositiveIntegerField(blank=True, null=True)),
                ("backlog", models.PositiveIntegerField(blank=True, null=True)),
            ],
            options={
                "indexes": [models.Index(fields=["-at"], name="health_newest_first")],
                "constraints": [
                    models.CheckConstraint(
                        condition=Q(deviation__gte=0, deviation__lte=10000),
                        name="a_deviation_is_a_percentage",
                    ),
                    models.CheckConstraint(
                        condition=Q(backlog=None, held=None, registered=None, suppressed=None)
                        | Q(
                            backlog__isnull=False,
                            held__isnull=False,
                            registered__isnull=False,
                            suppressed__isnull=False,
                        ),
                        name="a_weekly_check_counts_everything",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ListHealth",
            fields=[
                ID,
                (
                    "check_of",
                    models.ForeignKey(
                        on_delete=models.PROTECT, related_name="lists", to="listmanagement.listhealthcheck"
                    ),
                ),
                (
                    "list",
                    models.ForeignKey(
                        on_delete=models.PROTECT, related_name="health", to="listmanagement.contactlist"
                    ),
                ),
                ("size", models.PositiveIntegerField()),
                ("delivered", models.PositiveIntegerField()),
                ("bounced", models.PositiveIntegerField()),
                ("not_attempted", models.PositiveIntegerField()),
                ("grade", models.CharField(max_length=8)),
                ("cause", models.CharField(max_length=20)),
                ("rationale", models.TextField()),
                (
                    "verdict",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=models.PROTECT,
                        related_name="health",
                        to="listmanagement.agentverdict",
                    ),
                ),
                (
                    "is_right",
                    models.BooleanField(blank=True, help_text="what a reviewer said of it", null=True),
                ),
                ("marked_at", models.DateTimeField(blank=True, null=True)),
                (
                    "marked_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=models.PROTECT,
                        related_name="marks",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("marked_why", models.TextField(blank=True, db_default="", default="")),
                (
                    "members",
                    models.PositiveIntegerField(
                        blank=True, help_text="on the list, mailable or not", null=True
                    ),
                ),
                (
                    "blocked",
                    models.PositiveIntegerField(
                        blank=True, help_text="of its size, whom Mailjet itself refuses to try", null=True
                    ),
                ),
                (
                    "suppressed",
                    models.PositiveIntegerField(
                        blank=True, help_text="who stand suppressed and were on this list before", null=True
                    ),
                ),
                (
                    "joined",
                    models.PositiveIntegerField(
                        blank=True, help_text="who joined it in the week before", null=True
                    ),
                ),
                (
                    "left",
                    models.PositiveIntegerField(
                        blank=True, help_text="who left it in the week before", null=True
                    ),
                ),
                (
                    "recent_delivered",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="messages delivered in the last four weeks' campaigns",
                        null=True,
                    ),
                ),
                (
                    "recent_bounced",
                    models.PositiveIntegerField(
                        blank=True, help_text="bounced in them, hard and soft", null=True
                    ),
                ),
                (
                    "recent_hard",
                    models.PositiveIntegerField(blank=True, help_text="bounced hard in them", null=True),
                ),
                (
                    "recent_not_attempted",
                    models.PositiveIntegerField(blank=True, help_text="not attempted in them", null=True),
                ),
                (
                    "recent_complained",
                    models.PositiveIntegerField(
                        blank=True, help_text="contacts who complained of them", null=True
                    ),
                ),
                (
                    "recent_opted_out",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="contacts who opted out in this time, after a message to this list",
                        null=True,
                    ),
                ),
            ],
            options={
                "verbose_name": "list health",
                "verbose_name_plural": "list health",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("check_of", "list"), name="one_health_row_per_list_and_check"
                    ),
                    models.CheckConstraint(
                        condition=Q(grade__in=["good", "watch", "poor", "critical"]),
                        name="a_grade_is_one_of_four",
                    ),
                    models.CheckConstraint(
                        condition=Q(
                            cause__in=["none", "decay", "outage", "sender_side", "provider_incident"]
                        ),
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
                    models.CheckConstraint(
                        condition=Q(
                            blocked=None,
                            joined=None,
                            left=None,
                            members=None,
                            recent_bounced=None,
                            recent_complained=None,
                            recent_delivered=None,
                            recent_hard=None,
                            recent_not_attempted=None,
                            recent_opted_out=None,
                            suppressed=None,
                        )
                        | Q(
                            blocked__isnull=False,
                            joined__isnull=False,
                            left__isnull=False,
                            members__isnull=False,
                            recent_bounced__isnull=False,
                            recent_complained__isnull=False,
                            recent_delivered__isnull=False,
                            recent_hard__isnull=False,
                            recent_not_attempted__isnull=False,
                            recent_opted_out__isnull=False,
                            suppressed__isnull=False,
                        ),
                        name="a_lists_weekly_figures_come_together",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="RolloutState",
            fields=[
                ("id", models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("observing_since", models.DateTimeField(blank=True, null=True)),
                ("manual_since", models.DateTimeField(blank=True, null=True)),
                ("paused_at", models.DateTimeField(blank=True, null=True)),
                (
                    "changed_by",
                    models.ForeignKey(
                        blank=True, null=True, on_delete=models.PROTECT, to=settings.AUTH_USER_MODEL
                    ),
                ),
                ("why", models.TextField(blank=True)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=Q(id=1), name="one_rollout_state"),
                    models.CheckConstraint(
                        condition=Q(manual_since__isnull=True, paused_at__isnull=True)
                        | (Q(changed_by__isnull=False) & ~Q(why="")),
                        name="a_pause_or_manual_mode_names_who_and_why",
                    ),
                ]
            },
        ),
        migrations.CreateModel(
            name="Decision",
            fields=[
                ID,
                (
                    "run",
                    models.ForeignKey(
                        on_delete=models.PROTECT,
                        related_name="decisions",
                        to="listmanagement.listmaintenancelog",
                    ),
                ),
                ("kind", models.CharField(choices=choices(DECISION_KINDS), max_length=16)),
                ("status", models.CharField(choices=choices(DECISION_STATUSES), max_length=10)),
                ("title", models.TextField(help_text="what is proposed, in one sentence")),
                ("rationale", models.TextField(blank=True)),
                ("source", models.CharField(help_text="model, rules or reused", max_length=8)),
                ("confidence", models.FloatField()),
                (
                    "reasons",
                    models.JSONField(default=list, help_text="every reason why it was not executed alone"),
                ),
                (
                    "default_choice",
                    models.BooleanField(
                        default=True,
                        help_text="false: too unsure to be preselected; the reviewer decides afresh",
                    ),
                ),
                ("what_if", models.JSONField(default=dict, help_text="sizes before and after, deviation")),
                ("created_at", models.DateTimeField()),
                ("deadline", models.DateTimeField(blank=True, null=True)),
                ("reviewed_at", models.DateTimeField(blank=True, null=True)),
                (
                    "reviewed_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=models.PROTECT,
                        related_name="decisions",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("note", models.TextField(blank=True)),
            ],
            options={
                "permissions": [("review_decision", "Can approve and reject decisions")],
                "indexes": [
                    models.Index(condition=Q(status="open"), fields=["deadline"], name="decision_queue"),
                    models.Index(fields=["-created_at"], name="decision_newest_first"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=Q(kind__in=DECISION_KINDS), name="a_decision_has_a_known_kind"
                    ),
                    models.CheckConstraint(
                        condition=Q(status__in=DECISION_STATUSES), name="a_decision_has_a_known_status"
                    ),
                    models.CheckConstraint(
                        condition=Q(source__in=SOURCES), name="a_decision_names_its_source"
                    ),
                    models.CheckConstraint(
                        condition=Q(confidence__gte=0, confidence__lte=1),
                        name="a_decisions_confidence_is_a_share",
                    ),
                    models.CheckConstraint(
                        condition=Q(
                            reviewed_at__isnull=False,
                            reviewed_by__isnull=False,
                            status__in=("approved", "rejected"),
                        )
                        | (
                            ~Q(status__in=("approved", "rejected"))
                            & Q(reviewed_at__isnull=True, reviewed_by__isnull=True)
                        ),
                        name="a_review_names_who_and_when",
                    ),
                    models.CheckConstraint(
                        condition=~Q(status="rejected") | ~Q(note=""), name="a_rejection_says_why"
                    ),
                    models.CheckConstraint(
                        condition=~Q(status__in=("open", "approved", "rejected", "expired"))
                        | Q(deadline__isnull=False),
                        name="what_stands_or_stood_in_the_queue_has_a_deadline",
                    ),
                    models.CheckConstraint(
                        condition=~Q(status="open") | ~Q(reasons=[]),
                        name="an_open_decision_says_why_it_waits",
                    ),
                    models.CheckConstraint(condition=~Q(title=""), name="a_decision_says_what"),
                    models.UniqueConstraint(
                        condition=~Q(status="clear"),
                        fields=("run", "kind"),
                        name="one_decision_of_a_kind_per_run",
                    ),
                    models.UniqueConstraint(
                        condition=Q(status="clear"),
                        fields=("run", "kind"),
                        name="one_clear_decision_of_a_kind_per_run",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="DecisionGroup",
            fields=[
                ID,
                (
                    "decision",
                    models.ForeignKey(
                        on_delete=models.PROTECT, related_name="groups", to="listmanagement.decision"
                    ),
                ),
                ("position", models.PositiveSmallIntegerField()),
                ("key", models.TextField()),
                ("action", models.CharField(choices=choices(ACTIONS), max_length=12)),
                ("title", models.TextField(help_text="what, how many, why: one line a reviewer reads")),
                ("why", models.TextField(blank=True)),
                ("region", models.CharField(blank=True, choices=choices(REGIONS), max_length=8)),
                (
                    "bounce_class",
                    models.CharField(blank=True, choices=choices(BOUNCE_CLASSES), max_length=24),
                ),
                ("strikes", models.CharField(blank=True, max_length=5)),
                ("history", models.CharField(blank=True, choices=choices(HISTORIES), max_length=20)),
                ("domain", models.TextField(blank=True)),
                ("contacts", models.PositiveIntegerField()),
                ("share", models.FloatField(help_text="of its list's size, 0 to 1")),
                ("confidence", models.FloatField()),
                ("rationale", models.TextField(blank=True)),
                (
                    "policy_review",
                    models.BooleanField(default=False, help_text="the policy itself wants a person to look"),
                ),
                (
                    "disagreement",
                    models.BooleanField(default=False, help_text="model and rules judge it differently"),
                ),
                (
                    "contradiction",
                    models.BooleanField(default=False, help_text="list health sees another cause"),
                ),
                (
                    "reasons",
                    models.JSONField(default=list, help_text="every reason why it is not executed alone"),
                ),
                (
                    "call",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=models.PROTECT,
                        related_name="groups",
                        to="listmanagement.agentcall",
                    ),
                ),
                (
                    "sampled_share",
                    models.FloatField(
                        blank=True,
                        help_text="drawn at random for a review, at this rate, from what nothing spoke against",
                        null=True,
                    ),
                ),
            ],
            options={
                "ordering": ["position"],
                "constraints": [
                    models.CheckConstraint(
                        condition=Q(action__in=ACTIONS), name="a_group_has_a_known_action"
                    ),
                    models.CheckConstraint(
                        condition=Q(region__in=["", *REGIONS]), name="a_group_is_in_a_known_region"
                    ),
                    models.CheckConstraint(
                        condition=Q(bounce_class__in=["", *BOUNCE_CLASSES]),
                        name="a_group_failed_in_a_known_way",
                    ),
                    models.CheckConstraint(
                        condition=Q(history__in=["", *HISTORIES]), name="a_group_has_a_known_history"
                    ),
                    models.CheckConstraint(
                        condition=Q(strikes__in=["", "0", "1", "2", "3+", "mixed"]),
                        name="a_group_has_known_strikes",
                    ),
                    models.UniqueConstraint(fields=("decision", "key"), name="one_group_per_key"),
                    models.UniqueConstraint(fields=("decision", "position"), name="one_group_per_position"),
                    models.CheckConstraint(
                        condition=~Q(action="suppress") | Q(region__in=["must", "may", "consent"]),
                        name="only_what_the_policy_allows_is_suppressed",
                    ),
                    models.CheckConstraint(
                        condition=Q(share__gte=0, share__lte=1), name="a_groups_share_is_a_share"
                    ),
                    models.CheckConstraint(
                        condition=Q(confidence__gte=0, confidence__lte=1),
                        name="a_groups_confidence_is_a_share",
                    ),
                    models.CheckConstraint(
                        condition=Q(sampled_share=None) | Q(sampled_share__gt=0, sampled_share__lte=1),
                        name="a_sample_says_how_likely_it_was",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="DecisionItem",
            fields=[
                ID,
                (
                    "decision",
                    models.ForeignKey(
                        on_delete=models.PROTECT, related_name="items", to="listmanagement.decision"
                    ),
                ),
                (
                    "group",
                    models.ForeignKey(
                        on_delete=models.PROTECT, related_name="items", to="listmanagement.decisiongroup"
                    ),
                ),
                (
                    "contact",
                    models.ForeignKey(
                        on_delete=models.PROTECT, related_name="items", to="listmanagement.contact"
                    ),
                ),
                ("action", models.CharField(choices=choices(ACTIONS), max_length=12)),
                (
                    "source_list",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=models.PROTECT,
                        related_name="items_from",
                        to="listmanagement.contactlist",
                    ),
                ),
                (
                    "target_list",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=models.PROTECT,
                        related_name="items_to",
                        to="listmanagement.contactlist",
                    ),
                ),
                (
                    "evidence",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=models.PROTECT,
                        related_name="items",
                        to="listmanagement.bounce",
                    ),
                ),
                (
                    "verdict",
                    models.ForeignKey(
                        blank=True,
                        help_text="what was judged of its cohort",
                        null=True,
                        on_delete=models.PROTECT,
                        related_name="items",
                        to="listmanagement.agentverdict",
                    ),
                ),
                (
                    "undoes",
                    models.ForeignKey(
                        blank=True,
                        help_text="of an undo: the item whose change it takes back",
                        null=True,
                        on_delete=models.PROTECT,
                        related_name="undone_by",
                        to="listmanagement.decisionitem",
                    ),
                ),
                ("position", models.PositiveIntegerField(help_text="order inside the decision, from 1")),
                (
                    "status",
                    models.CharField(choices=choices(ITEM_STATUSES), default="proposed", max_length=10),
                ),
                ("why", models.TextField(blank=True, help_text="why it was taken out, dropped or failed")),
            ],
            options={
                "ordering": ["position"],
                "indexes": [models.Index(fields=["group", "status"], name="item_by_group")],
                "constraints": [
                    models.CheckConstraint(
                        condition=Q(action__in=ACTIONS), name="an_item_has_a_known_action"
                    ),
                    models.CheckConstraint(
                        condition=Q(status__in=ITEM_STATUSES), name="an_item_has_a_known_status"
                    ),
                    models.UniqueConstraint(
                        fields=("decision", "contact"), name="one_item_per_contact_and_decision"
                    ),
                    models.UniqueConstraint(fields=("decision", "position"), name="one_item_per_position"),
                    models.CheckConstraint(
                        condition=~Q(action="suppress") | Q(evidence__isnull=False),
                        name="nobody_is_proposed_for_suppression_without_evidence",
                    ),
                    models.CheckConstraint(
                        condition=Q(
                            action__in=["place", "put_back"],
                            source_list__isnull=True,
                            target_list__isnull=False,
                        )
                        | (
                            Q(action="move", source_list__isnull=False, target_list__isnull=False)
                            & ~Q(source_list=models.F("target_list"))
                        )
                        | Q(
                            action__in=["unsubscribe", "take_off", "release"],
                            source_list__isnull=False,
                            target_list__isnull=True,
                        )
                        | Q(action__in=["suppress", "hold", "complaint"], target_list__isnull=True)
                        | Q(action="restore", source_list__isnull=True),
                        name="placements_and_moves_name_their_lists",
                    ),
                    models.CheckConstraint(
                        condition=~Q(status__in=["taken_out", "dropped", "failed"]) | ~Q(why=""),
                        name="what_is_not_executed_says_why",
                    ),
                    models.CheckConstraint(condition=Q(position__gte=1), name="items_count_from_1"),
                    models.CheckConstraint(
                        condition=Q(undoes__isnull=True)
                        | Q(action__in=("restore", "release", "move", "take_off")),
                        name="what_undoes_takes_something_back",
                    ),
                    models.UniqueConstraint(
                        condition=Q(status__in=["proposed", "executed"], undoes__isnull=False),
                        fields=("undoes",),
                        name="an_item_is_undone_once",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="OperationBatch",
            fields=[
                ID,
                (
                    "run",
                    models.ForeignKey(
                        on_delete=models.PROTECT,
                        related_name="batches",
                        to="listmanagement.listmaintenancelog",
                    ),
                ),
                ("position", models.PositiveIntegerField(help_text="order inside the run, from 1")),
                ("kind", models.CharField(choices=choices(OPERATION_KINDS), max_length=16)),
                (
                    "after",
                    models.ForeignKey(
                        blank=True,
                        help_text="must be settled before this one is sent",
                        null=True,
                        on_delete=models.PROTECT,
                        related_name="followers",
                        to="listmanagement.operationbatch",
                    ),
                ),
                (
                    "status",
                    models.CharField(choices=choices(BATCH_STATUSES), default="intended", max_length=10),
                ),
                ("attempt", models.PositiveSmallIntegerField(default=0)),
                ("sending_at", models.DateTimeField(blank=True, null=True)),
                ("job_id", models.BigIntegerField(blank=True, null=True)),
                ("polls", models.PositiveSmallIntegerField(default=0)),
                ("next_at", models.DateTimeField(blank=True, help_text="when to look at it next", null=True)),
                (
                    "job_ended_at",
                    models.DateTimeField(
                        blank=True,
                        help_text="Mailjet says its job has ended; the effect is still to be seen",
                        null=True,
                    ),
                ),
                ("settled_at", models.DateTimeField(blank=True, null=True)),
                ("error", models.TextField(blank=True)),
            ],
            options={
                "verbose_name": "batch",
                "verbose_name_plural": "batches",
                "indexes": [
                    models.Index(
                        condition=~Q(status__in=("applied", "failed", "undone")),
                        fields=["run", "position"],
                        name="batch_unsettled",
                    )
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=Q(kind__in=OPERATION_KINDS), name="a_batch_has_a_known_kind"
                    ),
                    models.CheckConstraint(
                        condition=Q(status__in=BATCH_STATUSES), name="a_batch_has_a_known_status"
                    ),
                    models.UniqueConstraint(fields=("run", "position"), name="one_batch_per_position"),
                    models.CheckConstraint(
                        condition=Q(status="intended") | Q(attempt__gte=1) | Q(status="failed"),
                        name="a_sent_batch_counts_its_attempts",
                    ),
                    models.CheckConstraint(
                        condition=~Q(status="submitted") | Q(job_id__isnull=False),
                        name="a_submitted_batch_knows_its_job",
                    ),
                    models.CheckConstraint(
                        condition=Q(job_ended_at__isnull=True)
                        | Q(job_id__isnull=False, status__in=["submitted", "applied", "failed", "undone"]),
                        name="only_a_job_that_was_started_ends",
                    ),
                    models.CheckConstraint(
                        condition=Q(settled_at__isnull=False, status__in=("applied", "failed", "undone"))
                        | (~Q(status__in=("applied", "failed", "undone")) & Q(settled_at__isnull=True)),
                        name="settled_batches_and_only_they_have_an_end",
                    ),
                    models.CheckConstraint(
                        condition=~Q(status="failed") | ~Q(error=""), name="a_failed_batch_says_why"
                    ),
                    models.CheckConstraint(
                        condition=~Q(status="sending") | Q(sending_at__isnull=False),
                        name="a_batch_in_sending_says_since_when",
                    ),
                    models.UniqueConstraint(fields=("job_id",), name="one_batch_per_job"),
                    models.CheckConstraint(
                        condition=Q(after__isnull=True) | ~Q(after=models.F("id")),
                        name="no_batch_waits_for_itself",
                    ),
                    models.CheckConstraint(condition=Q(position__gte=1), name="batches_count_from_1"),
                ],
            },
        ),
        migrations.CreateModel(
            name="BatchChange",
            fields=[
                ID,
                (
                    "batch",
                    models.ForeignKey(
                        on_delete=models.PROTECT, related_name="changes", to="listmanagement.operationbatch"
                    ),
                ),
                (
                    "list",
                    models.ForeignKey(
                        on_delete=models.PROTECT, related_name="changes", to="listmanagement.contactlist"
                    ),
                ),
                ("action", models.CharField(choices=choices(CHANGE_ACTIONS), max_length=10)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=Q(action__in=CHANGE_ACTIONS), name="no_change_can_resubscribe"
                    ),
                    models.UniqueConstraint(fields=("batch", "list"), name="one_change_per_list_and_batch"),
                ]
            },
        ),
        migrations.CreateModel(
            name="ListOperation",
            fields=[
                ID,
                (
                    "batch",
                    models.ForeignKey(
                        on_delete=models.PROTECT,
                        related_name="operations",
                        to="listmanagement.operationbatch",
                    ),
                ),
                ("kind", models.CharField(choices=choices(OPERATION_KINDS), max_length=16)),
                (
                    "contact",
                    models.ForeignKey(
                        on_delete=models.PROTECT, related_name="operations", to="listmanagement.contact"
                    ),
                ),
                (
                    "item",
                    models.ForeignKey(
                        on_delete=models.PROTECT, related_name="operations", to="listmanagement.decisionitem"
                    ),
                ),
                (
                    "position",
                    models.PositiveIntegerField(help_text="order inside the batch: the order of new ranks"),
                ),
                (
                    "status",
                    models.CharField(choices=choices(OPERATION_STATUSES), default="intended", max_length=10),
                ),
                ("why", models.TextField(blank=True, help_text="why it was dropped or failed")),
                ("applied_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "verbose_name": "operation",
                "constraints": [
                    models.CheckConstraint(
                        condition=Q(kind__in=OPERATION_KINDS), name="an_operation_has_a_known_kind"
                    ),
                    models.CheckConstraint(
                        condition=Q(status__in=OPERATION_STATUSES), name="an_operation_has_a_known_status"
                    ),
                    models.UniqueConstraint(fields=("item", "kind"), name="one_operation_of_a_kind_per_item"),
                    models.UniqueConstraint(
                        fields=("batch", "contact"), name="one_operation_per_contact_and_batch"
                    ),
                    models.CheckConstraint(
                        condition=Q(applied_at__isnull=True, status="intended")
                        | (Q(applied_at__isnull=True, status__in=["dropped", "failed"]) & ~Q(why=""))
                        | Q(applied_at__isnull=False, status__in=["applied", "undone"]),
                        name="an_operation_says_when_it_applied_or_why_not",
                    ),
                    models.CheckConstraint(condition=Q(position__gte=1), name="operations_count_from_1"),
                ],
            },
        ),
        migrations.CreateModel(
            name="ContactListMembership",
            fields=[
                ID,
                (
                    "contact",
                    models.ForeignKey(
                        on_delete=models.PROTECT, related_name="memberships", to="listmanagement.contact"
                    ),
                ),
                (
                    "list",
                    models.ForeignKey(
                        on_delete=models.PROTECT, related_name="memberships", to="listmanagement.contactlist"
                    ),
                ),
                ("since", models.DateTimeField()),
                ("until", models.DateTimeField(blank=True, null=True)),
                (
                    "began_by",
                    models.CharField(choices=choices(CHANGES), default="first_sight", max_length=16),
                ),
                ("ended_by", models.CharField(blank=True, choices=choices(CHANGES), max_length=16)),
                (
                    "began_with",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=models.PROTECT,
                        related_name="begun",
                        to="listmanagement.listoperation",
                    ),
                ),
                (
                    "ended_with",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=models.PROTECT,
                        related_name="ended",
                        to="listmanagement.listoperation",
                    ),
                ),
                ("unsubscribed", models.BooleanField(default=False)),
                (
                    "rank",
                    models.BigIntegerField(help_text="order in this list; who has the highest came last"),
                ),
                (
                    "missing_since",
                    models.DateTimeField(blank=True, help_text="not seen by the last reading", null=True),
                ),
            ],
            options={
                "verbose_name": "membership",
                "constraints": [
                    models.UniqueConstraint(
                        condition=Q(until=None),
                        fields=("contact", "list"),
                        name="one_current_membership_per_list",
                    ),
                    models.UniqueConstraint(
                        condition=Q(until=None), fields=("list", "rank"), name="one_current_member_per_rank"
                    ),
                    models.CheckConstraint(
                        condition=Q(began_by__in=CHANGES), name="a_membership_began_in_a_known_way"
                    ),
                    models.CheckConstraint(
                        condition=Q(ended_by="", until__isnull=True)
                        | Q(ended_by__in=["operation", "person"], until__isnull=False),
                        name="an_ended_membership_says_how",
                    ),
                    models.CheckConstraint(
                        condition=Q(until__isnull=True) | Q(until__gte=models.F("since")),
                        name="a_membership_ends_after_it_began",
                    ),
                    models.CheckConstraint(
                        condition=(Q(began_with__isnull=True) & ~Q(began_by="operation"))
                        | Q(began_by="operation", began_with__isnull=False),
                        name="what_an_operation_began_names_it",
                    ),
                    models.CheckConstraint(
                        condition=(Q(ended_with__isnull=True) & ~Q(ended_by="operation"))
                        | Q(ended_by="operation", ended_with__isnull=False),
                        name="what_an_operation_ended_names_it",
                    ),
                ],
            },
        ),
        migrations.AddField(
            model_name="decisionitem",
            name="membership",
            field=models.ForeignKey(
                blank=True,
                help_text="of a reconciliation: the membership that people began or ended at Mailjet",
                null=True,
                on_delete=models.PROTECT,
                related_name="items",
                to="listmanagement.contactlistmembership",
            ),
        ),
        migrations.CreateModel(
            name="ContactSuppressionHistory",
            fields=[
                ID,
                (
                    "contact",
                    models.ForeignKey(
                        on_delete=models.PROTECT, related_name="suppressions", to="listmanagement.contact"
                    ),
                ),
                ("kind", models.CharField(choices=choices(SUPPRESSION_KINDS), max_length=8)),
                ("at", models.DateTimeField()),
                ("reason", models.TextField()),
                (
                    "evidence",
                    models.ForeignKey(
                        blank=True, null=True, on_delete=models.PROTECT, to="listmanagement.bounce"
                    ),
                ),
                (
                    "item",
                    models.OneToOneField(
                        blank=True, null=True, on_delete=models.PROTECT, to="listmanagement.decisionitem"
                    ),
                ),
                (
                    "operation",
                    models.OneToOneField(
                        blank=True, null=True, on_delete=models.PROTECT, to="listmanagement.listoperation"
                    ),
                ),
                (
                    "removed_from",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=models.PROTECT,
                        related_name="removals",
                        to="listmanagement.contactlist",
                    ),
                ),
                ("lifted_at", models.DateTimeField(blank=True, null=True)),
                (
                    "lifted_by",
                    models.ForeignKey(
                        blank=True, null=True, on_delete=models.PROTECT, to=settings.AUTH_USER_MODEL
                    ),
                ),
                ("lifted_why", models.TextField(blank=True)),
            ],
            options={
                "verbose_name": "suppression",
                "verbose_name_plural": "suppression history",
                "indexes": [models.Index(fields=["-at"], name="suppression_newest_first")],
                "constraints": [
                    models.CheckConstraint(
                        condition=Q(kind__in=SUPPRESSION_KINDS), name="a_suppression_has_a_known_kind"
                    ),
                    models.CheckConstraint(
                        condition=Q(evidence=None, item=None, kind="imported", operation=None)
                        | Q(evidence__isnull=False, item__isnull=False, kind="ours", operation__isnull=False)
                        | Q(item__isnull=False, kind="consent", operation__isnull=False),
                        name="our_suppressions_name_evidence_and_decision",
                    ),
                    models.UniqueConstraint(
                        condition=Q(lifted_at=None),
                        fields=("contact",),
                        name="one_standing_suppression_per_contact",
                    ),
                    models.CheckConstraint(
                        condition=Q(lifted_at=None, lifted_by=None, lifted_why="")
                        | (
                            Q(lifted_at__gte=models.F("at"), lifted_at__isnull=False, lifted_by__isnull=False)
                            & ~Q(lifted_why="")
                        ),
                        name="a_lift_names_who_when_and_why",
                    ),
                    models.CheckConstraint(condition=~Q(reason=""), name="a_suppression_says_why"),
                ],
            },
        ),
        migrations.CreateModel(
            name="MailjetRequest",
            fields=[
                ID,
                ("at", models.DateTimeField(db_default=Now())),
                ("background", models.BooleanField(default=False)),
            ],
            options={"indexes": [models.Index(fields=["at"], name="request_by_time")]},
        ),
        migrations.CreateModel(
            name="CampaignValidation",
            fields=[
                ID,
                (
                    "campaign",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=models.PROTECT,
                        related_name="validations",
                        to="listmanagement.campaignschedule",
                    ),
                ),
                ("instant", models.CharField(choices=choices(INSTANTS), max_length=24)),
                ("sends_at", models.DateTimeField(help_text="when it was to be sent, as this look saw it")),
                ("at", models.DateTimeField()),
                ("verdict", models.CharField(choices=choices(LOOK_VERDICTS), max_length=8)),
                ("size", models.PositiveIntegerField(help_text="mailable members of its list")),
                (
                    "asked_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=models.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "look before a send",
                "verbose_name_plural": "looks before sends",
                "indexes": [models.Index(fields=["campaign", "-at"], name="validation_newest_first")],
                "constraints": [
                    models.CheckConstraint(
                        condition=Q(instant__in=INSTANTS), name="a_send_is_looked_at_at_a_known_instant"
                    ),
                    models.CheckConstraint(
                        condition=Q(verdict__in=LOOK_VERDICTS), name="a_look_has_a_known_verdict"
                    ),
                    models.UniqueConstraint(
                        condition=Q(instant__in=["day_before", "two_hours_before", "half_an_hour_before"]),
                        fields=("campaign", "sends_at", "instant"),
                        name="one_look_per_instant_and_send",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ValidationFinding",
            fields=[
                ID,
                (
                    "validation",
                    models.ForeignKey(
                        on_delete=models.PROTECT,
                        related_name="findings",
                        to="listmanagement.campaignvalidation",
                    ),
                ),
                ("position", models.PositiveSmallIntegerField()),
                ("kind", models.CharField(choices=choices(FINDING_KINDS), max_length=16)),
                ("severity", models.CharField(choices=choices(SEVERITIES), max_length=8)),
                ("words", models.TextField()),
                ("what_to_do", models.TextField()),
                (
                    "number",
                    models.PositiveIntegerField(default=0, help_text="how many it is about, where it counts"),
                ),
                (
                    "contacts",
                    models.JSONField(blank=True, default=list, help_text="ids of the first of them, to show"),
                ),
                (
                    "cleared",
                    models.BooleanField(default=False, help_text="a person knew of it and said to send"),
                ),
            ],
            options={
                "verbose_name": "finding",
                "ordering": ["position"],
                "constraints": [
                    models.CheckConstraint(
                        condition=Q(kind__in=FINDING_KINDS), name="a_finding_is_of_a_known_kind"
                    ),
                    models.CheckConstraint(
                        condition=Q(severity__in=SEVERITIES), name="a_finding_has_a_known_severity"
                    ),
                    models.UniqueConstraint(
                        fields=("validation", "position"), name="one_finding_per_position"
                    ),
                    models.CheckConstraint(
                        condition=~Q(words="") & ~Q(what_to_do=""),
                        name="a_finding_says_what_is_and_what_to_do",
                    ),
                    models.CheckConstraint(
                        condition=Q(cleared=False) | Q(severity="blocking"),
                        name="only_what_blocks_is_cleared",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="CampaignClearance",
            fields=[
                ID,
                (
                    "validation",
                    models.OneToOneField(
                        help_text="whose findings were known",
                        on_delete=models.PROTECT,
                        related_name="clearance",
                        to="listmanagement.campaignvalidation",
                    ),
                ),
                (
                    "campaign",
                    models.ForeignKey(
                        on_delete=models.PROTECT,
                        related_name="clearances",
                        to="listmanagement.campaignschedule",
                    ),
                ),
                ("at", models.DateTimeField()),
                (
                    "by",
                    models.ForeignKey(
                        on_delete=models.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                ("why", models.TextField()),
            ],
            options={
                "verbose_name": "clearance",
                "constraints": [models.CheckConstraint(condition=~Q(why=""), name="a_clearance_says_why")],
            },
        ),
        migrations.CreateModel(
            name="HeldChoice",
            fields=[
                ID,
                (
                    "campaign",
                    models.OneToOneField(
                        on_delete=models.PROTECT,
                        related_name="held_choice",
                        to="listmanagement.campaignschedule",
                    ),
                ),
                ("treatment", models.CharField(choices=choices(TREATMENTS), max_length=4)),
                ("at", models.DateTimeField()),
                (
                    "by",
                    models.ForeignKey(
                        on_delete=models.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "run",
                    models.OneToOneField(
                        blank=True,
                        help_text="the run that carries it out; then it is not changed any more",
                        null=True,
                        on_delete=models.PROTECT,
                        related_name="held_choice",
                        to="listmanagement.listmaintenancelog",
                    ),
                ),
            ],
            options={
                "verbose_name": "choice about held domains",
                "verbose_name_plural": "choices about held domains",
                "constraints": [
                    models.CheckConstraint(
                        condition=Q(treatment__in=TREATMENTS), name="the_held_are_treated_in_a_known_way"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="DraftOperation",
            fields=[
                ID,
                (
                    "campaign",
                    models.ForeignKey(
                        on_delete=models.PROTECT,
                        related_name="draft_operations",
                        to="listmanagement.campaignschedule",
                    ),
                ),
                ("change", models.CharField(choices=choices(DRAFT_CHANGES), max_length=12)),
                ("draft_id", models.BigIntegerField(help_text="Mailjet's")),
                ("sends_at", models.DateTimeField(help_text="the time it had, or is to have again")),
                (
                    "status",
                    models.CharField(choices=choices(DRAFT_STATUSES), default="intended", max_length=10),
                ),
                ("attempt", models.PositiveSmallIntegerField(default=0)),
                ("created_at", models.DateTimeField()),
                ("sending_at", models.DateTimeField(blank=True, null=True)),
                ("settled_at", models.DateTimeField(blank=True, null=True)),
                ("error", models.TextField(blank=True)),
                (
                    "validation",
                    models.OneToOneField(
                        blank=True,
                        help_text="what was found, of an unscheduling",
                        null=True,
                        on_delete=models.PROTECT,
                        related_name="draft_operation",
                        to="listmanagement.campaignvalidation",
                    ),
                ),
                (
                    "clearance",
                    models.OneToOneField(
                        blank=True,
                        help_text="who wanted it sent, of a scheduling",
                        null=True,
                        on_delete=models.PROTECT,
                        related_name="draft_operation",
                        to="listmanagement.campaignclearance",
                    ),
                ),
            ],
            options={
                "verbose_name": "change of a draft",
                "verbose_name_plural": "changes of drafts",
                "constraints": [
                    models.CheckConstraint(
                        condition=Q(change__in=DRAFT_CHANGES), name="a_draft_changes_in_a_known_way"
                    ),
                    models.CheckConstraint(
                        condition=Q(status__in=DRAFT_STATUSES), name="a_change_of_a_draft_has_a_known_status"
                    ),
                    models.CheckConstraint(
                        condition=(~Q(change="unschedule") | Q(clearance=None, validation__isnull=False))
                        & (~Q(change="schedule") | Q(clearance__isnull=False, validation=None)),
                        name="a_change_of_a_draft_says_because_of_what",
                    ),
                    models.CheckConstraint(
                        condition=Q(settled_at__isnull=False, status__in=("applied", "failed"))
                        | (~Q(status__in=("applied", "failed")) & Q(settled_at=None)),
                        name="settled_changes_of_drafts_have_an_end",
                    ),
                    models.CheckConstraint(
                        condition=~Q(status="sending") | Q(attempt__gte=1, sending_at__isnull=False),
                        name="a_draft_in_sending_says_since_when",
                    ),
                    models.CheckConstraint(
                        condition=~Q(status="failed") | ~Q(error=""),
                        name="a_failed_change_of_a_draft_says_why",
                    ),
                    models.UniqueConstraint(
                        condition=~Q(status__in=("applied", "failed")),
                        fields=("campaign",),
                        name="one_change_of_a_draft_at_a_time",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Notification",
            fields=[
                ID,
                ("key", models.TextField(help_text="one message per key, whoever asks for it", unique=True)),
                ("kind", models.CharField(choices=choices(NOTIFICATION_KINDS), max_length=20)),
                (
                    "run",
                    models.ForeignKey(
                        blank=True,
                        help_text="empty for an alert that belongs to no run",
                        null=True,
                        on_delete=models.PROTECT,
                        related_name="notifications",
                        to="listmanagement.listmaintenancelog",
                    ),
                ),
                (
                    "decision",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=models.PROTECT,
                        related_name="notifications",
                        to="listmanagement.decision",
                    ),
                ),
                ("text", models.TextField(help_text="the whole message in plain text")),
                ("blocks", models.JSONField(help_text="Block Kit")),
                (
                    "status",
                    models.CharField(choices=choices(NOTIFICATION_STATUSES), default="pending", max_length=8),
                ),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("created_at", models.DateTimeField()),
                ("next_at", models.DateTimeField()),
                ("sent_at", models.DateTimeField(blank=True, null=True)),
                ("channel", models.TextField(blank=True)),
                ("ts", models.TextField(blank=True, help_text="Slack's name of the message; never a number")),
                ("error", models.TextField(blank=True)),
            ],
            options={
                "indexes": [
                    models.Index(condition=Q(status="pending"), fields=["next_at"], name="outbox_pending")
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=Q(kind__in=NOTIFICATION_KINDS), name="a_notification_has_a_known_kind"
                    ),
                    models.CheckConstraint(
                        condition=Q(status__in=NOTIFICATION_STATUSES),
                        name="a_notification_has_a_known_status",
                    ),
                    models.CheckConstraint(
                        condition=Q(sent_at__isnull=False, status="sent")
                        | (~Q(status="sent") & Q(sent_at__isnull=True)),
                        name="a_sent_notification_says_when",
                    ),
                    models.CheckConstraint(
                        condition=~Q(status="failed") | ~Q(error=""), name="a_failed_notification_says_why"
                    ),
                    models.CheckConstraint(
                        condition=~Q(kind="decision_needed") | Q(decision__isnull=False),
                        name="a_question_names_its_decision",
                    ),
                    models.CheckConstraint(
                        condition=Q(run__isnull=False) | Q(kind__in=["alert", "pre_campaign"]),
                        name="only_alerts_belong_to_no_run",
                    ),
                    models.CheckConstraint(condition=~Q(text=""), name="a_notification_says_something"),
                ],
            },
        ),
        migrations.CreateModel(
            name="AuditEntry",
            fields=[
                ID,
                ("at", models.DateTimeField()),
                ("actor", models.TextField(help_text="a user name, or the part of the system that acted")),
                ("action", models.TextField()),
                ("subject_kind", models.TextField()),
                ("subject_id", models.BigIntegerField()),
                ("details", models.JSONField(default=dict)),
            ],
            options={
                "verbose_name_plural": "audit entries",
                "indexes": [models.Index(fields=["subject_kind", "subject_id"], name="audit_of_a_subject")],
                "constraints": [
                    models.CheckConstraint(
                        condition=~Q(actor="") & ~Q(action="") & ~Q(subject_kind=""),
                        name="an_audit_entry_names_who_and_what",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="WebhookEvent",
            fields=[
                ID,
                ("identity", models.UUIDField(unique=True)),
                ("kind", models.CharField(choices=choices(EVENT_KINDS), max_length=10)),
                ("body", models.TextField(help_text="the event's JSON, as it came")),
                ("received_at", models.DateTimeField()),
                ("status", models.CharField(choices=choices(EVENT_STATUSES), default="new", max_length=7)),
                ("processed_at", models.DateTimeField(blank=True, null=True)),
                (
                    "problem",
                    models.TextField(blank=True, db_default="", help_text="why a person should look at it"),
                ),
                ("message_id", models.BigIntegerField(blank=True, null=True)),
                ("mailjet_campaign_id", models.BigIntegerField(blank=True, null=True)),
                ("happened_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "verbose_name": "event",
                "indexes": [
                    models.Index(condition=Q(status="new"), fields=["id"], name="event_unprocessed"),
                    models.Index(condition=Q(status="review"), fields=["id"], name="event_for_review"),
                    models.Index(
                        condition=Q(status="waiting"),
                        fields=["mailjet_campaign_id"],
                        name="event_waiting_for_its_campaign",
                    ),
                    models.Index(
                        condition=Q(processed_at__isnull=False),
                        fields=["processed_at"],
                        name="event_processed",
                    ),
                    models.Index(
                        condition=Q(kind="click", message_id__isnull=False),
                        fields=["message_id"],
                        name="event_clicks_of_a_message",
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=Q(kind__in=EVENT_KINDS), name="an_event_has_a_known_kind"
                    ),
                    models.CheckConstraint(
                        condition=Q(status__in=EVENT_STATUSES), name="an_event_has_a_known_status"
                    ),
                    models.CheckConstraint(
                        condition=Q(processed_at__isnull=False, status__in=("done", "review"))
                        | (~Q(status__in=("done", "review")) & Q(processed_at__isnull=True)),
                        name="processed_events_and_only_they_say_when",
                    ),
                    models.CheckConstraint(
                        condition=(Q(status="review") & ~Q(problem=""))
                        | (~Q(status="review") & Q(problem="")),
                        name="events_for_review_and_only_they_say_why",
                    ),
                    models.CheckConstraint(
                        condition=~Q(status="waiting") | Q(mailjet_campaign_id__isnull=False),
                        name="a_waiting_event_names_its_campaign",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="RecurringJob",
            fields=[
                (
                    "job",
                    models.CharField(choices=choices(JOBS), max_length=24, primary_key=True, serialize=False),
                ),
                ("tried_at", models.DateTimeField(help_text="when the last try began")),
                (
                    "busy_until",
                    models.DateTimeField(
                        blank=True,
                        help_text="somebody works on it; past this time it counts as dead",
                        null=True,
                    ),
                ),
                ("done_at", models.DateTimeField(blank=True, help_text="when it last succeeded", null=True)),
                ("outcome", models.TextField(blank=True, help_text="what the last success did")),
                (
                    "error",
                    models.TextField(blank=True, help_text="why the last try failed; empty after a success"),
                ),
            ],
            options={
                "verbose_name": "recurring job",
                "constraints": [
                    models.CheckConstraint(condition=Q(job__in=JOBS), name="a_recurring_job_is_known"),
                    models.CheckConstraint(
                        condition=Q(busy_until__isnull=True) | Q(busy_until__gt=models.F("tried_at")),
                        name="a_job_is_busy_after_it_began",
                    ),
                    models.CheckConstraint(
                        condition=Q(done_at__isnull=False) | Q(outcome=""),
                        name="only_what_was_done_has_an_outcome",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="DomainLookup",
            fields=[
                ID,
                ("domain", models.TextField()),
                ("at", models.DateTimeField()),
                ("route", models.CharField(choices=choices(ROUTES), max_length=12)),
                ("mail_host", models.TextField(blank=True, help_text="where its mail goes first")),
                ("why", models.TextField(blank=True, help_text="why nobody could say")),
            ],
            options={
                "verbose_name": "answer of DNS",
                "verbose_name_plural": "answers of DNS",
                "indexes": [models.Index(fields=["domain", "-at"], name="lookup_by_domain")],
                "constraints": [
                    models.CheckConstraint(condition=Q(route__in=ROUTES), name="dns_gave_a_known_answer"),
                    models.CheckConstraint(
                        condition=(Q(route__in=("hosts", "address")) & ~Q(mail_host=""))
                        | (~Q(route__in=("hosts", "address")) & Q(mail_host="")),
                        name="where_mail_is_taken_there_is_a_host",
                    ),
                    models.CheckConstraint(
                        condition=(Q(route="unknown") & ~Q(why="")) | (~Q(route="unknown") & Q(why="")),
                        name="what_dns_did_not_say_has_a_reason",
                    ),
                    models.CheckConstraint(
                        condition=~Q(domain="") & Q(domain=Lower("domain")),
                        name="a_looked_up_domain_is_lower_case",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="MailjetBreaker",
            fields=[
                (
                    "id",
                    models.PositiveSmallIntegerField(
                        default=1, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("state", models.CharField(choices=choices(BREAKER_STATES), default="closed", max_length=7)),
                (
                    "failed_at",
                    ArrayField(
                        base_field=models.DateTimeField(),
                        blank=True,
                        default=list,
                        help_text="the latest failures without an answer",
                        size=None,
                    ),
                ),
                (
                    "why",
                    models.TextField(blank=True, help_text="how the last request failed; never an address"),
                ),
                ("since", models.DateTimeField(blank=True, help_text="when Mailjet was given up", null=True)),
                ("until", models.DateTimeField(blank=True, help_text="when it is asked again", null=True)),
                ("failed_probes", models.PositiveSmallIntegerField(default=0)),
                (
                    "backed_off",
                    models.PositiveSmallIntegerField(
                        default=0, help_text="how often in a row Mailjet said: too many requests"
                    ),
                ),
                ("back_off_until", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "verbose_name": "circuit breaker",
                "constraints": [
                    models.CheckConstraint(condition=Q(id=1), name="one_breaker"),
                    models.CheckConstraint(
                        condition=Q(state__in=BREAKER_STATES), name="a_breaker_has_a_known_state"
                    ),
                    models.CheckConstraint(
                        condition=Q(failed_probes=0, since__isnull=True, state="closed", until__isnull=True)
                        | (
                            ~Q(state="closed")
                            & Q(since__isnull=False, until__isnull=False)
                            & ~Q(failed_at=[])
                        ),
                        name="an_open_breaker_says_since_when_and_until_when",
                    ),
                    models.CheckConstraint(
                        condition=Q(failed_at=[], why="") | (~Q(failed_at=[]) & ~Q(why="")),
                        name="failures_and_only_they_say_why",
                    ),
                    models.CheckConstraint(
                        condition=Q(back_off_until__isnull=True, backed_off=0)
                        | Q(back_off_until__isnull=False, backed_off__gte=1),
                        name="a_back_off_says_until_when",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="MailjetOutage",
            fields=[
                ID,
                ("began_at", models.DateTimeField(help_text="when the breaker opened")),
                (
                    "ended_at",
                    models.DateTimeField(blank=True, help_text="when Mailjet answered again", null=True),
                ),
                (
                    "why",
                    models.TextField(help_text="how the request failed that opened it; never an address"),
                ),
                (
                    "told_at",
                    models.DateTimeField(
                        blank=True, help_text="when people were told that it began", null=True
                    ),
                ),
                (
                    "closed_at",
                    models.DateTimeField(
                        blank=True, help_text="when it was over and there was nothing more to tell", null=True
                    ),
                ),
            ],
            options={
                "verbose_name": "outage of Mailjet",
                "verbose_name_plural": "Mailjet: budget and outages",
                "indexes": [
                    models.Index(condition=Q(closed_at=None), fields=["began_at"], name="outage_to_tell"),
                    models.Index(fields=["-began_at"], name="outage_newest_first"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=Q(ended_at=None),
                        fields=("ended_at",),
                        name="one_outage_at_a_time",
                        nulls_distinct=False,
                    ),
                    models.CheckConstraint(
                        condition=Q(ended_at=None) | Q(ended_at__gte=models.F("began_at")),
                        name="an_outage_ends_after_it_began",
                    ),
                    models.CheckConstraint(condition=~Q(why=""), name="an_outage_says_why"),
                    models.CheckConstraint(
                        condition=Q(closed_at=None) | Q(ended_at__isnull=False, told_at__isnull=False),
                        name="only_an_outage_that_is_over_and_told_is_closed",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="GeminiRequest",
            fields=[
                ID,
                ("at", models.DateTimeField(db_default=Now())),
                (
                    "correlation",
                    models.TextField(
                        blank=True,
                        help_text="the run's correlation id; empty where somebody asked outside of a run",
                    ),
                ),
                (
                    "tokens",
                    models.PositiveIntegerField(
                        help_text="what it cost; set aside for it until that is known"
                    ),
                ),
                ("settled", models.BooleanField(default=False, help_text="the cost is known")),
            ],
            options={
                "indexes": [
                    models.Index(fields=["at"], name="asked_by_time"),
                    models.Index(condition=~Q(correlation=""), fields=["correlation"], name="asked_by_run"),
                ]
            },
        ),
        migrations.CreateModel(
            name="GeminiBackOff",
            fields=[
                (
                    "id",
                    models.PositiveSmallIntegerField(
                        default=1, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "times",
                    models.PositiveSmallIntegerField(
                        help_text="how often in a row Gemini said: too many requests"
                    ),
                ),
                ("until", models.DateTimeField(help_text="before this nobody asks")),
                ("why", models.TextField(help_text="the reason's code: a minute's rate, or a quota")),
            ],
            options={
                "verbose_name": "Gemini's back-off",
                "constraints": [
                    models.CheckConstraint(condition=Q(id=1), name="one_back_off_from_gemini"),
                    models.CheckConstraint(
                        condition=Q(times__gte=1), name="gemini_was_refused_at_least_once"
                    ),
                    models.CheckConstraint(condition=~Q(why=""), name="a_back_off_from_gemini_says_why"),
                ],
            },
        ),
    ]
