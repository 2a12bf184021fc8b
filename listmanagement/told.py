"""What agents are told of a failure: the same in production, in the evaluation and in the simulation."""

from collections.abc import Callable

from agents.asking import Record
from agents.optimization import CohortFact
from listmanagement.domain.cohorts import Cohort


def cohort_fact(cohort: Cohort, *, size: int, known: Record, token: Callable[[str], str]) -> CohortFact:
    """One cohort: counts and shares, no contact (P8).

    `size` is its list's, `known` the record of its class; `token` says what its domain is called there.
    """
    contacts = len(cohort.contact_ids)
    return CohortFact(
        key=cohort.key,
        bounce=cohort.bounce.value,
        strikes=cohort.strikes_bucket,
        history=cohort.history.value,
        domain_token=token(cohort.domain) if cohort.domain else None,
        contacts=contacts,
        share_of_list=min(1.0, contacts / size) if size else 0.0,
        region=cohort.region.value,
        review=cohort.review,
        upheld=known.upheld,
        labels=known.labels,
    )
