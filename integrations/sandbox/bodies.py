"""Reading JSON bodies as strictly as Mailjet does.

Keys match without regard to case; an unknown one is refused in Mailjet's words, so that a client that
says ContactID where only Email counts hears of it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from integrations.sandbox import effects
from integrations.sandbox.effects import Action
from integrations.sandbox.jobs import ListAction, Person
from integrations.sandbox.protocol import bad_request, invalid_property, read_json, read_only, unexpected

MAX_ID = 2**63 - 1
MAX_DIGITS = 19
PERSON_FIELDS = ("Email", "Name", "IsExcludedFromCampaigns", "Properties")


def read_object(body: bytes) -> Mapping[str, Any]:
    """The body as a JSON object. Raises Refused: 400 for bad JSON, 500 for another shape."""
    try:
        value = read_json(body)
    except ValueError as error:
        raise bad_request("Invalid json input: the body is not valid JSON") from error
    if not isinstance(value, Mapping):
        raise unexpected()
    return value


def known(
    given: Any, *, kind: str, settable: Sequence[str], fixed: Sequence[str] = (), path: str = ""
) -> dict[str, Any]:
    """An object's values by Mailjet's spelling of their names.

    Raises Refused: 400 for a property that ``kind`` does not have, 401 for a read-only one, 500 for
    what is no object at all.
    """
    if not isinstance(given, Mapping):
        raise unexpected()
    spelling = {name.lower(): name for name in (*settable, *fixed)}
    for name in given:
        if name.lower() not in spelling:
            raise bad_request(f'Invalid json input: object "{path}"->"{kind}" has no property "{name}"')
        if spelling[name.lower()] in fixed:
            raise read_only(spelling[name.lower()])
    return {spelling[name.lower()]: value for name, value in given.items()}


def text(values: Mapping[str, Any], name: str) -> str | None:
    """A string, or None where it is not given. Raises Refused (400)."""
    value = values.get(name)
    if value is not None and not isinstance(value, str):
        raise invalid_property(name, "a string is expected")
    return value


def boolean(values: Mapping[str, Any], name: str) -> bool | None:
    """A flag, also as the text the docs write, or None. Raises Refused (400)."""
    value = values.get(name)
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if value is not None and not isinstance(value, bool):
        raise invalid_property(name, "a boolean is expected")
    return value


def number(values: Mapping[str, Any], name: str) -> int | None:
    """A whole number, also as the text the docs write, or None. Raises Refused (400)."""
    value = values.get(name)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= MAX_DIGITS:
        value = int(value)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > MAX_ID:
        raise invalid_property(name, "an integer is expected")
    return value


def array(values: Mapping[str, Any], name: str) -> Sequence[Any]:
    """An array; empty where it is not given. Raises Refused (400)."""
    value = values.get(name)
    if value is None:
        return ()
    if not isinstance(value, list):
        raise invalid_property(name, "an array is expected")
    return value


def action(values: Mapping[str, Any], *, without: Sequence[Action] = ()) -> Action:
    """One of Mailjet's four actions, compared without regard to case. Raises Refused (400)."""
    given = values.get("Action")
    try:
        found = Action(str(given).lower())
    except ValueError as error:
        raise invalid_property("Action", f'"{given}" is not a valid action') from error
    if found in without:
        raise invalid_property("Action", f'"{given}" is not a valid action')
    return found


def address(values: Mapping[str, Any]) -> str:
    """A well-formed Email. Raises Refused (400)."""
    given = text(values, "Email")
    if not given:
        raise bad_request("MJ03 A non-empty value is required for Email")
    if not effects.is_address(given):
        raise invalid_property("Email", f'Invalid email address: "{given}"')
    return given


def people(values: Mapping[str, Any]) -> list[Person]:
    """The Contacts of a bulk call. A bad address is left to the job's error file; a bad shape is refused."""
    given = array(values, "Contacts")
    if not given:
        raise invalid_property("Contacts", "at least one contact is expected")
    return [_person(each) for each in given]


def _person(given: Any) -> Person:
    values = known(given, kind="TContact", settable=PERSON_FIELDS)
    return Person(
        email=(text(values, "Email") or "").strip(),
        name=text(values, "Name"),
        excluded=boolean(values, "IsExcludedFromCampaigns"),
        properties=properties(values),
    )


def properties(values: Mapping[str, Any]) -> dict[str, Any]:
    """The Properties of a contact; whether they exist is for the account to say. Raises Refused (400)."""
    given = values.get("Properties")
    if not given:
        return {}
    if not isinstance(given, Mapping):
        raise invalid_property("Properties", "an object is expected")
    return dict(given)


def list_actions(values: Mapping[str, Any]) -> list[ListAction]:
    """The ContactsLists of a call. Raises Refused (400)."""
    return [_list_action(each) for each in array(values, "ContactsLists")]


def _list_action(given: Any) -> ListAction:
    values = known(given, kind="TContactsListAction", settable=("ListID", "Action"), path="ContactsLists")
    list_id = number(values, "ListID")
    if list_id is None:
        raise invalid_property("ListID", "a value is required")
    return ListAction(list_id, action(values))
