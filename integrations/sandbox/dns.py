"""A resolver on this machine: DNS as it is on the wire, over UDP and TCP, wrong on demand.

A name says what was written down for it (``POST /_sandbox/dns``), a name below it included; any other is a
domain that takes its mail at a host of its own. Nobody further is asked. Messages are read and made by
dnspython; addresses are those kept for documents (RFC 5737).
"""

import contextlib
import socketserver
import struct
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

EVERY_NAME = "*"
KEPT_QUESTIONS = 5000
_TTL_SECONDS = 60
_ADDRESS = "192.0.2.25"
_TRIES = 20
"""How often another port is taken, where UDP had one that TCP could not get."""


class Says(StrEnum):
    """What a name says of its mail, or how the question goes wrong."""

    HOSTS = "hosts"
    ADDRESS = "address"
    NO_DOMAIN = "no_domain"
    NULL_MX = "null_mx"
    NOWHERE = "nowhere"

    SERVFAIL = "servfail"
    REFUSED = "refused"
    SILENT = "silent"
    """No answer at all."""
    TRUNCATED = "truncated"
    """Too long for UDP: the hosts are told over TCP alone."""
    GARBLED = "garbled"
    """Bytes that are no DNS."""


class BadName(ValueError):
    """What was to be written down for a name makes no sense."""


@dataclass(frozen=True)
class Script:
    """What one name says; its hosts with their preferences, where it has any."""

    says: Says
    hosts: tuple[tuple[int, str], ...] = ()


def parse(body: Mapping[str, Any]) -> tuple[str, Script]:
    """A name and its script from a control request's body. Raises BadName."""
    domain = str(body.get("domain", "")).lower().rstrip(".")
    try:
        says = Says(str(body.get("says")))
    except ValueError as error:
        raise BadName(f"says must be one of {[*map(str, Says)]}") from error
    if not domain:
        raise BadName(f"domain must be a name, or {EVERY_NAME} for every name")
    try:
        hosts = tuple((int(preference), str(host)) for preference, host in body.get("hosts", ()))
    except (TypeError, ValueError) as error:
        raise BadName("hosts must be pairs of a preference and a name") from error
    return domain, Script(says, hosts)


class DnsStandIn:
    """What names say, and what was asked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._scripts: dict[str, Script] = {}
        self._asked: deque[tuple[str, str]] = deque(maxlen=KEPT_QUESTIONS)

    def say(self, domain: str, script: Script) -> None:
        """From now on a name, and names below it, say this; EVERY_NAME is about all others."""
        with self._lock:
            self._scripts[domain] = script

    def asked(self) -> list[tuple[str, str]]:
        """Names and the kinds of record that were asked for, oldest first."""
        with self._lock:
            return list(self._asked)

    def forget(self) -> None:
        """Drop what was written down and what was asked."""
        with self._lock:
            self._scripts.clear()
            self._asked.clear()

    def reply(self, wire: bytes, *, over_tcp: bool) -> bytes | None:
        """The answer to one question as it stands on the wire; None for silence."""
        try:
            query = dns.message.from_wire(wire)
            question = query.question[0]
        except (dns.exception.DNSException, IndexError):
            return None
        script = self._script(question.name, question.rdtype)
        response = dns.message.make_response(query, recursion_available=True)
        match script.says:
            case Says.SILENT:
                return None
            case Says.GARBLED:
                return wire[:2] + b"\xff" * 12
            case Says.TRUNCATED if not over_tcp:
                response.flags |= dns.flags.TC
            case Says.SERVFAIL | Says.REFUSED | Says.NO_DOMAIN:
                response.set_rcode(_CODES[script.says])
            case _:
                response.answer = _records(question.name, question.rdtype, script)
        return response.to_wire()

    def _script(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> Script:
        labels = name.to_text(omit_final_dot=True).lower().split(".")
        with self._lock:
            self._asked.append((".".join(labels), dns.rdatatype.to_text(kind)))
            for n in range(len(labels)):
                if (script := self._scripts.get(".".join(labels[n:]))) is not None:
                    return script
            return self._scripts.get(EVERY_NAME, Script(Says.HOSTS))


_CODES = {
    Says.SERVFAIL: dns.rcode.SERVFAIL,
    Says.REFUSED: dns.rcode.REFUSED,
    Says.NO_DOMAIN: dns.rcode.NXDOMAIN,
}


def _records(name: dns.name.Name, kind: dns.rdatatype.RdataType, script: Script) -> list[dns.rrset.RRset]:
    if kind == dns.rdatatype.MX:
        told = _exchanges(name, script)
    elif kind == dns.rdatatype.A and script.says is not Says.NOWHERE:
        told = [_ADDRESS]
    else:
        told = []
    return [dns.rrset.from_text_list(name, _TTL_SECONDS, "IN", kind, told)] if told else []


def _exchanges(name: dns.name.Name, script: Script) -> list[str]:
    if script.says is Says.NULL_MX:
        return ["0 ."]
    if script.says in (Says.ADDRESS, Says.NOWHERE):
        return []
    hosts: Sequence[tuple[int, str]] = script.hosts or [(10, f"mx.{name.to_text(omit_final_dot=True)}")]
    return [f"{preference} {host.rstrip('.')}." for preference, host in hosts]


# --- The wire ----------------------------------------------------------------------------------------


class _Udp(socketserver.ThreadingUDPServer):
    daemon_threads = True
    stand_in: DnsStandIn


class _Tcp(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    stand_in: DnsStandIn


class _Datagram(socketserver.BaseRequestHandler):
    server: _Udp

    def handle(self) -> None:
        wire, socket = self.request
        if (reply := self.server.stand_in.reply(wire, over_tcp=False)) is not None:
            socket.sendto(reply, self.client_address)


class _Stream(socketserver.StreamRequestHandler):
    """One question after another, each with its length before it."""

    server: _Tcp

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            while len(head := self.rfile.read(2)) == 2:
                [length] = struct.unpack("!H", head)
                reply = self.server.stand_in.reply(self.rfile.read(length), over_tcp=True)
                if reply is None:
                    return
                self.wfile.write(struct.pack("!H", len(reply)) + reply)


class DnsServer:
    """The stand-in, listening over UDP and TCP on one port. Raises OSError for a port in use."""

    def __init__(self, stand_in: DnsStandIn, *, host: str, port: int) -> None:
        self._servers = _bind(host, port)
        for server in self._servers:
            server.stand_in = stand_in
        self._threads = [
            threading.Thread(target=server.serve_forever, args=(0.02,), name="dns", daemon=True)
            for server in self._servers
        ]

    @property
    def address(self) -> str:
        """Where it listens, as DNS_RESOLVER takes it."""
        host, port = self._servers[0].server_address[:2]
        return f"{host!s}:{port}"

    def start(self) -> None:
        """Answer from now on."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Answer no more, and let go of the port."""
        for server, thread in zip(self._servers, self._threads, strict=True):
            if thread.is_alive():
                server.shutdown()
                thread.join()
            server.server_close()


def _bind(host: str, port: int) -> tuple[_Udp, _Tcp]:
    for tries_left in reversed(range(1 if port else _TRIES)):
        udp = _Udp((host, port), _Datagram)
        try:
            return udp, _Tcp((host, udp.server_address[1]), _Stream)
        except OSError:
            udp.server_close()
            if not tries_left:
                raise
    raise AssertionError("a port is bound, or an error raised")
