"""The Mailjet stand-in sends: drafts, schedules, outcomes by the clock, and addresses it refuses."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from integrations.sandbox import effects
from integrations.sandbox.control import ControlRefused
from integrations.sandbox.effects import Action
from integrations.sandbox.outcomes import Mailbox, draw
from integrations.sandbox.settings import Settings
from integrations.sandbox.world import World
from tests.integrations.sandbox_scenes import LONG_AGO, Scene, contact, member, small_scene

DAY = 86_400
DRAFT = {
    "Locale": "en_US",
    "Sender": "News",
    "SenderName": "News",
    "SenderEmail": "news@sender.example.com",
    "Subject": "Hello",
    "ContactsListID": 11,
    "Title": "June",
}
CONTENT = {"Html-part": "<p>Hello</p>", "Text-part": "Hello"}


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with small_scene(tmp_path) as scene:
        scene.control.settings(campaign_lookup_seconds=0)
        yield scene


def world_of(*mailboxes: str) -> dict[str, Any]:
    """Contacts 1, 2, ... with these mailboxes, all on list 11; list 12 is empty."""
    keys = range(1, len(mailboxes) + 1)
    return {
        "contacts": [contact(key, mailbox=mailbox) for key, mailbox in zip(keys, mailboxes, strict=True)],
        "lists": [{"id": 11, "name": "first"}, {"id": 12, "name": "second"}],
        "memberships": [member(key, 11) for key in keys],
    }


def new_draft(scene: Scene, **fields: Any) -> int:
    made = scene.send("POST", "campaigndraft", {**DRAFT, **fields})
    assert made.status_code == 201, made.text
    key = int(made.json()["Data"][0]["ID"])
    assert scene.send("POST", f"campaigndraft/{key}/detailcontent", CONTENT).status_code == 201
    return key


def send(scene: Scene, **fields: Any) -> int:
    """Send a new draft now; returns the campaign's id."""
    key = new_draft(scene, **fields)
    sent = scene.send("POST", f"campaigndraft/{key}/send", None)
    assert sent.status_code == 201, sent.text
    return int(scene.row(f"campaign/mj.nl={key}")["ID"])


def outcomes(scene: Scene, campaign: int) -> dict[int, tuple[str, int | None, bool]]:
    return {
        row["ContactID"]: (row["Status"], row.get("StateID"), row["StatePermanent"])
        for row in scene.rows("message", Campaign=campaign, Limit=0)
    }


def wire(moment: float) -> str:
    return datetime.fromtimestamp(int(moment), tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# Drafts


def test_a_draft_is_made_changed_and_deleted(scene: Scene) -> None:
    key = new_draft(scene, AXFraction=20)
    row = scene.row(f"campaigndraft/{key}")
    changed = scene.send("PUT", f"campaigndraft/{key}", {"Subject": "Other"})
    unchanged = scene.send("PUT", f"campaigndraft/{key}", {"Subject": "Other"})
    deleted = scene.http.delete(f"/v3/REST/campaigndraft/{key}")

    assert {name: row[name] for name in DRAFT} == DRAFT
    assert (row["Status"], row["AXFraction"], row["Used"]) == (0, 20, False)
    assert "CampaignID" not in row
    assert "SegmentationID" not in row
    assert (changed.status_code, changed.json()["Data"][0]["Subject"]) == (200, "Other")
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert (deleted.status_code, scene.row(f"campaigndraft/{key}")["Status"]) == (204, -2)
    assert scene.row(f"campaigndraft/{key}/detailcontent")["Text-part"] == "Hello"
    assert scene.row(f"newsletter/{key}")["Subject"] == "Other"


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"Subject": ""}, 400, "MJ03"),
        ({"Locale": None}, 400, "MJ08"),
        ({"SenderEmail": "nobody"}, 400, "MJ08"),
        ({"ContactsListID": 13}, 400, "List ID 13 is invalid or deleted"),
        ({"ContactsListID": 999}, 400, "List ID 999 is invalid or deleted"),
        ({"SegmentationID": 999}, 400, "MJ08"),
        ({"AXFraction": 101}, 400, "MJ08"),
        ({"Colour": "red"}, 400, 'has no property "Colour"'),
        ({"Status": 2}, 401, "MJ19"),
        ({"CampaignID": 2}, 401, "MJ19"),
    ],
)
def test_a_draft_that_makes_no_sense_is_refused(
    scene: Scene, fields: dict[str, Any], status: int, words: str
) -> None:
    response = scene.send("POST", "campaigndraft", {**DRAFT, **fields})

    assert response.status_code == status
    assert words in response.json()["ErrorMessage"]
    assert [row["ID"] for row in scene.rows("campaigndraft")] == [9001]


