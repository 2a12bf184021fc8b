"""One HTTP server for all stand-ins: who is asked, what goes wrong on demand, and the wire itself."""

import ipaddress
import logging
import socket
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from integrations.sandbox import control_api, gemini, mailjet, slack
from integrations.sandbox.courier import Courier
from integrations.sandbox.dns import DnsStandIn
from integrations.sandbox.faults import Fault, Faults
from integrations.sandbox.gemini import GeminiStandIn, Mishap
from integrations.sandbox.jobs import Fate
from integrations.sandbox.mailjet_call import Call
from integrations.sandbox.protocol import (
    Reply,
    Request,
    as_json,
    html,
    parse,
    planted,
    unauthorized,
    wrong_keys,
)
from integrations.sandbox.traffic import RateLimit, Traffic
from integrations.sandbox.world import World

log = logging.getLogger(__name__)
_DRIP_BYTES = 4


class NotLoopback(ValueError):
    """The stand-ins know no secrets worth the name, so they listen on this machine only."""


class ConnectionCut(Exception):
    """The caller gets no answer, only a closed connection."""


class Sandbox(ThreadingHTTPServer):
    """The stand-ins, listening. One thread per connection; the world has a lock of its own."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        world: World,
        *,
        host: str,
        port: int,
        api_key: str,
        api_secret: str,
        slack_token: str,
        model: GeminiStandIn,
        names: DnsStandIn,
    ) -> None:
        """Bind, without serving yet. Raises NotLoopback, and OSError for a port in use."""
        if not ipaddress.ip_address(host).is_loopback:
            raise NotLoopback(f"the sandbox listens on loopback only, not on {host}")
        super().__init__((host, port), Connection)
        self.world, self.api_key, self.api_secret, self.slack_token = world, api_key, api_secret, slack_token
        self.model, self.names = model, names
        self.faults, self.traffic, self.rate_limit = Faults(seed=0), Traffic(), RateLimit()
        self.stopping = threading.Event()
        self.courier = Courier(world)
        self._round = threading.Thread(
            target=self.courier.run, args=(self.stopping,), name="courier", daemon=True
        )
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()

    @property
    def url(self) -> str:
        """Where it listens, without a trailing slash."""
        return f"http://{self.server_address[0]!s}:{self.server_address[1]}"

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        """Answer, and tell webhooks, until stopped."""
        self._round.start()
        super().serve_forever(poll_interval)

    def stop(self) -> None:
        """Answer and tell nothing more, and let go of port and connections. Call it from another thread."""
        self.stopping.set()
        self.shutdown()
        if self._round.is_alive():
            self._round.join()
        self.server_close()
        with self._open_lock:
            for connection in self._open:
                _shut(connection)

    def opened(self, connection: socket.socket) -> None:
        """Remember a connection, so that stopping can end it."""
        with self._open_lock:
            self._open.add(connection)

    def closed(self, connection: socket.socket) -> None:
        """Forget a connection."""
        with self._open_lock:
            self._open.discard(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that went away is no error; anything else is logged with its traceback."""
        log.exception("a connection to the sandbox failed")

    def answer(self, request: Request) -> Reply:
        """The answer to a request, whatever it is for. Raises ConnectionCut."""
        if request.segments[0] == "_sandbox":
            return control_api.answer(
                request,
                control_api.Stage(
                    self.world, self.faults, self.traffic, self.courier, self.model, self.names
                ),
            )
        service = "mailjet" if mailjet.is_mailjet(request.segments) else request.segments[0]
        if service == "mailjet":
            self.traffic.asked(request.body)
        status = 0
        told = {"service": service, "method": request.method, "path": request.path}
        try:
            with self.traffic.under_way(**told, at=self.world.clock.now()):
                reply = self._answer_with_faults(request, service)
            status = reply.status
        finally:
            self.traffic.note(**told, status=status, at=self.world.clock.now())
        return reply

    def _answer_with_faults(self, request: Request, service: str) -> Reply:
        fault = self.faults.strike(request.method, request.path, request.query)
        if fault is None:
            return self._serve(request, service, fate=Fate.NORMAL)
        if fault.drop:
            raise ConnectionCut
        if fault.delay_seconds is not None:
            self.stopping.wait(fault.delay_seconds)
        if fault.status is not None or fault.slack_error is not None:
            return self._refuse_on_demand(service, fault)
        reply = self._serve(request, service, fate=fault.job or Fate.NORMAL, mishap=fault.gemini)
        if fault.timeout_after_acceptance is not None:
            self.stopping.wait(fault.timeout_after_acceptance)
            raise ConnectionCut
        return reply

    def _refuse_on_demand(self, service: str, fault: Fault) -> Reply:
        if service == "mailjet" and not self._has_budget():
            return html(HTTPStatus.TOO_MANY_REQUESTS, title="429 Too Many Requests")
        if service == "gemini":
            return gemini.planted(fault.status or 500, retry_after=fault.retry_after)
        reply = slack.refusal(fault.slack_error) if fault.slack_error else planted(fault.status or 500)
        headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
        return Reply(reply.status, reply.body, reply.content_type, {**reply.headers, **headers}, reply.reason)

    def _has_budget(self) -> bool:
        return self.rate_limit.admits(now=self.world.clock.monotonic(), rate=self.world.settings.rate)

    def _serve(self, request: Request, service: str, *, fate: Fate, mishap: Mishap | None = None) -> Reply:
        if service == "mailjet":
            return self._serve_mailjet(request, fate=fate)
        if service == "gemini":
            return self.model.answer(request, mishap=mishap, now=self.world.clock.now())
        if service == "slack" and request.method == "POST":
            with self.world.transaction() as db:
                return slack.answer(request, db=db, token=self.slack_token, now=self.world.clock.now())
        return html(HTTPStatus.NOT_FOUND, title="404 Not Found")

    def _serve_mailjet(self, request: Request, *, fate: Fate) -> Reply:
        if not mailjet.knows_keys(request, api_key=self.api_key, api_secret=self.api_secret):
            return wrong_keys() if request.segments[0].lower() == "v4" else unauthorized()
        if not self._has_budget():
            return html(HTTPStatus.TOO_MANY_REQUESTS, title="429 Too Many Requests")
        with self.world.transaction() as db:
            now, settings = self.world.clock.now(), self.world.settings
            return mailjet.answer(Call(request, db, now, settings, fate, self.url))


