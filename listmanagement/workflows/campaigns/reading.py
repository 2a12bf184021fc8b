"""Reads campaigns from Mailjet: what is scheduled, and what was sent, also from Mailjet's own pages.

A send is one row whichever came first, its draft or its campaign. All is read first, without a transaction;
then stored and recognised in one. Of two readings at once the younger one stands.

A reading takes, in requests: one page of the campaigns since the earliest that still changes, one of the
programmed drafts (each further 1,000 rows one more), one for the time of each draft programmed for our lists,
one for the counters of each campaign that ended in the last five days (every six hours after the first),
and once for each campaign new to us its draft, for the title. What was sent before costs nothing: with three
rounds planned and three just sent that is eight, whatever the years behind.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Min, Q

from integrations.mailjet import CampaignType, Counters, Draft, DraftStatus, Mailjet, MailjetCampaign
from listmanagement.domain.cycle import RoundStatus
from listmanagement.models import (
    COUNTERS,
    CampaignKind,
    CampaignSchedule,
    CampaignSync,
    ContactList,
    Role,
)
from listmanagement.workflows import notify, rotation
from listmanagement.workflows.campaigns import labels, unscheduling

FIRST_WINDOW = timedelta(days=180)
SEEN_LATE = timedelta(days=1)  # how much later than its send a campaign may appear
COUNTED_FOR = timedelta(days=5)  # after its end Mailjet's counters still change
COUNTED_OFTEN_FOR = timedelta(days=1)
COUNTED_AGAIN_AFTER = timedelta(hours=6)
LATE_AFTER = timedelta(hours=1)
STOPPED = (DraftStatus.AX_CANCELLED, DraftStatus.DELETED, DraftStatus.ARCHIVED, DraftStatus.DRAFT)


@dataclass(frozen=True)
class Synced:
    """What a reading found. `is_superseded`: a younger one was stored meanwhile, so nothing of this was."""

    seen: int = 0
    new: int = 0
    changed: int = 0
    relabelled: int = 0
    requests: int = 0
    is_superseded: bool = False

    def __str__(self) -> str:
        if self.is_superseded:
            return "a younger reading was stored meanwhile"
        return (
            f"{self.seen} campaigns and drafts seen, {self.new} of them new, {self.changed} changed, "
            f"{self.relabelled} labelled anew"
        )


@dataclass(frozen=True)
class Seen:
    """One send as Mailjet has it: a campaign, a draft with its time, or what became of a draft we know."""

    draft_id: int | None
    list_id: int | None
    draft: Draft | None = None
    scheduled_at: datetime | None = None
    campaign: MailjetCampaign | None = None
    counters: Counters | None = None
    is_gone: bool = False
    """A draft that we knew as scheduled and that is not any more."""


def sync(*, mailjet: Mailjet, now: datetime) -> Synced:
    """Bring campaigns, cycles and labels in line with Mailjet. Raises MailjetError; then nothing is stored.

    Does nothing before the lists are known.
    """
    lists = {each.mailjet_id: each for each in ContactList.objects.all()}
    if not any(each.role == Role.CAMPAIGN for each in lists.values()):
        return Synced()
    before = mailjet.requests
    seen = _read(mailjet, lists=lists, now=now)
    return replace(_store(seen, lists=lists, now=now), requests=mailjet.requests - before)


def notice_begun(*, mailjet: Mailjet, now: datetime) -> None:
    """Read everything anew where Mailjet shows a send that began, or ended, unknown to us.

    One request, most often: people send at once, too, and no quarter of an hour may pass before we know.
    Raises MailjetError.
    """
    lists = set(ContactList.objects.values_list("mailjet_id", flat=True))
    state = CampaignSync.objects.filter(read_at__isnull=False).first()
    since = (now if state is None or state.read_at is None else state.read_at) - SEEN_LATE
    shown = [c for page in mailjet.campaigns(since=since) for c in page if c.list_id in lists]
    known = _known(shown)
    if any(_is_news(each, known.get(each.id)) for each in shown if _is_marketing(each)):
        sync(mailjet=mailjet, now=now)


def _is_news(campaign: MailjetCampaign, row: CampaignSchedule | None) -> bool:
    if row is None or row.started_at is None:
        return True
    return row.status == RoundStatus.SENDING and campaign.send_end_at is not None


# --- Reading -----------------------------------------------------------------------------------------


def _read(mailjet: Mailjet, *, lists: Collection[int], now: datetime) -> list[Seen]:
    """Drafts first: one that is sent meanwhile is then found as a campaign."""
    drafts = [d for page in mailjet.drafts(status=DraftStatus.PROGRAMMED) for d in page if d.list_id in lists]
    times = {draft.id: mailjet.scheduled_at(draft.id) for draft in drafts}
    pages = mailjet.campaigns(since=_since(now=now))
    campaigns = [c for page in pages for c in page if c.list_id in lists and _is_marketing(c)]
    known = _known(campaigns)
    sent = [_sent(c, known.get(c.id), mailjet, now=now) for c in campaigns]
    ids = {each.draft_id for each in sent}
    planned = [
        Seen(draft.id, draft.list_id, draft, scheduled_at=when)
        for draft in drafts
        if (when := times[draft.id]) is not None and draft.id not in ids
    ]
    return [*sent, *planned, *_missing(mailjet, ids=ids | {each.draft_id for each in planned}, lists=lists)]


def _since(*, now: datetime) -> datetime:
    """Half a year ago at first; later the earliest send that still changes, or the last reading."""
    first = now - FIRST_WINDOW
    state = CampaignSync.objects.filter(read_at__isnull=False).first()
    if state is None or state.read_at is None:
        return first
    changing = CampaignSchedule.objects.filter(
        Q(status=RoundStatus.SENDING)
        | Q(status=RoundStatus.SENT, counted_at=None)
        | Q(status=RoundStatus.SENT, counted_at__lt=F("ended_at") + COUNTED_FOR)
    )
    earliest: datetime | None = changing.aggregate(at=Min("started_at"))["at"]
    return max(first, min(filter(None, [earliest, state.read_at - SEEN_LATE])))


def _is_marketing(campaign: MailjetCampaign) -> bool:
    return campaign.kind is not CampaignType.TRANSACTIONAL


def _known(campaigns: Sequence[MailjetCampaign]) -> Mapping[int, CampaignSchedule]:
    """What is stored of these, by Mailjet's id."""
    rows = CampaignSchedule.objects.filter(
        Q(mailjet_campaign_id__in=[c.id for c in campaigns])
        | Q(mailjet_draft_id__in=[c.draft_id for c in campaigns if c.draft_id])
    )
    by_draft = {row.mailjet_draft_id: row for row in rows}
    by_id = {row.mailjet_campaign_id: row for row in rows}
    found = {c.id: by_id.get(c.id) or by_draft.get(c.draft_id or 0) for c in campaigns}
    return {key: row for key, row in found.items() if row is not None}


