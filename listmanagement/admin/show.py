"""How values look on pages: chips, shares, times, links. Words here, colours in the stylesheet."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.db.models import Model
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince, timeuntil

from listmanagement.domain.bounces import Outcome
from listmanagement.models import (
    AnswerSource,
    BatchStatus,
    DecisionStatus,
    ItemAction,
    ItemStatus,
    NotificationStatus,
    OperationStatus,
    RunStatus,
)

NOTHING = "–"


class Tone(StrEnum):
    """What a colour says. The words beside it always say it, too."""

    CALM = "calm"
    GOOD = "good"
    WAITING = "waiting"
    BAD = "bad"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Chip:
    """A word with a tone."""

    words: str
    tone: Tone = Tone.CALM

    def __str__(self) -> SafeString:
        """As it stands in a page; templates ask for text first, then whether it is safe."""
        return self.html

    @property
    def html(self) -> SafeString:
        """Marked up."""
        return format_html('<span class="ek-chip ek-tone-{}">{}</span>', self.tone.value, self.words)


TONES: Mapping[str, Tone] = {
    DecisionStatus.OPEN: Tone.WAITING,
    DecisionStatus.APPROVED: Tone.GOOD,
    DecisionStatus.CLEAR: Tone.GOOD,
    DecisionStatus.REJECTED: Tone.BAD,
    DecisionStatus.OBSERVED: Tone.INFO,
    RunStatus.RUNNING: Tone.INFO,
    RunStatus.WAITING: Tone.WAITING,
    RunStatus.WAITING_FOR_REVIEW: Tone.WAITING,
    RunStatus.SUCCEEDED: Tone.GOOD,
    RunStatus.PARTIAL: Tone.WAITING,
    RunStatus.FAILED: Tone.BAD,
    ItemAction.SUPPRESS: Tone.BAD,
    ItemAction.HOLD: Tone.WAITING,
    ItemAction.PLACE: Tone.GOOD,
    ItemAction.MOVE: Tone.INFO,
    ItemAction.UNSUBSCRIBE: Tone.BAD,
    ItemAction.COMPLAINT: Tone.BAD,
    ItemAction.TAKE_OFF: Tone.WAITING,
    ItemAction.PUT_BACK: Tone.INFO,
    ItemAction.RESTORE: Tone.GOOD,
    ItemAction.RELEASE: Tone.WAITING,
    ItemStatus.TAKEN_OUT: Tone.WAITING,
    ItemStatus.EXECUTED: Tone.GOOD,
    BatchStatus.SENDING: Tone.INFO,
    BatchStatus.SUBMITTED: Tone.INFO,
    OperationStatus.APPLIED: Tone.GOOD,
    NotificationStatus.SENT: Tone.GOOD,
    Outcome.DELIVERED: Tone.GOOD,
    Outcome.BOUNCED: Tone.BAD,
    Outcome.COMPLAINED: Tone.BAD,
}
"""Words without a tone of their own are calm."""


def words(value: str) -> str:
    """A state as people read it: waiting_for_review is "waiting for review"."""
    return value.replace("_", " ")


def chip(value: str) -> Chip:
    """A state as a chip."""
    return Chip(words(value), TONES.get(value, Tone.CALM))


def when(at: datetime | None) -> str:
    """A time, to the minute, in UTC."""
    return f"{at:%d %b %Y, %H:%M} UTC".lstrip("0") if at is not None else NOTHING


def age(read_at: datetime | None) -> str:
    """When what is shown of the lists was read at Mailjet."""
    return when(read_at) if read_at is not None else "before the lists were first read whole"


def left(until: datetime, *, now: datetime) -> str:
    """How long there is: "in 3 days, 2 hours", or how long ago it was."""
    if until <= now:
        return f"{timesince(until, now)} ago"
    if until - now < timedelta(minutes=1):
        return "in less than a minute"
    return f"in {timeuntil(until, now)}"


def percent(share: float) -> str:
    """A fraction as a percentage with one decimal, without one where it is whole."""
    return f"{100 * share:.1f} %".replace(".0 %", " %")


def counted(number: int, noun: str, *, plural: str = "") -> str:
    """ "1 contact", "1,042 contacts"."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def link(row: Model, text: object = None) -> SafeString:
    """A link to a row's page."""
    return format_html('<a href="{}">{}</a>', page_of(row), str(row) if text is None else text)


def link_to(model: type[Model], pk: int | None, text: object) -> SafeString | str:
    """The same, for a row of which only the id is known."""
    if pk is None:
        return NOTHING
    return format_html(
        '<a href="{}">{}</a>',
        reverse(f"admin:{model._meta.label_lower.replace('.', '_')}_change", args=[pk]),
        text,
    )


def page_of(row: Model) -> str:
    """The address of a row's page."""
    return reverse(f"admin:{row._meta.label_lower.replace('.', '_')}_change", args=[row.pk])


def list_of(model: type[Model], **filters: object) -> str:
    """The address of a model's list, filtered."""
    return reverse(
        f"admin:{model._meta.label_lower.replace('.', '_')}_changelist",
        query={key: str(value) for key, value in filters.items()} or None,
    )


def way(url: str, text: str) -> SafeString:
    """A link to anywhere in the site."""
    return format_html('<a href="{}">{}</a>', url, text)


def json_of(value: object) -> SafeString:
    """What was stored verbatim, to read."""
    return format_html('<pre class="ek-verbatim">{}</pre>', json.dumps(value, indent=2, ensure_ascii=False))


CONSENT_RULE = "the consent rule"
"""Who made a decision of consent. It judges nothing: it applies what people said."""


def judge(source: str, *, model: str, has_key: bool) -> str:
    """Who judged. Rules never pose as a model."""
    match AnswerSource(source):
        case AnswerSource.MODEL:
            return f"the model {model}"
        case AnswerSource.REUSED:
            return f"an earlier answer of the model {model}"
        case AnswerSource.RULES:
            return "rules" if has_key else "rules (no Gemini key is set)"
