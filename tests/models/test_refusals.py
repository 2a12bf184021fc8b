"""PostgreSQL itself refuses what must not be, whoever writes it.

`two_of_each` fills every table with valid rows; each case then sets columns of them to nonsense in
plain SQL. A constraint or a unique column without a case fails the last tests, so that a new one is
not forgotten.
"""

from dataclasses import dataclass

import pytest
from django.db import models

from listmanagement.models import (
    AgentCall,
    AgentVerdict,
    AuditEntry,
    BatchChange,
    Bounce,
    CampaignClearance,
    CampaignRecipient,
    CampaignSchedule,
    CampaignSync,
    CampaignValidation,
    Contact,
    ContactList,
    ContactListMembership,
    ContactSuppressionHistory,
    Cycle,
    Decision,
    DecisionGroup,
    DecisionItem,
    DomainLookup,
    DraftOperation,
    GeminiBackOff,
    HeldChoice,
    Hold,
    ListChange,
    ListHealth,
    ListHealthCheck,
    ListMaintenanceLog,
    ListOperation,
    MailjetBreaker,
    MailjetOutage,
    MirrorScan,
    Notification,
    OperationBatch,
    Protection,
    RecurringJob,
    RolloutState,
    ValidationFinding,
    WebhookEvent,
)
from tests.models.raw import MODELS, refused_by, rows

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("two_of_each")]

Table = type[models.Model]
FIRST_CONTACT = "(select min(id) from listmanagement_contact)"
FIRST_LIST = "(select id from listmanagement_contactlist where position = 1)"
SUPPRESSION_LIST = "(select id from listmanagement_contactlist where role = 'suppression')"
MASTER_LIST = "(select id from listmanagement_contactlist where role = 'master')"
A_USER = "(select min(id) from auth_user)"


@dataclass(frozen=True, slots=True)
class Case:
    """`update <model's table> set <columns>`, and why that must not be."""

    constraint: str
    model: Table
    columns: str
    why: str

    def __str__(self) -> str:
        return f"{self.constraint}: {self.why}"

    @property
    def sql(self) -> str:
        return f"update {self.model._meta.db_table} set {self.columns}"