class Connection(BaseHTTPRequestHandler):
    """One caller's connection, kept alive between requests."""

    server: Sandbox
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65_536

    def setup(self) -> None:
        """Tell the server about this connection."""
        super().setup()
        self.server.opened(self.connection)

    def finish(self) -> None:
        """Close up, also where the caller has gone."""
        try:
            super().finish()
        except ConnectionError:
            log.debug("a caller went away before its answer")
        finally:
            self.server.closed(self.connection)

    def handle_one_request(self) -> None:
        """Serve one request; a caller that went away ends the connection quietly."""
        try:
            super().handle_one_request()
        except ConnectionError:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: request lines carry addresses, and the traffic report has the rest."""

    def _handle(self) -> None:
        try:
            reply = self._answer()
        except ConnectionCut:
            self.close_connection = True
            _shut(self.connection)
            return
        self._send(reply)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _handle

    def _answer(self) -> Reply:
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            return as_json({"error": "a Content-Length is needed"}, status=HTTPStatus.LENGTH_REQUIRED)
        is_unbounded = self.path.lower().startswith(("/_sandbox/", "/v3/data/"))
        if int(length) > self.server.world.settings.max_body and not is_unbounded:
            raise ConnectionCut
        body = self.rfile.read(int(length))
        return self.server.answer(parse(self.command, self.path, dict(self.headers.items()), body))

    def _send(self, reply: Reply) -> None:
        ascii_only = reply.reason.encode("ascii", "replace").decode()
        reason = "".join(each if each.isprintable() else " " for each in ascii_only)[:200]
        self.send_response(reply.status, reason or None)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.status not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
            self.send_header("Content-Type", reply.content_type)
            self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if not reply.drip_seconds:
            self.wfile.write(reply.body)
        for start in range(0, len(reply.body) if reply.drip_seconds else 0, _DRIP_BYTES):
            self.wfile.write(reply.body[start : start + _DRIP_BYTES])
            self.wfile.flush()
            self.server.stopping.wait(reply.drip_seconds)


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        log.debug("the connection was already closed")