def test_what_lacks_sender_content_or_readers_is_not_sent(scene: Scene) -> None:
    empty = scene.send("POST", "campaigndraft", DRAFT).json()["Data"][0]["ID"]
    foreign = new_draft(scene, SenderEmail="x@example.com")
    unread = new_draft(scene, ContactsListID=12)
    refused = [
        scene.send("POST", f"campaigndraft/{key}/send", None) for key in (empty, foreign, unread, 9001)
    ]
    past = scene.send("POST", f"campaigndraft/{new_draft(scene)}/schedule", {"Date": LONG_AGO})

    assert [response.status_code for response in (*refused, past)] == [400] * 5
    assert [response.json()["ErrorMessage"] for response in refused] == [
        "The campaign has no content",
        "The sender is not active",
        "The contacts list has no active subscribers",
        "The campaign has status Sent and cannot be changed",
    ]
    assert scene.rows("campaign") == []


def test_a_test_mail_reaches_nobody_and_leaves_a_draft(scene: Scene) -> None:
    key = new_draft(scene)
    body = {"Recipients": [{"Email": "me@example.com", "Name": "Me"}]}

    assert scene.send("POST", f"campaigndraft/{key}/test", body).status_code == 201
    assert scene.send("POST", f"campaigndraft/{key}/test", {"Recipients": []}).status_code == 400
    assert scene.row(f"campaigndraft/{key}/status") == {"Status": "Draft"}
    assert scene.rows("campaign") == []


# Sending by the clock


def test_a_scheduled_draft_is_sent_to_whoever_is_on_the_list_at_that_moment(scene: Scene) -> None:
    scene.control.load(world_of("good", "good", "good", "good"))
    scene.control.settings(job_seconds=100)
    due = scene.control.advance(0) + 1000
    key = new_draft(scene)
    planned = scene.send("POST", f"campaigndraft/{key}/schedule", {"Date": wire(due)})
    scene.control.advance(850)
    scene.job_on(11, "remove", "c1@example.com")
    scene.control.advance(100)
    scene.control.act(contact_id=2, list_id=11, action="unsub")
    scene.send("PUT", "contact/3", {"IsExcludedFromCampaigns": True})
    before = scene.rows("campaign")
    scene.job_on(11, "remove", "c4@example.com")
    scene.control.advance(500)

    [campaign] = scene.rows("campaign", FromTS=0)
    assert planned.json()["Data"] == [{"Date": wire(due), "Status": "Programmed"}]
    assert before == []
    assert (campaign["NewsLetterID"], campaign["SendStartAt"]) == (key, wire(due))
    assert list(outcomes(scene, campaign["ID"])) == [4], "its removal was done after the send"
    assert scene.control.members(11) == {2: True, 3: False}
    assert scene.row(f"campaigndraft/{key}")["CampaignID"] == campaign["ID"]


def test_a_schedule_can_be_moved_and_cancelled(scene: Scene) -> None:
    key = new_draft(scene)
    path = f"campaigndraft/{key}/schedule"
    now = scene.control.advance(0)
    absent = scene.get(path).status_code
    scene.send("POST", path, {"Date": wire(now + 100)})
    moved = scene.send("PUT", path, {"Date": wire(now + 300)})
    scene.control.advance(200)
    waiting = scene.row(f"campaigndraft/{key}/status")
    cancelled = scene.http.delete(f"/v3/REST/{path}")
    scene.control.advance(200)

    assert absent == 404
    assert moved.json()["Data"] == [{"Date": wire(now + 300), "Status": "Programmed"}]
    assert waiting == {"Status": "Programmed"}
    assert cancelled.status_code == 204
    assert scene.row(f"campaigndraft/{key}/status") == {"Status": "Draft"}
    assert scene.rows("campaign") == []


def test_a_list_that_nobody_reads_any_more_is_not_sent_to(scene: Scene) -> None:
    key = new_draft(scene)
    scene.send("POST", f"campaigndraft/{key}/schedule", {"Date": wire(scene.control.advance(0) + 100)})
    scene.http.delete("/v3/REST/contactslist/11")
    scene.control.advance(200)

    assert scene.row(f"campaigndraft/{key}")["Status"] == 0
    assert scene.rows("campaign") == []


