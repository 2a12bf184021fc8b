"""Everything the Mailjet stand-in answers to a POST, PUT or DELETE."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from integrations.sandbox import bodies, effects, jobs, listing, properties
from integrations.sandbox.document import list_address
from integrations.sandbox.effects import Action
from integrations.sandbox.jobs import JobType, ListAction
from integrations.sandbox.mailjet_call import Call, contact_id, is_live_list, live_list_id, row_id
from integrations.sandbox.mailjet_reads import CONTACTS, LISTS, MEMBERSHIPS
from integrations.sandbox.protocol import (
    Reply,
    bad_request,
    created,
    duplicate,
    envelope,
    invalid_property,
    no_content,
    not_found,
    not_modified,
    refusal,
)

LIST_FIXED = ("ID", "Address", "CreatedAt", "SubscriberCount")
CONTACT_FIXED = (
    "ID",
    "CreatedAt",
    "DeliveredCount",
    "ExclusionFromCampaignsUpdatedAt",
    "IsOptInPending",
    "IsSpamComplaining",
    "LastActivityAt",
    "LastUpdateAt",
    "UnsubscribedAt",
    "UnsubscribedBy",
)
MEMBERSHIP_FIXED = ("ID", "ListName", "SubscribedAt", "UnsubscribedAt", "IsActive")


def _row(call: Call, what: listing.Listing, key: int) -> Any:
    row = listing.find(call.db, what, key)
    if row is None:
        raise not_found()
    return row


# Lists


def create_list(call: Call) -> Reply:
    """``POST /contactslist``: names are unique among the lists that are not deleted."""
    values = bodies.known(
        bodies.read_object(call.request.body),
        kind="TContactsList",
        settable=("Name", "IsDeleted"),
        fixed=LIST_FIXED,
    )
    name = bodies.text(values, "Name")
    if not name:
        raise bad_request("MJ03 A non-empty value is required for Name")
    _refuse_taken_name(call, name, except_id=0)
    cursor = call.db.execute(
        "INSERT INTO lists (name, address, created_at, is_deleted)"
        " VALUES (?, lower(hex(randomblob(8))), ?, ?)",
        (name, call.now, bool(bodies.boolean(values, "IsDeleted"))),
    )
    key = int(cursor.lastrowid or 0)
    call.db.execute("UPDATE lists SET address = ? WHERE id = ?", (list_address(key), key))
    return created(_row(call, LISTS, key))


def update_list(call: Call, key: str) -> Reply:
    """``PUT /contactslist/{id}``: renames, deletes, restores."""
    list_id = row_id(key)
    current = _row(call, LISTS, list_id)
    values = bodies.known(
        bodies.read_object(call.request.body),
        kind="TContactsList",
        settable=("Name", "IsDeleted"),
        fixed=LIST_FIXED,
    )
    name, is_deleted = bodies.text(values, "Name"), bodies.boolean(values, "IsDeleted")
    wanted = (
        current["Name"] if name is None else name,
        current["IsDeleted"] if is_deleted is None else is_deleted,
    )
    if wanted == (current["Name"], current["IsDeleted"]):
        return not_modified()
    _refuse_taken_name(call, wanted[0], except_id=list_id)
    call.db.execute("UPDATE lists SET name = ?, is_deleted = ? WHERE id = ?", (*wanted, list_id))
    return envelope([_row(call, LISTS, list_id)])


def _refuse_taken_name(call: Call, name: str, *, except_id: int) -> None:
    taken = call.db.execute(
        "SELECT 1 FROM lists WHERE name = ? AND is_deleted = 0 AND id <> ?", (name, except_id)
    ).fetchone()
    if taken:
        raise duplicate("ContactsList", name="Name", value=name)


def delete_list(call: Call, key: str) -> Reply:
    """``DELETE /contactslist/{id}``: soft; the list keeps answering, with IsDeleted."""
    list_id = row_id(key)
    _row(call, LISTS, list_id)
    call.db.execute("UPDATE lists SET is_deleted = 1 WHERE id = ?", (list_id,))
    return no_content()


# Contacts


def create_contact(call: Call) -> Reply:
    """``POST /contact``."""
    values = bodies.known(
        bodies.read_object(call.request.body),
        kind="TContact",
        settable=("Email", "Name", "IsExcludedFromCampaigns"),
        fixed=CONTACT_FIXED,
    )
    email = bodies.address(values)
    if effects.find_contact(call.db, email) is not None:
        raise duplicate("Contact", name="Email", value=email)
    key = effects.create_contact(
        call.db,
        email=email,
        name=bodies.text(values, "Name") or "",
        excluded=bool(bodies.boolean(values, "IsExcludedFromCampaigns")),
        at=call.now,
    )
    return created(_row(call, CONTACTS, key))


def update_contact(call: Call, key: str) -> Reply:
    """``PUT /contact/{id or address}``: only Name and IsExcludedFromCampaigns; never the address."""
    found = contact_id(call, key)
    values = bodies.known(
        bodies.read_object(call.request.body),
        kind="TContact",
        settable=("Name", "IsExcludedFromCampaigns"),
        fixed=("Email", *CONTACT_FIXED),
    )
    has_changed = effects.update_contact(
        call.db,
        contact_id=found,
        name=bodies.text(values, "Name"),
        excluded=bodies.boolean(values, "IsExcludedFromCampaigns"),
        at=call.now,
    )
    return envelope([_row(call, CONTACTS, found)]) if has_changed else not_modified()


def refuse_deletion(_call: Call, _key: str) -> Reply:
    """``DELETE /contact/{id}``: not with this API."""
    raise refusal(HTTPStatus.UNAUTHORIZED, "Operation not allowed")


def erase_contact(call: Call, key: str) -> Reply:
    """``DELETE /v4/contacts/{id}``: anonymises at once; 200 with an empty body, for unknown ids too."""
    found = row_id(key)
    call.db.execute(
        "UPDATE contacts SET name = 'Anonymized', email = ? WHERE id = ?", (f"{found}@domain.invalid", found)
    )
    return Reply(HTTPStatus.OK)


# Memberships, one at a time


def _apply(call: Call, *, contact: int, list_id: int, action: Action) -> None:
    effects.apply(
        call.db,
        contact_id=contact,
        list_id=list_id,
        action=action,
        at=call.now,
        job_id=None,
        unsub_adds_nonmember=call.settings.unsub_adds_nonmember,
    )


def manage_contact(call: Call, list_key: str) -> Reply:
    """``POST /contactslist/{id}/managecontact``: creates the contact where it is missing."""
    list_id = live_list_id(call, list_key)
    values = bodies.known(
        bodies.read_object(call.request.body),
        kind="TManageContact",
        settable=("Action", *bodies.PERSON_FIELDS),
    )
    email, action = bodies.address(values), bodies.action(values)
    given = bodies.properties(values)
    if problem := properties.problem(call.db, given):
        raise bad_request(problem)
    name, excluded = bodies.text(values, "Name"), bodies.boolean(values, "IsExcludedFromCampaigns")
    contact = effects.find_contact(call.db, email)
    if contact is None:
        contact = effects.create_contact(
            call.db, email=email, name=name or "", excluded=bool(excluded), at=call.now
        )
    else:
        effects.update_contact(call.db, contact_id=contact, name=name, excluded=excluded, at=call.now)
    properties.set_values(call.db, contact_id=contact, given=given)
    _apply(call, contact=contact, list_id=list_id, action=action)
    row = {"ContactID": contact, "Email": email, "Action": action, "Name": name or ""}
    return created({**row, "Properties": given})


def manage_lists_of_contact(call: Call, key: str) -> Reply:
    """``POST /contact/{id or address}/managecontactslists``: 404 where the contact does not exist."""
    contact = contact_id(call, key)
    values = bodies.known(
        bodies.read_object(call.request.body), kind="TManageContactsLists", settable=("ContactsLists",)
    )
    actions = bodies.list_actions(values)
    _refuse_bad_lists(call, actions)
    for each in actions:
        _apply(call, contact=contact, list_id=each.list_id, action=each.action)
    return created({"ContactsLists": [{"Action": each.action, "ListID": each.list_id} for each in actions]})


def _refuse_bad_lists(call: Call, actions: Sequence[ListAction]) -> None:
    """400 with one Error per list that is unknown or deleted."""
    problems = [
        {"ListID": each.list_id, "Error": f"List ID {each.list_id} is invalid or deleted"}
        for each in actions
        if not is_live_list(call, each.list_id)
    ]
    if problems:
        raise bad_request("One or more lists are invalid", info={"ContactsLists": problems})


def create_membership(call: Call) -> Reply:
    """``POST /listrecipient``: by id or by what Mailjet calls Alt (address, list's address)."""
    values = bodies.known(
        bodies.read_object(call.request.body),
        kind="TListRecipient",
        settable=("ContactID", "ContactAlt", "ListID", "ListAlt", "IsUnsubscribed"),
        fixed=MEMBERSHIP_FIXED,
    )
    contact, list_id = _named_contact(call, values), _named_list(call, values)
    if effects.standing(call.db, contact_id=contact, list_id=list_id) is not effects.Standing.ABSENT:
        raise duplicate("ListRecipient", name="ContactID|ListID", value=f"{contact}|{list_id}")
    _apply(call, contact=contact, list_id=list_id, action=Action.ADD_NO_FORCE)
    if bodies.boolean(values, "IsUnsubscribed"):
        _apply(call, contact=contact, list_id=list_id, action=Action.UNSUB)
    row = call.db.execute(
        "SELECT id FROM memberships WHERE list_id = ? AND contact_id = ?", (list_id, contact)
    ).fetchone()
    return created(_row(call, MEMBERSHIPS, row["id"]))


def _named_contact(call: Call, values: dict[str, Any]) -> int:
    key = bodies.number(values, "ContactID")
    return contact_id(call, str(key) if key is not None else bodies.text(values, "ContactAlt") or "")


def _named_list(call: Call, values: dict[str, Any]) -> int:
    key = bodies.number(values, "ListID")
    if key is not None:
        return live_list_id(call, str(key))
    address = bodies.text(values, "ListAlt")
    row = call.db.execute("SELECT id FROM lists WHERE address = ?", (address,)).fetchone()
    if row is None:
        raise invalid_property("ListID", "a value is required")
    return live_list_id(call, str(row["id"]))


def update_membership(call: Call, key: str) -> Reply:
    """``PUT /listrecipient/{id}``: IsUnsubscribed only."""
    current = _row(call, MEMBERSHIPS, row_id(key))
    values = bodies.known(
        bodies.read_object(call.request.body),
        kind="TListRecipient",
        settable=("IsUnsubscribed",),
        fixed=("ContactID", "ListID", *MEMBERSHIP_FIXED),
    )
    wanted = bodies.boolean(values, "IsUnsubscribed")
    if wanted is None or wanted == current["IsUnsubscribed"]:
        return not_modified()
    action = Action.UNSUB if wanted else Action.ADD_FORCE
    _apply(call, contact=current["ContactID"], list_id=current["ListID"], action=action)
    return envelope([_row(call, MEMBERSHIPS, row_id(key))])


def delete_membership(call: Call, key: str) -> Reply:
    """``DELETE /listrecipient/{id}``."""
    current = _row(call, MEMBERSHIPS, row_id(key))
    _apply(call, contact=current["ContactID"], list_id=current["ListID"], action=Action.REMOVE)
    return no_content()


# Bulk jobs


def submit_one_list_job(call: Call, list_key: str) -> Reply:
    """``POST /contactslist/{id}/managemanycontacts``: 201 means queued, nothing more."""
    list_id = live_list_id(call, list_key)
    values = bodies.known(
        bodies.read_object(call.request.body), kind="TManageManyContacts", settable=("Action", "Contacts")
    )
    action = bodies.action(values)
    return _queued(call, JobType.ONE_LIST, bodies.people(values), [ListAction(list_id, action)])


def submit_many_lists_job(call: Call) -> Reply:
    """``POST /contact/managemanycontacts``: an action per list, all for the same contacts."""
    values = bodies.known(
        bodies.read_object(call.request.body),
        kind="TManageManyContacts",
        settable=("Contacts", "ContactsLists"),
    )
    actions = bodies.list_actions(values)
    _refuse_bad_lists(call, actions)
    return _queued(call, JobType.MANY_LISTS, bodies.people(values), actions)


def _queued(
    call: Call, job_type: JobType, people: Sequence[jobs.Person], lists: Sequence[ListAction]
) -> Reply:
    one = lists[0] if job_type is JobType.ONE_LIST else None
    job_id = jobs.submit(
        call.db,
        job_type=job_type,
        method=one.action if one else "",
        ref_id=one.list_id if one else 0,
        people=people,
        lists=lists,
        fate=call.fate,
        now=call.now,
        seconds=call.settings.job_seconds,
    )
    return created({"JobID": job_id})
