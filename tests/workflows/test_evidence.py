"""What became of a campaign's messages: kept once, made worse but never better by a later fetch."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from integrations.mailjet import MailjetAnswerInvalid, MailjetUnavailable, MessageStatus
from listmanagement.domain.bounces import BounceClass, Outcome
from listmanagement.models import Bounce, CampaignRecipient, CampaignSchedule, Contact
from listmanagement.workflows import evidence
from tests import factories
from tests.factories import NOON
from tests.integrations.scripted import answer
from tests.workflows.mailjet_says import a_message, page, saying

LATER = NOON + timedelta(days=1)
BIG = 2**60

Row = dict[str, Any]

HARD: Row = {"Status": "hardbounced", "StateID": 1, "StatePermanent": True}
SOFT: Row = {"Status": "softbounced", "StateID": 3, "StatePermanent": False}
BLOCKED: Row = {"Status": "blocked", "StateID": 14, "StatePermanent": False}
DEFERRED: Row = {"Status": "deferred"}
SENT: Row = {"Status": "sent"}
SPAM: Row = {"Status": "spam", "StateID": 21, "StatePermanent": True}


@pytest.fixture
def campaign(db: None) -> CampaignSchedule:
    return factories.a_campaign(list=factories.the_rotation().campaign[0])


def message(campaign: CampaignSchedule, n: int, **fields: Any) -> Row:
    """The campaign's n-th message, to contact n unless said otherwise."""
    contact_id = fields.pop("contact_id", n)
    assert campaign.mailjet_campaign_id is not None
    return a_message(BIG + n, contact_id, campaign_id=campaign.mailjet_campaign_id, **fields)


def fetch(campaign: CampaignSchedule, *rows: Row, now: datetime = NOON) -> int:
    with saying(page(*rows)) as mailjet:
        return evidence.fetch(campaign, mailjet=mailjet, now=now)


def fetched_in_turn(campaign: CampaignSchedule, *standings: Row) -> CampaignRecipient:
    """One message as it stands after each of these was fetched."""
    for n, standing in enumerate(standings):
        fetch(campaign, message(campaign, 1, **standing), now=NOON + timedelta(days=n))
    return CampaignRecipient.objects.get()


# --- Each way a message ends -------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("standing", "outcome", "bounce"),
    [
        (SENT, Outcome.DELIVERED, ""),
        ({"Status": "opened"}, Outcome.DELIVERED, ""),
        ({"Status": "clicked"}, Outcome.DELIVERED, ""),
        ({"Status": "unsub"}, Outcome.DELIVERED, ""),
        ({"Status": "queued"}, Outcome.OPEN, ""),
        (DEFERRED, Outcome.OPEN, ""),
        ({"Status": "unknown"}, Outcome.OPEN, ""),
        (HARD, Outcome.BOUNCED, BounceClass.RECIPIENT_GONE),
        ({"Status": "bounce", "StateID": "2", "StatePermanent": True}, Outcome.BOUNCED, BounceClass.INACTIVE),
        ({"Status": "hardbounced", "StatePermanent": True}, Outcome.BOUNCED, BounceClass.UNKNOWN),
        ({**HARD, "StateID": 99}, Outcome.BOUNCED, BounceClass.UNKNOWN),
        (SOFT, Outcome.BOUNCED, BounceClass.MAILBOX_FULL),
        (BLOCKED, Outcome.NOT_ATTEMPTED, BounceClass.NOT_ATTEMPTED),
        ({**BLOCKED, "StateID": 9}, Outcome.NOT_ATTEMPTED, BounceClass.SENDER_SIDE),
        (SPAM, Outcome.COMPLAINED, BounceClass.COMPLAINT),
        ({"Status": "SPAM", "StatePermanent": "false"}, Outcome.COMPLAINED, BounceClass.COMPLAINT),
    ],
)
def test_a_message_ends_as_mailjet_says(
    campaign: CampaignSchedule, standing: Row, outcome: Outcome, bounce: str
) -> None:
    row = fetched_in_turn(campaign, standing)

    assert (row.outcome, row.bounce_class) == (outcome, bounce)
    assert Bounce.objects.filter(recipient=row).exists() == bool(bounce)
    campaign.refresh_from_db()
    assert campaign.recipients_fetched_at == NOON


def test_every_status_of_mailjet_has_an_outcome() -> None:
    assert set(evidence.OUTCOMES) == set(MessageStatus)


@pytest.mark.django_db
def test_the_evidence_says_what_mailjet_said(campaign: CampaignSchedule) -> None:
    row = fetched_in_turn(campaign, HARD)

    assert (row.sent_at, row.campaign, row.contact_id) == (datetime(2026, 3, 1, 5, tzinfo=UTC), campaign, 1)
    assert (row.bounce.state, row.bounce.permanent, row.bounce.attempted) == (1, True, True)
    assert (row.bounce.at, row.bounce.earlier) == (row.sent_at, [])


# --- A second fetch ----------------------------------------------------------------------------------


