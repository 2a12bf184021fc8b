"""Mail hosts in place of domains: many small companies behind one server fail together, too.

Which host serves which domain is told by DNS. Asked first is where nobody was reached; a host at which as
many failed as in an outage is suspected, and only then the other domains are asked about. A host is judged
by all of its domains or not at all: by those that failed alone, any would look like an outage.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

from listmanagement.domain.holds import DomainRecord
from listmanagement.domain.suppression import POLICY, SuppressionPolicy

KNOWN_ENOUGH = 0.9
"""The share of the domains tried in a campaign whose host must be known before any host is judged."""


def suspected(
    failed: Mapping[str, int], *, host_of: Mapping[str, str], policy: SuppressionPolicy = POLICY
) -> frozenset[str]:
    """Hosts at which so many failed, at more than one domain, that they are worth judging.

    `failed` is how many contacts bounced at each domain in the campaign.
    """
    served: dict[str, list[int]] = defaultdict(list)
    for domain, number in failed.items():
        if number and domain in host_of:
            served[host_of[domain]].append(number)
    return frozenset(
        host for host, each in served.items() if len(each) > 1 and sum(each) >= policy.outage_failed
    )


def is_known(records: Iterable[DomainRecord], *, host_of: Mapping[str, str]) -> bool:
    """Whether the hosts of enough domains are known for hosts to be judged."""
    tried = [record.domain for record in records if record.attempted]
    return sum(domain in host_of for domain in tried) >= KNOWN_ENOUGH * len(tried)


def pooled(records: Iterable[DomainRecord], *, host_of: Mapping[str, str]) -> tuple[DomainRecord, ...]:
    """A record for each host of more than one domain tried: theirs together, under the host's name."""
    return tuple(
        DomainRecord(
            domain=host,
            failed=sum(each.failed for each in served),
            attempted=sum(each.attempted for each in served),
            past_failed=sum(each.past_failed for each in served),
            past_attempted=sum(each.past_attempted for each in served),
            recent=tuple(chain.from_iterable(each.recent for each in served)),
        )
        for host, served in _served(records, host_of).items()
        if len(served) > 1
    )


def _served(
    records: Iterable[DomainRecord], host_of: Mapping[str, str]
) -> Mapping[str, Sequence[DomainRecord]]:
    found: dict[str, list[DomainRecord]] = defaultdict(list)
    for record in records:
        if record.attempted and record.domain in host_of:
            found[host_of[record.domain]].append(record)
    return found
