"""What must not reach a log line, an error's words or a chat message."""

import re
from collections.abc import Collection

# Not a validator: it takes what could be an address, quoted local parts and percent-encoding included, and
# rather too much. Bounded, so that a long text costs no more than its length.
_ADDRESS = re.compile(
    r"""(?: \\?"[^"@]{0,256}" | [^\s"<>()\[\],:;]{1,256} ) (?: @ | %40 ) [^\s"'<>()\[\],:;]*""",
    re.VERBOSE | re.IGNORECASE,
)

PLACEHOLDER = "[address]"
"""What stands where an address stood."""


def without_addresses(text: str, *, known: Collection[str] = ()) -> str:
    """The text with everything that looks like an e-mail address, and every known one, replaced."""
    for address in sorted(known, key=len, reverse=True):
        if address.lower() in text.lower():
            text = re.sub(re.escape(address), PLACEHOLDER, text, flags=re.IGNORECASE)
    return _ADDRESS.sub(PLACEHOLDER, text)