def _sent(
    campaign: MailjetCampaign, row: CampaignSchedule | None, mailjet: Mailjet, *, now: datetime
) -> Seen:
    """A campaign, with its draft where we do not know that yet, or where it does not come to an end."""
    is_new = row is None or row.draft_status is None or row.draft_status == DraftStatus.PROGRAMMED
    draft_id = campaign.draft_id
    draft = mailjet.draft(draft_id) if draft_id and (is_new or _drags_on(campaign, now=now)) else None
    counters = mailjet.counters(campaign.id) if _counts(campaign, row, now=now) else None
    return Seen(draft_id, campaign.list_id, draft, campaign=campaign, counters=counters)


def _drags_on(campaign: MailjetCampaign, *, now: datetime) -> bool:
    started = campaign.send_start_at
    return campaign.send_end_at is None and started is not None and now - started > LATE_AFTER


def _counts(campaign: MailjetCampaign, row: CampaignSchedule | None, *, now: datetime) -> bool:
    """Whether the counters may have changed since they were read."""
    ended = campaign.send_end_at
    if row is None or row.counted_at is None or ended is None:
        return True
    if row.counted_at >= ended + COUNTED_FOR:
        return False
    return now - ended < COUNTED_OFTEN_FOR or now - row.counted_at >= COUNTED_AGAIN_AFTER


