"""Prose carries no number of its own, and reads right for one and for many."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import prose
from agents.asking import UnusableAnswer

KNOWN = {"contacts", "share"}


@pytest.mark.parametrize(
    ("contacts", "read"),
    [(0, "0 contacts wait"), (1, "1 contact waits"), (2, "2 contacts wait"), (1200, "1,200 contacts wait")],
)
def test_one_is_singular_and_everything_else_plural(contacts, read):
    assert prose.fill("{contacts} {contacts|contact waits|contacts wait}", {"contacts": contacts}) == read


@pytest.mark.parametrize(
    "text",
    [
        "all 6 are dead",
        "{contacts} and 1",
        "{contacts|1 contact|contacts}",
        "six is ⅵ",
        "half is ½",
        "x² of them",
        "٣ of them",
        "三 of them",
        "half a million are dead",
        "ninety-nine percent of them",
        "Ninetynine of them",
        "n\u00ednety of them",
        "a tenth of the list, or two thirds",
        "{contacts} thousand",
        "{contacts|a|two} of them",
        "dozens of them, per cent by per cent",
        "㏠ of them",
    ],
)
def test_a_number_of_its_own_is_refused(text):
    with pytest.raises(UnusableAnswer, match="rationale: a number of its own"):
        prose.check_prose(text, known=KNOWN, where="rationale")


@pytest.mark.parametrize("text", ["{size} of them", "{contacts} {size|is|are}", "{contacts}{__class__}"])
def test_a_placeholder_nobody_fills_is_refused(text):
    with pytest.raises(UnusableAnswer, match="unknown placeholders"):
        prose.check_prose(text, known=KNOWN, where="rationale")


@pytest.mark.parametrize(
    "text",
    [
        "{contacts",
        "contacts}",
        "{}",
        "{contacts:>}",
        "{contacts!r}",
        "{contacts.real}",
        "{{contacts}}",
        "{contacts|one}",
        "<!channel> look",
        "<b>bold</b>",
        "mail jo@example.com",
        "see https://example.com",
        "https:{contacts|a|/}/evil.example/login",
        "https:{contacts|/|a}/evil.example/login",
        "{contacts|evil| x }.{share| y|example}",
        "www.evil.example/login",
        "see evil.example",
        "ｗｗｗ．evil．example",
        "[x](javascript:alert)",
        "mailto:bob",
        "mail bob＠acme．com",
        "*bold* or `code`",
        "worth ${contacts}",
        "{contacts} \U0001f51f",
        "line\nbreak",
        "hidden\u200btext",
        "soft\u00adhyphen",
        "\u202ereversed",
        "\u2066isolated\u2069",
        "\u061cmarked",
        "tag\U000e0041\U000e007f",
        "{contacts}\u20e3 of them",
        "private \ue000 use",
        "｛contacts｝ of them",
        "\u043done of them",
    ],
)
def test_markup_links_mentions_and_broken_placeholders_are_refused(text):
    with pytest.raises(UnusableAnswer, match=r"markup, a link|unknown placeholder|beside a placeholder"):
        prose.check_prose(text, known=KNOWN, where="rationale")


@pytest.mark.parametrize(
    "text",
    [
        "{contacts}{contacts}{contacts} suppressed",
        "{contacts}.{contacts} of them",
        "{contacts},{contacts} of them",
        "{contacts}k of them",
        "x{contacts} of them",
        "contact{contacts||s}",
        "{contacts|contact|contacts}wise",
        "minus {contacts}",
        "a change of -{contacts}",
        "a change: - {contacts}",
        "- {contacts}",
        ".{contacts} of them",
        "{contacts} k of them",
        "{contacts} M of them",
        "{contacts} point {share}",
        "{contacts} times as many",
        "twice {contacts}",
        "{contacts|plus|minus} {share}",
        "{contacts}-fold",
        "{contacts}/week",
    ],
)
def test_what_would_make_another_figure_of_a_number_is_refused(text):
    with pytest.raises(UnusableAnswer, match="what stands beside a placeholder changes its number"):
        prose.check_prose(text, known=KNOWN, where="rationale")


@pytest.mark.parametrize(
    "text",
    [
        "{contacts} {contacts|contact is|contacts are} dead ({share} of the list), e.g. after an outage.",
        "“{contacts}” of them – at {contacts}'s place – wait; one more failure is awaited.",
        "It failed {contacts} times, often and/or at once: mailbox_full, as before…",
        "They were refused—{contacts} of them—by a naïve server.",
        "Of {contacts}, {share} bounced. {contacts|It was|They were} held twice, the second time at tenants.",
        "{contacts|Contact is gone.|Contacts are gone.}",
    ],
)
def test_plain_english_around_placeholders_passes(text):
    prose.check_prose(text, known=KNOWN, where="rationale")


@pytest.mark.parametrize("text", ["", "   "])
def test_no_text_is_refused(text):
    with pytest.raises(UnusableAnswer, match="there is no text"):
        prose.check_prose(text, known=KNOWN, where="rationale")


def test_a_placeholder_without_a_value_is_named():
    with pytest.raises(UnusableAnswer, match=r"no value for the placeholders \['share'\]"):
        prose.fill("{contacts}, {share}", {"contacts": 1})


def test_a_value_is_filled_in_as_it_is_even_where_it_looks_like_a_placeholder():
    assert prose.fill("at {contacts}", {"contacts": "{share}", "share": 1}) == "at {share}"


@pytest.mark.parametrize(
    ("share", "read"),
    [
        (0, "0 %"),
        (0.11, "11 %"),
        (0.0199, "1.99 %"),
        (1, "100 %"),
        (0.000004, "under 0.01 %"),
        (12.5, "1,250 %"),
    ],
)
def test_shares_are_read_as_percent(share, read):
    assert prose.percent(share) == read


@given(st.text(alphabet="ab {}|<>@:/1²\n", max_size=40))
def test_what_passes_the_check_can_be_filled_and_shows_no_digit_but_ours(text):
    try:
        prose.check_prose(text, known={"a", "b"}, where="text")
    except UnusableAnswer:
        return

    filled = prose.fill(text, {"a": 7, "b": 1})

    assert set(filled) & set("0123456789²") <= {"7", "1"}
    assert not set(filled) & set("{}<>@\n")