REFUSED = [
    # --- Before a send -------------------------------------------------------------------------------
    Case("a_send_is_looked_at_at_a_known_instant", CampaignValidation, "instant = 'later'", "no such"),
    Case("a_look_has_a_known_verdict", CampaignValidation, "verdict = 'maybe'", "no such verdict"),
    Case(
        "one_look_per_instant_and_send",
        CampaignValidation,
        "campaign_id = (select max(id) from listmanagement_campaignschedule), "
        "list_id = (select max(id) from listmanagement_contactlist), sends_at = now()",
        "P11: two looks at one instant",
    ),
    Case("a_finding_is_of_a_known_kind", ValidationFinding, "kind = 'weather'", "no such kind"),
    Case("a_finding_has_a_known_severity", ValidationFinding, "severity = 'grave'", "no such severity"),
    Case(
        "one_finding_per_position",
        ValidationFinding,
        "validation_id = (select max(id) from listmanagement_campaignvalidation)",
        "two findings in one place",
    ),
    Case("a_finding_says_what_is_and_what_to_do", ValidationFinding, "words = ''", "says nothing"),
    Case("a_finding_says_what_is_and_what_to_do", ValidationFinding, "what_to_do = ''", "and now?"),
    Case(
        "only_what_blocks_is_cleared",
        ValidationFinding,
        "severity = 'note', cleared = true",
        "nothing to clear",
    ),
    Case("a_clearance_says_why", CampaignClearance, "why = ''", "sent for no reason"),
    Case(
        "listmanagement_campaignclearance_validation_id_key",
        CampaignClearance,
        "validation_id = (select max(id) from listmanagement_campaignvalidation)",
        "P11: cleared twice",
    ),
    Case("the_held_are_treated_in_a_known_way", HeldChoice, "treatment = 'some'", "no such treatment"),
    Case(
        "listmanagement_heldchoice_campaign_id_key",
        HeldChoice,
        "campaign_id = (select max(id) from listmanagement_campaignschedule)",
        "P11: two choices for one send",
    ),
    Case(
        "listmanagement_heldchoice_run_id_key",
        HeldChoice,
        "run_id = (select max(id) from listmanagement_listmaintenancelog)",
        "one run for two sends",
    ),
    Case("a_draft_changes_in_a_known_way", DraftOperation, "change = 'send'", "no such change"),
    Case("a_change_of_a_draft_has_a_known_status", DraftOperation, "status = 'undone'", "no such status"),
    Case(
        "a_change_of_a_draft_says_because_of_what",
        DraftOperation,
        "validation_id = null, clearance_id = null",
        "P6: for no reason",
    ),
    Case("settled_changes_of_drafts_have_an_end", DraftOperation, "settled_at = null", "settled at no time"),
    Case(
        "a_draft_in_sending_says_since_when",
        DraftOperation,
        "status = 'sending', settled_at = null, sending_at = null"
        " where id = (select min(id) from listmanagement_draftoperation)",
        "P6: sent at no time",
    ),
    Case("a_failed_change_of_a_draft_says_why", DraftOperation, "status = 'failed'", "failed, but why?"),
    Case(
        "one_change_of_a_draft_at_a_time",
        DraftOperation,
        "status = 'intended', settled_at = null,"
        " campaign_id = (select max(id) from listmanagement_campaignschedule)",
        "P11: unscheduled and scheduled at once",
    ),
    Case(
        "listmanagement_draftoperation_validation_id_key",
        DraftOperation,
        "validation_id = (select max(id) from listmanagement_campaignvalidation) where change = 'unschedule'",
        "P11: unscheduled twice for one look",
    ),
    Case(
        "listmanagement_draftoperation_clearance_id_key",
        DraftOperation,
        "clearance_id = (select max(id) from listmanagement_campaignclearance) where change = 'schedule'",
        "P11: scheduled twice for one clearance",
    ),
    # --- Events --------------------------------------------------------------------------------------
    Case("an_event_has_a_known_kind", WebhookEvent, "kind = 'party'", "no such kind"),
    Case("an_event_has_a_known_status", WebhookEvent, "status = 'lost'", "no such status"),
    Case(
        "processed_events_and_only_they_say_when",
        WebhookEvent,
        "processed_at = null",
        "processed at no time",
    ),
    Case(
        "processed_events_and_only_they_say_when",
        WebhookEvent,
        "status = 'new', problem = ''",
        "processed before it was",
    ),
    Case("events_for_review_and_only_they_say_why", WebhookEvent, "problem = ''", "for no reason"),
    Case("events_for_review_and_only_they_say_why", WebhookEvent, "status = 'done'", "done with a problem"),
    Case(
        "a_waiting_event_names_its_campaign",
        WebhookEvent,
        "status = 'waiting', processed_at = null, problem = ''",
        "it would wait for ever",
    ),
    Case(
        "listmanagement_webhookevent_identity_key",
        WebhookEvent,
        "identity = '00000000-0000-0000-0000-000000000001'",
        "P11: the same event twice",
    ),
    # --- Lists ---------------------------------------------------------------------------------------
    Case("a_list_has_a_known_role", ContactList, "role = 'other' where role = 'suppression'", "no such role"),
    Case(
        "campaign_lists_and_only_they_have_a_position",
        ContactList,
        "position = 0 where position = 1",
        "the rotation counts from 1",
    ),
    Case(
        "campaign_lists_and_only_they_have_a_position",
        ContactList,
        "position = 9 where role = 'master'",
        "the master list in the rotation",
    ),
    Case("a_list_has_mailjets_id", ContactList, "mailjet_id = 0 where role = 'master'", "ids are positive"),
    Case(
        "a_list_keeps_its_role",
        ContactList,
        "role = 'master', position = null where position = 1",
        "P3: a list that was changed cannot become the master list",
    ),
    Case("one_list_per_position", ContactList, "position = 1 where role = 'campaign'", "two lists first"),
    Case(
        "one_master_and_one_suppression_list",
        ContactList,
        "role = 'master', position = null where role = 'suppression'",
        "a second master list",
    ),
    Case(
        "one_master_and_one_suppression_list",
        ContactList,
        "role = 'suppression', position = null where position = 3",
        "a second suppression list",
    ),
    Case("listmanagement_contactlist_mailjet_id_key", ContactList, "mailjet_id = 7", "the same list twice"),
    # --- Contacts ------------------------------------------------------------------------------------
    Case("a_contact_has_mailjets_id", Contact, "id = 0", "Mailjet's ids are positive"),
    Case("one_contact_per_address", Contact, "email = 'same@example.com'", "one address, two contacts"),
    Case(
        "one_contact_per_address",
        Contact,
        f"email = case when id = {FIRST_CONTACT} then 'pat@example.com' else 'PAT@Example.com' end",
        "capitals make no other address",
    ),
    Case("of_the_erased_no_address_is_kept", Contact, "erased_at = now()", "erased, and the address kept"),
    Case("a_change_of_lists_is_of_a_known_table", ListChange, "what = 'other'", "a change of what?"),
    Case("memberships_and_only_they_change_on_a_list", ListChange, "of_list = 1", "holds of a list"),
    Case("a_scan_reads_something_known", MirrorScan, "of = 'other'", "no such scan"),
    Case("memberships_are_read_of_a_list", MirrorScan, "list_id = null", "memberships of no list"),
    Case("memberships_are_read_of_a_list", MirrorScan, "of = 'looked_up'", "looked up, and of a list"),
    Case("memberships_are_read_of_a_list", MirrorScan, "of = 'everything'", "everything, of one list"),
    Case("a_scan_that_read_a_page_knows_the_count", MirrorScan, "total = null", "rows without a count"),
    Case(
        "everything_is_read_once_at_a_time",
        MirrorScan,
        "of = 'everything', list_id = null",
        "P11: two refreshes of everything at once",
    ),
    Case("an_address_has_an_at_sign", Contact, "email = 'example.com'", "no address"),
    Case("an_address_has_an_at_sign", Contact, "email = ''", "an empty address is null"),
    Case(
        "retired_contacts_and_only_they_have_no_address", Contact, "email = null", "an address that vanished"
    ),
    Case(
        "retired_contacts_and_only_they_have_no_address",
        Contact,
        "retired_at = now()",
        "retired, with address",
    ),
    Case("only_the_retired_have_an_heir", Contact, f"heir_id = {FIRST_CONTACT}", "an address of two"),
    Case(
        "an_opt_out_says_when_and_by_what", Contact, "opted_out_at = now()", "an opt-out that nobody told us"
    ),
    Case("an_opt_out_says_when_and_by_what", Contact, "opted_out_by = 'list 7'", "an opt-out at no time"),
    Case("a_complaint_says_when_and_by_what", Contact, "complained_at = now()", "a complaint from nowhere"),
    Case(
        "a_complaint_says_when_and_by_what", Contact, "complained_by = 'an event'", "a complaint at no time"
    ),
    # --- Memberships ---------------------------------------------------------------------------------
    Case(
        "one_current_membership_per_list",
        ContactListMembership,
        f"until = null, ended_by = '', ended_with_id = null, contact_id = {FIRST_CONTACT}",
        "twice on a list",
    ),
    Case(
        "one_current_member_per_rank",
        ContactListMembership,
        "until = null, ended_by = '', ended_with_id = null, rank = 1",
        "two members share a rank",
    ),
    Case("a_membership_began_in_a_known_way", ContactListMembership, "began_by = 'magic'", "no such way"),
    Case("an_ended_membership_says_how", ContactListMembership, "ended_by = ''", "ended by nobody"),
    Case(
        "an_ended_membership_says_how", ContactListMembership, "ended_by = 'first_sight'", "sight ends none"
    ),
    Case("an_ended_membership_says_how", ContactListMembership, "ended_by = 'magic'", "no such way"),
    Case("an_ended_membership_says_how", ContactListMembership, "until = null", "current, and ended"),
    Case(
        "a_membership_ends_after_it_began",
        ContactListMembership,
        "until = since - interval '1 second'",
        "over before it began",
    ),
    Case(
        "what_an_operation_began_names_it",
        ContactListMembership,
        "began_by = 'operation', began_with_id = null",
        "P6: begun by which operation?",
    ),
    Case(
        "what_an_operation_began_names_it",
        ContactListMembership,
        "began_by = 'person' where began_with_id is not null",
        "P6: begun by whom?",
    ),
    Case(
        "what_an_operation_ended_names_it",
        ContactListMembership,
        "ended_with_id = null where ended_by = 'operation'",
        "P6: ended by which operation?",
    ),
    Case(
        "what_an_operation_ended_names_it",
        ContactListMembership,
        "ended_by = 'person' where ended_with_id is not null",
        "P6: ended by whom?",
    ),
    # --- Protections and suppressions ----------------------------------------------------------------
    Case("a_protection_has_a_known_kind", Protection, "kind = 'host'", "no such kind"),
    Case("protected_once", Protection, "value = 'example.com'", "the same domain twice"),
    Case("protections_are_lower_case", Protection, "value = 'Example.com'", "would match nobody"),
    Case("a_protection_covers_what_its_kind_says", Protection, "kind = 'address'", "a domain is no address"),
    Case("a_protection_covers_what_its_kind_says", Protection, "value = 'a@b.example'", "nor the other way"),
    Case("a_protection_covers_what_its_kind_says", Protection, "value = ''", "protects nobody"),
    Case("a_protection_says_why", Protection, "why = ''", "why is it protected?"),
    Case("a_suppression_has_a_known_kind", ContactSuppressionHistory, "kind = 'theirs'", "no such kind"),
    *(
        Case(
            "our_suppressions_name_evidence_and_decision",
            ContactSuppressionHistory,
            f"{column} = null where kind = 'ours'",
            f"P1: ours without {column}",
        )
        for column in ("evidence_id", "item_id", "operation_id")
    ),
    Case(
        "our_suppressions_name_evidence_and_decision",
        ContactSuppressionHistory,
        "kind = 'imported', item_id = null, operation_id = null where kind = 'ours'",
        "P1: imported with evidence",
    ),
    *(
        Case(
            "our_suppressions_name_evidence_and_decision",
            ContactSuppressionHistory,
            f"kind = 'consent', {column} = null where kind = 'ours'",
            f"P1: a complaint without {column}",
        )
        for column in ("item_id", "operation_id")
    ),
    Case(
        "our_suppressions_name_evidence_and_decision",
        ContactSuppressionHistory,
        "kind = 'imported' where kind = 'ours'",
        "P1: ours passed off as imported",
    ),
    Case(
        "one_standing_suppression_per_contact",
        ContactSuppressionHistory,
        f"contact_id = {FIRST_CONTACT}, lifted_at = null, lifted_by_id = null, lifted_why = ''"
        " where kind = 'imported'",
        "suppressed twice at once",
    ),
    *(
        Case("a_lift_names_who_when_and_why", ContactSuppressionHistory, columns, why)
        for columns, why in (
            ("lifted_by_id = null where lifted_at is not null", "lifted by nobody"),
            ("lifted_at = null where lifted_at is not null", "lifted at no time"),
            ("lifted_why = '' where lifted_at is not null", "lifted for no reason"),
            ("lifted_why = 'asked' where lifted_at is null", "a reason, not lifted"),
            ("lifted_at = at - interval '1 second' where lifted_at is not null", "lifted before it was"),
        )
    ),
    Case("a_suppression_says_why", ContactSuppressionHistory, "reason = ''", "suppressed for no reason"),
    Case(
        "evidence_is_the_contacts_own",
        ContactSuppressionHistory,
        "evidence_id = (select min(id) from listmanagement_bounce) where kind = 'ours'",
        "P1: on somebody else's evidence",
    ),
    Case(
        "listmanagement_contactsuppressionhistory_item_id_key",
        ContactSuppressionHistory,
        "item_id = (select min(id) from listmanagement_decisionitem) where kind = 'ours'",
        "one item suppresses once",
    ),
    Case(
        "listmanagement_contactsuppressionhistory_operation_id_key",
        ContactSuppressionHistory,
        "operation_id = (select min(id) from listmanagement_listoperation) where kind = 'ours'",
        "one operation suppresses once",
    ),
    # --- Campaigns -----------------------------------------------------------------------------------
    Case("listmanagement_cycle_number_key", Cycle, "number = 1", "two first cycles"),
    Case("a_cycle_ends_after_it_began", Cycle, "ended_at = started_at - interval '1 day'", "over at once"),
    Case("a_cycle_ends_after_it_began", Cycle, "started_at = null, ended_at = now()", "over, never begun"),
    Case("a_cycle_ended_in_a_known_way", Cycle, "ended_at = now(), ended_how = 'bored'", "no such end"),
    Case("only_an_ended_cycle_says_how", Cycle, "ended_at = null, ended_how = 'complete'", "how, but when?"),
    Case(
        "a_campaign_goes_with_another",
        CampaignSchedule,
        "of_id = id where kind = 'repeat'",
        "a repeat of itself",
    ),
    Case(
        "a_campaign_goes_with_another",
        CampaignSchedule,
        "kind = 'one_off' where kind = 'repeat'",
        "a one-off of something",
    ),
    *(
        Case("a_persons_label_names_who_when_and_why", CampaignSchedule, f"{columns} where of_id > 0", why)
        for columns, why in (
            ("labelled_by_id = null", "labelled by nobody"),
            ("labelled_at = null", "labelled, but when?"),
            ("labelled_why = ''", "labelled, but why?"),
        )
    ),
    Case("counters_come_together", CampaignSchedule, "counted_at = now()", "counted, but what?"),
    Case("counters_come_together", CampaignSchedule, "delivered = 7", "counted, but when?"),
    Case("a_draft_has_a_known_status", CampaignSchedule, "draft_status = 9", "no such status"),
    Case("one_campaign_sync", CampaignSync, "id = 2", "read at two times"),
    Case("a_campaign_has_a_known_kind", CampaignSchedule, "kind = 'other', round = null", "no such kind"),
    Case("a_campaign_has_a_known_status", CampaignSchedule, "status = 'other'", "no such status"),
    *(
        Case(
            "a_sent_campaign_has_its_times_and_mailjets_id",
            CampaignSchedule,
            f"{column} = null, ended_at = null" if column == "started_at" else f"{column} = null",
            f"sent without {column}",
        )
        for column in ("mailjet_campaign_id", "ended_at", "ended_at = null, started_at")
    ),
    Case(
        "a_scheduled_campaign_has_a_time",
        CampaignSchedule,
        "status = 'scheduled', scheduled_at = null",
        "scheduled for no time",
    ),
    Case(
        "a_send_ends_after_it_began",
        CampaignSchedule,
        "ended_at = started_at - interval '1 second'",
        "over before it began",
    ),
    Case("a_failed_campaign_says_why", CampaignSchedule, "status = 'failed'", "failed, but why?"),
    Case(
        "only_a_sent_campaign_is_settled",
        CampaignSchedule,
        "status = 'sending', settled_at = now()",
        "settled while it is sent",
    ),
    *(
        Case("rounds_go_to_campaign_lists", CampaignSchedule, f"list_id = {sql}", why)
        for sql, why in ((MASTER_LIST, "P3: to the master list"), (SUPPRESSION_LIST, "to the suppressed"))
    ),
    *(
        Case("rounds_and_only_they_have_a_place_in_a_cycle", CampaignSchedule, columns, why)
        for columns, why in (
            ("round = 0", "rounds count from 1"),
            ("cycle_id = null", "a round of no cycle"),
            ("kind = 'test'", "a test with a place"),
        )
    ),
    Case(
        "one_round_per_list_and_cycle",
        CampaignSchedule,
        "cycle_id = (select min(id) from listmanagement_cycle)",
        "P5: a list addressed twice in a cycle",
    ),
    Case(
        "listmanagement_campaignschedule_mailjet_campaign_id_key",
        CampaignSchedule,
        "mailjet_campaign_id = 118",
        "the same campaign twice",
    ),
    Case(
        "listmanagement_campaignschedule_mailjet_draft_id_key",
        CampaignSchedule,
        "mailjet_draft_id = 118",
        "the same draft twice",
    ),
    # --- Messages, evidence, holds -------------------------------------------------------------------
    Case("a_message_has_a_known_outcome", CampaignRecipient, "outcome = 'lost'", "no such outcome"),
    Case("a_message_failed_in_a_known_way", CampaignRecipient, "bounce_class = 'bad'", "no such class"),
    Case("failures_and_only_they_have_a_class", CampaignRecipient, "bounce_class = ''", "failed, but how?"),
    Case(
        "failures_and_only_they_have_a_class", CampaignRecipient, "outcome = 'delivered'", "delivered, gone"
    ),
    Case("failures_and_only_they_have_a_class", CampaignRecipient, "outcome = 'open'", "open is no failure"),
    Case("a_complaint_is_nothing_else", CampaignRecipient, "outcome = 'complained'", "a complaint, gone"),
    Case(
        "listmanagement_campaignrecipient_message_id_key",
        CampaignRecipient,
        "message_id = 7",
        "the same message twice",
    ),
    Case("a_state_is_one_of_mailjets", Bounce, "state = 0", "unknown is null, not 0"),
    Case(
        "listmanagement_bounce_recipient_id_key",
        Bounce,
        "recipient_id = (select min(id) from listmanagement_campaignrecipient)",
        "one message, two pieces of evidence",
    ),
    Case("a_hold_ended_in_a_known_way", Hold, "ended_at = now(), ended_how = 'forgotten'", "no such end"),
    Case(
        "a_group_is_in_a_known_region",
        DecisionGroup,
        "action = 'hold', region = 'maybe'",
        "no such region",
    ),
    Case("a_group_failed_in_a_known_way", DecisionGroup, "bounce_class = 'bored'", "no such class"),
    Case("a_group_has_a_known_history", DecisionGroup, "history = 'ancient'", "no such history"),
    Case("a_group_has_known_strikes", DecisionGroup, "strikes = '9'", "no such bucket"),
    Case(
        "campaign_lists_and_only_they_have_a_position",
        ContactList,
        "position = null where role = 'campaign'",
        "a campaign list outside the rotation",
    ),
    Case(
        "rounds_and_only_they_have_a_place_in_a_cycle",
        CampaignSchedule,
        "round = null where kind = 'round'",
        "a round without a place",
    ),
    Case(
        "a_send_ends_after_it_began",
        CampaignSchedule,
        "status = 'sending', started_at = null",
        "over, never begun",
    ),
    Case("a_hold_has_a_known_kind", Hold, "kind = 'list' where kind = 'domain'", "no such kind"),
    Case("a_hold_names_what_it_holds", Hold, "host = '' where kind = 'domain'", "holds nothing"),
    Case("a_hold_names_what_it_holds", Hold, "contact_id = null where kind = 'contact'", "holds nobody"),
    Case("a_hold_names_what_it_holds", Hold, "host = 'a.example' where kind = 'contact'", "holds two things"),
    Case(
        "one_standing_hold_per_host", Hold, "host = 'a.example' where kind = 'domain'", "held twice at once"
    ),
    Case(
        "one_standing_hold_per_contact",
        Hold,
        f"contact_id = {FIRST_CONTACT} where kind = 'contact'",
        "held twice at once",
    ),
    Case("an_ended_hold_says_how", Hold, "ended_at = now()", "how did it end?"),
    Case(
        "an_ended_hold_says_how",
        Hold,
        "ended_at = since - interval '1 second', ended_how = 'stale'",
        "over before it began",
    ),
    Case(
        "a_held_host_is_lower_case",
        Hold,
        "host = 'Held.example' where host = (select min(host) from listmanagement_hold where host > '')",
        "would hold nobody",
    ),
    Case("a_hold_says_why", Hold, "why = ''", "why is it held?"),
    Case(
        "only_a_domain_is_held_with_its_mail_host",
        Hold,
        "part_of_id = id where kind = 'mail_host'",
        "a host is part of no host",
    ),
    Case("dns_gave_a_known_answer", DomainLookup, "route = 'maybe' where route = 'hosts'", "no such answer"),
    Case(
        "where_mail_is_taken_there_is_a_host",
        DomainLookup,
        "mail_host = '' where route = 'hosts'",
        "taken where?",
    ),
    Case(
        "where_mail_is_taken_there_is_a_host",
        DomainLookup,
        "route = 'null_mx' where route = 'hosts'",
        "a host that takes none",
    ),
    Case(
        "what_dns_did_not_say_has_a_reason",
        DomainLookup,
        "why = '' where route = 'unknown'",
        "why does nobody know?",
    ),
    Case(
        "what_dns_did_not_say_has_a_reason",
        DomainLookup,
        "why = 'away' where route = 'hosts'",
        "known, and why not",
    ),
    Case("a_looked_up_domain_is_lower_case", DomainLookup, "domain = 'Firm.example'", "would be nobody's"),
    Case("a_looked_up_domain_is_lower_case", DomainLookup, "domain = ''", "of no domain"),
    Case("an_ended_hold_says_how", Hold, "ended_how = 'outage_over'", "standing, and ended"),
    # --- Runs ----------------------------------------------------------------------------------------
    Case("a_run_has_a_known_kind", ListMaintenanceLog, "kind = 'other'", "no such kind"),
    Case("a_run_has_a_known_stage", ListMaintenanceLog, "stage = 'other'", "no such stage"),
    Case("a_run_has_a_known_trigger", ListMaintenanceLog, "trigger = 'other'", "no such trigger"),
    Case("a_run_has_a_known_status", ListMaintenanceLog, "status = 'other'", "no such status"),
    Case("a_run_stands_at_a_known_step", ListMaintenanceLog, "step = 'other'", "no such step"),
    *(
        Case("a_lease_is_whole_or_absent", ListMaintenanceLog, columns, f"a lease of {columns} alone")
        for columns in (
            "lease_owner = 'worker'",
            "lease_token = gen_random_uuid()",
            "lease_until = now()",
            "lease_owner = 'worker', lease_until = now()",
        )
    ),
    *(
        Case("finished_runs_and_only_they_have_an_end", ListMaintenanceLog, columns, why)
        for columns, why in (
            ("status = 'succeeded'", "ended at no time"),
            ("status = 'partial'", "ended in part at no time"),
            ("status = 'failed'", "failed at no time"),
            ("finished_at = now()", "running, and ended"),
        )
    ),
    Case(
        "a_waiting_run_knows_until_when",
        ListMaintenanceLog,
        "status = 'waiting'",
        "would wait for ever",
    ),
    Case(
        "post_campaign_runs_name_their_campaign", ListMaintenanceLog, "campaign_id = null", "which campaign?"
    ),
    Case(
        "a_finished_run_changes_no_lists",
        ListMaintenanceLog,
        "status = 'failed', finished_at = now(), holds_rotation = true",
        "would lock the lists for ever",
    ),
    Case(
        "one_run_changes_lists_at_a_time",
        ListMaintenanceLog,
        "holds_rotation = true",
        "two runs that change lists",
    ),
    Case(
        "listmanagement_listmaintenancelog_idempotency_key_key",
        ListMaintenanceLog,
        "idempotency_key = 'campaign 118'",
        "P11: two triggers, one run",
    ),
    Case(
        "listmanagement_listmaintenancelog_correlation_id_key",
        ListMaintenanceLog,
        "correlation_id = '00000000-0000-0000-0000-000000000001'",
        "two runs in one log",
    ),
    Case(
        "a_run_that_observes_changes_no_lists",
        ListMaintenanceLog,
        "stage = 'observe', holds_rotation = true",
        "observes, and changes lists",
    ),
    Case(
        "the_schedule_is_nobody", ListMaintenanceLog, "trigger = 'schedule'", "by the schedule and a person"
    ),
    Case(
        "a_waiting_run_says_for_what",
        ListMaintenanceLog,
        "status = 'waiting', next_at = now(), waits_for = ''",
        "waits for nothing",
    ),
    Case(
        "an_undo_and_only_it_names_what_it_undoes",
        ListMaintenanceLog,
        "undoes_id = null where kind = 'undo'",
        "an undo of nothing",
    ),
    Case(
        "an_undo_and_only_it_names_what_it_undoes",
        ListMaintenanceLog,
        "undoes_id = id where kind = 'post_campaign'",
        "undoes, and is no undo",
    ),
    Case(
        "only_an_undo_by_a_person_overrides",
        ListMaintenanceLog,
        "override = 'now', overridden_at = now() where kind = 'post_campaign'",
        "P9: overrides, and is no undo",
    ),
    Case(
        "only_an_undo_by_a_person_overrides",
        ListMaintenanceLog,
        "override = 'now', overridden_at = now(), triggered_by_id = null where kind = 'undo'",
        "P9: nobody overrides",
    ),
    Case(
        "an_override_says_since_when",
        ListMaintenanceLog,
        "override = 'now', overridden_at = null where kind = 'undo'",
        "P9: for ever",
    ),
    Case("a_run_has_a_key", ListMaintenanceLog, "idempotency_key = ''", "P11: no key to find it by"),
    Case(
        "only_a_run_that_ended_early_was_stopped",
        ListMaintenanceLog,
        "stopped = 'its time', status = 'succeeded', finished_at = now()",
        "ended early, and yet not",
    ),
    *(
        Case(
            "a_run_works_for_some_time_or_none",
            ListMaintenanceLog,
            f"{column} = -1",
            f"{column}: less than no work",
        )
        for column in ("worked", "worked_on_step")
    ),
    Case("an_agent_is_one_of_four", AgentCall, "agent = 'fifth'", "no such agent"),
    Case("an_answer_has_a_known_source", AgentCall, "source = 'guess', model = 'm'", "no such source"),
    *(
        Case("a_confidence_is_a_share", AgentCall, f"{column} = {value}", f"{column} {value}")
        for column in ("confidence", "raw_confidence")
        for value in ("1.01", "-0.01", "'nan'")
    ),
    Case("rules_never_pose_as_a_model", AgentCall, "model = 'gemini'", "P7: rules posing as a model"),
    Case("rules_never_pose_as_a_model", AgentCall, "source = 'model'", "P7: an answer of no model"),
    Case("only_a_model_states_what_may_be_reused", AgentCall, "stated = '{}'", "P7: rules stating"),
    Case("only_a_model_states_what_may_be_reused", AgentCall, "question = 'q'", "P7: rules reused"),
    Case("one_answer_per_agent_and_run", AgentCall, "agent = 'reporting'", "two answers of one agent"),
    *(
        Case("a_deviation_is_a_percentage", ListHealthCheck, f"deviation = {value}", value)
        for value in ("-0.01", "'nan'", "'infinity'")
    ),
    Case(
        "listmanagement_listhealthcheck_run_id_key",
        ListHealthCheck,
        "run_id = (select min(id) from listmanagement_listmaintenancelog)",
        "two checks of one run",
    ),
    Case(
        "listmanagement_listhealthcheck_call_id_key",
        ListHealthCheck,
        "call_id = (select min(id) from listmanagement_agentcall)",
        "two checks of one answer",
    ),
    Case(
        "one_health_row_per_list_and_check",
        ListHealth,
        "check_of_id = (select min(id) from listmanagement_listhealthcheck)",
        "a list graded twice",
    ),
    Case("a_grade_is_one_of_four", ListHealth, "grade = 'fine'", "no such grade"),
    Case("a_cause_is_known", ListHealth, "cause = 'weather'", "no such cause"),
    *(
        Case("a_mark_names_who_and_when", ListHealth, columns, why)
        for columns, why in (
            ("marked_by_id = null", "marked by nobody"),
            ("marked_at = null", "marked at no time"),
            ("is_right = null", "marked as nothing"),
        )
    ),
    Case("what_is_marked_wrong_says_why", ListHealth, "is_right = false", "wrong for no reason"),
    Case("a_lists_weekly_figures_come_together", ListHealth, "joined = 1", "one figure without the others"),
    Case("a_weekly_check_counts_everything", ListHealthCheck, "held = 1", "one figure without the others"),
    Case(
        "listmanagement_listhealth_verdict_id_key",
        ListHealth,
        "verdict_id = (select min(verdict_id) from listmanagement_listhealth)",
        "one verdict about two lists",
    ),
    # --- Verdicts ------------------------------------------------------------------------------------
    Case(
        "one_verdict_per_subject_and_call",
        AgentVerdict,
        "subject = 'twice', call_id = (select min(id) from listmanagement_agentcall)",
        "two verdicts on one thing",
    ),
    Case("a_verdict_is_in_a_known_region", AgentVerdict, "region = 'maybe'", "no such region"),
    Case("a_verdict_is_about_a_known_class", AgentVerdict, "bounce_class = 'bored'", "no such class"),
    *(
        Case("a_verdict_says_what", AgentVerdict, f"{column} = ''", f"no {column}")
        for column in ("subject", "verdict", "rules_verdict")
    ),
    *(
        Case(constraint, AgentVerdict, f"{column} = {value}", value)
        for constraint, column in (
            ("a_verdicts_confidence_is_a_share", "confidence"),
            ("a_stated_confidence_is_a_share", "raw_confidence"),
            ("the_rules_confidence_is_a_share", "rules_confidence"),
        )
        for value in ("1.01", "-0.01", "'nan'")
    ),
    Case(
        "only_a_models_verdict_is_calibrated", AgentVerdict, "calibrated = true", "rules are not calibrated"
    ),
    Case("only_a_models_verdict_is_calibrated", AgentVerdict, "rationale = 'x'", "rules pose as a model"),
    Case("one_back_off_from_gemini", GeminiBackOff, "id = 2", "one for all processes"),
    Case("gemini_was_refused_at_least_once", GeminiBackOff, "times = 0", "why then wait?"),
    Case("a_back_off_from_gemini_says_why", GeminiBackOff, "why = ''", "waiting for an unknown reason"),
    Case("one_breaker", MailjetBreaker, "id = 2", "one for all processes"),
    Case("a_breaker_has_a_known_state", MailjetBreaker, "state = 'ajar'", "no such state"),
    *(
        Case("an_open_breaker_says_since_when_and_until_when", MailjetBreaker, columns, why)
        for columns, why in (
            ("state = 'open', until = now(), failed_at = array[now()], why = 'down'", "open since when?"),
            ("state = 'probing', since = now(), failed_at = array[now()], why = 'down'", "until when?"),
            ("state = 'open', since = now(), until = now()", "open without a failure"),
            ("since = now()", "closed, and given up"),
            ("until = now()", "closed, and not to be asked"),
            ("failed_probes = 1", "closed, though a probe failed"),
        )
    ),
    Case("failures_and_only_they_say_why", MailjetBreaker, "failed_at = array[now()]", "failed how?"),
    Case("failures_and_only_they_say_why", MailjetBreaker, "why = 'down'", "a reason without a failure"),
    Case("a_back_off_says_until_when", MailjetBreaker, "backed_off = 1", "waiting for ever"),
    Case("a_back_off_says_until_when", MailjetBreaker, "back_off_until = now()", "waiting for nothing"),
    Case("one_outage_at_a_time", MailjetOutage, "ended_at = null, closed_at = null", "away twice at once"),
    Case(
        "an_outage_ends_after_it_began",
        MailjetOutage,
        "ended_at = began_at - interval '1 second'",
        "over before it began",
    ),
    Case("an_outage_says_why", MailjetOutage, "why = ''", "away for no reason"),
    *(
        Case("only_an_outage_that_is_over_and_told_is_closed", MailjetOutage, columns, why)
        for columns, why in (
            (
                "ended_at = null where id = (select max(id) from listmanagement_mailjetoutage)",
                "closed too early",
            ),
            ("told_at = null", "closed untold"),
        )
    ),
    Case("one_rollout_state", RolloutState, "id = 2", "there is one rollout"),
    *(
        Case("a_pause_or_manual_mode_names_who_and_why", RolloutState, columns, why)
        for columns, why in (
            ("paused_at = now(), why = 'a holiday', changed_by_id = null", "paused by nobody"),
            ("paused_at = now(), why = ''", "paused for no reason"),
            ("manual_since = now(), why = 'a holiday', changed_by_id = null", "manual by nobody"),
            ("manual_since = now(), why = ''", "manual for no reason"),
        )
    ),
    # --- Decisions -----------------------------------------------------------------------------------
    Case("a_decision_has_a_known_kind", Decision, "kind = 'other'", "no such kind"),
    Case(
        "a_decision_has_a_known_status",
        Decision,
        "status = 'other', reviewed_at = null, reviewed_by_id = null",
        "no such status",
    ),
    Case("a_decision_names_its_source", Decision, "source = 'guess'", "no such source"),
    *(
        Case("a_decisions_confidence_is_a_share", Decision, f"confidence = {value}", value)
        for value in ("1.01", "-0.01", "'nan'")
    ),
    *(
        Case("a_review_names_who_and_when", Decision, columns, why)
        for columns, why in (
            ("reviewed_by_id = null", "approved by nobody"),
            ("reviewed_at = null", "approved at no time"),
            ("status = 'rejected', reviewed_by_id = null", "rejected by nobody"),
            ("status = 'open'", "open, and reviewed"),
            ("status = 'clear'", "executed alone, and reviewed"),
            ("status = 'expired'", "expired, and reviewed"),
            ("status = 'observed'", "observed, and reviewed"),
            ("status = 'draft'", "not yet shown, and reviewed"),
        )
    ),
    Case("a_rejection_says_why", Decision, "status = 'rejected', note = ''", "rejected for no reason"),
    Case(
        "what_stands_or_stood_in_the_queue_has_a_deadline",
        Decision,
        "status = 'open', deadline = null, reviewed_at = null, reviewed_by_id = null",
        "would wait for ever",
    ),
    Case(
        "what_stands_or_stood_in_the_queue_has_a_deadline",
        Decision,
        "deadline = null",
        "reviewed, never open",
    ),
    Case(
        "an_open_decision_says_why_it_waits",
        Decision,
        "status = 'open', reasons = '[]', reviewed_at = null, reviewed_by_id = null",
        "P7: why was it not executed?",
    ),
    Case("a_decision_says_what", Decision, "title = ''", "yes or no to what?"),
    Case(
        "one_decision_of_a_kind_per_run",
        Decision,
        "run_id = (select min(id) from listmanagement_listmaintenancelog)",
        "two to review",
    ),
    Case(
        "one_clear_decision_of_a_kind_per_run",
        Decision,
        "run_id = (select min(id) from listmanagement_listmaintenancelog), status = 'clear',"
        " reviewed_at = null, reviewed_by_id = null",
        "two executed alone",
    ),
    *(
        Case("a_sample_says_how_likely_it_was", DecisionGroup, f"sampled_share = {value}", value)
        for value in ("0", "1.01", "'nan'")
    ),
    Case("a_group_has_a_known_action", DecisionGroup, "action = 'delete'", "no such action"),
    Case(
        "one_group_per_key",
        DecisionGroup,
        "decision_id = (select min(id) from listmanagement_decision), position = id",
        "one cohort, two groups",
    ),
    Case(
        "one_group_per_position",
        DecisionGroup,
        "decision_id = (select min(id) from listmanagement_decision), key = id::text",
        "two groups in one place",
    ),
    *(
        Case("only_what_the_policy_allows_is_suppressed", DecisionGroup, f"region = '{region}'", why)
        for region, why in (("never", "P7: never means never"), ("hold", "P7: held"), ("", "P7: by no rule"))
    ),
    *(
        Case(f"a_groups_{column}_is_a_share", DecisionGroup, f"{column} = {value}", value)
        for column in ("share", "confidence")
        for value in ("1.01", "-0.01", "'nan'")
    ),
    Case(
        "what_undoes_takes_something_back",
        DecisionItem,
        "undoes_id = id where action = 'suppress'",
        "suppresses, and undoes",
    ),
    Case(
        "an_item_is_undone_once",
        DecisionItem,
        "undoes_id = (select min(undoes_id) from listmanagement_decisionitem) where undoes_id is not null",
        "P11: undone by two",
    ),
    Case("items_count_from_1", DecisionItem, "position = 0", "order counts from 1"),
    Case(
        "items_leave_campaign_lists",
        DecisionItem,
        f"source_list_id = {MASTER_LIST}",
        "P3: off the master list",
    ),
    *(
        Case("items_join_campaign_lists", DecisionItem, f"target_list_id = {sql} where action = 'move'", why)
        for sql, why in (
            (MASTER_LIST, "P3: onto the master list"),
            (SUPPRESSION_LIST, "moved to the suppressed"),
        )
    ),
    Case(
        "the_master_list_is_never_a_leg",
        DecisionItem,
        f"action = 'take_off', source_list_id = {MASTER_LIST}, target_list_id = null",
        "P3: off the master list, as people decided",
    ),
    Case(
        "the_master_list_is_never_a_leg",
        DecisionItem,
        f"action = 'put_back', target_list_id = {MASTER_LIST}, source_list_id = null",
        "P3: onto the master list, as people decided",
    ),
    Case(
        "evidence_is_the_contacts_own",
        DecisionItem,
        "evidence_id = (select min(id) from listmanagement_bounce) where action = 'suppress'",
        "P1: on somebody else's evidence",
    ),
    Case(
        "an_item_has_a_known_action",
        DecisionItem,
        "action = 'ban', source_list_id = null",
        "no such action",
    ),
    Case("an_item_has_a_known_status", DecisionItem, "status = 'lost'", "no such status"),
    Case(
        "one_item_per_contact_and_decision",
        DecisionItem,
        f"decision_id = (select min(id) from listmanagement_decision), contact_id = {FIRST_CONTACT},"
        " position = id",
        "a contact twice in a decision",
    ),
    Case(
        "one_item_per_position",
        DecisionItem,
        "decision_id = (select min(id) from listmanagement_decision)",
        "two items in one place",
    ),
    Case(
        "nobody_is_proposed_for_suppression_without_evidence",
        DecisionItem,
        "evidence_id = null",
        "P1: proposed without evidence",
    ),
    *(
        Case("placements_and_moves_name_their_lists", DecisionItem, columns, why)
        for columns, why in (
            ("action = 'place', source_list_id = null, target_list_id = null", "placed nowhere"),
            (f"action = 'place', target_list_id = {FIRST_LIST}", "placed, but from a list"),
            ("target_list_id = source_list_id where action = 'move'", "moved to where it is"),
            (f"target_list_id = {FIRST_LIST} where action = 'suppress'", "suppressed onto a list"),
            (f"action = 'hold', target_list_id = {FIRST_LIST}", "held, and moved"),
            ("action = 'move', target_list_id = null", "moved nowhere"),
            ("action = 'put_back', source_list_id = null, target_list_id = null", "put back nowhere"),
            ("action = 'take_off', source_list_id = null, target_list_id = null", "taken off nothing"),
            ("action = 'unsubscribe', source_list_id = null, target_list_id = null", "opted out of nothing"),
            (f"action = 'complaint', target_list_id = {FIRST_LIST}", "complained, and added to a list"),
            (
                f"action = 'move', source_list_id = null, target_list_id = {FIRST_LIST}",
                "moved from nowhere",
            ),
        )
    ),
    *(
        Case("what_is_not_executed_says_why", DecisionItem, f"status = '{status}'", f"{status}, but why?")
        for status in ("taken_out", "dropped", "failed")
    ),
    # --- The journal ---------------------------------------------------------------------------------
    Case("a_batch_has_a_known_kind", OperationBatch, "kind = 'other'", "no such kind"),
    Case(
        "a_batch_has_a_known_status",
        OperationBatch,
        "status = 'other', settled_at = null",
        "no such status",
    ),
    Case(
        "one_batch_per_position",
        OperationBatch,
        "run_id = (select min(id) from listmanagement_listmaintenancelog)",
        "two batches in one place",
    ),
    Case("a_sent_batch_counts_its_attempts", OperationBatch, "attempt = 0", "P6: sent, but not counted"),
    Case(
        "a_submitted_batch_knows_its_job",
        OperationBatch,
        "status = 'submitted', settled_at = null, job_id = null",
        "P6: nothing to poll",
    ),
    Case(
        "only_a_job_that_was_started_ends",
        OperationBatch,
        "job_ended_at = now(), job_id = null, status = 'applied'",
        "P6: no job, yet it ended",
    ),
    *(
        Case("settled_batches_and_only_they_have_an_end", OperationBatch, columns, why)
        for columns, why in (
            ("settled_at = null", "applied at no time"),
            ("status = 'undone', settled_at = null", "undone at no time"),
            ("status = 'failed', error = 'no', settled_at = null", "failed at no time"),
            ("status = 'submitted'", "under way, and settled"),
            ("status = 'intended'", "not sent, and settled"),
        )
    ),
    Case(
        "a_batch_in_sending_says_since_when",
        OperationBatch,
        "status = 'sending', settled_at = null, sending_at = null",
        "P6: could never be looked up",
    ),
    Case("one_batch_per_job", OperationBatch, "job_id = 7", "P11: one job, two batches"),
    Case("no_batch_waits_for_itself", OperationBatch, "after_id = id", "would wait for ever"),
    Case("batches_count_from_1", OperationBatch, "position = 0", "order counts from 1"),
    Case("a_failed_batch_says_why", OperationBatch, "status = 'failed', error = ''", "failed, but why?"),
    Case("no_change_can_resubscribe", BatchChange, "action = 'addforce'", "P2: would re-subscribe opt-outs"),
    Case(
        "one_change_per_list_and_batch",
        BatchChange,
        "batch_id = (select min(id) from listmanagement_operationbatch)",
        "a list changed twice by one request",
    ),
    Case("an_operation_has_a_known_kind", ListOperation, "kind = 'other'", "no such kind"),
    Case("an_operation_has_a_known_status", ListOperation, "status = 'other'", "no such status"),
    Case(
        "one_operation_of_a_kind_per_item",
        ListOperation,
        "item_id = (select min(id) from listmanagement_decisionitem)",
        "P11: one item, two effects",
    ),
    Case(
        "one_operation_per_contact_and_batch",
        ListOperation,
        f"batch_id = (select min(id) from listmanagement_operationbatch), contact_id = {FIRST_CONTACT}",
        "P11: a contact twice in one request",
    ),
    *(
        Case("an_operation_says_when_it_applied_or_why_not", ListOperation, columns, why)
        for columns, why in (
            ("applied_at = null", "applied at no time"),
            ("status = 'undone', applied_at = null", "undone, never applied"),
            ("status = 'intended'", "intended, and applied"),
            ("status = 'dropped', why = 'gone'", "dropped, and applied"),
            ("status = 'dropped', applied_at = null", "dropped, but why?"),
            ("status = 'failed', applied_at = null", "failed, but why?"),
        )
    ),
    Case("operations_count_from_1", ListOperation, "position = 0", "order counts from 1"),
    Case(
        "the_master_list_is_never_a_target",
        BatchChange,
        f"list_id = {MASTER_LIST}",
        "P3: the master list changed",
    ),
    # --- What people are told ------------------------------------------------------------------------
    Case("a_notification_has_a_known_kind", Notification, "kind = 'other'", "no such kind"),
    Case("a_notification_has_a_known_status", Notification, "status = 'other'", "no such status"),
    Case("a_question_names_its_decision", Notification, "decision_id = null", "decide what?"),
    Case("only_alerts_belong_to_no_run", Notification, "run_id = null", "a report of nothing"),
    Case("a_notification_says_something", Notification, "text = ''", "an empty message"),
    Case("a_sent_notification_says_when", Notification, "status = 'sent'", "sent at no time"),
    Case("a_sent_notification_says_when", Notification, "sent_at = now()", "waits, and was sent"),
    Case("a_failed_notification_says_why", Notification, "status = 'failed'", "failed, but why?"),
    Case("listmanagement_notification_key_key", Notification, "key = 'same'", "P11: told twice"),
    Case("a_recurring_job_is_known", RecurringJob, "job = 'other'", "no such job"),
    Case("a_job_is_busy_after_it_began", RecurringJob, "busy_until = tried_at", "busy for no time"),
    Case(
        "only_what_was_done_has_an_outcome",
        RecurringJob,
        "done_at = null",
        "never done, yet it did something",
    ),
    Case("audit_entries_only_grow", AuditEntry, "actor = 'somebody else'", "history rewritten"),
]

