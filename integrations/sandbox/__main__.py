"""``python -m integrations.sandbox``: the stand-ins as a process of their own."""

import argparse
import signal
import sys
import threading
from pathlib import Path

from integrations.sandbox import API_KEY, API_SECRET, GEMINI_KEY, SLACK_TOKEN, serve
from integrations.sandbox.gemini import Judge
from integrations.sandbox.server import NotLoopback


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="integrations.sandbox", description="Local Mailjet, Slack, Gemini and DNS stand-ins."
    )
    parser.add_argument("--port", type=int, required=True, help="0 takes a free one")
    parser.add_argument("--dns-port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--state", type=Path, required=True, help="directory that keeps the world")
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address")
    parser.add_argument("--rate", type=int, help="requests in any 60 seconds (300 at first; kept)")
    parser.add_argument("--api-key", default=API_KEY)
    parser.add_argument("--api-secret", default=API_SECRET)
    parser.add_argument("--slack-token", default=SLACK_TOKEN)
    parser.add_argument("--gemini-key", default=GEMINI_KEY)
    return parser.parse_args(argv)


def main(argv: list[str], *, judge: Judge | None = None) -> int:
    """Serve until SIGTERM or SIGINT; returns the process's exit code. `judge` answers in Gemini's place."""
    options = _arguments(argv)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        with serve(
            options.state,
            port=options.port,
            host=options.host,
            rate=options.rate,
            api_key=options.api_key,
            api_secret=options.api_secret,
            slack_token=options.slack_token,
            gemini_key=options.gemini_key,
            dns_port=options.dns_port,
            judge=judge,
        ) as serving:
            sys.stdout.write(f"DNS on {serving.resolver}\n")
            sys.stdout.write(f"Sandbox listening on {serving.url}\n")
            sys.stdout.flush()
            stop.wait()
    except (NotLoopback, OSError) as error:
        sys.stderr.write(f"The sandbox cannot listen on {options.host}:{options.port}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
