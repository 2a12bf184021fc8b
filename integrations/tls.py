"""Which servers are believed to be who they say: read once per process."""

from __future__ import annotations

import functools
import ssl

import httpx


@functools.cache
def trusted() -> ssl.SSLContext:
    """The authorities that httpx trusts (certifi's, or SSL_CERT_FILE), for every client of this process.

    OpenSSL takes some 50 ms to read them: as long as a request, and each task opens a client of its own.
    """
    return httpx.create_ssl_context()