def test_a_campaign_just_sent_is_not_found_by_its_draft_at_once(scene: Scene) -> None:
    scene.control.settings(campaign_lookup_seconds=5)
    key = new_draft(scene)
    scene.send("POST", f"campaigndraft/{key}/schedule", {"Date": "NOW"})

    assert scene.get(f"campaign/mj.nl={key}").status_code == 404
    scene.control.advance(6)
    found = scene.row(f"campaign/mj.nl={key}")
    assert found["ID"] > 2**32
    assert found["ID"] != key
    assert (found["SendEndAt"], found["Status"]) == (found["SendStartAt"], 2)


def test_a_long_send_has_an_end_of_its_own(scene: Scene) -> None:
    scene.control.settings(send_seconds=600)
    campaign = send(scene)
    during = (scene.row(f"campaign/{campaign}")["SendEndAt"], outcomes(scene, campaign)[1][0])
    scene.control.advance(601)

    assert during == ("", "queued")
    assert scene.row(f"campaign/{campaign}")["SendEndAt"] != ""
    assert outcomes(scene, campaign)[1][0] != "queued"


def test_a_segment_and_a_share_of_an_ab_test_reach_only_some(scene: Scene) -> None:
    scene.control.populate(contacts=1000, lists=[{"id": 11, "name": "all", "members": 1000}])
    segment = {"Name": "readers", "Expression": "IsInPreviousList=true"}
    key = scene.send("POST", "contactfilter", segment).json()["Data"][0]["ID"]
    segmented, tested = send(scene, SegmentationID=key), send(scene, AXTestingID=3, AXFraction=20)

    assert scene.row(f"campaign/{segmented}")["SegmentationID"] == key
    assert [
        scene.get("message", Campaign=each, countOnly=1).json()["Total"] for each in (segmented, tested)
    ] == [
        500,
        200,
    ]


# What happens to messages


def test_every_mailbox_answers_by_its_nature(scene: Scene) -> None:
    natures = [
        "good", "opening", "clicking", "unsubscribing", "complaining", "dead", "inactive", "no_domain",
        "full", "unreachable", "greylisting", "fading", "blocked_elsewhere",
    ]  # fmt: skip
    scene.control.load(world_of(*natures))
    campaign = send(scene)
    at_once = dict(zip(natures, outcomes(scene, campaign).values(), strict=True))
    scene.control.advance(2 * DAY)
    after_two_days = dict(zip(natures, outcomes(scene, campaign).values(), strict=True))
    scene.control.advance(2 * DAY)
    in_the_end = dict(zip(natures, outcomes(scene, campaign).values(), strict=True))

    assert at_once["full"] == after_two_days["full"] == ("deferred", 3, False)
    assert at_once["greylisting"] == ("deferred", 13, False)
    assert in_the_end == {
        "good": ("sent", None, False),
        "opening": ("opened", None, False),
        "clicking": ("clicked", None, False),
        "unsubscribing": ("unsub", None, False),
        "complaining": ("spam", 21, False),
        "dead": ("hardbounced", 1, True),
        "inactive": ("hardbounced", 2, True),
        "no_domain": ("hardbounced", 4, True),
        "full": ("softbounced", 3, False),
        "unreachable": ("softbounced", 12, False),
        "greylisting": ("sent", None, False),
        "fading": ("hardbounced", 2, True),
        "blocked_elsewhere": ("blocked", 14, False),
    }
    assert scene.control.members(11)[4] is True, "who unsubscribed is so on the campaign's list"
    assert scene.row("contact/5")["IsSpamComplaining"] is True
    assert scene.row("contact/2")["LastActivityAt"] != ""


def test_the_history_of_a_message_has_a_time_for_everything(scene: Scene) -> None:
    scene.control.load(world_of("full"))
    campaign = send(scene)
    scene.control.advance(4 * DAY)
    [message] = scene.rows("message", Campaign=campaign)
    first, last = scene.rows(f"messagehistory/{message['ID']}")

    assert (first["EventType"], last["EventType"]) == ("deferred", "bounce")
    assert last["EventAt"] - first["EventAt"] == 3 * DAY
    assert last["Comment"] == "452 4.2.2 mailbox full"
    assert message["AttemptCount"] == 2


