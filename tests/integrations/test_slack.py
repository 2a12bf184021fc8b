import json
import logging
import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations import slack
from integrations.sandbox import Serving, serve
from integrations.sandbox.control import Control
from tests.integrations.scripted import DROPPED, SILENT, Said, Server, answer, serving

CHANNEL = "C012345"
TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), max_size=400)
HOSTILE = "<!channel> & <@U123> <https://evil.test|your bank> kim@example.com"


@pytest.fixture(scope="module")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Serving, Control]]:
    with serve(tmp_path_factory.mktemp("slack")) as serving_, Control(serving_.url) as control:
        yield serving_, control


@pytest.fixture
def control(standin: tuple[Serving, Control]) -> Iterator[Control]:
    control = standin[1]
    control.load({})
    yield control
    control.clear_faults()


@pytest.fixture
def bot(control: Control, standin: tuple[Serving, Control]) -> slack.SlackBot:
    found = connect(standin[0], bot_token=standin[0].slack_token)
    assert isinstance(found, slack.SlackBot)
    return found


@pytest.fixture
def hook(control: Control, standin: tuple[Serving, Control]) -> slack.SlackHook:
    found = connect(standin[0], webhook_url=f"{standin[0].url}/slack/services/T1/B1/secret")
    assert isinstance(found, slack.SlackHook)
    return found


def connect(standin: Serving, *, bot_token: str = "", webhook_url: str = "") -> slack.Slack | None:
    return slack.connect(
        bot_token=bot_token, channel=CHANNEL, base_url=f"{standin.url}/slack/api", webhook_url=webhook_url
    )


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


def scripted_bot(server: Server, *, timeout: int = 5) -> slack.SlackBot:
    return slack.SlackBot(token="xoxb-1", channel=CHANNEL, base_url=server.url, timeout=timeout)


def scripted_hook(server: Server, *, timeout: int = 5) -> slack.SlackHook:
    return slack.SlackHook(url=f"{server.url}/services/T1/B1/secret", timeout=timeout)


MESSAGE = slack.message(
    text="Run 7 suppressed 110 contacts.",
    header="Campaign 123: 110 suppressed",
    sections=["*126* are held: 120 at one domain look like an outage."],
    fields={"Suppressed": "110", "Held": "126"},
    context="Judged by rules.",
    link_label="Open the decision",
    link_url="https://evenkeel.test/admin/decisions/7/?page=1&sort=risk",
)


def texts(message: slack.Message) -> list[str]:
    """Every text that Slack would show, however deep."""

    def walk(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            yield from [node["text"]] if isinstance(node.get("text"), str) else []
            node = list(node.values())
        if isinstance(node, list):
            for each in node:
                yield from walk(each)

    return [message.text, *walk(message.blocks)]


# --- Building


def test_a_message_reads_from_header_to_context() -> None:
    assert [block["type"] for block in MESSAGE.blocks] == [
        "header",
        "section",
        "section",
        "section",
        "context",
    ]
    header, fields, section, link, context = MESSAGE.blocks
    assert header["text"] == {"type": "plain_text", "text": "Campaign 123: 110 suppressed"}
    assert [field["text"] for field in fields["fields"]] == ["*Suppressed*\n110", "*Held*\n126"]
    assert section["text"]["text"] == "*126* are held: 120 at one domain look like an outage."
    assert (
        link["text"]["text"]
        == "<https://evenkeel.test/admin/decisions/7/?page=1&amp;sort=risk|Open the decision>"
    )
    assert context["elements"][0]["text"] == "Judged by rules."


def test_a_message_of_one_sentence_has_no_blocks() -> None:
    assert slack.message(text="All is well.") == slack.Message(text="All is well.", blocks=[])


def test_no_text_from_outside_mentions_people_hides_links_or_tells_addresses() -> None:
    message = slack.message(
        text=HOSTILE,
        header=HOSTILE,
        sections=[HOSTILE],
        fields={HOSTILE: HOSTILE},
        context=HOSTILE,
        link_label=HOSTILE,
        link_url="https://evenkeel.test/",
    )

    assert "kim@" not in json.dumps(message.blocks) + message.text
    header, *marked = [text for text in texts(message) if text != message.text]
    assert header.startswith("<!channel>")  # plain text: Slack shows it as it is
    for text in [message.text, *marked]:
        assert set(re.findall(r"<[^|>]*", text)) <= {"<https://evenkeel.test/"}


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "/admin/7/", "https://evenkeel.test/?who=kim@example.com"]
)
def test_a_link_is_a_web_address_without_a_persons(url: str) -> None:
    with pytest.raises(ValueError, match="link"):
        slack.message(text="Look.", link_url=url)


