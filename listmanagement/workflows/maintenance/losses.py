"""Lists that became smaller than the journal explains: somebody should look before the next send."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from django.db.models import Count, Q, QuerySet

from listmanagement.domain.health import is_loss_alarming, unexplained_loss
from listmanagement.models import (
    BatchKind,
    ContactList,
    ContactListMembership,
    DecisionItem,
    ItemAction,
    ItemStatus,
    ListMaintenanceLog,
)
from listmanagement.workflows import rotation


def alarming(run: ListMaintenanceLog) -> list[str]:
    """A sentence for each list that lost more than 5 % beyond what the run did and people asked for."""
    before = {row["id"]: row["size"] for row in (run.state_before or {})["lists"]}
    after, explained = rotation.sizes(), _explained(run)
    found = []
    for contact_list in ContactList.objects.rotation():
        sizes = {
            "before": before[contact_list.pk],
            "after": after[contact_list.pk],
            "explained": explained.get(contact_list.pk, 0),
        }
        if is_loss_alarming(**sizes):
            found.append(
                f"{contact_list.name} has {sizes['after']:,} mailable contacts, "
                f"{unexplained_loss(**sizes):,} fewer than the journal explains (it had "
                f"{sizes['before']:,}): look at Mailjet who removed them before the next send"
            )
    return found


def _explained(run: ListMaintenanceLog) -> Mapping[int, int]:
    """By list: who left by this run less who joined by it, and who opted out or complained since it began."""
    done = DecisionItem.objects.filter(decision__run=run, status=ItemStatus.EXECUTED)
    leaving = done.filter(action__in=[ItemAction.SUPPRESS, ItemAction.MOVE])
    opted_out = Q(contact__opted_out_at__gte=run.created_at)
    complained = Q(contact__complained_at__gte=run.created_at)
    members = ContactListMembership.objects.current().filter(contact__suppressions=None)
    suppressed = ContactListMembership.objects.filter(  # by the consent run, meanwhile
        complained, until__gte=run.created_at, ended_with__kind=BatchKind.COMPLAINT
    )
    found = Counter(_by(leaving, "source_list"))
    found.update(_by(members.filter(opted_out | (Q(contact__opted_out_at=None) & complained)), "list"))
    found.update(_by(suppressed, "list"))
    found.subtract(_by(done, "target_list"))
    return found


def _by(rows: QuerySet[Any], name: str) -> Mapping[int, int]:
    """How many of them there are, by their list."""
    return dict(rows.order_by().values_list(name).annotate(Count("pk")))
