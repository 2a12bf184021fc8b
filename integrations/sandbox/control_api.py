"""``/_sandbox/...``: how tests and the demo set up, disturb and read the stand-ins. No keys, no limit."""

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any

from integrations.sandbox import courier, dns, effects, faults, population, sending, slack
from integrations.sandbox.courier import Courier
from integrations.sandbox.dns import BadName, DnsStandIn
from integrations.sandbox.document import BadDocument
from integrations.sandbox.effects import Action
from integrations.sandbox.faults import BadFault, Faults
from integrations.sandbox.gemini import GeminiStandIn
from integrations.sandbox.mailjet_hooks import EVENT_TYPES
from integrations.sandbox.message_states import STATES
from integrations.sandbox.outcomes import Mailbox
from integrations.sandbox.population import BadPopulation
from integrations.sandbox.protocol import Reply, Request, as_json, read_json
from integrations.sandbox.settings import BadSetting
from integrations.sandbox.traffic import Traffic
from integrations.sandbox.world import World


class BadControl(ValueError):
    """A control request that cannot be carried out; the message says why."""


@dataclass(frozen=True)
class Stage:
    """Everything a control request may look at or turn."""

    world: World
    faults: Faults
    traffic: Traffic
    courier: Courier
    model: GeminiStandIn
    names: DnsStandIn


def answer(request: Request, stage: Stage) -> Reply:
    """Carry out one control request; 400 with an explanation where it makes no sense."""
    handler = ROUTES.get((request.method, "/".join(request.segments[1:])))
    if handler is None:
        known = sorted(f"{method} /_sandbox/{path}" for method, path in ROUTES)
        return as_json({"error": "no such control request", "known": known}, status=HTTPStatus.NOT_FOUND)
    try:
        return as_json(handler(request, stage))
    except (BadControl, BadDocument, BadFault, BadName, BadPopulation, BadSetting) as error:
        return as_json({"error": str(error)}, status=HTTPStatus.BAD_REQUEST)


def _body(request: Request) -> Mapping[str, Any]:
    try:
        body = read_json(request.body)
    except ValueError as error:
        raise BadControl(f"the body is not JSON: {error}") from error
    if not isinstance(body, Mapping):
        raise BadControl("the body must be a JSON object")
    return body


def _whole(given: Any, name: str) -> int:
    try:
        return int(given)
    except (TypeError, ValueError) as error:
        raise BadControl(f"{name} must be a whole number, not {given!r}") from error


def _state(_request: Request, stage: Stage) -> Any:
    return stage.world.summary()


def _load(request: Request, stage: Stage) -> Any:
    stage.world.load(_body(request))
    return stage.world.summary()


def _dump(_request: Request, stage: Stage) -> Any:
    return stage.world.dump()


def _members(request: Request, stage: Stage) -> Any:
    members = stage.world.members(_whole(request.params.get("list"), "list"))
    return [{"contact_id": key, "unsubscribed": value} for key, value in members.items()]


def _changes(request: Request, stage: Stage) -> Any:
    return stage.world.changes(since=_whole(request.params.get("since", "0"), "since"))


def _requests(_request: Request, stage: Stage) -> Any:
    return stage.traffic.report()


def _settings(request: Request, stage: Stage) -> Any:
    return asdict(stage.world.change_settings(_body(request)))


def _clock(request: Request, stage: Stage) -> Any:
    seconds = _body(request).get("seconds")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise BadControl(f"seconds must be a number, not {seconds!r}")
    return {"now": stage.world.advance(seconds)}


def _plant(request: Request, stage: Stage) -> Any:
    body = _body(request)
    given = body.get("faults", [body])
    if not isinstance(given, list) or not all(isinstance(each, Mapping) for each in given):
        raise BadControl("faults must be an array of objects")
    for fault in [faults.parse(each) for each in given]:
        stage.faults.plant(fault)
    return {"planted": len(given)}


def _clear(_request: Request, stage: Stage) -> Any:
    stage.faults.clear()
    return {}


