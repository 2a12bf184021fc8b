"""Mailjet's states, permanence, the server's words and "blocked", read as classes."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listmanagement.domain.bounces import LONGEST_TEXT, BounceClass, Event, Outcome, classify

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("state", "permanent", "expected"),
    [
        (1, True, BounceClass.RECIPIENT_GONE),
        (1, False, BounceClass.RECIPIENT_GONE_SOFT),
        (2, True, BounceClass.INACTIVE),
        (2, False, BounceClass.INACTIVE),
        (3, True, BounceClass.MAILBOX_FULL),
        (3, False, BounceClass.MAILBOX_FULL),
        (4, True, BounceClass.DOMAIN_GONE),
        (5, False, BounceClass.DOMAIN_GONE),
        (6, True, BounceClass.TEMPORARY),
        (6, False, BounceClass.TEMPORARY),
        *[(state, True, BounceClass.SENDER_SIDE) for state in (7, 8, 9, 16, 17, 18)],
        *[(state, False, BounceClass.SENDER_SIDE) for state in (7, 8, 9, 16, 17, 18)],
        *[(state, False, BounceClass.TEMPORARY) for state in (10, 11, 12)],
        (12, True, BounceClass.TEMPORARY),
        (13, False, BounceClass.GREYLISTED),
        (13, True, BounceClass.GREYLISTED),
        (14, True, BounceClass.NOT_ATTEMPTED),
        (15, False, BounceClass.DUPLICATE),
        (19, True, BounceClass.MISTYPED),
        (20, True, BounceClass.REFUSED),
        (21, False, BounceClass.COMPLAINT),
        (None, True, BounceClass.UNKNOWN),
        (None, False, BounceClass.TEMPORARY),
        (99, True, BounceClass.UNKNOWN),
        (99, False, BounceClass.TEMPORARY),
    ],
)
def test_a_bounce_without_text_is_classed_by_state_and_permanence(state, permanent, expected):
    assert classify(state, permanent=permanent) is expected


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        *[(state, BounceClass.NOT_ATTEMPTED) for state in (None, 1, 2, 3, 4, 5, 6, 10, 11, 12, 13, 14, 99)],
        *[(state, BounceClass.SENDER_SIDE) for state in (7, 8, 9, 16, 17, 18)],
        (15, BounceClass.DUPLICATE),
        (19, BounceClass.MISTYPED),
        (20, BounceClass.REFUSED),
        (21, BounceClass.COMPLAINT),
    ],
)
def test_a_blocked_message_says_only_what_mailjet_itself_knows(state, expected):
    assert classify(state, permanent=True, attempted=False) is expected
    assert classify(state, permanent=False, attempted=False) is expected


@pytest.mark.parametrize(
    "text",
    [
        "550 5.1.1 <ada@example.com>: Recipient address rejected: User unknown in virtual mailbox table",
        "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup",
        "550 5.4.1 [ada@example.com]: Recipient address rejected: Access denied. AS(201806281)",
    ],
)
def test_relay_denied_whose_text_rejects_the_recipient_is_about_the_recipient(text):
    assert classify(6, permanent=True, server_text=text) is BounceClass.RECIPIENT_REJECTED


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "550 relaying denied",
        "550 5.7.1 Relaying denied",
        "454 4.7.1 Relay access denied",
        "451 4.1.1 try again",
        "550 5.4.1 no answer from host",
        "550 5.1.8 Sender address rejected: Domain not found",
        "550 5.1.1 refused, client host listed at zen.spamhaus.org",
    ],
)
def test_relay_denied_for_any_other_reason_is_temporary(text):
    assert classify(6, permanent=True, server_text=text) is BounceClass.TEMPORARY


@pytest.mark.parametrize(
    "text",
    [
        "550 5.7.1 Message refused by policy",
        "554 5.7.606 Access denied, banned sending IP",
        "550 Service unavailable; Client host blocked using Spamhaus",
        "550 your address is on our blacklist",
        "550 5.1.7 Sender address has invalid syntax",
        "552 5.2.2 mailbox over quota",
        "450 4.1.1 user unknown, try again later",
    ],
)
def test_user_unknown_whose_text_is_about_something_else_is_conflicting(text):
    assert classify(1, permanent=True, server_text=text) is BounceClass.CONFLICTING


@pytest.mark.parametrize(
    "text",
    [
        "550 5.1.1 The email account that you tried to reach does not exist",
        "550-5.1.1 user unknown at mx1 [198.51.7.1], see https://example.com/5.7.1.9",
        "550 No such user (Exim 4.94.2)",
        "550 user unknown (in reply to RCPT from 5.7.1.9)",
        "550 no mailbox for spamcop@example.com",
        "550 Invalid Recipient - https://community.mimecast.com/docs/DOC-1369#550",
        "   ",
    ],
)
def test_user_unknown_whose_text_agrees_stays_recipient_gone(text):
    assert classify(1, permanent=True, server_text=text) is BounceClass.RECIPIENT_GONE


def test_a_soft_user_unknown_with_a_temporary_code_does_not_conflict():
    text = "450 4.1.1 unverified address"

    assert classify(1, permanent=False, server_text=text) is BounceClass.RECIPIENT_GONE_SOFT


@pytest.mark.parametrize("filling", ["x", "x@", "x.", "5.1.1 ", "<", "recipient "])
def test_a_text_as_long_as_a_book_is_classed_by_its_beginning(filling):
    book = "550 5.7.1 blocked " + filling * (1_000_000 // len(filling))

    assert classify(1, permanent=True, server_text=book) is BounceClass.CONFLICTING


def test_what_stands_behind_the_longest_reply_is_not_read():
    early, late = (" " * n + "550 5.7.1 blocked" for n in (LONGEST_TEXT - 20, LONGEST_TEXT))

    assert classify(1, permanent=True, server_text=early) is BounceClass.CONFLICTING
    assert classify(1, permanent=True, server_text=f"550{late}") is BounceClass.RECIPIENT_GONE


@pytest.mark.parametrize("address", ["a@5.7.1", "<a@5.7.1>", "x 5.7.1@acme.test", "@a@ 5.7.1@x"])
def test_a_code_in_an_address_is_none(address):
    assert classify(1, permanent=True, server_text=f"550 {address} unknown") is BounceClass.RECIPIENT_GONE


@pytest.mark.parametrize("state", [2, 3])
def test_a_policy_refusal_under_a_mailbox_state_is_conflicting(state):
    assert classify(state, permanent=False, server_text="550 5.7.1 blocked") is BounceClass.CONFLICTING


@pytest.mark.parametrize("state", [4, 5, 8, 10, 13, 20, 21, None])
def test_a_policy_refusal_changes_no_class_that_is_not_about_the_mailbox(state):
    plain = classify(state, permanent=True)

    assert classify(state, permanent=True, server_text="550 5.7.1 blocked") is plain


@given(
    state=st.none() | st.integers(-5, 60),
    permanent=st.booleans(),
    text=st.none() | st.text(max_size=80),
    attempted=st.booleans(),
)
def test_every_report_has_a_class_and_text_alone_never_makes_recipient_gone(
    state, permanent, text, attempted
):
    found = classify(state, permanent=permanent, server_text=text, attempted=attempted)

    assert isinstance(found, BounceClass)
    if found is BounceClass.RECIPIENT_GONE:
        assert (state, permanent, attempted) == (1, True, True)


def event(outcome, bounce, **facts):
    return Event(1, 123, 7, NOON, NOON, outcome, bounce, **facts)


@pytest.mark.parametrize("outcome", [Outcome.BOUNCED, Outcome.NOT_ATTEMPTED])
def test_a_failure_without_a_class_is_refused_with_its_message(outcome):
    with pytest.raises(ValueError, match=r"message 1 .*classify it first"):
        event(outcome, None)


def test_a_complaint_after_delivery_failed_as_a_complaint():
    assert event(Outcome.COMPLAINED, None).failed_as is BounceClass.COMPLAINT


@pytest.mark.parametrize("outcome", [Outcome.DELIVERED, Outcome.OPEN])
def test_what_was_delivered_or_is_open_has_not_failed_whatever_was_reported_before(outcome):
    assert event(outcome, BounceClass.TEMPORARY).failed_as is None


def test_only_what_was_tried_can_fail_hard_or_in_a_hold():
    bounced = event(Outcome.BOUNCED, BounceClass.RECIPIENT_GONE, permanent=True, domain_held=True)
    blocked = event(Outcome.NOT_ATTEMPTED, BounceClass.REFUSED, permanent=True, domain_held=True)
    preblocked_bounce = event(Outcome.BOUNCED, BounceClass.NOT_ATTEMPTED, permanent=True)

    assert (bounced.was_tried, bounced.is_hard, bounced.failed_in_a_hold) == (True, True, True)
    assert (blocked.was_tried, blocked.is_hard, blocked.failed_in_a_hold) == (False, False, False)
    assert (preblocked_bounce.was_tried, preblocked_bounce.is_hard) == (False, False)