def test_after_a_permanent_bounce_or_a_complaint_the_address_is_refused(scene: Scene) -> None:
    scene.control.load(world_of("dead", "complaining", "good"))
    send(scene)
    scene.control.advance(DAY)
    second = outcomes(scene, send(scene))
    scene.control.advance(91 * DAY)
    much_later = outcomes(scene, send(scene))

    assert second == {1: ("blocked", 14, False), 2: ("blocked", 21, False), 3: ("sent", None, False)}
    assert much_later[1] == ("hardbounced", 1, True), "the block ends after 90 days"
    assert much_later[2] == ("blocked", 21, False), "a complaint counts for ever"


def test_a_block_lasts_for_ever_where_the_switch_says_so(scene: Scene) -> None:
    scene.control.settings(preblock_for_ever=True)
    scene.control.load(world_of("dead", "good"))
    send(scene)
    scene.control.advance(3650 * DAY)

    assert outcomes(scene, send(scene))[1] == ("blocked", 14, False)


def test_other_customers_block_an_address_and_support_lifts_it(scene: Scene) -> None:
    scene.control.load(world_of("good", "good"))
    scene.control.block(1, state_id=20)
    refused = outcomes(scene, send(scene))
    lifted = (scene.control.lift(1), scene.control.lift(1))
    delivered = outcomes(scene, send(scene))

    assert refused[1] == ("blocked", 20, False)
    assert lifted == (True, False)
    assert delivered[1] == ("sent", None, False)
    assert scene.control.blocks() == {}


def test_the_messages_of_a_loaded_world_block_their_addresses(scene: Scene) -> None:
    scene.control.settings(preblock_for_ever=True)
    scene.control.load(scene.control.dump() | {"preblocks": []})
    unblocked = scene.control.blocks()
    document = scene.control.dump()
    del document["preblocks"]
    scene.control.load(document)

    assert unblocked == {}
    assert scene.control.blocks() == {1: 14}


@pytest.mark.parametrize(("recreates", "members"), [(False, {}), (True, {1: True})])
def test_a_late_unsubscription_from_a_list_that_was_left_is_a_switch(
    scene: Scene, recreates: bool, members: dict[int, bool]
) -> None:
    scene.control.settings(late_unsub_recreates=recreates, job_seconds=0)
    scene.control.load(world_of("good"))
    campaign = send(scene)
    scene.job_on(12, "addnoforce", "c1@example.com")
    scene.job_on(11, "remove", "c1@example.com")
    [message] = scene.rows("message", Campaign=campaign)
    scene.control.happen(message["ID"], "unsubscribing")

    assert scene.row(f"message/{message['ID']}")["Status"] == "unsub"
    assert scene.control.members(11) == members
    assert scene.control.members(12) == {1: False}


def test_control_of_the_mail_explains_what_it_cannot_do(scene: Scene) -> None:
    with pytest.raises(ControlRefused, match="no row 77 in contacts"):
        scene.control.set_mailbox(77, "good")
    with pytest.raises(ControlRefused, match="mailbox must be one of"):
        scene.control.set_mailbox(1, "purple")
    with pytest.raises(ControlRefused, match="nothing happens later"):
        scene.control.happen(2**53 + 1, "good")
    with pytest.raises(ControlRefused, match="message states"):
        scene.control.block(1, state_id=77)


# The seeded world

shares = st.fixed_dictionaries(
    {name: st.floats(0, 0.2) for name in ("dead_share", "full_share", "greylisting_share", "open_share")}
)


@given(st.integers(1, 2**40), st.integers(1, 2**40), st.integers(0, 5), shares)
def test_a_dead_mailbox_is_dead_to_every_campaign(
    contact_id: int, campaign: int, seed: int, chances: dict[str, float]
) -> None:
    settings = Settings(seed=seed).changed(chances)
    dead = {Mailbox.DEAD, Mailbox.INACTIVE, Mailbox.NO_DOMAIN, Mailbox.FULL}
    first = draw(contact_id, campaign, settings=settings)
    second = draw(contact_id, campaign + 1, settings=settings)

    assert draw(contact_id, campaign, settings=settings) is first
    assert (first in dead) == (second in dead)
    assert first is second or first not in dead