@pytest.mark.django_db
def test_fetching_again_without_news_writes_nothing(campaign: CampaignSchedule) -> None:
    rows = [message(campaign, n, **(HARD if n % 2 else SENT)) for n in range(1, 41)]
    fetch(campaign, *rows)
    before = list(CampaignRecipient.objects.order_by("pk").values()), list(Bounce.objects.values())

    with CaptureQueriesContext(connection) as asked:
        assert fetch(campaign, *rows, now=LATER) == 40

    assert (list(CampaignRecipient.objects.order_by("pk").values()), list(Bounce.objects.values())) == before
    changing = [q["sql"] for q in asked if q["sql"].startswith(("INSERT", "UPDATE"))]
    assert len(changing) == 1  # when it was fetched
    assert len(asked) < 15


@pytest.mark.django_db
def test_a_message_that_was_deferred_bounces_on_a_later_fetch(campaign: CampaignSchedule) -> None:
    row = fetched_in_turn(campaign, DEFERRED, SOFT)

    assert (row.outcome, row.bounce_class) == (Outcome.BOUNCED, BounceClass.MAILBOX_FULL)
    assert row.bounce.earlier == []


@pytest.mark.django_db
def test_a_worse_state_replaces_and_the_older_is_kept(campaign: CampaignSchedule) -> None:
    row = fetched_in_turn(campaign, SOFT, HARD)

    assert (row.outcome, row.bounce_class) == (Outcome.BOUNCED, BounceClass.RECIPIENT_GONE)
    assert (row.bounce.state, row.bounce.permanent) == (1, True)
    assert row.bounce.earlier == [{"state": 3, "permanent": False, "until": LATER.isoformat()}]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("first", "later"),
    [
        (HARD, SOFT),
        (HARD, BLOCKED),
        (HARD, DEFERRED),
        (HARD, {"Status": "unknown"}),
        (SOFT, BLOCKED),
        (SENT, DEFERRED),
        (SPAM, HARD),
        (SPAM, {"Status": "opened"}),
    ],
)
def test_a_lesser_state_replaces_nothing(campaign: CampaignSchedule, first: Row, later: Row) -> None:
    row = fetched_in_turn(campaign, first)
    before = (row.outcome, row.bounce_class)

    row = fetched_in_turn(campaign, first, later)

    assert (row.outcome, row.bounce_class) == before
    if hasattr(row, "bounce"):
        assert (row.bounce.state, row.bounce.permanent) == (first["StateID"], first["StatePermanent"])
        assert row.bounce.earlier == []


@pytest.mark.django_db
def test_of_two_states_as_grave_the_later_counts(campaign: CampaignSchedule) -> None:
    row = fetched_in_turn(campaign, SOFT, {**SOFT, "StateID": 10})

    assert (row.bounce_class, row.bounce.state) == (BounceClass.TEMPORARY, 10)
    assert [each["state"] for each in row.bounce.earlier] == [3]


@pytest.mark.django_db
def test_a_delivery_after_a_bounce_counts_as_the_sign_of_life_it_is(campaign: CampaignSchedule) -> None:
    row = fetched_in_turn(campaign, HARD, {"Status": "opened"})

    assert (row.outcome, row.bounce_class) == (Outcome.DELIVERED, "")


@pytest.mark.django_db
def test_a_late_bounce_takes_a_delivery_back(campaign: CampaignSchedule) -> None:
    row = fetched_in_turn(campaign, SENT, HARD)

    assert (row.outcome, row.bounce.state) == (Outcome.BOUNCED, 1)


# --- Whom it went to ---------------------------------------------------------------------------------


@pytest.mark.django_db
def test_two_messages_to_one_contact_are_both_kept(campaign: CampaignSchedule) -> None:
    fetch(campaign, message(campaign, 1, contact_id=7, **HARD), message(campaign, 2, contact_id=7, **SENT))

    assert Contact.objects.get().pk == 7
    assert sorted(CampaignRecipient.objects.values_list("outcome", flat=True)) == ["bounced", "delivered"]


@pytest.mark.django_db
@pytest.mark.parametrize("email", ["", "no at sign", "7@domain.invalid", "7@DOMAIN.invalid"])
def test_an_unknown_contact_without_a_usable_address_is_kept_without_one(
    campaign: CampaignSchedule, email: str
) -> None:
    fetch(campaign, message(campaign, 7, ContactAlt=email, **HARD))

    contact = Contact.objects.get()
    assert (contact.pk, contact.email, contact.retired_at) == (7, None, NOON)
    assert contact.received.get().outcome == Outcome.BOUNCED
    assert not Contact.objects.mailable().exists()


@pytest.mark.django_db
def test_an_unknown_contact_gets_the_address_its_message_went_to(campaign: CampaignSchedule) -> None:
    fetch(campaign, message(campaign, 7, ContactAlt="Zoë+news@Bücher.example", **HARD))

    assert (Contact.objects.get().email, Contact.objects.get().domain) == (
        "Zoë+news@Bücher.example",
        "xn--bcher-kva.example",
    )