def test_a_link_cannot_be_broken_out_of() -> None:
    message = slack.message(text="Look.", link_label="a>b|c", link_url="https://evenkeel.test/?q=1>|<2")

    assert message.blocks[0]["text"]["text"] == "<https://evenkeel.test/?q=1%3E%7C%3C2|a&gt;b/c>"


def test_an_entity_or_link_is_never_cut_in_half() -> None:
    assert slack.clip("abc&amp;", 8) == "abc&amp;"
    assert slack.clip("abc&amp;de", 8) == "abc…"
    assert slack.clip("see <https://a.test/long|there> now", 20) == "see …"
    assert slack.clip("1 < 2 and so on", 8) == "1 < 2 a…"


@given(text=TEXT, limit=st.integers(min_value=1, max_value=50))
def test_clipping_keeps_to_the_limit_and_to_whole_entities(text: str, limit: int) -> None:
    clipped = slack.clip(slack.escape(text), limit)

    assert len(clipped) <= limit
    assert not re.search(r"&(?!(?:amp|lt|gt);)", clipped)
    if clipped != slack.escape(text):
        assert clipped.endswith("…")
        assert slack.escape(text).startswith(clipped[:-1])


@given(text=TEXT)
def test_escaping_leaves_nothing_for_slack_to_read_and_can_be_repeated(text: str) -> None:
    escaped = slack.escape(text)

    assert "<" not in escaped
    assert ">" not in escaped
    assert slack.escape(escaped) == escaped
    if "&" not in text:
        assert escaped.replace("&lt;", "<").replace("&gt;", ">") == text


@settings(max_examples=60)
@given(
    text=TEXT,
    header=TEXT,
    sections=st.lists(st.text(alphabet="a<&😀 ", max_size=4000), max_size=70),
    fields=st.dictionaries(st.text(max_size=20), st.text(alphabet="a&", max_size=2500), max_size=30),
    context=TEXT,
)
def test_every_message_is_within_slacks_limits(
    text: str, header: str, sections: list[str], fields: dict[str, str], context: str
) -> None:
    message = slack.message(
        text=text,
        header=header,
        sections=sections,
        fields=fields,
        context=context,
        link_label="Open",
        link_url="https://evenkeel.test/7/",
    )

    assert len(message.text) < 4000
    assert len(message.blocks) <= 50
    assert len(json.dumps(message.blocks)) <= 13_000
    for block in message.blocks:
        assert len(block.get("fields", [])) <= 10
        assert all(1 <= len(field["text"]) <= 2000 for field in block.get("fields", []))
        if "text" in block:
            assert 1 <= len(block["text"]["text"]) <= (150 if block["type"] == "header" else 3000)
    assert any("https://evenkeel.test/7/" in shown for shown in texts(message))


def test_what_does_not_fit_is_counted() -> None:
    message = slack.message(text="Much.", sections=[f"{n} " + "x" * 2500 for n in range(10)], context="End.")

    kinds = [shown[:1] for shown in texts(message)[1:]]
    assert kinds == ["0", "1", "2", "3", "_", "E"]
    assert "_… and 6 more, not shown here._" in texts(message)


def test_sections_that_say_nothing_are_left_out() -> None:
    assert slack.message(text="Little.", sections=["", "  "], context=" ").blocks == []


# --- Posting with a token


def test_a_bot_posts_answers_in_the_thread_and_changes_what_it_posted(
    bot: slack.SlackBot, control: Control
) -> None:
    posted = bot.post(MESSAGE)
    reply = bot.post(slack.message(text="Done."), thread_ts=posted.ts)
    changed = bot.update(posted, slack.message(text="Approved.", header="Approved"))

    first, second = control.slack_messages()
    assert (first["channel"], first["ts"]) == (CHANNEL, posted.ts) == (posted.channel, posted.ts)
    assert changed == posted
    assert (first["text"], first["edits"]) == ("Approved.", 1)
    assert [block["type"] for block in first["blocks"]] == ["header"]
    assert (second["ts"], second["thread_ts"]) == (reply.ts, posted.ts)


