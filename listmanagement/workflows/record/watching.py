"""Tells people when a day's judgements are unsure."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Avg

from listmanagement.models import AgentCall
from listmanagement.workflows import notify

UNSURE_BELOW = 0.70
"""The mean confidence of a day's judgements below which somebody is told: the same line under which the
autonomy rule suggests no answer any more."""


def tell_if_unsure(*, now: datetime) -> bool:
    """Alert once a day, when what agents said on this day (UTC) so far is too unsure in the mean."""
    today = AgentCall.objects.filter(at__date=now.date())
    mean = today.aggregate(mean=Avg("confidence"))["mean"]
    if mean is None or mean >= UNSURE_BELOW:
        return False
    notify.alert(
        f"unsure:{now:%Y-%m-%d}",
        header="The agents are unsure",
        words=(
            f"the mean confidence of today's judgements is {mean:.2f}, below {UNSURE_BELOW:.2f}: look at "
            "today's decisions, and whether something unusual happened to a campaign."
        ),
        now=now,
    )
    return True
