"""What DNS says of a domain's mail: real packets, on loopback, from a resolver that does what it is told."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from integrations.dns import Dns, MailRoute, Route
from integrations.sandbox.dns import EVERY_NAME, DnsServer, DnsStandIn, Says, Script


@pytest.fixture
def names() -> DnsStandIn:
    return DnsStandIn()


@pytest.fixture
def resolver(names: DnsStandIn) -> Iterator[tuple[str, int]]:
    server = DnsServer(names, host="127.0.0.1", port=0)
    server.start()
    host, _, port = server.address.rpartition(":")
    yield host, int(port)
    server.stop()


@pytest.fixture
def dns(resolver: tuple[str, int]) -> Dns:
    return Dns(resolver=resolver, try_seconds=0.1, question_seconds=0.25)


def test_mail_goes_to_the_hosts_in_their_order_whatever_the_case(names: DnsStandIn, dns: Dns) -> None:
    names.say("firm.test", Script(Says.HOSTS, ((20, "b.mx.test"), (10, "Z.mx.test."), (10, "a.mx.test"))))

    assert dns.mail_route("Firm.test").hosts == ("a.mx.test", "z.mx.test", "b.mx.test")
    assert dns.mail_route("firm.test").route is Route.HOSTS


@pytest.mark.parametrize(
    ("says", "route"),
    [
        (Says.ADDRESS, Route.ADDRESS),
        (Says.NO_DOMAIN, Route.NO_DOMAIN),
        (Says.NULL_MX, Route.NULL_MX),
        (Says.NOWHERE, Route.NOWHERE),
    ],
)
def test_a_domain_without_mail_hosts_is_told_apart(
    names: DnsStandIn, dns: Dns, says: Says, route: Route
) -> None:
    names.say("firm.test", Script(says))

    told = dns.mail_route("firm.test")

    assert (told.route, told.why) == (route, "")
    assert told.hosts == (("firm.test",) if route is Route.ADDRESS else ())


def test_a_domain_with_neither_mx_nor_address_was_asked_for_both(names: DnsStandIn, dns: Dns) -> None:
    names.say("firm.test", Script(Says.NOWHERE))

    dns.mail_route("firm.test")

    assert names.asked() == [("firm.test", "MX"), ("firm.test", "A"), ("firm.test", "AAAA")]


@pytest.mark.parametrize(
    ("says", "why"),
    [
        (Says.SERVFAIL, "SERVFAIL"),
        (Says.REFUSED, "REFUSED"),
        (Says.SILENT, "did not answer in time"),
        (Says.GARBLED, ""),
    ],
)
def test_a_failure_says_why_and_nothing_of_the_domain(
    names: DnsStandIn, dns: Dns, says: Says, why: str
) -> None:
    names.say(EVERY_NAME, Script(says))

    told = dns.mail_route("firm.test")

    assert told.route is Route.UNKNOWN
    assert why in told.why
    assert told.why
    assert "firm" not in told.why


def test_what_is_too_long_for_udp_is_asked_for_over_tcp(names: DnsStandIn, dns: Dns) -> None:
    names.say("firm.test", Script(Says.TRUNCATED, ((10, "mx.firm.test"),)))

    assert dns.mail_route("firm.test") == MailRoute("firm.test", Route.HOSTS, ("mx.firm.test",))
    assert len(names.asked()) == 2


def test_nobody_listening_is_a_failure_and_not_a_closed_domain() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unheard:
        unheard.bind(("127.0.0.1", 0))
        port = unheard.getsockname()[1]
    told = Dns(resolver=("127.0.0.1", port), try_seconds=0.1, question_seconds=0.25).mail_route("firm.test")

    assert told.route is Route.UNKNOWN
    assert told.why


@pytest.mark.parametrize("domain", ["", ".", "a..b", "[192.0.2.1]", "192.0.2.1", "x" * 64 + ".test"])
def test_what_is_no_name_is_unknown_without_asking(names: DnsStandIn, dns: Dns, domain: str) -> None:
    assert dns.mail_route(domain).route is Route.UNKNOWN
    assert names.asked() == []


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("münchen.test", "xn--mnchen-3ya.test"),
        ("MÜNCHEN.test", "xn--mnchen-3ya.test"),
        ("straße.test", "xn--strae-oqa.test"),
        ("xn--strae-oqa.test.", "xn--strae-oqa.test"),
        ("bücher。test", "xn--bcher-kva.test"),
    ],
)
def test_a_name_in_other_letters_is_asked_for_as_dns_knows_it(
    names: DnsStandIn, dns: Dns, written: str, asked: str
) -> None:
    names.say(asked, Script(Says.NULL_MX))

    assert dns.mail_route(written).route is Route.NULL_MX
    assert names.asked() == [(asked, "MX")]


def test_an_answer_is_kept_for_its_time_to_live(names: DnsStandIn, dns: Dns) -> None:
    before = dns.mail_route("firm.test")
    names.say("firm.test", Script(Says.NULL_MX))

    assert dns.mail_route("firm.test") == before
    assert names.asked() == [("firm.test", "MX")]


def test_a_failure_is_not_kept(names: DnsStandIn, dns: Dns) -> None:
    names.say("firm.test", Script(Says.SERVFAIL))
    dns.mail_route("firm.test")
    names.say("firm.test", Script(Says.NULL_MX))

    assert dns.mail_route("firm.test").route is Route.NULL_MX


def test_what_is_written_down_is_about_names_below_too_and_about_no_others(
    names: DnsStandIn, dns: Dns
) -> None:
    names.say("firm.test", Script(Says.NO_DOMAIN))

    assert dns.mail_route("mail.firm.test").route is Route.NO_DOMAIN
    assert dns.mail_route("lawfirm.test") == MailRoute("lawfirm.test", Route.HOSTS, ("mx.lawfirm.test",))