def _act(request: Request, stage: Stage) -> Any:
    """A person changes a membership on Mailjet's own pages: at once, and in the log without a job."""
    body = _body(request)
    try:
        action = Action(str(body.get("action")))
    except ValueError as error:
        raise BadControl(f"action must be one of {[*map(str, Action)]}") from error
    contact_id, list_id = _whole(body.get("contact_id"), "contact_id"), _whole(body.get("list_id"), "list_id")
    with stage.world.transaction() as db:
        _row_of(db, "contacts", contact_id)
        _row_of(db, "lists", list_id)
        after = effects.apply(
            db,
            contact_id=contact_id,
            list_id=list_id,
            action=action,
            at=stage.world.clock.now(),
            job_id=None,
            unsub_adds_nonmember=stage.world.settings.unsub_adds_nonmember,
        )
    return {"after": after}


def _populate(request: Request, stage: Stage) -> Any:
    stage.world.populate(population.parse(_body(request)))
    return stage.world.summary()


def _save(request: Request, stage: Stage) -> Any:
    return {"file": str(stage.world.save(str(_body(request).get("name"))))}


def _restore(request: Request, stage: Stage) -> Any:
    stage.world.restore(str(_body(request).get("name")))
    return stage.world.summary()


def _row_of(db: sqlite3.Connection, table: str, key: Any) -> int:
    number = _whole(key, f"the id in {table}")
    if db.execute(" ".join(["SELECT 1 FROM", table, "WHERE id = ?"]), (number,)).fetchone() is None:
        raise BadControl(f"there is no row {number} in {table}")
    return number


def _mailbox(body: Mapping[str, Any]) -> Mailbox:
    try:
        return Mailbox(str(body.get("mailbox")))
    except ValueError as error:
        raise BadControl(f"mailbox must be one of {[*map(str, Mailbox)]}") from error


def _set_mailbox(request: Request, stage: Stage) -> Any:
    """From the next send on, a contact's mailbox is of this nature."""
    body = _body(request)
    with stage.world.transaction() as db:
        contact_id = _row_of(db, "contacts", body.get("contact_id"))
        db.execute("UPDATE contacts SET mailbox = ? WHERE id = ?", (_mailbox(body), contact_id))
    return {}


def _happen(request: Request, stage: Stage) -> Any:
    """Something happens now to a message sent before: a reader complains, a bounce comes late."""
    body = _body(request)
    with stage.world.transaction() as db:
        message_id = _row_of(db, "messages", body.get("message_id"))
        now = stage.world.clock.now()
        events = sending.happen(db, message_id=message_id, mailbox=_mailbox(body), at=now)
    if not events:
        raise BadControl(f"nothing happens later to a message at a mailbox that is {body.get('mailbox')!r}")
    return {"events": events}


def _blocks(_request: Request, stage: Stage) -> Any:
    with stage.world.transaction() as db:
        rows = db.execute(
            "SELECT contacts.id AS contact_id, state_id, until FROM preblocks"
            " JOIN contacts ON contacts.email = preblocks.email ORDER BY contacts.id"
        )
        return [dict(row) for row in rows]


def _block(request: Request, stage: Stage) -> Any:
    """Mailjet refuses an address from now on, for some seconds or for ever."""
    body = _body(request)
    state_id, seconds = _whole(body.get("state_id", 14), "state_id"), body.get("seconds")
    if state_id not in STATES:
        raise BadControl(f"state_id must be one of Mailjet's message states, not {state_id}")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float | None):
        raise BadControl(f"seconds must be a number, or null for ever, not {seconds!r}")
    until = None if seconds is None else stage.world.clock.now() + seconds
    with stage.world.transaction() as db:
        contact_id = _row_of(db, "contacts", body.get("contact_id"))
        sending.block(db, contact_id=contact_id, state_id=state_id, until=until)
    return {"until": until}


