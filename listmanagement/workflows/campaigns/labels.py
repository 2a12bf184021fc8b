"""What each send was: the rules' labels kept in line with all that is known, and the labels of people."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Max

from listmanagement.domain import recognition
from listmanagement.domain.cycle import LONGEST_CYCLE, RoundStatus
from listmanagement.domain.recognition import FoundCycle, Recognition, Send
from listmanagement.models import (
    AuditEntry,
    CampaignKind,
    CampaignSchedule,
    CampaignSync,
    ContactList,
    Cycle,
    CycleEnd,
    ListMaintenanceLog,
    Role,
)
from listmanagement.workflows import notify
from listmanagement.workflows.by_people import audit, review
from listmanagement.workflows.by_people.refusals import NotAllowed

log = logging.getLogger("evenkeel.labels")

COUNTED_FOR_SURE = timedelta(hours=24)  # after its end; before, Mailjet's counters may lag
NEWS_FOR = timedelta(days=7)  # of what is older nobody is told: a first reading tells of half a year
SAID = (CampaignKind.ROUND, CampaignKind.REPEAT, CampaignKind.ONE_OFF, CampaignKind.TEST)
"""What a person may say that a send was."""
RELABELLED = "labelled anew"
"""How the audit trail calls it that a send turned out to have been something else."""


def lock() -> CampaignSync:
    """Let one at a time say what sends were. Inside the caller's transaction."""
    CampaignSync.objects.get_or_create(id=1)
    return CampaignSync.objects.select_for_update().get(id=1)


# --- All sends, as they were and as they shall be ----------------------------------------------------


_OTHERS = ("id", "recipients_fetched_at", "settled_at")  # what became of messages is written elsewhere
_OWN = [each.attname for each in CampaignSchedule._meta.concrete_fields if each.attname not in _OTHERS]


def _columns(row: CampaignSchedule) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _OWN}


@dataclass
class History:
    """All campaigns in memory, to be changed there and written at once. Under `lock`."""

    rows: list[CampaignSchedule] = field(default_factory=list)
    before: dict[int, dict[str, Any]] = field(default_factory=dict)
    new: int = 0

    @classmethod
    def read(cls) -> History:
        """Everything that is stored."""
        stored = CampaignSchedule.objects.select_for_update(of=("self",)).select_related("list", "cycle")
        rows = list(stored.order_by("pk"))
        return cls(rows, {row.pk: _columns(row) for row in rows})

    def by_campaign(self, mailjet_id: int | None) -> CampaignSchedule | None:
        """The row of a campaign of Mailjet's."""
        return self._with("mailjet_campaign_id", mailjet_id)

    def by_draft(self, mailjet_id: int | None) -> CampaignSchedule | None:
        """The row of a draft."""
        return self._with("mailjet_draft_id", mailjet_id)

    def _with(self, column: str, value: int | None) -> CampaignSchedule | None:
        return next((row for row in self.rows if value is not None and getattr(row, column) == value), None)

    def keep(self, row: CampaignSchedule) -> None:
        """Add a row that is new; one that is known is in already. A new one is stored at once, for its id."""
        if row.pk is None:
            row.save(force_insert=True)
            self.rows.append(row)
            self.new += 1

    def forget_twin(self, twin: CampaignSchedule, *, of: CampaignSchedule) -> None:
        """A send had two rows, one for its draft and one for its campaign: the latter stays."""
        is_named = any(row.of_id == twin.pk for row in self.rows)
        if twin.labelled_by_id or is_named or twin.runs.exists() or twin.recipients.exists():
            log.warning("two rows of one send", extra={"campaign": twin.pk, "same_as": of.pk})
            twin.status, twin.cause = RoundStatus.CANCELLED, f"the same send as campaign {of.pk}"
            twin.mailjet_draft_id = None
            return
        self.rows.remove(twin)
        del self.before[twin.pk]
        twin.delete()

    def changed(self) -> list[CampaignSchedule]:
        """Rows that differ from what is stored."""
        return [
            row
            for row in self.rows
            if self.before.get(row.pk) != _columns(row) or (row.cycle is not None and row.cycle.pk is None)
        ]


@dataclass(frozen=True)
class Settled:
    """What was written: rows that are new, that changed, and those labelled otherwise than before."""

    new: int
    changed: int
    relabelled: tuple[int, ...]