INSERTED = {
    "an_audit_entry_names_who_and_what": [
        "insert into listmanagement_auditentry (at, actor, action, subject_kind, subject_id, details)"
        f" values (now(), {actor}, {action}, {kind}, 1, '{{}}')"
        for actor, action, kind in (
            ("''", "'approved'", "'run'"),
            ("'pat'", "''", "'run'"),
            ("'pat'", "'approved'", "''"),
        )
    ],
    "the_master_list_is_never_a_target": [
        "insert into listmanagement_batchchange (batch_id, list_id, action)"
        f" select id, {MASTER_LIST}, '{action}' from listmanagement_operationbatch"
        for action in ("addnoforce", "remove", "unsub")
    ],
}
"""What an update cannot show: audit entries are never updated, and the master list on insert (P3)."""

ACCEPTED = [
    (ContactListMembership, f"contact_id = {FIRST_CONTACT}", "on a list again after an end"),
    (ContactListMembership, "rank = 1", "a rank given again after an end"),
    (ContactSuppressionHistory, f"lifted_at = at, lifted_by_id = {A_USER}, lifted_why = 'asked'", "lifted"),
    (Hold, "ended_at = since, ended_how = 'stale', host = 'a.example' where kind = 'domain'", "held again"),
    (Contact, "email = null, retired_at = now()", "many retired contacts"),
    (
        CampaignSchedule,
        "status = 'cancelled', cycle_id = (select min(id) from listmanagement_cycle)",
        "a list's cancelled rounds of one cycle",
    ),
    (CampaignSchedule, "kind = 'repeat', round = null", "a repeat within a cycle"),
    (
        CampaignSchedule,
        "kind = 'one_off', round = null, cycle_id = null, of_id = null",
        "a send outside all cycles",
    ),
    (OperationBatch, "status = 'failed', attempt = 0, error = 'all dropped'", "given up before it was sent"),
    (
        Decision,
        "status = 'expired', reviewed_at = null, reviewed_by_id = null",
        "expired, by nobody",
    ),
    (
        ListMaintenanceLog,
        "lease_owner = 'worker', lease_token = gen_random_uuid(), lease_until = now()",
        "a whole lease",
    ),
    (
        MailjetBreaker,
        "state = 'open', since = now(), until = now(), failed_at = array[now()], why = 'down'",
        "an open breaker",
    ),
    (MailjetBreaker, "backed_off = 2, back_off_until = now()", "a back-off"),
    (RolloutState, f"paused_at = now(), changed_by_id = {A_USER}, why = 'a holiday'", "paused by somebody"),
    (CampaignRecipient, f"contact_id = {FIRST_CONTACT}", "two messages to one contact: P5 finds them"),
]


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_postgresql_refuses(case: Case) -> None:
    assert refused_by(case.sql) == case.constraint


