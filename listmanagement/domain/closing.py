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

    All answers since the first that counts say so, the last of them not long ago; an answer that mail is
    taken, and a delivery to anybody there (the last was at `delivered_at`), begin the count anew.
    """
    counting: list[Told] = []
    for each in sorted((t for t in told if t.closed is not None and t.at <= at), key=lambda t: t.at):
        counting = [*counting, each] if each.closed else []
    if delivered_at is not None and delivered_at <= at:
        counting = [each for each in counting if each.at > delivered_at]
    if not counting:
        return False
    first, last = counting[0].at, counting[-1].at
    return last - first >= policy.closed_checks_apart and at - last <= FRESH
