"""The mirror: what Mailjet says becomes rows, opt-outs stick, and one bad reading ends nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrations.mailjet import MailjetAnswerInvalid, MailjetUnavailable
from listmanagement.models import (
    Change,
    Contact,
    ContactList,
    ContactListMembership,
    ContactSuppressionHistory,
    Role,
    SuppressionKind,
)
from listmanagement.workflows import mirror
from tests import factories
from tests.factories import NOON
from tests.integrations.scripted import Said, answer
from tests.workflows.mailjet_says import a_contact, a_member, page, saying
from tests.workflows.scene import Scene

LATER, LATER_STILL = NOON + timedelta(minutes=20), NOON + timedelta(minutes=40)

Row = dict[str, Any]


@pytest.fixture
def first_list(db: None) -> ContactList:
    return factories.the_rotation().campaign[0]


def read(contact_list: ContactList, members: list[Row], contacts: list[Row], *, now: Any = NOON) -> None:
    """Refresh from a Mailjet that gives these rows."""
    with saying(page(*members), page(*contacts)) as mailjet:
        mirror.refresh(contact_list, mailjet=mailjet, now=now)


def with_addresses(contact_list: ContactList, **addresses: str) -> tuple[list[Row], list[Row]]:
    """Memberships and contacts, `_7="a@example.com"` for contact 7."""
    rows = {int(key[1:]): email for key, email in addresses.items()}
    members = [a_member(key, list_id=contact_list.mailjet_id) for key in rows]
    return members, [a_contact(key, email) for key, email in rows.items()]


def current(contact_list: ContactList) -> dict[int, ContactListMembership]:
    return {m.contact_id: m for m in ContactListMembership.objects.current().filter(list=contact_list)}


# --- Membership --------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_first_reading_ranks_members_by_when_they_subscribed(first_list: ContactList) -> None:
    members = [
        a_member(7, list_id=first_list.mailjet_id, SubscribedAt="2025-05-01T08:00:00Z"),
        a_member(8, list_id=first_list.mailjet_id, SubscribedAt="2025-04-01T08:00:00Z"),
        a_member(9, list_id=first_list.mailjet_id, SubscribedAt=""),
    ]

    read(first_list, members, [a_contact(key, f"c{key}@example.com") for key in (7, 8, 9)])

    found = current(first_list)
    assert sorted(found, key=lambda key: found[key].rank) == [8, 7, 9]
    assert {m.began_by for m in found.values()} == {Change.FIRST_SIGHT}
    first_list.refresh_from_db()
    assert first_list.read_at == NOON


@pytest.mark.django_db
def test_one_domain_under_several_spellings_is_one_here(first_list: ContactList) -> None:
    written = {
        "_7": "a@münchen.test",
        "_8": "b@xn--mnchen-3ya.test",
        "_9": "c@MÜNCHEN.test.",
        "_10": "d@firm.test.",
        "_11": "e@mail.firm.test",
    }
    read(first_list, *with_addresses(first_list, **written))

    def domains() -> list[str | None]:
        return list(Contact.objects.order_by("pk").values_list("domain", flat=True))

    assert domains() == [*["xn--mnchen-3ya.test"] * 3, "firm.test", "mail.firm.test"]
    assert Contact.objects.get(pk=7).email == "a@münchen.test", "Mailjet is asked for it as it writes it"

    read(first_list, *with_addresses(first_list, **{**written, "_7": "a@firm.test"}), now=LATER)
    assert domains()[0] == "firm.test"
    assert Contact.objects.get(pk=7).domain_in_ascii is None


@pytest.mark.django_db
def test_who_comes_later_joins_the_tail_by_a_person_and_moves_nobody(first_list: ContactList) -> None:
    read(first_list, *with_addresses(first_list, _7="a@example.com", _9="b@example.com"))
    first_list.refresh_from_db()
    ranks = {key: m.rank for key, m in current(first_list).items()}

    members, contacts = with_addresses(first_list, _7="a@example.com", _8="c@example.com", _9="b@example.com")
    members[0]["SubscribedAt"] = "2026-03-01T00:00:00Z"  # Mailjet's restarts at each add
    read(first_list, members, contacts, now=LATER)

    found = current(first_list)
    assert {key: found[key].rank for key in ranks} == ranks
    assert found[8].rank > max(ranks.values())
    assert found[8].began_by == Change.PERSON


@pytest.mark.django_db
def test_who_is_missing_from_a_reading_as_long_as_mailjets_count_has_left(first_list: ContactList) -> None:
    read(first_list, *with_addresses(first_list, _7="a@example.com", _8="b@example.com"))

    read(first_list, *with_addresses(first_list, _7="a@example.com"), now=LATER)

    assert set(current(first_list)) == {7}
    ended = ContactListMembership.objects.get(contact=8)
    assert (ended.until, ended.ended_by, ended.missing_since) == (LATER, Change.PERSON, None)
    assert ended.last_seen_at == NOON


@pytest.mark.django_db
def test_who_left_and_came_back_gets_a_new_membership_at_the_tail(first_list: ContactList) -> None:
    both = with_addresses(first_list, _7="a@example.com", _8="b@example.com")
    read(first_list, *both)
    for now in (LATER, LATER_STILL):
        read(first_list, *with_addresses(first_list, _8="b@example.com"), now=now)

    read(first_list, *both, now=LATER_STILL + timedelta(minutes=20))

    found = current(first_list)
    assert found[7].rank > found[8].rank
    ranks = list(
        ContactListMembership.objects.filter(contact=7).order_by("rank").values_list("rank", flat=True)
    )
    assert len(set(ranks)) == 2


@pytest.mark.django_db
def test_an_unchanged_list_costs_as_many_statements_however_long_it_is_and_writes_no_row(
    first_list: ContactList,
) -> None:
    short = with_addresses(first_list, **{f"_{n}": f"c{n}@example.com" for n in range(7, 9)})
    long = with_addresses(first_list, **{f"_{n}": f"c{n}@example.com" for n in range(7, 57)})
    asked = []
    for rows, hours in ((short, 0), (long, 1)):
        read(first_list, *rows, now=NOON + timedelta(hours=hours))
        before = written()
        with CaptureQueriesContext(connection) as queries:
            read(first_list, *rows, now=LATER + timedelta(hours=hours))
        asked.append(len(queries))
        assert written() == before

    assert asked[0] == asked[1]
    assert Contact.objects.count() == 50


def written() -> set[tuple[str, str]]:
    """Each contact's and membership's version, which PostgreSQL changes with each write."""
    tables = [model._meta.db_table for model in (Contact, ContactListMembership)]
    versions = "union all".join(f" select '{table}' || id, ctid::text from {table} " for table in tables)
    with connection.cursor() as cursor:
        cursor.execute(versions)
        return set(cursor.fetchall())


# --- What goes wrong on the way ----------------------------------------------------------------------

NOT_JSON = Said(status=200, body=b"<html>busy</html>")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("second", "error"),
    [
        (answer({"ErrorMessage": "boom"}, status=500), MailjetUnavailable),
        (NOT_JSON, MailjetAnswerInvalid),
        (page(a_contact(7, "")), MailjetAnswerInvalid),
        (page({"ID": 7, "Email": "a@example.com"}), MailjetAnswerInvalid),
        (answer({"Count": 2, "Data": [a_contact(7, "a@example.com")], "Total": 2}), MailjetAnswerInvalid),
    ],
    ids=["server fault", "not JSON", "no address", "fields missing", "page cut short"],
)
def test_a_reading_that_fails_half_way_changes_nothing(
    first_list: ContactList, second: Said, error: type[Exception]
) -> None:
    read(first_list, *with_addresses(first_list, _7="a@example.com"))
    members = [a_member(key, list_id=first_list.mailjet_id, IsUnsubscribed=True) for key in (7, 8)]

    with saying(page(*members), second) as mailjet, pytest.raises(error):
        mirror.refresh(first_list, mailjet=mailjet, now=LATER)

    first_list.refresh_from_db()
    assert first_list.read_at == NOON
    assert set(current(first_list)) == {7}
    assert Contact.objects.get().opted_out_at is None


@pytest.mark.django_db
def test_fields_that_nobody_knows_are_passed_over(first_list: ContactList) -> None:
    members, contacts = with_addresses(first_list, _7="a@example.com")

    read(first_list, [{**members[0], "Mood": "fine"}], [{**contacts[0], "IsOptInPending": False, "Tags": []}])

    assert set(current(first_list)) == {7}


@pytest.mark.django_db
def test_stale_lists_are_read_again_and_fresh_ones_are_not(scene: Scene) -> None:
    scene.publish()
    mailjet = scene.outside.mailjet
    lists = ContactList.objects.filter(role=Role.CAMPAIGN)
    mirror.refresh_stale(lists, mailjet=mailjet, now=NOON)
    once = mailjet.requests

    mirror.refresh_stale(lists, mailjet=mailjet, now=NOON + mirror.FRESH_FOR)
    assert mailjet.requests == once

    mirror.refresh_stale(lists, mailjet=mailjet, now=NOON + mirror.FRESH_FOR + timedelta(seconds=1))
    assert mailjet.requests == 2 * once


@pytest.mark.django_db
def test_what_takes_long_to_read_is_fresh_for_three_readings(scene: Scene) -> None:
    factories.members(2, list=scene.lists.campaign[0])  # a page of memberships and contacts
    mailjet = scene.outside.mailjet

    assert mirror.fresh_for(mailjet=mailjet) == mirror.FRESH_FOR

    mailjet._budget.per_minute = 1 / 20  # type: ignore[assignment]  # so that a page takes 20 minutes
    assert mirror.fresh_for(mailjet=mailjet) == timedelta(hours=1)


@pytest.mark.django_db
def test_members_alone_cost_half_the_requests_and_leave_their_contacts_as_known(scene: Scene) -> None:
    first = scene.lists.campaign[0]
    contact, _ = factories.members(2, list=first)
    scene.publish()
    mirror.refresh(first, mailjet=scene.outside.mailjet, now=NOON)
    scene.a_person("unsub", contact, first)
    scene.at_mailjet("UPDATE contacts SET excluded = 1 WHERE id = ?", contact.pk)
    before = scene.outside.mailjet.requests

    mirror.refresh_members([first], mailjet=scene.outside.mailjet, now=LATER)

    assert scene.outside.mailjet.requests == before + 1
    contact.refresh_from_db()
    assert (contact.opted_out_at, contact.excluded) == (LATER, False)
    first.refresh_from_db()
    assert (first.read_at, first.contacts_read_at) == (LATER, NOON)


@pytest.mark.django_db
@pytest.mark.parametrize(("joined", "requests"), [(2, 1 + 2), (mirror.FEW + 1, 1 + 1)])
def test_who_is_unknown_here_is_looked_up_one_by_one_or_with_the_list(
    scene: Scene, joined: int, requests: int
) -> None:
    first = scene.lists.campaign[0]
    scene.publish()
    mirror.refresh(first, mailjet=scene.outside.mailjet, now=NOON)
    new = factories.members(joined, list=first)
    scene.publish()
    ContactListMembership.objects.all().delete()
    Contact.objects.all().delete()
    before = scene.outside.mailjet.requests

    mirror.refresh_members([first], mailjet=scene.outside.mailjet, now=LATER)

    assert set(current(first)) == {contact.pk for contact in new}
    assert scene.outside.mailjet.requests == before + requests


@pytest.mark.django_db
def test_contacts_are_read_again_only_when_what_is_known_of_them_is_too_old(scene: Scene) -> None:
    first = scene.lists.campaign[0]
    factories.members(1, list=first)
    scene.publish()
    mailjet = scene.outside.mailjet
    mirror.refresh(first, mailjet=mailjet, now=NOON)
    an_hour = timedelta(hours=1)

    mirror.refresh_stale([first], mailjet=mailjet, now=LATER, contacts=an_hour)
    assert (first.read_at, first.contacts_read_at) == (NOON, NOON)  # as it was when it was looked at
    first.refresh_from_db()
    assert (first.read_at, first.contacts_read_at) == (LATER, NOON)

    mirror.refresh_stale([first], mailjet=mailjet, now=NOON + 2 * an_hour, contacts=an_hour)
    first.refresh_from_db()
    assert (first.read_at, first.contacts_read_at) == (NOON + 2 * an_hour, NOON + 2 * an_hour)


# --- Addresses ---------------------------------------------------------------------------------------

AWKWARD = [
    "Jörg.Müller@bücher.example",
    "İpek@example.com",
    "STRASSE@Example.COM",
    "straße@example.com",
    "o'hara+news@example.com",
    '"odd name"@example.com',
    "用户@例子.example",
    "a+b%40c@example.com",
]


@pytest.mark.django_db
@pytest.mark.parametrize("email", AWKWARD)
def test_an_awkward_address_is_kept_as_mailjet_spells_it_and_moves_to_a_new_id(
    first_list: ContactList, email: str
) -> None:
    read(first_list, *with_addresses(first_list, _7=email))
    assert Contact.objects.get(pk=7).email == email

    read(first_list, *with_addresses(first_list, _8=email.swapcase()), now=LATER)

    assert Contact.objects.get(pk=8).email == email.swapcase()


@pytest.mark.django_db
def test_an_address_without_an_at_sign_is_a_contact_that_nobody_mails(first_list: ContactList) -> None:
    rows = with_addresses(first_list, _7="not an address", _8="b@example.com")

    read(first_list, *rows)
    read(first_list, *rows, now=LATER)

    malformed = Contact.objects.get(pk=7)
    assert (malformed.email, malformed.retired_at) == (None, NOON)
    assert set(current(first_list)) == {7, 8}
    assert set(Contact.objects.mailable().values_list("pk", flat=True)) == {8}


@pytest.mark.django_db
def test_two_contacts_with_one_address_leave_it_to_the_newer(first_list: ContactList) -> None:
    rows = with_addresses(first_list, _7="Kim@example.com", _8="kim@Example.com")

    read(first_list, *rows)
    read(first_list, *rows, now=LATER)

    assert Contact.objects.get(pk=8).email == "kim@Example.com"
    assert Contact.objects.get(pk=7).email is None


@pytest.mark.django_db
def test_a_contact_recreated_under_a_new_id_takes_the_address_and_leaves_the_history(
    first_list: ContactList,
) -> None:
    read(first_list, *with_addresses(first_list, _7="kim@example.com"))
    factories.a_recipient(contact=Contact.objects.get(pk=7), campaign=factories.a_campaign(list=first_list))

    read(first_list, *with_addresses(first_list, _8="KIM@example.com"), now=LATER)

    old, new = Contact.objects.get(pk=7), Contact.objects.get(pk=8)
    assert (old.email, old.retired_at, old.received.count()) == (None, LATER, 1)
    assert (new.email, new.retired_at) == ("KIM@example.com", None)


@pytest.mark.django_db
def test_a_contact_that_has_its_old_id_again_gets_its_address_back(first_list: ContactList) -> None:
    read(first_list, *with_addresses(first_list, _7="kim@example.com"))
    read(first_list, *with_addresses(first_list, _8="kim@example.com"), now=LATER)

    read(first_list, *with_addresses(first_list, _7="kim@example.com"), now=LATER_STILL)

    assert Contact.objects.get(pk=7).retired_at is None
    assert Contact.objects.get(pk=8).email is None


@pytest.mark.django_db
def test_of_whoever_had_an_address_before_it_is_known_who_has_it_now(first_list: ContactList) -> None:
    def heirs() -> dict[int, int | None]:
        return dict(Contact.objects.values_list("pk", "heir"))

    read(first_list, *with_addresses(first_list, _7="kim@example.com"))
    read(first_list, *with_addresses(first_list, _8="kim@example.com"), now=LATER)
    assert heirs() == {7: 8, 8: None}

    read(first_list, *with_addresses(first_list, _9="kim@example.com"), now=LATER_STILL)
    assert heirs() == {7: 9, 8: 9, 9: None}

    read(first_list, *with_addresses(first_list, _7="kim@example.com"), now=LATER_STILL)
    assert heirs() == {7: None, 8: 7, 9: 7}


@pytest.mark.django_db
@pytest.mark.parametrize("becomes", ["8@domain.invalid", "lee@example.com"])
def test_an_heir_who_has_the_address_no_more_is_none(first_list: ContactList, becomes: str) -> None:
    read(first_list, *with_addresses(first_list, _7="kim@example.com"))
    read(first_list, *with_addresses(first_list, _8="kim@example.com"), now=LATER)

    read(first_list, *with_addresses(first_list, _8=becomes), now=LATER_STILL)

    assert dict(Contact.objects.values_list("pk", "heir")) == {7: None, 8: None}


@pytest.mark.django_db
def test_what_an_address_said_under_its_old_id_holds_under_the_new_one(first_list: ContactList) -> None:
    """P2 and P1: to be made anew at Mailjet is neither an opt-in nor the lift of a suppression."""
    out = factories.a_contact(id=7, email="out@example.com", opted_out_at=NOON, opted_out_by="list 1")
    complained = factories.a_contact(id=8, email="angry@example.com", complained_at=NOON)
    suppressed = factories.a_contact(id=9, email="gone@example.com")
    factories.an_imported_suppression(contact=suppressed)
    addresses = {"_17": out.email, "_18": complained.email, "_19": suppressed.email, "_20": "new@example.com"}

    read(first_list, *with_addresses(first_list, **{k: str(v) for k, v in addresses.items()}), now=LATER)

    assert set(Contact.objects.mailable().values_list("pk", flat=True)) == {20}
    assert (Contact.objects.get(pk=17).opted_out_at, Contact.objects.get(pk=17).opted_out_by) == (
        NOON,
        "contact 7, whose address it is",
    )
    assert Contact.objects.get(pk=18).complained_at == NOON
    carried = ContactSuppressionHistory.objects.get(contact=19)
    assert (carried.kind, carried.at) == (SuppressionKind.IMPORTED, LATER)
    assert "contact 9" in carried.reason


@pytest.mark.django_db
def test_two_contacts_that_swap_their_addresses_swap_what_was_said_under_them(
    first_list: ContactList,
) -> None:
    read(first_list, *with_addresses(first_list, _7="out@example.com", _8="gone@example.com"))
    Contact.objects.filter(pk=7).update(opted_out_at=NOON, opted_out_by="list 1")
    factories.an_imported_suppression(contact=Contact.objects.get(pk=8))

    read(first_list, *with_addresses(first_list, _7="GONE@example.com", _8="out@example.com"), now=LATER)

    seven, eight = Contact.objects.get(pk=7), Contact.objects.get(pk=8)
    assert (seven.email, seven.retired_at) == ("GONE@example.com", None)
    assert (eight.email, eight.retired_at) == ("out@example.com", None)
    assert (eight.opted_out_at, eight.opted_out_by) == (NOON, "contact 7, whose address it is")
    assert set(ContactSuppressionHistory.objects.values_list("contact_id", flat=True)) == {7, 8}


@pytest.mark.django_db
def test_an_address_that_comes_back_in_other_capitals_stays_with_its_contact(first_list: ContactList) -> None:
    read(first_list, *with_addresses(first_list, _7="kim@example.com"))

    read(first_list, *with_addresses(first_list, _7="Kim@Example.com"), now=LATER)

    contact = Contact.objects.get()
    assert (contact.email, contact.retired_at, contact.opted_out_at) == ("Kim@Example.com", None, None)


@pytest.mark.django_db
@pytest.mark.parametrize("email", ["a\tb@example.com", "a\\nb@example.com", "line\nbreak@example.com", "\\."])
def test_no_character_of_an_address_is_taken_for_the_end_of_a_field(
    first_list: ContactList, email: str
) -> None:
    read(first_list, *with_addresses(first_list, _7=email, _8="b@example.com"))

    assert Contact.objects.get(pk=7).email == (email if "@" in email else None)
    assert Contact.objects.get(pk=8).email == "b@example.com"


@pytest.mark.django_db
def test_an_address_that_postgresql_cannot_hold_is_none(first_list: ContactList) -> None:
    read(first_list, *with_addresses(first_list, _7="a\0@example.com", _8="b@example.com"))

    assert Contact.objects.get(pk=7).email is None


@pytest.mark.django_db
def test_a_contact_first_known_from_a_message_gets_its_registration(first_list: ContactList) -> None:
    factories.a_contact(id=7, email="a@example.com", registered_at=None)

    read(first_list, *with_addresses(first_list, _7="a@example.com"))

    assert Contact.objects.get().registered_at is not None


# --- Consent -----------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_an_opt_out_stays_when_mailjet_forgets_it(first_list: ContactList) -> None:
    members, contacts = with_addresses(first_list, _7="a@example.com")
    read(first_list, [{**members[0], "IsUnsubscribed": True}], contacts)

    read(first_list, members, contacts, now=LATER)

    contact = Contact.objects.get()
    assert (contact.opted_out_at, contact.opted_out_by) == (NOON, f"list {first_list.mailjet_id}")
    assert current(first_list)[7].unsubscribed is False
    assert not Contact.objects.mailable().exists()


@pytest.mark.django_db
def test_a_complaint_stays_when_mailjet_forgets_it_and_an_exclusion_does_not(first_list: ContactList) -> None:
    members, contacts = with_addresses(first_list, _7="a@example.com", _8="b@example.com")
    told = [{**contacts[0], "IsSpamComplaining": True}, {**contacts[1], "IsExcludedFromCampaigns": True}]
    read(first_list, members, told)
    assert not Contact.objects.mailable().exists()

    read(first_list, members, contacts, now=LATER)

    assert Contact.objects.get(pk=7).complained_at == NOON
    assert set(Contact.objects.mailable().values_list("pk", flat=True)) == {8}


@pytest.mark.django_db
def test_an_opt_out_counts_even_where_the_reading_lost_the_contact_itself(first_list: ContactList) -> None:
    members, contacts = with_addresses(first_list, _7="a@example.com", _8="b@example.com")
    read(first_list, members, contacts)

    read(first_list, [{**members[0], "IsUnsubscribed": True}, members[1]], contacts[1:], now=LATER)

    assert Contact.objects.get(pk=7).opted_out_at == LATER
    assert set(current(first_list)) == {7, 8}


@pytest.mark.django_db
def test_who_mailjet_has_erased_leaves_the_list_and_gets_no_invented_address(first_list: ContactList) -> None:
    both = with_addresses(first_list, _7="a@example.com", _8="b@example.com")
    read(first_list, *both)
    erased = a_contact(7, "7@domain.invalid", Name="Anonymized")

    read(first_list, both[0], [erased, both[1][1]], now=LATER)
    read(first_list, both[0], [erased, both[1][1]], now=LATER_STILL)

    assert set(current(first_list)) == {8}
    gone = Contact.objects.get(pk=7)
    assert (gone.email, gone.retired_at, gone.erased_at) == (None, LATER, LATER)
    assert set(Contact.objects.mailable().values_list("pk", flat=True)) == {8}


@pytest.mark.django_db
def test_an_erased_contact_that_was_never_seen_here_gets_no_membership(first_list: ContactList) -> None:
    members, contacts = with_addresses(first_list, _7="a@example.com", _8="8@domain.invalid")
    contacts[1]["Name"] = "Anonymized"

    read(first_list, members, contacts)

    assert set(current(first_list)) == {7}
    assert Contact.objects.get(pk=8).erased_at == NOON


readings = st.lists(
    st.dictionaries(st.integers(min_value=1, max_value=6), st.booleans(), min_size=1, max_size=6),
    min_size=1,
    max_size=5,
)


@pytest.mark.django_db
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seen=readings)
def test_whatever_is_read_no_opt_out_is_ever_cleared_and_no_rank_is_given_twice(
    first_list: ContactList, seen: list[dict[int, bool]]
) -> None:
    ContactListMembership.objects.all().delete()
    Contact.objects.all().delete()
    ContactList.objects.update(read_at=None, contacts_read_at=None)
    ever: set[int] = set()
    for n, reading in enumerate(seen):
        ever |= {key for key, unsubscribed in reading.items() if unsubscribed}
        members = [
            a_member(key, list_id=first_list.mailjet_id, IsUnsubscribed=unsubscribed)
            for key, unsubscribed in reading.items()
        ]
        contacts = [a_contact(key, f"c{key}@example.com") for key in reading]
        read(first_list, members, contacts, now=NOON + timedelta(hours=n))

        assert set(reading) == set(current(first_list))
        assert ever == set(Contact.objects.filter(opted_out_at__isnull=False).values_list("pk", flat=True))
        ranks = list(ContactListMembership.objects.values_list("rank", flat=True))
        assert len(set(ranks)) == len(ranks)
