"""Mailjet's message states: why a message did not arrive (``/messagestate``; documented in its reference)."""

from collections.abc import Mapping
from typing import NamedTuple


class State(NamedTuple):
    """What a StateID stands for."""

    name: str
    related_to: str


STATES: Mapping[int, State] = {
    1: State("user unknown", "recipient"),
    2: State("mailbox inactive", "recipient"),
    3: State("quota exceeded", "recipient"),
    4: State("invalid domain", "domain"),
    5: State("no mail host", "domain"),
    6: State("relay/access denied", "domain"),
    7: State("sender blocked", "spam"),
    8: State("content blocked", "spam"),
    9: State("policy issue", "spam"),
    10: State("system issue", "system"),
    11: State("protocol issue", "system"),
    12: State("connection issue", "system"),
    13: State("greylisted", "domain"),
    14: State("preblocked", "mailjet"),
    15: State("duplicate in campaign", "mailjet"),
    16: State("spam preblocked", "mailjet"),
    17: State("bad or empty template", "content"),
    18: State("error in template language", "content"),
    19: State("typofix", "domain"),
    20: State("blacklisted", "recipient"),
    21: State("spam reporter", "recipient"),
}