def _missing(mailjet: Mailjet, *, ids: Collection[int | None], lists: Collection[int]) -> list[Seen]:
    """What became of drafts that we know as scheduled, and that neither list shows."""
    scheduled = CampaignSchedule.objects.filter(status=RoundStatus.SCHEDULED)
    known = scheduled.order_by("mailjet_draft_id").values_list("mailjet_draft_id", flat=True)
    found = (_what_became(key, mailjet, lists=lists) for key in known if key is not None and key not in ids)
    return [each for each in found if each is not None]


def _what_became(draft_id: int, mailjet: Mailjet, *, lists: Collection[int]) -> Seen | None:
    """Sent, or not scheduled any more; None where it was sent just now and its campaign is not found yet."""
    campaign = mailjet.campaign_of_draft(draft_id)
    if campaign is not None:
        return Seen(draft_id, campaign.list_id, mailjet.draft(draft_id), campaign=campaign)
    draft = mailjet.draft(draft_id)
    if draft is None or draft.status in STOPPED or draft.list_id not in lists:
        return Seen(draft_id, None, draft, is_gone=True)
    return None


# --- Storing -----------------------------------------------------------------------------------------


@transaction.atomic
def _store(seen: Sequence[Seen], *, lists: Mapping[int, ContactList], now: datetime) -> Synced:
    if not _is_youngest(now=now):
        return Synced(seen=len(seen), is_superseded=True)
    history, sizes = labels.History.read(), rotation.sizes()
    for each in seen:
        row = _row_of(each, history, lists=lists)
        if row is not None:
            _take(row, each, history, lists=lists, sizes=sizes, now=now)
            history.keep(row)
    settled = labels.settle(history, now=now)
    for row in history.rows:
        _tell_of_wrong_list(row, now=now)
    return Synced(
        seen=len(seen), new=settled.new, changed=settled.changed, relabelled=len(settled.relabelled)
    )


def _is_youngest(*, now: datetime) -> bool:
    """Whether no younger reading was stored. Notes that this one is; inside the caller's transaction."""
    state = labels.lock()
    if state.read_at is not None and state.read_at > now:
        return False
    state.read_at = now
    state.save(update_fields=["read_at"])
    return True


def _row_of(
    seen: Seen, history: labels.History, *, lists: Mapping[int, ContactList]
) -> CampaignSchedule | None:
    """The row of this send, a new one where there is none; None where it is nothing of ours."""
    row = history.by_campaign(seen.campaign.id) if seen.campaign is not None else None
    of_draft = history.by_draft(seen.draft_id)
    if of_draft is not None and of_draft.mailjet_campaign_id is None:
        if row is None:
            return of_draft
        history.forget_twin(of_draft, of=row)
    contact_list = lists.get(seen.list_id or 0)
    if row is None and contact_list is not None and not seen.is_gone:
        return CampaignSchedule(kind=CampaignKind.ONE_OFF, list=contact_list)
    return row


def _take(
    row: CampaignSchedule,
    seen: Seen,
    history: labels.History,
    *,
    lists: Mapping[int, ContactList],
    sizes: Mapping[int, int],
    now: datetime,
) -> None:
    """Note on the row what Mailjet says."""
    if seen.draft is not None:
        _take_draft(row, seen.draft)
    if history.by_draft(seen.draft_id) is None:
        row.mailjet_draft_id = seen.draft_id
    if seen.list_id is not None and seen.list_id in lists:
        row.list = lists[seen.list_id]
    if seen.campaign is not None:
        row.list_size = row.list_size or sizes.get(row.list_id) or None
        _take_campaign(row, seen.campaign, draft=seen.draft, now=now)
        _take_counters(row, seen.counters, now=now)
    elif seen.is_gone and row.status == RoundStatus.SCHEDULED:
        row.status, row.cause = _gone(row, seen.draft)
    elif seen.scheduled_at is not None and row.started_at is None:
        _take_schedule(row, seen.scheduled_at, now=now)


def _take_draft(row: CampaignSchedule, draft: Draft) -> None:
    row.title, row.subject = draft.title, draft.subject
    row.segmentation_id, row.ab_test_id = draft.segmentation_id, draft.ax_testing_id
    row.draft_status = draft.status


