"""One name for a recipient domain, however addresses write it.

`münchen.test`, `MÜNCHEN.test.` and `xn--mnchen-3ya.test` are one domain with one mail server, so an outage
there is seen only where they count as one. The name is DNS's own: ASCII, by IDNA 2008 after UTS 46's mapping,
as mail software writes it. A subdomain is a domain of its own: it often has mail servers of its own.
"""

import idna


def in_ascii(domain: str) -> str | None:
    """The name as DNS knows it, of a domain in other letters.

    None of one in ASCII, and of what is no name: it stands as it is written, small, without a dot at the end.
    """
    if domain.isascii():
        return None
    try:
        return idna.encode(domain, uts46=True).decode("ascii").rstrip(".").lower()
    except idna.IDNAError:
        return None


def known_as(domain: str) -> str:
    """The one name of a domain that was written somewhere."""
    return in_ascii(domain) or domain.lower().rstrip(".")