def test_an_update_without_blocks_takes_the_old_ones_away(bot: slack.SlackBot, control: Control) -> None:
    posted = bot.post(MESSAGE)

    bot.update(posted, slack.message(text="Withdrawn."))

    assert control.slack_messages()[0]["blocks"] == []


def test_nothing_that_is_posted_unfurls(server: Server) -> None:
    server.says = [answer({"ok": True, "channel": CHANNEL, "ts": "1.1"}), Said(body=b"ok")]

    scripted_bot(server).post(MESSAGE)
    scripted_hook(server).post(MESSAGE)

    for heard in server.heard:
        assert (heard.json["unfurl_links"], heard.json["unfurl_media"]) == (False, False)
        assert heard.json["blocks"] == MESSAGE.blocks


def test_a_token_that_is_wrong_is_rejected_with_slacks_word(control: Control, standin: Any) -> None:
    stranger = connect(standin[0], bot_token="xoxb-wrong")
    assert stranger is not None

    with pytest.raises(slack.SlackRejected, match="invalid_auth") as error:
        stranger.post(MESSAGE)

    assert error.value.code == "invalid_auth"


def test_a_message_that_is_gone_cannot_be_changed(bot: slack.SlackBot) -> None:
    with pytest.raises(slack.SlackRejected) as error:
        bot.update(slack.Posted(channel=CHANNEL, ts="1.1"), MESSAGE)

    assert error.value.code == "message_not_found"


@pytest.mark.parametrize(("asks", "waits"), [(30, 30), (10**14, 86_400)])
def test_too_many_messages_wait_as_long_as_slack_asks_a_day_at_most(
    bot: slack.SlackBot, control: Control, asks: int, waits: int
) -> None:
    control.fault(path="chat.postMessage", status=429, retry_after=asks, times=1)

    with pytest.raises(slack.SlackUnavailable) as error:
        bot.post(MESSAGE)

    assert (error.value.retry_after, error.value.uncertain) == (waits, False)
    assert control.slack_messages() == []


@pytest.mark.parametrize(
    ("code", "uncertain"), [("ratelimited", False), ("service_unavailable", False), ("fatal_error", True)]
)
def test_a_refusal_that_passes_is_unavailable(
    bot: slack.SlackBot, control: Control, code: str, uncertain: bool
) -> None:
    control.fault(path="chat.postMessage", slack_error=code, times=1)

    with pytest.raises(slack.SlackUnavailable, match=code) as error:
        bot.post(MESSAGE)

    assert error.value.uncertain is uncertain


@pytest.mark.parametrize("code", ["channel_not_found", "is_archived", "invalid_blocks", "a_word_of_tomorrow"])
def test_a_refusal_that_stays_is_rejected(bot: slack.SlackBot, control: Control, code: str) -> None:
    control.fault(path="chat.postMessage", slack_error=code, times=1)

    with pytest.raises(slack.SlackRejected) as error:
        bot.post(MESSAGE)

    assert error.value.code == code


def test_a_message_whose_answer_is_lost_is_posted_once_and_said_to_be_uncertain(
    bot: slack.SlackBot, control: Control
) -> None:
    control.fault(path="chat.postMessage", timeout_after_acceptance=0, times=1)

    with pytest.raises(slack.SlackUnavailable) as error:
        bot.post(MESSAGE)

    assert error.value.uncertain
    assert len(control.slack_messages()) == 1


# --- Posting through a webhook


def test_a_webhook_posts_and_learns_nothing(hook: slack.SlackHook, control: Control) -> None:
    assert hook.post(MESSAGE) == slack.Posted(channel=None, ts=None)

    [message] = control.slack_messages()
    assert (message["via"], message["text"], message["blocks"]) == ("webhook", MESSAGE.text, MESSAGE.blocks)