@pytest.mark.parametrize(
    ("constraint", "sql"), [(name, sql) for name, statements in INSERTED.items() for sql in statements]
)
def test_postgresql_refuses_on_insert(constraint: str, sql: str) -> None:
    assert refused_by(sql) == constraint


def test_an_audit_entry_cannot_be_deleted() -> None:
    assert refused_by("delete from listmanagement_auditentry") == "audit_entries_only_grow"


# --- Across rows: rows that belong together are one contact's, one decision's, of one kind -----------

OTHERS = {
    "an_items_group_is_of_its_decision": "update listmanagement_decisionitem"
    " set group_id = (select max(id) from listmanagement_decisiongroup)",
    "an_operation_is_of_its_items_contact": "update listmanagement_listoperation"
    f" set contact_id = {FIRST_CONTACT}",
    "an_operation_is_of_its_batchs_kind": "update listmanagement_listoperation set kind = 'place'",
    "a_suppression_is_of_its_items_contact": "update listmanagement_contactsuppressionhistory"
    " set item_id = (select max(id) from listmanagement_decisionitem) where kind = 'ours'"
    " and id = (select min(id) from listmanagement_contactsuppressionhistory where kind = 'ours')",
    "a_suppression_is_of_its_operations_contact": "update listmanagement_contactsuppressionhistory"
    " set operation_id = (select max(id) from listmanagement_listoperation) where kind = 'ours'"
    " and id = (select min(id) from listmanagement_contactsuppressionhistory where kind = 'ours')",
}


