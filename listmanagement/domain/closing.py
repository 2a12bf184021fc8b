"""When DNS closes a domain: asked twice, a week apart, it said each time that no mail is taken there.

One answer proves little: a registrar's lapse of a weekend, a mistake in a zone, a resolver that lies. What
nobody could say (`closed` is None) counts neither for nor against.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from listmanagement.domain.suppression import POLICY, SuppressionPolicy

FRESH = timedelta(days=30)
"""How long the last answer may be old: a domain that closed may be somebody's again."""


@dataclass(frozen=True, slots=True)
class Told:
    """What DNS told of one domain at one time: that it takes no mail, that it does, or (None) nothing."""

    at: datetime
    closed: bool | None


def is_closed(
    told: Iterable[Told],
    *,
    at: datetime,
    delivered_at: datetime | None = None,
    policy: SuppressionPolicy = POLICY,
) -> bool:
    """Whether these answers about one domain close it, as known at this instant.

    Two of them at least, so far apart as the policy asks, the last not long ago, and all of them after the
    last sign that mail is taken there: an answer that says so, or a delivery to anybody (`delivered_at`). Of
    an answer and a sign at the same instant the sign counts: who is in doubt closes nothing.
    """
    known = [each for each in told if each.at <= at]
    taken = [each.at for each in known if each.closed is False]
    if delivered_at is not None and delivered_at <= at:
        taken.append(delivered_at)
    counting = [each.at for each in known if each.closed and all(each.at > sign for sign in taken)]
    if not counting:
        return False
    first, last = min(counting), max(counting)
    return last - first >= policy.closed_checks_apart and at - last <= FRESH
