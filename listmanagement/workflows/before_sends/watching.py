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

from integrations.mailjet import MailjetError
from listmanagement.domain import validation
from listmanagement.domain.validation import Check, Instant, Verdict
from listmanagement.models import (
    CampaignClearance,
    CampaignSchedule,
    CampaignValidation,
    DraftChange,
    DraftOperation,
)
from listmanagement.models.validation import ValidationQuerySet
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
    just_looked = [_Enforcing(each, outside, clock()).go_on() for each in upcoming(now=clock())]
    drafts = unscheduling.drive(outside=outside, clock=clock, just_looked=just_looked)
    for campaign in upcoming(now=clock()):
        _Enforcing(campaign, outside, clock()).tell_too_late()
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

    def go_on(self) -> int | None:
        """Journal its unscheduling where that is to be; of one that is journaled, see that it still is.

        Which operation is to be made now; None where none is.
        """
        intended = self._unsettled()
        if not self._may() or (intended is not None and not self._is_of_this_send(intended)):
            return None
        if intended is None and not self._has_to():
            return None
        if not self._is_fresh() and not (self._can_ask() and self._looks_again()):
            return None
        if self._has_to(intended):
            return self._journal(intended)
        if intended is not None:
            unscheduling.leave(intended, why=self._why_left(), outside=self.outside, now=self.now)
        return None

    def tell_too_late(self) -> None:
        """Of one that should have been unscheduled and was not tried: somebody has to do it by hand."""
        if self.now <= self._sends_at - validation.LAST_UNSCHEDULING or not self._is_wanted():
            return
        unsettled = self._unsettled()
        if (unsettled is None or not self._is_of_this_send(unsettled)) and self._blocks():
            notify.alert(
                f"campaign:{self.campaign.pk}:{self._sends_at.isoformat()}:not unscheduled",
                header="A send that should not go out was not unscheduled in time",
                words=(
                    f"Campaign {self.campaign.pk} to {self.campaign.list}, due "
                    f"{self._sends_at:%d %B %H:%M} UTC, is blocked, and less than a quarter of an hour is "
                    "left: unschedule it at Mailjet by hand, or let it go out."
                ),
                now=self.now,
            )

    def _journal(self, intended: DraftOperation | None) -> int | None:
        """Under the campaign's lock, which a reviewer who clears it takes, too."""
        with transaction.atomic():
            CampaignSchedule.objects.select_for_update().get(pk=self.campaign.pk)
            stands = pre_campaign.upcoming(now=self.now).filter(
                pk=self.campaign.pk, scheduled_at=self._sends_at, list=self.campaign.list_id
            )
            last, unsettled = self._looks.first(), self._unsettled()
            if last is None or not stands.exists() or not self._is_fresh() or not self._has_to(intended):
                return None
            if intended is not None:
                unscheduling.found_again(intended, last)
                return intended.pk
            return unscheduling.intend_unscheduling(last, now=self.now).pk if unsettled is None else None

    @property
    def _sends_at(self) -> datetime:
        assert self.campaign.scheduled_at is not None
        return self.campaign.scheduled_at

    @property
    def _looks(self) -> ValidationQuerySet:
        return CampaignValidation.objects.of(self.campaign)

    def _unsettled(self) -> DraftOperation | None:
        return DraftOperation.objects.unsettled().filter(campaign=self.campaign).first()

    def _is_of_this_send(self, operation: DraftOperation) -> bool:
        """Whether it unschedules the send as it stands; another one is first to be settled."""
        return operation.change == DraftChange.UNSCHEDULE and operation.sends_at == self._sends_at

    def _is_wanted(self) -> bool:
        """Whether the settings want it, and nothing is off."""
        configuration = self.outside.configuration
        return (
            configuration.pre_campaign_enforce
            and self.campaign.mailjet_draft_id is not None
            and permission.why_off(enabled=configuration.enabled) is None
        )

    def _may(self) -> bool:
        """Whether it is wanted, and neither too early nor too late."""
        return validation.may_unschedule(self._sends_at, at=self.now) and self._is_wanted()

    def _has_to(self, intended: DraftOperation | None = None) -> bool:
        """Whether it must not go out, as far as is known, and has been given the time to heal."""
        return self._blocks(intended) and self._heals_until() <= self.now

    def _blocks(self, intended: DraftOperation | None = None) -> bool:
        """Whether a look by itself blocks and no later one says otherwise, nor a person, nor an attempt."""
        ours, last = self._looks.exclude(instant=Instant.ASKED).first(), self._looks.first()
        if ours is None or last is None or {ours.verdict, last.verdict} != {Verdict.BLOCK}:
            return False
        of_them = {"validation__in": [ours, last]}
        tried = self.campaign.draft_operations.filter(**of_them).exclude(error__in=unscheduling.GIVEN_UP)
        if intended is not None:
            tried = tried.exclude(pk=intended.pk)
        return not tried.exists() and not CampaignClearance.objects.filter(**of_them).exists()

    def _heals_until(self) -> datetime:
        """Until when what blocks may be put right by itself; a time that has passed where it may not."""
        looks = self._looks.prefetch_related("findings").iterator(chunk_size=20)
        return validation.heals_until(_seen(each) for each in looks)

    def _is_fresh(self) -> bool:
        """Whether the last look is ours, and of this moment: nothing was cleared or given up by it since."""
        last = self._looks.first()
        if last is None or last.instant == Instant.ASKED or last.at < self.now - JUST_LOOKED:
            return False
        is_spent = DraftOperation.objects.settled().filter(validation=last).exists()
        return not is_spent and not self.campaign.clearances.filter(at__gte=last.at).exists()

    def _can_ask(self) -> bool:
        """While Mailjet does not tell of the draft nothing can be done, and nothing needs to be looked at."""
        assert self.campaign.mailjet_draft_id is not None
        try:
            self.outside.mailjet.scheduled_at(self.campaign.mailjet_draft_id)
        except MailjetError:
            return False
        return True

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

    def _why_left(self) -> str:
        last = self._looks.first()
        if last is None or last.verdict != Verdict.BLOCK:
            return unscheduling.MENDED
        return unscheduling.HEALS


def _seen(look: CampaignValidation) -> validation.Look:
    blocking = pre_campaign.blocking(look)
    return validation.Look(
        sends_at=look.sends_at,
        at=look.at,
        checks=frozenset(Check(each.kind) for each in blocking),
        about=frozenset(
            (each.kind, subject) for each in blocking for subject in each.contacts or each.subjects or [""]
        ),
    )