@pytest.mark.parametrize("constraint", OTHERS)
def test_postgresql_refuses_at_the_end_of_the_transaction(constraint: str) -> None:
    assert refused_by(OTHERS[constraint], f"set constraints {constraint} immediate") == constraint


@pytest.mark.parametrize(
    ("model", "columns"), [pytest.param(model, columns, id=why) for model, columns, why in ACCEPTED]
)
def test_what_may_be_is_accepted(model: Table, columns: str) -> None:
    assert refused_by(f"update {model._meta.db_table} set {columns}") == "nothing"


# --- Nothing is forgotten ------------------------------------------------------------------------------

CASES = {case.constraint for case in REFUSED} | set(INSERTED) | set(OTHERS)


def test_every_constraint_in_postgresql_has_a_case() -> None:
    constraints = rows(
        """select conname, pg_get_constraintdef(c.oid) from pg_constraint c
           join pg_class on pg_class.oid = conrelid
           where relname like 'listmanagement%'
             and (contype in ('c', 'u') or contype = 'f' and cardinality(conkey) > 1)"""
    )
    unique = rows(
        """select relname from pg_index join pg_class on pg_class.oid = indexrelid
           where indrelid::regclass::text like 'listmanagement%' and indisunique and not indisprimary
             and indkey[0] <> 1"""
    )
    triggers = rows(
        """select tgname from pg_trigger
           where tgrelid::regclass::text like 'listmanagement%' and not tgisinternal
                 and tgname not like '%_is_noted'"""
    )
    found = {name for name, definition in constraints if not is_of_a_count(name, definition)}
    found -= {name for name, definition in constraints if is_a_key(definition)}

    assert found | {name for (name,) in [*unique, *triggers]} == CASES


def is_of_a_count(name: str, definition: str) -> bool:
    """Django's own check of a positive column; tests/models/test_columns.py tries them all."""
    return name.startswith("listmanagement_") and definition.endswith(" >= 0))")


def is_a_key(definition: str) -> bool:
    """The primary key and another column: cannot be broken, other tables refer to it."""
    return definition.startswith("UNIQUE (id, ")


def test_every_constraint_of_a_model_has_a_case() -> None:
    assert {constraint.name for model in MODELS for constraint in model._meta.constraints} <= CASES


def test_each_case_stands_once() -> None:
    assert len({case.sql for case in REFUSED}) == len(REFUSED)
