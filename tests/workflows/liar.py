"""Mailjet with one lie: requests reach the stand-in, and the rows of one resource come back changed."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import httpx

from integrations import tls
from tests.workflows.scene import StandIn

Lie = Callable[[dict[str, Any]], dict[str, Any]]


@contextmanager
def lying(standin: StandIn, *, about: str, lie: Lie) -> Iterator[str]:
    """The address of such a Mailjet. `about` ends the resource's path; `lie` changes each of its rows."""
    with httpx.Client(base_url=standin.url, timeout=10, trust_env=False, verify=tls.trusted()) as truth:
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(truth, about=about, lie=lie))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def at(standin: StandIn, url: str) -> StandIn:
    """The same stand-in, reached by way of another address."""
    return replace(standin, serving=replace(standin.serving, url=url))


def _handler(truth: httpx.Client, *, about: str, lie: Lie) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1
        timeout = 5

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            kept = {name: value for name, value in self.headers.items() if name in _KEPT}
            answer = truth.request(self.command, self.path, content=body, headers=kept)
            content = answer.content
            if urlsplit(self.path).path.endswith(about) and answer.status_code == 200:
                told = answer.json()
                content = json.dumps({**told, "Data": [lie(row) for row in told["Data"]]}).encode()
            self.send_response(answer.status_code)
            self.send_header("Content-Type", answer.headers.get("Content-Type", "application/json"))
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = handle_any

        def log_message(self, *_: Any) -> None:
            """Quiet: a test's output is its assertions."""

    return Handler


_KEPT = ("Authorization", "Content-Type")
