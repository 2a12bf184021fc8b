"""What people changed at Mailjet after us, contact by contact: which drift is what, and which list stays.

Facts come in as a fresh reading left them, a finding comes out: what happened, and what putting it back
would do. A change is asked about once; opt-outs and complaints are nobody's to decide on and never asked.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

MOST_ASKED = 3
"""Times that a change nobody decided on is asked about by itself. A run that a person starts asks again."""


class Drift(StrEnum):
    """How Mailjet differs from what we did. The most urgent first: mail that must not go out."""

    RELISTED = "relisted"  # suppressed, and put on a campaign list since
    UNLISTED = "unlisted"  # suppressed, and taken off the suppression list
    RECREATED = "recreated"  # suppressed, and made anew at Mailjet under an id the list does not have
    LISTED = "listed"  # put on the suppression list; nothing here says why
    RETURNED = "returned"  # moved by us, and put back on the list they came from: on two
    DOUBLED = "doubled"  # on two campaign lists for another reason
    TAKEN_AWAY = "taken_away"  # put on a list by us, and taken off
    REHOMED = "rehomed"  # put on a list by us, and moved on to another
    LOST = "lost"  # taken off a list by us, and there as if we never had


class Deed(StrEnum):
    """What putting a change back means for one contact."""

    TAKE_OFF = "take_off"
    PUT_BACK = "put_back"
    MOVE = "move"


LIFTED = frozenset({Drift.RELISTED, Drift.UNLISTED, Drift.RECREATED, Drift.LOST})
"""Where accepting the change lifts the contact's suppression, if one stands."""

TWO_LISTS = frozenset({Drift.RETURNED, Drift.DOUBLED})


# --- Facts -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """A campaign list that the contact is subscribed on now."""

    membership_id: int
    list_id: int
    position: int
    """The list's place in the rotation."""
    since: datetime
    """Mailjet's SubscribedAt, which restarts at each add; for our own adds, when they were seen."""


@dataclass(frozen=True, slots=True)
class Left:
    """The campaign list they were on last: our operation put them there, a person took them off."""

    membership_id: int
    list_id: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Removal:
    """When we last asked Mailjet to take the contact off a list, and whether as the end of a move."""

    at: datetime
    is_move: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """How one contact stands, after a fresh reading. Lists are named by our ids."""

    contact_id: int
    has_address: bool
    said_no: bool
    """Opted out or complained."""
    excluded: bool
    suppressed: bool
    """By us, or as found; a complaint's suppression is consent's, as `said_no` says."""
    places: tuple[Place, ...] = ()
    listed: int | None = None
    """Their current membership on the suppression list."""
    unlisted: int | None = None
    """The last one there that has ended."""
    left: Left | None = None
    """None where the last membership that ended was not ours to miss."""
    removals: Mapping[int, Removal] | None = None
    """Ours, by list."""
    received: frozenset[int] = frozenset()
    """Lists through which the cycle under way has addressed them."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One contact's drift, and what putting it back does. One a contact: the most urgent."""

    contact_id: int
    drift: Drift
    deed: Deed
    source: int | None = None
    target: int | None = None
    membership_id: int | None = None
    """The change itself: the membership that began or ended. None where it left none."""


# --- Which drift -------------------------------------------------------------------------------------


def find(facts: Facts, *, suppression_list: int) -> Finding | None:
    """The contact's drift; None where Mailjet shows what we did, or where it is not for people to decide.

    Who said no is left to consent alone: nothing here could add them to a list, or lose what they said by
    taking them off one.
    """
    if not facts.has_address or facts.said_no:
        return None
    if facts.suppressed:
        return _of_a_suppressed(facts, suppression_list=suppression_list)
    if facts.listed is not None:
        return Finding(
            facts.contact_id,
            Drift.LISTED,
            Deed.TAKE_OFF,
            source=suppression_list,
            membership_id=facts.listed,
        )
    if len(facts.places) > 1:
        return _on_two_lists(facts)
    return _no_longer_where_we_put_them(facts)


def _of_a_suppressed(facts: Facts, *, suppression_list: int) -> Finding | None:
    """Whatever it was, they go back onto the suppression list and off every campaign list."""
    if facts.places:
        lost = all(_was_never_taken_off(place, facts) for place in facts.places)
        drift = Drift.LOST if lost else Drift.RELISTED
        change: int | None = newest(facts.places).membership_id
    elif facts.listed is None:
        drift = Drift.RECREATED if facts.unlisted is None else Drift.UNLISTED
        change = facts.unlisted
    else:
        return None
    return Finding(facts.contact_id, drift, Deed.PUT_BACK, target=suppression_list, membership_id=change)


def _on_two_lists(facts: Facts) -> Finding:
    leaves = which_leaves(facts.places, facts.received)
    removal = (facts.removals or {}).get(leaves.list_id)
    if _was_never_taken_off(leaves, facts):
        drift = Drift.LOST
    else:
        drift = Drift.RETURNED if removal is not None and removal.is_move else Drift.DOUBLED
    return Finding(
        facts.contact_id,
        drift,
        Deed.TAKE_OFF,
        source=leaves.list_id,
        membership_id=newest(facts.places).membership_id,
    )


def _was_never_taken_off(place: Place, facts: Facts) -> bool:
    """Whether Mailjet shows a subscription older than our removal: nobody subscribed them since."""
    removal = (facts.removals or {}).get(place.list_id)
    return removal is not None and place.since <= removal.at


