"""Puts the demo's world where the console and the stand-in find it."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import transaction

from integrations.sandbox.control import Control
from listmanagement.models import AuditEntry
from listmanagement.outside import Configuration
from listmanagement.workflows.by_people.refusals import NotAllowed
from listmanagement.workflows.demo import rows
from listmanagement.workflows.demo.document import document
from listmanagement.workflows.demo.people import MASTER, SUPPRESSION
from listmanagement.workflows.demo.world import CAMPAIGN_LISTS, World


def seed(world: World, *, configuration: Configuration, control: Control, reset: bool) -> None:
    """Replace what the database and the stand-in hold by the world, in one transaction each.

    `reset` allows it where the database holds something else than a demo. Should the stand-in fail
    after the database was written, the same call again ends as if it had not. Raises NotAllowed where
    it must not be, and what `control` raises where nothing answers; then nothing was changed.
    """
    _check_stand_in(configuration)
    mailjet_ids = _mailjet_ids(configuration)
    control.state()  # before anything is written: does it answer?
    with transaction.atomic():
        if not reset:
            _check_only_a_demo()
        rows.empty()
        rows.write(world, mailjet_ids=mailjet_ids)
    control.load(document(world, mailjet_ids=mailjet_ids))


def _check_stand_in(configuration: Configuration) -> None:
    if not configuration.mailjet_is_stand_in:
        raise NotAllowed(
            "MAILJET_BASE_URL does not name a stand-in on this machine: the demo is never seeded beside a "
            "real Mailjet account. Point it at `python -m integrations.sandbox`"
        )


def _check_only_a_demo() -> None:
    is_demo = AuditEntry.objects.filter(actor=rows.ACTOR).exists()
    if not is_demo and any(model._default_manager.exists() for model in rows.remembered()):
        raise NotAllowed(
            "the database holds something that is not a demo: use another one, or give --reset to have "
            "all of it deleted"
        )


def _mailjet_ids(configuration: Configuration) -> Mapping[int, int]:
    """Mailjet's ids of the demo's lists. Raises NotAllowed where the settings do not name three."""
    given = configuration.campaign_list_ids
    if len(given) != len(CAMPAIGN_LISTS):
        raise NotAllowed(
            f"the settings name {len(given)} campaign lists, the demo has {len(CAMPAIGN_LISTS)}: set "
            "MAILJET_CAMPAIGN_LIST_1_ID to MAILJET_CAMPAIGN_LIST_3_ID and no more"
        )
    return {
        **dict(zip(CAMPAIGN_LISTS, given, strict=True)),
        MASTER: configuration.master_list_id,
        SUPPRESSION: configuration.suppression_list_id,
    }
