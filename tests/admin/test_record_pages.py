"""The judgement's own record, and a reviewer's marks of what list health said."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from listmanagement.models import (
    Agent,
    AnswerSource,
    AuditEntry,
    DecisionStatus,
    ItemStatus,
    ListHealth,
    ListHealthCheck,
)
from listmanagement.workflows.by_people.refusals import NotAllowed
from listmanagement.workflows.record import marks
from tests import factories
from tests.factories import NOON

RECORD = "/admin/listmanagement/agentverdict/"


def an_assessment() -> ListHealth:
    call = factories.an_agent_call(agent=Agent.LIST_HEALTH, source=AnswerSource.MODEL)
    said = {"region": "", "bounce_class": "", "contacts": None, "rules_verdict": "poor/decay"}
    verdict = factories.a_verdict(
        call=call,
        subject="list-1",
        verdict="good/none",
        stated="good/none",
        raw_confidence=0.9,
        confidence=0.69,
        rationale="All is well.",
        **said,
    )
    return factories.a_list_health(check=factories.a_health_check(call=call), verdict=verdict)


def door(row: ListHealth, verb: str) -> str:
    return reverse(f"admin:listmanagement_health_{verb}", args=[row.check_of_id])


def page_of(check: ListHealthCheck) -> str:
    return reverse("admin:listmanagement_listhealthcheck_change", args=[check.pk])


# --- Marks -------------------------------------------------------------------------------------------


def test_a_reviewer_marks_an_assessment_and_the_audit_trail_says_so(reviewing: Client, ana: User) -> None:
    row = an_assessment()

    told = reviewing.post(door(row, "right"), {"assessment": row.pk}, follow=True).content.decode()

    row.refresh_from_db()
    assert (row.is_right, row.marked_by, row.marked_why) == (True, ana, "")
    assert "marked right" in told
    assert "Marked by ana on" in told
    entry = AuditEntry.objects.get(subject_kind="listhealth", subject_id=row.pk)
    assert (entry.actor, entry.action) == ("ana", "marked right")


def test_what_is_marked_wrong_says_why_and_the_last_word_counts(reviewing: Client) -> None:
    row = an_assessment()
    reviewing.post(door(row, "right"), {"assessment": row.pk})

    refused = reviewing.post(door(row, "wrong"), {"assessment": row.pk, "why": " "}, follow=True)
    assert "wrong assessment needs a reason" in refused.content.decode()
    reviewing.post(door(row, "wrong"), {"assessment": row.pk, "why": "half of it is dead"})

    row.refresh_from_db()
    assert (row.is_right, row.marked_why) == (False, "half of it is dead")
    assert AuditEntry.objects.filter(subject_kind="listhealth").count() == 2


def test_a_viewer_sees_the_assessment_and_marks_nothing(looking: Client) -> None:
    row = an_assessment()

    page = looking.get(page_of(row.check_of)).content.decode()
    refused = looking.post(door(row, "right"), {"assessment": row.pk}, follow=True).content.decode()

    assert 'name="assessment"' not in page
    assert "vic may look, but not mark: ask an administrator for the role Reviewers" in refused
    row.refresh_from_db()
    assert row.is_right is None


def test_an_assessment_of_another_check_is_not_marked_by_this_door(reviewing: Client) -> None:
    row, other = an_assessment(), factories.a_list_health()

    told = reviewing.post(door(row, "right"), {"assessment": other.pk}, follow=True).content.decode()

    assert "here is no assessment" in told
    assert not ListHealth.objects.filter(is_right=True).exists()
    assert reviewing.post(door(row, "right"), {"assessment": "x"}).status_code == 400
    assert reviewing.get(door(row, "right")).status_code == 405


def test_nobody_marks_what_does_not_exist(ana: User) -> None:
    with pytest.raises(NotAllowed, match="there is no assessment 77"):
        marks.mark_right(77, by=ana, now=NOON)


def test_the_page_of_a_check_shows_both_opinions_side_by_side(looking: Client) -> None:
    page = looking.get(page_of(an_assessment().check_of)).content.decode()

    assert "good: none" in page
    assert "poor: decay" in page
    assert "0.90 stated, counts as 0.69: in dispute and not calibrated yet" in page


# --- The record --------------------------------------------------------------------------------------


def test_before_anything_was_decided_the_record_says_so(looking: Client, db: None) -> None:
    page = looking.get(RECORD).content.decode()

    assert page.count("No label yet") == 3
    assert "no model is calibrated: 0 of 200 independent labels" in page


def test_the_record_shows_figures_with_their_bounds_and_a_curve(looking: Client) -> None:
    for status in (ItemStatus.EXECUTED, ItemStatus.EXECUTED, ItemStatus.EXECUTED, ItemStatus.TAKEN_OUT):
        decision = factories.a_decision(status=DecisionStatus.APPROVED)
        verdict = factories.a_verdict(call=factories.an_agent_call(run=decision.run))
        group = factories.a_group(decision=decision, region="may")
        factories.an_item(group=group, status=status, verdict=verdict)

    page = looking.get(RECORD)

    [plan] = [agent for agent in page.context["agents"] if agent.name == "Optimization"]
    stood = plan.lines[0]
    assert plan.override == "25 % (4.6 % to 69.9 %) of 4"
    assert (stood.right, stood.false_positives) == (
        "75 % (30.1 % to 95.4 %) of 4",
        "25 % (4.6 % to 69.9 %) of 4",
    )
    assert (stood.confidence, stood.error, stood.brier) == ("0.80", "0.05", "0.19")
    assert [(point.stated, point.y) for point in stood.points] == [("0.80", "40.0")]
    assert dict(plan.sources) == {"review": "4"}
    html = page.content.decode()
    assert '<circle cx="128.0" cy="40.0" r="4"/>' in html
    assert html.count('role="img"') == 2  # what stood, and the rules; no model was asked


def test_each_figure_says_of_how_many_it_is(looking: Client) -> None:
    """Five that the policy settled, which have no confidence, and one that was judged."""
    decision = factories.a_decision(status=DecisionStatus.APPROVED)
    call = factories.an_agent_call(run=decision.run)
    for region, contacts in (("must", 5), ("may", 1)):
        verdict = factories.a_verdict(call=call, region=region, bounce_class="recipient_gone")
        group = factories.a_group(decision=decision, region=region)
        for _ in range(contacts):
            factories.an_item(group=group, status=ItemStatus.EXECUTED, verdict=verdict)

    [plan] = [agent for agent in looking.get(RECORD).context["agents"] if agent.name == "Optimization"]

    stood = plan.lines[0]
    assert (stood.labels, stood.sure, stood.confidence) == ("6 in 2 judgements", "1 of 6", "0.80")
    assert stood.right == "100 % (26.5 % to 100 %) of 6"


def test_the_list_of_verdicts_says_in_words_what_each_is_about(looking: Client) -> None:
    row = an_assessment()
    factories.a_verdict(subject="may/mailbox_full/3+/delivered_before", contacts=7)

    page = looking.get(RECORD).content.decode()
    assert "campaign list 1" in page
    assert "mailbox full, 3+, delivered before" in page
    assert "2 verdicts" in page
    assert "0.90 stated, counts as 0.69: in dispute and not calibrated yet" in page
    assert row.verdict is not None
    url = reverse("admin:listmanagement_agentverdict_change", args=[row.verdict.pk])
    assert "<h1>Campaign list 1: good, none</h1>" in looking.get(url).content.decode()


def test_a_mark_is_a_label_of_the_record(looking: Client, ana: User) -> None:
    marks.mark_wrong(an_assessment().pk, by=ana, why="dead", now=NOON + timedelta(days=1))

    [health] = [a for a in looking.get(RECORD).context["agents"] if a.name == "List health"]

    assert (health.override, dict(health.sources)) == ("100 % (20.7 % to 100 %) of 1", {"marked": "1"})
