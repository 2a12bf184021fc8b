"""People decide: who may, what is refused and in which words, and that of two at once one decides."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from listmanagement.models import (
    AuditEntry,
    Decision,
    DecisionItem,
    DecisionStatus,
    ItemStatus,
    RunStatus,
    Trigger,
)
from listmanagement.workflows.by_people import review
from listmanagement.workflows.by_people.refusals import NotAllowed
from tests import factories
from tests.factories import NOON
from tests.workflows.scene import together

Deed = Callable[[Decision, User], object]


def approve(decision: Decision, by: User) -> object:
    return review.approve(decision.pk, by=by, now=NOON)


def reject(decision: Decision, by: User) -> object:
    return review.reject(decision.pk, by=by, now=NOON, why="not these")


def take_out(decision: Decision, by: User) -> object:
    return review.take_out(decision.pk, contacts=contacts_of(decision)[:1], by=by, now=NOON)


def put_back(decision: Decision, by: User) -> object:
    return review.put_back(decision.pk, contacts=contacts_of(decision)[:1], by=by, now=NOON)


DEEDS = pytest.mark.parametrize("deed", [approve, reject, take_out, put_back])


def of_three(**columns: Any) -> Decision:
    """An open decision about three contacts."""
    decision = factories.a_decision(**columns)
    group = factories.a_group(decision=decision, contacts=3)
    for _ in range(3):
        factories.an_item(group=group)
    return decision


def contacts_of(decision: Decision) -> list[int]:
    return list(decision.items.order_by("position").values_list("contact_id", flat=True))


def left(decision: Decision) -> list[int]:
    proposed = decision.items.filter(status=ItemStatus.PROPOSED).order_by("position")
    return list(proposed.values_list("contact_id", flat=True))


# --- Yes and no --------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_an_approval_names_who_and_when_and_stands_in_the_trail() -> None:
    decision, robin = of_three(), factories.a_reviewer("robin")

    review.approve(decision.pk, by=robin, now=NOON, note="looked at all")

    decision.refresh_from_db()
    assert (decision.status, decision.reviewed_by, decision.reviewed_at, decision.note) == (
        DecisionStatus.APPROVED,
        robin,
        NOON,
        "looked at all",
    )
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action, entry.subject_kind, entry.subject_id, entry.at) == (
        "robin",
        "approved",
        "decision",
        decision.pk,
        NOON,
    )
    assert entry.details == {"note": "looked at all"}


@pytest.mark.django_db
def test_a_rejection_keeps_its_reason() -> None:
    decision = of_three()

    review.reject(decision.pk, by=factories.a_reviewer("robin"), now=NOON, why="  a fair last week ")

    decision.refresh_from_db()
    assert (decision.status, decision.note) == (DecisionStatus.REJECTED, "a fair last week")
    assert AuditEntry.objects.get().details == {"note": "a fair last week"}
    assert len(left(decision)) == 3


@pytest.mark.django_db
@pytest.mark.parametrize("why", ["", "   ", "\n\t"])
def test_a_rejection_without_a_reason_is_refused(why: str) -> None:
    decision = of_three()

    with pytest.raises(NotAllowed, match="a rejection needs a reason"):
        review.reject(decision.pk, by=factories.a_reviewer(), now=NOON, why=why)

    decision.refresh_from_db()
    assert decision.status == DecisionStatus.OPEN
    assert not AuditEntry.objects.exists()


# --- Taking out and putting back ---------------------------------------------------------------------


@pytest.mark.django_db
def test_who_is_taken_out_stays_out_with_a_reason_until_put_back() -> None:
    decision, robin = of_three(), factories.a_reviewer("robin")
    first, second, third = contacts_of(decision)

    assert review.take_out(decision.pk, contacts=[first, second], by=robin, now=NOON) == 2
    assert left(decision) == [third]
    assert decision.items.get(contact=first).why == "taken out by robin"

    assert review.put_back(decision.pk, contacts=[second], by=robin, now=NOON) == 1
    assert left(decision) == [second, third]
    assert decision.items.get(contact=second).why == ""
    assert [(e.action, e.details["contacts"]) for e in AuditEntry.objects.order_by("pk")] == [
        ("contacts taken out", [first, second]),
        ("contacts put back", [second]),
    ]


@pytest.mark.django_db
def test_the_last_ones_are_not_taken_out_but_rejected() -> None:
    decision, robin = of_three(), factories.a_reviewer()
    review.take_out(decision.pk, contacts=contacts_of(decision)[:1], by=robin, now=NOON)

    with pytest.raises(NotAllowed, match="nobody would be left: reject the decision instead"):
        review.take_out(decision.pk, contacts=contacts_of(decision), by=robin, now=NOON)

    assert len(left(decision)) == 2


@pytest.mark.django_db
def test_contacts_of_another_decision_are_neither_taken_out_nor_put_back() -> None:
    decision, other, robin = of_three(), of_three(), factories.a_reviewer()
    strangers = contacts_of(other)
    review.take_out(other.pk, contacts=strangers[:1], by=robin, now=NOON)

    with pytest.raises(NotAllowed, match="none of these contacts is still proposed"):
        review.take_out(decision.pk, contacts=strangers, by=robin, now=NOON)
    with pytest.raises(NotAllowed, match="none of these contacts was taken out"):
        review.put_back(decision.pk, contacts=strangers, by=robin, now=NOON)

    assert (len(left(decision)), len(left(other))) == (3, 2)
    assert AuditEntry.objects.count() == 1


@pytest.mark.django_db
def test_taking_out_twice_is_refused_the_second_time() -> None:
    decision, robin = of_three(), factories.a_reviewer()
    take_out(decision, robin)

    with pytest.raises(NotAllowed, match="still proposed"):
        take_out(decision, robin)


# --- Refused -----------------------------------------------------------------------------------------


@pytest.mark.django_db
@DEEDS
def test_who_may_only_look_decides_nothing(deed: Deed) -> None:
    decision = of_three()

    with pytest.raises(NotAllowed, match=rf"^decision {decision.pk}: sam may look, but not decide"):
        deed(decision, factories.a_viewer("sam"))

    assert (len(left(decision)), AuditEntry.objects.count()) == (3, 0)


@pytest.mark.django_db
@DEEDS
def test_who_has_left_decides_nothing(deed: Deed) -> None:
    with pytest.raises(NotAllowed, match="may look, but not decide"):
        deed(of_three(), factories.a_reviewer(is_active=False))


@pytest.mark.django_db
@DEEDS
@pytest.mark.parametrize(
    ("status", "words"),
    [
        (DecisionStatus.APPROVED, "sam approved it already, on 02 March 2026 at 12:00 UTC"),
        (DecisionStatus.REJECTED, "sam rejected it already"),
        (DecisionStatus.EXPIRED, "nobody decided in time, it expired"),
        (DecisionStatus.OBSERVED, "it is only observed"),
        (DecisionStatus.CLEAR, "execute by itself"),
        (DecisionStatus.DRAFT, "still being prepared"),
    ],
)
def test_what_is_decided_stays_decided(deed: Deed, status: DecisionStatus, words: str) -> None:
    reviewed = {"reviewed_by": factories.a_reviewer("sam")} if status in ("approved", "rejected") else {}
    decision = of_three(status=status, **reviewed)

    with pytest.raises(NotAllowed, match=words):
        deed(decision, factories.a_reviewer())

    decision.refresh_from_db()
    assert (decision.status, AuditEntry.objects.count()) == (status, 0)


@pytest.mark.django_db
@DEEDS
def test_a_decision_whose_time_is_over_is_not_decided_though_no_sweep_has_come_by(deed: Deed) -> None:
    decision = of_three(deadline=NOON)

    with pytest.raises(NotAllowed, match="expired at 02 March 2026 12:00 UTC and is judged afresh"):
        deed(decision, factories.a_reviewer())


@pytest.mark.django_db
def test_a_moment_before_its_time_is_over_it_is_decided() -> None:
    decision = of_three(deadline=NOON + timedelta(microseconds=1))

    assert review.approve(decision.pk, by=factories.a_reviewer(), now=NOON).status == DecisionStatus.APPROVED


@pytest.mark.django_db
def test_a_decision_that_does_not_exist_is_refused_by_its_number() -> None:
    with pytest.raises(NotAllowed, match=r"^decision 4711 does not exist$"):
        review.approve(4711, by=factories.a_reviewer(), now=NOON)


# --- Whoever started the run -------------------------------------------------------------------------


def started_by(user: User) -> Decision:
    return of_three(run=factories.a_run(trigger=Trigger.PERSON, triggered_by=user))


@pytest.mark.django_db
@DEEDS
def test_who_started_a_run_leaves_its_decisions_to_another_reviewer(deed: Deed) -> None:
    robin = factories.a_reviewer("robin")
    decision = started_by(robin)
    factories.a_reviewer("sam")

    with pytest.raises(NotAllowed, match="robin started this run, so another reviewer decides"):
        deed(decision, robin)


@pytest.mark.django_db
def test_the_only_reviewer_decides_also_what_they_started() -> None:
    robin = factories.a_reviewer("robin")
    factories.a_viewer()
    factories.a_reviewer("gone", is_active=False)

    assert review.why_not(started_by(robin), by=robin, now=NOON) is None


@pytest.mark.django_db
@pytest.mark.parametrize(
    "become_a_reviewer",
    [
        lambda user: user.user_permissions.add(Permission.objects.get(codename="review_decision")),
        lambda user: User.objects.filter(pk=user.pk).update(is_superuser=True),
    ],
    ids=["by a permission of their own", "as superuser"],
)
def test_another_reviewer_is_whoever_may_review(become_a_reviewer: Callable[[User], object]) -> None:
    robin = factories.a_reviewer("robin")
    decision = started_by(robin)
    become_a_reviewer(factories.a_user())

    why = review.why_not(decision, by=robin, now=NOON)

    assert why == "robin started this run, so another reviewer decides"


@pytest.mark.django_db
def test_another_permission_makes_nobody_another_reviewer() -> None:
    robin = factories.a_reviewer("robin")
    other = factories.a_user()
    other.user_permissions.add(Permission.objects.get(codename="view_decision"))

    assert review.why_not(started_by(robin), by=robin, now=NOON) is None


# --- At once -----------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_of_reviewers_who_decide_at_once_one_does_and_the_others_are_told_who() -> None:
    decision = of_three()
    reviewers = [factories.a_reviewer(f"reviewer {n}") for n in range(4)]
    waiting = iter(reviewers)

    def decides() -> str:
        by = next(waiting)
        try:
            approve(decision, by) if by.pk % 2 else reject(decision, by)
        except NotAllowed as refusal:
            return str(refusal)
        return "decided"

    told = together(4, decides)

    decision.refresh_from_db()
    assert decision.reviewed_by is not None
    winner = decision.reviewed_by.get_username()
    assert told.count("decided") == 1
    assert all(f"{winner} {decision.status} it already" in words for words in told if words != "decided")
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action) == (winner, decision.status)


@pytest.mark.django_db(transaction=True)
def test_two_who_take_out_at_once_never_leave_a_decision_about_nobody() -> None:
    decision = of_three()
    first, second, third = contacts_of(decision)
    parts = iter([[first, second], [second, third]])
    robin = factories.a_reviewer()

    def takes_out() -> int:
        try:
            return review.take_out(decision.pk, contacts=next(parts), by=robin, now=NOON)
        except NotAllowed:
            return 0

    assert sorted(together(2, takes_out)) == [0, 2]
    assert len(left(decision)) == 1


# --- Effort ------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_deciding_costs_the_same_few_queries_for_three_contacts_and_for_sixty() -> None:
    robin = factories.a_reviewer()

    def queries(decision: Decision, deed: Deed) -> int:
        with CaptureQueriesContext(connection) as asked:
            deed(decision, User.objects.get(pk=robin.pk))
        return len(asked)

    small, large = of_three(), of_three()
    group = large.groups.get()
    for _ in range(57):
        factories.an_item(group=group)

    def takes_out_most(decision: Decision, by: User) -> object:
        return review.take_out(decision.pk, contacts=contacts_of(decision)[1:], by=by, now=NOON)

    assert queries(small, takes_out_most) == queries(large, takes_out_most) <= 14
    assert queries(small, approve) == queries(large, approve) <= 12
    assert DecisionItem.objects.filter(status=ItemStatus.TAKEN_OUT).count() == 2 + 59


@DEEDS
@pytest.mark.django_db
def test_what_a_run_left_undecided_when_it_stopped_is_decided_once_it_continues(deed: Deed) -> None:
    decision = of_three(run=factories.a_run(status=RunStatus.PARTIAL))

    with pytest.raises(NotAllowed, match="has ended without it: have the run continue"):
        deed(decision, factories.a_reviewer())

    decision.refresh_from_db()
    assert decision.status == DecisionStatus.OPEN