@pytest.mark.django_db
def test_an_unknown_contact_leaves_an_address_to_who_has_it_now(campaign: CampaignSchedule) -> None:
    factories.a_contact(id=8, email="İpek@Example.com")

    fetch(campaign, message(campaign, 7, ContactAlt="ipek@example.COM", **HARD))

    assert Contact.objects.get(pk=8).email == "İpek@Example.com"
    assert Contact.objects.get(pk=7).email is None


@pytest.mark.django_db
def test_of_two_unknown_contacts_with_one_address_the_newer_has_it(campaign: CampaignSchedule) -> None:
    fetch(
        campaign,
        message(campaign, 1, contact_id=8, ContactAlt="Kim@example.com", **HARD),
        message(campaign, 2, contact_id=7, ContactAlt="kim@example.com", **SENT),
    )

    assert dict(Contact.objects.values_list("pk", "email")) == {8: "Kim@example.com", 7: None}
    assert CampaignRecipient.objects.count() == 2


# --- Consent -----------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("standing", [SPAM, {**BLOCKED, "StateID": 21}, {**HARD, "StateID": 21}])
def test_a_complaint_is_remembered_at_once_and_for_ever(campaign: CampaignSchedule, standing: Row) -> None:
    fetched_in_turn(campaign, standing, SENT)

    assert Contact.objects.get().complained_at == NOON
    assert not Contact.objects.mailable().exists()


@pytest.mark.django_db
def test_an_opt_out_by_a_message_is_remembered_with_the_message(campaign: CampaignSchedule) -> None:
    fetched_in_turn(campaign, {"Status": "unsub"}, SENT)

    contact = Contact.objects.get()
    assert (contact.opted_out_at, contact.opted_out_by) == (NOON, f"message {BIG + 1}")


@pytest.mark.django_db
@pytest.mark.parametrize("standing", [SPAM, {"Status": "unsub"}])
def test_consent_withdrawn_under_an_older_id_holds_for_who_has_the_address_now(
    campaign: CampaignSchedule, standing: Row
) -> None:
    factories.a_contact(id=8, email="kim@example.com")

    fetch(campaign, message(campaign, 7, ContactAlt="KIM@example.com", **standing))

    assert not Contact.objects.mailable().exists()


# --- What goes wrong on the way ----------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(
    "wrong",
    [
        {"Status": "vanished"},
        {"StatePermanent": "perhaps"},
        {"ContactID": 0},
        {"ArrivedAt": "yesterday"},
        {"CampaignID": 1},
        {"ID": 1.5e18},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_malformed_message_is_refused_by_its_field_and_nothing_of_its_page_is_kept(
    campaign: CampaignSchedule, wrong: Row
) -> None:
    rows = [message(campaign, 1, **HARD), {**message(campaign, 2, **HARD), **wrong}]
    said = answer({"Count": 2, "Data": rows, "Total": 2})

    with saying(said) as mailjet, pytest.raises(MailjetAnswerInvalid) as refused:
        evidence.fetch(campaign, mailjet=mailjet, now=NOON)

    assert next(iter(wrong)) in str(refused.value)
    assert "@" not in str(refused.value)
    campaign.refresh_from_db()
    assert (CampaignRecipient.objects.count(), campaign.recipients_fetched_at) == (0, None)


@pytest.mark.django_db
def test_a_message_without_the_address_field_is_refused_by_name(campaign: CampaignSchedule) -> None:
    bare = message(campaign, 1)
    del bare["ContactAlt"]

    with pytest.raises(MailjetAnswerInvalid, match="ContactAlt"):
        fetch(campaign, bare)


@pytest.mark.django_db
def test_a_fetch_that_breaks_off_is_completed_by_the_next(campaign: CampaignSchedule) -> None:
    rows = [message(campaign, n, **(HARD if n == 1 else SENT)) for n in range(1, 1002)]
    fault = answer({"ErrorMessage": "boom"}, status=503)

    with saying(page(*rows[:1000]), fault) as mailjet, pytest.raises(MailjetUnavailable):
        evidence.fetch(campaign, mailjet=mailjet, now=NOON)
    campaign.refresh_from_db()
    assert (campaign.recipients.count(), campaign.recipients_fetched_at) == (1000, None)

    with saying(page(*rows[:1000]), page(rows[1000])) as mailjet:
        assert evidence.fetch(campaign, mailjet=mailjet, now=LATER) == 1001

    campaign.refresh_from_db()
    assert (campaign.recipients.count(), campaign.recipients_fetched_at) == (1001, LATER)
    assert Bounce.objects.count() == 1


@pytest.mark.django_db
def test_a_page_costs_the_same_few_queries_whatever_it_holds(campaign: CampaignSchedule) -> None:
    standings = [HARD, SOFT, SENT, SPAM, {"Status": "unsub"}]

    def queries(first: int, last: int) -> int:
        rows = [message(campaign, n, **standings[n % 5]) for n in range(first, last)]
        with CaptureQueriesContext(connection) as asked:
            fetch(campaign, *rows)
        return len(asked)

    assert queries(1, 11) == queries(11, 211) <= 25
