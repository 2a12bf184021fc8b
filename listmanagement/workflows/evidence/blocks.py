"""Since when Mailjet itself refuses to try a contact: from the first refusal after the last delivery.

A preblock is no strike and no test; it says that mail will not arrive until Mailjet lifts it or forgets it.
"""

from __future__ import annotations

from collections.abc import Collection

from django.db import connection

from listmanagement.domain.bounces import BounceClass, Outcome

ABOUT_THE_MESSAGE = (BounceClass.DUPLICATE, BounceClass.SENDER_SIDE)
"""Why Mailjet did not try a message, rather than an address."""

# Locked in one order, so that nobody waits for somebody who waits for them.
_NOTE = """
with looked_at as materialized (
  select contact.id, contact.blocked_since, (
         select min(refused.outcome_at) from listmanagement_campaignrecipient refused
          where refused.contact_id = contact.id
            and refused.outcome = %(untried)s and refused.bounce_class <> all(%(ours)s)
            and not exists (
                select from listmanagement_campaignrecipient later
                 where later.contact_id = contact.id and later.outcome = %(delivered)s
                   and later.outcome_at >= refused.outcome_at)) as since
    from listmanagement_contact contact
   where contact.id = any(%(refused)s)
      or (contact.id = any(%(told)s) and contact.blocked_since is not null)
), changed as materialized (
  select contact.id, looked_at.since
    from listmanagement_contact contact
    join looked_at on looked_at.id = contact.id and looked_at.since is distinct from looked_at.blocked_since
   order by contact.id
     for no key update of contact
)
update listmanagement_contact contact set blocked_since = changed.since
  from changed where contact.id = changed.id
"""


def note(*, refused: Collection[int], told: Collection[int]) -> None:
    """Say anew since when these contacts are blocked, after their messages changed.

    `refused` are those of whom a message was not tried; of the others in `told` only who is blocked matters.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            _NOTE,
            {
                "refused": sorted(refused),
                "told": sorted(told),
                "untried": Outcome.NOT_ATTEMPTED,
                "delivered": Outcome.DELIVERED,
                "ours": [*ABOUT_THE_MESSAGE],
            },
        )
