"""Stored events become evidence: once, whenever they come, and opt-outs and complaints at once."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from listmanagement.domain.bounces import BounceClass, Outcome
from listmanagement.domain.cycle import RoundStatus
from listmanagement.models import (
    Bounce,
    CampaignRecipient,
    CampaignSchedule,
    Contact,
    EventStatus,
    WebhookEvent,
)
from listmanagement.workflows import events
from tests import factories
from tests.factories import NOON

SENT_AT = NOON - timedelta(hours=31)
BIG = 2**60

HARD = {"event": "bounce", "hard_bounce": True, "error_related_to": "recipient", "error": "user unknown"}
FULL = {"event": "bounce", "hard_bounce": False, "error_related_to": "recipient", "error": "quota exceeded"}
GREY = {"event": "bounce", "hard_bounce": False, "error": "greylisted", "blocked": True}
PREBLOCKED = {"event": "blocked", "error_related_to": "mailjet", "error": "preblocked"}
SPAM = {"event": "spam", "source": "JMRPP"}
SENT = {"event": "sent", "smtp_reply": "250 2.0.0 OK"}
UNSUB = {"event": "unsub", "mj_list_id": 10503497}


@pytest.fixture
def campaign(db: None) -> CampaignSchedule:
    return factories.a_campaign(list=factories.the_rotation().campaign[0], mailjet_campaign_id=52_001)


def event(what: dict[str, Any], *, minutes: float = 0, n: int = 1, **fields: Any) -> dict[str, Any]:
    """It happened to the n-th message, so many minutes after the send began."""
    return {
        "time": int((SENT_AT + timedelta(minutes=minutes)).timestamp()),
        "MessageID": BIG + n,
        "email": f"contact-{n}@example.com",
        "mj_campaign_id": 52_001,
        "mj_contact_id": n,
        **what,
        **fields,
    }


def told(*these: dict[str, Any], now: datetime = NOON) -> int:
    """Told in one request, and processed."""
    events.store(json.dumps(these).encode(), now=now)
    return events.process(now=now)


def at(minutes: float) -> datetime:
    return SENT_AT + timedelta(minutes=minutes)


# --- What each kind says -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "outcome", "bounce", "state"),
    [
        (SENT, Outcome.DELIVERED, "", None),
        (HARD, Outcome.BOUNCED, BounceClass.RECIPIENT_GONE, 1),
        ({**HARD, "hard_bounce": "true"}, Outcome.BOUNCED, BounceClass.RECIPIENT_GONE, 1),
        ({**HARD, "hard_bounce": 1}, Outcome.BOUNCED, BounceClass.RECIPIENT_GONE, 1),
        ({**HARD, "hard_bounce": "false"}, Outcome.BOUNCED, BounceClass.RECIPIENT_GONE_SOFT, 1),
        ({**HARD, "hard_bounce": ""}, Outcome.BOUNCED, BounceClass.RECIPIENT_GONE_SOFT, 1),
        ({**HARD, "error": "User Unknown"}, Outcome.BOUNCED, BounceClass.RECIPIENT_GONE, 1),
        ({"event": "bounce", "error": "mailbox inactive"}, Outcome.BOUNCED, BounceClass.INACTIVE, 2),
        ({**HARD, "comment": "550 5.7.1 listed"}, Outcome.BOUNCED, BounceClass.CONFLICTING, 1),
        (FULL, Outcome.BOUNCED, BounceClass.MAILBOX_FULL, 3),
        (GREY, Outcome.OPEN, "", None),
        ({**GREY, "hard_bounce": True}, Outcome.BOUNCED, BounceClass.GREYLISTED, 13),
        ({"event": "bounce", "hard_bounce": True}, Outcome.BOUNCED, BounceClass.UNKNOWN, None),
        (PREBLOCKED, Outcome.NOT_ATTEMPTED, BounceClass.NOT_ATTEMPTED, 14),
        ({**PREBLOCKED, "error": "typofix"}, Outcome.NOT_ATTEMPTED, BounceClass.MISTYPED, 19),
        ({**PREBLOCKED, "error": "blacklisted"}, Outcome.NOT_ATTEMPTED, BounceClass.REFUSED, 20),
        ({**PREBLOCKED, "error": "duplicate in campaign"}, Outcome.NOT_ATTEMPTED, BounceClass.DUPLICATE, 15),
        ({**PREBLOCKED, "error": "spam preblocked"}, Outcome.NOT_ATTEMPTED, BounceClass.SENDER_SIDE, 16),
        (
            {**PREBLOCKED, "error": "bad or empty template"},
            Outcome.NOT_ATTEMPTED,
            BounceClass.SENDER_SIDE,
            17,
        ),
        (SPAM, Outcome.COMPLAINED, BounceClass.COMPLAINT, 21),
        ({"event": "click", "url": "https://example.com/"}, Outcome.OPEN, "", None),
    ],
    ids=str,
)
def test_an_event_says_how_its_message_ended(
    campaign: CampaignSchedule, what: dict[str, Any], outcome: Outcome, bounce: str, state: int | None
) -> None:
    told(event(what, minutes=3))

    row = CampaignRecipient.objects.get()
    assert (row.message_id, row.campaign, row.contact_id) == (BIG + 1, campaign, 1)
    assert (row.outcome, row.bounce_class, row.sent_at) == (outcome, bounce, campaign.started_at)
    assert Bounce.objects.filter(recipient=row, state=state, at=at(3)).exists() == bool(bounce)
    assert (row.outcome_at == at(3)) == (outcome is not Outcome.OPEN)
    kept = WebhookEvent.objects.get()
    assert (kept.status, kept.processed_at, kept.happened_at) == (EventStatus.DONE, NOON, at(3))
    assert (kept.message_id, kept.mailjet_campaign_id) == (BIG + 1, 52_001)


def test_an_opening_is_stored_and_nothing_else(campaign: CampaignSchedule) -> None:
    told(event({"event": "open", "ip": "192.0.2.7"}))

    assert WebhookEvent.objects.get().status == EventStatus.DONE
    assert not CampaignRecipient.objects.exists()


def test_an_error_that_mailjets_table_does_not_have_counts_unclassified_and_waits_for_a_person(
    campaign: CampaignSchedule,
) -> None:
    told(event({**HARD, "error": "mailbox on fire"}))

    assert CampaignRecipient.objects.get().bounce_class == BounceClass.UNKNOWN
    kept = WebhookEvent.objects.get()
    assert (kept.status, "unclassified" in kept.problem, "fire" in kept.problem) == (
        EventStatus.REVIEW,
        True,
        False,
    )


def test_the_servers_own_words_come_with_the_event(campaign: CampaignSchedule) -> None:
    told(event({**HARD, "comment": "550 5.1.1 no such user"}))

    assert Bounce.objects.get().server_text == "550 5.1.1 no such user"


def test_a_sweep_by_hand_processes_what_was_told(campaign: CampaignSchedule) -> None:
    events.store(json.dumps([event(HARD), event(SENT, n=2)]).encode(), now=NOON)
    said = StringIO()

    call_command("sweep", stdout=said)

    assert said.getvalue().startswith("processed events: 2\n")
    assert CampaignRecipient.objects.count() == 2


# --- Order and repetition ----------------------------------------------------------------------------


def test_what_is_told_late_twice_and_in_disorder_ends_the_same(campaign: CampaignSchedule) -> None:
    a_life = [event(GREY), event(FULL, minutes=5), event(SENT, minutes=9), event(SPAM, minutes=60)]
    for each in reversed(a_life):
        told(each, each)
    assert told(*a_life) == 0, "all of that was told"

    row = CampaignRecipient.objects.get()
    assert (row.outcome, row.outcome_at, row.delivered_at) == (Outcome.COMPLAINED, at(60), at(9))
    assert [each["state"] for each in row.bounce.earlier] == [3]
    assert WebhookEvent.objects.count() == 4


@pytest.mark.django_db(transaction=True)
def test_two_workers_process_each_event_once() -> None:
    factories.a_campaign(list=factories.the_rotation().campaign[0], mailjet_campaign_id=52_001)
    many = [event(HARD if n % 3 else SPAM, n=n) for n in range(1, 2501)]
    events.store(json.dumps(many).encode(), now=NOON)
    counts: list[int] = []

    def work() -> None:
        try:
            counts.append(events.process(now=NOON))
        finally:
            connections.close_all()

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert sum(counts) == 2500
    assert CampaignRecipient.objects.count() == Bounce.objects.count() == 2500
    assert Contact.objects.filter(complained_at__isnull=False).count() == 833


def test_a_batch_costs_the_same_few_statements_whatever_it_holds(campaign: CampaignSchedule) -> None:
    def statements(first: int, last: int) -> int:
        kinds = [SENT, HARD, FULL, SPAM, UNSUB, {"event": "click", "url": "x"}]
        many = [event(kinds[n % 6], n=n, minutes=n % 7) for n in range(first, last)]
        events.store(json.dumps(many).encode(), now=NOON)
        with CaptureQueriesContext(connection) as asked:
            events.process(now=NOON)
        return len(asked)

    assert statements(1, 13) == statements(13, 613) <= 35


def test_what_postgresql_refuses_is_set_aside_and_the_rest_goes_on(campaign: CampaignSchedule) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "alter table listmanagement_campaignrecipient"
            f" add constraint a_test_refuses check (message_id <> {BIG + 7})"
        )

    assert told(*[event(HARD, n=n) for n in range(1, 20)]) == 19

    assert CampaignRecipient.objects.count() == 18
    kept = WebhookEvent.objects.for_review().get()
    assert (json.loads(kept.body)["MessageID"], kept.problem) == (
        BIG + 7,
        "the database refused what it says",
    )


@pytest.mark.parametrize("what", [HARD, UNSUB, SPAM], ids=lambda what: str(what["event"]))
def test_half_of_a_surrogate_pair_in_an_address_keeps_no_other_event_waiting(
    campaign: CampaignSchedule, what: dict[str, Any]
) -> None:
    told(event(what, email="kim\ud800@example.com"), event(UNSUB, n=2))

    assert not WebhookEvent.objects.unprocessed().exists()
    assert Contact.objects.get(pk=2).opted_out_at == NOON


def test_a_batch_that_breaks_off_is_taken_again(campaign: CampaignSchedule) -> None:
    events.store(json.dumps([event(HARD)]).encode(), now=NOON)
    with transaction.atomic():
        events.process(now=NOON)
        transaction.set_rollback(True)
    assert not CampaignRecipient.objects.exists()

    assert events.process(now=NOON) == 1
    assert CampaignRecipient.objects.get().outcome == Outcome.BOUNCED


# --- Campaigns that are not known yet ----------------------------------------------------------------


def test_events_wait_for_their_campaign_and_then_count(db: None) -> None:
    first_list = factories.the_rotation().campaign[0]
    told(event(HARD), event(SENT, n=2), event(SPAM, n=3))

    assert set(WebhookEvent.objects.values_list("status", flat=True)) == {EventStatus.WAITING}
    assert not CampaignRecipient.objects.exists()
    assert Contact.objects.get(complained_at=NOON).pk == 3, "a complaint does not wait"
    assert events.process(now=NOON) == 0

    campaign = factories.a_campaign(
        list=first_list, mailjet_campaign_id=52_001, status=RoundStatus.SENDING, started_at=SENT_AT
    )
    assert events.process(now=NOON) == 3

    ends = dict(CampaignRecipient.objects.values_list("contact_id", "outcome"))
    assert ends == {1: Outcome.BOUNCED, 2: Outcome.DELIVERED, 3: Outcome.COMPLAINED}
    campaign.refresh_from_db()
    assert campaign.first_event_at == NOON


def test_an_event_that_names_no_message_is_a_persons_to_see_but_consent_counts(
    campaign: CampaignSchedule,
) -> None:
    told(event(HARD, MessageID=0), event(UNSUB, MessageID=0))

    problems = set(WebhookEvent.objects.for_review().values_list("problem", flat=True))
    assert problems == {"it does not say which message it is about"}
    assert not CampaignRecipient.objects.exists()
    assert Contact.objects.get(opted_out_at=NOON).opted_out_by == "an event without a message"


# --- Consent -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("campaign_id", [52_001, 777, 0, ""])
def test_an_opt_out_counts_at_once_whatever_the_message_was(
    campaign: CampaignSchedule, campaign_id: int | str
) -> None:
    factories.a_contact(id=1, email="contact-1@example.com")

    told(event(UNSUB, mj_campaign_id=campaign_id))

    contact = Contact.objects.get()
    assert (contact.opted_out_at, contact.opted_out_by) == (NOON, f"message {BIG + 1}")


@pytest.mark.parametrize(
    "what", [SPAM, {**PREBLOCKED, "error": "spam reporter"}, {**HARD, "error": "Spam Reporter"}]
)
@pytest.mark.parametrize("campaign_id", [52_001, 777, 0])
def test_a_complaint_counts_at_once_whatever_the_message_was(
    campaign: CampaignSchedule, what: dict[str, Any], campaign_id: int
) -> None:
    told(event(what, mj_campaign_id=campaign_id))

    contact = Contact.objects.get()
    assert (contact.complained_at, contact.complained_by) == (NOON, f"message {BIG + 1}")
    assert CampaignRecipient.objects.exists() == (campaign_id == 52_001)


def test_of_transactional_mail_nothing_else_counts(campaign: CampaignSchedule) -> None:
    told(*[event(what, n=n, mj_campaign_id=0) for n, what in enumerate([SENT, HARD, FULL, PREBLOCKED], 1)])

    assert set(WebhookEvent.objects.values_list("status", flat=True)) == {EventStatus.DONE}
    assert not CampaignRecipient.objects.exists()
    assert not Contact.objects.exists()


def test_what_was_said_first_stays(campaign: CampaignSchedule) -> None:
    factories.a_contact(id=1, opted_out_at=SENT_AT, opted_out_by="list 10503497")

    told(event(UNSUB))
    told(event(UNSUB, minutes=9))

    assert Contact.objects.get().opted_out_by == "list 10503497"


def test_consent_withdrawn_under_an_older_id_holds_for_who_has_the_address_now(
    campaign: CampaignSchedule,
) -> None:
    factories.a_contact(id=8, email="Kim@example.com")

    told(event(UNSUB, mj_contact_id=7, email="kim@EXAMPLE.com"))

    assert Contact.objects.filter(opted_out_at=NOON).count() == 2


@pytest.mark.parametrize("campaign_id", [52_001, 0])
def test_without_a_contacts_id_the_address_says_who_it_is(
    campaign: CampaignSchedule, campaign_id: int
) -> None:
    known = factories.a_contact(email="Kim@example.com")

    told(
        event(UNSUB, mj_contact_id=0, email="KIM@example.com", mj_campaign_id=campaign_id),
        event(SPAM, n=2, mj_contact_id="", email="nobody@example.com", mj_campaign_id=campaign_id),
    )

    assert Contact.objects.get().opted_out_at == NOON
    assert known.pk == Contact.objects.get().pk
    assert WebhookEvent.objects.for_review().get().problem == "it names nobody who is known here"


# --- Signs of life -----------------------------------------------------------------------------------


def click(minutes: float, *, n: int = 1, url: str = "https://example.com/a") -> dict[str, Any]:
    return event({"event": "click", "url": url}, minutes=minutes, n=n)


def test_a_persons_click_is_a_sign_of_life_whether_the_delivery_was_told_or_not(
    campaign: CampaignSchedule,
) -> None:
    told(click(2), click(3))
    assert CampaignRecipient.objects.get().first_life_at == at(2)

    told(event(SENT, minutes=1.5))
    assert CampaignRecipient.objects.get().first_life_at == at(3), "the first came too soon after it"


def test_a_burst_takes_a_sign_of_life_back(campaign: CampaignSchedule) -> None:
    told(event(SENT), click(5))
    assert CampaignRecipient.objects.get().first_life_at == at(5)

    told(click(5.1, url="https://example.com/b"))
    assert CampaignRecipient.objects.get().first_life_at is None

    told(click(90))
    assert CampaignRecipient.objects.get().first_life_at == at(90)


def test_a_sign_of_life_outlasts_the_events_that_told_it(campaign: CampaignSchedule) -> None:
    told(event(SENT), click(5))
    WebhookEvent.objects.all().delete()

    told(click(60 * 24 * 120))

    assert CampaignRecipient.objects.get().first_life_at == at(5)


def test_times_are_utc(campaign: CampaignSchedule) -> None:
    told(event(SENT, time=1772366400))

    assert CampaignRecipient.objects.get().delivered_at == datetime(2026, 3, 1, 12, tzinfo=UTC)