def _lift(request: Request, stage: Stage) -> Any:
    """What Mailjet's support does on request."""
    with stage.world.transaction() as db:
        contact_id = _row_of(db, "contacts", _body(request).get("contact_id"))
        return {"lifted": sending.lift(db, contact_id=contact_id)}


def _deliver(_request: Request, stage: Stage) -> Any:
    """Tell webhooks everything that is due now, also where the settings hold it back."""
    return stage.courier.deliver()


def _hooks(_request: Request, stage: Stage) -> Any:
    with stage.world.transaction() as db:
        rows = db.execute("SELECT id, kind, at, due_at, tries, state FROM hooks ORDER BY id")
        return [dict(row) for row in rows]


def _test_event(request: Request, stage: Stage) -> Any:
    """What the console's button does: an event with nothing in it."""
    kind = _body(request).get("event")
    if kind not in EVENT_TYPES:
        raise BadControl(f"event must be one of {', '.join(EVENT_TYPES)}, not {kind!r}")
    with stage.world.transaction() as db:
        now = stage.world.clock.now()
        values = (kind, courier.test_event(kind, at=now), now, now)
        db.execute("INSERT INTO hooks (kind, body, at, due_at) VALUES (?, ?, ?, ?)", values)
    return {}


def _replay(_request: Request, stage: Stage) -> Any:
    """Everything told so far is to be told once more."""
    with stage.world.transaction() as db:
        told = db.execute(
            "INSERT INTO hooks (kind, event_id, body, at, due_at)"
            " SELECT kind, event_id, body, at, ? FROM hooks WHERE state = 'told' ORDER BY id",
            (stage.world.clock.now(),),
        )
        return {"again": told.rowcount}


def _slack(_request: Request, stage: Stage) -> Any:
    with stage.world.transaction() as db:
        return slack.messages(db)


def _script(request: Request, stage: Stage) -> Any:
    """The model's next answers, in turn: JSON values, or strings for text as it stands."""
    answers = _body(request).get("answers")
    if not isinstance(answers, list):
        raise BadControl("answers must be a list of JSON values, a string being the text as it stands")
    stage.model.script(answers)
    return {}


def _asked(_request: Request, stage: Stage) -> Any:
    return [asdict(each) for each in stage.model.asked()]


def _forget(_request: Request, stage: Stage) -> Any:
    stage.model.forget()
    return {}


def _name(request: Request, stage: Stage) -> Any:
    """What a name says of its mail from now on."""
    stage.names.say(*dns.parse(_body(request)))
    return {}


def _names_asked(_request: Request, stage: Stage) -> Any:
    return stage.names.asked()


def _forget_names(_request: Request, stage: Stage) -> Any:
    stage.names.forget()
    return {}


ROUTES: Mapping[tuple[str, str], Callable[[Request, Stage], Any]] = {
    ("GET", "state"): _state,
    ("PUT", "state"): _load,
    ("GET", "world"): _dump,
    ("GET", "members"): _members,
    ("GET", "changes"): _changes,
    ("GET", "requests"): _requests,
    ("POST", "settings"): _settings,
    ("POST", "clock"): _clock,
    ("POST", "faults"): _plant,
    ("DELETE", "faults"): _clear,
    ("POST", "people"): _act,
    ("POST", "population"): _populate,
    ("POST", "snapshots"): _save,
    ("PUT", "snapshots"): _restore,
    ("POST", "mailboxes"): _set_mailbox,
    ("POST", "mail"): _happen,
    ("GET", "blocks"): _blocks,
    ("POST", "blocks"): _block,
    ("DELETE", "blocks"): _lift,
    ("GET", "deliveries"): _hooks,
    ("POST", "deliveries"): _deliver,
    ("POST", "test-events"): _test_event,
    ("POST", "replays"): _replay,
    ("GET", "slack"): _slack,
    ("GET", "gemini"): _asked,
    ("POST", "gemini"): _script,
    ("DELETE", "gemini"): _forget,
    ("GET", "dns"): _names_asked,
    ("POST", "dns"): _name,
    ("DELETE", "dns"): _forget_names,
}
