"""The rollout: people start observing, pause and resume, and have everything reviewed, each with a reason.

Who, when and why stand in the audit trail, each for itself. What follows from the switches is
`domain/autonomy.py`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.contrib.auth.models import User
from django.db import transaction

from listmanagement.domain import autonomy
from listmanagement.domain.autonomy import LIMITS, Stage
from listmanagement.models import AuditEntry, RolloutState
from listmanagement.workflows import permission
from listmanagement.workflows.by_people import audit, people
from listmanagement.workflows.by_people.refusals import NotAllowed
from listmanagement.workflows.maintenance import drafts


class Change(StrEnum):
    """What a person can switch. The value is what the audit trail calls it."""

    OBSERVE = "observing started"
    PAUSE = "paused"
    RESUME = "resumed"
    MANUAL = "manual mode on"
    AUTOMATIC = "manual mode off"


@transaction.atomic
def change(wanted: Change, *, by: User, why: str, now: datetime) -> RolloutState:
    """Switch it, once. Raises NotAllowed where it is so already, without a reason, or for a viewer."""
    RolloutState.objects.get_or_create(pk=1)
    state = RolloutState.objects.select_for_update().get(pk=1)
    if (no := why_not(wanted, state, by=by)) is not None:
        raise NotAllowed(no)
    if not why.strip():
        raise NotAllowed("say why: who looks later has to know")
    was_paused = state.paused_at is not None
    _SWITCH[wanted](state, now)
    if wanted in (Change.PAUSE, Change.RESUME) or not was_paused:  # a pause's own reason stands until its end
        state.changed_by, state.why = by, why.strip()
    state.save()
    audit.note(state, wanted.value, by=by, now=now, why=why.strip())
    return state


def why_not(wanted: Change, state: RolloutState, *, by: User) -> str | None:
    """Why this person cannot switch this now; None when they can. Buttons show exactly then."""
    if (no := people.why_not_reviewing(by)) is not None:
        return no
    is_so = {
        Change.OBSERVE: state.observing_since is not None,
        Change.PAUSE: state.paused_at is not None,
        Change.RESUME: state.paused_at is None,
        Change.MANUAL: state.manual_since is not None,
        Change.AUTOMATIC: state.manual_since is None,
    }
    return _ALREADY[wanted] if is_so[wanted] else None


_ALREADY = {
    Change.OBSERVE: "observing was started already",
    Change.PAUSE: "it is paused already",
    Change.RESUME: "it is not paused",
    Change.MANUAL: "manual mode is on already",
    Change.AUTOMATIC: "manual mode is off already",
}


def _observe(state: RolloutState, now: datetime) -> None:
    state.observing_since = now


def _pause(state: RolloutState, now: datetime) -> None:
    state.paused_at = now


def _resume(state: RolloutState, now: datetime) -> None:
    del now
    state.paused_at = None


def _manual(state: RolloutState, now: datetime) -> None:
    state.manual_since = now


def _automatic(state: RolloutState, now: datetime) -> None:
    del now
    state.manual_since = None


_SWITCH: Mapping[Change, Callable[[RolloutState, datetime], None]] = {
    Change.OBSERVE: _observe,
    Change.PAUSE: _pause,
    Change.RESUME: _resume,
    Change.MANUAL: _manual,
    Change.AUTOMATIC: _automatic,
}


# --- How it stands ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Said:
    """A switch that is on: since when, by whom and why. The last two are empty where nobody noted them."""

    since: datetime
    by: str
    why: str


@dataclass(frozen=True)
class Standing:
    """How far the rollout is, and what is executed alone now."""

    stage: Stage
    off: str
    """The switch that keeps every change from Mailjet; empty where none does."""
    alone: str
    """What is executed without a person now, in a sentence."""
    reasons: tuple[str, ...]
    """Every reason why not more, with until when."""
    observing: Said | None
    manual: Said | None
    paused: Said | None
    reviewed_until: datetime | None
    """When the weeks end in which everything is reviewed; None while no run was observed to its end."""
    changing_runs: int
    changing_runs_needed: int


def current() -> RolloutState:
    """The switches as they are; none is on where nobody has switched anything."""
    return RolloutState.objects.first() or RolloutState()


def standing(state: RolloutState, *, enabled: bool, now: datetime) -> Standing:
    """What follows from these switches now."""
    facts = drafts.rollout(enabled=enabled)
    stage = autonomy.stage(facts, now=now)
    off = permission.why_off(enabled=enabled) or ""
    return Standing(
        stage=stage,
        off=off,
        alone=OFF if off else ALONE[stage],
        reasons=autonomy.reasons_of_the_rollout(facts, now=now),
        observing=_said(state.observing_since, Change.OBSERVE),
        manual=_said(state.manual_since, Change.MANUAL),
        paused=_said(state.paused_at, Change.PAUSE),
        reviewed_until=autonomy.reviewed_until(facts),
        changing_runs=facts.changing_runs,
        changing_runs_needed=LIMITS.reviewed_changing_runs,
    )


def _said(since: datetime | None, noted_as: Change) -> Said | None:
    if since is None:
        return None
    entries = AuditEntry.objects.filter(
        subject_kind=RolloutState._meta.model_name, action=noted_as.value, at=since
    )
    last = entries.order_by("-pk").first()
    return Said(since, by=last.actor if last else "", why=last.details.get("why", "") if last else "")


OFF = (
    "Nothing is changed at Mailjet, opt-outs and complaints included; jobs Mailjet already holds are "
    "followed to their end. A person may undo a run with a stated override."
)
ALONE = {
    Stage.NOT_STARTED: "Nothing. What contacts say themselves is not applied either: start observing first.",
    Stage.OBSERVING: "Opt-outs and complaints. Everything else is judged and shown; none of it executes.",
    Stage.REVIEWING_EVERYTHING: "Opt-outs and complaints. Everything else waits for a reviewer's yes.",
    Stage.ON_ITS_OWN: (
        f"Opt-outs and complaints; and suppressions, holds, placements and moves that are sure (confidence "
        f"above {LIMITS.execute_above:.2f}), within the caps (at most {LIMITS.suppressed_share:.0%} of a "
        f"list suppressed a campaign, {LIMITS.moved_share:.0%} moved) and without any objection. The "
        "rest waits for a reviewer's yes."
    ),
}
