"""How sure a day's judgements were, and telling people when they were not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from django.db.models import Avg, Count, Q, QuerySet

from listmanagement.domain.suppression import Region
from listmanagement.models import AgentVerdict
from listmanagement.workflows import notify
from listmanagement.workflows.record.verdicts import PLAN

UNSURE_BELOW = 0.70
"""The mean confidence of a day's judgements below which somebody is told: the same line under which the
autonomy rule suggests no answer any more."""


@dataclass(frozen=True)
class Sureness:
    """How sure so many verdicts were in the mean, each counted once."""

    mean: float
    verdicts: int

    @property
    def is_enough(self) -> bool:
        """Whether nobody needs to be told."""
        return self.mean >= UNSURE_BELOW


def judged_on(day: date) -> QuerySet[AgentVerdict]:
    """The verdicts of a day (UTC) that had something to judge.

    Cohorts that the policy left open, lists, and plans in which anybody was to be placed or moved. What the
    policy settles stands at 1.0 and an empty plan needs no judge: both would make a doubtful day look sure.
    """
    something_to_do = Q(call__asked__now__moves__gt=0) | Q(call__asked__now__placements__gt=0)
    is_open = Q(region=Region.MAY) | (Q(region="") & (~Q(subject=PLAN) | something_to_do))
    return AgentVerdict.objects.filter(is_open, call__at__date=day)


def sureness_of(day: date) -> Sureness | None:
    """How sure they were; None where nothing was left to judge."""
    found = judged_on(day).aggregate(mean=Avg("confidence"), verdicts=Count("pk"))
    return Sureness(**found) if found["verdicts"] else None


def tell_if_unsure(*, now: datetime) -> bool:
    """Alert once a day, when what agents said on this day (UTC) so far is too unsure in the mean."""
    found = sureness_of(now.date())
    if found is None or found.is_enough:
        return False
    notify.alert(
        f"unsure:{now:%Y-%m-%d}",
        header="The agents are unsure",
        words=(
            f"the mean confidence of today's {found.verdicts:,} verdicts that the policy left open is "
            f"{found.mean:.2f}, below {UNSURE_BELOW:.2f}: look at today's decisions, and whether something "
            "unusual happened to a campaign."
        ),
        now=now,
    )
    return True
