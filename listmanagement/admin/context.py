"""What every page of a signed-in person shows: notices, what waits, and the ways to everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Model
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import SimpleLazyObject
from django.utils.text import capfirst

from listmanagement.admin import mailjet, queue, show
from listmanagement.models import (
    AgentCall,
    AgentVerdict,
    AuditEntry,
    Bounce,
    CampaignRecipient,
    CampaignSchedule,
    Contact,
    ContactList,
    ContactSuppressionHistory,
    Cycle,
    Decision,
    DomainLookup,
    Hold,
    ListHealthCheck,
    ListMaintenanceLog,
    ListOperation,
    MailjetOutage,
    Notification,
    OperationBatch,
    Protection,
    RecurringJob,
    RolloutState,
    WebhookEvent,
)
from listmanagement.workflows import consent, permission

SECTIONS: Mapping[str, Sequence[type[Model]]] = {
    "Review": (Decision, ListMaintenanceLog, ListHealthCheck, AgentVerdict),
    "Contacts and lists": (Contact, ContactList, ContactSuppressionHistory, Hold, Protection, DomainLookup),
    "Campaigns": (CampaignSchedule, Cycle, CampaignRecipient, Bounce),
    "How it came about": (AgentCall, OperationBatch, ListOperation, WebhookEvent),
    "Records": (AuditEntry, Notification, MailjetOutage, RecurringJob, RolloutState),
}
MAIN = (Decision, ListMaintenanceLog, Contact, ContactList, CampaignSchedule)


@dataclass(frozen=True, slots=True)
class Notice:
    """Something everybody should know on every page."""

    words: str
    tone: show.Tone


@dataclass(frozen=True, slots=True)
class Way:
    """A link to a list of rows."""

    label: str
    url: str


@dataclass(frozen=True, slots=True)
class Section:
    """Lists that belong together."""

    title: str
    ways: Sequence[Way]


def standing(request: HttpRequest) -> dict[str, object]:
    """Context processor. Nothing is read from the database before a page asks for it."""
    user = request.user if hasattr(request, "user") else AnonymousUser()
    if not isinstance(user, AnonymousUser) and user.is_active and user.is_staff:
        return {
            "notices": SimpleLazyObject(notices),
            "waiting": SimpleLazyObject(partial(_waiting, user)),
            "what_comes_next": SimpleLazyObject(lambda: queue.what_comes_next(now=timezone.now())),
            "main_ways": SimpleLazyObject(lambda: _ways(MAIN, user)),
            "sections": SimpleLazyObject(lambda: sections(user)),
        }
    return {}


def notices() -> list[Notice]:
    """What is unlike production, what is away, and what is switched off."""
    found = []
    if (away := mailjet.banner(now=timezone.now())) is not None:
        found.append(Notice(away, show.Tone.BAD))
    if settings.MAILJET_IS_STAND_IN:
        found.append(Notice("Development: a stand-in serves instead of Mailjet.", show.Tone.INFO))
    if not settings.GEMINI_API_KEY:
        found.append(Notice("Rules judge: no Gemini key is set.", show.Tone.INFO))
    if (why := permission.why_off(enabled=settings.LIST_MANAGEMENT_ENABLED)) is not None:
        found.append(Notice(f"{capfirst(why)}.", show.Tone.WAITING))
    if (waits := consent.notice(now=timezone.now())) is not None:
        found.append(Notice(waits, show.Tone.BAD))
    return found


def sections(user: User) -> list[Section]:
    """The lists this person may see, by what they are about."""
    found = [Section(title, _ways(models, user)) for title, models in SECTIONS.items()]
    return [section for section in found if section.ways]


def _waiting(user: User) -> Sequence[queue.Waiting]:
    return queue.waiting(now=timezone.now()) if user.has_perm("listmanagement.view_decision") else []


def _ways(models: Sequence[type[Model]], user: User) -> list[Way]:
    return [
        Way(capfirst(str(model._meta.verbose_name_plural)), show.list_of(model))
        for model in models
        if user.has_perm(f"listmanagement.view_{model._meta.model_name}")
    ]