def _take_campaign(
    row: CampaignSchedule, campaign: MailjetCampaign, *, draft: Draft | None, now: datetime
) -> None:
    """What was sent stays sent; what was being sent has ended, or was stopped."""
    was_stopped = row.status == RoundStatus.CANCELLED and row.started_at is not None
    row.mailjet_campaign_id, row.subject = campaign.id, campaign.subject
    row.segmentation_id = campaign.segmentation_id or row.segmentation_id
    if row.status == RoundStatus.SENT:
        return
    row.started_at = campaign.send_start_at or row.started_at or row.scheduled_at or now
    if campaign.send_end_at is not None:
        row.status, row.ended_at, row.cause = RoundStatus.SENT, campaign.send_end_at, ""
    elif draft is not None and draft.status in STOPPED:
        row.status, row.cause = RoundStatus.CANCELLED, f"stopped after it had begun: {_why_gone(draft)}"
    elif not was_stopped:
        row.status, row.cause = RoundStatus.SENDING, ""


def _take_counters(row: CampaignSchedule, counters: Counters | None, *, now: datetime) -> None:
    if counters is None:
        return
    row.counted_at = now
    for name in COUNTERS:
        setattr(row, name, getattr(counters, name))


def _gone(row: CampaignSchedule, draft: Draft | None) -> tuple[RoundStatus, str]:
    """How a send stands whose schedule is gone: called off by people, or blocked by us."""
    ours = unscheduling.unscheduled(row)
    if ours is not None and draft is not None and draft.status is DraftStatus.DRAFT:
        return RoundStatus.FAILED, unscheduling.cause(ours)
    return RoundStatus.CANCELLED, _why_gone(draft)


def _take_schedule(row: CampaignSchedule, scheduled_at: datetime, *, now: datetime) -> None:
    """When it is to be sent; and from when it was moved, where people gave it another time.

    One that people had called off before is not moved, but scheduled again.
    """
    if row.status == RoundStatus.CANCELLED:
        row.postponed_from = None
    elif row.scheduled_at is not None and row.scheduled_at != scheduled_at:
        row.postponed_from = row.scheduled_at
    row.status, row.scheduled_at = RoundStatus.SCHEDULED, scheduled_at
    moved = row.postponed_from
    row.cause = _why_late(scheduled_at, now=now) or (
        f"moved at Mailjet, from {moved:%d %B %Y %H:%M} UTC" if moved is not None else ""
    )


def _why_gone(draft: Draft | None) -> str:
    if draft is None:
        return "Mailjet does not know its draft any more"
    match draft.status:
        case DraftStatus.DRAFT:
            return "its schedule was taken away at Mailjet"
        case DraftStatus.DELETED:
            return "its draft was deleted at Mailjet"
        case DraftStatus.ARCHIVED:
            return "its draft was archived at Mailjet"
        case DraftStatus.AX_CANCELLED:
            return "its A/B test was cancelled at Mailjet"
        case _:
            return "its draft goes to another list now"


def _why_late(scheduled_at: datetime, *, now: datetime) -> str:
    if now - scheduled_at <= LATE_AFTER:
        return ""
    return (
        f"due {scheduled_at:%d %B %Y %H:%M} UTC, but Mailjet shows no campaign of it: look at the draft "
        "there. Until then its list counts as being sent to, and is not changed"
    )


# --- To whom it should not go ------------------------------------------------------------------------


def _tell_of_wrong_list(row: CampaignSchedule, *, now: datetime) -> None:
    """A send to the master list, or to the suppressed, is no campaign of ours: somebody should look."""
    at = row.started_at or row.scheduled_at
    standing = (RoundStatus.SCHEDULED, RoundStatus.SENDING, RoundStatus.SENT)
    if (
        row.list.role == Role.CAMPAIGN
        or row.status not in standing
        or at is None
        or at < now - labels.NEWS_FOR
    ):
        return
    is_planned = row.status == RoundStatus.SCHEDULED
    what = (
        f"is scheduled for {at:%d %B %Y %H:%M} UTC"
        if is_planned
        else f"was sent, from {at:%d %B %Y %H:%M} UTC on"
    )
    words = f"Campaign {row.pk} to the {row.list.role} list {what}. "
    words += (
        "Take its schedule away at Mailjet if that was not meant." if is_planned else "Nothing here sent it."
    )
    key = f"campaign:{row.pk}:{row.list.role}:{'planned' if is_planned else 'sent'}"
    notify.alert(key, header=f"A campaign to the {row.list.role} list", words=words, now=now)