def test_the_shares_come_out_as_set() -> None:
    settings = Settings(dead_share=0.1, open_share=0.4, click_share=0)
    drawn = Counter(draw(key, 7, settings=settings) for key in range(20_000))

    assert abs(drawn[Mailbox.DEAD] / 20_000 - 0.07) < 0.01
    assert abs(drawn[Mailbox.OPENING] / 20_000 - 0.36) < 0.02
    assert drawn[Mailbox.CLICKING] == 0


def test_another_seed_is_another_world() -> None:
    def dead(seed: int) -> set[int]:
        settings = Settings(seed=seed, dead_share=0.2)
        return {key for key in range(300) if draw(key, 7, settings=settings) is Mailbox.DEAD}

    assert dead(1) != dead(2)


# Populations and snapshots


@pytest.mark.parametrize("contacts", [3_529, 100_000])
def test_a_population_is_there_in_a_moment(scene: Scene, contacts: int) -> None:
    half = contacts // 2
    state = scene.control.populate(
        contacts=contacts,
        lists=[
            {"id": 11, "name": "master", "members": contacts},
            {"id": 12, "name": "half", "members": half, "first": contacts - half},
        ],
        unsubscribed_thousandths=10,
        excluded_thousandths=20,
    )
    unsubscribed = scene.get("listrecipient", ContactsList=11, Unsub="true", countOnly=1).json()["Total"]

    assert state["counts"]["contacts"] == contacts
    assert state["counts"]["memberships"] == contacts + half
    assert scene.row("contactslist/12")["SubscriberCount"] == half
    assert abs(unsubscribed / contacts - 0.01) < 0.002
    assert scene.row("contact/p0000001@example.com")["ID"] > 2**32


def test_a_population_is_spread_over_as_many_domains_as_asked_for(scene: Scene) -> None:
    scene.control.populate(contacts=6, lists=[], domains=3)

    emails = [scene.row(f"contact/{6_000_000_001 + n}")["Email"] for n in range(6)]
    assert emails[0] == "p0000001@d000000.example.com"
    assert [email.split("@")[1] for email in emails[3:]] == [email.split("@")[1] for email in emails[:3]]
    assert len({email.split("@")[1] for email in emails}) == 3


@pytest.mark.parametrize(
    "order",
    [
        {"contacts": -1, "lists": []},
        {"contacts": 10, "lists": [{"id": 1, "name": "x", "members": 11}]},
        {"contacts": 10, "lists": [{"id": 1, "name": "x"}]},
        {"contacts": 10, "lists": [], "colour": 3},
        {"contacts": 10**9, "lists": []},
    ],
)
def test_a_population_that_makes_no_sense_is_refused(scene: Scene, order: dict[str, Any]) -> None:
    with pytest.raises(ControlRefused):
        scene.control.populate(**order)

    assert scene.control.state()["counts"]["contacts"] == 3


def test_a_saved_world_comes_back_whole(scene: Scene) -> None:
    scene.control.load(world_of("full", "opening"))
    campaign = send(scene)
    scene.control.settings(rate=77)
    scene.control.save("before")
    scene.control.advance(4 * DAY)
    scene.control.settings(rate=88)
    ended = outcomes(scene, campaign)
    scene.control.restore("before")
    restored = outcomes(scene, campaign)
    rate = scene.control.state()["settings"]["rate"]
    scene.control.advance(4 * DAY)

    assert (restored[1][0], restored[2][0], rate) == ("deferred", "sent", 77)
    assert outcomes(scene, campaign) == ended == {1: ("softbounced", 3, False), 2: ("opened", None, False)}
    with pytest.raises(ControlRefused, match="nothing is saved as 'other'"):
        scene.control.restore("other")
    with pytest.raises(ControlRefused, match="small letters"):
        scene.control.save("../x")


def test_no_draft_body_goes_without_an_answer(scene: Scene) -> None:
    bodies: list[Any] = [
        None,
        [],
        3,
        "x",
        {"Subject": 3},
        {"ContactsListID": "x"},
        {"Date": 3},
        {"Date": "soon"},
    ]
    answers: list[httpx.Response] = [
        scene.send(method, path, body)
        for body in bodies
        for method, path in (
            ("POST", "campaigndraft"),
            ("PUT", "campaigndraft/9001"),
            ("POST", f"campaigndraft/{new_draft(scene)}/schedule"),
        )
    ]

    assert {response.status_code for response in answers} <= {400, 500}
    assert all(response.json()["StatusCode"] == response.status_code for response in answers)


# Any history