def settle(history: History, *, now: datetime) -> Settled:
    """Recognise all sends and write what changed. Under `lock`, inside the caller's transaction."""
    found, kept = _recognise(history, now=now)
    cycles = _cycles_of(history, found, kept)
    _label(history, found, cycles)
    changed = history.changed()
    _set_aside(changed)
    _write_cycles(history, found, cycles, now=now)
    for row in changed:
        row.cycle = row.cycle  # its id, where the cycle is new
        row.save(update_fields=_OWN)
    relabelled = [row for row in changed if _is_relabelled(row, history)]
    for row in relabelled:
        _note_relabelled(row, history, now=now)
    known = [row for row in changed if row.pk in history.before]
    return Settled(history.new, len(known), tuple(row.pk for row in relabelled))


def _recognise(history: History, *, now: datetime) -> tuple[Recognition, Sequence[int | None]]:
    lists = list(ContactList.objects.rotation().values_list("pk", flat=True))
    sends = [send for row in history.rows if (send := _send(row)) is not None]
    found = recognition.recognise(sends, lists=lists, at=now)
    rounds = [row for row in history.rows if row.kind == CampaignKind.ROUND and row.cycle_id is not None]
    so_far = {row.pk: row.cycle_id for row in rounds if row.cycle_id is not None}
    firm = [row.pk for row in rounds if row.labelled_by_id is not None]
    return found, recognition.keep(found.cycles, so_far=so_far, firm=firm)


def _send(row: CampaignSchedule) -> Send | None:
    """The facts of a row; None where it has no time at all, and stays as it is."""
    at = row.started_at or row.scheduled_at
    if at is None:
        return None
    said = CampaignKind(row.kind) if row.labelled_by_id is not None else None
    return Send(
        key=row.pk,
        list_id=row.list_id,
        status=RoundStatus(row.status),
        at=at,
        has_begun=row.started_at is not None,
        ended_at=row.ended_at,
        subject=row.subject,
        title=row.title,
        ab_test=row.ab_test_id,
        segment=row.segmentation_id,
        recipients=_recipients(row),
        list_size=row.list_size,
        by_person=said,
        goes_with=row.of_id if said is CampaignKind.ROUND else None,
    )


def _recipients(row: CampaignSchedule) -> int | None:
    """How many it went to, once Mailjet's count can be trusted. A count of nobody tells nothing."""
    if row.counted_at is None or row.ended_at is None or row.counted_at < row.ended_at + COUNTED_FOR_SURE:
        return None
    return row.processed or None


def _cycles_of(history: History, found: Recognition, kept: Sequence[int | None]) -> list[Cycle]:
    """The row of each found cycle; new ones are not stored yet."""
    known = {row.cycle_id: row.cycle for row in history.rows if row.cycle is not None}
    return [known.get(key) or Cycle() for key, _ in zip(kept, found.cycles, strict=True)]


def _label(history: History, found: Recognition, cycles: Sequence[Cycle]) -> None:
    by_pk = {row.pk: row for row in history.rows}
    for key, label in found.labels.items():
        row = by_pk[key]
        is_said = row.labelled_by_id is not None
        if is_said and row.kind != CampaignKind.ROUND:
            continue
        row.kind, row.round = label.kind, label.round
        row.cycle = None if label.cycle is None else cycles[label.cycle]
        if not is_said:
            row.of_id = label.of


def _set_aside(rows: Sequence[CampaignSchedule]) -> None:
    """Take the labels off what changes, so that a list's old and new round do not stand side by side."""
    changing = CampaignSchedule.objects.filter(pk__in=[row.pk for row in rows])
    changing.update(kind=CampaignKind.ONE_OFF, cycle=None, round=None, of=None, mailjet_draft_id=None)