def test_what_a_webhook_posted_cannot_be_changed(hook: slack.SlackHook, bot: slack.SlackBot) -> None:
    posted = hook.post(MESSAGE)

    for way in (hook, bot):
        with pytest.raises(slack.SlackRejected) as error:
            way.update(posted, MESSAGE)
        assert error.value.code == "cant_update_message"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (Said(status=404, body=b"no_service"), "no_service"),
        (Said(status=400, body=b"invalid_blocks"), "invalid_blocks"),
        (Said(status=403, body=b"<html>kim@example.com</html>"), "http_403"),
    ],
)
def test_a_webhooks_refusal_is_rejected(server: Server, said: Said, code: str) -> None:
    server.says = [said]

    with pytest.raises(slack.SlackRejected) as error:
        scripted_hook(server).post(MESSAGE)

    assert error.value.code == code
    assert "kim@" not in str(error.value)


# --- Both


@pytest.fixture(params=["bot", "hook"])
def either(request: pytest.FixtureRequest, server: Server) -> slack.Slack:
    return scripted_bot(server, timeout=1) if request.param == "bot" else scripted_hook(server, timeout=1)


@pytest.mark.parametrize(
    ("said", "uncertain"),
    [
        (Said(status=503, body=b"<html>"), False),
        (Said(status=500), True),
        (Said(status=200, body=b"<html>Sign in to the hotel's network</html>"), True),
        (Said(status=502, body=b"\xff\xfe"), True),
        (Said(status=429, headers={"Retry-After": "3"}), False),
        (Said(status=429, headers={"Retry-After": "\u00b2"}), False),
        (DROPPED, True),
    ],
)
def test_trouble_is_unavailable_sent_once_and_says_whether_it_may_have_been_posted(
    server: Server, either: slack.Slack, said: Said, uncertain: bool
) -> None:
    server.says = [said]

    with pytest.raises(slack.SlackUnavailable) as error:
        either.post(MESSAGE)

    assert error.value.uncertain is uncertain
    assert len(server.heard) == 1


def test_silence_is_uncertain(server: Server) -> None:
    server.says = [SILENT]

    with pytest.raises(slack.SlackUnavailable, match="TimeoutError") as error:
        scripted_hook(server, timeout=1).post(MESSAGE)

    assert error.value.uncertain


def test_nobody_there_is_certain() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    ways: list[slack.Slack] = [
        slack.SlackBot(token="xoxb-1", channel=CHANNEL, base_url=url),
        slack.SlackHook(url=url),
    ]

    for way in ways:
        with pytest.raises(slack.SlackUnavailable, match="URLError") as error:
            way.post(MESSAGE)
        assert not error.value.uncertain


def test_no_log_line_tells_the_webhooks_address_or_the_message(
    server: Server, either: slack.Slack, caplog: pytest.LogCaptureFixture
) -> None:
    server.says = [DROPPED]

    with caplog.at_level(logging.DEBUG), pytest.raises(slack.SlackUnavailable) as error:
        either.post(MESSAGE)

    assert "secret" not in caplog.text + str(error.value)
    assert "suppressed" not in caplog.text


def test_a_proxy_of_the_environment_is_not_used_for_a_host_it_excepts(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server.says = [answer({"ok": True, "channel": CHANNEL, "ts": "1.1"}), Said(body=b"ok")]

    assert scripted_bot(server).post(MESSAGE).ts == "1.1"
    assert scripted_hook(server).post(MESSAGE).ts is None


# --- Choosing


def test_the_token_is_preferred_and_nothing_configured_is_nothing(standin: tuple[Serving, Control]) -> None:
    hook_url = "https://hooks.slack.test/services/T1/B1/secret"

    assert isinstance(connect(standin[0], bot_token="xoxb-1", webhook_url=hook_url), slack.SlackBot)
    assert isinstance(connect(standin[0], webhook_url=hook_url), slack.SlackHook)
    assert connect(standin[0]) is None


def test_a_token_without_a_channel_is_refused_and_not_shown() -> None:
    with pytest.raises(ValueError, match="channel") as error:
        slack.connect(bot_token="xoxb-1", channel="", base_url="https://slack.test/api/", webhook_url="")

    assert "xoxb" not in str(error.value)


def test_a_webhook_that_is_no_web_address_is_refused_and_not_shown() -> None:
    with pytest.raises(ValueError, match="https") as error:
        slack.SlackHook(url="hooks.slack.test/services/T1/B1/secret")

    assert "secret" not in str(error.value)