class Histories(RuleBasedStateMachine):
    """People and jobs change two lists, time passes, mail goes out: it reaches exactly who may be mailed."""

    people = st.integers(1, 4)
    lists = st.sampled_from([11, 12])

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.world = World(self.directory.name)
        document = world_of("good", "dead", "complaining", "full")
        document["memberships"] += [member(key, 12) for key in (1, 2)]
        drafts = [{"id": key, "created_at": LONG_AGO, "subject": "S"} for key in range(1, 40)]
        self.world.load({**document, "drafts": drafts})
        self.drafts = iter(range(1, 40))
        self.on: dict[tuple[int, int], bool] = {(1, 11): True, (2, 11): True, (3, 11): True, (4, 11): True}
        self.on |= {(1, 12): True, (2, 12): True}
        self.excluded: set[int] = set()

    def teardown(self) -> None:
        self.world.close()
        self.directory.cleanup()

    @rule(person=people, list_id=lists, action=st.sampled_from(Action))
    def change(self, person: int, list_id: int, action: Action) -> None:
        with self.world.transaction() as db:
            effects.apply(
                db,
                contact_id=person,
                list_id=list_id,
                action=action,
                at=self.world.clock.now(),
                job_id=None,
                unsub_adds_nonmember=False,
            )
        before = self.on.get((person, list_id))
        if action is Action.REMOVE:
            self.on.pop((person, list_id), None)
        elif action is Action.ADD_FORCE or (action is Action.ADD_NO_FORCE and before is None):
            self.on[person, list_id] = True
        elif action is Action.UNSUB and before is not None:
            self.on[person, list_id] = False

    @rule(person=people, excluded=st.booleans())
    def exclude(self, person: int, excluded: bool) -> None:
        with self.world.transaction() as db:
            db.execute("UPDATE contacts SET excluded = ? WHERE id = ?", (excluded, person))
        (self.excluded.add if excluded else self.excluded.discard)(person)

    @rule(seconds=st.integers(0, 4 * DAY))
    def wait(self, seconds: int) -> None:
        self.world.advance(seconds)

    @rule(list_id=lists)
    def send(self, list_id: int) -> None:
        key = next(self.drafts, None)
        if key is None:
            return
        with self.world.transaction() as db:
            db.execute(
                "UPDATE drafts SET status = 1, list_id = ?, scheduled_at = ? WHERE id = ?",
                (list_id, self.world.clock.now(), key),
            )
        with self.world.transaction() as db:
            rows = db.execute(
                "SELECT contact_id FROM messages JOIN campaigns ON campaigns.id = campaign_id"
                " WHERE draft_id = ? ORDER BY 1",
                (key,),
            ).fetchall()
            status = db.execute("SELECT status FROM drafts WHERE id = ?", (key,)).fetchone()[0]
        mailable = [
            person
            for (person, on), is_subscribed in sorted(self.on.items())
            if on == list_id and is_subscribed and person not in self.excluded
        ]
        assert [row["contact_id"] for row in rows] == mailable
        assert status == (2 if mailable else 0)

    @invariant()
    def nobody_gets_a_campaign_twice(self) -> None:
        assert (
            self._count("SELECT count(*) - count(DISTINCT campaign_id || ':' || contact_id) FROM messages")
            == 0
        )

    @invariant()
    def a_dead_address_is_tried_once_in_90_days(self) -> None:
        times = "SELECT events.at FROM events JOIN messages ON messages.id = message_id"
        tries = f"{times} WHERE contact_id = 2 AND kind = 'bounce' ORDER BY 1"
        with self.world.transaction() as db:
            moments = [row["at"] for row in db.execute(tries)]
        assert all(later - sooner >= 90 * DAY for sooner, later in pairwise(moments))

    @invariant()
    def after_a_complaint_nothing_is_delivered_to_that_address(self) -> None:
        complained = (
            "(SELECT min(at) FROM events JOIN messages ON messages.id = message_id WHERE kind = 'spam'"
        )
        complained += " AND done AND contact_id = 3)"
        late = "SELECT count(*) FROM messages WHERE contact_id = 3 AND status <> 'blocked' AND arrived_at >"
        assert self._count(f"{late} {complained}") == 0

    def _count(self, query: str) -> int:
        with self.world.transaction() as db:
            return int(db.execute(query).fetchone()[0])


TestHistories = Histories.TestCase
TestHistories.settings = hypothesis.settings(max_examples=25, stateful_step_count=20)
