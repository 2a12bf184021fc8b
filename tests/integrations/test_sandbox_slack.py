"""Slack's stand-in, driven by Slack's own SDK."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from slack_sdk import WebClient, WebhookClient
from slack_sdk.errors import SlackApiError

from integrations.sandbox import block_kit
from tests.integrations.sandbox_scenes import Scene, small_scene

CHANNEL = "C01REVIEW"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    for name in PROXIES:  # the SDK reads them and knows no NO_PROXY
        monkeypatch.delenv(name, raising=False)
    with small_scene(tmp_path) as scene:
        yield scene


@pytest.fixture
def slack(scene: Scene) -> WebClient:
    return WebClient(scene.serving.slack_token, base_url=f"{scene.serving.url}/slack/api/", timeout=5)


def header(text: str = "Review") -> dict[str, Any]:
    return {"type": "header", "text": {"type": "plain_text", "text": text}}


def section(text: str = "Words") -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def button(action_id: str = "approve", *, text: str = "Approve", **more: Any) -> dict[str, Any]:
    return {
        "type": "button",
        "action_id": action_id,
        "text": {"type": "plain_text", "text": text},
        **more,
    }


def actions(*elements: dict[str, Any]) -> dict[str, Any]:
    return {"type": "actions", "elements": list(elements)}


def refusal_of(call: Any, **arguments: Any) -> str:
    with pytest.raises(SlackApiError) as caught:
        call(**arguments)
    assert caught.value.response.status_code == 200
    return str(caught.value.response["error"])


def test_a_message_is_kept_with_a_ts_of_its_own(scene: Scene, slack: WebClient) -> None:
    blocks = [header(), section(), actions(button(value="42"))]
    first = slack.chat_postMessage(channel=CHANNEL, text="Hello", blocks=blocks)
    second = slack.chat_postMessage(channel=CHANNEL, text="Again")

    kept = scene.control.slack_messages()
    assert isinstance(first["ts"], str)
    assert first["ts"] != second["ts"]
    assert (first["channel"], first["message"]["text"]) == (CHANNEL, "Hello")
    assert [(each["ts"], each["text"], each["via"]) for each in kept] == [
        (first["ts"], "Hello", "api"),
        (second["ts"], "Again", "api"),
    ]
    assert kept[0]["blocks"] == blocks


def test_a_reply_names_the_parent_of_its_thread(scene: Scene, slack: WebClient) -> None:
    parent = slack.chat_postMessage(channel=CHANNEL, text="Parent")["ts"]
    reply = slack.chat_postMessage(channel=CHANNEL, text="Reply", thread_ts=parent)

    assert reply["message"]["thread_ts"] == parent
    assert scene.control.slack_messages()[1]["thread_ts"] == parent
    nested = refusal_of(slack.chat_postMessage, channel=CHANNEL, text="No", thread_ts=reply["ts"])
    assert nested == "thread_not_found"


def test_an_update_without_blocks_keeps_the_old_ones_and_an_empty_list_removes_them(
    scene: Scene, slack: WebClient
) -> None:
    ts = slack.chat_postMessage(channel=CHANNEL, text="Old", blocks=[actions(button())])["ts"]

    slack.chat_update(channel=CHANNEL, ts=ts, text="New")
    [kept] = scene.control.slack_messages()
    slack.chat_update(channel=CHANNEL, ts=ts, text="New", blocks=[])
    [emptied] = scene.control.slack_messages()

    assert (kept["text"], kept["blocks"], kept["edits"]) == ("New", [actions(button())], 1)
    assert (emptied["blocks"], emptied["edits"]) == ([], 2)


def test_refusals_carry_slacks_words(scene: Scene, slack: WebClient) -> None:
    post, update = slack.chat_postMessage, slack.chat_update
    webhook = WebhookClient(f"{scene.serving.url}/slack/services/T0/B0/secret")
    webhook.send(text="by webhook")
    [hooked] = scene.control.slack_messages()

    assert refusal_of(post, channel="#mail-review", text="x") == "channel_not_found"
    assert refusal_of(slack.api_call, api_method="chat.postMessage", json={"channel": CHANNEL}) == "no_text"
    assert refusal_of(post, channel=CHANNEL, text="x" * 40_001) == "msg_too_long"
    assert refusal_of(post, channel=CHANNEL, text="x", blocks=[{"type": "poem"}]) == "invalid_blocks"
    assert refusal_of(update, channel=CHANNEL, ts="1.000001", text="x") == "message_not_found"
    assert refusal_of(update, channel=CHANNEL, ts=hooked["ts"], text="x") == "message_not_found"
    assert refusal_of(slack.api_call, api_method="chat.sing", json={}) == "unknown_method"
    assert len(scene.control.slack_messages()) == 1


def test_all_blocks_together_have_a_size(slack: WebClient) -> None:
    blocks = [section("x" * 2900) for _ in range(5)]

    assert (
        refusal_of(slack.chat_postMessage, channel=CHANNEL, text="x", blocks=blocks) == "msg_blocks_too_long"
    )


@pytest.mark.parametrize(("token", "error"), [("xoxb-other", "invalid_auth"), (None, "not_authed")])
def test_a_wrong_or_missing_token_is_refused(scene: Scene, token: str | None, error: str) -> None:
    stranger = WebClient(token, base_url=f"{scene.serving.url}/slack/api/", timeout=5)

    assert refusal_of(stranger.chat_postMessage, channel=CHANNEL, text="x") == error


def test_the_token_can_be_tried_out(slack: WebClient) -> None:
    assert slack.auth_test()["team_id"] == "T00000001"


def test_a_form_is_no_json(scene: Scene) -> None:
    response = httpx.post(
        f"{scene.serving.url}/slack/api/chat.postMessage",
        data={"channel": CHANNEL, "text": "x"},
        headers={"Authorization": f"Bearer {scene.serving.slack_token}"},
        trust_env=False,
    )

    assert response.json() == {"ok": False, "error": "invalid_post_type"}


def test_the_webhook_says_ok_or_why_not_in_plain_text(scene: Scene) -> None:
    url = f"{scene.serving.url}/slack/services/T0/B0/secret"
    webhook = WebhookClient(url)
    good = webhook.send(text="Hello", blocks=[section()])
    bad = webhook.send(text="Hello", blocks=[{"type": "poem"}])
    empty = webhook.send(text="")
    broken = httpx.post(url, content=b'{"text": "\\ud800"}', trust_env=False)

    assert (good.status_code, good.body) == (200, "ok")
    assert (bad.status_code, bad.body) == (400, "invalid_blocks")
    assert (empty.status_code, empty.body) == (400, "no_text")
    assert (broken.status_code, broken.text) == (400, "invalid_payload")
    [kept] = scene.control.slack_messages()
    assert (kept["via"], kept["text"]) == ("webhook", "Hello")


def test_slack_can_be_told_to_limit_refuse_and_fail(scene: Scene, slack: WebClient) -> None:
    scene.control.fault(path="chat.postMessage", status=429, retry_after=7, times=1)
    with pytest.raises(SlackApiError) as limited:
        slack.chat_postMessage(channel=CHANNEL, text="x")
    scene.control.fault(path="chat.postMessage", slack_error="is_archived", times=1)
    refused = refusal_of(slack.chat_postMessage, channel=CHANNEL, text="x")

    assert limited.value.response.status_code == 429
    assert limited.value.response.headers["Retry-After"] == "7"
    assert refused == "is_archived"
    assert scene.control.slack_messages() == []


def test_a_message_at_every_limit_is_accepted() -> None:
    fields = [{"type": "mrkdwn", "text": "f" * 2000} for _ in range(10)]
    confirm = {
        "title": {"type": "plain_text", "text": "t" * 100},
        "text": {"type": "mrkdwn", "text": "x" * 300},
        "confirm": {"type": "plain_text", "text": "y" * 30},
        "deny": {"type": "plain_text", "text": "n" * 30},
    }
    elements = [button(f"a{number}", text="b" * 75, value="v" * 2000) for number in range(24)]
    blocks = [
        header("h" * 150),
        section("s" * 3000),
        {"type": "section", "fields": fields},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": "c"}] * 10},
        actions(*elements, button("last", confirm=confirm, style="danger")),
        *[{"type": "divider"}] * 45,
    ]

    assert len(blocks) == 50
    assert block_kit.problem(blocks) is None


@pytest.mark.parametrize(
    "blocks",
    [
        [{"type": "divider"}] * 51,
        [header("h" * 151)],
        [{"type": "header", "text": {"type": "mrkdwn", "text": "h"}}],
        [section("s" * 3001)],
        [section("")],
        [{"type": "section"}],
        [{"type": "section", "fields": [{"type": "mrkdwn", "text": "f"}] * 11}],
        [{"type": "section", "fields": [{"type": "mrkdwn", "text": "f" * 2001}]}],
        [{"type": "context", "elements": [{"type": "mrkdwn", "text": "c"}] * 11}],
        [{"type": "actions", "elements": []}],
        [actions(*[button(f"a{number}") for number in range(26)])],
        [actions(button(text="b" * 76))],
        [actions(button(value="v" * 2001))],
        [actions(button(style="loud"))],
        [actions(button("same"), button("same"))],
        [actions(button("same")), actions(button("same"))],
        [{**section(), "accessory": button("same")}, actions(button("same"))],
        [actions(button("a" * 256))],
        [{**section(), "block_id": "same"}, {**header(), "block_id": "same"}],
        [actions(button(confirm={"title": {"type": "plain_text", "text": "t"}}))],
        [actions({"type": "select"})],
        ["words"],
        [{"type": "section", "text": "words"}],
    ],
)
def test_one_step_beyond_a_limit_is_refused(blocks: list[Any]) -> None:
    assert block_kit.problem(blocks) is not None
