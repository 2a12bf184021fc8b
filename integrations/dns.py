"""Asks DNS where a domain takes its mail: hosts, none any more, or not known for now.

Mail goes to the hosts of a domain's MX records, the lowest preference first; without any it goes to the
domain's own address (RFC 5321, 5.1). A single MX named "." says that it takes none (RFC 7505). Nothing is
asked but names of domains, never an address.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver
from dns.rdtypes.ANY.MX import MX

TRY_SECONDS = 2.0
QUESTION_SECONDS = 4.0  # with the tries of all servers, and TCP after a truncated reply


class Route(StrEnum):
    """What DNS says of a domain's mail."""

    HOSTS = "hosts"
    ADDRESS = "address"
    """No MX, but an address of its own, which is where mail goes then."""
    NO_DOMAIN = "no_domain"
    """NXDOMAIN: the name does not exist."""
    NULL_MX = "null_mx"
    """The domain says itself that it takes no mail."""
    NOWHERE = "nowhere"
    """The name exists and has neither MX nor address."""
    UNKNOWN = "unknown"
    """Nobody could say: a failure, which tells nothing of the domain."""


@dataclass(frozen=True, slots=True)
class MailRoute:
    """Where one domain takes its mail. `hosts` in their order, lower case, without a dot at the end.

    `why` is said where the route is unknown, and only there. It names no domain.
    """

    domain: str
    route: Route
    hosts: tuple[str, ...] = ()
    why: str = ""


class Dns:
    """A resolver: the one that `resolver` names as (IP address, port), else this machine's own.

    What was answered is kept for as long as its time to live says, in this object alone.
    """

    def __init__(
        self,
        *,
        resolver: tuple[str, int] | None = None,
        try_seconds: float = TRY_SECONDS,
        question_seconds: float = QUESTION_SECONDS,
    ) -> None:
        self._resolver = dns.resolver.Resolver(configure=False)
        self._unusable = ""
        self._name_servers(resolver)
        self._resolver.timeout, self._resolver.lifetime = try_seconds, question_seconds
        self._resolver.cache = dns.resolver.LRUCache()

    def _name_servers(self, given: tuple[str, int] | None) -> None:
        if given is not None:
            self._resolver.nameservers, self._resolver.port = [given[0]], given[1]
            return
        try:
            self._resolver = dns.resolver.Resolver()
        except dns.resolver.NoResolverConfiguration as error:
            self._unusable = f"this machine names no resolver ({error}): set DNS_RESOLVER"

    def mail_route(self, domain: str) -> MailRoute:
        """Where a domain takes its mail. Raises nothing that happens outside: then the route is unknown."""
        if self._unusable:
            return MailRoute(domain, Route.UNKNOWN, why=self._unusable)
        try:
            return self._mail_route(domain, _absolute(domain))
        except dns.resolver.NXDOMAIN:
            return MailRoute(domain, Route.NO_DOMAIN)
        except _NotAName:
            return MailRoute(domain, Route.UNKNOWN, why="this is not a name that DNS could know")
        except dns.exception.DNSException as failure:
            return MailRoute(domain, Route.UNKNOWN, why=_words(failure))

    def _mail_route(self, domain: str, name: dns.name.Name) -> MailRoute:
        exchanges = self._exchanges(name)
        if [each.exchange for each in exchanges] == [dns.name.root]:
            return MailRoute(domain, Route.NULL_MX)
        hosts = tuple(_text(each.exchange) for each in exchanges if each.exchange != dns.name.root)
        if hosts:
            return MailRoute(domain, Route.HOSTS, hosts)
        if self._has(name, dns.rdatatype.A) or self._has(name, dns.rdatatype.AAAA):
            return MailRoute(domain, Route.ADDRESS, (_text(name),))
        return MailRoute(domain, Route.NOWHERE)

    def _exchanges(self, name: dns.name.Name) -> Sequence[MX]:
        """The lowest preference first; those of one preference by name: always in the same order."""
        answer = self._resolver.resolve(name, dns.rdatatype.MX, raise_on_no_answer=False, search=False)
        found = [each for each in answer.rrset or () if isinstance(each, MX)]
        return sorted(found, key=lambda each: (each.preference, _text(each.exchange)))

    def _has(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> bool:
        return bool(self._resolver.resolve(name, kind, raise_on_no_answer=False, search=False).rrset)


class _NotAName(ValueError):
    """What stands after the at sign is no name of a domain."""


def _absolute(domain: str) -> dns.name.Name:
    """The name as DNS is asked for it. Raises _NotAName: too long, empty labels, an address in brackets.

    In other letters as mail software writes it: by IDNA 2008, after UTS 46's mapping. The older IDNA 2003
    makes `strasse.de` of `straße.de`, which belongs to somebody else.
    """
    if not domain.strip(".") or _is_number(domain.strip("[]")):
        raise _NotAName(domain)
    try:
        return dns.name.from_text(domain.rstrip(".") + ".", idna_codec=dns.name.IDNA_2008_Practical)
    except (dns.exception.DNSException, UnicodeError) as error:
        raise _NotAName(domain) from error


def _is_number(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower()


def _words(failure: dns.exception.DNSException) -> str:
    """Why nobody could say. The library's own words name the domain, so they stay out."""
    match failure:
        case dns.exception.Timeout():
            return "the resolver did not answer in time"
        case dns.resolver.NoNameservers():
            said = sorted({str(error) for _, _, _, error, _ in failure.kwargs["errors"]})
            return f"no resolver could say ({', '.join(said)})"
        case _:
            return f"the answer made no sense ({type(failure).__name__})"
