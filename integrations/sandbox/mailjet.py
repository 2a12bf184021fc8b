"""Mailjet's REST API v3 as far as the project speaks it: which address leads to which answer.

Reads stand in ``mailjet_reads``, changes in ``mailjet_writes``; this module routes and checks keys.
"""

import base64
import hmac
from collections.abc import Callable, Mapping
from http import HTTPStatus

from integrations.sandbox import mailjet_drafts as drafts
from integrations.sandbox import mailjet_hooks as hooks
from integrations.sandbox import mailjet_imports as imports
from integrations.sandbox import mailjet_properties as properties
from integrations.sandbox import mailjet_reads as reads
from integrations.sandbox import mailjet_stats as stats
from integrations.sandbox import mailjet_writes as writes
from integrations.sandbox.mailjet_call import Call
from integrations.sandbox.protocol import Refused, Reply, Request, html, not_found, refusal, unexpected

Handler = Callable[..., Reply]
ANY = "*"


def _draft_routes(name: str) -> dict[tuple[str, ...], Mapping[str, Handler]]:
    """A draft's addresses; ``newsletter`` is the older name of the same."""
    return {
        (name,): {"GET": reads.drafts, "POST": drafts.create},
        (name, ANY): {"GET": reads.draft, "PUT": drafts.update, "DELETE": drafts.delete},
        (name, ANY, "status"): {"GET": reads.draft_status},
        (name, ANY, "detailcontent"): {
            "GET": drafts.content,
            "POST": drafts.write_content,
            "PUT": drafts.write_content,
        },
        (name, ANY, "schedule"): {
            "GET": drafts.schedule,
            "POST": drafts.make_schedule,
            "PUT": drafts.change_schedule,
            "DELETE": drafts.cancel_schedule,
        },
        (name, ANY, "send"): {"POST": drafts.send_now},
        (name, ANY, "test"): {"POST": drafts.send_test},
    }


REST: Mapping[tuple[str, ...], Mapping[str, Handler]] = {
    ("contactslist",): {"GET": reads.lists, "POST": writes.create_list},
    ("contactslist", ANY): {"GET": reads.list_by_id, "PUT": writes.update_list, "DELETE": writes.delete_list},
    ("contactslist", ANY, "managecontact"): {"POST": writes.manage_contact},
    ("contactslist", ANY, "managemanycontacts"): {"POST": writes.submit_one_list_job},
    ("contactslist", ANY, "managemanycontacts", ANY): {"GET": reads.one_list_job},
    ("contactslist", ANY, "importlist"): {"POST": imports.import_list},
    ("contactslist", ANY, "importlist", ANY): {"GET": imports.import_list_job},
    ("csvimport",): {"GET": imports.imports, "POST": imports.create_import},
    ("csvimport", ANY): {"GET": imports.import_, "PUT": imports.cancel_import},
    ("contact",): {"GET": reads.contacts, "POST": writes.create_contact},
    ("contact", "managemanycontacts"): {"POST": writes.submit_many_lists_job},
    ("contact", "managemanycontacts", ANY): {"GET": reads.many_lists_job},
    ("contact", ANY): {"GET": reads.contact, "PUT": writes.update_contact, "DELETE": writes.refuse_deletion},
    ("contact", ANY, "getcontactslists"): {"GET": reads.lists_of_contact},
    ("contact", ANY, "managecontactslists"): {"POST": writes.manage_lists_of_contact},
    ("listrecipient",): {"GET": reads.memberships, "POST": writes.create_membership},
    ("listrecipient", ANY): {
        "GET": reads.membership,
        "PUT": writes.update_membership,
        "DELETE": writes.delete_membership,
    },
    ("batchjob",): {"GET": reads.batch_jobs},
    ("batchjob", ANY): {"GET": reads.batch_job},
    ("campaign",): {"GET": reads.campaigns},
    ("campaign", ANY): {"GET": reads.campaign, "PUT": drafts.update_campaign},
    ("sender",): {"GET": drafts.senders},
    **_draft_routes("campaigndraft"),
    **_draft_routes("newsletter"),
    ("contactmetadata",): {"GET": properties.metadata, "POST": properties.define},
    ("contactmetadata", ANY): {"GET": properties.metadata_by_id, "DELETE": properties.forget},
    ("contactdata", ANY): {"GET": properties.data, "PUT": properties.set_data},
    ("contactfilter",): {"GET": properties.segments, "POST": properties.create_segment},
    ("contactfilter", ANY): {"GET": properties.segment},
    ("eventcallbackurl",): {"GET": hooks.callbacks, "POST": hooks.create},
    ("eventcallbackurl", ANY): {"GET": hooks.callback, "PUT": hooks.update, "DELETE": hooks.delete},
    ("bouncestatistics",): {"GET": stats.bounces},
    ("bouncestatistics", ANY): {"GET": stats.bounce},
    ("statcounters",): {"GET": stats.counters},
    ("campaignoverview",): {"GET": stats.overview},
    ("message",): {"GET": reads.messages},
    ("message", ANY): {"GET": reads.message},
    ("messagehistory", ANY): {"GET": reads.message_history},
    ("messagestate",): {"GET": reads.message_states},
    ("messagestate", ANY): {"GET": reads.message_state},
}
"""Literal parts before ``*``: the order of the table is the order of matching."""

