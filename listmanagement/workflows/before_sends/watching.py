"""What happens by itself before sends: looks, unschedulings, choices about held domains carried out.

Each scheduled send is looked at 24 hours, 2 hours and 30 minutes before it, once each (P11). Where that is
wanted, one that blocks is unscheduled from 24 hours before on: for what a look by itself found, and another
one, made just before, finds still.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction

from listmanagement.domain import validation
from listmanagement.domain.validation import Check, Instant, Verdict
from listmanagement.models import (
    CampaignClearance,
    CampaignSchedule,
    CampaignValidation,
    DraftChange,
    DraftOperation,
)
from listmanagement.outside import Outside
from listmanagement.workflows import notify, permission, rotation
from listmanagement.workflows.before_sends import pre_campaign, retests, send_facts
from listmanagement.workflows.by_people.refusals import NotAllowed
from listmanagement.workflows.campaigns import unscheduling

JUST_LOOKED = timedelta(minutes=2)
"""A look as old as this says nothing of the moment in which a draft is unscheduled."""


def keep_watch(*, outside: Outside, clock: Callable[[], datetime]) -> str:
    """Whatever is due before sends, in this order: looks, unschedulings, choices about held domains."""
    upcoming = pre_campaign.upcoming
    looks = sum(_look_if_due(each, outside=outside, now=clock()) for each in upcoming(now=clock()))
    for campaign in upcoming(now=clock()):
        _Enforcing(campaign, outside, clock()).go_on()
    drafts = unscheduling.drive(outside=outside, clock=clock)
    started = retests.start_due(configuration=outside.configuration, now=clock())
    _tell_due_rounds(now=clock())
    return f"{looks} looks before sends, {drafts} drafts to change, {started} choices to carry out"


def _look_if_due(campaign: CampaignSchedule, *, outside: Outside, now: datetime) -> int:
    """Look at it where one of its instants has come. How many looks that was: one, or none."""
    assert campaign.scheduled_at is not None
    done = CampaignValidation.objects.of(campaign).values_list("instant", flat=True)
    instant = validation.due_instant(campaign.scheduled_at, done=[Instant(each) for each in done], at=now)
    if instant is None:
        return 0
    try:
        pre_campaign.validate(campaign.pk, outside=outside, by=None, now=now, instant=instant)
    except (NotAllowed, IntegrityError):  # it was called off or moved just now; or another process was first
        return 0
    return 1


def _tell_due_rounds(*, now: datetime) -> None:
    """Somebody should know of a round that nobody has scheduled, once a round."""
    under_way = rotation.cycle_under_way(at=now)
    for due in send_facts.due_rounds(at=now):
        assert under_way is not None
        notify.alert(
            f"cycle:{under_way.pk}:{due.list_name}:not scheduled",
            header="A round is due and not scheduled",
            words=(
                f"Cycle {under_way.number}: the round to {due.list_name} has been due since "
                f"{due.since:%d %B} and no draft is scheduled. Schedule it at Mailjet, or say that it is "
                "skipped."
            ),
            now=now,
        )


# --- Blocking --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Enforcing:
    """One send, on the way to being unscheduled or not."""

    campaign: CampaignSchedule
    outside: Outside
    now: datetime

    def go_on(self) -> None:
        """Journal its unscheduling where that is to be; of one that is journaled, see that it still is."""
        intended = self._intended()
        if not self._has_to(intended):
            return
        if self._last.at < self.now - JUST_LOOKED:
            if not self._looks_again():
                return
            if not self._has_to(intended):
                if intended is not None and self._may():  # what is left heals by itself
                    unscheduling.leave(intended, outside=self.outside, now=self.now)
                return
        try:
            with transaction.atomic():
                if intended is None:
                    unscheduling.intend_unscheduling(self._last, now=self.now)
                else:
                    unscheduling.found_again(intended, self._last)
        except IntegrityError:  # another process was first
            return

    def _intended(self) -> DraftOperation | None:
        unsettled = DraftOperation.objects.unsettled().filter(campaign=self.campaign)
        return unsettled.filter(change=DraftChange.UNSCHEDULE).first()

    def _has_to(self, intended: DraftOperation | None) -> bool:
        """Whether it must not go out, as far as is known, and has been given the time to heal."""
        return self._may() and self._blocks(intended) and self._heals_until() <= self.now

    def _may(self) -> bool:
        """Whether the settings want it, nothing is off, and it is time: neither too early nor too late."""
        configuration, sends_at = self.outside.configuration, self.campaign.scheduled_at
        assert sends_at is not None
        return (
            configuration.pre_campaign_enforce
            and self.campaign.mailjet_draft_id is not None
            and validation.may_unschedule(sends_at, at=self.now)
            and permission.why_off(enabled=configuration.enabled) is None
        )

    def _blocks(self, intended: DraftOperation | None) -> bool:
        """Whether a look by itself blocks and no later one says otherwise, nor a person, nor an attempt."""
        looks = CampaignValidation.objects.of(self.campaign)
        ours, last = looks.exclude(instant=Instant.ASKED).first(), looks.first()
        if ours is None or last is None or {ours.verdict, last.verdict} != {Verdict.BLOCK}:
            return False
        of_them = {"validation__in": [ours, last]}
        tried = self.campaign.draft_operations.filter(**of_them)
        if intended is not None:
            tried = tried.exclude(pk=intended.pk)
        return not tried.exists() and not CampaignClearance.objects.filter(**of_them).exists()

    def _heals_until(self) -> datetime:
        """Until when what blocks may be put right by itself; a time that has passed where it may not."""
        looks = CampaignValidation.objects.of(self.campaign).prefetch_related("findings")
        return validation.heals_until([_seen(each) for each in looks])

    @property
    def _last(self) -> CampaignValidation:
        return CampaignValidation.objects.of(self.campaign)[0]

    def _looks_again(self) -> bool:
        """Whether it could be looked at once more."""
        instant = Instant.BEFORE_UNSCHEDULING
        try:
            pre_campaign.validate(
                self.campaign.pk, outside=self.outside, by=None, now=self.now, instant=instant
            )
        except NotAllowed:  # called off or moved just now
            return False
        return True


def _seen(look: CampaignValidation) -> validation.Look:
    blocking = [
        each
        for each in look.findings.all()
        if each.severity == validation.Severity.BLOCKING and not each.cleared
    ]
    return validation.Look(
        sends_at=look.sends_at,
        at=look.at,
        checks=frozenset(Check(each.kind) for each in blocking),
        about=frozenset(
            (each.kind, subject) for each in blocking for subject in each.contacts or each.subjects or [""]
        ),
    )