def _write_cycles(history: History, found: Recognition, cycles: Sequence[Cycle], *, now: datetime) -> None:
    """Take away cycles that were none, number the new ones, and note when each began and ended."""
    standing = [row.cycle.pk for row in history.rows if row.cycle is not None and row.cycle.pk is not None]
    standing += [cycle.pk for cycle in cycles if cycle.pk is not None]
    Cycle.objects.exclude(pk__in=standing).filter(campaigns=None).delete()
    last: int = Cycle.objects.aggregate(last=Max("number"))["last"] or 0
    by_pk = {row.pk: row for row in history.rows}
    for cycle, facts in zip(cycles, found.cycles, strict=True):
        if cycle.pk is None:
            last += 1
            cycle.number = last
        was_overdue = cycle.ended_how == CycleEnd.OVERDUE
        _note_cycle(cycle, facts, by_pk)
        if cycle.ended_how == CycleEnd.OVERDUE and not was_overdue:
            _tell_overdue(cycle, facts, by_pk, now=now)


_NOTED = ("pk", "started_at", "ended_at", "ended_how", "doubt", "name")


def _note_cycle(cycle: Cycle, facts: FoundCycle, rows: Mapping[int, CampaignSchedule]) -> None:
    before = [getattr(cycle, name) for name in _NOTED]
    cycle.started_at, cycle.ended_at = facts.began_at, facts.ended_at
    cycle.ended_how = facts.ended_how or ""
    cycle.doubt = _doubt([rows[key] for key in facts.in_doubt])
    cycle.name = cycle.name or rows[facts.rounds[0]].subject
    if cycle.pk is None or before != [getattr(cycle, name) for name in _NOTED]:
        cycle.save()


def _doubt(rows: Sequence[CampaignSchedule]) -> str:
    if not rows:
        return ""
    which = ", ".join(f"campaign {row.pk} to {row.list}" for row in rows)
    return (
        f"Carries another message than the other rounds: {which}. The list's own round may still come, so "
        "the cycle is not over before the next one begins or 21 days have passed. Label it as a round to "
        "end it now."
    )


def _tell_overdue(
    cycle: Cycle, facts: FoundCycle, rows: Mapping[int, CampaignSchedule], *, now: datetime
) -> None:
    if facts.ended_at is None or facts.ended_at < now - NEWS_FOR:
        return
    had = {rows[key].list_id for key in facts.rounds}
    without = ContactList.objects.rotation().exclude(pk__in=had).values_list("position", flat=True)
    words = (
        f"Cycle {cycle.number} began {LONGEST_CYCLE.days} days ago and is not complete. "
        + (f"No round was sent to campaign list {', '.join(map(str, without))}. " if without else "")
        + "It counts as ended: contacts may move again."
    )
    notify.alert(f"cycle:{cycle.pk}:overdue", header="A cycle did not come to its end", words=words, now=now)


def _is_relabelled(row: CampaignSchedule, history: History) -> bool:
    before = history.before.get(row.pk)
    after = (row.kind, row.cycle_id, row.of_id)
    return before is not None and after != (before["kind"], before["cycle_id"], before["of_id"])


def _note_relabelled(row: CampaignSchedule, history: History, *, now: datetime) -> None:
    """Keep what it was called before. Where runs have judged by that, say so: strikes count by cycle."""
    before = history.before[row.pk]
    since = row.started_at or now
    judged = ListMaintenanceLog.objects.filter(created_at__gte=since, agent_calls__isnull=False)
    runs = sorted(set(judged.values_list("pk", flat=True)))
    audit.note(
        row,
        RELABELLED,
        by=None,
        now=now,
        was={"kind": before["kind"], "cycle": before["cycle_id"], "of": before["of_id"]},
        is_now={"kind": row.kind, "cycle": row.cycle_id, "of": row.of_id},
        judged_by_runs=runs,
    )
    if runs:
        log.warning("a campaign was judged under another label", extra={"campaign": row.pk, "runs": runs})


def cycles_as_of(at: datetime) -> Mapping[int, int | None]:
    """Which cycle a send was of at that time, by campaign id: only sends that were labelled anew since."""
    since = AuditEntry.objects.filter(
        action=RELABELLED, subject_kind=CampaignSchedule._meta.model_name, at__gt=at
    )
    latest_first = since.order_by("-at", "-pk")  # so that what it was before the first change stays
    return {entry.subject_id: entry.details["was"]["cycle"] for entry in latest_first}


# --- What people say ---------------------------------------------------------------------------------