def _no_longer_where_we_put_them(facts: Facts) -> Finding | None:
    left = facts.left
    if left is None or facts.excluded:
        return None
    if not facts.places:
        return Finding(
            facts.contact_id,
            Drift.TAKEN_AWAY,
            Deed.PUT_BACK,
            target=left.list_id,
            membership_id=left.membership_id,
        )
    [now] = facts.places
    if now.list_id == left.list_id or now.since < left.since:
        return None
    return Finding(
        facts.contact_id,
        Drift.REHOMED,
        Deed.MOVE,
        source=now.list_id,
        target=left.list_id,
        membership_id=now.membership_id,
    )


# --- Which list stays --------------------------------------------------------------------------------


def which_stays(places: Sequence[Place], received: Collection[int]) -> Place:
    """Of several lists the one the contact keeps.

    The one that addressed them in the cycle under way, so that none does twice (P5); else the elder
    membership, of equally old ones the list that comes first in the rotation.
    """
    through = [place for place in places if place.list_id in received]
    return min(through or places, key=_age)


def which_leaves(places: Sequence[Place], received: Collection[int]) -> Place:
    """Of several lists the one to be taken off next: the newest of those that do not stay."""
    stays = which_stays(places, received)
    return newest([place for place in places if place != stays])


def newest(places: Sequence[Place]) -> Place:
    """The membership that began last."""
    return max(places, key=_age)


def _age(place: Place) -> tuple[datetime, int, int]:
    return (place.since, place.position, place.membership_id)


# --- Asking once -------------------------------------------------------------------------------------


class Fate(StrEnum):
    """What became of an earlier question about the same change."""

    WAITING = "waiting"  # asked, or approved and not executed yet
    ACCEPTED = "accepted"  # a person said: as it is
    UNDECIDED = "undecided"  # nobody said anything in time
    DONE = "done"
    NOT_DONE = "not_done"  # approved, and dropped or failed at execution


def may_ask(fates: Collection[Fate], *, afresh: bool) -> bool:
    """Whether the change may be asked about (again): never while asked, never once accepted.

    What nobody decided comes up three times, then only where a person asks for it (`afresh`).
    """
    if Fate.WAITING in fates or Fate.ACCEPTED in fates:
        return False
    return afresh or len(fates) < MOST_ASKED


# --- In words ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Words:
    """A drift as people read it. Each goes on from "3 contacts" or "They are"."""

    title: str
    happened: str
    put_back: str
    accept: str


_ONE_STAYS = (
    "taken off one of the two: the list that addressed them this cycle stays, else the one they are longer on"
)
_ON_BOTH = "on both lists, and get each message twice"

WORDS: Mapping[Drift, Words] = {
    Drift.RELISTED: Words(
        title="suppressed, and on a campaign list again",
        happened="They were suppressed. Somebody put them on a campaign list at Mailjet since.",
        put_back="off the campaign lists again, and stay suppressed",
        accept="suppressed no more: the evidence is spent, and they are mailed through that list",
    ),
    Drift.UNLISTED: Words(
        title="suppressed, and taken off the suppression list",
        happened="They were suppressed. Somebody took them off the suppression list at Mailjet since.",
        put_back="on the suppression list again",
        accept="suppressed no more: the evidence is spent, and they may be mailed again",
    ),
    Drift.RECREATED: Words(
        title="suppressed, and made anew at Mailjet under another id",
        happened=(
            "Their addresses were suppressed. At Mailjet the contacts were made anew, and are not on the "
            "suppression list."
        ),
        put_back="put on the suppression list under their new id",
        accept="suppressed no more, and may be mailed again",
    ),
    Drift.LISTED: Words(
        title="put on the suppression list by people",
        happened="Somebody put them on the suppression list at Mailjet; nothing here says why.",
        put_back="taken off the suppression list",
        accept="recorded as suppressed by people, and taken off any campaign list they are on",
    ),
    Drift.RETURNED: Words(
        title="moved by us, and put back on the list they came from",
        happened="We moved them. Somebody put them back at Mailjet since: they are on two campaign lists.",
        put_back=_ONE_STAYS,
        accept=_ON_BOTH,
    ),
    Drift.DOUBLED: Words(
        title="on two campaign lists",
        happened="Somebody put them on a second campaign list at Mailjet.",
        put_back=_ONE_STAYS,
        accept=_ON_BOTH,
    ),
    Drift.TAKEN_AWAY: Words(
        title="taken off the campaign list we put them on",
        happened="We put them on a campaign list. Somebody took them off at Mailjet since.",
        put_back="on that list again, at their old place where it is free",
        accept="off the lists: parked, and not placed again by itself",
    ),
    Drift.REHOMED: Words(
        title="put on a campaign list by us, and on another by people",
        happened="We put them on one campaign list. Somebody moved them to another at Mailjet since.",
        put_back="moved back, between two cycles",
        accept="where people put them",
    ),
    Drift.LOST: Words(
        title="taken off by us, and on the list as if never taken off",
        happened=(
            "We took them off a list and saw them gone. Mailjet shows the old subscription again, and nobody "
            "subscribed them since."
        ),
        put_back="taken off once more",
        accept="on that list; a suppression of theirs is lifted",
    ),
}
