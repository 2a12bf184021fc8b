"""Small companies behind one server fail together: the host is judged by all of them, or not at all."""

from collections.abc import Mapping
from typing import Any

from listmanagement.domain import mail_hosts
from listmanagement.domain.bounces import BounceClass, ContactRecord, Event, Outcome
from listmanagement.domain.findings import CampaignFacts, Judgement, judge
from listmanagement.domain.holds import DomainRecord
from listmanagement.domain.suppression import Region
from tests.domain.judging import NOW, ago

CAMPAIGN = 7


def firm(n: int, *, failed: int, attempted: int = 1, **columns: Any) -> DomainRecord:
    """A small company with its past: never more than one in a hundred failed."""
    given = {"past_failed": 0, "past_attempted": 20 * attempted, **columns}
    return DomainRecord(f"firm-{n}.test", failed=failed, attempted=attempted, **given)


def hosted(records: list[DomainRecord], host: str = "mx.hoster.test") -> dict[str, str]:
    return dict.fromkeys((record.domain for record in records), host)


def judged(
    records: list[DomainRecord], *, host_of: Mapping[str, str], held_hosts: tuple[str, ...] = ()
) -> Judgement:
    failing = [record for record in records if record.failed]
    facts = CampaignFacts(
        campaign_id=CAMPAIGN,
        domains=records,
        account_rate=0.01,
        held_domains=(),
        records=[somebody(n, record.domain) for n, record in enumerate(failing, 1)],
        mail_hosts=host_of,
        held_hosts=held_hosts,
    )
    return judge(facts, token=lambda domain: f"token of {domain}", now=NOW)


def somebody(contact_id: int, domain: str) -> ContactRecord:
    event = Event(
        message_id=contact_id,
        campaign_id=CAMPAIGN,
        cycle_id=1,
        sent_at=ago(1),
        at=ago(1),
        outcome=Outcome.BOUNCED,
        bounce=BounceClass.RECIPIENT_GONE,
        permanent=True,
    )
    return ContactRecord(contact_id, domain, (event,))


FAILING = [firm(n, failed=1) for n in range(8)]
HEALTHY = [firm(n, failed=0) for n in range(100, 160)]


def test_eight_companies_of_one_host_that_fail_at_once_are_held_with_it() -> None:
    elsewhere = {record.domain: f"mx.{record.domain}" for record in HEALTHY}

    found = judged([*FAILING, *HEALTHY], host_of=hosted(FAILING) | elsewhere)

    assert [(outage.domain, outage.failed, outage.attempted) for outage in found.host_outages] == [
        ("mx.hoster.test", 8, 8)
    ]
    assert found.held_with == hosted(FAILING)
    assert {ruling.region for ruling in found.rulings} == {Region.HOLD}
    assert found.outages == ()


def test_without_dns_each_is_judged_by_itself() -> None:
    found = judged([*FAILING, *HEALTHY], host_of={})

    assert found.host_outages == ()
    assert {ruling.region for ruling in found.rulings} == {Region.MUST}


def test_a_large_host_whose_other_companies_are_well_has_no_outage() -> None:
    many = [firm(n, failed=0, past_failed=int(n % 5 == 0)) for n in range(200, 1000)]

    found = judged([*FAILING, *many], host_of=hosted([*FAILING, *many]))

    assert found.host_outages == ()
    assert {ruling.region for ruling in found.rulings} == {Region.MUST}


def test_a_host_is_not_judged_while_the_hosts_of_others_are_unknown() -> None:
    """Those that failed were asked about first: by them alone, any host would look like an outage."""
    assert judged([*FAILING, *HEALTHY], host_of=hosted(FAILING)).host_outages == ()
    assert not mail_hosts.is_known([*FAILING, *HEALTHY], host_of=hosted(FAILING))


def test_a_company_behind_a_held_host_is_held_when_it_fails_later() -> None:
    late = firm(1, failed=1)

    found = judged([late, *HEALTHY], host_of=hosted([late]), held_hosts=("mx.hoster.test",))

    assert found.held_with == {"firm-1.test": "mx.hoster.test"}
    assert [ruling.region for ruling in found.rulings] == [Region.HOLD]


def test_a_closed_company_is_not_held_with_its_host() -> None:
    gone = firm(1, failed=1, closed_by_dns=True)

    found = judged([gone, *HEALTHY], host_of=hosted([gone]), held_hosts=("mx.hoster.test",))

    assert found.held_with == {}
    assert found.gone_domains == {"firm-1.test"}


def test_a_host_is_suspected_for_several_companies_that_failed_and_never_for_one() -> None:
    failed = {record.domain: record.failed for record in FAILING}
    four = dict(list(failed.items())[:4])
    one = {"firm-1.test": 9}
    hosts = hosted(FAILING)

    assert mail_hosts.suspected(failed, host_of=hosts) == {"mx.hoster.test"}
    assert mail_hosts.suspected(one, host_of=hosts) == frozenset()
    assert mail_hosts.suspected(four, host_of=hosts) == frozenset()
    assert mail_hosts.suspected(failed, host_of={}) == frozenset()


def test_a_host_of_one_domain_is_left_to_the_domain() -> None:
    one = [firm(1, failed=9, attempted=9)]

    assert mail_hosts.pooled(one, host_of=hosted(one)) == ()