@transaction.atomic
def say(
    campaign_id: int,
    *,
    kind: CampaignKind,
    cycle: int | None = None,
    by: User,
    why: str,
    now: datetime,
) -> CampaignSchedule:
    """A person says what a send was; no rule changes that. A round is of cycle number `cycle`, or begins one.

    All other labels are then recognised anew. Raises NotAllowed where `by` may not, without a reason, and
    where it cannot be.
    """
    _check(by=by, why=why)
    lock()
    history = History.read()
    row = _found(history, campaign_id)
    if kind not in SAID:
        raise NotAllowed(f"a campaign is said to be a {', a '.join(SAID)}; not a {kind}")
    row.labelled_by, row.labelled_at, row.labelled_why = by, now, why.strip()
    if kind is CampaignKind.ROUND:
        _say_round(row, history, number=cycle)
    else:
        _say_no_round(row, history, kind=kind)
    row.kind = kind
    settle(history, now=now)
    audit.note(row, "labelled", by=by, now=now, kind=kind.value, cycle=cycle, why=why.strip())
    return row


@transaction.atomic
def let_rules_decide(campaign_id: int, *, by: User, why: str, now: datetime) -> CampaignSchedule:
    """Take a person's label back. Raises NotAllowed as `say` does, and where there is none."""
    _check(by=by, why=why)
    lock()
    history = History.read()
    row = _found(history, campaign_id)
    if row.labelled_by_id is None:
        raise NotAllowed(f"nobody labelled campaign {row.pk}: the rules decide already")
    row.labelled_by, row.labelled_at, row.labelled_why, row.of = None, None, "", None
    settle(history, now=now)
    audit.note(row, "label taken back", by=by, now=now, why=why.strip())
    return row


def why_not(by: User) -> str | None:
    """Why this person may not label; None where they may."""
    return review.why_no_reviewer(by, wants_to="label")


def _check(*, by: User, why: str) -> None:
    if (refusal := why_not(by)) is not None:
        raise NotAllowed(refusal)
    if not why.strip():
        raise NotAllowed("a label needs a reason: others read it when they wonder")


def _found(history: History, campaign_id: int) -> CampaignSchedule:
    row = next((each for each in history.rows if each.pk == campaign_id), None)
    if row is None:
        raise NotAllowed(f"campaign {campaign_id} does not exist")
    if row.list.role != Role.CAMPAIGN:
        raise NotAllowed(f"campaign {row.pk} went to {row.list}, which is no campaign list: it is a one-off")
    return row


def _say_round(row: CampaignSchedule, history: History, *, number: int | None) -> None:
    if number is None:
        row.cycle = row.of = None
        return
    rounds = [each for each in history.rows if each is not row and _is_round_of(each, number)]
    if not rounds:
        raise NotAllowed(f"cycle {number} has no other round: leave the cycle empty to begin one")
    taken = [each for each in rounds if each.list_id == row.list_id and each.labelled_by_id is not None]
    if any(each.status != RoundStatus.CANCELLED for each in taken):
        raise NotAllowed(
            f"somebody said that campaign {taken[0].pk} is cycle {number}'s round of {row.list}: "
            "take that label back first"
        )
    others = [each for each in rounds if each.list_id != row.list_id]
    row.of = min(others or rounds, key=lambda each: (each.round or 0, each.pk))
    row.cycle = row.of.cycle


def _is_round_of(row: CampaignSchedule, number: int) -> bool:
    return row.kind == CampaignKind.ROUND and row.cycle is not None and row.cycle.number == number


def _say_no_round(row: CampaignSchedule, history: History, *, kind: CampaignKind) -> None:
    row.cycle = row.round = row.of = None
    if kind is not CampaignKind.REPEAT:
        return
    first = [each for each in history.rows if _may_be_repeated(each, by=row)]
    if not first:
        raise NotAllowed(f"nothing was sent to {row.list} before campaign {row.pk} that it could repeat")
    row.of = max(first, key=lambda each: (_at(each), each.pk))
    row.cycle = row.of.cycle


def _may_be_repeated(each: CampaignSchedule, *, by: CampaignSchedule) -> bool:
    is_first = each.kind in (CampaignKind.ROUND, CampaignKind.ONE_OFF) and each is not by
    return is_first and each.list_id == by.list_id and each.started_at is not None and _at(each) <= _at(by)


def _at(row: CampaignSchedule) -> datetime:
    at = row.started_at or row.scheduled_at
    assert at is not None
    return at
