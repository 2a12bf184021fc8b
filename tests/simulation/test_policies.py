"""Others stop mailing when their own documentation says so, and not before."""

from __future__ import annotations

from itertools import count

import pytest

from listmanagement.domain.bounces import Outcome
from listmanagement.simulation.mail import Report
from listmanagement.simulation.policies import OTHERS

numbers = count(1)


def a_report(word: str, *, day: float) -> Report:
    """`hard1`: a hard failure with Mailjet's state 1; `soft12`; `blocked`; `click`; `ok`."""
    number = next(numbers)
    outcome, state, permanent = Outcome.DELIVERED, None, False
    if word.startswith(("hard", "soft")):
        outcome, state, permanent = Outcome.BOUNCED, int(word[4:]), word.startswith("hard")
    elif word == "blocked":
        outcome, state, permanent = Outcome.NOT_ATTEMPTED, 14, True
    return Report(
        message_id=number, contact_id=7, domain="company.test", cycle=number, campaign=number, sent_at=day,
        at=day, heard_at=day, outcome=outcome, state=state, permanent=permanent,
        clicked_at=day + 0.2 if word == "click" else None,
    )  # fmt: skip


def stops_after(name: str, words: str, *, days: float = 14) -> int | None:
    """How many of these messages it takes until nobody is mailed any more; None: they all go out."""
    policy = OTHERS[name]()
    for n, word in enumerate(words.split()):
        policy.hear(a_report(word, day=n * days))
        policy.wake(n * days + 1)
        if policy.suppressed:
            return n + 1
    return None


@pytest.mark.parametrize(
    ("name", "words", "stops"),
    [
        ("mailjet-alone", "hard1 hard1 hard1 hard1", None),
        ("hard-now-soft-three", "ok hard1", 2),
        ("hard-now-soft-three", "soft3", 1),
        ("hard-now-soft-three", "soft5", 1),
        ("hard-now-soft-three", "soft12 soft12 soft12", 3),
        ("hard-now-soft-three", "soft12 soft12 ok soft12", None),
        ("listmonk", "soft1 soft1 hard9", 3),
        ("listmonk-hard-2", "hard1 ok hard1", 3),
        ("phplist", "soft1 hard1 soft1 hard1 soft1", 5),
        ("phplist", "hard1 hard1 hard1 hard1 ok hard1", None),
        ("phplist-3", "hard1 blocked hard1 hard1", 4),
        ("mailchimp", "soft1 soft1 soft1 soft1 soft1 soft1 soft1", 7),
        ("mailchimp", "click soft1 soft1 soft1 soft1 soft1 soft1 soft1 soft1", None),
        ("mailchimp", "click hard1", 2),
        ("mailgun", "hard9 soft1 hard5", 3),
        ("mailgun", "hard3 hard6", None),
        ("civicrm", "soft1", 1),
        ("civicrm", "soft2", 1),
        ("civicrm", "soft12 hard3 soft12 soft12", 4),
        ("civicrm", "soft13 soft13 soft13", None),
        ("keila", "soft12 ok soft12 ok soft12", 5),
        ("keila", "soft12 ok ok ok ok soft12 soft12", None),
        ("salesforce", "hard1 hard1 hard1", 3),
        ("salesforce", "hard1 hard1 ok hard1", None),
        ("discourse", "hard1 soft1", None),
    ],
)
def test_each_stops_where_its_documentation_says(name: str, words: str, stops: int | None) -> None:
    assert stops_after(name, words) == stops


def test_mailman_needs_bounces_on_five_days_that_are_not_a_week_apart() -> None:
    assert stops_after("mailman-3", "hard1 " * 20, days=14) is None
    assert stops_after("mailman-3", "hard1 " * 20, days=2) == 5
    assert stops_after("mailman-3", "soft1 " * 20, days=2) is None


def test_sympa_needs_ten_bounces_over_ten_days_and_most_messages_bounced() -> None:
    assert stops_after("sympa", "hard1 " * 20) == 10
    assert stops_after("sympa", "hard1 ok " * 20) is None
    assert stops_after("sympa", "hard1 " * 30, days=0.5) == 21


def test_discourse_stops_at_four_points_for_thirty_days() -> None:
    policy = OTHERS["discourse"]()
    for day in (0, 14, 28):
        policy.hear(a_report("hard1", day=day))
    assert policy.suppressed == {7}

    policy.wake(57)
    assert policy.suppressed == {7}
    policy.wake(58)
    assert policy.suppressed == set()


def test_postal_mails_again_after_thirty_days() -> None:
    policy = OTHERS["postal"]()
    policy.hear(a_report("hard1", day=0))
    assert policy.suppressed == {7}

    policy.wake(30)
    assert policy.suppressed == set()
