"""Rulings alike, counted together: what an agent judges and a person reads, a few dozen at most.

A cohort never mixes what the policy treats differently: one region, and review wanted by the policy
or not, throughout. Its key is readable, the same for the same rulings, and names a domain only by the
caller's token. So a prompt has the same size for 200 failures as for 200,000.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from listmanagement.domain.bounces import BounceClass, History
from listmanagement.domain.suppression import POLICY, Region, Ruling

NAMED_DOMAINS = 10
"""How many domains that are not on hold are named: the largest, of at least two failures each."""

MIXED = "mixed"
"""The bucket of a merged cohort whose contacts do not agree in it."""


@dataclass(frozen=True, slots=True)
class Cohort:
    """Contacts whose failures are alike in class, strikes and history, under one region.

    `domain` is the plain name where it is named, for our own pages only; `key` and `why` never hold it.
    A `merged` cohort gathers the smallest beyond the limit: its history is then the most careful of its
    contacts' (protected first), and its class the commonest, should even classes have had to be merged.
    """

    key: str
    bounce: BounceClass
    strikes_bucket: str
    history: History
    region: Region
    domain: str | None
    review: bool
    contact_ids: tuple[int, ...]
    why: str
    merged: bool = False


def cohorts(
    rulings: Sequence[Ruling],
    *,
    held_domains: Container[str],
    token: Callable[[str], str],
    limit: int = 40,
) -> tuple[Cohort, ...]:
    """Group rulings, every contact in exactly one cohort; what must comes first, then the larger.

    `token` turns the name of a domain into what a key may show; it must tell domains apart. Beyond
    the limit the smallest of one region and class are merged, and only should that not be enough,
    classes of one region, those with nothing to decide first.

    Raises ValueError for a contact ruled on twice, for two domains with one token, and for a limit
    too small to keep regions apart.
    """
    _check_one_ruling_each(rulings)
    named = _named_domains(rulings, held_domains=held_domains)
    groups: _Groups = defaultdict(list)
    for ruling in rulings:
        groups[_label(ruling, named=named, held_domains=held_domains)].append(ruling)
    _merge_within_class(groups, limit=limit)
    _merge_across_classes(groups, limit=limit)
    found = [_cohort(label, members, token=token) for label, members in groups.items()]
    _check_keys_differ(found)
    return tuple(sorted(found, key=lambda c: (_ORDER[c.region], -len(c.contact_ids), c.key)))


def bucket(strikes: int) -> str:
    """Strikes as a cohort tells them apart: "0" (the class never strikes), "1", "2", "3+"."""
    return "3+" if strikes >= 3 else str(strikes)


class _Label(NamedTuple):
    """What the rulings of one group share. A merged group shares less: what it lost is None."""

    region: Region
    review: bool
    in_domain_hold: bool
    bounce: BounceClass | None
    strikes: str | None
    history: History | None
    domain: str | None

    @property
    def is_merged(self) -> bool:
        return self.history is None

    @property
    def of_its_class(self) -> "_Label":
        """The rest of one region and class; held domains stay among themselves."""
        return self._replace(strikes=None, history=None, domain=None)

    def is_sibling_of(self, other: "_Label") -> bool:
        return self != other and self.of_its_class == other.of_its_class

    @property
    def of_its_region(self) -> "_Label":
        return self.of_its_class._replace(bounce=None, in_domain_hold=False)


_Groups = defaultdict[_Label, list[Ruling]]

_ORDER = {
    region: place
    for place, region in enumerate((Region.MUST, Region.MAY, Region.HOLD, Region.CONSENT, Region.NEVER))
}

_CARE = (History.PROTECTED, History.LATELY_ALIVE, History.DELIVERED_BEFORE, History.NEVER_DELIVERED)


def _check_one_ruling_each(rulings: Iterable[Ruling]) -> None:
    twice = [contact for contact, times in Counter(r.contact_id for r in rulings).items() if times > 1]
    if twice:
        raise ValueError(f"contacts ruled on more than once: {sorted(twice)[:10]}; give one ruling for each")


def _check_keys_differ(found: Sequence[Cohort]) -> None:
    twice = [key for key, times in Counter(cohort.key for cohort in found).items() if times > 1]
    if twice:
        raise ValueError(f"two domains share one token, see {sorted(twice)}: make tokens longer")


def _named_domains(rulings: Sequence[Ruling], *, held_domains: Container[str]) -> frozenset[str]:
    failures = Counter(ruling.domain for ruling in rulings)
    held = {domain for domain in failures if domain in held_domains}
    others = [domain for domain, count in failures.items() if domain not in held and count > 1]
    largest = sorted(others, key=lambda domain: (-failures[domain], domain))[:NAMED_DOMAINS]
    return frozenset(held.union(largest))


def _label(ruling: Ruling, *, named: frozenset[str], held_domains: Container[str]) -> _Label:
    return _Label(
        region=ruling.region,
        review=ruling.review,
        in_domain_hold=ruling.region is Region.HOLD and ruling.domain in held_domains,
        bounce=ruling.bounce,
        strikes=bucket(ruling.strikes),
        history=ruling.history,
        domain=ruling.domain if ruling.domain in named else None,
    )


# Merging -------------------------------------------------------------------------------------------


def _merge_within_class(groups: _Groups, *, limit: int) -> None:
    """Fold the smallest cohorts that have a sibling of their region and class, until few enough are left."""
    smallest_first = sorted(groups, key=lambda label: (len(groups[label]), _sortable(label)))
    for label in smallest_first:
        if len(groups) <= limit:
            return
        if label not in groups:
            continue
        if label.of_its_class not in groups:
            sibling = next((g for g in smallest_first if g in groups and label.is_sibling_of(g)), None)
            if sibling is None:
                continue
            _fold(groups, sibling, into=label.of_its_class)
        _fold(groups, label, into=label.of_its_class)


def _fold(groups: _Groups, label: _Label, *, into: _Label) -> None:
    groups[into].extend(groups.pop(label))


def _merge_across_classes(groups: _Groups, *, limit: int) -> None:
    """The last resort: whole regions at once, what leaves nothing to decide first."""
    for region in sorted(Region, key=lambda region: -_ORDER[region]):
        if len(groups) <= limit:
            return
        for label in [g for g in groups if g.region is region]:
            _fold(groups, label, into=label.of_its_region)
    if len(groups) > limit:
        raise ValueError(f"{len(groups)} regions cannot be kept apart in {limit} cohorts: raise the limit")


def _sortable(label: _Label) -> tuple[str, ...]:
    return tuple(str(part) for part in label)


# Telling -------------------------------------------------------------------------------------------


def _cohort(label: _Label, members: Sequence[Ruling], *, token: Callable[[str], str]) -> Cohort:
    buckets = {bucket(ruling.strikes) for ruling in members}
    bounce = label.bounce or _commonest_class(members)
    strikes = buckets.pop() if len(buckets) == 1 else MIXED
    past = min((ruling.history for ruling in members), key=_CARE.index)
    return Cohort(
        key=_key(label, token=token),
        bounce=bounce,
        strikes_bucket=strikes,
        history=past,
        region=label.region,
        domain=label.domain,
        review=label.review,
        contact_ids=tuple(sorted(ruling.contact_id for ruling in members)),
        why=_why(label, members),
        merged=label.is_merged,
    )


def _commonest_class(members: Sequence[Ruling]) -> BounceClass:
    counts = Counter(ruling.bounce for ruling in members)
    return min(counts, key=lambda bounce: (-counts[bounce], bounce))


def _key(label: _Label, *, token: Callable[[str], str]) -> str:
    """Such as "must/recipient_gone/1/delivered_before", or "hold/…/at:" and a token."""
    parts = [label.region.value, label.bounce.value if label.bounce else "several_classes"]
    if label.strikes is not None and label.history is not None:
        parts += [label.strikes, label.history.value]
    else:
        parts.append("other_held_domains" if label.in_domain_hold else "others")
    if label.domain is not None:
        parts.append(f"at:{token(label.domain)}")
    if label.review:
        parts.append("review")
    return "/".join(parts)


def _why(label: _Label, members: Sequence[Ruling]) -> str:
    """The contacts' own reason where they share it, else what they share."""
    reasons = {ruling.why for ruling in members}
    if len(reasons) == 1:
        return reasons.pop()
    if label.bounce is None:
        return "Several kinds of failure for which the policy leaves the same choice."
    meaning = POLICY.row(label.bounce).meaning
    if label.in_domain_hold:
        return f"At domains that are on hold: {meaning}."
    return f"{meaning[0].upper()}{meaning[1:]}; the contacts' own reasons differ in detail."
