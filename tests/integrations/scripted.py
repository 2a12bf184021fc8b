"""A server that says what a test tells it to, for answers no honest stand-in gives."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit


@dataclass(frozen=True)
class Said:
    """One answer."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


DROPPED = Said(status=0)
"""The connection is closed once the request is read."""

SILENT = Said(status=-1)
"""Nothing is answered until the client hangs up."""


@dataclass(frozen=True)
class Heard:
    """One request."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return unquote(urlsplit(self.target).path)

    @property
    def params(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def answer(value: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Said:
    body = json.dumps(value).encode()
    return Said(status=status, body=body, headers={"Content-Type": "application/json", **(headers or {})})


class Server:
    """Gives the answers in order, and the last one for ever."""

    def __init__(self) -> None:
        self.says: list[Said] = [Said()]
        self.heard: list[Heard] = []
        self.over = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def next(self) -> Said:
        return self.says.pop(0) if len(self.says) > 1 else self.says[0]

    def run(self) -> threading.Thread:
        thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        return thread

    def stop(self) -> None:
        self.over.set()
        self._http.shutdown()
        self._http.server_close()


@contextmanager
def serving() -> Iterator[Server]:
    server = Server()
    thread = server.run()
    try:
        yield server
    finally:
        server.stop()
        thread.join()


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet: two would wait for an acknowledgement
        timeout = 5

        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(length)
            server.heard.append(Heard(self.command, self.path, dict(self.headers.items()), body))
            self._say(server.next())

        do_GET = do_POST = do_PUT = do_DELETE = handle_any

        def _say(self, said: Said) -> None:
            if said is SILENT:
                server.over.wait(5)
            if said.status <= 0:
                self.close_connection = True
                return
            self.send_response(said.status)
            for name, value in said.headers.items():
                self.send_header(name, value)
            if said.status not in (204, 304):
                self.send_header("Content-Length", str(len(said.body)))
            self.end_headers()
            self.wfile.write(said.body)

        def log_message(self, *_: Any) -> None:
            """Quiet: a test's output is its assertions."""

    return Handler