DATA: Mapping[tuple[str, ...], Mapping[str, Handler]] = {
    ("batchjob", ANY, "jsonerror", "application:json", "last"): {"GET": reads.error_file},
    ("batchjob", ANY, "csverror", "text:csv"): {"GET": imports.error_csv},
    ("contactslist", ANY, "csvdata", "text:plain"): {"POST": imports.upload},
}


def is_mailjet(segments: tuple[str, ...]) -> bool:
    """Whether the path is one of Mailjet's at all."""
    return segments[0].lower() in ("v3", "v4", "v3.1")


def knows_keys(request: Request, *, api_key: str, api_secret: str) -> bool:
    """Whether the request carries these keys as HTTP Basic."""
    expected = base64.b64encode(f"{api_key}:{api_secret}".encode())
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "basic" and hmac.compare_digest(given.strip().encode(), expected)


def answer(call: Call) -> Reply:
    """What Mailjet would answer, refusals included."""
    try:
        return _dispatch(call)
    except Refused as refused:
        return refused.reply


def _dispatch(call: Call) -> Reply:
    version, *rest = call.request.segments
    prefix = (version.lower(), *(each.upper() for each in rest[:1]))
    if prefix == ("v3", "REST"):
        return _route(REST, call, tuple(rest[1:]))
    if prefix == ("v3", "DATA"):
        return _route(DATA, call, tuple(rest[1:]))
    if version.lower() == "v4" and len(rest) == 2 and rest[0].lower() == "contacts":
        return _route({("contacts", ANY): {"DELETE": writes.erase_contact}}, call, tuple(rest))
    return html(HTTPStatus.NOT_FOUND, title="404 Not Found")


def _route(
    table: Mapping[tuple[str, ...], Mapping[str, Handler]], call: Call, segments: tuple[str, ...]
) -> Reply:
    for pattern, methods in table.items():
        if _matches(pattern, segments):
            handler = methods.get(call.request.method)
            if handler is None:
                raise refusal(HTTPStatus.METHOD_NOT_ALLOWED, "Method not allowed")
            return handler(call, *(got for want, got in zip(pattern, segments, strict=True) if want == ANY))
    resources = {pattern[0] for pattern in table}
    raise not_found() if segments and segments[0].lower() in resources else unexpected()


def _matches(pattern: tuple[str, ...], segments: tuple[str, ...]) -> bool:
    return len(pattern) == len(segments) and all(
        want in (ANY, got.lower()) for want, got in zip(pattern, segments, strict=True)
    )
