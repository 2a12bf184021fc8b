"""Lists that became smaller than the journal explains: somebody should look before the next send."""

from __future__ import annotations

from listmanagement.domain.health import is_loss_alarming, unexplained_loss
from listmanagement.models import (
    BatchKind,
    ContactList,
    DecisionItem,
    ItemAction,
    ItemStatus,
    ListMaintenanceLog,
)
from listmanagement.workflows import rotation


def alarming(run: ListMaintenanceLog) -> list[str]:
    """A sentence for each list that lost more than 5 % beyond what the run did and people asked for."""
    before = {row["id"]: row["size"] for row in (run.state_before or {})["lists"]}
    found = []
    for contact_list in ContactList.objects.rotation():
        was, is_now = before[contact_list.pk], rotation.sizes()[contact_list.pk]
        explained = _explained(run, contact_list)
        if is_loss_alarming(before=was, after=is_now, explained=explained):
            lost = unexplained_loss(before=was, after=is_now, explained=explained)
            found.append(
                f"{contact_list.name} has {is_now:,} mailable contacts, {lost:,} fewer than the journal "
                f"explains (it had {was:,}): look at Mailjet who removed them before the next send"
            )
    return found


def _explained(run: ListMaintenanceLog, contact_list: ContactList) -> int:
    """Who left by this run less who joined by it, and who opted out or complained since it began."""
    done = DecisionItem.objects.filter(decision__run=run, status=ItemStatus.EXECUTED)
    left = done.filter(source_list=contact_list, action__in=[ItemAction.SUPPRESS, ItemAction.MOVE]).count()
    joined = done.filter(target_list=contact_list).count()
    members = contact_list.memberships.current().filter(contact__suppressions=None)
    opted_out = members.filter(contact__opted_out_at__gte=run.created_at)
    complained = members.filter(contact__opted_out_at=None, contact__complained_at__gte=run.created_at)
    suppressed = contact_list.memberships.filter(  # by the consent run, meanwhile
        until__gte=run.created_at,
        ended_with__kind=BatchKind.COMPLAINT,
        contact__complained_at__gte=run.created_at,
    )
    return left - joined + opted_out.count() + complained.count() + suppressed.count()
